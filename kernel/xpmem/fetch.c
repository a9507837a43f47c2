// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer asks the home for pages, and takes what is granted.
 *
 * Before: import.c.  Next: export.c at the home.  Invariant: a grant is taken
 * only in answer to a fetch that is still open; whatever else arrives belongs
 * to an image that has let go already.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

/* After a shortage of memory at the home it is asked again so much later. */
#define NOMEM_MS 50

static void fetch_free(struct kref *ref)
{
	kfree(container_of(ref, struct xpmem_fetch, ref));
}

static void fetch_put(struct xpmem_fetch *fetch)
{
	kref_put(&fetch->ref, fetch_free);
}

/* One fetch serves everybody who wants the same page with no more access. */
static struct xpmem_fetch *fetch_join(struct xpmem_import *imp,
				      unsigned long target, bool write)
{
	struct xpmem_fetch *fetch;

	spin_lock(&imp->fetch_lock);
	list_for_each_entry(fetch, &imp->fetches, node)
		if (fetch->target == target && fetch->write >= write) {
			kref_get(&fetch->ref);
			spin_unlock(&imp->fetch_lock);
			return fetch;
		}
	spin_unlock(&imp->fetch_lock);
	return NULL;
}

static void fetch_close_locked(struct xpmem_fetch *fetch, int error)
{
	fetch->error = error;
	list_del_init(&fetch->node);
	complete_all(&fetch->done);
	fetch_put(fetch);
}

static struct xpmem_message *fetch_message(const struct xpmem_import *imp,
					   const struct xpmem_fetch *fetch)
{
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_FETCH, sizeof(struct xpmem_wire_fetch), GFP_KERNEL);
	struct xpmem_wire_fetch *body;

	if (!message)
		return NULL;
	body = xpmem_message_payload(message);
	body->req = cpu_to_le64(fetch->req);
	body->segid = cpu_to_le64(imp->segid);
	body->start = cpu_to_le64(fetch->start);
	body->target = cpu_to_le64(fetch->target);
	body->count = cpu_to_le32(fetch->count);
	body->access = cpu_to_le32(XPMEM_WIRE_READ |
				   (fetch->write ? XPMEM_WIRE_WRITE : 0));
	return message;
}

static atomic64_t next_req;

static struct xpmem_fetch *fetch_open(struct xpmem_import *imp,
				      unsigned long start, unsigned int count,
				      unsigned long target, bool write)
{
	struct xpmem_fetch *fetch = kzalloc(sizeof(*fetch), GFP_KERNEL);
	struct xpmem_message *message;
	bool lost;

	if (!fetch)
		return ERR_PTR(-ENOMEM);
	kref_init(&fetch->ref);
	init_completion(&fetch->done);
	fetch->req = atomic64_inc_return(&next_req);
	fetch->start = start;
	fetch->count = count;
	fetch->target = target;
	fetch->write = write;
	message = fetch_message(imp, fetch);
	if (!message) {
		kfree(fetch);
		return ERR_PTR(-ENOMEM);
	}
	/* In order with the message by which the image lets go of everything. */
	down_read(&imp->lock);
	lost = imp->lost;
	if (!lost) {
		kref_get(&fetch->ref);
		spin_lock(&imp->fetch_lock);
		list_add_tail(&fetch->node, &imp->fetches);
		spin_unlock(&imp->fetch_lock);
		xpmem_socket_send(imp->session, message);
		xpmem_count(fetches);
	}
	up_read(&imp->lock);
	if (!lost)
		return fetch;
	kvfree(message);
	fetch_put(fetch);
	return ERR_PTR(-EHOSTUNREACH);
}

/**
 * xpmem_fetch_wait - ask the home for pages and wait for its answer
 * @imp:    the image, held by the caller
 * @start:  first page wanted
 * @count:  pages wanted, at most XPMEM_WIRE_PAGES
 * @target: the one that was touched
 * @write:  it must be writable
 * @timeout: jiffies, or MAX_SCHEDULE_TIMEOUT
 *
 * Ends when the home answers, its session ends, or the caller is killed.
 *
 * Context: process, no locks held that a revoke needs.
 * Return: 0: touch again; -EFAULT the exporter has nothing there; -ENOENT the
 * segment is gone; -EHOSTUNREACH its partition is; -EINTR, -ENOMEM,
 * -ETIMEDOUT, -ECANCELED the attachment is gone.
 */
