// SPDX-License-Identifier: GPL-2.0-only
/*
 * First touch by two threads, each of its half, on two CPUs, beside one thread
 * that touches all. Twelve times the size of other topics: a host that takes a
 * CPU away for a moment should not decide.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>

static const struct measure measures[] = {
	{ "threads/4k",
	  "two threads, 4 KiB pages",
	  "one thread",
	  "page",
	  { 0.65, 0 },
	  0 },
	{ "threads/2m",
	  "two threads, 2 MiB pages",
	  "one thread",
	  "4 KiB",
	  { 0.65, 0 },
	  0 },
	{ "threads/shared",
	  "two threads, MAP_SHARED",
	  "one thread",
	  "page",
	  { 0, 0 },
	  0 },
};

struct context {
	xpmem_apid_t apid; /* or, if -1, the file */
	int file;
	size_t size;
};

/*
 * The second thread: waits in the barrier, then, spinning, for the start, which
 * waits for it: how long a halted CPU takes to wake up is not what is measured.
 */
static pthread_barrier_t barrier;
static atomic_bool spins, go, done;
static void *half;
static size_t half_size;

static void *second(void *arg)
{
	(void)arg;
	pin(1);
	for (;;) {
		pthread_barrier_wait(&barrier);
		if (!half)
			return NULL;
		spins = true;
		while (!go)
			;
		touch_write(half, half_size);
		done = true;
	}
}

static double touch_by_two(char *at, size_t size)
{
	uint64_t start;

	half = at + size / 2;
	half_size = size / 2;
	spins = go = done = false;
	pthread_barrier_wait(&barrier);
	while (!spins)
		;
	start = now();
	go = true;
	touch_write(at, size / 2);
	while (!done)
		;
	return now() - start;
}

static double touch_by_one(char *at, size_t size)
{
	uint64_t start = now();

	touch_write(at, size);
	return now() - start;
}

static double touch(const struct context *context,
		    double (*by)(char *at, size_t size))
{
	bool xpmem = context->apid != -1;
	void *at = xpmem ? attach(context->apid, 0, context->size) :
			   map_file(context->file, context->size);
	double took = by(at, context->size);

	if (xpmem)
		detach(at);
	else
		unmap(at, context->size);
	return took / (context->size / page_size);
}

static double two(void *context)
{
	return touch(context, touch_by_two);
}

static double one(void *context)
{
	return touch(context, touch_by_one);
}

static void measure(const char *name, enum kind kind)
{
	struct context context = { .apid = -1, .size = 12 * options.size };
	struct exported exported;
	struct peer peer;

	if (!wanted(name))
		return;
	context.file = memory_file(context.size);
	peer = peer_start();
	exported = peer_export(&peer, kind, context.size, context.file);
	if (kind != SHARED_FILE)
		context.apid = permit(&exported);
	if (kind == HUGE_PAGES && exported.huge != context.size)
		absent(name, "not huge: %zu of %zu MiB", exported.huge / MIB,
		       context.size / MIB);
	else
		compare(name, two, one, &context);
	peer_end(&peer);
}

static void run(void)
{
	pthread_t thread;

	if (cpus() < 2) {
		for (size_t i = 0; i < sizeof(measures) / sizeof(*measures);
		     i++)
			absent(measures[i].name, "needs two CPUs");
		return;
	}
	need(!pthread_barrier_init(&barrier, NULL, 2) &&
		     !pthread_create(&thread, NULL, second, NULL),
	     "a second thread");
	measure("threads/4k", SMALL_PAGES);
	measure("threads/2m", HUGE_PAGES);
	measure("threads/shared", SHARED_FILE);
	half = NULL;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

const struct topic threads_topic = {
	"threads", "first touch by two threads", TOPIC_MEASURES(measures), run,
	true,
};
