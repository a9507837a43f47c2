/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a slot: one importing or exporting partition, from the session
 * that the daemon handed in to the fence that ends a lost one.
 *
 * Invariant: a slot is given to a new session only when no folio remembers the
 * old one.
 */
#ifndef XPMEM_CORE_PEER_H
#define XPMEM_CORE_PEER_H

#include "shim.h"

/**
 * enum xpmem_peer_phase - where a slot stands
 * @XPMEM_PEER_NONE: unused
 * @XPMEM_PEER_UP:   its session carries messages
 * @XPMEM_PEER_LOST: its session ended without the other side having let go;
 *                   what it held is in quarantine
 */
enum xpmem_peer_phase {
	XPMEM_PEER_NONE = 0,
	XPMEM_PEER_UP = 1,
	XPMEM_PEER_LOST = 2,
};

/**
 * enum xpmem_peer_event - what can happen to a slot
 * @XPMEM_PEER_EV_OPEN:  the daemon hands in a session
 * @XPMEM_PEER_EV_BYE:   the other side let go of everything and says so
 * @XPMEM_PEER_EV_LOSS:  the session ended in any other way
 * @XPMEM_PEER_EV_FENCE: the administrator says that the partition is fenced
 */
enum xpmem_peer_event {
	XPMEM_PEER_EV_OPEN = 1,
	XPMEM_PEER_EV_BYE = 2,
	XPMEM_PEER_EV_LOSS = 3,
	XPMEM_PEER_EV_FENCE = 4,
};

/* Actions, or-ed together. */
#define XPMEM_PEER_START 0x01u /* start the session's threads */
#define XPMEM_PEER_RELEASE 0x02u /* drop the slot from every export entry */
#define XPMEM_PEER_KEEP \
	0x04u /* tell every export entry that the slot is lost */
#define XPMEM_PEER_ZAP 0x08u /* unmap everything imported from the partition */
#define XPMEM_PEER_REFUSE 0x10u /* the event is not allowed now */

/**
 * xpmem_peer_event - advance a slot
 * @phase: in and out, enum xpmem_peer_phase
 * @ev:    what happened
 *
 * Return: the actions the caller must carry out, XPMEM_PEER_* or-ed.
 */
unsigned int xpmem_peer_event(u8 *phase, enum xpmem_peer_event ev);

#endif
