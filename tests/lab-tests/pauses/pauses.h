/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pauses: an importer stops at every step of the protocol. What its files share.
 *
 * p1 is the home. p3 and up are victims, each in a state of its own; p2 is a
 * bystander, and then a victim that was granted nothing.
 */
#ifndef PAUSES_H
#define PAUSES_H

#include "../xt-lab.h"
#include "../xt.h"

#define PAGES 64
#define SIZE (PAGES * 4096UL)
#define BYSTANDER 2
#define FIRST 3
#define MAX_NODES 8
#define PATIENCE_MS 120000 /* for what has no bound but "soon" */
#define ROUND_MS (20LL * deadline_ms + 4 * PATIENCE_MS) /* a whole round */

/* How far the protocol has come, for one importer, when it is stopped. */
enum state {
	NONE, /* attached, nothing touched: no export entry */
	FETCH, /* a fetch is under way, or, in each second round, its grant */
	HELD, /* granted, and the importer stores */
	REVOKE, /* a revoke is under way */
	ACK, /* an acknowledgement is under way */
	PUT, /* the importer has detached; that is under way */
	CLOSING, /* the home, in each second round the importer, closes */
	STATES
};

/* For how long. */
struct kind {
	const char *name;
	int ms; /* 0: for good */
	bool lasting; /* longer than the deadline */
};

struct round {
	int number;
	struct kind kind;
	bool other_way; /* the second meaning of a state */
};

extern int deadline_ms;
extern const char *const state_names[STATES];

static inline int heartbeat(void)
{
	return deadline_ms / 20;
}

/* The state in which partition @id is stopped. */
enum state state_of(int id);
/* Names of events beside the network, as arguments of xt_flag(). */
#define FLAG "pauses-%d-%d-%s"

void home_init(void);
void home_round(const struct round *r);
void home_end(void);
void victim_init(void);
void victim_round(const struct round *r);

/* others.c: who has nothing to do with it. */
void others_start(void); /* on p1 */
long long others_turns(void);
void others_end(void);
void others_remote(void *arg); /* on p2, as a child */
void grab_start(const uint64_t *frames, size_t count);
void grab_end(void);

#endif
