/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The home's view of one exported folio: who holds a grant, and how far a
 * revocation has come.  Pure: no locks, no allocation, no sleeping; the caller
 * serialises events of one entry and carries out the returned actions.
 *
 * Invariant: XPMEM_ENTRY_RELEASE is returned exactly when no importer, alive
 * or lost, may still reach the folio.
 */
#ifndef XPMEM_CORE_ENTRY_H
#define XPMEM_CORE_ENTRY_H

#include "shim.h"

/* Importing partitions are named by slots, one bit each. */
#define XPMEM_SLOTS 64

/**
 * enum xpmem_entry_phase - where an export entry stands
 * @XPMEM_ENTRY_FREE:     no importer; the entry is being created or destroyed
 * @XPMEM_ENTRY_GRANTED:  importers may map the folio; more may be added
 * @XPMEM_ENTRY_REVOKING: each importer has been or will be told to let go;
 *                        nobody is added
 * @XPMEM_ENTRY_ORPHANED: a revocation ended, but importers whose session was
 *                        lost never acknowledged: the folio is kept
 *
 *            GRANT              REVOKE
 *   FREE ----------> GRANTED ----------> REVOKING
 *     ^               |   ^               |   |
 *     |  last PUT,    |   | GRANT         |   | only lost importers left
 *     |  FENCED       |   |               |   v
 *     +---------------+   +------------ ORPHANED
 *     ^                                   |   |
 *     |   last ACK, PUT, FENCED           |   |
 *     +-----------------------------------+---+
 */
enum xpmem_entry_phase {
	XPMEM_ENTRY_FREE = 0,
	XPMEM_ENTRY_GRANTED = 1,
	XPMEM_ENTRY_REVOKING = 2,
	XPMEM_ENTRY_ORPHANED = 3,
};

/**
 * enum xpmem_entry_event - what can happen to an export entry
 * @XPMEM_ENTRY_EV_GRANT:  @slots (one) asks for a grant
 * @XPMEM_ENTRY_EV_REVOKE: the folio is wanted back; @seq is the home's next
 *                         revoke number
 * @XPMEM_ENTRY_EV_SENT:   the revoke is on its way to @slots (one)
 * @XPMEM_ENTRY_EV_ACK:    @slots (one) acknowledged the revoke message @seq
 * @XPMEM_ENTRY_EV_PUT:    @slots (one) gave the folio up by itself
 * @XPMEM_ENTRY_EV_LOST:   the session of @slots (one) was lost
 * @XPMEM_ENTRY_EV_FENCED: @slots (one), lost before, can reach nothing any more
 */
enum xpmem_entry_event {
	XPMEM_ENTRY_EV_GRANT = 1,
	XPMEM_ENTRY_EV_REVOKE = 2,
	XPMEM_ENTRY_EV_SENT = 3,
	XPMEM_ENTRY_EV_ACK = 4,
	XPMEM_ENTRY_EV_PUT = 5,
	XPMEM_ENTRY_EV_LOST = 6,
	XPMEM_ENTRY_EV_FENCED = 7,
};

/* Actions, or-ed together. */
#define XPMEM_ENTRY_SEND 0x01u /* send the grant that was asked for */
#define XPMEM_ENTRY_BUSY 0x02u /* refuse the grant: a revocation is under way */
#define XPMEM_ENTRY_KICK 0x04u /* revokes wait to be sent */
#define XPMEM_ENTRY_WAKE 0x08u /* the revocation has ended */
#define XPMEM_ENTRY_RELEASE \
	0x10u /* nobody reaches the folio: drop its reference */
#define XPMEM_ENTRY_STALE 0x20u /* the event named something long over */

/**
 * struct xpmem_entry_state - what must be remembered per exported folio
 * @importers: slots that may still reach the folio
 * @unsent:    those of @importers that were not yet sent the running revoke
 * @seq:       revoke number from which on acknowledgements count
 * @phase:     enum xpmem_entry_phase
 * @flags:     the caller's own
 * @owner:     the caller's own
 */
struct xpmem_entry_state {
	u64 importers;
	u64 unsent;
	u32 seq;
	u8 phase;
	u8 flags;
	u16 owner;
};

/**
 * struct xpmem_entry_arg - what comes with an event
 * @slots: the importer concerned, one bit; 0 for REVOKE
 * @lost:  all slots whose session is lost and not fenced, including @slots for
 *         LOST, without it for FENCED
 * @seq:   for REVOKE and ACK: revoke number, compared modulo 2^32
 */
struct xpmem_entry_arg {
	u64 slots;
	u64 lost;
	u32 seq;
};

/**
 * xpmem_entry_event - advance an export entry
 * @e:   the entry
 * @ev:  what happened
 * @arg: to whom, and when
 *
 * Return: the actions the caller must carry out, XPMEM_ENTRY_* or-ed.
 */
unsigned int xpmem_entry_event(struct xpmem_entry_state *e,
			       enum xpmem_entry_event ev,
			       const struct xpmem_entry_arg *arg);

#endif
