// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory is short while importers use it.
 *
 * usage: pressure [MIB]
 *
 * - swap traffic: a page is not written to swap before its writers are gone, so
 *   each page that is reclaimed is written once, although p2 stores all the time.
 * - memory group: a group with a limit of MIB, all of its memory exported, whose
 *   members use twice as much, and the network takes 20 ms both ways together.
 *   Nobody is killed, and nobody spins.
 *
 * Each with both of the kernel's ways to find what is used least.
 */
#include "xt.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define GROUP "exporter"
#define STEPS 16
#define TRIES 64
#define RTT_MS 20

static size_t limit;

static void exporter(void *arg)
{
	char *mem = xt_map(limit);

	(void)arg;
	xt_group_enter(GROUP);
	xt_fill(mem, limit, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, limit, 0666));
	xt_await("left");
	xt_ok(!xt_wrong(mem, limit, XT_EVEN, 1), "p2's stores are there");
}

/* All of the memory once over, in steps; p2 stores to it meanwhile. */
static void press(void)
{
	long long stolen = xt_group_stolen(GROUP), out = xt_swapped_out();
	long long acked = xt_stat("acked"), start = xt_ms();

	for (int i = 0; i < STEPS; i++)
		xt_ok(xt_group_press_all(GROUP, limit / STEPS, TRIES),
		      "reclaim %zu KiB", limit / STEPS / 1024);
	stolen = xt_group_stolen(GROUP) - stolen;
	out = xt_swapped_out() - out;
	xt_note("%lld pages reclaimed in %lld ms, %lld written to swap: %.3f each; %lld acked",
		stolen, xt_ms() - start, out, (double)out / stolen,
		xt_stat("acked") - acked);
	xt_ok(out * 100 <= stolen * 105,
	      "at most 1.05 pages are written for each that is reclaimed");
	xt_ok(xt_stat("acked") - acked >= (long long)(limit / xt_page / 2),
	      "p2 had at least half of them");
}

/* Two lists of folios, or generations: without those, two lists again. */
static void lists(bool lru_gen)
{
	if (!xt_lru_gen(lru_gen) && lru_gen)
		xt_skip("generations", "CONFIG_LRU_GEN");
}

static void traffic(const char *name, bool lru_gen)
{
	struct xt_toucher t = { .size = limit, .store = true };
	xpmem_apid_t apid;
	pid_t child;

	xt_case(name);
	if (xt_me == XT_HOME) {
		lists(lru_gen);
		xt_group_create(GROUP);
		child = xt_spawn(exporter, NULL);
		xt_await("storing");
		press();
		xt_put("pressed", "1");
		xt_ok(!xt_join(child), "the exporter ends well");
		xt_group_destroy(GROUP);
		xt_nothing_left("at the end");
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		t.mem = xt_attach(apid, limit);
		xt_touch_start(&t);
		xt_touch_pass(&t);
		xt_put("storing", "1");
		xt_await("pressed");
		xt_touch_stop(&t);
		xt_ok(!xpmem_release(apid), "xpmem_release");
		xt_put("left", "1");
	}
}

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

/* Everything twice over, in turns with p2. */
static void crowded_exporter(void *arg)
{
	size_t size = 2 * limit;
	long long start = xt_ms();
	struct rusage use;
	char *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = xt_map(size);
	xt_fill(mem, size, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, size, 0666));
	xt_note("p1 has filled it at %lld ms", xt_ms() - start);
	xt_await("stored");
	xt_note("p2 has stored at %lld ms", xt_ms() - start);
	xt_ok(!xt_wrong(mem, size, XT_ODD, 2), "p1 sees p2's bytes");
	xt_fill(mem, size, XT_EVEN, 3);
	xt_note("p1 has stored at %lld ms", xt_ms() - start);
	xt_put("stored-by-p1", "1");
	xt_await("left");
	xt_ok(!getrusage(RUSAGE_SELF, &use), "getrusage");
	xt_note("the exporter: %.1f s, %.1f s of it in the system, %.1f s in user mode",
		(xt_ms() - start) / 1e3, seconds(use.ru_stime),
		seconds(use.ru_utime));
}

struct before {
	long long waits, refused, stolen, out, ms;
};

static struct before look(void)
{
	return (struct before){ xt_vmstat("rmap_external_waits"),
				xt_vmstat("rmap_external_refused"),
				xt_group_stolen(GROUP), xt_swapped_out(),
				xt_ms() };
}

static void crowd_judge(const struct before *b)
{
	struct before now = look();
	long long waits = now.waits - b->waits, stolen = now.stolen - b->stolen;

	xt_note("%.1f s, %lld pages reclaimed, %lld written to swap",
		(now.ms - b->ms) / 1e3, stolen, now.out - b->out);
	xt_ok(xt_group_read_key(GROUP, "memory.events", "oom") == 0,
	      "no limit was missed");
	xt_ok(xt_group_read_key(GROUP, "memory.events", "oom_kill") == 0,
	      "nobody was killed");
	if (!xt_series()) {
		xt_skip("waits are bounded", "the mm series");
		return;
	}
	xt_note("reclaim was refused %lld folios, and waited %lld times",
		now.refused - b->refused, waits);
	/* Each wait is for 32 acknowledgements, or 10 ms. */
	xt_ok(waits <= stolen / 4, "4 pages at least for each wait");
}

static void crowd_home(void)
{
	struct before before;
	char text[32];
	pid_t child;

	xt_group_create(GROUP);
	snprintf(text, sizeof(text), "%zu", limit);
	xt_group_set(GROUP, "memory.max", text);
	before = look();
	xt_delay(RTT_MS / 2);
	child = xt_spawn(crowded_exporter, NULL);
	xt_await("left");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_delay(0);
	crowd_judge(&before);
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void crowd_importer(void)
{
	size_t size = 2 * limit;
	xpmem_apid_t apid;
	char *at;

	xt_delay(RTT_MS / 2);
	apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	at = xt_attach(apid, size);
	xt_ok(!xt_wrong(at, size, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_fill(at, size, XT_ODD, 2);
	xt_put("stored", "1");
	xt_await("stored-by-p1");
	xt_ok(!xt_wrong(at, size, XT_EVEN, 3), "p2 sees p1's later bytes");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_delay(0);
	xt_put("left", "1");
}

static void crowd(const char *name, bool lru_gen)
{
	xt_case(name);
	if (xt_me == XT_HOME) {
		lists(lru_gen);
		crowd_home();
	} else if (xt_me == 2) {
		crowd_importer();
	}
}

int main(int argc, char **argv)
{
	limit = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * XT_MIB;
	xt_start("pressure");
	traffic("swap traffic, two lists", false);
	traffic("swap traffic, generations", true);
	crowd("memory group, two lists", false);
	crowd("memory group, generations", true);
	return xt_finish();
}
