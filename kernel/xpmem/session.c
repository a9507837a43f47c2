// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: from the socket that the daemon hands in to their end.  The step
 * after is fence.c, which ends the quarantine of a lost one.
 *
 * Invariant: a slot goes to a new session only when no export entry and no
 * segment remembers the old one; a lost session's pages are kept until the
 * administrator says that the partition is fenced.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/netlink.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <uapi/linux/xpmem_netlink.h>

#include "trace.h"
#include "xpmem.h"

struct workqueue_struct *xpmem_session_wq;
/* Ends sessions: waits for the queue above, so it is another one. */
static struct workqueue_struct *down_wq;
/* Closes sessions in good order: waits for importers, and then for that one. */
static struct workqueue_struct *close_wq;

/* Serialises making sessions. */
static DEFINE_MUTEX(admin_lock);

/* The module is being unloaded: the control interface is gone already. */
static bool exiting;

static void session_free(struct kref *ref)
{
	struct xpmem_session *session =
		container_of(ref, struct xpmem_session, ref);

	xpmem_window_close(&session->window);
	if (session->tx_wq)
		destroy_workqueue(session->tx_wq);
	xa_destroy(&session->imports);
	xa_destroy(&session->requests);
	kvfree(session->revokes);
	kvfree(session->rx_buf);
	kfree(session);
}

/**
 * xpmem_session_put - give a reference back
 * @session: the session
 *
 * Context: process; may sleep.
 */
void xpmem_session_put(struct xpmem_session *session)
{
	kref_put(&session->ref, session_free);
}

static struct xpmem_session *session_get(u16 partid, bool lapsed)
{
	struct xpmem_session *session, *found = NULL;
	unsigned int slot;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS && !found; slot++) {
		session = xpmem_home.sessions[slot];
		if (session && session->partid == partid &&
		    session->phase == XPMEM_PEER_UP &&
		    (lapsed ? !!session->lapsed : !session->closing)) {
			kref_get(&session->ref);
			found = session;
		}
	}
	spin_unlock(&xpmem_home.lock);
	return found;
}

/**
 * xpmem_session_get_up - the session to a partition
 * @partid: the partition
 *
 * Return: the session with a reference, or NULL if none is up.
 */
struct xpmem_session *xpmem_session_get_up(u16 partid)
{
	return session_get(partid, false);
}

/**
 * xpmem_session_blame - note why a session ends, or will
 * @session: the session
 * @reason:  a constant string; the first one counts
 *
 * Context: any that may take a spinlock.
 */
void xpmem_session_blame(struct xpmem_session *session, const char *reason)
{
	spin_lock(&session->tx_lock);
	if (!session->reason)
		WRITE_ONCE(session->reason, reason);
	spin_unlock(&session->tx_lock);
}

/**
 * xpmem_session_fail - a session cannot go on
 * @session: the session
 * @reason:  why, a constant string; the first one counts
 *
 * Only starts the end: that waits for the threads that call this.
 *
 * Context: any that may take a spinlock.
 */
void xpmem_session_fail(struct xpmem_session *session, const char *reason)
{
	xpmem_session_blame(session, reason);
	spin_lock(&session->tx_lock);
	if (!session->failing) {
		session->failing = true;
		kref_get(&session->ref);
		/* Under the lock: session_lost() of another flushes it then. */
		queue_work(down_wq, &session->down_work);
	}
	spin_unlock(&session->tx_lock);
}

/**
 * xpmem_session_slot_free - nothing remembers a session any more
 * @session: the session; the table's reference goes
 *
 * Context: process; may sleep.
 */
void xpmem_session_slot_free(struct xpmem_session *session)
{
	spin_lock(&xpmem_home.lock);
	xpmem_home.lost &= ~(1ull << session->slot);
	xpmem_home.sessions[session->slot] = NULL;
	spin_unlock(&xpmem_home.lock);
	xpmem_session_put(session);
}

