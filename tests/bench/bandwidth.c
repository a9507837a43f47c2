// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads, stores and copies through an attachment that is mapped already,
 * beside own memory, MAP_SHARED memory and process_vm_readv(2); and the copy of
 * a message that was never seen before.
 */
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

static const struct measure measures[] = {
	{ "load/own",
	  "load through an attachment",
	  "own memory",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "load/shared",
	  "load through an attachment",
	  "MAP_SHARED",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "store/own",
	  "store through an attachment",
	  "own memory",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "store/shared",
	  "store through an attachment",
	  "MAP_SHARED",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "copy/warm",
	  "memcpy from an attachment",
	  "process_vm_readv",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "copy/warm-2m",
	  "memcpy from an attachment, 2 MiB pages",
	  "process_vm_readv",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "copy/first-64k",
	  "attach, memcpy 64 KiB, detach",
	  "process_vm_readv",
	  "KiB",
	  { 0, 0 },
	  0 },
	{ "copy/first-4m",
	  "attach, memcpy 4 MiB, detach",
	  "process_vm_readv",
	  "KiB",
	  { 0, 0 },
	  0 },
};

struct context {
	xpmem_apid_t apid;
	struct exported exported;
	struct peer *exporter;
	size_t size;
	void *attached;
	void *own;
	void *shared;
};

static volatile uint64_t sink;

static double load(const void *at, size_t size)
{
	const uint64_t *words = at;
	uint64_t start = now(), sum = 0;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		sum += words[i];
	sink = sum;
	return (double)(now() - start) / (size / KIB);
}

/* Stores of the machine's word: what memset() does depends on the CPU. */
static double store(void *at, size_t size)
{
	uint64_t *words = at;
	uint64_t start = now();

	for (size_t i = 0; i < size / sizeof(*words); i++)
		*(volatile uint64_t *)&words[i] = i;
	return (double)(now() - start) / (size / KIB);
}

#define PROBE(name, verb, where)                            \
	static double name(void *arg)                       \
	{                                                   \
		struct context *context = arg;              \
		return verb(context->where, context->size); \
	}

PROBE(load_attached, load, attached)
PROBE(load_own, load, own)
PROBE(load_shared, load, shared)
PROBE(store_attached, store, attached)
PROBE(store_own, store, own)
PROBE(store_shared, store, shared)

static double copy_attached(void *arg)
{
	struct context *context = arg;
	uint64_t start = now();

	memcpy(context->own, context->attached, context->size);
	return (double)(now() - start) / (context->size / KIB);
}

static double copy_first(void *arg)
{
	struct context *context = arg;
	uint64_t start = now();
	void *at = attach(context->apid, 0, context->size);

	memcpy(context->own, at, context->size);
	detach(at);
	return (double)(now() - start) / (context->size / KIB);
}

static double copy_by_kernel(void *arg)
{
	struct context *context = arg;
	struct iovec local = { context->own, context->size };
	struct iovec remote = { (void *)(uintptr_t)context->exported.at,
				context->size };
	uint64_t start = now();
	ssize_t got = process_vm_readv(context->exporter->pid, &local, 1,
				       &remote, 1, 0);

	start = now() - start;
	need(got == (ssize_t)context->size, "process_vm_readv: %s",
	     strerror(errno));
	return (double)start / (context->size / KIB);
}

static void copies(struct context *context)
{
	compare("copy/warm", copy_attached, copy_by_kernel, context);
	context->size = 64 * KIB;
	compare("copy/first-64k", copy_first, copy_by_kernel, context);
	context->size = 4 * MIB;
	compare("copy/first-4m", copy_first, copy_by_kernel, context);
	context->size = options.size;
}

static void small(struct context *context)
{
	struct peer exporter = peer_start();

	context->exporter = &exporter;
	context->exported =
		peer_export(&exporter, SMALL_PAGES, context->size, -1);
	context->apid = permit(&context->exported);
	context->attached = attach(context->apid, 0, context->size);
	need(touch_read(context->attached, context->size) ==
		     fill_sum(context->size),
	     "the bytes are wrong");
	touch_write(context->attached, context->size);
	compare("load/own", load_attached, load_own, context);
	compare("load/shared", load_attached, load_shared, context);
	copies(context);
	compare("store/own", store_attached, store_own, context);
	compare("store/shared", store_attached, store_shared, context);
	detach(context->attached);
	peer_end(&exporter);
}

static void huge(struct context *context)
{
	struct peer exporter;

	if (!wanted("copy/warm-2m"))
		return;
	exporter = peer_start();
	context->exporter = &exporter;
	context->exported =
		peer_export(&exporter, HUGE_PAGES, context->size, -1);
	context->apid = permit(&context->exported);
	context->attached = attach(context->apid, 0, context->size);
	touch_write(context->attached, context->size);
	if (context->exported.huge != context->size)
		absent("copy/warm-2m", "not huge: %zu of %zu MiB",
		       context->exported.huge / MIB, context->size / MIB);
	else
		compare("copy/warm-2m", copy_attached, copy_by_kernel, context);
	detach(context->attached);
	peer_end(&exporter);
}

static void run(void)
{
	struct context context = { .size = options.size };

	context.shared = map_file(memory_file(context.size), context.size);
	context.own = mmap(NULL, context.size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(context.own != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(context.own, context.size, MADV_NOHUGEPAGE);
	fill(context.own, context.size);
	fill(context.shared, context.size);
	small(&context);
	huge(&context);
}

const struct topic bandwidth_topic = {
	"bandwidth", "loads, stores and copies", TOPIC_MEASURES(measures), run,
	false,
};
