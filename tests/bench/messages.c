// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to another partition and back, by stores into an attachment:
 * latency, bandwidth in one and in both directions, two pairs at once. Beside
 * TCP between the same two processes, beside the same through an attachment
 * within this partition, and beside memcpy().
 */
#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum beside { TCP, WITHIN, MEMCPY };

/* name, pattern, bytes, pairs, beside what, what it is */
#define GAMES(X)                                                               \
	X("latency-8/tcp", PING_PONG, 8, 1, TCP, "8 bytes" TO_AND_FRO)         \
	X("latency-256/tcp", PING_PONG, 256, 1, TCP, "256 bytes" TO_AND_FRO)   \
	X("latency-4k/tcp", PING_PONG, 4 * KIB, 1, TCP, "4 KiB" TO_AND_FRO)    \
	X("latency-64k/tcp", PING_PONG, 64 * KIB, 1, TCP, "64 KiB" TO_AND_FRO) \
	X("latency-1m/tcp", PING_PONG, MIB, 1, TCP, "1 MiB" TO_AND_FRO)        \
	X("latency-8/local", PING_PONG, 8, 1, WITHIN, "8 bytes" TO_AND_FRO)    \
	X("latency-4k/local", PING_PONG, 4 * KIB, 1, WITHIN,                   \
	  "4 KiB" TO_AND_FRO)                                                  \
	X("latency-1m/local", PING_PONG, MIB, 1, WITHIN, "1 MiB" TO_AND_FRO)   \
	X("latency-1m/memcpy", PING_PONG, MIB, 1, MEMCPY, "1 MiB" TO_AND_FRO)  \
	X("bandwidth-8/tcp", ONE_WAY, 8, 1, TCP, "8 bytes" UNDER_WAY)          \
	X("bandwidth-4k/tcp", ONE_WAY, 4 * KIB, 1, TCP, "4 KiB" UNDER_WAY)     \
	X("bandwidth-64k/tcp", ONE_WAY, 64 * KIB, 1, TCP, "64 KiB" UNDER_WAY)  \
	X("bandwidth-1m/tcp", ONE_WAY, MIB, 1, TCP, "1 MiB" UNDER_WAY)         \
	X("bandwidth-1m/local", ONE_WAY, MIB, 1, WITHIN, "1 MiB" UNDER_WAY)    \
	X("bandwidth-1m/memcpy", ONE_WAY, MIB, 1, MEMCPY, "1 MiB" UNDER_WAY)   \
	X("both-ways-64k/tcp", BOTH_WAYS, 64 * KIB, 1, TCP,                    \
	  "64 KiB" UNDER_WAY ", both ways")                                    \
	X("both-ways-1m/tcp", BOTH_WAYS, MIB, 1, TCP,                          \
	  "1 MiB" UNDER_WAY ", both ways")                                     \
	X("two-pairs-8/tcp", ONE_WAY, 8, 2, TCP,                               \
	  "8 bytes" UNDER_WAY ", two pairs")                                   \
	X("two-pairs-64k/tcp", ONE_WAY, 64 * KIB, 2, TCP,                      \
	  "64 KiB" UNDER_WAY ", two pairs")

#define TO_AND_FRO " to another partition, half a round trip"
#define UNDER_WAY " to another partition, 16 under way"

#define MEASURE(name, pattern, size, pairs, beside, what)                 \
	{ "remote/" name, what,                                           \
	  beside##_WHAT,  PER_MESSAGE(pattern, size) ? "message" : "KiB", \
	  { 0, 0 },	  0 },
#define TCP_WHAT "TCP between the same processes"
#define WITHIN_WHAT "the same within a partition"
#define MEMCPY_WHAT "memcpy() in own memory"

static const struct measure measures[] = { GAMES(MEASURE) };

#define ROW(name, pattern, size, pairs, beside, what) \
	{ "remote/" name, { BY_MEMORY, pattern, size, 0, pairs }, beside },

static const struct row_game {
	const char *name;
	struct game game;
	enum beside beside;
} games[] = { GAMES(ROW) };

/* The other side of the importer, on some partition. */
struct opponent {
	struct peer peer;
	struct exported box;
	struct flow flow;
};

struct context {
	struct opponent there, here;
	const struct row_game *row;
	char *from, *to; /* own memory, for memcpy() */
};

/* Each side exports a box and attaches the other's. */
static void meet(struct opponent *opponent)
{
	struct exported mine = { .size = BOX_SIZE };
	void *box = own_memory(BOX_SIZE), *theirs;

	mine.segid = xpmem_make(box, BOX_SIZE, XPMEM_PERMIT_MODE, (void *)0600);
	need(mine.segid != -1, "xpmem_make: %s", strerror(errno));
	opponent->box = peer_export(&opponent->peer, SMALL_PAGES, BOX_SIZE, -1);
	theirs = attach(permit(&opponent->box), 0, BOX_SIZE);
	touch_write(theirs, BOX_SIZE);
	peer_attach(&opponent->peer, &mine);
	flow_init(&opponent->flow, box, theirs, true);
}

static double play_with(struct context *context, struct opponent *opponent,
			enum way way)
{
	struct game game = context->row->game;

	game.way = way;
	game.rounds = flow_rounds(&game);
	return flow_per_unit(&game, peer_play(&opponent->peer, &opponent->flow,
					      &game));
}

static double by_memory(void *arg)
{
	struct context *context = arg;

	return play_with(context, &context->there, BY_MEMORY);
}

static double by_tcp(void *arg)
{
	struct context *context = arg;

	return play_with(context, &context->there, BY_TCP);
}

static double within(void *arg)
{
	struct context *context = arg;

	return play_with(context, &context->here, BY_MEMORY);
}

static double by_memcpy(void *arg)
{
	struct context *context = arg;
	size_t size = context->row->game.size;
	uint64_t start = now();

	for (unsigned int i = 0; i < WINDOW; i++)
		memcpy(context->to + i * size, context->from + i * size, size);
	return flow_unit(&context->row->game, (double)(now() - start) / WINDOW);
}

static void run(void)
{
	static const probe beside[] = {
		[TCP] = by_tcp,
		[WITHIN] = within,
		[MEMCPY] = by_memcpy,
	};
	static struct context context;
	int fds[MOST_PAIRS];

	context.from = own_memory(WINDOW * MOST_SIZE);
	context.to = own_memory(WINDOW * MOST_SIZE);
	context.here.peer = peer_start();
	meet(&context.here);
	context.there.peer = peer_start_there();
	meet(&context.there);
	peer_connect(&context.there.peer, fds, MOST_PAIRS);
	for (int i = 0; i < MOST_PAIRS; i++)
		context.there.flow.lanes[i].fd = fds[i];
	for (size_t i = 0; i < sizeof(games) / sizeof(*games); i++) {
		context.row = &games[i];
		compare(games[i].name, by_memory, beside[games[i].beside],
			&context);
	}
	peer_end(&context.there.peer);
	peer_end(&context.here.peer);
}

const struct topic messages_topic = {
	"messages",
	"messages to another partition",
	TOPIC_MEASURES(measures),
	run,
	true,
};
