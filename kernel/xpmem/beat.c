// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heartbeats, deadlines and the lease of a session.
 *
 * Before: session.c.  Next: core/lease.c, import.c.  Invariant: at the end of
 * the lease nothing that was imported through the session is mapped any more,
 * whatever the daemon does; and a home waits for its importer until the
 * importer's lease, if its clock runs, is over.
 */
#include <linux/ktime.h>

#include <uapi/linux/xpmem_netlink.h>

#include "trace.h"
#include "xpmem.h"

/* A clock that also counts the time that a machine sleeps. */
static u64 beat_now(void)
{
	return ktime_get_boottime_ns();
}

/* Signed: what happened while we look is in the future. */
static bool is_late(const struct xpmem_session *session, u64 since)
{
	s64 age = beat_now() - since;

	return age > (s64)READ_ONCE(session->deadline_ms) * NSEC_PER_MSEC;
}

static u64 lease_left(struct xpmem_session *session)
{
	u64 left;

	spin_lock(&session->lease_lock);
	left = xpmem_lease_left(&session->lease, beat_now());
	spin_unlock(&session->lease_lock);
	return left;
}

static const char *overdue(struct xpmem_session *session)
{
	u64 lapsed = READ_ONCE(session->lapsed);
	const char *reason = NULL;
	struct xpmem_revoke *m;

	/* It may take as long to hang up after our BYE; say_bye() counts that. */
	if (READ_ONCE(session->orderly))
		return NULL;
	if (is_late(session, READ_ONCE(session->heard))) {
		atomic64_inc(&session->history->evictions);
		return "silent for longer than the deadline";
	}
	/* The last PING that we may have answered was sent before that. */
	if (lapsed &&
	    (is_late(session, lapsed) || !xpmem_reap_held(session->slot)))
		return READ_ONCE(session->reason);
	spin_lock(&xpmem_home.lock);
	m = &session->revokes[session->revoke_tail % XPMEM_REVOKES];
	if (session->revoke_head != session->revoke_tail &&
	    is_late(session, m->since))
		reason = "a revoke was not acknowledged within the deadline";
	spin_unlock(&xpmem_home.lock);
	if (reason) {
		atomic64_inc(&session->history->missed);
		atomic64_inc(&session->history->evictions);
	}
	return reason;
}

/* Not once the session is ending: that has cancelled it for good. */
static void work_next(struct xpmem_session *session, struct delayed_work *work,
		      unsigned long delay)
{
	spin_lock(&session->tx_lock);
	if (!session->failing)
		mod_delayed_work(xpmem_session_wq, work, delay);
	spin_unlock(&session->tx_lock);
}

/*
 * The importer's side ends at once.  The home's waits for its importer, if that
 * holds anything: it does not answer it any more, so the importer's lease ends
 * too, and before the deadline does.
 *
 *  lease ends here                         other side
 *  ---------------                         ----------
 *  closing: no more grants
 *  unmaps all that is imported
 *  tells the daemon, which connects
 *  PING ignored ◄───────────────────────── PING
 *                                          its lease ends: unmaps, closes
 *  connection lost, a new session, or the
 *  deadline
 *  quarantine
 */
static void lease_lapse(struct xpmem_session *session)
{
	bool first;

	/* After our BYE nothing is imported, and say_bye() counts the time. */
	if (READ_ONCE(session->orderly))
		return;
	spin_lock(&xpmem_home.lock);
	first = !session->lapsed;
	if (first)
		WRITE_ONCE(session->lapsed, beat_now());
	session->closing = true;
	spin_unlock(&xpmem_home.lock);
	if (!first)
		return;
	xpmem_session_blame(session,
			    "the lease ended: no heartbeat was answered");
	xpmem_count(leases_ended);
	xpmem_import_lose_all(session);
	pr_warn("xpmem: partition %u: the lease ended: no heartbeat was answered for %u ms; nothing of it is mapped any more\n",
		session->partid, session->lease.terms.lease);
	if (!xpmem_reap_held(session->slot))
		xpmem_session_fail(session, session->reason);
	else
		/* So that the daemon connects; dispatch shares our queue. */
		xpmem_netlink_session_event(session->partid,
					    XPMEM_SESSION_STATE_CLOSING,
					    session->epoch, session->reason,
					    GFP_NOWAIT | __GFP_NOWARN);
}

/**
 * xpmem_beat_check - does the lease go on?  If not, everything is unmapped
 * @session: the session
 *
 * Context: process, one that may take the locks of a revoke.
 * Return: false if it is over: no grant counts any more.
 */
bool xpmem_beat_check(struct xpmem_session *session)
{
	if (lease_left(session))
		return true;
	lease_lapse(session);
	return false;
}

static void lease_work(struct work_struct *work)
{
	struct xpmem_session *session = container_of(
		to_delayed_work(work), struct xpmem_session, lease_work);
	u64 left = lease_left(session);

	if (left)
		work_next(session, &session->lease_work,
			  nsecs_to_jiffies(left) + 1);
	else
		lease_lapse(session);
}

static void ping_send(struct xpmem_session *session)
{
	struct xpmem_ping *ping = &session->ping;

	/* Pairs with the release in socket_tx(). */
	if (smp_load_acquire(&ping->message.queued))
		return;
	xpmem_message_init(&ping->message, &ping->header, XPMEM_WIRE_PING,
			   sizeof(ping->body));
	spin_lock(&session->lease_lock);
	xpmem_lease_ping(&session->lease, beat_now(), &ping->body);
	spin_unlock(&session->lease_lock);
	xpmem_socket_send(session, &ping->message);
}

