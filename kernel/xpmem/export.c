// SPDX-License-Identifier: GPL-2.0-only
/*
 * export: the home finds the exporter's pages and grants them.
 *
 * Before: fetch.c at the importer.  Next: revoke.c.  Invariant: one order, for
 * every page: reference, folio lock (tried), notifier lock, sequence, entry and
 * flag, message; the message is queued under the lock under which the entry
 * changed, so no revoke can overtake it.
 */
#include <linux/mmu_rmap_notifier.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "trace.h"
#include "xpmem.h"

/* Give up on a page that keeps changing; the importer asks again. */
#define SERVE_ATTEMPTS 16
#define BUSY_MS 2

struct xpmem_home xpmem_home;

static struct kmem_cache *export_cache;
static struct workqueue_struct *serve_wq;

/* One fetch on its way to a grant. */
struct serve {
	struct work_struct work;
	struct xpmem_session *session; /* a reference */
	struct xpmem_segment *seg; /* a reference */
	/*
	 * The slot's word for the segment when the fetch came.  If it changed,
	 * the importer has let go since, and takes no answer.
	 */
	unsigned long remote;
	u64 req; /* start, count, target, write: what is asked for */
	unsigned long start;
	unsigned int count;
	unsigned int target;
	bool write;
	unsigned long *pages; /* what was found there */
	unsigned int nr_spare;
	void *spare[XPMEM_WIRE_PAGES]; /* entries, made before any lock */
};

void xpmem_export_free(struct xpmem_export *e)
{
	kmem_cache_free(export_cache, e);
	module_put(THIS_MODULE);
}

/*
 * Anonymous memory, and memory files of the exporter's own.  Not: pages that
 * the kernel shares behind the owner's back, and other files' page cache, whose
 * truncation any reader could then delay.
 */
static bool folio_exportable(const struct xpmem_segment *seg,
			     struct folio *folio)
{
	if (folio_test_hugetlb(folio) || folio_is_zone_device(folio) ||
	    folio_test_hwpoison(folio) || folio_test_ksm(folio) ||
	    !folio_test_swapbacked(folio) ||
	    folio_nr_pages(folio) > XPMEM_FOLIO_PAGES)
		return false;
	if (folio_test_anon(folio))
		return true;
	return folio->mapping &&
	       uid_eq(folio->mapping->host->i_uid, seg->uid);
}

static struct xpmem_place *place_find(struct xpmem_export *e,
				      const struct xpmem_segment *seg, long base)
{
	struct xpmem_place *place;

	for (place = &e->place; place; place = place->next)
		if (place->seg == seg && place->base == base)
			return place;
	return NULL;
}

static int place_add_locked(struct xpmem_export *e, struct xpmem_segment *seg,
			    long base, unsigned long index)
{
	struct xpmem_place *place = &e->place, *last = NULL;
	void *old = xa_load(&seg->places, index);
	unsigned int n = 0;

	if (old && !xa_is_value(old) && old != e)
		return -EBUSY;
	for (; place && place->seg; place = place->next, n++)
		last = place;
	if (n >= XPMEM_PLACES)
		return -EBUSY;
	if (!place)
		place = kzalloc(sizeof(*place), GFP_NOWAIT | __GFP_NOWARN);
	if (!place)
		return -ENOMEM;
	if (xa_err(xa_store(&seg->places, index, e,
			    GFP_NOWAIT | __GFP_NOWARN))) {
		if (place != &e->place)
			kfree(place);
		return -ENOMEM;
	}
	kref_get(&seg->ref);
	atomic_inc(&seg->nr_exported);
	place->seg = seg;
	place->base = base;
	if (last)
		last->next = place;
	return 0;
}

static struct xpmem_export *entry_create_locked(struct serve *s,
						struct folio *folio)
{
	struct xpmem_export *e;

	if (!s->nr_spare || folio_test_set_rmap_external(folio))
		return NULL;
	e = s->spare[s->nr_spare - 1];
	memset(e, 0, sizeof(*e));
	if (xa_err(xa_store(&xpmem_home.exports, folio_pfn(folio), e,
			    GFP_NOWAIT | __GFP_NOWARN))) {
		folio_clear_rmap_external(folio);
		return NULL;
	}
	s->nr_spare--;
	folio_get(folio);
	e->folio = folio;
	__module_get(THIS_MODULE);
	atomic64_add(folio_nr_pages(folio), &xpmem_counters.exported);
	return e;
}

