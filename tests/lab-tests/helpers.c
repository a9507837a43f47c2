// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test programs' own means, without the module: partitions meet, a wrong
 * page is found out, faults are caught, memory that nobody attached is
 * reclaimed.
 */
#include "xt.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE (16 * XT_MIB)
#define GROUP "helpers"

static void meeting(void)
{
	char key[32];

	xt_case("meeting");
	snprintf(key, sizeof(key), "from-%d", xt_me);
	xt_put(key, "%d words of %d", xt_me, xt_me);
	for (int id = 1; id <= xt_nodes; id++) {
		char want[32];

		snprintf(key, sizeof(key), "from-%d", id);
		snprintf(want, sizeof(want), "%d words of %d", id, id);
		xt_ok(!strcmp(xt_await(key), want), "p%d's value", id);
	}
	snprintf(key, sizeof(key), "number-%d", xt_me);
	xt_put(key, "%#llx", 0x7fff000000000001LL);
	xt_ok(xt_await_num(key) == 0x7fff000000000001LL, "a number");
	for (int turn = 0; turn < 20; turn++) {
		snprintf(key, sizeof(key), "turn-%d", turn);
		xt_barrier(key);
	}
}

static void child(void *arg)
{
	const char *name = arg;

	xt_put(name, "child");
	xt_await("go");
	xt_ok(true, "a child's check counts");
}

static void children(void)
{
	char name[32];
	pid_t pid;

	xt_case("children");
	snprintf(name, sizeof(name), "child-%d", xt_me);
	pid = xt_spawn(child, name);
	for (int id = 1; id <= xt_nodes; id++) {
		char other[32];

		snprintf(other, sizeof(other), "child-%d", id);
		xt_ok(!strcmp(xt_await(other), "child"), "p%d's child", id);
	}
	if (xt_me == XT_HOME)
		xt_put("go", "1");
	xt_ok(!xt_join(pid), "it ends well");
}

static void words(void)
{
	char *mem = xt_map(16 * xt_page), *huge;

	xt_case("words");
	xt_fill(mem, 16 * xt_page, XT_EVEN, 1);
	xt_fill(mem, 16 * xt_page, XT_ODD, 2);
	xt_ok(!xt_wrong(mem, 16 * xt_page, XT_EVEN, 1), "right ones");
	xt_ok(!xt_wrong(mem, 16 * xt_page, XT_ODD, 2), "of both sides");
	xt_ok(xt_wrong(mem, 16 * xt_page, XT_EVEN, 2) == 8 * xt_page / 8,
	      "another seed is wrong everywhere");
	memcpy(mem, mem + xt_page, xt_page);
	xt_ok(xt_wrong(mem, 16 * xt_page, XT_EVEN, 1) == xt_page / 16,
	      "a page in the wrong place is found");
	xt_ok(xt_frame(mem) && xt_frame(mem) != xt_frame(mem + xt_page),
	      "frames are known");
	munmap(mem, 16 * xt_page);
	huge = xt_map_huge(4 * XT_MIB);
	xt_fill(huge, 4 * XT_MIB, XT_EVEN, 1);
	xt_ok(xt_huge_bytes(huge) == 4 * XT_MIB, "%zu bytes in huge pages",
	      xt_huge_bytes(huge));
	munmap(huge, 4 * XT_MIB);
}

static void faults(void)
{
	char *mem = xt_map(xt_page);
	uint64_t value = 0;

	xt_case("faults");
	xt_ok(!xt_store(mem, 42) && !xt_load(mem, &value) && value == 42,
	      "an access without a fault");
	mprotect(mem, xt_page, PROT_READ);
	xt_ok(xt_store(mem, 43) == SIGSEGV, "a store to read-only memory");
	xt_ok(!xt_load(mem, &value) && value == 42, "it did not happen");
	munmap(mem, xt_page);
	xt_ok(xt_load(mem, NULL) == SIGSEGV, "a load from nothing");
}

static void holder(void *arg)
{
	const char *name = arg;
	char key[40];
	void *mem;

	xt_group_enter(GROUP);
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	snprintf(key, sizeof(key), "%s-filled", name);
	xt_put(key, "1");
	snprintf(key, sizeof(key), "%s-freed", name);
	xt_await(key);
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "its bytes return from swap");
}

/* The figure that attached memory is measured by. */
static void groups(void)
{
	long long freed, start, swapped;
	char name[16], key[40];
	pid_t pid;

	xt_case("groups");
	swapped = xt_swapped_out();
	xt_group_create(GROUP);
	snprintf(name, sizeof(name), "p%d", xt_me);
	pid = xt_spawn(holder, name);
	snprintf(key, sizeof(key), "%s-filled", name);
	xt_await(key);
	start = xt_ms();
	freed = xt_group_reclaim(GROUP, SIZE / 100 * 98, 60000);
	xt_note("not attached: %.1f %% of the frames freed in %lld ms",
		100.0 * freed / SIZE, xt_ms() - start);
	xt_ok(freed >= (long long)(SIZE / 100 * 95), "%.1f %% are freed",
	      100.0 * freed / SIZE);
	xt_ok(xt_swapped_out() - swapped >= (long long)(SIZE / xt_page / 2),
	      "%lld pages went to swap", xt_swapped_out() - swapped);
	xt_ok(xt_group_stat(GROUP, "anon") < (long long)SIZE / 10,
	      "the group's statistics say so");
	snprintf(key, sizeof(key), "%s-freed", name);
	xt_put(key, "1");
	xt_ok(!xt_join(pid), "the holder ends well");
	xt_ok(xt_swapped_in() > 0, "%lld pages came back from swap",
	      xt_swapped_in());
	xt_group_destroy(GROUP);
}

int main(void)
{
	xt_start("helpers");
	meeting();
	children();
	words();
	faults();
	groups();
	return xt_finish();
}
