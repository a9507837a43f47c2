// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping everything before it is touched: at attach, or later by madvise(2).
 * What a module does not have, or does not do, is not there.
 */
#include "bench.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const struct measure measures[] = {
	{ "populate/attach-4k",
	  "attach and map all, 4 KiB pages",
	  "mmap MAP_SHARED|MAP_POPULATE",
	  "page",
	  { 0, 0 },
	  0 },
	{ "populate/attach-2m",
	  "attach and map all, 2 MiB pages",
	  "mmap MAP_SHARED|MAP_POPULATE",
	  "4 KiB",
	  { 0, 0 },
	  0 },
	{ "populate/madvise-4k",
	  "MADV_POPULATE_WRITE of an attachment",
	  "of MAP_SHARED",
	  "page",
	  { 0, 0 },
	  0 },
};

struct context {
	xpmem_apid_t apid;
	size_t size;
	int file;
};

/* Found at run time: other libraries of this name do not have it. */
typedef void *(*attach_flags_fn)(struct xpmem_addr addr, size_t size,
				 void *vaddr, int flags);

static void *attach_all(const struct context *context)
{
	struct xpmem_addr addr = { .apid = context->apid };
	attach_flags_fn fn =
		(attach_flags_fn)dlsym(RTLD_DEFAULT, "xpmem_attach_flags");
	int flags = 0;

#ifdef XPMEM_ATTACH_POPULATE
	flags = XPMEM_ATTACH_POPULATE;
#endif
	if (!fn || !flags) {
		errno = ENOSYS;
		return (void *)-1;
	}
	return fn(addr, context->size, NULL, flags);
}

/* Faults that touching everything still costs. */
static long faults_left(void *at, size_t size)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	touch_write(at, size);
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

static double populate_attachment(void *arg)
{
	struct context *context = arg;
	uint64_t start = now();
	void *at = attach_all(context);

	start = now() - start;
	need(at != (void *)-1, "xpmem_attach_flags: %s", strerror(errno));
	detach(at);
	return (double)start / (context->size / page_size);
}

static double populate_shared(void *arg)
{
	struct context *context = arg;
	uint64_t start = now();
	void *at = mmap(NULL, context->size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, context->file, 0);

	start = now() - start;
	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	unmap(at, context->size);
	return (double)start / (context->size / page_size);
}

static double advise(const struct context *context, void *at)
{
	uint64_t start = now();

	need(!madvise(at, context->size, MADV_POPULATE_WRITE), "madvise: %s",
	     strerror(errno));
	return (double)(now() - start) / (context->size / page_size);
}

static double advise_attachment(void *arg)
{
	struct context *context = arg;
	void *at = attach(context->apid, 0, context->size);
	double took = advise(context, at);

	detach(at);
	return took;
}

static double advise_shared(void *arg)
{
	struct context *context = arg;
	void *at = map_file(context->file, context->size);
	double took = advise(context, at);

	unmap(at, context->size);
	return took;
}

static void at_attach(const char *measure, struct context *context)
{
	void *at;
	long left;

	if (!wanted(measure))
		return;
	at = attach_all(context);
	if (at == (void *)-1) {
		absent(measure, "xpmem_attach_flags: %s", strerror(errno));
		return;
	}
	left = faults_left(at, context->size);
	detach(at);
	if (left)
		absent(measure, "%ld faults are left after it", left);
	else
		compare(measure, populate_attachment, populate_shared, context);
}

static void by_madvise(const char *measure, struct context *context)
{
	void *at = attach(context->apid, 0, context->size);
	int error = madvise(at, context->size, MADV_POPULATE_WRITE) ? errno : 0;
	long left = error ? 0 : faults_left(at, context->size);

	detach(at);
	if (error)
		absent(measure, "madvise: %s", strerror(error));
	else if (left)
		absent(measure, "%ld faults are left after it", left);
	else
		compare(measure, advise_attachment, advise_shared, context);
}

static void run(void)
{
	struct context context = { .size = options.size };
	struct peer small = peer_start(), huge = peer_start();
	struct exported exported;

	context.file = memory_file(context.size);
	fill(map_file(context.file, context.size), context.size);
	exported = peer_export(&small, SMALL_PAGES, context.size, -1);
	context.apid = permit(&exported);
	at_attach("populate/attach-4k", &context);
	by_madvise("populate/madvise-4k", &context);
	exported = peer_export(&huge, HUGE_PAGES, context.size, -1);
	context.apid = permit(&exported);
	if (exported.huge != context.size)
		absent("populate/attach-2m", "not huge: %zu of %zu MiB",
		       exported.huge / MIB, context.size / MIB);
	else
		at_attach("populate/attach-2m", &context);
	peer_end(&huge);
	peer_end(&small);
}

const struct topic populate_topic = {
	"populate",
	"mapping before the first touch",
	TOPIC_MEASURES(measures),
	run,
	false,
};
