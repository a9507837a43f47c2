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

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define PAGES 64
#define SIZE (PAGES * 4096UL)
#define PATIENCE_MS 120000
#define TAKES 64
#define NODE1 "/sys/devices/system/node/node1"
#define NUMA "/sys/kernel/debug/sched/numa_balancing/"

/* lib/test_hmm_uapi.h of Linux 6.12 */
struct hmm_cmd {
	uint64_t addr, ptr, npages, cpages, faults;
};
#define HMM_MIGRATE_TO_DEV _IOWR('H', 0x02, struct hmm_cmd)
#define HMM_EXCLUSIVE _IOWR('H', 0x05, struct hmm_cmd)

static char *mem;
static int touches;

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	bool good = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return good;
}

/* Where are the pages?  Their nodes, or minus an errno. */
static void nodes_of(int *nodes)
{
	void *pages[PAGES];

	for (int i = 0; i < PAGES; i++)
		pages[i] = mem + i * xt_page;
	xt_need(!syscall(SYS_move_pages, 0, PAGES, pages, NULL, nodes, 0),
		"ask for the nodes of the pages");
}

static int count_on(int node)
{
	int nodes[PAGES], count = 0;

	nodes_of(nodes);
	for (int i = 0; i < PAGES; i++)
		count += nodes[i] == node;
	return count;
}

/* A page that somebody holds for a moment is left where it is: again. */
static void move_all_to(int node)
{
	long long end = xt_ms() + PATIENCE_MS;
	int to[PAGES], status[PAGES];
	void *pages[PAGES];

	for (int i = 0; i < PAGES; i++) {
		pages[i] = mem + i * xt_page;
		to[i] = node;
	}
	while (count_on(node) < PAGES) {
		xt_need(xt_ms() < end, "move all pages to node %d", node);
		syscall(SYS_move_pages, 0, PAGES, pages, to, status, 2);
	}
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

/* Asks the kernel: its vDSO keeps the node that a CPU was given first (AMD, numa=fake). */
static void where_am_i(unsigned int *cpu, unsigned int *node)
{
	xt_need(!syscall(SYS_getcpu, cpu, node, NULL), "getcpu");
}

/* Stays on its CPU, and so on its node: which one. */
static int stay_on_node(void)
{
	unsigned int cpu, node;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	where_am_i(&cpu, &node);
	CPU_SET(cpu, &cpus);
	xt_need(!sched_setaffinity(0, sizeof(cpus), &cpus), "pin to CPU %u",
		cpu);
	/* It may have been moved before it was pinned. */
	where_am_i(&cpu, &node);
	return node;
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

	if (access(NODE1, F_OK) ||
	    !write_text("/proc/sys/kernel/numa_balancing", "1")) {
		xt_skip("moved by NUMA hint faults",
			"a second NUMA node and CONFIG_NUMA_BALANCING");
		return false;
	}
	write_text(NUMA "scan_period_min_ms", "20");
	write_text(NUMA "scan_period_max_ms", "100");
	write_text(NUMA "scan_delay_ms", "20");
	xt_need(!sched_getaffinity(0, sizeof(everywhere), &everywhere),
		"sched_getaffinity");
	node = stay_on_node();
	move_all_to(!node);
	faults = xt_vmstat("numa_hint_faults");
	moved = xt_vmstat("numa_pages_migrated");
	/* Scanning takes CPU time of its own: this is the load. */
	while (count_on(node) < PAGES / 2 && xt_ms() < end)
		for (int i = 0; i < PAGES; i++)
			(void)*(volatile char *)(mem + i * xt_page);
	write_text("/proc/sys/kernel/numa_balancing", "0");
	sched_setaffinity(0, sizeof(everywhere), &everywhere);
	faults = xt_vmstat("numa_hint_faults") - faults;
	moved = xt_vmstat("numa_pages_migrated") - moved;
	xt_note("%lld hint faults, %lld pages moved", faults, moved);
	xt_ok(faults > 0 && moved >= PAGES / 2 && count_on(node) >= PAGES / 2,
	      "half of the pages follow their users");
	return true;
}

static long block_pages(void)
{
	FILE *in = fopen("/sys/devices/system/memory/block_size_bytes", "re");
	long bytes = 0;

	if (in && fscanf(in, "%lx", &bytes) != 1)
		bytes = 0;
	if (in)
		fclose(in);
	return bytes / (long)xt_page;
}

/*
 * A block of node 1 that can go offline, made movable, so that what is moved to the
 * node goes there: its number, or -1.
 */
static int movable_block(char *path, size_t size)
{
	DIR *dir = opendir(NODE1);
	struct dirent *entry;
	int block = -1;

	while (dir && block < 0 && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "memory%d", &block) != 1)
			continue;
		snprintf(path, size, NODE1 "/memory%d/state", block);
		/* Blocks that the kernel itself uses stay. */
		if (!write_text(path, "offline") ||
		    !write_text(path, "online_movable"))
			block = -1;
	}
	if (dir)
		closedir(dir);
	return block;
}