/* What the home waited for, until the loss: those waits count as well. */
static void waits_end(struct xpmem_session *session)
{
	u64 now = ktime_get_boottime_ns();
	unsigned int i;

	spin_lock(&xpmem_home.lock);
	for (i = session->revoke_tail; i != session->revoke_head; i++) {
		u64 since = session->revokes[i % XPMEM_REVOKES].since;
		u64 us = div_u64(now - since, NSEC_PER_USEC);

		xpmem_waits_add(&session->history->waits, us);
		xpmem_waits_add(&xpmem_waits, us);
	}
	spin_unlock(&xpmem_home.lock);
}

/*
 * What the other side held: released if it let go in good order, else kept.
 * Return: pages in quarantine.
 */
static u64 session_leave(struct xpmem_session *session, unsigned int actions)
{
	u64 pages = 0;

	if (actions & XPMEM_PEER_RELEASE)
		xpmem_reap_slot(session->slot, XPMEM_ENTRY_EV_PUT);
	else
		pages = xpmem_reap_slot(session->slot, XPMEM_ENTRY_EV_LOST);
	waits_end(session);
	xpmem_count_add(quarantine, pages);
	wake_up_all(&xpmem_home.wait);
	return pages;
}

/* A lost session keeps its slot until its partition is fenced. */
static void session_settle(struct xpmem_session *session, u64 pages)
{
	if (!pages) {
		spin_lock(&xpmem_home.lock);
		xpmem_peer_event(&session->phase, XPMEM_PEER_EV_FENCE);
		spin_unlock(&xpmem_home.lock);
		xpmem_session_slot_free(session);
		return;
	}
	pr_warn("xpmem: partition %u: %llu pages in quarantine until it is fenced: xpmemctl quarantine\n",
		session->partid, pages);
	spin_lock(&xpmem_home.lock);
	session->settled = true;
	spin_unlock(&xpmem_home.lock);
}

static void requests_fail(struct xpmem_session *session)
{
	struct xpmem_request *request;
	unsigned long index;

	xa_lock(&session->requests);
	xa_for_each(&session->requests, index, request) {
		__xa_erase(&session->requests, index);
		complete(&request->done);
	}
	xa_unlock(&session->requests);
}

/* Make dead, wait, free: the only way in which a session ends. */
static void session_down(struct work_struct *work)
{
	struct xpmem_session *session =
		container_of(work, struct xpmem_session, down_work);
	u16 partid = session->partid;
	u64 epoch = session->epoch;
	const char *reason = session->reason;
	unsigned int actions;
	u64 pages;

	cancel_delayed_work_sync(&session->beat_work);
	spin_lock(&xpmem_home.lock);
	actions = xpmem_peer_event(&session->phase, session->orderly ?
							    XPMEM_PEER_EV_BYE :
							    XPMEM_PEER_EV_LOSS);
	if (actions & XPMEM_PEER_KEEP)
		xpmem_home.lost |= 1ull << session->slot;
	session->lost = ktime_get_boottime_ns();
	spin_unlock(&xpmem_home.lock);
	xpmem_socket_stop(session);
	/* First, and without waiting for memory: reclaim may wait for this. */
	pages = session_leave(session, actions);
	cancel_delayed_work_sync(&session->lease_work);
	pr_info("xpmem: partition %u: session ended: %s\n", partid, reason);
	trace_xpmem_session(partid, epoch, session->phase, reason);
	xpmem_import_lose_all(session);
	requests_fail(session);
	xpmem_segment_forget(session->slot);
	xpmem_socket_release(session);
	session_settle(session, pages);
	if (!exiting)
		xpmem_netlink_session_event(partid, XPMEM_PEER_LOST, epoch,
					    reason, GFP_NOIO);
	xpmem_session_put(session);
}

