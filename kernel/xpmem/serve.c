// SPDX-License-Identifier: GPL-2.0-only
/*
 * fetch, at the home: find the exporter's pages, faulting them in as the
 * exporter's own touch would.
 *
 * Before: fetch.c at the importer.  Next: export.c.  Invariant: runs in a work
 * of its own, because it may wait for I/O; no acknowledgement waits for it.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

/* Give up on a page that keeps changing; the importer asks again. */
#define SERVE_ATTEMPTS 16
#define FAULT_ATTEMPTS 8
#define BUSY_MS 2
/* Fetches served at a time for one importer; more are told to come again. */
#define SERVE_MAX 64

static struct workqueue_struct *serve_wq;

/*
 * Is the touched page one that can be granted?  -EOPNOTSUPP: not as it is.
 */
static int target_check(struct xpmem_serve *s, unsigned long seq)
{
	unsigned long page = s->pages[s->target];
	unsigned long pfn = page >> XPMEM_PAGE_SHIFT;
	int err = -EAGAIN;

	if (is_zero_pfn(pfn))
		return -EOPNOTSUPP;
	down_read(&s->seg->lock);
	if (!mmu_interval_read_retry(&s->seg->notifier, seq))
		err = xpmem_export_exportable(s->seg, pfn_folio(pfn)) ?
			      0 :
			      -EOPNOTSUPP;
	up_read(&s->seg->lock);
	return err;
}

/* The exporter's lock is held again afterwards, whatever it had to wait for. */
static int fault_in(struct mm_struct *mm, unsigned long addr,
		    unsigned int flags)
{
	int attempt, err;

	for (attempt = 0; attempt < FAULT_ATTEMPTS; attempt++) {
		err = xpmem_lookup_fault_in(mm, addr, flags);
		if (err != XPMEM_LOOKUP_UNLOCKED)
			return err;
		mmap_read_lock(mm);
		flags |= FAULT_FLAG_TRIED;
	}
	return -EAGAIN;
}

/*
 * The zero page, a merged page and a private file's page become the exporter's
 * own by a write, or by an unsharing read.
 */
static int make_own(struct mm_struct *mm, unsigned long addr, bool write)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma)
		return -EFAULT;
	if (write || (vma->vm_flags & VM_WRITE))
		return fault_in(mm, addr, FAULT_FLAG_WRITE);
	return fault_in(mm, addr,
			vma->vm_flags & VM_SHARED ? 0 : FAULT_FLAG_UNSHARE);
}

/* Best effort: what does not come back now does when it is touched. */
static void swap_in_around(struct xpmem_serve *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (xpmem_export_around(s, i) &&
		    (s->pages[i] & XPMEM_PAGE_SWAPPED) &&
		    !(s->pages[i] & XPMEM_PAGE_VALID))
			fault_in(s->seg->mm,
				 s->seg->start + ((s->start + i) << PAGE_SHIFT),
				 s->write ? FAULT_FLAG_WRITE : 0);
}

/* Look the pages up under @seq; -EAGAIN: something was mended, look again. */
static int find_pages(struct xpmem_serve *s, unsigned long seq)
{
	struct xpmem_segment *seg = s->seg;
	const struct xpmem_span span = {
		.index = s->start,
		.count = s->count,
		.target = s->target,
		.pages = s->pages,
	};
	unsigned long want =
		seg->start + ((s->start + s->target) << PAGE_SHIFT);
	int err = xpmem_lookup(seg, &span, XPMEM_SERVE_AROUND, s->write);

	if (!err)
		err = target_check(s, seq);
	if (!err)
		return 0;
	if (err == -EOPNOTSUPP && !s->made_own &&
	    (s->pages[s->target] & XPMEM_PAGE_VALID))
		s->made_own = true;
	else if (err != -EAGAIN)
		return err;
	err = make_own(seg->mm, want, s->write);
	if (err)
		return err;
	swap_in_around(s);
	return -EAGAIN;
}

static int serve_once(struct xpmem_serve *s, struct xpmem_message *message)
{
	struct xpmem_segment *seg = s->seg;
	unsigned long seq = mmu_interval_read_begin(&seg->notifier);
	int err;

	mmap_read_lock(seg->mm);
	err = find_pages(s, seq);
	if (err)
		goto unlock;
	down_read(&seg->lock);
	if (xpmem_segment_over(seg)) {
		err = -ENOENT;
	} else if (mmu_interval_read_retry(&seg->notifier, seq)) {
		err = -EAGAIN;
	} else {
		spin_lock(&xpmem_home.lock);
		err = xpmem_export_grant_locked(s, message);
		spin_unlock(&xpmem_home.lock);
	}
	up_read(&seg->lock);
unlock:
	mmap_read_unlock(seg->mm);
	return err;
}

