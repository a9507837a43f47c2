// SPDX-License-Identifier: GPL-2.0-only
/*
 * First touch: one byte of each page of a fresh mapping, by a second process,
 * of memory that the first one has made resident. Reads and writes are
 * measured each beside the same access to MAP_SHARED memory: a read fault there
 * maps 16 pages, a write fault one.
 */
#include "bench.h"

static const struct measure measures[] = {
	{ "touch/4k/write",
	  "attached 4 KiB pages, write",
	  "MAP_SHARED, write",
	  "page",
	  { 0.5, 0.3 },
	  0 },
	{ "touch/4k/read",
	  "attached 4 KiB pages, read",
	  "MAP_SHARED, read",
	  "page",
	  { 0.5, 0.3 },
	  0 },
	{ "touch/4k/write-after-read",
	  "written after all were read",
	  "MAP_SHARED, the same",
	  "page",
	  { 0, 0 },
	  0 },
	{ "touch/2m/write",
	  "attached 2 MiB pages, write",
	  "MAP_SHARED, 4 KiB pages, write",
	  "4 KiB",
	  { 0.35, 0.06 },
	  0 },
	{ "touch/2m/read",
	  "attached 2 MiB pages, read",
	  "MAP_SHARED, 4 KiB pages, read",
	  "4 KiB",
	  { 0.35, 0.06 },
	  0 },
};

enum access { WRITE, READ, UPGRADE };

struct context {
	xpmem_apid_t apid;
	size_t size;
	int file;
	enum access access;
};

static double touch(const struct context *context, void *at)
{
	size_t size = context->size;
	uint64_t start, sum = 0;

	if (context->access == UPGRADE)
		touch_read(at, size);
	start = now();
	if (context->access == READ)
		sum = touch_read(at, size);
	else
		touch_write(at, size);
	start = now() - start;
	if (context->access == READ)
		need(sum == fill_sum(size), "the bytes are wrong");
	return (double)start / (size / page_size);
}

static double touch_attachment(void *arg)
{
	struct context *context = arg;
	void *at = attach(context->apid, 0, context->size);
	double took = touch(context, at);

	detach(at);
	return took;
}

static double touch_shared(void *arg)
{
	struct context *context = arg;
	void *at = map_file(context->file, context->size);
	double took = touch(context, at);

	unmap(at, context->size);
	return took;
}

static void one(const char *measure, struct context *context,
		enum access access)
{
	context->access = access;
	compare(measure, touch_attachment, touch_shared, context);
}

static void run(void)
{
	size_t size = options.size;
	int file = memory_file(size);
	struct peer sharer = peer_start(), small = peer_start(),
		    huge = peer_start();
	struct context context = { .size = size, .file = file };
	struct exported exported;

	peer_export(&sharer, SHARED_FILE, size, file);
	exported = peer_export(&small, SMALL_PAGES, size, -1);
	context.apid = permit(&exported);
	one("touch/4k/write", &context, WRITE);
	one("touch/4k/read", &context, READ);
	one("touch/4k/write-after-read", &context, UPGRADE);
	need(peer_sum(&small) == fill_sum(size),
	     "the exporter's bytes are wrong");

	exported = peer_export(&huge, HUGE_PAGES, size, -1);
	context.apid = permit(&exported);
	if (exported.huge != size) {
		absent("touch/2m/write", "not huge: %zu of %zu MiB",
		       exported.huge / MIB, size / MIB);
		absent("touch/2m/read", "not huge: %zu of %zu MiB",
		       exported.huge / MIB, size / MIB);
	} else {
		one("touch/2m/write", &context, WRITE);
		one("touch/2m/read", &context, READ);
	}
	peer_end(&huge);
	peer_end(&small);
	peer_end(&sharer);
}

const struct topic touch_topic = {
	"touch",
	"first touch of resident memory",
	TOPIC_MEASURES(measures),
	run,
	false,
};
