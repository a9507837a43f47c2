// SPDX-License-Identifier: GPL-2.0-only
/*
 * export: the home grants pages of the exporter that serve.c found.
 *
 * Before: serve.c.  Next: revoke.c.  Invariant: one order, for
 * every page: notifier lock, sequence (while it stands, the exporter's own
 * reference does), home's lock, folio lock (tried), flag, reference, entry; the
 * message is queued under the lock under which the entry changed, so no revoke
 * can overtake it.
 */
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "trace.h"
#include "xpmem.h"

struct xpmem_home xpmem_home;

static struct kmem_cache *export_cache;

/* kmem_cache_alloc_bulk() and back, for entries that may not be needed. */
int xpmem_export_alloc_bulk(void **entries, unsigned int count)
{
	/* For its entries no touch of another partition has anybody killed. */
	return kmem_cache_alloc_bulk(
		export_cache, GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN,
		count, entries);
}

void xpmem_export_free_bulk(void **entries, unsigned int count)
{
	kmem_cache_free_bulk(export_cache, count, entries);
}

void xpmem_export_free(struct xpmem_export *e)
{
	kmem_cache_free(export_cache, e);
	module_put(THIS_MODULE);
}

/**
 * xpmem_export_exportable - may a folio be granted to other partitions?
 * @seg:   the segment
 * @folio: cannot go away
 *
 * Anonymous memory, and memory files of the exporter's own.  Not: pages that
 * the kernel shares behind the owner's back, and other files' page cache, whose
 * truncation any reader could then delay.
 */
bool xpmem_export_exportable(const struct xpmem_segment *seg,
			     struct folio *folio)
{
	if (folio_test_hugetlb(folio) || folio_is_zone_device(folio) ||
	    folio_test_hwpoison(folio) || folio_test_ksm(folio) ||
	    folio_nr_pages(folio) > XPMEM_FOLIO_PAGES)
		return false;
	/* One bad page, of a folio that could not be split */
	if (folio_test_large(folio) && folio_test_has_hwpoisoned(folio))
		return false;
	if (folio_test_anon(folio))
		return true;
	return folio_test_swapbacked(folio) && folio->mapping &&
	       uid_eq(folio->mapping->host->i_uid, seg->uid);
}

static struct xpmem_place *
place_find(struct xpmem_export *e, const struct xpmem_segment *seg, long base)
{
	struct xpmem_place *place;

	for (place = &e->place; place; place = place->next)
		if (place->seg == seg && place->base == base)
			return place;
	return NULL;
}

/* Is the slot for this page number free, or ours already? */
static bool key_free(const struct xpmem_export *e, struct xpmem_segment *seg,
		     unsigned long index)
{
	void *old = xa_load(&seg->places, index);

	return !old || xa_is_value(old) || old == e;
}

/*
 * A place is found by the number of its folio's first page, or, where a folio
 * of which only the end is left has that, by the number of the touched page.
 */
static int place_add_locked(struct xpmem_export *e, struct xpmem_segment *seg,
			    long base, unsigned long index)
{
	struct xpmem_place *place = &e->place, *last = NULL;
	unsigned long key = max(base, 0l);
	unsigned int n = 0;

	if (!key_free(e, seg, key))
		key = index;
	if (!key_free(e, seg, key))
		return -EBUSY;
	for (; place && place->seg; place = place->next, n++)
		last = place;
	if (n >= XPMEM_PLACES)
		return -EBUSY;
	if (!place)
		place = kzalloc(sizeof(*place), GFP_NOWAIT | __GFP_NOWARN);
	if (!place)
		return -ENOMEM;
	if (xa_err(xa_store(&seg->places, key, e, GFP_NOWAIT | __GFP_NOWARN))) {
		if (place != &e->place)
			kfree(place);
		return -ENOMEM;
	}
	xa_set_mark(&seg->places, key,
		    folio_test_large(e->folio) ? XPMEM_PLACE_LARGE :
						 XPMEM_PLACE_SMALL);
	kref_get(&seg->ref);
	atomic_inc(&seg->nr_exported);
	place->seg = seg;
	place->base = base;
	if (last)
		last->next = place;
	return 0;
}

static struct xpmem_export *entry_create_locked(struct xpmem_serve *s,
						struct folio *folio)
{
	unsigned long pages = folio_nr_pages(folio);
	struct xpmem_user *user = s->seg->user;
	struct xpmem_export *e;

	if (!s->nr_spare)
		return ERR_PTR(-EBUSY);
	if (xpmem_user_export(user, pages, s->seg->unlimited))
		return ERR_PTR(-EDQUOT);
	if (folio_test_set_rmap_external(folio))
		goto uncharge;
	e = s->spare[s->nr_spare - 1];
	memset(e, 0, sizeof(*e));
	if (xa_err(xa_store(&xpmem_home.exports, folio_pfn(folio), e,
			    GFP_NOWAIT | __GFP_NOWARN))) {
		folio_clear_rmap_external(folio);
		goto uncharge;
	}
	s->nr_spare--;
	folio_get(folio);
	e->folio = folio;
	e->state.owner = xpmem_user_hold(user);
	__module_get(THIS_MODULE);
	xpmem_count_add(exported, pages);
	return e;

uncharge:
	xpmem_user_uncharge(user, XPMEM_USER_EXPORTED, pages);
	return ERR_PTR(-EBUSY);
}

