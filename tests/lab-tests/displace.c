// SPDX-License-Identifier: GPL-2.0-only
/*
 * The home's kernel takes pages away in its rarer ways, while p2 stores to them all
 * the time: on a NUMA hint fault, when memory goes offline, for a device, and for a
 * probe.
 *
 *	p1 (home)			p2
 *	---------			--
 *	fills, exports			fills its words
 *					stores to every page, again and again
 *	takes all pages away
 *	checks every word		stops, checks every word
 *	stores				sees that
 */
#include "xt.h"
#include "xt-machine.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES 64
#define SIZE (PAGES * 4096UL)
#define PATIENCE_MS 120000
#define TAKES 64

static char *mem;
static int touches;

static int count_on(int node)
{
	return xt_count_on(mem, PAGES, node);
}

/* p2 has touched every page since; @more: and goes on. */
static void touch_again(bool more)
{
	char key[24];

	snprintf(key, sizeof(key), "touch%d", touches);
	xt_put(key, "%d", more);
	snprintf(key, sizeof(key), "touched%d", touches++);
	xt_await(key);
}

/* A way to take pages away; false if it was skipped. */
typedef bool (*displacer)(void);

/* Stays on its CPU, and so on its node: which one. */
static int stay_on_node(void)
{
	unsigned int cpu;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	xt_need(!syscall(SYS_getcpu, &cpu, NULL, NULL), "getcpu");
	CPU_SET(cpu, &cpus);
	xt_need(!sched_setaffinity(0, sizeof(cpus), &cpus), "pin to CPU %u",
		cpu);
	/* It may have been moved before it was pinned. */
	return xt_node();
}

/*
 * p1 on one node, its pages on the other.  A scan takes the entries away, a touch then
 * moves the page: one of p1's, or of p2's, for which p1 faults.
 */
static bool by_hint_faults(void)
{
	long long end = xt_ms() + PATIENCE_MS, faults, moved;
	cpu_set_t everywhere;
	int node;

	if (access(XT_NODE1, F_OK) || !xt_write_text(XT_BALANCING, "1")) {
		xt_skip("moved by NUMA hint faults",
			"a second NUMA node and CONFIG_NUMA_BALANCING");
		return false;
	}
	xt_balance_soon();
	xt_need(!sched_getaffinity(0, sizeof(everywhere), &everywhere),
		"sched_getaffinity");
	node = stay_on_node();
	xt_move_to(mem, PAGES, !node);
	faults = xt_vmstat("numa_hint_faults");
	moved = xt_vmstat("numa_pages_migrated");
	/* Scanning takes CPU time of its own: this is the load. */
	while (count_on(node) < PAGES / 2 && xt_ms() < end)
		for (int i = 0; i < PAGES; i++)
			(void)*(volatile char *)(mem + i * xt_page);
	xt_write_text(XT_BALANCING, "0");
	sched_setaffinity(0, sizeof(everywhere), &everywhere);
	faults = xt_vmstat("numa_hint_faults") - faults;
	moved = xt_vmstat("numa_pages_migrated") - moved;
	xt_note("%lld hint faults, %lld pages moved", faults, moved);
	xt_ok(faults > 0 && moved >= PAGES / 2 && count_on(node) >= PAGES / 2,
	      "half of the pages follow their users");
	return true;
}

static bool by_offlining(void)
{
	char path[96];
	int block = xt_block_find(path, sizeof(path));
	long long revoked;
	size_t there;
	bool gone;

	if (block < 0) {
		xt_skip("moved by offlining",
			"CONFIG_MEMORY_HOTREMOVE and a block of memory that can go");
		return false;
	}
	xt_move_to(mem, PAGES, 1);
	there = xt_count_in_block(mem, PAGES, block);
	xt_ok(there > 0, "%zu of %d pages are in block %d", there, PAGES,
	      block);
	touch_again(true);
	revoked = xt_stat("revoked");
	gone = xt_write_text(path, "offline");
	xt_ok(gone, "block %d goes offline", block);
	xt_ok(xt_stat("revoked") > revoked, "%lld pages were revoked",
	      xt_stat("revoked") - revoked);
	xt_ok(!xt_count_in_block(mem, PAGES, block),
	      "none of the pages is in it");
	if (gone)
		xt_ok(xt_write_text(path, "online_movable"), "and comes back");
	return true;
}

/*
 * The device takes all pages, several times; p2 takes them back. Some refuse because
 * p2's touch holds them for a moment.
 */