/* On the account of the exporter's memory group, whoever works here. */
static unsigned int entries_alloc(struct xpmem_serve *s)
{
	struct mem_cgroup *group = get_mem_cgroup_from_mm(s->seg->mm);
	struct mem_cgroup *old = set_active_memcg(group);
	unsigned int n = xpmem_export_alloc_bulk(s->spare, s->count);

	set_active_memcg(old);
	mem_cgroup_put(group);
	return n;
}

static int serve(struct xpmem_serve *s, struct xpmem_message *message)
{
	int attempt, err;

	if (s->write && !(s->remote & XPMEM_REMOTE_WRITE))
		return -EACCES;
	err = xpmem_user_number(s->seg->user);
	if (err)
		return err;
	s->pages =
		kmalloc_array(s->count, sizeof(*s->pages),
			      GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (!s->pages)
		return -ENOMEM;
	s->nr_spare = entries_alloc(s);
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
	xpmem_export_free_bulk(s->spare, s->nr_spare);
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
	case -EDQUOT:
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

static void refuse(struct xpmem_serve *s, struct xpmem_message *message,
		   int err)
{
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	enum xpmem_wire_status status = error_status(err);

	xpmem_message_trim(message, sizeof(*body));
	body->nruns = 0;
	body->status = cpu_to_le32(status);
	if (status == XPMEM_WIRE_BUSY)
		body->retry_ms = cpu_to_le32(s->defer_ms ?: BUSY_MS);
	trace_xpmem_grant(s->session->partid, s->seg->segid,
			  s->start + s->target, 0, status);
	xpmem_socket_send(s->session, message);
}

/*
 * An importer that waits is no error of its own: this is where it shows why.  It
 * asks 20 times a second, so a segment is named once a minute; and segments may be
 * many, so those that a full log leaves out are named later.
 */
static void tell_no_memory(struct xpmem_segment *seg)
{
	/* How many it leaves out, the counter says better. */
	static struct ratelimit_state lines = RATELIMIT_STATE_INIT_FLAGS(
		lines, 5 * HZ, 10, RATELIMIT_MSG_ON_RELEASE);
	unsigned long next = READ_ONCE(seg->next_told);

	xpmem_count(refused_memory);
	if (next && time_before(jiffies, next))
		return;
	if (!__ratelimit(&lines) ||
	    cmpxchg(&seg->next_told, next, (jiffies + 60 * HZ) | 1) != next)
		return;
	pr_warn("xpmem: pid %d: no memory to export its pages; who touches them on other partitions waits: raise memory.max of its group, or free memory here\n",
		seg->pid);
}

static void serve_work(struct work_struct *work)
{
	struct xpmem_serve *s = container_of(work, struct xpmem_serve, work);
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_GRANT,
		struct_size_t(struct xpmem_wire_grant, runs, s->count),
		GFP_KERNEL | __GFP_NOFAIL);
	struct xpmem_wire_grant *body = xpmem_message_payload(message);
	int err;

	body->req = cpu_to_le64(s->req);
	body->segid = cpu_to_le64(s->seg->segid);
	err = serve(s, message);
	if (err == -EDQUOT)
		xpmem_user_tell(s->seg->user);
	else if (err == -ENOMEM)
		tell_no_memory(s->seg);
	if (err)
		refuse(s, message, err);
	xpmem_segment_put(s->seg);
	atomic_dec(&s->session->serving);
	xpmem_session_put(s->session);
	kfree(s);
}

static void refuse_unknown(struct xpmem_session *session,
			   const struct xpmem_wire_fetch *msg, u32 status)
{
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_GRANT, sizeof(struct xpmem_wire_grant),
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
 * xpmem_serve_fetch - an importer asks for pages
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Only queues the service: that may fault, and the receiver must not.
 *
 * Context: the session's receiver.
 */
void xpmem_serve_fetch(struct xpmem_session *session,
		       const struct xpmem_wire_fetch *msg)
{
	struct xpmem_segment *seg = xpmem_segment_get(le64_to_cpu(msg->segid));
	unsigned long start = le64_to_cpu(msg->start);
	u32 count = le32_to_cpu(msg->count);
	struct xpmem_serve *s = NULL;
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
	/* The reserves that the receiver may use are for revokes. */
	if (atomic_inc_return(&session->serving) <= SERVE_MAX)
		s = kzalloc(sizeof(*s),
			    GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);
	if (!s) {
		atomic_dec(&session->serving);
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

int xpmem_serve_init(void)
{
	serve_wq = alloc_workqueue("xpmem_serve", WQ_UNBOUND, 0);
	return serve_wq ? 0 : -ENOMEM;
}

void xpmem_serve_exit(void)
{
	destroy_workqueue(serve_wq);
}