/* Take back everything that an importer holds, while it can still answer. */
static bool revoke_all(struct xpmem_session *session)
{
	xpmem_revoke_slot(session->slot);
	return wait_event_timeout(
		       xpmem_home.wait,
		       READ_ONCE(session->failing) ||
			       !xpmem_reap_held(session->slot),
		       msecs_to_jiffies(READ_ONCE(session->deadline_ms))) &&
	       !READ_ONCE(session->failing);
}

/*
 * What is under way when the connection goes, BYE too, is lost if anything of the
 * other side's has not been read here.  So the other side is the first to hang up.
 */
static void say_bye(struct xpmem_session *session)
{
	struct xpmem_message *bye = xpmem_message_alloc(
		XPMEM_WIRE_BYE, 0, GFP_KERNEL | __GFP_NOFAIL);

	WRITE_ONCE(session->orderly, true);
	xpmem_socket_send(session, bye);
	wait_event_timeout(xpmem_home.wait, READ_ONCE(session->failing),
			   msecs_to_jiffies(READ_ONCE(session->deadline_ms)));
}

static void session_close(struct work_struct *work)
{
	struct xpmem_session *session =
		container_of(work, struct xpmem_session, close_work);

	if (revoke_all(session)) {
		xpmem_import_lose_all(session);
		say_bye(session);
	}
	xpmem_session_fail(session, "closed here");
	xpmem_session_put(session);
}

static int params_check(const struct xpmem_session_params *params,
			const struct xpmem_terms *terms,
			struct netlink_ext_ack *extack)
{
	if (!params->partid || params->partid > XPMEM_PARTID_MAX ||
	    params->partid == xpmem_partid) {
		NL_SET_ERR_MSG(extack, "not the id of another partition");
		return -EINVAL;
	}
	if (params->version != XPMEM_WIRE_VERSION) {
		NL_SET_ERR_MSG(extack, "unknown version of the wire format");
		return -EPROTONOSUPPORT;
	}
	if (params->page_size != PAGE_SIZE) {
		NL_SET_ERR_MSG(extack, "the partition's page size is not ours");
		return -EINVAL;
	}
	if (params->fabric != 1 || !params->epoch) {
		NL_SET_ERR_MSG(extack, "unknown fabric, or epoch 0");
		return -EINVAL;
	}
	if (params->policy.uid_min > params->policy.uid_max ||
	    params->policy.uid_max == U32_MAX) {
		NL_SET_ERR_MSG(extack, "no range of users");
		return -EINVAL;
	}
	if (xpmem_terms_check(terms)) {
		NL_SET_ERR_MSG(
			extack,
			"heartbeat below 10 ms, deadline above 600000 ms or below three heartbeats");
		return -EINVAL;
	}
	return 0;
}

static void session_fill(struct xpmem_session *session,
			 const struct xpmem_session_params *params,
			 const struct xpmem_terms *terms)
{
	kref_init(&session->ref);
	init_completion(&session->started);
	xa_init(&session->imports);
	xa_init_flags(&session->requests, XA_FLAGS_ALLOC1);
	INIT_WORK(&session->close_work, session_close);
	INIT_WORK(&session->down_work, session_down);
	session->partid = params->partid;
	session->epoch = params->epoch;
	session->tls = params->security == XPMEM_SECURITY_TLS;
	session->policy = params->policy;
	memcpy(session->boot_id, params->boot_id, sizeof(session->boot_id));
	xpmem_beat_init(session, terms);
}

