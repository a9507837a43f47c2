// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and stores of another partition's memory through an attachment, beside
 * the same of memory of this partition: through an attachment, too, and own
 * memory. Bandwidth, latency, atomics, random access, copies, first touch.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE 64
#define EQUAL { 1.05, 0 }, 0.95
#define ANY { 0, 0 }, 0
#define BOTH(name, what, unit, budget)                                    \
	{ "remote/" name "/local", what, "attachment within a partition", \
	  unit, budget },                                                 \
	{                                                                 \
		"remote/" name "/own", what, "own memory", unit, ANY      \
	}

static const struct measure measures[] = {
	BOTH("load", "load in turn, remote memory", "KiB", EQUAL),
	BOTH("store", "store in turn, remote memory", "KiB", EQUAL),
	BOTH("load-latency", "one load after the other, remote memory", "load",
	     EQUAL),
	BOTH("atomic", "one fetch-and-add after the other, remote memory",
	     "store", EQUAL),
	BOTH("gups", "random updates of remote memory", "update", ANY),
	BOTH("copy-from", "memcpy from remote memory", "KiB", ANY),
	BOTH("copy-to", "memcpy to remote memory", "KiB", ANY),
};

static const struct measure touches[] = {
	{ "remote/touch/local", "first touch of remote memory",
	  "first touch, attachment within a partition", "page", ANY },
};

/*
 * Memory is gone through in pieces, one of it and one of what it stands beside in
 * turn. A sample is the median piece of each: what the host does meanwhile meets
 * some of them, and both kinds alike.
 */
#define PIECES 32

struct context {
	struct exported far, near; /* on the other partition; on this one */
	char *remote, *local, *own, *buffer;
	size_t size;
	double (*access)(struct context *context, char *at, unsigned int piece);
	char *beside;
};

static volatile uint64_t sink;

/* --- bandwidth: nanoseconds a KiB */

static double load(struct context *context, char *at, unsigned int piece)
{
	size_t count = context->size / PIECES / sizeof(uint64_t);
	const uint64_t *words = (uint64_t *)at + piece * count;
	uint64_t start = now(), sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += words[i];
	sink = sum;
	return (double)(now() - start) / (count * sizeof(*words) / KIB);
}

/* Word for word: what memset() does depends on the CPU. */
static double store(struct context *context, char *at, unsigned int piece)
{
	size_t count = context->size / PIECES / sizeof(uint64_t);
	volatile uint64_t *words = (uint64_t *)at + piece * count;
	uint64_t start = now();

	for (size_t i = 0; i < count; i++)
		words[i] = i;
	return (double)(now() - start) / (count * sizeof(*words) / KIB);
}

static double copy_from(struct context *context, char *at, unsigned int piece)
{
	size_t size = context->size / PIECES;
	uint64_t start = now();

	memcpy(context->buffer + piece * size, at + piece * size, size);
	return (double)(now() - start) / (size / KIB);
}

static double copy_to(struct context *context, char *at, unsigned int piece)
{
	size_t size = context->size / PIECES;
	uint64_t start = now();

	memcpy(at + piece * size, context->buffer + piece * size, size);
	return (double)(now() - start) / (size / KIB);
}

/* --- latency: each line says where the next one is */

#define STEPS 2048 /* in a piece */

struct line {
	_Alignas(LINE) uint64_t next; /* index of another line */
	uint64_t count;
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One cycle through all lines (Sattolo). */
static void make_cycle(char *at, size_t size)
{
	struct line *lines = (void *)at;
	uint64_t state = 88172645463325252ULL;

	for (size_t i = 0; i < size / LINE; i++)
		lines[i].next = i;
	for (size_t i = size / LINE - 1; i; i--) {
		size_t k = random_next(&state) % i;
		uint64_t next = lines[i].next;

		lines[i].next = lines[k].next;
		lines[k].next = next;
	}
}

/* Each piece follows the cycle from another line. */
static uint64_t first_line(const struct context *context, unsigned int piece)
{
	return piece * (context->size / LINE / PIECES);
}

static double load_latency(struct context *context, char *at,
			   unsigned int piece)
{
	const volatile struct line *lines = (void *)at;
	uint64_t i = first_line(context, piece), start = now();

	for (int step = 0; step < STEPS; step++)
		i = lines[i].next;
	sink = i;
	return (double)(now() - start) / STEPS;
}

/* The old count is part of the way to the next line: it is the same in all. */
static double atomic_latency(struct context *context, char *at,
			     unsigned int piece)
{
	struct line *lines = (void *)at;
	uint64_t i = first_line(context, piece), start = now();

	for (int step = 0; step < STEPS; step++) {
		uint64_t old = __atomic_fetch_add(&lines[i].count, 1,
						  __ATOMIC_SEQ_CST);

		i = lines[i + (old >> 63)].next;
	}
	sink = i;
	return (double)(now() - start) / STEPS;
}

/* --- random access: the same updates twice leave the table as it was */

#define UPDATES 2048 /* in a piece */

static void update(struct context *context, char *at, unsigned int piece)
{
	uint64_t *table = (void *)at, state = 1234567890123456789ULL + piece;
	size_t mask = context->size / sizeof(*table) - 1;

	for (int i = 0; i < UPDATES; i++) {
		uint64_t value = random_next(&state);

		table[value & mask] ^= value;
	}
}

static double random_access(struct context *context, char *at,
			    unsigned int piece)
{
	uint64_t start = now();

	update(context, at, piece);
	update(context, at, piece);
	return (double)(now() - start) / (2 * UPDATES);
}

/* --- figure and reference */

static void both(void *arg, double *figure, double *reference)
{
	struct context *context = arg;
	double f[PIECES], r[PIECES];

	for (unsigned int i = 0; i < PIECES; i++) {
		/* Neither always comes second, with the caches of the first. */
		if (i & 1)
			f[i] = context->access(context, context->remote, i);
		r[i] = context->access(context, context->beside, i);
		if (!(i & 1))
			f[i] = context->access(context, context->remote, i);
	}
	*figure = spread_of(f, PIECES).median;
	*reference = spread_of(r, PIECES).median;
}

static void measure(struct context *context, const char *name,
		    double (*access)(struct context *, char *, unsigned int))
{
	char full[64];

	context->access = access;
	context->beside = context->local;
	snprintf(full, sizeof(full), "remote/%s/local", name);
	compare_pairs(full, both, context);
	context->beside = context->own;
	snprintf(full, sizeof(full), "remote/%s/own", name);
	compare_pairs(full, both, context);
}

/* What the exporters see now is what stands in own memory. */
static void check(struct context *context, struct peer *there,
		  struct peer *here, const char *after)
{
	uint64_t sum = touch_read(context->own, context->size);

