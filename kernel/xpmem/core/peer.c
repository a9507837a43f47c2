// SPDX-License-Identifier: GPL-2.0-only
/* The slot's state machine; see peer.h for states and events. */
#include "peer.h"

unsigned int xpmem_peer_event(u8 *phase, enum xpmem_peer_event ev)
{
	switch (ev) {
	case XPMEM_PEER_EV_OPEN:
		if (*phase != XPMEM_PEER_NONE)
			return XPMEM_PEER_REFUSE;
		*phase = XPMEM_PEER_UP;
		return XPMEM_PEER_START;
	case XPMEM_PEER_EV_BYE:
		if (*phase != XPMEM_PEER_UP)
			return XPMEM_PEER_REFUSE;
		*phase = XPMEM_PEER_NONE;
		return XPMEM_PEER_RELEASE | XPMEM_PEER_ZAP;
	case XPMEM_PEER_EV_LOSS:
		if (*phase != XPMEM_PEER_UP)
			return XPMEM_PEER_REFUSE;
		*phase = XPMEM_PEER_LOST;
		return XPMEM_PEER_KEEP | XPMEM_PEER_ZAP;
	case XPMEM_PEER_EV_FENCE:
		if (*phase != XPMEM_PEER_LOST)
			return XPMEM_PEER_REFUSE;
		*phase = XPMEM_PEER_NONE;
		return XPMEM_PEER_RELEASE;
	}
	return XPMEM_PEER_REFUSE;
}
