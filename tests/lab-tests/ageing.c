// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim takes what no importer uses before what one does, and what nobody uses
 * as fast as memory that is not exported.
 *
 * usage: ageing [MIB [REPEATS [idle]]]; 0 repeats leave the second half out, idle
 * the first one
 *
 * p1: the exporter, in a group of its own, and the leader that reclaims half of
 * that group. p2, or a process of p1: the importer. It touches every page once, and
 * then every other block of them all the time. The exporter itself touches nothing.
 */
#include "xt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROUP "exporter"
#define BLOCK 32 /* pages that come back from swap together */
#define STEPS 8
#define TRIES 64
#define MAX_REPEATS 31

static size_t size;
static int repeats;

static bool is_used(size_t page)
{
	return page / BLOCK % 2 == 0;
}

/* Blocks begin where the home's do. */
static char *map_aligned(void)
{
	char *mem = xt_map(size + BLOCK * xt_page);

	return mem + (-(uintptr_t)mem & (BLOCK * xt_page - 1));
}

static size_t resident(const char *mem, bool used)
{
	size_t found = 0;

	for (size_t page = 0; page < size / xt_page; page++)
		if (is_used(page) == used)
			found += xt_frame(mem + page * xt_page) != 0;
	return found;
}

static void exporter(void *arg)
{
	char *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = map_aligned();
	xt_fill(mem, size, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, size, 0666));
	xt_await("count");
	xt_put("used", "%zu", resident(mem, true));
	xt_put("idle", "%zu", resident(mem, false));
	xt_await("left");
	xt_ok(!xt_wrong(mem, size, XT_EVEN, 1), "the bytes are right");
}

/* What went first? */
static void judge(long long stolen)
{
	long long half = size / xt_page / 2;
	long long used = xt_await_num("used"), idle = xt_await_num("idle");
	long long idle_gone = half - idle;

	xt_note("%lld pages used, %lld idle; %lld reclaimed", half, half,
		stolen);
	xt_note("still there: %.1f %% of the used, %.1f %% of the idle",
		100.0 * used / half, 100.0 * idle / half);
	xt_note("of what was reclaimed, %.1f %% was idle",
		100.0 * idle_gone / stolen);
	xt_ok(stolen * 10 >= half * 9, "reclaim took what was asked for");
	xt_ok(idle * 20 <= half, "at most 5 %% of the idle pages are left");
	xt_ok(used * 20 >= half * 19, "at least 95 %% of the used ones are");
	/* By chance it were half of it; what is used returns when it is taken. */
	xt_ok(idle_gone * 100 >= stolen * 65,
	      "at least 65 %% of what reclaim took was idle");
}

static void importer(void *arg);

