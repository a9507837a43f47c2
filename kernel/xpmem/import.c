// SPDX-License-Identifier: GPL-2.0-only
/*
 * touch, on another partition: map frames that the home granted.
 *
 * Before: attach.c.  Next: fetch.c, and at the home export.c.  Invariant: a
 * page is mapped only while ->frames holds it, and that is decided by grants
 * and revokes in the order in which the home sent them.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

static struct xpmem_import *import_alloc(struct xpmem_session *session,
					 u64 segid, unsigned long pages)
{
	struct xpmem_import *imp = kzalloc(sizeof(*imp), GFP_KERNEL_ACCOUNT);

	if (!imp)
		return ERR_PTR(-ENOMEM);
	imp->inode = xpmem_inode_create(segid);
	if (IS_ERR(imp->inode)) {
		void *err = imp->inode;

		kfree(imp);
		return err;
	}
	kref_init(&imp->ref);
	init_rwsem(&imp->lock);
	xa_init(&imp->frames);
	spin_lock_init(&imp->fetch_lock);
	INIT_LIST_HEAD(&imp->fetches);
	xpmem_users_init(&imp->users);
	imp->segid = segid;
	imp->pages = pages;
	kref_get(&session->ref);
	imp->session = session;
	xpmem_count(imports);
	return imp;
}

static void import_free(struct xpmem_import *imp)
{
	xa_destroy(&imp->frames);
	iput(imp->inode);
	xpmem_session_put(imp->session);
	kfree(imp);
	xpmem_uncount(imports);
}

/**
 * xpmem_import_find - the image of a segment, if there is one
 * @session: to its home
 * @segid:   its name
 *
 * Context: any that may take a spinlock; part of the revoke path.
 * Return: the image with a reference, or NULL.
 */
struct xpmem_import *xpmem_import_find(struct xpmem_session *session, u64 segid)
{
	struct xpmem_import *imp;

	xa_lock(&session->imports);
	imp = xa_load(&session->imports, segid);
	if (imp && !kref_get_unless_zero(&imp->ref))
		imp = NULL;
	xa_unlock(&session->imports);
	return imp;
}

static void import_unused(struct kref *ref)
{
	struct xpmem_import *imp = container_of(ref, struct xpmem_import, ref);

	/* A newer image of the same segment may have taken the place. */
	xa_cmpxchg(&imp->session->imports, imp->segid, imp, NULL, 0);
	import_free(imp);
}

/**
 * xpmem_import_put - give a reference back
 * @imp: the image
 *
 * Context: process; may sleep.
 */
void xpmem_import_put(struct xpmem_import *imp)
{
	kref_put(&imp->ref, import_unused);
}

/* Does the session take images?  Its end looks at all that came before. */
static bool session_open(const struct xpmem_session *session)
{
	return READ_ONCE(session->phase) == XPMEM_PEER_UP &&
	       !READ_ONCE(session->closing);
}

/*
 * One image of a segment for all: revokes find only one.  A dying one may be in
 * its place; whoever frees that leaves a newer one alone.
 *
 * Nothing is held while memory is allocated: the session's end must not wait
 * for reclaim, because reclaim may be waiting for that.
 */
static struct xpmem_import *import_make(struct xpmem_session *session,
					u64 segid, unsigned long pages)
{
	struct xpmem_import *imp = import_alloc(session, segid, pages);
	struct xpmem_import *old;

	if (IS_ERR(imp))
		return imp;
	xa_lock(&session->imports);
	old = xa_load(&session->imports, segid);
	if (old && kref_get_unless_zero(&old->ref)) {
		xa_unlock(&session->imports);
		import_free(imp);
		return old;
	}
	old = __xa_cmpxchg(&session->imports, segid, old, imp, GFP_KERNEL);
	xa_unlock(&session->imports);
	if (xa_is_err(old)) {
		import_free(imp);
		return ERR_PTR(xa_err(old));
	}
	if (xa_load(&session->imports, segid) != imp) {
		import_free(imp);
		return ERR_PTR(-EAGAIN);
	}
	/* Pairs with lose_all(): it saw the image, or this sees the end. */
	if (session_open(session))
		return imp;
	xpmem_import_put(imp);
	return ERR_PTR(-EHOSTUNREACH);
}

static struct xpmem_import *import_find(struct xpmem_session *session,
					u64 segid, unsigned long pages)
{
	struct xpmem_import *imp;

	do {
		imp = xpmem_import_find(session, segid);
		if (!imp)
			imp = import_make(session, segid, pages);
	} while (imp == ERR_PTR(-EAGAIN));
	return imp;
}

/**
 * xpmem_import_open - ask another partition for a permit
 * @segid: a segment whose partition is not this one
 * @write: read-write, not just read
 *
 * Context: process; waits, killable, until the home answers or its session
 * ends.
 * Return: the image with a reference; ERR_PTR of -EHOSTUNREACH without a
 * session, -ENOENT, -EACCES, -EAGAIN, -ENOMEM, -EINTR.
 */
