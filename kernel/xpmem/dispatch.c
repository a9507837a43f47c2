// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turn queued revokes into messages, many folios to a message.
 *
 * Before: revoke.c.  Next: socket.c, then import.c at the importer.  Invariant:
 * all memory was set aside with the session; an importer whose messages are all
 * under way is waited for by nobody else.
 */
#include <linux/ktime.h>
#include <linux/sched.h>

#include "trace.h"
#include "xpmem.h"

/* Entries handled before the home's lock is dropped once. */
#define DISPATCH_BATCH 1024ul

static struct xpmem_revoke *open_message(struct xpmem_session *session)
{
	struct xpmem_revoke *m;

	if (session->revoke_head - session->revoke_tail == XPMEM_REVOKES)
		return NULL;
	m = &session->revokes[session->revoke_head % XPMEM_REVOKES];
	/* Still being handed to the socket, though acknowledged: not ours yet. */
	return READ_ONCE(m->message.queued) ? NULL : m;
}

static void run_add(struct xpmem_revoke *m, u64 segid, unsigned long index,
		    u32 count)
{
	struct xpmem_wire_revoke_run *run;

	if (m->nruns) {
		u32 had;

		run = &m->runs[m->nruns - 1];
		had = le32_to_cpu(run->count);
		if (le64_to_cpu(run->segid) == segid &&
		    le64_to_cpu(run->index) + had == index &&
		    had + count <= XPMEM_WIRE_PAGES) {
			run->count = cpu_to_le32(had + count);
			return;
		}
	}
	run = &m->runs[m->nruns++];
	run->segid = cpu_to_le64(segid);
	run->index = cpu_to_le64(index);
	run->count = cpu_to_le32(count);
	run->reserved = 0;
}

static bool places_fit(const struct xpmem_export *e,
		       const struct xpmem_revoke *m)
{
	const struct xpmem_place *place;
	unsigned int n = 0;

	for (place = &e->place; place; place = place->next)
		n++;
	return m->count < XPMEM_WIRE_PAGES && m->nruns + n <= XPMEM_WIRE_PAGES;
}

static void places_add(const struct xpmem_export *e, struct xpmem_revoke *m)
{
	const struct xpmem_place *place;

	m->at[m->count] = m->named;
	for (place = &e->place; place && place->seg; place = place->next) {
		unsigned long pages = place->seg->pages;
		long first = max(place->base, 0l);
		long end = min_t(long, pages,
				 place->base + folio_nr_pages(e->folio));

		run_add(m, place->seg->segid, first, end - first);
		m->named += end - first;
	}
	m->pages += folio_nr_pages(e->folio);
	m->pfn[m->count++] = folio_pfn(e->folio);
}

static void send_message(struct xpmem_session *session)
{
	struct xpmem_revoke *m = open_message(session);
	u32 length;

	if (!m || !m->count)
		return;
	m->seq = ++xpmem_home.seq;
	m->since = ktime_get_boottime_ns();
	m->body.nruns = cpu_to_le32(m->nruns);
	m->body.reserved = 0;
	length = sizeof(m->body) + m->nruns * sizeof(m->runs[0]);
	xpmem_message_init(&m->message, &m->header, XPMEM_WIRE_REVOKE, length);
	m->header.seq = cpu_to_le64(m->seq);
	session->revoke_head++;
	atomic64_add(m->pages, &session->history->revoked);
	trace_xpmem_revoke_send(session->partid, m->seq, m->pages);
	xpmem_socket_send(session, &m->message);
}

/* Return: false if the importer has no message free. */
static bool entry_add(struct xpmem_session *session,
		      const struct xpmem_export *e)
{
	struct xpmem_revoke *m = open_message(session);

	if (m && !places_fit(e, m)) {
		send_message(session);
		m = open_message(session);
	}
	if (!m)
		return false;
	places_add(e, m);
	return true;
}

static void entry_dispatch(struct xpmem_export *e)
{
	u64 left = e->state.unsent;

	while (left) {
		unsigned int slot = __ffs64(left);
		struct xpmem_entry_arg arg = { .slots = 1ull << slot };

		left &= ~arg.slots;
		if (entry_add(xpmem_home.sessions[slot], e))
			xpmem_entry_event(&e->state, XPMEM_ENTRY_EV_SENT, &arg);
	}
}

static struct xpmem_export *queue_pop(void)
{
	struct xpmem_export *e = xpmem_home.queue;

	if (!e)
		return NULL;
	xpmem_home.queue = e->queue;
	if (!xpmem_home.queue)
		xpmem_home.tail = &xpmem_home.queue;
	e->queue = NULL;
	e->state.flags &= ~XPMEM_EXPORT_QUEUED;
	xpmem_home.queued--;
	return e;
}

/*
 * Entries whose importer has no message free go to the end of the queue, so
 * that they hold up nobody else; the next acknowledgement kicks.
 */
static void dispatch_some(unsigned long n, struct xpmem_reaped *reaped)
{
	struct xpmem_export *e;
	unsigned int slot;

	while (n-- && (e = queue_pop())) {
		if (e->state.flags & XPMEM_EXPORT_DEAD) {
			xpmem_reap_entry_locked(e, reaped);
			continue;
		}
		entry_dispatch(e);
		if (e->state.unsent)
			xpmem_revoke_enqueue_locked(e);
	}
	for (slot = 0; slot < XPMEM_SLOTS; slot++)
		if (xpmem_home.sessions[slot])
			send_message(xpmem_home.sessions[slot]);
}

/**
 * xpmem_dispatch - the work behind xpmem_revoke_kick()
 * @work: the home's
 *
 * Looks at every entry that is queued when it starts, once.
 *
 * Context: a WQ_MEM_RECLAIM queue.
 */
void xpmem_dispatch(struct work_struct *work)
{
	unsigned long left = READ_ONCE(xpmem_home.queued);
	struct xpmem_reaped reaped = {};

	do {
		unsigned long n = min(left, DISPATCH_BATCH);

		spin_lock(&xpmem_home.lock);
		dispatch_some(n, &reaped);
		spin_unlock(&xpmem_home.lock);
		xpmem_reap(&reaped);
		cond_resched();
		left -= n;
	} while (left);
}
