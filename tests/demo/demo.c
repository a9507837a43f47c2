// SPDX-License-Identifier: GPL-2.0-only
/*
 * The main job, shown: p1 exports memory, p2 stores to it, p1 wants it back,
 * it goes to swap, both touch it again, and every byte is right.
 *
 * A line "@ ..." belongs to the timeline, a line "= ..." to the table; the
 * figures are the counters of module and kernel.
 *
 * usage: demo [MIB]
 */
#include "xt.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define GROUP "exporter"
#define LIMIT_MS 60000
#define SAMPLE_NS 250000000

static size_t size;
static long long zero; /* when both partitions were ready */
static long long verified; /* bytes, by this process */

static const char *const counters[] = {
	"granted",
	"revoked",
	"acked",
	"exported",
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	printf("@ %8.3f s  p%d  %s\n", (xt_ms() - zero) / 1000.0, xt_me, text);
	fflush(stdout);
}

static void __attribute__((format(printf, 2, 3)))
row(const char *what, const char *fmt, ...)
{
	char text[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	printf("= %-28s %s\n", what, text);
	fflush(stdout);
}

/* Every word of one side, or the demo ends here. */
static void verify(const void *mem, enum xt_side side, uint32_t seed)
{
	xt_need(!xt_wrong(mem, size, side, seed), "p%d: every word is right",
		xt_me);
	verified += size / 2;
}

static void exporter(void *arg)
{
	xpmem_segid_t segid;
	void *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = xt_map(size);
	xt_fill(mem, size, XT_EVEN, 1);
	say("exporter: has stored to %zu MiB, %zu pages", size / XT_MIB,
	    size / xt_page);
	segid = xt_export(mem, size, 0600);
	say("exporter: make: segment %#llx", (long long)segid);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("stored");
	verify(mem, XT_ODD, 2);
	say("exporter: sees p2's stores, every word");
	xt_put("seen", "1");
	xt_await("refaulted-2");
	verify(mem, XT_EVEN, 1);
	verify(mem, XT_ODD, 3);
	say("exporter: touches all again: its own words and p2's new ones are right");
	xt_put("verified-1", "%lld", verified);
	xt_await("left");
	xt_need(!xpmem_remove(segid), "xpmem_remove");
	say("exporter: removes the segment");
}

static void sample(long long *values)
{
	xt_stats(counters, values, COUNTERS);
}

/* Shows what changed in the counters, until it is told to stop. */
static void watcher(void *arg)
{
	const struct timespec pause = { .tv_nsec = SAMPLE_NS };
	long long first[COUNTERS], last[COUNTERS], now[COUNTERS];
	long long swapped = xt_swapped_out();
	atomic_bool *stop = arg;
	bool final = false;

	sample(first);
	memcpy(last, first, sizeof(last));
	while (!final) {
		final = *stop;
		sample(now);
		if (memcmp(now, last, sizeof(now)))
			say("kernel: revoked %lld, acked %lld, still exported %lld, swapped %lld",
			    now[1] - first[1], now[2] - first[2], now[3],
			    xt_swapped_out() - swapped);
		memcpy(last, now, sizeof(last));
		nanosleep(&pause, NULL);
	}
}

static long long press(void)
{
	long long began, freed;
	atomic_bool *stop;
	pid_t watch;

	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(stop != MAP_FAILED, "mmap");
	watch = xt_spawn(watcher, stop);
	began = xt_ms();
	say("another process: reclaim %zu MiB of the exporter's group",
	    size / XT_MIB);
	freed = xt_group_reclaim(GROUP, size / 100 * 96, LIMIT_MS);
	*stop = true;
	xt_need(!xt_join(watch), "the watcher ends well");
	say("kernel: %.1f %% of the frames are free (%lld ms)",
	    100.0 * freed / size, xt_ms() - began);
	xt_need(freed >= (long long)(size / 100 * 95),
		"at least 95 %% of the frames are freed");
	return freed;
}

static void table(const long long *first, long long exported, long long swapped,
		  long long refaulted, long long freed)
{
	long long now[COUNTERS];

	sample(now);
	row("pages exported", "%lld", exported);
	row("pages granted in all", "%lld", now[0] - first[0]);
	row("pages revoked", "%lld", now[1] - first[1]);
	row("pages acked", "%lld", now[2] - first[2]);
	row("pages swapped", "%lld", swapped);
	row("pages refaulted", "%lld", refaulted);
	row("frames freed", "%.1f %%", 100.0 * freed / size);
	row("bytes verified", "%lld",
	    xt_await_num("verified-1") + xt_await_num("verified-2"));
	row("wait for an ack, median", "%lld us", xt_stat("wait-median-us"));
	row("wait for an ack, longest", "%lld us", xt_stat("wait-max-us"));
	row("left exported", "%lld", now[3]);
}

static void home(void)
{
	long long first[COUNTERS], swapped, refaulted, exported, freed;
	pid_t child;

	sample(first);
	swapped = xt_swapped_out();
	refaulted = xt_swapped_in();
	xt_group_create(GROUP);
	child = xt_spawn(exporter, NULL);
	xt_await("touched");
	exported = xt_stat("exported");
	say("kernel: granted %lld, exported %lld pages",
	    xt_stat("granted") - first[0], exported);
	xt_await("seen");
	freed = press();
	swapped = xt_swapped_out() - swapped;
	say("kernel: %lld pages went to swap", swapped);
	xt_put("reclaimed", "1");
	xt_need(!xt_join(child), "the exporter ends well");
	refaulted = xt_swapped_in() - refaulted;
	xt_group_destroy(GROUP);
	xt_need(xt_stat_is("exported", 0, 20000), "no page stays exported");
	table(first, exported, swapped, refaulted, freed);
	row("", "OK");
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at;

	say("importer: get: permit %#llx", (long long)apid);
	at = xt_attach(apid, size);
	say("importer: attach: %zu MiB at %p, no page yet", size / XT_MIB, at);
	verify(at, XT_EVEN, 1);
	say("importer: touches all: p1's words are right");
	xt_put("touched", "1");
	xt_fill(at, size, XT_ODD, 2);
	say("importer: has stored words of its own in every page");
	xt_put("stored", "1");
	xt_await("reclaimed");
	say("importer: touches all again");
	verify(at, XT_ODD, 2);
	verify(at, XT_EVEN, 1);
	say("importer: its stores of before survived, and p1's words");
	xt_fill(at, size, XT_ODD, 3);
	xt_put("verified-2", "%lld", verified);
	xt_put("refaulted-2", "1");
	xt_await("verified-1");
	xt_need(!xpmem_detach(at), "xpmem_detach");
	xt_need(!xpmem_release(apid), "xpmem_release");
	say("importer: detach, release");
	xt_put("left", "1");
}

int main(int argc, char **argv)
{
	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * XT_MIB;
	xt_start("demo");
	xt_case("demo");
	zero = xt_ms();
	if (xt_me == XT_HOME)
		home();
	else if (xt_me == 2)
		importer();
	return xt_finish();
}