struct xpmem_import *xpmem_import_open(u64 segid, bool write)
{
	struct xpmem_session *session =
		xpmem_session_get_up(segid >> XPMEM_SEGID_SHIFT);
	struct xpmem_import *imp;
	u64 pages;
	int err;

	if (!session)
		return ERR_PTR(-EHOSTUNREACH);
	err = xpmem_session_ask(session, segid, write, &pages);
	if (err)
		imp = ERR_PTR(err);
	else
		imp = import_find(session, segid, pages);
	xpmem_session_put(session);
	return imp;
}

/**
 * xpmem_import_ask - ask the home again for a permit that there is
 * @imp:   the image, held by the caller
 * @write: read-write, not just read
 *
 * Context: process; waits, killable.
 * Return: 0, -EACCES, -ENOENT, -EAGAIN, -ENOMEM, -EINTR; -ESTALE if the session
 * is over.
 */
int xpmem_import_ask(struct xpmem_import *imp, bool write)
{
	u64 pages;
	int err;

	if (xpmem_import_stale(imp))
		return -ESTALE;
	err = xpmem_session_ask(imp->session, imp->segid, write, &pages);
	return err == -EHOSTUNREACH ? -ESTALE : err;
}

/* Forget frames and answers; the caller zaps after it released the lock. */
static void import_drop_locked(struct xpmem_import *imp, int error)
{
	unsigned long index;
	void *entry;

	lockdep_assert_held_write(&imp->lock);
	xpmem_fetch_cancel_all(imp, error);
	xa_for_each(&imp->frames, index, entry)
		xa_erase(&imp->frames, index);
}

/**
 * xpmem_import_idle - the last attachment is gone
 * @imp: the image, held by the caller
 *
 * Lets go of every frame and tells the home.  A new attachment's fetches come
 * after that message, because both are queued under the image's lock.
 *
 * Context: process; may sleep; not on the revoke path.
 */
void xpmem_import_idle(struct xpmem_import *imp)
{
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_PUT, sizeof(struct xpmem_wire_put),
		GFP_NOIO | __GFP_NOFAIL);
	struct xpmem_wire_put *put = xpmem_message_payload(message);

	put->segid = cpu_to_le64(imp->segid);
	down_write(&imp->lock);
	if (atomic_read(&imp->nr_attachments)) {
		up_write(&imp->lock);
		kvfree(message);
		return;
	}
	import_drop_locked(imp, -ECANCELED);
	xpmem_socket_send(imp->session, message);
	up_write(&imp->lock);
}

/**
 * xpmem_import_lose_all - nothing of that home is reachable any more
 * @session: the session; it has ended, or its lease has: it takes no new images
 *
 * Context: process; may sleep, takes the locks of a revoke and waits for no
 * memory.
 */
void xpmem_import_lose_all(struct xpmem_session *session)
{
	struct xpmem_import *imp;
	unsigned long segid = 0;

	for (;; segid++) {
		xa_lock(&session->imports);
		imp = xa_find(&session->imports, &segid, ULONG_MAX, XA_PRESENT);
		if (imp && !kref_get_unless_zero(&imp->ref)) {
			xa_unlock(&session->imports);
			continue;
		}
		xa_unlock(&session->imports);
		if (!imp)
			return;
		down_write(&imp->lock);
		WRITE_ONCE(imp->lost, true);
		import_drop_locked(imp, -EHOSTUNREACH);
		up_write(&imp->lock);
		xpmem_zap(imp->inode->i_mapping, 0, 0);
		xpmem_import_put(imp);
	}
}

/* What a lost home means to whoever touches its memory: told now and then. */
static void tell_lost(const struct xpmem_import *imp, unsigned long addr)
{
	pr_warn_ratelimited(
		"xpmem: %s[%d]: SIGBUS at %#lx: its home, partition %u, is lost: %s\n",
		current->comm, task_pid_nr(current), addr, imp->session->partid,
		READ_ONCE(imp->session->reason) ?: "");
}

/**
 * xpmem_import_stale - is the session over that an image belongs to?
 * @imp: the image, held by the caller
 *
 * Its permits are of no use any more: a new get makes a new image.
 */
bool xpmem_import_stale(const struct xpmem_import *imp)
{
	return READ_ONCE(imp->lost) || READ_ONCE(imp->session->failing);
}

/* A page's phase follows from what is remembered of it. */
static u8 frame_phase(struct xpmem_import *imp, unsigned long index)
{
	return xa_load(&imp->frames, index) ? XPMEM_FRAME_HELD :
					      XPMEM_FRAME_NONE;
}

