// SPDX-License-Identifier: GPL-2.0-only
/* Each event in each phase of an importer's page. */
#include "frame.h"
#include "tap.h"

#define NONE XPMEM_FRAME_NONE
#define WANTED XPMEM_FRAME_WANTED
#define HELD XPMEM_FRAME_HELD

static const struct {
	const char *name;
	u8 was;
	u8 is;
	enum xpmem_frame_event ev;
	unsigned int actions;
} table[] = {
	{ "want", NONE, WANTED, XPMEM_FRAME_EV_WANT, XPMEM_FRAME_FETCH },
	{ "want again", WANTED, WANTED, XPMEM_FRAME_EV_WANT,
	  XPMEM_FRAME_FETCH },
	{ "want more of it", HELD, HELD, XPMEM_FRAME_EV_WANT,
	  XPMEM_FRAME_FETCH },
	{ "grant of the unwanted", NONE, NONE, XPMEM_FRAME_EV_GRANT, 0 },
	{ "grant", WANTED, HELD, XPMEM_FRAME_EV_GRANT, XPMEM_FRAME_STORE },
	{ "grant of more", HELD, HELD, XPMEM_FRAME_EV_GRANT,
	  XPMEM_FRAME_STORE },
	{ "deny of the unwanted", NONE, NONE, XPMEM_FRAME_EV_DENY, 0 },
	{ "deny", WANTED, NONE, XPMEM_FRAME_EV_DENY, 0 },
	{ "deny of more", HELD, HELD, XPMEM_FRAME_EV_DENY, 0 },
	{ "revoke of nothing", NONE, NONE, XPMEM_FRAME_EV_REVOKE,
	  XPMEM_FRAME_ACK },
	{ "revoke during a fetch", WANTED, WANTED, XPMEM_FRAME_EV_REVOKE,
	  XPMEM_FRAME_ACK },
	{ "revoke", HELD, NONE, XPMEM_FRAME_EV_REVOKE,
	  XPMEM_FRAME_ZAP | XPMEM_FRAME_ACK },
	{ "drop of nothing", NONE, NONE, XPMEM_FRAME_EV_DROP, 0 },
	{ "drop during a fetch", WANTED, NONE, XPMEM_FRAME_EV_DROP, 0 },
	{ "drop", HELD, NONE, XPMEM_FRAME_EV_DROP, XPMEM_FRAME_ZAP },
	{ "unknown event", HELD, HELD, 0, 0 },
};

int main(void)
{
	unsigned int k, actions;
	u8 phase;

	for (k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
		phase = table[k].was;
		actions = xpmem_frame_event(&phase, table[k].ev);
		tap_ok(phase == table[k].is && actions == table[k].actions,
		       "frame, %s: phase %u, actions %#x", table[k].name, phase,
		       actions);
	}
	return tap_done();
}
