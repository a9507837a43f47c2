// SPDX-License-Identifier: GPL-2.0-only
/*
 * revoke: the exporter's kernel wants pages back.
 *
 * Before: export.c.  Next: dispatch.c, then import.c at the importer, then
 * ack.c.  Invariant: nothing here allocates, and nothing user space does or
 * leaves undone can hold it up: every wait ends with the last acknowledgement
 * or with the eviction of whoever owes it.
 */
#include <linux/sched.h>

#include "xpmem.h"

/* Entries looked at before the home's lock is dropped once. */
#define REVOKE_BATCH 256

/**
 * xpmem_revoke_kick - see to it that queued revokes are sent
 *
 * Context: any.
 */
void xpmem_revoke_kick(void)
{
	queue_work(xpmem_session_wq, &xpmem_home.work);
}

/**
 * xpmem_revoke_enqueue_locked - an entry has revokes to send
 * @e: the entry
 *
 * Context: under the home's lock; follow with xpmem_revoke_kick().
 */
void xpmem_revoke_enqueue_locked(struct xpmem_export *e)
{
	lockdep_assert_held(&xpmem_home.lock);
	if (e->state.flags & XPMEM_EXPORT_QUEUED)
		return;
	e->state.flags |= XPMEM_EXPORT_QUEUED;
	e->queue = NULL;
	*xpmem_home.tail = e;
	xpmem_home.tail = &e->queue;
	xpmem_home.queued++;
}

static void revoke_locked(struct xpmem_export *e, struct xpmem_reaped *reaped)
{
	struct xpmem_entry_arg arg = {
		.lost = xpmem_home.lost,
		.seq = (u32)xpmem_home.seq + 1,
	};

	if (e->state.phase == XPMEM_ENTRY_GRANTED)
		xpmem_count_add(revoked, folio_nr_pages(e->folio));
	xpmem_reap_event_locked(e, XPMEM_ENTRY_EV_REVOKE, &arg, reaped);
}

/* Start taking one folio back.  Return: true if it is free already. */
static bool revoke_folio(struct folio *folio, u8 flags)
{
	struct xpmem_reaped reaped = {};
	struct xpmem_export *e;

	spin_lock(&xpmem_home.lock);
	e = xa_load(&xpmem_home.exports, folio_pfn(folio));
	if (e) {
		e->state.flags &= ~(XPMEM_EXPORT_TRY | XPMEM_EXPORT_RECLAIM);
		e->state.flags |= flags;
		revoke_locked(e, &reaped);
	}
	spin_unlock(&xpmem_home.lock);
	if (!e)
		return true;
	xpmem_reap(&reaped);
	xpmem_revoke_kick();
	return false;
}

static bool folio_revoking(struct folio *folio)
{
	struct xpmem_export *e;
	bool revoking;

	spin_lock(&xpmem_home.lock);
	e = xa_load(&xpmem_home.exports, folio_pfn(folio));
	revoking = e && e->state.phase == XPMEM_ENTRY_REVOKING;
	spin_unlock(&xpmem_home.lock);
	return revoking;
}

/* Migration, splitting and the like ask, too: they do not care who uses it. */
static bool try_invalidate_page(struct mmu_rmap_notifier *mrn,
				struct folio *folio)
{
	u8 reclaim = current->flags & PF_MEMALLOC ? XPMEM_EXPORT_RECLAIM : 0;

	return revoke_folio(folio, XPMEM_EXPORT_TRY | reclaim);
}

/*
 * The folio is locked, so it is not granted anew while this waits.  A session
 * that owes the acknowledgement longer than its deadline is ended, and what it
 * held is kept in quarantine: then, too, the wait is over.
 */
static void invalidate_page(struct mmu_rmap_notifier *mrn, struct folio *folio)
{
	if (!revoke_folio(folio, 0))
		wait_event(xpmem_home.wait, !folio_revoking(folio));
}

static bool age_page(struct mmu_rmap_notifier *mrn, struct folio *folio)
{
	struct xpmem_export *e;
	bool young = false;

	spin_lock(&xpmem_home.lock);
	e = xa_load(&xpmem_home.exports, folio_pfn(folio));
	if (e) {
		young = e->state.flags & XPMEM_EXPORT_YOUNG;
		e->state.flags &= ~XPMEM_EXPORT_YOUNG;
	}
	spin_unlock(&xpmem_home.lock);
	return young;
}

static const struct mmu_rmap_notifier_ops rmap_ops = {
	.try_invalidate_page = try_invalidate_page,
	.invalidate_page = invalidate_page,
	.age_page = age_page,
};

static struct mmu_rmap_notifier rmap_notifier = { .ops = &rmap_ops };

/* A folio's places may begin before the range that they reach into. */
static unsigned long range_key(unsigned long first)
{
	return first >= XPMEM_FOLIO_PAGES ? first - XPMEM_FOLIO_PAGES + 1 : 0;
}

static bool entry_in_range(const struct xpmem_export *e,
			   const struct xpmem_segment *seg, unsigned long first,
			   unsigned long last)
{
	long pages = folio_nr_pages(e->folio);
	const struct xpmem_place *place;

	for (place = &e->place; place; place = place->next)
		if (place->seg == seg && place->base <= (long)last &&
		    place->base + pages > (long)first)
			return true;
	return false;
}

