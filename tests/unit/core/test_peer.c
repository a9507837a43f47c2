// SPDX-License-Identifier: GPL-2.0-only
/* Each event in each phase of a slot. */
#include "peer.h"
#include "tap.h"

static const struct {
	const char *name;
	u8 was;
	u8 is;
	enum xpmem_peer_event ev;
	unsigned int actions;
} table[] = {
	{ "open unused", XPMEM_PEER_NONE, XPMEM_PEER_UP, XPMEM_PEER_EV_OPEN,
	  XPMEM_PEER_START },
	{ "open twice", XPMEM_PEER_UP, XPMEM_PEER_UP, XPMEM_PEER_EV_OPEN,
	  XPMEM_PEER_REFUSE },
	{ "open lost", XPMEM_PEER_LOST, XPMEM_PEER_LOST, XPMEM_PEER_EV_OPEN,
	  XPMEM_PEER_REFUSE },
	{ "bye unused", XPMEM_PEER_NONE, XPMEM_PEER_NONE, XPMEM_PEER_EV_BYE,
	  XPMEM_PEER_REFUSE },
	{ "bye", XPMEM_PEER_UP, XPMEM_PEER_NONE, XPMEM_PEER_EV_BYE,
	  XPMEM_PEER_RELEASE | XPMEM_PEER_ZAP },
	{ "bye lost", XPMEM_PEER_LOST, XPMEM_PEER_LOST, XPMEM_PEER_EV_BYE,
	  XPMEM_PEER_REFUSE },
	{ "loss unused", XPMEM_PEER_NONE, XPMEM_PEER_NONE, XPMEM_PEER_EV_LOSS,
	  XPMEM_PEER_REFUSE },
	{ "loss", XPMEM_PEER_UP, XPMEM_PEER_LOST, XPMEM_PEER_EV_LOSS,
	  XPMEM_PEER_KEEP | XPMEM_PEER_ZAP },
	{ "loss twice", XPMEM_PEER_LOST, XPMEM_PEER_LOST, XPMEM_PEER_EV_LOSS,
	  XPMEM_PEER_REFUSE },
	{ "fence unused", XPMEM_PEER_NONE, XPMEM_PEER_NONE, XPMEM_PEER_EV_FENCE,
	  XPMEM_PEER_REFUSE },
	{ "fence living", XPMEM_PEER_UP, XPMEM_PEER_UP, XPMEM_PEER_EV_FENCE,
	  XPMEM_PEER_REFUSE },
	{ "fence lost", XPMEM_PEER_LOST, XPMEM_PEER_NONE, XPMEM_PEER_EV_FENCE,
	  XPMEM_PEER_RELEASE },
	{ "unknown event", XPMEM_PEER_UP, XPMEM_PEER_UP, 0, XPMEM_PEER_REFUSE },
};

int main(void)
{
	unsigned int k, actions;
	u8 phase;

	for (k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
		phase = table[k].was;
		actions = xpmem_peer_event(&phase, table[k].ev);
		tap_ok(phase == table[k].is && actions == table[k].actions,
		       "peer, %s: phase %u, actions %#x", table[k].name, phase,
		       actions);
	}
	return tap_done();
}
