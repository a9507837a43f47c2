// SPDX-License-Identifier: GPL-2.0-only
/*
 * release: an exported folio that nobody outside reaches any more is ordinary
 * memory again.
 *
 * Before: ack.c.  Invariant: an entry leaves the tables together with its
 * folio's flag and reference, and only when core/entry.c said so.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "xpmem.h"

/* Entries looked at before the home's lock is dropped once. */
#define WALK_BATCH 256

/*
 * Reclaim asked for it, and an importer used it.  That counts three times running:
 * what is in use all the time must not be out of reclaim's reach.
 */
static bool entry_spared(const struct xpmem_export *e)
{
	u8 flags = e->state.flags;

	return (flags & XPMEM_EXPORT_RECLAIM) && (flags & XPMEM_EXPORT_USED) &&
	       (flags & XPMEM_EXPORT_SPARED_MASK) != XPMEM_EXPORT_SPARED_MASK;
}

/*
 * What is left behind where an entry was: from when on the page is granted again,
 * and how often it was spared.  One that was spared is granted at once: only that
 * tells reclaim, when it looks again, that it is in use.  An importer that gives it
 * back by itself does not start the count anew.
 */
static unsigned long deferral(const struct xpmem_export *e)
{
	unsigned long times = (e->state.flags & XPMEM_EXPORT_SPARED_MASK) /
			      XPMEM_EXPORT_SPARED;
	unsigned long now = jiffies & XPMEM_DEFER_TIME;

	if (entry_spared(e))
		return now | (times + 1) << XPMEM_DEFER_SHIFT;
	if (e->state.flags & XPMEM_EXPORT_TRY)
		return (jiffies + msecs_to_jiffies(XPMEM_DEFER_MS)) &
		       XPMEM_DEFER_TIME;
	return times ? now | times << XPMEM_DEFER_SHIFT : 0;
}

/* Take a place out of its segment; reclaim's pages leave a deferral behind. */
static void place_erase_locked(struct xpmem_export *e,
			       struct xpmem_place *place)
{
	struct xpmem_segment *seg = place->seg;
	unsigned long index = max(place->base, 0l);
	unsigned long last = place->base + folio_nr_pages(e->folio) - 1;
	unsigned long left = deferral(e);
	void *entry;

	xa_for_each_range(&seg->places, index, entry, index, last) {
		if (entry != e)
			continue;
		if (!left) {
			xa_erase(&seg->places, index);
			continue;
		}
		xa_store(&seg->places, index, xa_mk_value(left), 0);
		xa_clear_mark(&seg->places, index, XPMEM_PLACE_SMALL);
		xa_clear_mark(&seg->places, index, XPMEM_PLACE_LARGE);
	}
	atomic_dec(&seg->nr_exported);
}

/* So many accesses are the most that either kind of LRU counts. */
#define SPARED_ACCESSES 5

/*
 * A folio that was asked for goes to where reclaim looks first, and counts as
 * acknowledged; if it is in use, reclaim finds it accessed.  Its flag is
 * clear already; folio_batch_reclaim_soon() pairs that with a reclaimer that puts
 * the folio back at the same time.
 */
static void folio_give_back(struct xpmem_export *e)
{
	bool spared = entry_spared(e);
	struct folio_batch soon;
	unsigned int i;

	if (e->state.flags & XPMEM_EXPORT_TRY) {
		folio_get(e->folio);
		folio_batch_init(&soon);
		folio_batch_add(&soon, e->folio);
		folio_batch_reclaim_soon(&soon);
	}
	for (i = 0; spared && i < SPARED_ACCESSES; i++)
		folio_mark_accessed(e->folio);
	folio_put(e->folio);
	e->folio = NULL;
}

/**
 * xpmem_reap_entry_locked - nobody holds an entry any more: take it away
 * @e:      the entry, in phase XPMEM_ENTRY_FREE
 * @reaped: takes it
 *
 * An entry on the queue of revokes is left to the queue.
 *
 * Context: under the home's lock.
 */
void xpmem_reap_entry_locked(struct xpmem_export *e,
			     struct xpmem_reaped *reaped)
{
	struct xpmem_place *place;