	need(!memcmp(context->own, context->remote, context->size) &&
		     !memcmp(context->own, context->local, context->size) &&
		     peer_sum(there) == sum && peer_sum(here) == sum,
	     "after %s the bytes are wrong", after);
}

static void all(struct context *context, void (*does)(struct context *, char *))
{
	does(context, context->remote);
	does(context, context->local);
	does(context, context->own);
}

static void cycle(struct context *context, char *at)
{
	memset(at, 0, context->size);
	make_cycle(at, context->size);
}

static void store_all(struct context *context, char *at)
{
	for (unsigned int i = 0; i < PIECES; i++)
		store(context, at, i);
}

static void update_all(struct context *context, char *at)
{
	for (unsigned int i = 0; i < PIECES; i++)
		update(context, at, i);
}

/* --- first touch */

static double touch_first(const struct exported *exported)
{
	xpmem_apid_t apid = permit(exported);
	void *at = attach(apid, 0, exported->size);
	uint64_t start = now(), sum = touch_read(at, exported->size);

	start = now() - start;
	need(sum == fill_sum(exported->size), "the bytes are wrong");
	detach(at);
	need(!xpmem_release(apid), "xpmem_release: %s", strerror(errno));
	return (double)start / (exported->size / page_size);
}

static double touch_far(void *arg)
{
	return touch_first(&((struct context *)arg)->far);
}

static double touch_near(void *arg)
{
	return touch_first(&((struct context *)arg)->near);
}

/* --- the topic */

static void set_up(struct context *context, struct peer *there,
		   struct peer *here)
{
	context->far = peer_export(there, SMALL_PAGES, context->size, -1);
	context->near = peer_export(here, SMALL_PAGES, context->size, -1);
	context->own = own_memory(context->size);
	context->buffer = own_memory(context->size);
	context->remote = attach(permit(&context->far), 0, context->size);
	context->local = attach(permit(&context->near), 0, context->size);
	touch_write(context->remote, context->size);
	touch_write(context->local, context->size);
	check(context, there, here, "the first touch");
}

static void run(void)
{
	struct context context = { .size = options.size };
	struct peer here = peer_start(), there = peer_start_there();

	/* random_access() masks */
	while (context.size & (context.size - 1))
		context.size &= context.size - 1;
	set_up(&context, &there, &here);
	measure(&context, "load", load);
	measure(&context, "store", store);
	all(&context, store_all);
	check(&context, &there, &here, "storing");
	measure(&context, "copy-from", copy_from);
	measure(&context, "copy-to", copy_to);
	all(&context, cycle);
	measure(&context, "load-latency", load_latency);
	check(&context, &there, &here, "following a cycle");
	measure(&context, "atomic", atomic_latency);
	all(&context, cycle);
	all(&context, update_all);
	check(&context, &there, &here, "random updates");
	measure(&context, "gups", random_access);
	check(&context, &there, &here, "more of them");
	peer_end(&there);
	peer_end(&here);
}

static void run_touch(void)
{
	struct context context = { .size = options.size };
	struct peer here = peer_start(), there = peer_start_there();

	context.far = peer_export(&there, SMALL_PAGES, context.size, -1);
	context.near = peer_export(&here, SMALL_PAGES, context.size, -1);
	compare("remote/touch/local", touch_far, touch_near, &context);
	peer_end(&there);
	peer_end(&here);
}

const struct topic access_topic = {
	"access",
	"loads and stores of another partition's memory",
	TOPIC_MEASURES(measures),
	run,
	true,
};

const struct topic access_touch_topic = {
	"first-touch",
	"first touch of another partition's memory",
	TOPIC_MEASURES(touches),
	run_touch,
	true,
};
