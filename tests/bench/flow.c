// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: what both sides do with messages, whoever carries them.
 */
#include "flow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct carrier by_memory, by_tcp;

const struct carrier *carriers[WAYS] = {
	[BY_MEMORY] = &by_memory,
	[BY_TCP] = &by_tcp,
};

/* The words of a message between its first and its last. */
static uint64_t word(const struct lane *lane, bool from_first, size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ULL + 2 * (lane->game->size / 8) +
	       from_first;
}

static uint64_t *last_word(void *message, uint32_t size)
{
	return (uint64_t *)((char *)message + size) - 1;
}

void stamp(struct lane *lane)
{
	uint64_t number = ++lane->sent;

	*(uint64_t *)lane->source = number;
	*last_word(lane->source, lane->game->size) = number;
}

void check_stamp(struct lane *lane, unsigned int slot)
{
	char *at = lane->mine->slots[slot];
	uint64_t number = ++lane->received;

	need(*(uint64_t *)at == number &&
		     *last_word(at, lane->game->size) == number,
	     "message %llu of %u bytes is not what was sent",
	     (unsigned long long)number, lane->game->size);
}

/* --- by loads and stores */

#define LOOKS 100000 /* between looks at the clock */
#define PATIENCE 60000000000ULL

static void pause_cpu(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

/* Acquire: the partner of announce(). */
static void await_word(const uint64_t *at, uint64_t number)
{
	uint64_t start = now();

	for (;;) {
		for (int i = 0; i < LOOKS; i++) {
			if (__atomic_load_n(at, __ATOMIC_ACQUIRE) >= number)
				return;
			pause_cpu();
		}
		need(now() - start < PATIENCE, "no message %llu",
		     (unsigned long long)number);
	}
}

/* Release: whoever sees the number sees what was stored before. */
static void announce(uint64_t *at, uint64_t number)
{
	__atomic_store_n(at, number, __ATOMIC_RELEASE);
}

static void memory_send(struct lane *lane, unsigned int slot)
{
	stamp(lane);
	memcpy(lane->theirs->slots[slot], lane->source, lane->game->size);
	announce(&lane->theirs->arrived, lane->sent);
}

static void memory_receive(struct lane *lane, unsigned int slot)
{
	await_word(&lane->mine->arrived, lane->received + 1);
	check_stamp(lane, slot);
}

static void memory_reply(struct lane *lane)
{
	announce(&lane->theirs->replied, lane->received);
}

static void memory_await_reply(struct lane *lane)
{
	await_word(&lane->mine->replied, lane->sent);
}

static void memory_both(struct lane *lane)
{
	for (unsigned int i = 0; i < WINDOW; i++)
		memory_send(lane, i);
	for (unsigned int i = 0; i < WINDOW; i++)
		memory_receive(lane, i);
}

static const struct carrier by_memory = {
	memory_send,	    memory_receive, memory_reply,
	memory_await_reply, memory_both,
};

/* --- by TCP */

static void tcp_send(struct lane *lane, unsigned int slot)
{
	(void)slot;
	stamp(lane);
	send_all(lane->fd, lane->source, lane->game->size);
}

static void tcp_receive(struct lane *lane, unsigned int slot)
{
	need(receive_all(lane->fd, lane->mine->slots[slot], lane->game->size),
	     "the other side is gone: %s", strerror(errno));
	check_stamp(lane, slot);
}

static void tcp_reply(struct lane *lane)
{
	send_all(lane->fd, &lane->received, sizeof(lane->received));
}

static void tcp_await_reply(struct lane *lane)
{
	uint64_t number;

	need(receive_all(lane->fd, &number, sizeof(number)) &&
		     number == lane->sent,
	     "a wrong reply");
}

static void *tcp_receive_window(void *arg)
{
	for (unsigned int i = 0; i < WINDOW; i++)
		tcp_receive(arg, i);
	return NULL;
}

/* Whoever only sends, while the other side does, waits for it forever. */
static void tcp_both(struct lane *lane)
{
	pthread_t receiver;

	need(!pthread_create(&receiver, NULL, tcp_receive_window, lane),
	     "a thread that receives");
	for (unsigned int i = 0; i < WINDOW; i++)
		tcp_send(lane, i);
	pthread_join(receiver, NULL);
}

static const struct carrier by_tcp = {
	tcp_send, tcp_receive, tcp_reply, tcp_await_reply, tcp_both,
};

/* --- patterns */

static void ping_pong(const struct carrier *by, struct lane *lane)
{
	for (uint32_t i = 0; i < lane->game->rounds; i++) {
		if (lane->first)
			by->send(lane, 0);
		by->receive(lane, 0);
		if (!lane->first)
			by->send(lane, 0);
	}
}

static void one_way(const struct carrier *by, struct lane *lane)
{
	for (uint32_t i = 0; i < lane->game->rounds; i++) {
		for (unsigned int k = 0; k < WINDOW; k++) {
			if (lane->first)
				by->send(lane, k);
			else
				by->receive(lane, k);
		}
		if (lane->first)
			by->await_reply(lane);
		else
			by->reply(lane);
	}
}

static void both_ways(const struct carrier *by, struct lane *lane)
{
	for (uint32_t i = 0; i < lane->game->rounds; i++) {
		by->both(lane);
		by->reply(lane);
		by->await_reply(lane);
	}
}

static void play(struct lane *lane)
{
	const struct carrier *by = carriers[lane->game->way];

	switch (lane->game->pattern) {
	case PING_PONG:
		ping_pong(by, lane);
		break;
	case ONE_WAY:
		one_way(by, lane);
		break;
	case BOTH_WAYS:
		both_ways(by, lane);
		break;
	}
}

/* --- a game */

void flow_init(struct flow *flow, void *box, void *theirs, bool first)
{
	for (int i = 0; i < MOST_PAIRS; i++) {
		struct lane *lane = &flow->lanes[i];

		*lane = (struct lane){
			.mine = (struct mailbox *)box + i,
			.theirs = (struct mailbox *)theirs + i,
			.fd = -1,
			.source = malloc(MOST_SIZE),
			.first = first,
		};
		need(lane->source, "no memory");
		lane->mine->arrived = lane->mine->replied = 0;
	}
}

/* How many slots a game fills. */
static unsigned int used(const struct game *game)
{
	return game->pattern == PING_PONG ? 1 : WINDOW;
}

void flow_prepare(struct flow *flow, const struct game *game)
{
	for (uint32_t i = 0; i < game->pairs; i++) {
		struct lane *lane = &flow->lanes[i];
		uint64_t *words = (uint64_t *)lane->source;

		lane->game = game;
		for (size_t k = 0; k < game->size / sizeof(*words); k++)
			words[k] = word(lane, lane->first, k);
		for (unsigned int k = 0; k < used(game); k++)
			memset(lane->mine->slots[k], 0, game->size);
	}
}

static pthread_barrier_t start;

/* The first side's first thread is on CPU 0, the second side's on another. */
static void *other_lane(void *arg)
{
	struct lane *lane = arg;

	pin(lane->first ? other_cpu() : 0);
	pthread_barrier_wait(&start);
	play(lane);
	return NULL;
}

static uint64_t play_pairs(struct flow *flow, uint32_t pairs)
{
	pthread_t thread[MOST_PAIRS];
	uint64_t since;

	need(!pthread_barrier_init(&start, NULL, pairs), "a barrier");
	for (uint32_t i = 1; i < pairs; i++)
		need(!pthread_create(&thread[i], NULL, other_lane,
				     &flow->lanes[i]),
		     "a second thread");
	pthread_barrier_wait(&start);
	since = now();
	play(&flow->lanes[0]);
	for (uint32_t i = 1; i < pairs; i++)
		pthread_join(thread[i], NULL);
	since = now() - since;
	pthread_barrier_destroy(&start);
	return since;
}

uint64_t flow_play(struct flow *flow, const struct game *game)
{
	uint64_t since;

	if (game->pairs > 1)
		return play_pairs(flow, game->pairs);
	since = now();
	play(&flow->lanes[0]);
	return now() - since;
}

uint32_t flow_rounds(const struct game *game)
{
	bool one = game->pattern == PING_PONG;

	if (game->way != BY_MEMORY)
		return !one ? 1 : game->size < MIB ? 10 : 2;
	if (game->size < 64 * KIB)
		return one ? 2000 : 100;
	return game->size < MIB ? 100 : 8;
}

double flow_unit(const struct game *game, double each)
{
	bool message = PER_MESSAGE(game->pattern, game->size);

	return message ? each : each / (game->size / KIB);
}

/* Messages that went the way whose time is told. */
static double messages_of(const struct game *game)
{
	switch (game->pattern) {
	case PING_PONG:
		return 2.0 * game->rounds;
	case ONE_WAY:
		break;
	case BOTH_WAYS:
		return 2.0 * game->rounds * WINDOW;
	}
	return (double)game->rounds * WINDOW * game->pairs;
}

double flow_per_unit(const struct game *game, double took)
{
	return flow_unit(game, took / messages_of(game));
}

static void verify_slot(struct lane *lane, unsigned int slot)
{
	const uint64_t *words = (uint64_t *)lane->mine->slots[slot];
	size_t count = lane->game->size / sizeof(*words);

	for (size_t i = 1; i + 1 < count; i++)
		need(words[i] == word(lane, !lane->first, i),
		     "word %zu of a message of %zu words is wrong", i, count);
}

void flow_verify(struct flow *flow, const struct game *game)
{
	for (uint32_t i = 0; i < game->pairs; i++) {
		struct lane *lane = &flow->lanes[i];

		if (game->pattern == ONE_WAY && lane->first)
			continue;
		for (unsigned int k = 0; k < used(game); k++)
			verify_slot(lane, k);
	}
}