static void beat_work(struct work_struct *work)
{
	struct xpmem_session *session = container_of(
		to_delayed_work(work), struct xpmem_session, beat_work);
	const char *reason = overdue(session);

	if (reason) {
		xpmem_session_fail(session, reason);
		return;
	}
	ping_send(session);
	work_next(session, &session->beat_work,
		  msecs_to_jiffies(READ_ONCE(session->heartbeat_ms)));
}

/**
 * xpmem_beat_init - a session has its terms
 * @session: being made
 * @terms:   sound
 */
void xpmem_beat_init(struct xpmem_session *session,
		     const struct xpmem_terms *terms)
{
	INIT_DELAYED_WORK(&session->beat_work, beat_work);
	INIT_DELAYED_WORK(&session->lease_work, lease_work);
	spin_lock_init(&session->lease_lock);
	xpmem_lease_start(&session->lease, terms, beat_now());
	session->heartbeat_ms = terms->heartbeat;
	session->deadline_ms = terms->deadline;
}

/**
 * xpmem_beat_open_locked - queue what must be the first message
 * @session: as yet unknown to all that send; the home's lock is held
 */
void xpmem_beat_open_locked(struct xpmem_session *session)
{
	const struct xpmem_terms *terms = &session->lease.terms;
	struct xpmem_terms_message *m = &session->terms;

	lockdep_assert_held(&xpmem_home.lock);
	xpmem_message_init(&m->message, &m->header, XPMEM_WIRE_TERMS,
			   sizeof(m->body));
	m->body.heartbeat_ms = cpu_to_le32(terms->heartbeat);
	m->body.deadline_ms = cpu_to_le32(terms->deadline);
	m->body.lease_ms = cpu_to_le32(terms->lease);
	xpmem_socket_send(session, &m->message);
}

/**
 * xpmem_beat_start - the session has its slot
 * @session: the session
 */
void xpmem_beat_start(struct xpmem_session *session)
{
	work_next(session, &session->lease_work, 0);
	work_next(session, &session->beat_work, 0);
}

/**
 * xpmem_beat_terms - the other side says what it keeps to
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Context: the session's receiver.
 * Return: NULL, or why the session must end.
 */
const char *xpmem_beat_terms(struct xpmem_session *session,
			     const struct xpmem_wire_terms *msg)
{
	struct xpmem_terms terms;
	const char *wrong;

	spin_lock(&session->lease_lock);
	wrong = xpmem_lease_terms(&session->lease, msg);
	terms = session->lease.terms;
	spin_unlock(&session->lease_lock);
	if (wrong)
		return wrong;
	WRITE_ONCE(session->heartbeat_ms, terms.heartbeat);
	WRITE_ONCE(session->deadline_ms, terms.deadline);
	xpmem_socket_patience(session);
	/* Both were to come at this side's times. */
	xpmem_beat_start(session);
	return NULL;
}

static void pong_send(struct xpmem_session *session,
		      const struct xpmem_wire_ping *msg)
{
	struct xpmem_ping *pong = &session->pong;

	xpmem_message_init(&pong->message, &pong->header, XPMEM_WIRE_PONG,
			   sizeof(pong->body));
	pong->body = *msg;
	xpmem_socket_send(session, &pong->message);
}

/**
 * xpmem_beat_ping - the other side asks for a sign of life
 * @session: the session
 * @msg:     its heartbeat
 *
 * While an answer waits to be sent, only the newest of those that come is kept:
 * nobody can make us queue without end.  Its answer takes a place of its own behind
 * what is queued by then, see core/lease.h.  It is the newest that counts: after a
 * disturbance of the network many come at once, and from when the one that is
 * answered was sent, the lease is counted.
 *
 * Context: the session's receiver; allocates nothing.
 */
void xpmem_beat_ping(struct xpmem_session *session,
		     const struct xpmem_wire_ping *msg)
{
	bool busy;

	/* See lease_lapse(). */
	if (READ_ONCE(session->lapsed))
		return;
	spin_lock(&session->lease_lock);
	busy = session->pong_busy;
	session->pong_busy = true;
	if (busy)
		session->pong_next = *msg;
	spin_unlock(&session->lease_lock);
	if (!busy)
		pong_send(session, msg);
}

/**
 * xpmem_beat_pong_sent - the answer to a PING was sent: the next one may be
 * @session: the session
 *
 * Context: the session's sender; allocates nothing.
 */
void xpmem_beat_pong_sent(struct xpmem_session *session)
{
	struct xpmem_wire_ping next;
	bool due;

	spin_lock(&session->lease_lock);
	next = session->pong_next;
	due = next.count && !READ_ONCE(session->lapsed);
	session->pong_next.count = 0;
	session->pong_busy = due;
	spin_unlock(&session->lease_lock);
	if (due)
		pong_send(session, &next);
}

/**
 * xpmem_beat_pong - the other side gave one: the lease goes on
 * @session: the session
 * @msg:     what it answers
 *
 * Context: the session's receiver.
 * Return: NULL, or what is wrong with it.
 */
const char *xpmem_beat_pong(struct xpmem_session *session,
			    const struct xpmem_wire_ping *msg)
{
	const char *wrong;

	spin_lock(&session->lease_lock);
	wrong = xpmem_lease_pong(&session->lease, beat_now(), msg);
	spin_unlock(&session->lease_lock);
	return wrong;
}