static void entry_abandon_locked(struct serve *s, struct xpmem_export *e)
{
	xa_erase(&xpmem_home.exports, folio_pfn(e->folio));
	atomic64_sub(folio_nr_pages(e->folio), &xpmem_counters.exported);
	folio_clear_rmap_external(e->folio);
	folio_put(e->folio);
	module_put(THIS_MODULE);
	s->spare[s->nr_spare++] = e;
}

static int folio_grant_locked(struct serve *s, struct folio *folio,
			      unsigned long pfn, unsigned long index)
{
	struct xpmem_export *e = xa_load(&xpmem_home.exports,
					 folio_pfn(folio));
	struct xpmem_entry_arg arg = {
		.slots = 1ull << s->session->slot,
		.lost = xpmem_home.lost,
	};
	long base = (long)index - (long)(pfn - folio_pfn(folio));
	bool made = !e;
	int err = 0;

	if (!e)
		e = entry_create_locked(s, folio);
	if (!e)
		return -EBUSY;
	if (!place_find(e, s->seg, base))
		err = e->state.phase == XPMEM_ENTRY_REVOKING ? -EBUSY :
			place_add_locked(e, s->seg, base, index);
	if (!err && !(xpmem_entry_event(&e->state, XPMEM_ENTRY_EV_GRANT, &arg) &
		      XPMEM_ENTRY_SEND))
		err = -EBUSY;
	if (err && made)
		entry_abandon_locked(s, e);
	if (!err)
		e->state.flags |= XPMEM_EXPORT_YOUNG;
	return err;
}

static unsigned int deferred_ms(struct xpmem_segment *seg, unsigned long index)
{
	void *entry = xa_load(&seg->places, index);
	long left;

	if (!xa_is_value(entry))
		return 0;
	left = (long)((xa_to_value(entry) - jiffies) << 1) >> 1;
	return left > 0 ? jiffies_to_msecs(left) : 0;
}

/* One page: may it be granted, and if so, it is. */
static int page_grant_locked(struct serve *s, unsigned int i)
{
	unsigned long page = s->pages[i], pfn = page >> XPMEM_PAGE_SHIFT;
	struct folio *folio;
	int err = -EBUSY;

	if (!(page & XPMEM_PAGE_VALID) || is_zero_pfn(pfn) ||
	    deferred_ms(s->seg, s->start + i))
		return -EBUSY;
	/* The exporter maps it: its reference lasts while the sequence does. */
	folio = pfn_folio(pfn);
	if (!folio_trylock(folio))
		return -EBUSY;
	if (folio_exportable(s->seg, folio))
		err = folio_grant_locked(s, folio, pfn, s->start + i);
	if (!err) {
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
static void writable_locked(struct serve *s)
{
	unsigned int i;

	if (s->remote & XPMEM_REMOTE_WRITE)
		return;
	for (i = 0; i < s->count; i++)
		s->pages[i] &= ~XPMEM_PAGE_WRITE;
}

static int grant_locked(struct serve *s, struct xpmem_message *message)
{
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	void *word = xa_load(&s->seg->remote, s->session->slot);
	unsigned int i, pages = 0;

	if (s->session->phase != XPMEM_PEER_UP || s->session->closing ||
	    !word || xa_to_value(word) != s->remote)
		return -ENOENT;
	writable_locked(s);
	if (page_grant_locked(s, s->target))
		return -EBUSY;
	for (i = 0; i < s->count; i++) {
		if (i != s->target && page_grant_locked(s, i))
			continue;
		run_add(body, s->start + i, s->pages[i] >> XPMEM_PAGE_SHIFT,
			s->pages[i] & XPMEM_PAGE_WRITE);
		pages++;
	}
	xpmem_message_trim(message,
			   struct_size(body, runs, le32_to_cpu(body->nruns)));
	body->status = cpu_to_le32(XPMEM_WIRE_OK);
	atomic64_add(pages, &xpmem_counters.granted);
	atomic64_add(pages, &s->session->granted);
	trace_xpmem_grant(s->session->partid, s->seg->segid, s->start, pages,
			  XPMEM_WIRE_OK);
	xpmem_socket_send(s->session, message);
	return 0;
}

/*
 * Is the touched page one that can be granted?  The zero page, a merged page
 * and a file's page become the exporter's own by a write, or an unsharing read.
 */
static bool target_good(struct serve *s, unsigned long seq)
{
	unsigned long page = s->pages[s->target];
	unsigned long pfn = page >> XPMEM_PAGE_SHIFT;
	bool good = false;

	if (is_zero_pfn(pfn))
		return false;
	down_read(&s->seg->lock);
	if (!mmu_interval_read_retry(&s->seg->notifier, seq))
		good = folio_exportable(s->seg, pfn_folio(pfn));
	up_read(&s->seg->lock);
	return good;
}

static int make_own(struct mm_struct *mm, unsigned long addr, bool write)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma)
		return -EFAULT;
	if (write || (vma->vm_flags & VM_WRITE))
		return xpmem_lookup_fault_in(mm, addr, true);
	return fixup_user_fault(mm, addr,
				vma->vm_flags & VM_SHARED ? 0 :
							    FAULT_FLAG_UNSHARE,
				NULL);
}