/**
 * xpmem_export_uncharge - an entry leaves the tables
 * @e: the entry; its owner's account is not its any more
 *
 * Context: under the home's lock.
 */
void xpmem_export_uncharge(struct xpmem_export *e)
{
	struct xpmem_user *user = xpmem_user_of(e->state.owner);

	xpmem_user_uncharge(user, XPMEM_USER_EXPORTED,
			    folio_nr_pages(e->folio));
	xpmem_user_put(user);
}

static void entry_abandon_locked(struct xpmem_serve *s, struct xpmem_export *e)
{
	xa_erase(&xpmem_home.exports, folio_pfn(e->folio));
	xpmem_count_sub(exported, folio_nr_pages(e->folio));
	xpmem_export_uncharge(e);
	folio_clear_rmap_external(e->folio);
	folio_put(e->folio);
	module_put(THIS_MODULE);
	s->spare[s->nr_spare++] = e;
}

/* How often was the page spared, as in the entry's flags? */
static u8 times_spared(struct xpmem_segment *seg, unsigned long index)
{
	void *entry = xa_load(&seg->places, index);

	if (!xa_is_value(entry))
		return 0;
	return (xa_to_value(entry) >> XPMEM_DEFER_SHIFT) * XPMEM_EXPORT_SPARED;
}

/* How long is a page not granted yet?  Milliseconds; 0: now. */
static unsigned int deferred_ms(struct xpmem_segment *seg, unsigned long index)
{
	void *entry = xa_load(&seg->places, index);
	long left;

	if (!xa_is_value(entry))
		return 0;
	left = (long)((xa_to_value(entry) - jiffies) << 4) >> 4;
	return left > 0 ? jiffies_to_msecs(left) : 0;
}

/**
 * xpmem_export_around - does a page go with the touched one?
 * @s: the fetch
 * @i: which of its pages
 */
bool xpmem_export_around(const struct xpmem_serve *s, unsigned int i)
{
	unsigned long first = (s->seg->start >> PAGE_SHIFT) + s->start;

	return (first + i) / XPMEM_SERVE_AROUND ==
	       (first + s->target) / XPMEM_SERVE_AROUND;
}

static int folio_grant_locked(struct xpmem_serve *s, struct folio *folio,
			      unsigned long pfn, unsigned long index)
{
	struct xpmem_export *e = xa_load(&xpmem_home.exports, folio_pfn(folio));
	struct xpmem_entry_arg arg = {
		.slots = 1ull << s->session->slot,
		.lost = xpmem_home.lost,
	};
	long base = (long)index - (long)(pfn - folio_pfn(folio));
	u8 spared = max(times_spared(s->seg, max(base, 0l)),
			times_spared(s->seg, index));
	bool made = !e;
	unsigned int ms;
	int err = 0;

	ms = max(deferred_ms(s->seg, index),
		 deferred_ms(s->seg, max(base, 0l)));
	if (index == s->start + s->target)
		s->defer_ms = ms;
	if (ms)
		return -EBUSY;
	if (!e)
		e = entry_create_locked(s, folio);
	if (IS_ERR(e))
		return PTR_ERR(e);
	if (!place_find(e, s->seg, base))
		err = e->state.phase == XPMEM_ENTRY_REVOKING ?
			      -EBUSY :
			      place_add_locked(e, s->seg, base, index);
	if (!err && !(xpmem_entry_event(&e->state, XPMEM_ENTRY_EV_GRANT, &arg) &
		      XPMEM_ENTRY_SEND))
		err = -EBUSY;
	if (err && made)
		entry_abandon_locked(s, e);
	if (err)
		return err;
	/*
	 * The first time the acknowledgement tells.  Pages that only come along,
	 * farther from the touched one, are not young for it.
	 */
	if (spared && xpmem_export_around(s, index - s->start))
		e->state.flags |= XPMEM_EXPORT_YOUNG;
	e->state.flags |= spared;
	return 0;
}

/*
 * A page that the importer holds already is not granted again and again, unless
 * it may now gain write access.
 */
static bool held_already(const struct xpmem_serve *s, unsigned int i)
{
	unsigned long page = s->pages[i];
	struct xpmem_export *e;

	if (xpmem_export_around(s, i) || !(page & XPMEM_PAGE_VALID))
		return false;
	e = xa_load(&xpmem_home.exports,
		    folio_pfn(pfn_folio(page >> XPMEM_PAGE_SHIFT)));
	return e && e->state.phase == XPMEM_ENTRY_GRANTED &&
	       (e->state.importers & (1ull << s->session->slot)) &&
	       folio_nr_pages(e->folio) == 1;
}

