/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The importer's view of one page of a remote segment.  Grants and revokes of
 * a session arrive in the order in which the home decided them and are applied
 * in that order, so a single word per page is enough.
 *
 * Invariant: a page is acknowledged only in a state in which it is not held.
 */
#ifndef XPMEM_CORE_FRAME_H
#define XPMEM_CORE_FRAME_H

#include "shim.h"

/**
 * enum xpmem_frame_phase - what the importer knows of a page
 * @XPMEM_FRAME_NONE:   nothing
 * @XPMEM_FRAME_WANTED: a fetch is under way; a grant that answers it is taken
 * @XPMEM_FRAME_HELD:   granted; may be mapped
 */
enum xpmem_frame_phase {
	XPMEM_FRAME_NONE = 0,
	XPMEM_FRAME_WANTED = 1,
	XPMEM_FRAME_HELD = 2,
};

/**
 * enum xpmem_frame_event - what can happen to a page at the importer
 * @XPMEM_FRAME_EV_WANT:   somebody touched it and asks the home
 * @XPMEM_FRAME_EV_GRANT:  the home granted it, in answer to a running fetch
 * @XPMEM_FRAME_EV_DENY:   the fetch ended without this page
 * @XPMEM_FRAME_EV_REVOKE: the home wants it back
 * @XPMEM_FRAME_EV_DROP:   the importer lets go: last detach, or session lost
 */
enum xpmem_frame_event {
	XPMEM_FRAME_EV_WANT = 1,
	XPMEM_FRAME_EV_GRANT = 2,
	XPMEM_FRAME_EV_DENY = 3,
	XPMEM_FRAME_EV_REVOKE = 4,
	XPMEM_FRAME_EV_DROP = 5,
};

/* Actions, or-ed together. */
#define XPMEM_FRAME_FETCH 0x01u /* ask the home */
#define XPMEM_FRAME_STORE 0x02u /* remember the frame; faults may map it */
/*
 * Unmap it everywhere, before anything else.  Its absence does not say that
 * nothing is mapped: the zap of an earlier revoke may still be running.  Who
 * lets go of a whole segment waits until the last mapping is gone.
 */
#define XPMEM_FRAME_ZAP 0x04u
#define XPMEM_FRAME_ACK 0x08u /* then acknowledge */

/**
 * xpmem_frame_event - advance an importer's page
 * @phase: in and out, enum xpmem_frame_phase
 * @ev:    what happened
 *
 * Return: the actions the caller must carry out, XPMEM_FRAME_* or-ed, in the
 * order of their values.
 */
unsigned int xpmem_frame_event(u8 *phase, enum xpmem_frame_event ev);

#endif
