// SPDX-License-Identifier: GPL-2.0-only
/*
 * Both sides keep storing, each to its own words, through rounds of reclaim.
 * Each word is read back before it is stored to again: a lost store shows as
 * an older value.
 *
 * usage: hammer [MIB [ROUNDS]]
 */
#include "xt.h"

#include <string.h>
#include <sys/utsname.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define GROUP "hammer"
#define ROUND_MS 6000 /* 20 rounds end before anybody stops waiting */

static size_t size = 16 * XT_MIB;
static int rounds = 20;
static atomic_bool *enough; /* shared between leader and child */

static void exporter(void *arg)
{
	_Atomic uint32_t pass;
	uint32_t theirs;
	void *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = xt_map(size);
	xt_fill(mem, size, XT_EVEN, 0);
	xt_fill(mem, size, XT_ODD, 0);
	xt_put("segid", "%#llx", (long long)xt_export(mem, size, 0666));
	xt_await("begin-storing");
	xt_ok(!xt_hammer(mem, size, XT_EVEN, &pass, enough),
	      "no store of p1 is lost");
	xt_ok(pass > 0, "p1 made %u passes", pass);
	xt_put("passes-p1", "%u", pass);
	theirs = xt_await_num("passes-p2");
	xt_ok(!xt_wrong(mem, size, XT_ODD, theirs), "p1 sees p2's last stores");
	xt_await("left");
}

/*
 * A round: one in 32 pages is written to swap, and many more are taken back on
 * the way. What is freed comes back at once, because both sides touch it, and
 * pages that are touched all the time are the last that reclaim takes:
 * memory.current tells nothing here, and more would be a question of speed.
 */
static bool press(void)
{
	long long goal = xt_swapped_out() + size / xt_page / 32;
	long long end = xt_ms() + ROUND_MS;

	while (xt_swapped_out() < goal) {
		if (xt_ms() > end)
			return false;
		xt_group_press(GROUP, size / 4);
	}
	return true;
}

/*
 * Under KASAN and lockdep both sides touch the memory again before a scan is
 * through: how much of it leaves says nothing there.
 */
static bool slow_kernel(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.release, "-debug");
}

static void home(void)
{
	long long revoked = xt_stat("revoked"), swapped = xt_swapped_out();
	int reached = 0;
	pid_t child;

	xt_group_create(GROUP);
	child = xt_spawn(exporter, NULL);
	xt_await("begin-storing");
	for (int round = 0; round < rounds; round++)
		reached += press();
	revoked = xt_stat("revoked") - revoked;
	swapped = xt_swapped_out() - swapped;
	xt_note("%d of %d rounds reached their goal; revoked %lld, swapped %lld pages",
		reached, rounds, revoked, swapped);
	if (slow_kernel())
		xt_skip("every round reaches its goal",
			"a kernel without KASAN");
	else
		xt_ok(reached == rounds, "%d rounds of reclaim", reached);
	xt_ok(swapped >= rounds, "%lld pages went to swap meanwhile", swapped);
	xt_ok(revoked >= rounds, "%lld pages were revoked under the stores",
	      revoked);
	*enough = true;
	xt_put("enough", "1");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void importer(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, size);
	_Atomic uint32_t pass;
	uint32_t theirs;

	(void)arg;
	xt_put("begin-storing", "1");
	xt_ok(!xt_hammer(at, size, XT_ODD, &pass, enough),
	      "no store of p2 is lost");
	xt_ok(pass > 0, "p2 made %u passes", pass);
	xt_put("passes-p2", "%u", pass);
	theirs = xt_await_num("passes-p1");
	xt_ok(!xt_wrong(at, size, XT_EVEN, theirs), "p2 sees p1's last stores");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1)
		size = strtoul(argv[1], NULL, 10) * XT_MIB;
	if (argc > 2)
		rounds = atoi(argv[2]);
	enough = mmap(NULL, sizeof(*enough), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_start("hammer");
	xt_case("storing through reclaim");
	if (xt_me == XT_HOME) {
		home();
	} else if (xt_me == 2) {
		child = xt_spawn(importer, NULL);
		xt_await("enough");
		*enough = true;
		xt_ok(!xt_join(child), "the importer ends well");
		xt_nothing_left("at the end");
	}
	return xt_finish();
}