/* One page: may it be granted, and if so, it is. */
static int page_grant_locked(struct xpmem_serve *s, unsigned int i)
{
	unsigned long page = s->pages[i], pfn = page >> XPMEM_PAGE_SHIFT;
	struct folio *folio;
	int err = -EBUSY;

	if (!(page & XPMEM_PAGE_VALID) || is_zero_pfn(pfn))
		return -EBUSY;
	/* The exporter maps it: its reference lasts while the sequence does. */
	folio = pfn_folio(pfn);
	if (!folio_trylock(folio))
		return -EBUSY;
	if (xpmem_export_exportable(s->seg, folio))
		err = folio_grant_locked(s, folio, pfn, s->start + i);
	if (!err) {
		xpmem_stock_granted(folio);
		/* What importers use is told by grants, not by this flag. */
		folio_clear_referenced(folio);
		if (page & XPMEM_PAGE_WRITE)
			folio_mark_dirty(folio);
	}
	folio_unlock(folio);
	return err;
}

static void run_add(struct xpmem_wire_grant *body, unsigned long index,
		    unsigned long pfn, bool write)
{
	u32 n = le32_to_cpu(body->nruns);
	u32 access = XPMEM_WIRE_READ | (write ? XPMEM_WIRE_WRITE : 0);
	struct xpmem_wire_grant_run *run = n ? &body->runs[n - 1] : NULL;
	u32 count = run ? le32_to_cpu(run->count) : 0;

	if (run && le64_to_cpu(run->index) + count == index &&
	    le64_to_cpu(run->frame) + count == pfn &&
	    le32_to_cpu(run->access) == access) {
		run->count = cpu_to_le32(count + 1);
		return;
	}
	run = &body->runs[n];
	run->index = cpu_to_le64(index);
	run->frame = cpu_to_le64(pfn);
	run->count = cpu_to_le32(1);
	run->access = cpu_to_le32(access);
	body->nruns = cpu_to_le32(n + 1);
}

/*
 * The importer may write a page only if the segment's mode let it and the
 * exporter's own entry is writable now.
 */
static void writable_locked(struct xpmem_serve *s)
{
	unsigned int i;

	if (s->remote & XPMEM_REMOTE_WRITE)
		return;
	for (i = 0; i < s->count; i++)
		s->pages[i] &= ~XPMEM_PAGE_WRITE;
}

/**
 * xpmem_export_grant_locked - grant what a fetch asks for, and say so
 * @s:       the fetch, its pages found under a sequence that still stands
 * @message: consumed, and queued, if this returns 0
 *
 * Context: under the segment's lock for reading and the home's lock.
 * Return: 0; -EBUSY if the touched page cannot be granted now; -EDQUOT if the
 * exporter has too many exported or in quarantine; -ENOENT if the importer is gone
 * or has let go since.
 */
int xpmem_export_grant_locked(struct xpmem_serve *s,
			      struct xpmem_message *message)
{
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	void *word = xa_load(&s->seg->remote, s->session->slot);
	unsigned int i, pages = 0;
	int err;

	if (s->session->phase != XPMEM_PEER_UP || s->session->closing ||
	    !word ||
	    xa_to_value(word) / XPMEM_REMOTE_GEN !=
		    s->remote / XPMEM_REMOTE_GEN)
		return -ENOENT;
	writable_locked(s);
	err = page_grant_locked(s, s->target);
	if (err)
		return err == -EDQUOT ? err : -EBUSY;
	for (i = 0; i < s->count; i++) {
		if (i != s->target &&
		    (held_already(s, i) || page_grant_locked(s, i)))
			continue;
		run_add(body, s->start + i, s->pages[i] >> XPMEM_PAGE_SHIFT,
			s->pages[i] & XPMEM_PAGE_WRITE);
		pages++;
	}
	xpmem_message_trim(message,
			   struct_size(body, runs, le32_to_cpu(body->nruns)));
	body->status = cpu_to_le32(XPMEM_WIRE_OK);
	xpmem_count_add(granted, pages);
	atomic64_add(pages, &s->session->history->granted);
	trace_xpmem_grant(s->session->partid, s->seg->segid, s->start, pages,
			  XPMEM_WIRE_OK);
	xpmem_socket_send(s->session, message);
	return 0;
}

int xpmem_export_init(void)
{
	BUILD_BUG_ON(sizeof(struct xpmem_export) != 64);
	spin_lock_init(&xpmem_home.lock);
	xa_init(&xpmem_home.exports);
	init_waitqueue_head(&xpmem_home.wait);
	INIT_WORK(&xpmem_home.work, xpmem_dispatch);
	xpmem_home.tail = &xpmem_home.queue;
	export_cache = kmem_cache_create("xpmem_export",
					 sizeof(struct xpmem_export), 0,
					 SLAB_ACCOUNT, NULL);
	if (!export_cache)
		return -ENOMEM;
	return 0;
}

void xpmem_export_exit(void)
{
	kmem_cache_destroy(export_cache);
	xa_destroy(&xpmem_home.exports);
}