/**
 * xpmem_import_revoke - the home wants pages back: unmap them everywhere
 * @session: the session
 * @run:     which, checked by xpmem_wire_check_payload()
 * @young:   told which of them were used
 *
 * When this returns, nobody on this partition can reach them.
 *
 * Context: the session's receiver; takes no mmap_lock, waits for no fault,
 * allocates nothing.
 * Return: true if anything was held.
 */
bool xpmem_import_revoke(struct xpmem_session *session,
			 const struct xpmem_wire_revoke_run *run,
			 struct xpmem_young *young)
{
	unsigned long first = le64_to_cpu(run->index), index = first;
	unsigned long last = first + le32_to_cpu(run->count) - 1;
	struct xpmem_import *imp =
		xpmem_import_find(session, le64_to_cpu(run->segid));
	unsigned int actions = 0;
	bool lost;
	void *entry;

	xpmem_young_find(young, imp, run);
	if (!imp)
		return false;
	down_write(&imp->lock);
	xa_for_each_range(&imp->frames, index, entry, first, last) {
		u8 phase = frame_phase(imp, index);

		actions |= xpmem_frame_event(&phase, XPMEM_FRAME_EV_REVOKE);
		xa_erase(&imp->frames, index);
	}
	/* xpmem_import_lose_all() forgot all of it, and may not be done unmapping. */
	lost = imp->lost;
	up_write(&imp->lock);
	if ((actions & XPMEM_FRAME_ZAP) || lost)
		xpmem_zap(imp->inode->i_mapping, (loff_t)first << PAGE_SHIFT,
			  (loff_t)(last - first + 1) << PAGE_SHIFT);
	xpmem_import_put(imp);
	return actions & XPMEM_FRAME_ZAP;
}

/* Copy what is held around the touched page; the lock keeps it held. */
static bool frames_found(struct xpmem_import *imp, struct xpmem_span *span,
			 bool write)
{
	unsigned long last = span->index + span->count - 1, index;
	void *entry;

	memset(span->pages, 0, span->count * sizeof(*span->pages));
	xa_for_each_range(&imp->frames, index, entry, span->index, last)
		span->pages[index - span->index] = xa_to_value(entry);
	return (span->pages[span->target] & XPMEM_PAGE_VALID) &&
	       (!write || (span->pages[span->target] & XPMEM_PAGE_WRITE));
}

static int fault_held(struct vm_fault *vmf, struct xpmem_attachment *att,
		      struct xpmem_span *span, bool write)
{
	struct xpmem_import *imp = att->permit->import;
	int err = xpmem_span_populate(span, vmf, att);

	if (err)
		return err;
	down_read(&imp->lock);
	if (imp->lost)
		err = -EHOSTUNREACH;
	else if (att->permit->dead)
		err = -ENOENT;
	else if (frames_found(imp, span, write))
		xpmem_span_map(span, vmf);
	else
		err = -EAGAIN;
	up_read(&imp->lock);
	return err;
}

static vm_fault_t fault_fetch(struct vm_fault *vmf, struct xpmem_import *imp,
			      struct xpmem_attachment *att,
			      const struct xpmem_span *span, bool write)
{
	unsigned long addr = vmf->address;
	vm_fault_t ret = xpmem_fault_unlock(vmf, att);
	int err;

	/* The attachment holds the permit, and that the image. */
	if (ret)
		return ret;
	err = xpmem_fetch_wait(imp, span->index, span->count,
			       span->index + span->target, write,
			       MAX_SCHEDULE_TIMEOUT);
	if (err == -EHOSTUNREACH)
		tell_lost(imp, addr);
	return xpmem_fault_retry(att, addr, err);
}

/**
 * xpmem_fault_remote - a touched page of a segment of another partition
 * @vmf:   the fault
 * @att:   the attachment, held by the VMA
 * @write: the page must become writable
 *
 * Context: a page fault, under the per-VMA lock or the mmap_lock, which it
 * drops before it waits for the home.
 * Return: as of ->fault().
 */
vm_fault_t xpmem_fault_remote(struct vm_fault *vmf,
			      struct xpmem_attachment *att, bool write)
{
	struct xpmem_import *imp = att->permit->import;
	struct xpmem_span span;
	int err;

	xpmem_count(faults_remote);
	xpmem_span_around(&span, vmf);
	span.pages = kmalloc_array(span.count, sizeof(*span.pages), GFP_KERNEL);
	if (!span.pages)
		return VM_FAULT_OOM;
	err = fault_held(vmf, att, &span, write);
	kfree(span.pages);
	if (!err)
		return VM_FAULT_NOPAGE;
	if (err == -EHOSTUNREACH)
		tell_lost(imp, vmf->address);
	if (err != -EAGAIN)
		return xpmem_fault_error(err);
	return fault_fetch(vmf, imp, att, &span, write);
}
