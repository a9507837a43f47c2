// SPDX-License-Identifier: GPL-2.0-only
/*
 * The home moves, copies and writes back exported pages: the bytes stay right
 * on both sides.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101 /* <asm/mman.h>, which glibc does not show */
#endif

#define PAGES 64
#define MOVE_ATTEMPTS 10
#define SIZE (PAGES * 4096UL)
#define GROUP "shmem"

static void *mem;
static xpmem_segid_t segid;

static void begin_home(void)
{
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("stored");
}

static void end_home(void)
{
	xt_await("left");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	xt_nothing_left("at the end");
}

static void *begin_importer(xpmem_apid_t *apid)
{
	void *at;

	*apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	at = xt_attach(*apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_fill(at, SIZE, XT_ODD, 2);
	xt_put("stored", "1");
	return at;
}

static void end_importer(xpmem_apid_t apid)
{
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void frames_of(uint64_t *frames)
{
	for (int i = 0; i < PAGES; i++)
		frames[i] = xt_frame((char *)mem + i * xt_page);
}

static int moved(const uint64_t *before)
{
	int count = 0;

	for (int i = 0; i < PAGES; i++)
		count += xt_frame((char *)mem + i * xt_page) != before[i];
	return count;
}

/* Moves each page of mem by a way of the kernel's; true when it can. */
typedef bool (*mover)(void);

/* Takes the frame out of service, as for a failing one: the page moves. */
static bool by_soft_offline(void)
{
	for (int i = 0; i < 8; i++) {
		if (!madvise((char *)mem + i * xt_page, xt_page,
			     MADV_SOFT_OFFLINE))
			continue;
		xt_need(errno == EINVAL && !i, "MADV_SOFT_OFFLINE");
		xt_skip("moved by soft offline", "CONFIG_MEMORY_FAILURE");
		return false;
	}
	return true;
}

static bool by_move_pages(void)
{
	int nodes[PAGES], status[PAGES];
	void *pages[PAGES];
	long left = 1;

	if (access("/sys/devices/system/node/node1", F_OK)) {
		xt_skip("moved by move_pages", "a second NUMA node");
		return false;
	}
	for (int i = 0; i < PAGES; i++)
		pages[i] = (char *)mem + i * xt_page;
	xt_need(!syscall(SYS_move_pages, 0, PAGES, pages, NULL, status, 0),
		"ask for the nodes of the pages");
	for (int i = 0; i < PAGES; i++)
		nodes[i] = !status[i];
	/* It may leave a page that somebody else holds for a moment: again. */
	for (int i = 0; i < MOVE_ATTEMPTS && left; i++)
		left = syscall(SYS_move_pages, 0, PAGES, pages, nodes, status,
			       2);
	xt_ok(!left, "move_pages (%ld pages left)", left);
	for (int i = 0; i < PAGES; i++)
		xt_need(status[i] == nodes[i], "page %d is on node %d: %d", i,
			nodes[i], status[i]);
	return true;
}

static void moves(const char *name, mover move, int least)
{
	uint64_t before[PAGES];
	xpmem_apid_t apid;
	void *at;

	xt_case(name);
	if (xt_me == XT_HOME) {
		begin_home();
		frames_of(before);
		if (move())
			xt_ok(moved(before) >= least, "%d of %d pages moved",
			      moved(before), PAGES);
		xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "p1's bytes stay");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "p2's bytes stay");
		xt_fill(mem, SIZE, XT_EVEN, 3);
		xt_put("moved", "1");
		xt_await("stored-again");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 4), "p1 sees p2's stores");
		end_home();
	} else if (xt_me == 2) {
		at = begin_importer(&apid);
		xt_await("moved");
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 3), "p2 sees p1's stores");
		xt_ok(!xt_wrong(at, SIZE, XT_ODD, 2), "p2's bytes stay for p2");
		xt_fill(at, SIZE, XT_ODD, 4);
		xt_put("stored-again", "1");
		end_importer(apid);
	}
}

static bool by_compaction(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

	xt_need(fd >= 0, "open compact_memory");
	for (int i = 0; i < 10; i++)
		xt_need(write(fd, "1", 1) == 1, "compact memory");
	close(fd);
	return true;
}