/* Look the pages up under @seq; -EAGAIN: something was mended, look again. */
static int find_pages(struct serve *s, unsigned long seq)
{
	struct xpmem_segment *seg = s->seg;
	unsigned long addr = seg->start + (s->start << PAGE_SHIFT);
	unsigned long want = addr + ((unsigned long)s->target << PAGE_SHIFT);
	int err = xpmem_lookup(seg, addr, s->count, s->target, s->write,
			       s->pages);

	if (!err && target_good(s, seq))
		return 0;
	if (err && err != -EAGAIN)
		return err;
	err = make_own(seg->mm, want, s->write);
	return err ? err : -EAGAIN;
}

static int serve_once(struct serve *s, struct xpmem_message *message)
{
	struct xpmem_segment *seg = s->seg;
	unsigned long seq = mmu_interval_read_begin(&seg->notifier);
	int err;

	mmap_read_lock(seg->mm);
	err = find_pages(s, seq);
	if (err)
		goto unlock;
	down_read(&seg->lock);
	if (seg->dead) {
		err = -ENOENT;
	} else if (mmu_interval_read_retry(&seg->notifier, seq)) {
		err = -EAGAIN;
	} else {
		spin_lock(&xpmem_home.lock);
		err = grant_locked(s, message);
		spin_unlock(&xpmem_home.lock);
	}
	up_read(&seg->lock);
unlock:
	mmap_read_unlock(seg->mm);
	return err;
}

static int serve_fetch(struct serve *s, struct xpmem_message *message)
{
	int attempt, err = -EBUSY;

	if (s->write && !(s->remote & XPMEM_REMOTE_WRITE))
		return -EACCES;
	s->pages = kmalloc_array(s->count, sizeof(*s->pages), GFP_KERNEL);
	if (!s->pages)
		return -ENOMEM;
	s->nr_spare = kmem_cache_alloc_bulk(export_cache, GFP_KERNEL, s->count,
					    s->spare);
	if (!s->nr_spare) {
		err = -ENOMEM;
		goto free_pages;
	}
	if (!mmget_not_zero(s->seg->mm)) {
		err = -ENOENT;
		goto free_spare;
	}
	for (attempt = 0; attempt < SERVE_ATTEMPTS; attempt++) {
		err = serve_once(s, message);
		if (err != -EAGAIN)
			break;
	}
	mmput_async(s->seg->mm);
free_spare:
	kmem_cache_free_bulk(export_cache, s->nr_spare, s->spare);
free_pages:
	kfree(s->pages);
	return err;
}

static enum xpmem_wire_status error_status(int err)
{
	switch (err) {
	case -ENOENT:
		return XPMEM_WIRE_NOENT;
	case -EACCES:
		return XPMEM_WIRE_ACCES;
	case -EOPNOTSUPP:
		return XPMEM_WIRE_NOTSUP;
	case -ENOMEM:
		return XPMEM_WIRE_NOMEM;
	case -EBUSY:
	case -EAGAIN:
		return XPMEM_WIRE_BUSY;
	}
	return XPMEM_WIRE_FAULT;
}

