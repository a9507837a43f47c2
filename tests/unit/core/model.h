/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world that the explorer walks through: one page, its home and up to two
 * importers, with everything that is under way between them.  model.c has the
 * steps, pack.c their short form, check.c what must hold, explore.c the search
 * and the picture.
 */
#ifndef XPMEM_TEST_MODEL_H
#define XPMEM_TEST_MODEL_H

#include "entry.h"
#include "frame.h"
#include "peer.h"

#define IMPORTERS 2
#define CHANNEL_MAX 8

/* A message is a byte: its type, and below it a revoke number or OPEN. */
enum msg_type {
	MSG_FETCH = 1,
	MSG_GRANT = 2,
	MSG_BUSY = 3,
	MSG_REVOKE = 4,
	MSG_ACK = 5,
	MSG_PUT = 6,
	MSG_BYE = 7,
	MSG_REVOKE_OTHER = 8, /* of another page */
	MSG_ACK_OTHER = 9,
};

#define MSG(type, arg) ((u8)((type) << 4 | (arg)))
#define MSG_TYPE(m) ((enum msg_type)((m) >> 4))
#define MSG_ARG(m) ((m)&15)
#define OPEN 1 /* the importer still waits for the answer to this fetch */

/* What the home still has to tell the export entry about a peer. */
enum walk {
	WALK_NONE = 0,
	WALK_LOST = 1,
	WALK_PUT = 2,
	WALK_FENCED = 3,
};

/* An ordered stream of messages. */
struct channel {
	u8 n;
	u8 m[CHANNEL_MAX];
};

/**
 * struct importer - one importing partition, and the home's view of it
 * @peer:     home: enum xpmem_peer_phase of its slot
 * @walk:     home: enum walk
 * @open:     home: fetches taken off @up, still to be served, answer awaited
 * @closed:   likewise, answer not awaited any more
 * @conn:     the connection carries messages
 * @alive:    importer: it has a session and no reason to doubt it
 * @phase:    importer: enum xpmem_frame_phase
 * @mapped:   importer: may be mapped in a process
 * @revoking: importer: number of the revoke that is being carried out, or 0
 * @other:    importer: @revoking is about another page
 * @zapping:  importer: the core asked for a zap, which has not happened yet
 * @down:     home to importer
 * @up:       importer to home
 */
struct importer {
	u8 peer;
	u8 walk;
	u8 open;
	u8 closed;
	u8 conn;
	u8 alive;
	u8 phase;
	u8 mapped;
	u8 revoking;
	u8 other;
	u8 zapping;
	struct channel down;
	struct channel up;
};

/**
 * struct world - everything
 * @entry: the home's export entry; its seq is a rank, see renumber()
 * @seq:   the home's revoke number, likewise
 * @gone:  the exporter has let go of the page
 * @imp:   the importers
 */
struct world {
	struct xpmem_entry_state entry;
	u8 seq;
	u8 gone;
	struct importer imp[IMPORTERS];
};

/* Steps up to STEP_LAST_FAIR happen by themselves, sooner or later. */
enum step_kind {
	STEP_IMPORTER_RECV,
	STEP_ZAP,
	STEP_HOME_RECV,
	STEP_SERVE_OPEN,
	STEP_SERVE_CLOSED,
	STEP_SEND_REVOKE,
	STEP_HOME_LOSS,
	STEP_IMPORTER_LOSS,
	STEP_WALK,
	STEP_LAST_FAIR = STEP_WALK,
	STEP_TOUCH,
	STEP_DETACH,
	STEP_BYE,
	STEP_BREAK,
	STEP_FENCE,
	STEP_OPEN,
	STEP_REVOKE_OTHER,
	STEP_RECLAIM, /* this and the rest: no importer concerned */
	STEP_LET_GO,
	STEP_EXPORT,
	STEP_COUNT,
};

struct step {
	u8 kind;
	u8 i;
};

/* What the core answered during a step. */
struct outcome {
	unsigned int entry;
	unsigned int frame;
};

/* Mistakes that can be seeded, one at a time. */
enum mutation {
	MUT_NONE,
	MUT_ACK_ON_SENT,
	MUT_RELEASE_ON_LOSS,
	MUT_GRANT_WHILE_REVOKING,
	MUT_ACCEPT_STALE_GRANT,
	MUT_ACK_BEFORE_ZAP,
	MUT_OLD_ACK_COUNTS,
	MUT_FENCE_WITHOUT_CUT,
	MUT_SEND_REORDER,
	MUT_ACK_BY_NUMBER,
	MUT_PUT_BEFORE_UNMAP,
	MUT_SERVE_WITHOUT_SESSION,
	MUT_OPEN_BEFORE_WALK,
	MUT_LOSE_LOST,
	MUT_NO_ACK_WHEN_NOT_HELD,
	MUT_COUNT,
};

/**
 * struct config - how much of the world to look at
 * @importers: 1 or 2
 * @channel:   messages that one channel holds
 * @fetches:   fetches of one importer under way at a time
 * @others:    revokes of another page under way at a time, per importer
 * @mutation:  the seeded mistake
 */
struct config {
	u8 importers;
	u8 channel;
	u8 fetches;
	u8 others;
	enum mutation mutation;
};

/* A world in 56 bytes, the same for worlds that differ in nothing. */
struct packed {
	u64 w[3 * IMPORTERS + 1];
};

void model_init(const struct config *cfg, struct world *w);
bool model_step(const struct config *cfg, const struct world *from,
		struct step s, struct world *to, struct outcome *out);
u64 model_lost(const struct config *cfg, const struct world *w);
unsigned int model_fetches(const struct importer *p);

void renumber(struct world *w);
void pack(const struct world *w, struct packed *p);
bool pack_canonical(const struct config *cfg, const struct world *w,
		    struct packed *p);
void unpack(const struct packed *p, struct world *w);

/* NULL, or what is wrong. */
const char *check_step(const struct config *cfg, const struct world *from,
		       struct step s, const struct world *to,
		       const struct outcome *out);
const char *check_state(const struct config *cfg, const struct world *w);
const char *check_rest(const struct config *cfg, const struct world *w);

void trace_head(const struct config *cfg);
void trace_step(const struct config *cfg, unsigned int n,
		const struct world *from, struct step s, const struct world *to,
		unsigned int swapped);

#endif