static struct xpmem_session *
session_alloc(const struct xpmem_session_params *params,
	      const struct xpmem_terms *terms, struct netlink_ext_ack *extack)
{
	struct xpmem_session *session = kzalloc(sizeof(*session), GFP_KERNEL);
	int err = -ENOMEM;

	if (!session)
		return ERR_PTR(-ENOMEM);
	session_fill(session, params, terms);
	session->history = xpmem_history_of(session->partid);
	session->revokes =
		kvcalloc(XPMEM_REVOKES, sizeof(*session->revokes), GFP_KERNEL);
	session->rx_buf = kvmalloc(XPMEM_WIRE_MAX, GFP_KERNEL);
	session->tx_wq = alloc_ordered_workqueue(
		"xpmem_tx/%u", WQ_MEM_RECLAIM | WQ_HIGHPRI, session->partid);
	if (!session->history || !session->revokes || !session->rx_buf ||
	    !session->tx_wq)
		goto put;
	err = xpmem_window_open(&session->window, params->window, extack);
	if (err)
		goto put;
	err = xpmem_socket_adopt(session, params->fd, extack);
	if (err)
		goto put;
	return session;
put:
	xpmem_session_put(session);
	return ERR_PTR(err);
}

static int slot_take(struct xpmem_session *session)
{
	unsigned int slot;
	int err = -ENOSPC;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS && err; slot++) {
		if (xpmem_home.sessions[slot])
			continue;
		xpmem_peer_event(&session->phase, XPMEM_PEER_EV_OPEN);
		session->slot = slot;
		xpmem_home.sessions[slot] = session;
		xpmem_beat_open_locked(session);
		err = 0;
	}
	spin_unlock(&xpmem_home.lock);
	return err;
}

/* Ends a session, or waits for whoever does; then it is up no more. */
static void session_lost(struct xpmem_session *session, const char *reason)
{
	xpmem_session_fail(session, reason);
	flush_work(&session->down_work);
}

/*
 * An epoch names a session, to a fence and in every message: none is used twice
 * while the home remembers it.  And one session follows the other.
 */
static int check_others(const struct xpmem_session_params *params,
			struct netlink_ext_ack *extack)
{
	const struct xpmem_session *session;
	unsigned int slot;
	int err = 0;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS && !err; slot++) {
		session = xpmem_home.sessions[slot];
		if (!session || session->partid != params->partid)
			continue;
		if (session->epoch == params->epoch)
			err = -EINVAL;
		else if (session->phase == XPMEM_PEER_UP && session->closing)
			err = -EBUSY;
	}
	spin_unlock(&xpmem_home.lock);
	if (err == -EINVAL)
		NL_SET_ERR_MSG(extack, "another session has this epoch");
	if (err == -EBUSY)
		NL_SET_ERR_MSG(extack,
			       "the partition's old session is being closed");
	return err;
}

/*
 * A partition that comes back with another boot id has lost its old session
 * even if we have not noticed.  So has one that ended it, while here only the
 * lease was over.
 */
static int check_old(const struct xpmem_session_params *params,
		     struct netlink_ext_ack *extack)
{
	struct xpmem_session *old = session_get(params->partid, true);
	bool same;

	if (old) {
		session_lost(old, "the partition came back");
		xpmem_session_put(old);
	}
	old = xpmem_session_get_up(params->partid);
	if (!old)
		return check_others(params, extack);
	same = !memcmp(old->boot_id, params->boot_id, sizeof(old->boot_id));
	if (same)
		NL_SET_ERR_MSG(extack, "a session with this partition is up");
	if (!same)
		session_lost(old, "the partition was restarted");
	xpmem_session_put(old);
	return same ? -EEXIST : check_others(params, extack);
}

/**
 * xpmem_session_create - the daemon hands in an authenticated connection
 * @params: what both sides agreed on
 * @extack: says what is wrong
 *
 * Context: process, the daemon's; may sleep.
 * Return: 0; -EINVAL, -EPROTONOSUPPORT, -EEXIST; -EBUSY while an old session is
 * being closed; -ENOSPC when all slots are taken; as of xpmem_window_open() and
 * xpmem_socket_adopt(); -ENOMEM.
 */
int xpmem_session_create(const struct xpmem_session_params *params,
			 struct netlink_ext_ack *extack)
{
	struct xpmem_session *session;
	struct xpmem_terms terms;
	int err;