static void refuse(struct serve *s, struct xpmem_message *message, int err)
{
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	enum xpmem_wire_status status = error_status(err);
	unsigned int ms;

	spin_lock(&xpmem_home.lock);
	ms = deferred_ms(s->seg, s->start + s->target);
	spin_unlock(&xpmem_home.lock);
	xpmem_message_trim(message, sizeof(*body));
	body->nruns = 0;
	body->status = cpu_to_le32(status);
	if (status == XPMEM_WIRE_BUSY)
		body->retry_ms = cpu_to_le32(ms ? ms : BUSY_MS);
	trace_xpmem_grant(s->session->partid, s->seg->segid,
			  s->start + s->target, 0, status);
	xpmem_socket_send(s->session, message);
}

static void serve_work(struct work_struct *work)
{
	struct serve *s = container_of(work, struct serve, work);
	struct xpmem_message *message =
		xpmem_message_alloc(XPMEM_WIRE_GRANT,
				    struct_size_t(struct xpmem_wire_grant, runs,
						  s->count),
				    GFP_KERNEL | __GFP_NOFAIL);
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	int err;

	body->req = cpu_to_le64(s->req);
	body->segid = cpu_to_le64(s->seg->segid);
	err = serve_fetch(s, message);
	if (err)
		refuse(s, message, err);
	xpmem_segment_put(s->seg);
	xpmem_session_put(s->session);
	kfree(s);
}

static void refuse_unknown(struct xpmem_session *session,
			   const struct xpmem_wire_fetch *msg, u32 status)
{
	struct xpmem_message *message =
		xpmem_message_alloc(XPMEM_WIRE_GRANT,
				    sizeof(struct xpmem_wire_grant),
				    GFP_NOWAIT | __GFP_NOWARN);
	struct xpmem_wire_grant *body;

	if (!message) {
		xpmem_session_fail(session, "out of memory");
		return;
	}
	body = xpmem_message_payload(message);
	body->req = msg->req;
	body->segid = msg->segid;
	body->status = cpu_to_le32(status);
	if (status == XPMEM_WIRE_BUSY)
		body->retry_ms = cpu_to_le32(BUSY_MS);
	xpmem_socket_send(session, message);
}

/**
 * xpmem_export_fetch - an importer asks for pages
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Only queues the service: that may fault, and the receiver must not.
 *
 * Context: the session's receiver.
 */
void xpmem_export_fetch(struct xpmem_session *session,
			const struct xpmem_wire_fetch *msg)
{
	struct xpmem_segment *seg = xpmem_segment_get(le64_to_cpu(msg->segid));
	unsigned long start = le64_to_cpu(msg->start);
	u32 count = le32_to_cpu(msg->count);
	struct serve *s;
	void *word;

	if (!seg) {
		refuse_unknown(session, msg, XPMEM_WIRE_NOENT);
		return;
	}
	spin_lock(&xpmem_home.lock);
	word = xa_load(&seg->remote, session->slot);
	spin_unlock(&xpmem_home.lock);
	if (!word || start + count > seg->pages) {
		refuse_unknown(session, msg,
			       word ? XPMEM_WIRE_FAULT : XPMEM_WIRE_ACCES);
		goto put;
	}
	s = kzalloc(sizeof(*s), GFP_NOWAIT | __GFP_NOWARN);
	if (!s) {
		refuse_unknown(session, msg, XPMEM_WIRE_BUSY);
		goto put;
	}
	INIT_WORK(&s->work, serve_work);
	kref_get(&session->ref);
	s->session = session;
	s->seg = seg;
	s->remote = xa_to_value(word);
	s->req = le64_to_cpu(msg->req);
	s->start = start;
	s->count = count;
	s->target = le64_to_cpu(msg->target) - start;
	s->write = le32_to_cpu(msg->access) & XPMEM_WIRE_WRITE;
	queue_work(serve_wq, &s->work);
	return;
put:
	xpmem_segment_put(seg);
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
					 sizeof(struct xpmem_export), 0, 0,
					 NULL);
	if (!export_cache)
		return -ENOMEM;
	/* Faults for other partitions: may wait for I/O, never waited for. */
	serve_wq = alloc_workqueue("xpmem_serve", WQ_UNBOUND, 0);
	if (!serve_wq) {
		kmem_cache_destroy(export_cache);
		return -ENOMEM;
	}
	return 0;
}

void xpmem_export_exit(void)
{
	destroy_workqueue(serve_wq);
	kmem_cache_destroy(export_cache);
	xa_destroy(&xpmem_home.exports);
}
