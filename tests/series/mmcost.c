// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the mm does per page where the series has call sites: faults, unmapping,
 * reclaim, migration, truncation. The same program on kernels with and without
 * the option; tests/series/cost compares.
 *
 * The clock counts nanoseconds or, under `lab run --icount`, instructions.
 * Prints a line a measure: its name and all samples, a page each.
 */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGES 2048
#define WARMUPS 2
#define MAX_SAMPLES 200
#define ENTRY_PRESENT (1ULL << 63)

static size_t page_size;
static size_t size;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void need(bool condition, const char *what)
{
	if (!condition)
		err(1, "%s", what);
}

static void *map(int flags, int fd)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	need(at != MAP_FAILED, "mmap");
	need(!madvise(at, size, MADV_NOHUGEPAGE), "madvise(MADV_NOHUGEPAGE)");
	return at;
}

/* Zeros: zram keeps them as a number, so that compressing them costs nothing. */
static void touch(char *at)
{
	for (size_t i = 0; i < size; i += page_size)
		*(volatile char *)(at + i) = 0;
}

static void *touched(void)
{
	char *at = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	touch(at);
	return at;
}

static void unmap(void *at)
{
	need(!munmap(at, size), "munmap");
}

/* How many pages of the mapping are in memory. */
static size_t present(const char *at)
{
	static uint64_t entries[PAGES];
	static int pagemap = -1;
	size_t count = 0;

	if (pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	need(pread(pagemap, entries, sizeof(entries),
		   (uintptr_t)at / page_size * 8) == sizeof(entries),
	     "read /proc/self/pagemap");
	for (size_t i = 0; i < PAGES; i++)
		count += !!(entries[i] & ENTRY_PRESENT);
	return count;
}

static double fault_anon(void)
{
	char *at = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	uint64_t start = now();

	touch(at);
	start = now() - start;
	unmap(at);
	return start;
}

static double munmap_anon(void)
{
	void *at = touched();
	uint64_t start = now();

	unmap(at);
	return now() - start;
}

/* A few pages are in batches of the CPU, and stay. */
static double pageout(int advice)
{
	char *at = touched();
	uint64_t start;

	need(!advice || !madvise(at, size, advice), "madvise(MADV_FREE)");
	start = now();
	need(!madvise(at, size, MADV_PAGEOUT), "madvise(MADV_PAGEOUT)");
	start = now() - start;
	if (present(at) > PAGES / 10)
		errx(1, "reclaim: %zu of %d pages are still there", present(at),
		     PAGES);
	unmap(at);
	return start;
}

static double reclaim_swap(void)
{
	return pageout(0);
}

static double reclaim_free(void)
{
	return pageout(MADV_FREE);
}

/* To the other node and back: half a round is a page's move. */
static double migrate(void)
{
	static void *pages[PAGES];
	static int nodes[PAGES], status[PAGES];
	char *at = touched();
	uint64_t start = now();

	for (int i = 0; i < PAGES; i++)
		pages[i] = at + i * page_size;
	for (int to = 0; to < 2; to++) {
		for (int i = 0; i < PAGES; i++)
			nodes[i] = !to;
		need(!syscall(SYS_move_pages, 0, (long)PAGES, pages, nodes,
			      status, 2 /* MPOL_MF_MOVE */),
		     "move_pages: boot with numa=fake=2");
		for (int i = 0; i < PAGES; i++)
			if (status[i] != nodes[i])
				errx(1,
				     "migration: page %d: %d, not on node %d",
				     i, status[i], nodes[i]);
	}
	start = now() - start;
	unmap(at);
	return start / 2.0;
}

static double truncation(void)
{
	int fd = memfd_create("mmcost", MFD_CLOEXEC);
	char *at;
	uint64_t start;

	need(fd >= 0 && !ftruncate(fd, size), "memfd");
	at = map(MAP_SHARED, fd);
	touch(at);
	start = now();
	need(!ftruncate(fd, 0), "ftruncate");
	start = now() - start;
	unmap(at);
	close(fd);
	return start;
}

static const struct {
	const char *name;
	double (*probe)(void);
} measures[] = {
	{ "fault", fault_anon },	  { "munmap", munmap_anon },
	{ "reclaim/swap", reclaim_swap }, { "reclaim/free", reclaim_free },
	{ "migration", migrate },	  { "truncate", truncation },
};

int main(int argc, char **argv)
{
	int repeat = argc > 1 ? atoi(argv[1]) : 15;
	cpu_set_t cpus;

	if (repeat < 1 || repeat > MAX_SAMPLES)
		errx(2, "usage: mmcost [SAMPLES, 1 to %d]", MAX_SAMPLES);
	page_size = sysconf(_SC_PAGESIZE);
	size = PAGES * page_size;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	need(!sched_setaffinity(0, sizeof(cpus), &cpus), "pin to CPU 0");
	for (size_t m = 0; m < sizeof(measures) / sizeof(measures[0]); m++) {
		printf("mmcost %s", measures[m].name);
		for (int i = -WARMUPS; i < repeat; i++) {
			double cost = measures[m].probe();

			if (i >= 0)
				printf(" %.1f", cost / PAGES);
		}
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