/* The copy belongs to the child; p2 stays with the exporter. */
static void forked_child(void *arg)
{
	(void)arg;
	xt_put("forked", "1");
	xt_await("stored-by-p2");
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1),
	      "the child has p1's bytes of before the fork");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2),
	      "the child has p2's bytes of before the fork");
	xt_fill(mem, SIZE, XT_EVEN, 8);
	xt_fill(mem, SIZE, XT_ODD, 9);
}

static void forks(void)
{
	xpmem_apid_t apid;
	pid_t child;
	void *at;

	xt_case("fork");
	if (xt_me == XT_HOME) {
		begin_home();
		child = xt_spawn(forked_child, NULL);
		xt_await("forked");
		xt_fill(mem, SIZE, XT_EVEN, 3);
		xt_put("stored-by-p1", "1");
		xt_ok(!xt_join(child), "the child ends well");
		xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 3), "p1 keeps its stores");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 4), "p1 sees p2's stores");
		xt_put("child-ended", "1");
		end_home();
	} else if (xt_me == 2) {
		at = begin_importer(&apid);
		xt_await("stored-by-p1");
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 3),
		      "p2 sees p1's stores of after the fork");
		xt_fill(at, SIZE, XT_ODD, 4);
		xt_put("stored-by-p2", "1");
		xt_await("child-ended");
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 3), "not the child's");
		end_importer(apid);
	}
}

static void check_file(int fd)
{
	static char copy[SIZE];

	xt_ok(pread(fd, copy, SIZE, 0) == (ssize_t)SIZE, "read the memfd");
	xt_ok(!xt_wrong(copy, SIZE, XT_EVEN, 1), "it has p1's bytes");
	xt_ok(!xt_wrong(copy, SIZE, XT_ODD, 2), "it has p2's bytes");
}

/* In a group of its own, so that its shmem pages can be written to swap. */
static void shmem_exporter(void *arg)
{
	int fd = memfd_create("xpmem-test", MFD_CLOEXEC);

	(void)arg;
	xt_group_enter(GROUP);
	xt_need(fd >= 0 && !ftruncate(fd, SIZE), "memfd of %lu bytes", SIZE);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	xt_need(mem != MAP_FAILED, "mmap of the memfd");
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("reclaimed");
	check_file(fd);
	xt_put("checked", "1");
	xt_await("touched-again");
	xt_need(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   SIZE / 2),
		"punch a hole");
	xt_put("punched", "1");
	xt_await("saw-hole");
	xt_need(!ftruncate(fd, 0), "truncate");
	xt_put("truncated", "1");
	xt_await("left");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
}

static void shmem_home(void)
{
	long long freed;
	pid_t child;

	xt_group_create(GROUP);
	child = xt_spawn(shmem_exporter, NULL);
	xt_await("stored");
	freed = xt_group_reclaim(GROUP, SIZE / 10 * 9, 60000);
	xt_ok(freed >= (long long)(SIZE / 10 * 9), "%lld of %lu bytes freed",
	      freed, SIZE);
	xt_put("reclaimed", "1");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void shmem(void)
{
	xpmem_apid_t apid;
	char *at;

	xt_case("shmem");
	if (xt_me == XT_HOME) {
		shmem_home();
	} else if (xt_me == 2) {
		at = begin_importer(&apid);
		xt_await("checked");
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p1's bytes return");
		xt_ok(!xt_wrong(at, SIZE, XT_ODD, 2), "p2's bytes return");
		xt_put("touched-again", "1");
		xt_await("punched");
		xt_ok(!xt_nonzero(at, SIZE / 2), "the hole reads as zeros");
		xt_ok(*(uint64_t *)(at + SIZE / 2) ==
			      xt_word(1, SIZE / 2 / sizeof(uint64_t)),
		      "the page behind it has its bytes");
		xt_put("saw-hole", "1");
		xt_await("truncated");
		xt_ok(xt_load(at, NULL) == SIGBUS, "SIGBUS after truncation");
		end_importer(apid);
	}
}

int main(void)
{
	xt_start("migrate");
	moves("soft offline", by_soft_offline, 8);
	moves("move_pages", by_move_pages, PAGES);
	moves("compaction", by_compaction, 0);
	forks();
	shmem();
	return xt_finish();
}
