// SPDX-License-Identifier: GPL-2.0-only
/*
 * What attach and detach cost, of much and of little address space, among few
 * and among many others, of touched and of untouched memory.
 */
#include "bench.h"

#include <stdlib.h>

#define BATCH 32 /* calls in a sample */
#define MANY 10000
#define LARGE (64 * GIB)
#define SMALL MIB

static const struct measure measures[] = {
	{ "attach/64g",
	  "attach 64 GiB",
	  "attach 1 MiB",
	  "call",
	  { 1.2, 1.2 },
	  0 },
	{ "attach/1m",
	  "attach 1 MiB",
	  "mmap MAP_SHARED 1 MiB",
	  "call",
	  { 0, 0 },
	  0 },
	{ "detach/64g",
	  "detach 64 GiB, untouched",
	  "detach 1 MiB",
	  "call",
	  { 0, 0 },
	  0 },
	{ "detach/1m",
	  "detach 1 MiB, untouched",
	  "munmap MAP_SHARED 1 MiB",
	  "call",
	  { 0, 0 },
	  0 },
	{ "detach/among-10000",
	  "detach one of 10,000",
	  "munmap one of 10,000",
	  "call",
	  { 0, 0 },
	  0 },
	{ "detach/touched-4k",
	  "detach, all touched, 4 KiB pages",
	  "munmap MAP_SHARED, all touched",
	  "page",
	  { 0, 0 },
	  0 },
	{ "detach/touched-2m",
	  "detach, all touched, 2 MiB pages",
	  "munmap MAP_SHARED, all touched",
	  "4 KiB",
	  { 0, 0 },
	  0 },
};

struct context {
	xpmem_apid_t apid;
	int file;
	size_t size;
};

static double attach_some(const struct context *context, size_t size, bool end)
{
	void *at[BATCH];
	uint64_t start = now(), attached, detached;

	for (int i = 0; i < BATCH; i++)
		at[i] = attach(context->apid, 0, size);
	attached = now();
	for (int i = 0; i < BATCH; i++)
		detach(at[i]);
	detached = now();
	return (double)(end ? detached - attached : attached - start) / BATCH;
}

static double map_some(const struct context *context, bool end)
{
	void *at[BATCH];
	uint64_t start = now(), mapped, unmapped;

	for (int i = 0; i < BATCH; i++)
		at[i] = map_file(context->file, SMALL);
	mapped = now();
	for (int i = 0; i < BATCH; i++)
		unmap(at[i], SMALL);
	unmapped = now();
	return (double)(end ? unmapped - mapped : mapped - start) / BATCH;
}

static double attach_large(void *arg)
{
	return attach_some(arg, LARGE, false);
}

static double attach_small(void *arg)
{
	return attach_some(arg, SMALL, false);
}

static double detach_large(void *arg)
{
	return attach_some(arg, LARGE, true);
}

static double detach_small(void *arg)
{
	return attach_some(arg, SMALL, true);
}

static double map_small(void *arg)
{
	return map_some(arg, false);
}

static double unmap_small(void *arg)
{
	return map_some(arg, true);
}

static double detach_touched(void *arg)
{
	struct context *context = arg;
	void *at = attach(context->apid, 0, context->size);
	uint64_t start;

	touch_write(at, context->size);
	start = now();
	detach(at);
	return (double)(now() - start) / (context->size / page_size);
}

static double unmap_touched(void *arg)
{
	struct context *context = arg;
	void *at = map_file(context->file, context->size);
	uint64_t start;

	touch_write(at, context->size);
	start = now();
	unmap(at, context->size);
	return (double)(now() - start) / (context->size / page_size);
}

static double detach_one(void *arg)
{
	struct context *context = arg;
	void *at[BATCH];
	uint64_t start;

	for (int i = 0; i < BATCH; i++)
		at[i] = attach(context->apid, 0, page_size);
	start = now();
	for (int i = 0; i < BATCH; i++)
		detach(at[i]);
	return (double)(now() - start) / BATCH;
}

static double unmap_one(void *arg)
{
	struct context *context = arg;
	void *at[BATCH];
	uint64_t start;

	for (int i = 0; i < BATCH; i++)
		at[i] = map_file(context->file, page_size);
	start = now();
	for (int i = 0; i < BATCH; i++)
		unmap(at[i], page_size);
	return (double)(now() - start) / BATCH;
}

static void among_many(struct context *context)
{
	void **at;

	if (!wanted("detach/among-10000"))
		return;
	at = calloc(MANY, sizeof(*at));
	need(at, "memory for %d addresses", MANY);
	for (int i = 0; i < MANY; i++)
		at[i] = attach(context->apid, 0, page_size);
	compare("detach/among-10000", detach_one, unmap_one, context);
	for (int i = 0; i < MANY; i++)
		detach(at[i]);
	free(at);
}

static void untouched(void)
{
	struct context context = { .file = memory_file(SMALL) };
	struct peer peer = peer_start();
	struct exported exported = peer_export(&peer, RESERVED, LARGE, -1);

	context.apid = permit(&exported);
	compare("attach/64g", attach_large, attach_small, &context);
	compare("attach/1m", attach_small, map_small, &context);
	compare("detach/64g", detach_large, detach_small, &context);
	compare("detach/1m", detach_small, unmap_small, &context);
	among_many(&context);
	peer_end(&peer);
}

static void touched(const char *measure, enum kind kind)
{
	struct context context = { .size = options.size };
	struct exported exported;
	struct peer peer, sharer;

	if (!wanted(measure))
		return;
	context.file = memory_file(context.size);
	peer = peer_start();
	sharer = peer_start();
	peer_export(&sharer, SHARED_FILE, context.size, context.file);
	exported = peer_export(&peer, kind, context.size, -1);
	context.apid = permit(&exported);
	if (kind == HUGE_PAGES && exported.huge != context.size)
		absent(measure, "not huge: %zu of %zu MiB", exported.huge / MIB,
		       context.size / MIB);
	else
		compare(measure, detach_touched, unmap_touched, &context);
	peer_end(&sharer);
	peer_end(&peer);
}

static void run(void)
{
	untouched();
	touched("detach/touched-4k", SMALL_PAGES);
	touched("detach/touched-2m", HUGE_PAGES);
}

const struct topic attach_topic = {
	"attach", "attach and detach", TOPIC_MEASURES(measures), run, false,
};