/* What range_walk() does with each entry in the range. */
enum range_step {
	RANGE_REVOKE, /* start taking it back */
	RANGE_PENDING, /* is a revocation still running? */
	RANGE_UNPLACE, /* whoever still holds it was lost: forget the address */
};

/* Part of a segment, and what to do with the entries in it. */
struct stretch {
	struct xpmem_segment *seg;
	unsigned long first;
	unsigned long last;
	enum range_step step;
};

static bool range_step(struct xpmem_export *e, const struct stretch *range,
		       struct xpmem_reaped *reaped)
{
	if (!entry_in_range(e, range->seg, range->first, range->last))
		return false;
	switch (range->step) {
	case RANGE_REVOKE:
		revoke_locked(e, reaped);
		return true;
	case RANGE_PENDING:
		return e->state.phase == XPMEM_ENTRY_REVOKING;
	case RANGE_UNPLACE:
		xpmem_reap_unplace_locked(e, range->seg, reaped);
		return true;
	}
	return false;
}

/* Entries of one kind that are filed from @index to @end. */
static bool range_walk_marked(const struct stretch *range, xa_mark_t mark,
			      unsigned long index, unsigned long end)
{
	struct xarray *places = &range->seg->places;
	struct xpmem_reaped reaped = {};
	struct xpmem_export *e;
	bool found = false;

	do {
		unsigned int n = 0;

		spin_lock(&xpmem_home.lock);
		for (e = xa_find(places, &index, end, mark); e;
		     e = xa_find_after(places, &index, end, mark)) {
			if (n++ == REVOKE_BATCH)
				break;
			found |= range_step(e, range, &reaped);
			if (found && range->step == RANGE_PENDING)
				break;
		}
		spin_unlock(&xpmem_home.lock);
		xpmem_reap(&reaped);
	} while (e && !(found && range->step == RANGE_PENDING));
	return found;
}

/*
 * The range's notifier sequence keeps new entries out meanwhile.  A large folio
 * may be filed outside of the range that it reaches into.
 * Return: whether any entry took the step; RANGE_PENDING ends with the first.
 */
static bool range_walk(struct xpmem_segment *seg, unsigned long first,
		       unsigned long last, enum range_step step)
{
	const struct stretch range = { seg, first, last, step };
	bool found = range_walk_marked(&range, XPMEM_PLACE_SMALL, first, last);

	if (found && step == RANGE_PENDING)
		return true;
	return range_walk_marked(&range, XPMEM_PLACE_LARGE, range_key(first),
				 last + XPMEM_FOLIO_PAGES - 1) ||
	       found;
}

/**
 * xpmem_revoke_range - take a range of a segment back from other partitions
 * @seg:   the segment, held by the caller
 * @first: first page
 * @last:  last page
 * @wait:  until nobody holds any of it, or only those whose session was lost
 *
 * Context: the interval notifier's, or a process; sleeps only if @wait.
 * Return: true if nothing of the range was exported.
 */
bool xpmem_revoke_range(struct xpmem_segment *seg, unsigned long first,
			unsigned long last, bool wait)
{
	if (!atomic_read(&seg->nr_exported))
		return true;
	if (!range_walk(seg, first, last, RANGE_REVOKE))
		return true;
	xpmem_revoke_kick();
	if (wait) {
		wait_event(xpmem_home.wait,
			   !range_walk(seg, first, last, RANGE_PENDING));
		range_walk(seg, first, last, RANGE_UNPLACE);
	}
	return false;
}

/* What revoke_where() takes back: what @slot holds, or every large folio. */
struct where {
	unsigned int slot;
	bool large;
};

static bool is_there(const struct xpmem_export *e, const struct where *where)
{
	if (where->large)
		return folio_test_large(e->folio);
	return e->state.importers & (1ull << where->slot);
}

static void revoke_where(const struct where *where)
{
	struct xpmem_reaped reaped = {};
	unsigned long index = 0;
	struct xpmem_export *e;

	do {
		unsigned int n = 0;

		spin_lock(&xpmem_home.lock);
		xa_for_each_start(&xpmem_home.exports, index, e, index) {
			if (n++ == REVOKE_BATCH)
				break;
			if (is_there(e, where))
				revoke_locked(e, &reaped);
		}
		spin_unlock(&xpmem_home.lock);
		xpmem_reap(&reaped);
		cond_resched();
	} while (e);
	xpmem_revoke_kick();
}

/**
 * xpmem_revoke_slot - take everything back that an importer holds
 * @slot: the importer
 *
 * Starts only; other importers of the same folios lose them, too.
 *
 * Context: process; may sleep.
 */
void xpmem_revoke_slot(unsigned int slot)
{
	revoke_where(&(struct where){ .slot = slot });
}

/**
 * xpmem_revoke_large - take every exported folio of more than one page back
 *
 * Starts only; see stock.c.
 *
 * Context: process; may sleep.
 */
void xpmem_revoke_large(void)
{
	revoke_where(&(struct where){ .large = true });
}

int xpmem_revoke_init(void)
{
	return mmu_rmap_notifier_register(&rmap_notifier);
}

void xpmem_revoke_exit(void)
{
	mmu_rmap_notifier_unregister(&rmap_notifier);
}