	lockdep_assert_held(&xpmem_home.lock);
	if (!(e->state.flags & XPMEM_EXPORT_DEAD)) {
		for (place = &e->place; place && place->seg;
		     place = place->next)
			place_erase_locked(e, place);
		xa_erase(&xpmem_home.exports, folio_pfn(e->folio));
		/* Together: no entry, no flag, and the next entry's own flag. */
		folio_clear_rmap_external(e->folio);
		e->state.flags |= XPMEM_EXPORT_DEAD;
		reaped->folios++;
		reaped->pages += folio_nr_pages(e->folio);
		xpmem_export_uncharge(e);
		/* And no reference: whoever waited for the folio counts them. */
		folio_give_back(e);
	}
	if (e->state.flags & XPMEM_EXPORT_QUEUED)
		return;
	e->queue = reaped->entries;
	reaped->entries = e;
}

/**
 * xpmem_reap_event_locked - advance an entry and carry out what follows
 * @e:      the entry; may be gone afterwards
 * @ev:     what happened
 * @arg:    to whom
 * @reaped: takes what must be given back
 *
 * Context: under the home's lock.
 */
void xpmem_reap_event_locked(struct xpmem_export *e, enum xpmem_entry_event ev,
			     const struct xpmem_entry_arg *arg,
			     struct xpmem_reaped *reaped)
{
	unsigned int actions = xpmem_entry_event(&e->state, ev, arg);

	lockdep_assert_held(&xpmem_home.lock);
	if (actions & XPMEM_ENTRY_KICK)
		xpmem_revoke_enqueue_locked(e);
	if (actions & XPMEM_ENTRY_WAKE)
		reaped->wake = true;
	if (actions & XPMEM_ENTRY_RELEASE)
		xpmem_reap_entry_locked(e, reaped);
}

/**
 * xpmem_reap_unplace_locked - a folio is in a segment no more
 * @e:      its entry, held by lost importers only
 * @seg:    the segment
 * @reaped: takes the places
 *
 * Context: under the home's lock.
 */
void xpmem_reap_unplace_locked(struct xpmem_export *e,
			       struct xpmem_segment *seg,
			       struct xpmem_reaped *reaped)
{
	struct xpmem_place **link = &e->place.next, *place;

	lockdep_assert_held(&xpmem_home.lock);
	e->state.flags &= ~(XPMEM_EXPORT_TRY | XPMEM_EXPORT_RECLAIM |
			    XPMEM_EXPORT_SPARED_MASK);
	while ((place = *link)) {
		if (place->seg != seg) {
			link = &place->next;
			continue;
		}
		place_erase_locked(e, place);
		*link = place->next;
		place->next = reaped->places;
		reaped->places = place;
	}
	if (e->place.seg != seg)
		return;
	place_erase_locked(e, &e->place);
	place = e->place.next;
	if (!place) {
		e->place.seg = NULL;
		/* The caller holds the segment: this is not its last one. */
		xpmem_segment_put(seg);
		return;
	}
	/* The first place is part of the entry: the second one moves there. */
	e->place = *place;
	place->seg = seg;
	place->next = reaped->places;
	reaped->places = place;
}

static void places_free(struct xpmem_place *place)
{
	while (place) {
		struct xpmem_place *next = place->next;

		xpmem_segment_put(place->seg);
		kfree(place);
		place = next;
	}
}

static void entry_free(struct xpmem_export *e)
{
	places_free(e->place.next);
	if (e->place.seg)
		xpmem_segment_put(e->place.seg);
	xpmem_export_free(e);
}

/**
 * xpmem_reap - give back what left the tables, and wake whoever waits for it
 * @reaped: emptied
 *
 * Their folios were given back when they left the tables.
 *
 * Context: process; may sleep; takes no folio lock and no mmap_lock.
 */
void xpmem_reap(struct xpmem_reaped *reaped)
{
	struct xpmem_export *e = reaped->entries, *next;

	for (; e; e = next) {
		next = e->queue;
		entry_free(e);
	}
	places_free(reaped->places);
	if (reaped->folios) {
		xpmem_count_sub(exported, reaped->pages);
		xpmem_count_add(released, reaped->pages);
		mmu_rmap_notifier_acked(reaped->folios);
	}
	if (reaped->folios || reaped->wake)
		wake_up_all(&xpmem_home.wait);
	memset(reaped, 0, sizeof(*reaped));
}

/* Whose pages are in quarantine, or leave it. */
static void quarantine_locked(struct xpmem_export *e, enum xpmem_entry_event ev)
{
	struct xpmem_user *user = xpmem_user_of(e->state.owner);
	unsigned long pages = folio_nr_pages(e->folio);

	if (ev == XPMEM_ENTRY_EV_LOST)
		xpmem_user_charge(user, XPMEM_USER_QUARANTINE, pages, true);
	else if (ev == XPMEM_ENTRY_EV_FENCED)
		xpmem_user_uncharge(user, XPMEM_USER_QUARANTINE, pages);
}