	xpmem_terms_init(&terms, params->heartbeat_ms, params->deadline_ms);
	err = params_check(params, &terms, extack);
	if (err)
		return err;
	mutex_lock(&admin_lock);
	err = check_old(params, extack);
	if (err)
		goto unlock;
	session = session_alloc(params, &terms, extack);
	if (IS_ERR(session)) {
		err = PTR_ERR(session);
		goto unlock;
	}
	err = xpmem_socket_start(session);
	if (err)
		goto release;
	/* Once it has a slot, it can end at any time. */
	kref_get(&session->ref);
	err = slot_take(session);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "no slot is free: fence lost partitions");
		goto stop;
	}
	atomic64_inc(&session->history->sessions);
	xpmem_beat_start(session);
	trace_xpmem_session(session->partid, session->epoch, XPMEM_PEER_UP, "");
	pr_info("xpmem: partition %u: session up, window of %lu MiB\n",
		session->partid, session->window.frames >> (20 - PAGE_SHIFT));
	xpmem_netlink_session_event(session->partid, XPMEM_PEER_UP,
				    session->epoch, "", GFP_NOIO);
	/* Only now can its end be told. */
	complete_all(&session->started);
	xpmem_session_put(session);
	goto unlock;

stop:
	session->failing = true;
	complete_all(&session->started);
	xpmem_socket_stop(session);
	xpmem_session_put(session);
release:
	xpmem_socket_release(session);
	xpmem_session_put(session);
unlock:
	mutex_unlock(&admin_lock);
	return err;
}

/* Here only the lease is over: there is nothing more to take back in order. */
static int close_lapsed(u16 partid)
{
	struct xpmem_session *session = session_get(partid, true);

	if (!session)
		return -ENOENT;
	xpmem_session_fail(session, "closed here");
	xpmem_session_put(session);
	return 0;
}

/**
 * xpmem_session_close - begin to end a session in good order
 * @partid: the partition
 *
 * The end follows within the session's deadline, and is told as an event.
 *
 * Context: process; does not wait for the importer.
 * Return: 0, or -ENOENT if no session is up, or it is being closed already.
 */
int xpmem_session_close(u16 partid)
{
	struct xpmem_session *session = xpmem_session_get_up(partid);
	bool first;

	if (!session)
		return close_lapsed(partid);
	spin_lock(&xpmem_home.lock);
	first = !session->closing;
	session->closing = true;
	spin_unlock(&xpmem_home.lock);
	if (first)
		queue_work(close_wq, &session->close_work);
	else
		xpmem_session_put(session);
	return first ? 0 : -ENOENT;
}

int xpmem_session_init(void)
{
	xpmem_session_wq = alloc_workqueue(
		"xpmem_session", WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!xpmem_session_wq)
		return -ENOMEM;
	down_wq = alloc_workqueue("xpmem_down", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!down_wq)
		goto destroy_session_wq;
	close_wq = alloc_workqueue("xpmem_close", WQ_UNBOUND, 0);
	if (!close_wq)
		goto destroy_down_wq;
	return 0;

destroy_down_wq:
	destroy_workqueue(down_wq);
destroy_session_wq:
	destroy_workqueue(xpmem_session_wq);
	return -ENOMEM;
}

/* Nothing is granted and nothing in quarantine, or the module would be held. */
void xpmem_session_exit(void)
{
	struct xpmem_session_info info;
	u32 cursor = 0;

	exiting = true;
	while (!xpmem_session_info_next(&cursor, &info))
		if (info.state != XPMEM_PEER_LOST)
			xpmem_session_close(info.partid);
	flush_workqueue(close_wq);
	flush_workqueue(down_wq);
	flush_workqueue(xpmem_session_wq);
	destroy_workqueue(close_wq);
	destroy_workqueue(down_wq);
	destroy_workqueue(xpmem_session_wq);
	xpmem_history_exit();
}