static int in_block(int block, long pages)
{
	uint64_t frames[PAGES];
	int count = 0;

	xt_frames(mem, frames, PAGES);
	for (int i = 0; i < PAGES; i++)
		count += frames[i] / pages == (uint64_t)block;
	return count;
}

static bool by_offlining(void)
{
	long pages = block_pages();
	char path[96];
	int block = pages ? movable_block(path, sizeof(path)) : -1;
	long long revoked;
	bool gone;

	if (block < 0) {
		xt_skip("moved by offlining",
			"CONFIG_MEMORY_HOTREMOVE and a block of memory that can go");
		return false;
	}
	move_all_to(1);
	xt_ok(in_block(block, pages) > 0, "%d of %d pages are in block %d",
	      in_block(block, pages), PAGES, block);
	touch_again(true);
	revoked = xt_stat("revoked");
	gone = write_text(path, "offline");
	xt_ok(gone, "block %d goes offline", block);
	xt_ok(xt_stat("revoked") > revoked, "%lld pages were revoked",
	      xt_stat("revoked") - revoked);
	xt_ok(!in_block(block, pages), "none of the pages is in it");
	if (gone)
		xt_ok(write_text(path, "online_movable"), "and comes back");
	return true;
}

/* The kernel's own test device, whose minor 0 has memory of its own. */
static int test_device(const char *what)
{
	const char *kdir = getenv("XPMEM_KDIR");
	unsigned int major = 0;
	char text[256], name[64];
	FILE *in;
	int fd;

	snprintf(text, sizeof(text), "insmod %s/lib/test_hmm.ko 2>/dev/null",
		 kdir ? kdir : "");
	if (access("/sys/module/test_hmm", F_OK) && system(text)) {
		xt_skip(what, "test_hmm.ko (CONFIG_TEST_HMM)");
		return -1;
	}
	in = fopen("/proc/devices", "re");
	xt_need(in != NULL, "open /proc/devices");
	while (fgets(text, sizeof(text), in))
		if (sscanf(text, "%u %63s", &major, name) == 2 &&
		    !strcmp(name, "HMM_DMIRROR"))
			break;
	fclose(in);
	xt_need(!mknod("/tmp/hmm", S_IFCHR | 0600, makedev(major, 0)) ||
			errno == EEXIST,
		"make a node for the device");
	fd = open("/tmp/hmm", O_RDWR | O_CLOEXEC);
	xt_need(fd >= 0, "open the device");
	return fd;
}

/*
 * The device takes all pages, several times; p2 takes them back. Some refuse because
 * p2's touch holds them for a moment.
 */
static bool by_device(const char *what, unsigned long request)
{
	static char copy[SIZE];
	struct hmm_cmd cmd = { (uintptr_t)mem, (uintptr_t)copy, PAGES, 0, 0 };
	long long revoked = xt_stat("revoked");
	int fd = test_device(what), taken = 0;
	size_t wrong = 0;

	if (fd < 0)
		return false;
	for (int i = 0; i < TAKES; i++) {
		if (!ioctl(fd, request, &cmd)) {
			taken++;
			wrong += xt_wrong(copy, SIZE, XT_EVEN, 1) +
				 xt_wrong(copy, SIZE, XT_ODD, 2);
		} else {
			xt_need(errno == EBUSY || errno == ENOENT,
				"the device takes pages");
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
	return by_device("moved to a device", HMM_MIGRATE_TO_DEV);
}

static bool by_exclusive_access(void)
{
	return by_device("used by a device alone", HMM_EXCLUSIVE);
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

/* A probe at the first byte of a file; -1 without CONFIG_UPROBE_EVENTS. */
static int probe(const char *path)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	FILE *in = fopen("/sys/bus/event_source/devices/uprobe/type", "re");

	if (!in || fscanf(in, "%u", &attr.type) != 1)
		attr.type = 0;
	if (in)
		fclose(in);
	if (!attr.type) {
		errno = ENODEV;
		return -1;
	}
	attr.config1 = (uintptr_t)path;
	return syscall(SYS_perf_event_open, &attr, getpid(), -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
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
	event = probe(path);
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
