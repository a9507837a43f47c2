// SPDX-License-Identifier: GPL-2.0-only
/*
 * ack: an importer says that nobody there can reach the revoked pages.
 *
 * Before: import.c at the importer.  Next: reap.c.  Invariant: an
 * acknowledgement counts for the pages that its revoke named, as the home
 * remembers them, and takes no folio lock: whoever holds that may be waiting
 * for it.
 */
#include <linux/ktime.h>
#include <linux/sched.h>

#include "trace.h"
#include "xpmem.h"

/* Folios acknowledged before the home's lock is dropped once. */
#define ACK_BATCH 64

static void ack_folios(struct xpmem_session *session,
		       const struct xpmem_revoke *m, unsigned int from)
{
	unsigned int i, to = min(from + ACK_BATCH, m->count);
	struct xpmem_entry_arg arg = {
		.slots = 1ull << session->slot,
		.seq = (u32)m->seq,
	};
	struct xpmem_reaped reaped = {};

	spin_lock(&xpmem_home.lock);
	arg.lost = xpmem_home.lost;
	for (i = from; i < to; i++) {
		struct xpmem_export *e =
			xa_load(&xpmem_home.exports, m->pfn[i]);

		if (!e)
			continue;
		xpmem_count_add(acked, folio_nr_pages(e->folio));
		xpmem_reap_event_locked(e, XPMEM_ENTRY_EV_ACK, &arg, &reaped);
	}
	spin_unlock(&xpmem_home.lock);
	xpmem_reap(&reaped);
}

/**
 * xpmem_ack_recv - a revoke message was carried out
 * @session: by this importer
 * @seq:     the message's number
 *
 * Context: the session's receiver; allocates nothing.
 * Return: false if that is not the oldest message under way.
 */
bool xpmem_ack_recv(struct xpmem_session *session, u64 seq)
{
	struct xpmem_revoke *m;
	unsigned int i;
	bool oldest;
	u64 us;

	spin_lock(&xpmem_home.lock);
	m = &session->revokes[session->revoke_tail % XPMEM_REVOKES];
	oldest = session->revoke_head != session->revoke_tail && m->seq == seq;
	spin_unlock(&xpmem_home.lock);
	if (!oldest)
		return false;
	us = div_u64(ktime_get_boottime_ns() - m->since, NSEC_PER_USEC);
	xpmem_waits_add(&session->waits, us);
	xpmem_waits_add(&xpmem_waits, us);
	trace_xpmem_ack_recv(session->partid, seq, m->pages);
	for (i = 0; i < m->count; i += ACK_BATCH)
		ack_folios(session, m, i);
	atomic64_add(m->pages, &session->acked);
	spin_lock(&xpmem_home.lock);
	m->count = 0;
	m->nruns = 0;
	m->pages = 0;
	session->revoke_tail++;
	spin_unlock(&xpmem_home.lock);
	xpmem_revoke_kick();
	return true;
}
