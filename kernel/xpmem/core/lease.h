/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lease: for how long an importer may use grants without hearing from the
 * home, and the terms that both sides of a session agree on.  Pure: the caller
 * serialises, and brings the time.
 *
 * Invariant: while messages are lost or late, an importer's lease is over
 * before the home's deadline for it is.  That needs clocks that run at the same
 * rate on both sides, no more; a paused machine has none, so a lease is for
 * liveness, and safety is the fence.
 *
 *  importer                                home
 *  --------                                ----
 *  PING, sent at s ───────────────────────► heard at h, not before s
 *  lease until s + lease ◄───────── PONG s   silent at h + deadline
 *
 * The lease is a heartbeat shorter than the deadline, at least: for what the end
 * of it takes.  A revoke that the importer never saw was queued after the PONG,
 * as all messages come in order, so its deadline is over later still.
 */
#ifndef XPMEM_CORE_LEASE_H
#define XPMEM_CORE_LEASE_H

#include "shim.h"

struct xpmem_wire_ping;
struct xpmem_wire_terms;

#define XPMEM_TERMS_MIN_MS 10u
#define XPMEM_TERMS_MAX_MS 600000u
/* A deadline of fewer heartbeats is missed by one that is late. */
#define XPMEM_TERMS_HEARTBEATS 3u

/**
 * struct xpmem_terms - what both sides of a session keep to, in milliseconds
 * @heartbeat: between two PINGs
 * @deadline:  the home waits so long for a sign of life, or an acknowledgement
 * @lease:     the importer uses grants for so long after it was last answered
 */
struct xpmem_terms {
	u32 heartbeat;
	u32 deadline;
	u32 lease;
};

/**
 * xpmem_terms_init - the terms that follow from a configuration
 * @terms:     filled in
 * @heartbeat: milliseconds
 * @deadline:  milliseconds
 */
void xpmem_terms_init(struct xpmem_terms *terms, u32 heartbeat, u32 deadline);

/**
 * xpmem_terms_check - can a session keep to these?
 * @terms: the terms
 *
 * Return: NULL, or what is wrong with them, a constant string.
 */
const char *xpmem_terms_check(const struct xpmem_terms *terms);

/**
 * xpmem_terms_stricter - what counts where two sides differ
 * @terms: in and out; sound
 * @other: sound
 *
 * The result is sound, too.
 */
void xpmem_terms_stricter(struct xpmem_terms *terms,
			  const struct xpmem_terms *other);

/**
 * struct xpmem_lease - the importer's lease in one session
 * @terms:  what counts now
 * @agreed: the other side's terms have come
 * @ended:  it is over for good
 * @pings:  PINGs sent
 * @pongs:  count of the last PING that was answered
 * @pinged: when the last PING was sent, nanoseconds of a clock that does not
 *          stop when the machine sleeps
 * @since:  from when the lease counts: when the last PING that was answered was
 *          sent; at first, when the session began
 */
struct xpmem_lease {
	struct xpmem_terms terms;
	bool agreed;
	bool ended;
	u64 pings;
	u64 pongs;
	u64 pinged;
	u64 since;
};

/**
 * xpmem_lease_start - a session begins
 * @lease: filled in
 * @terms: this side's; sound
 * @now:   the time, not 0
 *
 * Nothing is granted before the home has had a message of this session, so the
 * lease may count from here.
 */
void xpmem_lease_start(struct xpmem_lease *lease,
		       const struct xpmem_terms *terms, u64 now);

/**
 * xpmem_lease_terms - the other side's terms have come
 * @lease: the lease
 * @msg:   as received, checked by xpmem_wire_check_payload()
 *
 * Return: NULL, or why the session must end, a constant string.
 */
const char *xpmem_lease_terms(struct xpmem_lease *lease,
			      const struct xpmem_wire_terms *msg);

/**
 * xpmem_lease_ping - a PING is about to be queued
 * @lease: the lease
 * @now:   the time
 * @msg:   filled in
 */
void xpmem_lease_ping(struct xpmem_lease *lease, u64 now,
		      struct xpmem_wire_ping *msg);

/**
 * xpmem_lease_pong - the other side answered a PING
 * @lease: the lease
 * @now:   the time
 * @msg:   the answer
 *
 * PINGs may go unanswered when a later one is answered.  What comes after the
 * end renews nothing.
 *
 * Return: NULL, or what is wrong with the answer, a constant string.
 */
const char *xpmem_lease_pong(struct xpmem_lease *lease, u64 now,
			     const struct xpmem_wire_ping *msg);

/**
 * xpmem_lease_left - how long the lease goes on if nothing is heard
 * @lease: the lease
 * @now:   the time
 *
 * Return: nanoseconds, or 0: it is over, for good.
 */
u64 xpmem_lease_left(struct xpmem_lease *lease, u64 now);

#endif
