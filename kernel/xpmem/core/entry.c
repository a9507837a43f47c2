// SPDX-License-Identifier: GPL-2.0-only
/* The export entry's state machine; see entry.h for states and events. */
#include "entry.h"

/* Decide what an entry is once an importer has left or was lost. */
static unsigned int settle(struct xpmem_entry_state *e, u64 lost)
{
	if (!e->importers) {
		bool revoking = e->phase == XPMEM_ENTRY_REVOKING;

		e->phase = XPMEM_ENTRY_FREE;
		return XPMEM_ENTRY_RELEASE | (revoking ? XPMEM_ENTRY_WAKE : 0);
	}
	if (e->phase == XPMEM_ENTRY_REVOKING && !(e->importers & ~lost)) {
		e->phase = XPMEM_ENTRY_ORPHANED;
		return XPMEM_ENTRY_WAKE;
	}
	return 0;
}

static unsigned int grant(struct xpmem_entry_state *e, u64 slots)
{
	if (e->phase == XPMEM_ENTRY_REVOKING)
		return XPMEM_ENTRY_BUSY;
	e->importers |= slots;
	e->phase = XPMEM_ENTRY_GRANTED;
	return XPMEM_ENTRY_SEND;
}

static unsigned int revoke(struct xpmem_entry_state *e,
			   const struct xpmem_entry_arg *arg)
{
	if (e->phase != XPMEM_ENTRY_GRANTED)
		return 0;
	e->phase = XPMEM_ENTRY_REVOKING;
	e->unsent = e->importers & ~arg->lost;
	e->seq = arg->seq;
	if (e->unsent)
		return XPMEM_ENTRY_KICK;
	return settle(e, arg->lost);
}

/*
 * An acknowledgement counts for this revocation only: not before the revoke
 * was sent, and not when it answers an older message.
 */
static unsigned int ack(struct xpmem_entry_state *e,
			const struct xpmem_entry_arg *arg)
{
	if (e->phase != XPMEM_ENTRY_REVOKING || !(e->importers & arg->slots) ||
	    (e->unsent & arg->slots) || (int)(arg->seq - e->seq) < 0)
		return XPMEM_ENTRY_STALE;
	e->importers &= ~arg->slots;
	return settle(e, arg->lost);
}

static unsigned int leave(struct xpmem_entry_state *e,
			  const struct xpmem_entry_arg *arg)
{
	if (!(e->importers & arg->slots))
		return XPMEM_ENTRY_STALE;
	e->importers &= ~arg->slots;
	e->unsent &= ~arg->slots;
	return settle(e, arg->lost);
}

/* Every entry is told of a loss, also one that does not know the slot. */
static unsigned int lose(struct xpmem_entry_state *e,
			 const struct xpmem_entry_arg *arg)
{
	if (!(e->importers & arg->slots))
		return XPMEM_ENTRY_STALE;
	e->unsent &= ~arg->slots;
	return settle(e, arg->lost);
}

unsigned int xpmem_entry_event(struct xpmem_entry_state *e,
			       enum xpmem_entry_event ev,
			       const struct xpmem_entry_arg *arg)
{
	switch (ev) {
	case XPMEM_ENTRY_EV_GRANT:
		return grant(e, arg->slots);
	case XPMEM_ENTRY_EV_REVOKE:
		return revoke(e, arg);
	case XPMEM_ENTRY_EV_SENT:
		e->unsent &= ~arg->slots;
		return 0;
	case XPMEM_ENTRY_EV_ACK:
		return ack(e, arg);
	case XPMEM_ENTRY_EV_PUT:
	case XPMEM_ENTRY_EV_FENCED:
		return leave(e, arg);
	case XPMEM_ENTRY_EV_LOST:
		return lose(e, arg);
	}
	return XPMEM_ENTRY_STALE;
}
