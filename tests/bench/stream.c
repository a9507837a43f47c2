// SPDX-License-Identifier: GPL-2.0-only
/*
 * The four loops of STREAM over three arrays: in another partition's memory,
 * in an attachment within this partition, in own memory. Results are checked as
 * STREAM does, by what each array must hold after so many rounds.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LOOP(name, what)                                                      \
	{ "remote/stream-" name "/own",                                       \
	  what ", remote memory",                                             \
	  "own memory",                                                       \
	  "KiB",                                                              \
	  { 0, 0 },                                                           \
	  0 },                                                                \
		{ "remote/stream-" name "/local",                             \
		  what ", remote memory",                                     \
		  "attachment within a partition",                            \
		  "KiB",                                                      \
		  { 0, 0 },                                                   \
		  0 },                                                        \
	{                                                                     \
		"remote/stream-" name "-local/own",                           \
			what ", attachment within a partition", "own memory", \
			"KiB", { 0, 0 }, 0                                    \
	}

static const struct measure measures[] = {
	LOOP("copy", "c = a"),
	LOOP("scale", "b = s * c"),
	LOOP("add", "c = a + b"),
	LOOP("triad", "a = b + s * c"),
};

/* s: a and what follows from it stay numbers for as many rounds as one likes */
#define S 0.5

struct arrays {
	double *a, *b, *c;
};

struct context {
	struct arrays remote, local, own;
	struct arrays *figure, *beside;
	size_t count; /* of doubles in an array */
	void (*loop)(const struct arrays *at, size_t count);
	int streams; /* arrays that a loop reads or writes */
};

static void copy(const struct arrays *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at->c[i] = at->a[i];
}

static void scale(const struct arrays *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at->b[i] = S * at->c[i];
}

static void add(const struct arrays *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at->c[i] = at->a[i] + at->b[i];
}

static void triad(const struct arrays *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at->a[i] = at->b[i] + S * at->c[i];
}

static const struct {
	const char *name;
	void (*loop)(const struct arrays *at, size_t count);
	int streams;
} loops[] = {
	{ "copy", copy, 2 },
	{ "scale", scale, 2 },
	{ "add", add, 3 },
	{ "triad", triad, 3 },
};

static double time_of(struct context *context, const struct arrays *at)
{
	size_t kib = context->streams * context->count * sizeof(double) / KIB;
	uint64_t start = now();

	context->loop(at, context->count);
	return (double)(now() - start) / kib;
}

static double figure(void *arg)
{
	struct context *context = arg;

	return time_of(context, context->figure);
}

static double reference(void *arg)
{
	struct context *context = arg;

	return time_of(context, context->beside);
}

/* Three arrays, a third of @at each. */
static struct arrays divide(void *at, size_t count)
{
	struct arrays arrays = { at, (double *)at + count,
				 (double *)at + 2 * count };

	for (size_t i = 0; i < count; i++) {
		arrays.a[i] = i % 100 + 1;
		arrays.b[i] = 2;
		arrays.c[i] = 0;
	}
	return arrays;
}

static struct arrays attached(const struct exported *exported, size_t count)
{
	return divide(attach(permit(exported), 0, exported->size), count);
}

/* All loops in turn, from the same numbers, must end with the same numbers. */
static void check(const struct context *context, struct peer *there)
{
	size_t size = context->count * sizeof(double);
	const struct arrays *far = &context->remote, *near = &context->local;
	struct arrays own = context->own;

	for (int i = 0; i < 3; i++) {
		divide(far->a, context->count);
		divide(near->a, context->count);
		divide(own.a, context->count);
		for (size_t k = 0; k < sizeof(loops) / sizeof(*loops); k++) {
			loops[k].loop(far, context->count);
			loops[k].loop(near, context->count);
			loops[k].loop(&own, context->count);
		}
	}
	need(!memcmp(own.a, far->a, 3 * size) &&
		     !memcmp(own.a, near->a, 3 * size),
	     "the results are wrong");
	need(peer_sum(there) == touch_read(own.a, 3 * size),
	     "the exporter sees other results");
}

static void measure(struct context *context, const char *format,
		    const char *loop, struct arrays *figure_at,
		    struct arrays *beside)
{
	char name[64];

	snprintf(name, sizeof(name), format, loop);
	context->figure = figure_at;
	context->beside = beside;
	compare(name, figure, reference, context);
}

static void run(void)
{
	struct peer here = peer_start(), there = peer_start_there();
	size_t size = 3 * (options.size / 4);
	struct exported far = peer_export(&there, SMALL_PAGES, size, -1);
	struct exported near = peer_export(&here, SMALL_PAGES, size, -1);
	struct context context = { .count = size / 3 / sizeof(double) };
	void *own = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(own != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(own, size, MADV_NOHUGEPAGE);
	context.own = divide(own, context.count);
	context.remote = attached(&far, context.count);
	context.local = attached(&near, context.count);
	check(&context, &there);
	for (size_t i = 0; i < sizeof(loops) / sizeof(*loops); i++) {
		context.loop = loops[i].loop;
		context.streams = loops[i].streams;
		measure(&context, "remote/stream-%s/own", loops[i].name,
			&context.remote, &context.own);
		measure(&context, "remote/stream-%s/local", loops[i].name,
			&context.remote, &context.local);
		measure(&context, "remote/stream-%s-local/own", loops[i].name,
			&context.local, &context.own);
	}
	check(&context, &there);
	peer_end(&there);
	peer_end(&here);
}

const struct topic stream_topic = {
	"stream",
	"STREAM over another partition's memory",
	TOPIC_MEASURES(measures),
	run,
	true,
};