static void home(bool local)
{
	pid_t child, user = 0;
	long long start;
	char key[16];

	xt_group_create(GROUP);
	child = xt_spawn(exporter, NULL);
	if (local)
		user = xt_spawn(importer, NULL);
	xt_await("using");
	start = xt_group_stolen(GROUP);
	for (int i = 0; i < STEPS; i++) {
		xt_group_press_all(GROUP, size / 2 / STEPS, TRIES);
		snprintf(key, sizeof(key), "pass%d", i);
		xt_put(key, "1");
		snprintf(key, sizeof(key), "passed%d", i);
		xt_await(key);
	}
	xt_put("count", "1");
	judge(xt_group_stolen(GROUP) - start);
	xt_put("judged", "1");
	xt_ok(!xt_join(child), "the exporter ends well");
	if (local)
		xt_ok(!xt_join(user), "the importer ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void importer(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	struct xt_toucher t = { .size = size, .wanted = is_used };
	char key[16];

	(void)arg;
	t.mem = xt_attach(apid, size);
	xt_ok(!xt_wrong(t.mem, size, XT_EVEN, 1), "it sees the bytes");
	xt_touch_start(&t);
	xt_touch_pass(&t);
	xt_put("using", "1");
	for (int i = 0; i < STEPS; i++) {
		snprintf(key, sizeof(key), "pass%d", i);
		xt_await(key);
		xt_touch_pass(&t);
		snprintf(key, sizeof(key), "passed%d", i);
		xt_put(key, "1");
	}
	xt_await("judged");
	xt_touch_stop(&t);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void survives(const char *name, bool lru_gen, bool local)
{
	xt_case(name);
	if (xt_me == XT_HOME) {
		if (!xt_lru_gen(lru_gen) && lru_gen)
			xt_skip("used pages survive", "CONFIG_LRU_GEN");
		home(local);
	} else if (xt_me == 2 && !local) {
		importer(NULL);
	}
}

/*
 * Nobody uses it: memory that p2 has touched, and the same that it let go of
 * before.
 */
static void idle_exporter(void *arg)
{
	char *mem, key[24];

	(void)arg;
	xt_group_enter(GROUP);
	mem = map_aligned();
	xt_fill(mem, size, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, size, 0666));
	for (int i = 0; i < 2 * repeats; i++) {
		snprintf(key, sizeof(key), "fill%d", i);
		xt_await(key);
		xt_fill(mem, size, XT_EVEN, 1);
		snprintf(key, sizeof(key), "filled%d", i);
		xt_put(key, "1");
	}
	xt_await("left");
}

struct round {
	double ms;
	double scanned; /* looks at a page, per page freed */
	long long waits; /* for acknowledgements */
};

static struct round press(void)
{
	long long scan = xt_group_stat(GROUP, "pgscan");
	long long waits = xt_vmstat("rmap_external_waits");
	long long steal = xt_group_stolen(GROUP), start = xt_ms();
	/* What a group holds is known late, what reclaim took at once. */
	bool all = xt_group_press_all(GROUP, size / 100 * 95, TRIES);
	struct round r = { .ms = xt_ms() - start };

	xt_ok(all, "%.1f %% of the frames are reclaimed",
	      100.0 * xt_page * (xt_group_stolen(GROUP) - steal) / size);
	r.waits = xt_vmstat("rmap_external_waits") - waits;
	r.scanned = (double)(xt_group_stat(GROUP, "pgscan") - scan) /
		    (xt_group_stolen(GROUP) - steal);
	return r;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Even rounds: exported; odd ones: private. */
static void idle_home(void)
{
	double ratio[MAX_REPEATS], more[MAX_REPEATS];
	double took[2][MAX_REPEATS];
	struct round r[2];
	char key[24];
	pid_t child;

	xt_group_create(GROUP);
	child = xt_spawn(idle_exporter, NULL);
	for (int i = 0; i < 2 * repeats; i++) {
		snprintf(key, sizeof(key), "fill%d", i);
		xt_put(key, "1");
		snprintf(key, sizeof(key), i % 2 ? "filled%d" : "touched%d", i);
		xt_await(key);
		r[i % 2] = press();
		took[i % 2][i / 2] = r[i % 2].ms;
		snprintf(key, sizeof(key), "pressed%d", i);
		xt_put(key, "1");
		if (i % 2 == 0)
			continue;
		ratio[i / 2] = r[0].ms / r[1].ms;
		more[i / 2] = r[0].scanned - r[1].scanned;
		xt_note("exported %.0f ms, private %.0f ms: %.2f; looks at a page %.2f, %.2f; waits %lld, %lld",
			r[0].ms, r[1].ms, ratio[i / 2], r[0].scanned,
			r[1].scanned, r[0].waits, r[1].waits);
	}
	xt_note("idle exported / idle private: %.2f, median of %d; %.0f ms, %.0f ms",
		median(ratio, repeats), repeats, median(took[0], repeats),
		median(took[1], repeats));
	/* How long that takes is a matter of the network. */
	xt_ok(median(more, repeats) <= 2,
	      "an idle exported page is looked at %.2f times more, 2 at most",
	      median(more, repeats));
	xt_put("done", "1");
	xt_await("left");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void idle_importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, size), key[24];

	for (int i = 0; i < 2 * repeats; i += 2) {
		snprintf(key, sizeof(key), "filled%d", i);
		xt_await(key);
		xt_ok(!xt_wrong(at, size, XT_EVEN, 1), "p2 sees the bytes");
		snprintf(key, sizeof(key), "touched%d", i);
		xt_put(key, "1");
		snprintf(key, sizeof(key), "pressed%d", i);
		xt_await(key);
	}
	xt_await("done");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void idle(const char *name, bool lru_gen)
{
	xt_case(name);
	if (xt_me == XT_HOME) {
		xt_lru_gen(lru_gen);
		idle_home();
	} else if (xt_me == 2) {
		idle_importer();
	}
}

int main(int argc, char **argv)
{
	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 16) * XT_MIB;
	repeats = argc > 2 ? atoi(argv[2]) : 3;
	if (argc > 3 && strcmp(argv[3], "idle")) {
		fprintf(stderr, "ageing: not \"idle\": %s\n", argv[3]);
		return 2;
	}
	if (repeats > MAX_REPEATS)
		repeats = MAX_REPEATS;
	xt_start("ageing");
	if (argc <= 3) {
		survives("used by p2, two lists", false, false);
		survives("used by p2, generations", true, false);
		survives("used on p1, two lists", false, true);
		survives("used on p1, generations", true, true);
	}
	if (repeats > 0) {
		idle("idle, two lists", false);
		idle("idle, generations", true);
	}
	return xt_finish();
}