static bool by_device(const char *what, unsigned long request)
{
	static char copy[SIZE];
	long long revoked = xt_stat("revoked");
	int fd = xt_hmm_open(), taken = 0;
	size_t wrong = 0;

	if (fd < 0) {
		xt_skip(what, "test_hmm.ko (CONFIG_TEST_HMM)");
		return false;
	}
	for (int i = 0; i < TAKES; i++) {
		if (xt_hmm_take(fd, request, mem, copy, PAGES)) {
			taken++;
			wrong += xt_wrong(copy, SIZE, XT_EVEN, 1) +
				 xt_wrong(copy, SIZE, XT_ODD, 2);
		}
		if (i % 8 == 7)
			touch_again(true);
	}
	close(fd);
	xt_ok(taken > 0, "the device had all pages, %d of %d times", taken,
	      TAKES);
	xt_ok(!wrong, "and all words were right");
	xt_ok(xt_stat("revoked") > revoked, "%lld pages were revoked",
	      xt_stat("revoked") - revoked);
	return true;
}

static bool by_migrate_vma(void)
{
	return by_device("moved to a device", XT_HMM_MIGRATE_TO_DEV);
}

static bool by_exclusive_access(void)
{
	return by_device("used by a device alone", XT_HMM_EXCLUSIVE);
}

static void home(displacer displace)
{
	xpmem_segid_t segid;

	touches = 0;
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("storing");
	displace();
	touch_again(false);
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "p1 has its words");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "p1 has p2's words");
	xt_fill(mem, SIZE, XT_EVEN, 3);
	xt_put("stored", "1");
	xt_await("left");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	xt_nothing_left("at the end");
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	struct xt_toucher t = { .size = SIZE, .store = true };
	bool more = true;
	char key[24];

	t.mem = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(t.mem, SIZE, XT_EVEN, 1), "p2 has p1's words");
	xt_fill(t.mem, SIZE, XT_ODD, 2);
	xt_touch_start(&t);
	xt_touch_pass(&t);
	xt_put("storing", "1");
	for (int i = 0; more; i++) {
		snprintf(key, sizeof(key), "touch%d", i);
		more = xt_await_num(key);
		xt_touch_pass(&t);
		if (!more)
			xt_touch_stop(&t);
		snprintf(key, sizeof(key), "touched%d", i);
		xt_put(key, "1");
	}
	xt_await("stored");
	xt_ok(!xt_wrong(t.mem, SIZE, XT_EVEN, 3), "p2 sees p1's later words");
	xt_ok(!xt_wrong(t.mem, SIZE, XT_ODD, 2), "p2 keeps its words");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void displaced(const char *name, displacer displace)
{
	xt_case(name);
	if (xt_me == XT_HOME)
		home(displace);
	else if (xt_me == 2)
		importer();
}

#define NOP 0x90
#define INT3 0xcc

/*
 * The probe gives p1 a page of its own, with its breakpoint; what p2 sees is what p1
 * has, before, with, and after it.
 */
static void probed_home(void)
{
	int fd = memfd_create("xpmem-probed", MFD_CLOEXEC), event;
	static unsigned char text[4096];
	long long revoked;
	char path[64];

	memset(text, NOP, sizeof(text));
	xt_need(fd >= 0 && write(fd, text, sizeof(text)) == sizeof(text),
		"a memory file");
	mem = mmap(NULL, sizeof(text), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
		   0);
	xt_need(mem != MAP_FAILED, "mmap of the file");
	xt_put("segid", "%#llx", (long long)xt_export(mem, xt_page, 0444));
	xt_await("seen0");
	revoked = xt_stat("revoked");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	event = xt_probe(path, 0);
	if (event < 0 && errno == ENODEV)
		xt_skip("probed", "CONFIG_UPROBE_EVENTS");
	else
		xt_ok((unsigned char)mem[0] == INT3 &&
			      xt_stat("revoked") > revoked,
		      "a probe is set, and the page was revoked");
	xt_put("byte1", "%d", (unsigned char)mem[0]);
	xt_await("seen1");
	if (event >= 0)
		close(event);
	xt_ok((unsigned char)mem[0] == NOP, "the probe is gone");
	xt_put("byte2", "%d", (unsigned char)mem[0]);
	xt_await("left");
	xpmem_remove(xt_await_num("segid"));
	munmap(mem, sizeof(text));
	close(fd);
	xt_nothing_left("at the end");
}

static void probed_importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDONLY);
	volatile unsigned char *at = xt_attach(apid, xt_page);

	xt_ok(at[0] == NOP && at[1] == NOP, "p2 sees p1's bytes");
	xt_put("seen0", "1");
	xt_ok(xt_await_num("byte1") == at[0] && at[1] == NOP,
	      "p2 sees what p1 sees with the probe");
	xt_put("seen1", "1");
	xt_ok(xt_await_num("byte2") == at[0] && at[1] == NOP, "and without it");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void probed(void)
{
	xt_case("probe");
	if (xt_me == XT_HOME)
		probed_home();
	else if (xt_me == 2)
		probed_importer();
}

int main(void)
{
	xt_start("displace");
	displaced("NUMA hint faults", by_hint_faults);
	displaced("offlining", by_offlining);
	displaced("migrate_vma", by_migrate_vma);
	displaced("device-exclusive access", by_exclusive_access);
	probed();
	return xt_finish();
}
