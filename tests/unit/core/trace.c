// SPDX-License-Identifier: GPL-2.0-only
/* A path through the model, one column per partition. */
#include <stdio.h>

#include "model.h"

#define COLUMN 38

static const char *const msg_names[16] = {
	[MSG_FETCH] = "FETCH",
	[MSG_GRANT] = "GRANT",
	[MSG_BUSY] = "BUSY",
	[MSG_REVOKE] = "REVOKE",
	[MSG_ACK] = "ACK",
	[MSG_PUT] = "PUT",
	[MSG_BYE] = "BYE",
	[MSG_REVOKE_OTHER] = "REVOKE(other page)",
	[MSG_ACK_OTHER] = "ACK(other page)",
};

static const char *const step_names[STEP_COUNT] = {
	[STEP_IMPORTER_RECV] = "receives",
	[STEP_ZAP] = "unmaps, acknowledges",
	[STEP_HOME_RECV] = "receives",
	[STEP_SERVE_OPEN] = "serves fetch",
	[STEP_SERVE_CLOSED] = "serves old fetch",
	[STEP_SEND_REVOKE] = "sends revoke",
	[STEP_HOME_LOSS] = "sees the session lost",
	[STEP_IMPORTER_LOSS] = "sees the session lost",
	[STEP_WALK] = "tells the entry of",
	[STEP_TOUCH] = "touches",
	[STEP_DETACH] = "detaches",
	[STEP_BYE] = "says bye",
	[STEP_BREAK] = "connection breaks",
	[STEP_FENCE] = "administrator fences",
	[STEP_OPEN] = "opens a session with",
	[STEP_REVOKE_OTHER] = "revokes another page of",
	[STEP_RECLAIM] = "wants the page back",
	[STEP_LET_GO] = "exporter lets go",
	[STEP_EXPORT] = "exports a page again",
};

static const char *const phases[] = { "FREE", "GRANTED", "REVOKING",
				      "ORPHANED" };
static const char *const frames[] = { "none", "wanted", "held" };
static const char *const walks[] = { "", " (lost)", " (gone)", " (fenced)" };

static bool at_importer(u8 kind)
{
	return kind == STEP_IMPORTER_RECV || kind == STEP_ZAP ||
	       kind == STEP_IMPORTER_LOSS || kind == STEP_TOUCH ||
	       kind == STEP_DETACH || kind == STEP_BYE;
}

void trace_head(const struct config *cfg)
{
	printf("#      %-*s %-*s %s\n", COLUMN + 8, "home", COLUMN,
	       "importer 1", cfg->importers > 1 ? "importer 2" : "");
}

static void describe(const struct world *from, struct step s, char *buf,
		     size_t size, unsigned int name)
{
	const struct importer *p = &from->imp[s.i];
	const char *what = step_names[s.kind];
	u8 msg = s.kind == STEP_IMPORTER_RECV ? p->down.m[0] : p->up.m[0];

	if (s.kind == STEP_IMPORTER_RECV)
		snprintf(buf, size, "%s %s%s", what, msg_names[msg >> 4],
			 (MSG_TYPE(msg) == MSG_GRANT ||
			  MSG_TYPE(msg) == MSG_BUSY) &&
					 !MSG_ARG(msg) ?
				 " (not awaited)" :
				 "");
	else if (s.kind == STEP_HOME_RECV)
		snprintf(buf, size, "%u: %s %s", name, what,
			 msg_names[msg >> 4]);
	else if (at_importer(s.kind) || s.kind >= STEP_RECLAIM)
		snprintf(buf, size, "%s", what);
	else
		snprintf(buf, size, "%u: %s%s", name, what,
			 s.kind == STEP_WALK ? walks[p->walk] : "");
}

/* @swapped: the worlds' first importer is the one called 2. */
void trace_step(const struct config *cfg, unsigned int n,
		const struct world *from, struct step s, const struct world *to,
		unsigned int swapped)
{
	unsigned int name = 1 + (s.i ^ swapped), k;
	char text[80], cell[128];

	describe(from, s, text, sizeof(text), name);
	snprintf(cell, sizeof(cell), "%s%s[%s]",
		 at_importer(s.kind) ? "" : text,
		 at_importer(s.kind) ? "" : " ", phases[to->entry.phase]);
	printf("# %3u  %-*s", n, COLUMN + 8, cell);
	for (k = 0; k < cfg->importers; k++) {
		const struct importer *p = &to->imp[k ^ swapped];
		bool here = at_importer(s.kind) && name == k + 1;

		snprintf(cell, sizeof(cell), "%s%s[%s%s]", here ? text : "",
			 here ? " " : "", frames[p->phase],
			 p->mapped ? ", mapped" : "");
		printf(" %-*s", k + 1 < cfg->importers ? COLUMN : 0, cell);
	}
	printf("\n");
}
