/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages between two processes: by loads and stores through attachments, by
 * TCP, or, in a program of its own, by MPI. One code plays all of them, on both
 * sides, so that only what carries a message differs.
 */
#ifndef FLOW_H
#define FLOW_H

#include "bench.h"

#define MOST_PAIRS 2
#define WINDOW 16 /* messages that are under way before a reply */
#define MOST_SIZE MIB

enum way { BY_MEMORY, BY_TCP, BY_MPI, WAYS };
enum pattern { PING_PONG, ONE_WAY, BOTH_WAYS };

struct game {
	enum way way;
	enum pattern pattern;
	uint32_t size; /* of a message, a multiple of 8 */
	uint32_t rounds;
	uint32_t pairs; /* of threads, one on each side */
};

/* A pair's part of a box: what the other side writes for it. */
struct mailbox {
	char touched[64]; /* of whoever touches each page */
	_Alignas(64) uint64_t arrived; /* number of the last message */
	_Alignas(64) uint64_t replied; /* number of the last reply */
	_Alignas(4096) char slots[WINDOW][MOST_SIZE];
};

#define BOX_SIZE (MOST_PAIRS * sizeof(struct mailbox))

/* One side's part of a pair. */
struct lane {
	struct mailbox *mine, *theirs;
	int fd; /* TCP */
	char *source; /* what is sent */
	uint64_t sent, received, replies;
	const struct game *game;
	bool first; /* the side that measures, and that sends if one does */
};

/* A figure is the time of a message where it is latency, or short; else of a KiB. */
#define PER_MESSAGE(pattern, size) ((pattern) == PING_PONG || (size) < KIB)

/* How a message is carried. Slots are where the receiver wants it. */
struct carrier {
	void (*send)(struct lane *lane, unsigned int slot);
	void (*receive)(struct lane *lane, unsigned int slot);
	void (*reply)(struct lane *lane);
	void (*await_reply)(struct lane *lane);
	/* All messages of a window, both ways at once. */
	void (*both)(struct lane *lane);
};

extern const struct carrier *carriers[WAYS]; /* BY_MPI: its program's */

struct flow {
	struct lane lanes[MOST_PAIRS];
};

/* @box and @theirs: BOX_SIZE bytes of own and of attached memory. */
void flow_init(struct flow *flow, void *box, void *theirs, bool first);
/* Forgets what was received; the other side plays once both have done so. */
void flow_prepare(struct flow *flow, const struct game *game);
/* Nanoseconds it took. */
uint64_t flow_play(struct flow *flow, const struct game *game);
/* Rounds of a game that takes some milliseconds. */
uint32_t flow_rounds(const struct game *game);
/* The figure of a game that took so long; of a message that did. */
double flow_per_unit(const struct game *game, double took);
double flow_unit(const struct game *game, double each);
/* Every byte that this side received in the last window. */
void flow_verify(struct flow *flow, const struct game *game);

/* peer.c: sockets to the peer; and a game with it, which takes so long. */
void peer_connect(struct peer *peer, int *fds, int count);
uint64_t peer_play(struct peer *peer, struct flow *mine,
		   const struct game *game);

/* Where a message begins and ends stands its number. */
void stamp(struct lane *lane);
void check_stamp(struct lane *lane, unsigned int slot);

#endif