int xpmem_fetch_wait(struct xpmem_import *imp, unsigned long start,
		     unsigned int count, unsigned long target, bool write,
		     unsigned long timeout)
{
	struct xpmem_fetch *fetch = fetch_join(imp, target, write);
	unsigned int retry_ms;
	long left;
	int err;

	if (!fetch)
		fetch = fetch_open(imp, start, count, target, write);
	if (IS_ERR(fetch))
		return PTR_ERR(fetch);
	left = wait_for_completion_killable_timeout(&fetch->done, timeout);
	if (left <= 0) {
		fetch_put(fetch);
		return left ? -EINTR : -ETIMEDOUT;
	}
	err = fetch->error;
	retry_ms = fetch->retry_ms;
	trace_xpmem_fetch(imp->segid, start, count, write, err);
	fetch_put(fetch);
	if (err != -EBUSY)
		return err;
	schedule_timeout_killable(msecs_to_jiffies(retry_ms) + 1);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * xpmem_fetch_cancel_all - nobody will answer any more
 * @imp:   the image, its lock held for writing
 * @error: what waiters are told
 */
void xpmem_fetch_cancel_all(struct xpmem_import *imp, int error)
{
	struct xpmem_fetch *fetch, *next;

	lockdep_assert_held_write(&imp->lock);
	spin_lock(&imp->fetch_lock);
	list_for_each_entry_safe(fetch, next, &imp->fetches, node)
		fetch_close_locked(fetch, error);
	spin_unlock(&imp->fetch_lock);
}

static struct xpmem_fetch *fetch_find(struct xpmem_import *imp, u64 req)
{
	struct xpmem_fetch *fetch;

	spin_lock(&imp->fetch_lock);
	list_for_each_entry(fetch, &imp->fetches, node)
		if (fetch->req == req) {
			spin_unlock(&imp->fetch_lock);
			return fetch;
		}
	spin_unlock(&imp->fetch_lock);
	return NULL;
}

static int status_error(u32 status)
{
	switch ((enum xpmem_wire_status)status) {
	case XPMEM_WIRE_OK:
		return 0;
	case XPMEM_WIRE_NOENT:
		return -ENOENT;
	case XPMEM_WIRE_ACCES:
		return -EACCES;
	case XPMEM_WIRE_FAULT:
		return -EFAULT;
	case XPMEM_WIRE_NOTSUP:
		return -EOPNOTSUPP;
	case XPMEM_WIRE_BUSY:
	case XPMEM_WIRE_NOMEM: /* the home's shortage is not ours: ask again */
		return -EBUSY;
	}
	return -EPROTO;
}

/*
 * Frames that cannot be stored, for want of memory, are simply not held: the
 * home believes they are, and hears otherwise when it revokes them.
 */
static const char *store_run(struct xpmem_import *imp,
			     const struct xpmem_fetch *fetch,
			     const struct xpmem_wire_grant_run *run)
{
	const struct xpmem_window *window = &imp->session->window;
	unsigned long index = le64_to_cpu(run->index);
	unsigned long frame = le64_to_cpu(run->frame);
	unsigned int i, count = le32_to_cpu(run->count);
	bool write = le32_to_cpu(run->access) & XPMEM_WIRE_WRITE;

	if (index < fetch->start || index + count > fetch->start + fetch->count)
		return "grant of pages that nobody asked for";
	/* Memory of the home that its window does not show: cannot be used. */
	if (frame + count > window->frames)
		return NULL;
	for (i = 0; i < count; i++) {
		unsigned long pfn = window->pfn + frame + i;
		u8 phase = XPMEM_FRAME_WANTED;

		if (xpmem_frame_event(&phase, XPMEM_FRAME_EV_GRANT) &
		    XPMEM_FRAME_STORE)
			xa_store(&imp->frames, index + i,
				 xa_mk_value(pfn << XPMEM_PAGE_SHIFT |
					     XPMEM_PAGE_VALID |
					     (write ? XPMEM_PAGE_WRITE : 0)),
				 GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);
	}
	return NULL;
}

/* Was the touched page granted with a frame that the window does not show? */
static bool out_of_reach(const struct xpmem_import *imp,
			 const struct xpmem_fetch *fetch,
			 const struct xpmem_wire_grant *msg)
{
	u32 i, nruns = le32_to_cpu(msg->nruns);

	for (i = 0; i < nruns; i++) {
		unsigned long index = le64_to_cpu(msg->runs[i].index);
		u32 count = le32_to_cpu(msg->runs[i].count);

		if (fetch->target >= index && fetch->target < index + count)
			return le64_to_cpu(msg->runs[i].frame) + count >
			       imp->session->window.frames;
	}
	return false;
}

/**
 * xpmem_fetch_grant - the home answered
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Context: the session's receiver.
 * Return: NULL, or what is wrong with the message.
 */
const char *xpmem_fetch_grant(struct xpmem_session *session,
			      const struct xpmem_wire_grant *msg)
{
	struct xpmem_import *imp =
		xpmem_import_find(session, le64_to_cpu(msg->segid));
	u32 i, nruns = le32_to_cpu(msg->nruns);
	struct xpmem_fetch *fetch;
	const char *wrong = NULL;

	if (!imp)
		return NULL;
	down_write(&imp->lock);
	fetch = fetch_find(imp, le64_to_cpu(msg->req));
	if (fetch) {
		int error = status_error(le32_to_cpu(msg->status));

		for (i = 0; i < nruns && !wrong; i++)
			wrong = store_run(imp, fetch, &msg->runs[i]);
		if (!error && out_of_reach(imp, fetch, msg))
			error = -EOPNOTSUPP;
		fetch->retry_ms = min(le32_to_cpu(msg->retry_ms), 1000u);
		if (le32_to_cpu(msg->status) == XPMEM_WIRE_NOMEM)
			fetch->retry_ms = NOMEM_MS;
		spin_lock(&imp->fetch_lock);
		fetch_close_locked(fetch, error);
		spin_unlock(&imp->fetch_lock);
	}
	up_write(&imp->lock);
	xpmem_import_put(imp);
	return wrong;
}
