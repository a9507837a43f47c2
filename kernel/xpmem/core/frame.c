// SPDX-License-Identifier: GPL-2.0-only
/* The importer's page state machine; see frame.h for states and events. */
#include "frame.h"

unsigned int xpmem_frame_event(u8 *phase, enum xpmem_frame_event ev)
{
	u8 was = *phase;

	switch (ev) {
	case XPMEM_FRAME_EV_WANT:
		if (was == XPMEM_FRAME_NONE)
			*phase = XPMEM_FRAME_WANTED;
		return XPMEM_FRAME_FETCH;
	case XPMEM_FRAME_EV_GRANT:
		/* A held page may be granted again, with more access. */
		if (was == XPMEM_FRAME_NONE)
			return 0;
		*phase = XPMEM_FRAME_HELD;
		return XPMEM_FRAME_STORE;
	case XPMEM_FRAME_EV_DENY:
		if (was == XPMEM_FRAME_WANTED)
			*phase = XPMEM_FRAME_NONE;
		return 0;
	case XPMEM_FRAME_EV_REVOKE:
		/* A fetch under way stays: its grant would be the newer one. */
		if (was == XPMEM_FRAME_HELD) {
			*phase = XPMEM_FRAME_NONE;
			return XPMEM_FRAME_ZAP | XPMEM_FRAME_ACK;
		}
		return XPMEM_FRAME_ACK;
	case XPMEM_FRAME_EV_DROP:
		*phase = XPMEM_FRAME_NONE;
		return was == XPMEM_FRAME_HELD ? XPMEM_FRAME_ZAP : 0;
	}
	return 0;
}
