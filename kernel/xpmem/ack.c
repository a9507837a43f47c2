// SPDX-License-Identifier: GPL-2.0-only
/*
 * ack: an importer says that nobody there can reach the revoked pages.
 *
 * Before: import.c at the importer.  Next: reap.c.  Invariant: an
 * acknowledgement counts for the pages that its revoke named, as the home
 * remembers them, and takes no folio lock: whoever holds that may be waiting
 * for it.
 */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include "trace.h"
#include "xpmem.h"

/* Folios acknowledged before the home's lock is dropped once. */
#define ACK_BATCH 64

/* Was any of a folio's pages used?  One that was is not lost to reclaim yet. */
static bool folio_used(const struct xpmem_revoke *m, unsigned int i,
		       const unsigned long *young)
{
	unsigned int end = i + 1 < m->count ? m->at[i + 1] : m->named;
	unsigned int shift = xpmem_wire_young_shift(m->named);
	unsigned long last;

	/* All its places may have been given up since it was granted. */
	if (end == m->at[i])
		return false;
	last = (end - 1) >> shift;
	return find_next_bit(young, last + 1, m->at[i] >> shift) <= last;
}

/* Or is it the answer to an earlier revoke of the same frame? */
static bool is_answer(const struct xpmem_export *e, u64 slot)
{
	return e->state.phase == XPMEM_ENTRY_REVOKING &&
	       (e->state.importers & ~e->state.unsent & slot);
}

static void ack_folios(struct xpmem_session *session,
		       const struct xpmem_revoke *m, unsigned int from,
		       const unsigned long *young)
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
		if (is_answer(e, arg.slots) && folio_used(m, i, young))
			e->state.flags |= XPMEM_EXPORT_USED;
		xpmem_reap_event_locked(e, XPMEM_ENTRY_EV_ACK, &arg, &reaped);
	}
	spin_unlock(&xpmem_home.lock);
	xpmem_reap(&reaped);
}

/**
 * xpmem_ack_recv - a revoke message was carried out
 * @session: by this importer
 * @msg:     its number, and which pages were used
 *
 * Context: the session's receiver; allocates nothing.
 * Return: false if that is not the oldest message under way.
 */
bool xpmem_ack_recv(struct xpmem_session *session,
		    const struct xpmem_wire_ack *msg)
{
	DECLARE_BITMAP(young, XPMEM_WIRE_YOUNG);
	u64 words[XPMEM_WIRE_YOUNG / 64];
	u64 seq = le64_to_cpu(msg->seq);
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
	xpmem_waits_add(&session->history->waits, us);
	xpmem_waits_add(&xpmem_waits, us);
	trace_xpmem_ack_recv(session->partid, seq, m->pages);
	for (i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = le64_to_cpu(msg->young[i]);
	bitmap_from_arr64(young, words, XPMEM_WIRE_YOUNG);
	for (i = 0; i < m->count; i += ACK_BATCH)
		ack_folios(session, m, i, young);
	atomic64_add(m->pages, &session->history->acked);
	spin_lock(&xpmem_home.lock);
	m->count = 0;
	m->nruns = 0;
	m->pages = 0;
	m->named = 0;
	session->revoke_tail++;
	spin_unlock(&xpmem_home.lock);
	xpmem_revoke_kick();
	return true;
}