/**
 * xpmem_reap_slot - tell every entry what became of an importer
 * @slot: the importer
 * @ev:   XPMEM_ENTRY_EV_PUT, _LOST or _FENCED
 *
 * Context: process; may sleep.
 * Return: pages that the importer held.
 */
u64 xpmem_reap_slot(unsigned int slot, enum xpmem_entry_event ev)
{
	struct xpmem_entry_arg arg = { .slots = 1ull << slot };
	struct xpmem_reaped reaped = {};
	unsigned long index = 0;
	struct xpmem_export *e;
	u64 pages = 0;

	do {
		unsigned int n = 0;

		spin_lock(&xpmem_home.lock);
		arg.lost = xpmem_home.lost;
		xa_for_each_start(&xpmem_home.exports, index, e, index) {
			if (n++ == WALK_BATCH)
				break;
			if (!(e->state.importers & arg.slots))
				continue;
			pages += folio_nr_pages(e->folio);
			quarantine_locked(e, ev);
			xpmem_reap_event_locked(e, ev, &arg, &reaped);
		}
		spin_unlock(&xpmem_home.lock);
		xpmem_reap(&reaped);
		cond_resched();
	} while (e);
	/* Entries that waited for a message of this importer wait no more. */
	xpmem_revoke_kick();
	return pages;
}

/**
 * xpmem_reap_held - how many pages an importer holds
 * @slot: the importer
 *
 * Context: process; may sleep.
 */
u64 xpmem_reap_held(unsigned int slot)
{
	unsigned long index = 0;
	struct xpmem_export *e;
	u64 pages = 0;

	do {
		unsigned int n = 0;

		spin_lock(&xpmem_home.lock);
		xa_for_each_start(&xpmem_home.exports, index, e, index) {
			if (n++ == WALK_BATCH)
				break;
			if (e->state.importers & (1ull << slot))
				pages += folio_nr_pages(e->folio);
		}
		spin_unlock(&xpmem_home.lock);
		cond_resched();
	} while (e);
	return pages;
}

/* The importer may still hold the folio through another segment. */
static bool placed_elsewhere(const struct xpmem_export *e,
			     const struct xpmem_segment *seg)
{
	const struct xpmem_place *place;

	for (place = &e->place; place; place = place->next)
		if (place->seg != seg)
			return true;
	return false;
}

static void put_one_locked(struct xpmem_export *e, struct xpmem_segment *seg,
			   unsigned int slot, struct xpmem_reaped *reaped)
{
	struct xpmem_entry_arg arg = {
		.slots = 1ull << slot,
		.lost = xpmem_home.lost,
		.seq = (u32)xpmem_home.seq + 1,
	};

	if (!(e->state.importers & arg.slots))
		return;
	xpmem_reap_event_locked(e,
				placed_elsewhere(e, seg) ?
					XPMEM_ENTRY_EV_REVOKE :
					XPMEM_ENTRY_EV_PUT,
				&arg, reaped);
}

static void put_gen_locked(struct xpmem_segment *seg, unsigned int slot)
{
	void *word = xa_load(&seg->remote, slot);

	if (word)
		xa_store(&seg->remote, slot,
			 xa_mk_value((xa_to_value(word) + XPMEM_REMOTE_GEN) &
				     LONG_MAX),
			 0);
}

/**
 * xpmem_reap_put - an importer let go of a segment by itself
 * @session: the importer's
 * @segid:   the segment
 *
 * Fetches that it sent before and that are still being served end without a
 * grant: their word for the slot is an old one.
 *
 * Context: the session's receiver.
 */
void xpmem_reap_put(struct xpmem_session *session, u64 segid)
{
	struct xpmem_segment *seg = xpmem_segment_get(segid);
	struct xpmem_reaped reaped = {};
	unsigned long index = 0;
	void *entry;

	if (!seg)
		return;
	spin_lock(&xpmem_home.lock);
	put_gen_locked(seg, session->slot);
	spin_unlock(&xpmem_home.lock);
	do {
		unsigned int n = 0;

		spin_lock(&xpmem_home.lock);
		xa_for_each_start(&seg->places, index, entry, index) {
			if (n++ == WALK_BATCH)
				break;
			if (!xa_is_value(entry))
				put_one_locked(entry, seg, session->slot,
					       &reaped);
		}
		spin_unlock(&xpmem_home.lock);
		xpmem_reap(&reaped);
	} while (entry);
	xpmem_revoke_kick();
	xpmem_segment_put(seg);
}
