// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer takes its time to acknowledge. Who waits for it? The one whose page
 * it is; not a second process that has the anon_vma or the file in common with
 * the exporter, and faults, forks and maps.
 *
 * usage: bystanders [DELAY_MS [OPS]]
 *
 * p1: the exporter, which has pages taken from it one after the other, each in
 * one of several ways, and its child, the bystander. p2: the importer. Its
 * acknowledgements take DELAY_MS; a bystander's operation that takes half of that
 * has waited for one. So the checks count, and do not depend on how fast the
 * machine is as long as DELAY_MS is long enough; the percentiles are for reading.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101 /* <asm/mman.h>, which glibc does not show */
#endif

#define MAX_OPS 128
#define SPARE 16 /* pages behind those of the operations, for the bystander */
#define MAX_SAMPLES 8192
#define QUIET_MS 2000 /* the same without revokes, for comparison */

static int delay, ops;
static size_t size; /* of what is exported: a page for each operation */

/* What the bystander does, each in turn. */
enum act { FAULT, FORK, MAP, ACTS };
static const char *const act_names[] = { "fault", "fork", "mmap" };

/* Shared by the exporter and the bystander. */
struct shared {
	atomic_int phase; /* counts up; the bystander follows */
	atomic_int heard;
	atomic_int stop;
	int samples[ACTS];
	int us[ACTS][MAX_SAMPLES];
};
static struct shared *shared;

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/* The exporter's memory, and the file behind it if there is one. */
struct memory {
	char *mem;
	int fd; /* -1: anonymous */
};

static void act_fault(const struct memory *m)
{
	char *page = m->mem + size;

	madvise(page, xt_page, MADV_DONTNEED);
	*(volatile char *)page = 1;
}

static long long act_fork(void)
{
	long long start = now_us(), took;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	took = now_us() - start;
	xt_need(pid > 0, "the bystander forks");
	while (waitpid(pid, NULL, 0) < 0)
		xt_need(errno == EINTR, "waitpid");
	return took;
}

/* A mapping more of the file; or one of two parts, and of one again. */
static void act_map(const struct memory *m)
{
	char *page = m->mem + size + 4 * xt_page, *more;

	if (m->fd < 0) {
		mprotect(page, xt_page, PROT_READ);
		mprotect(page, xt_page, PROT_READ | PROT_WRITE);
		return;
	}
	more = mmap(NULL, xt_page, PROT_READ, MAP_SHARED, m->fd, 0);
	xt_need(more != MAP_FAILED, "the bystander maps the file");
	munmap(more, xt_page);
}

static void act_once(enum act act, const struct memory *m)
{
	long long start = now_us(), took;

	if (act == FORK) {
		took = act_fork();
	} else {
		if (act == FAULT)
			act_fault(m);
		else
			act_map(m);
		took = now_us() - start;
	}
	if (shared->samples[act] < MAX_SAMPLES)
		shared->us[act][shared->samples[act]++] = took;
}

static void bystander(const struct memory *m)
{
	while (!atomic_load(&shared->stop)) {
		int phase = atomic_load(&shared->phase);

		if (phase != atomic_load(&shared->heard)) {
			memset(shared->samples, 0, sizeof(shared->samples));
			atomic_store(&shared->heard, phase);
		}
		for (int act = 0; act < ACTS; act++)
			act_once(act, m);
	}
	_exit(0);
}

/* Nothing tells, but the bystander never does anything else for long. */
static void next_phase(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int phase = atomic_fetch_add(&shared->phase, 1) + 1;
	long long end = xt_ms() + XT_WAIT_MS;

	while (atomic_load(&shared->heard) != phase) {
		xt_need(xt_ms() < end, "the bystander goes on");
		nanosleep(&pause, NULL);
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* How many operations have waited for an acknowledgement? */
static int report(const char *what)
{
	int waited = 0;

	for (int act = 0; act < ACTS; act++) {
		int n = shared->samples[act], late = 0;
		int us[MAX_SAMPLES];

		memcpy(us, shared->us[act], n * sizeof(*us));
		qsort(us, n, sizeof(*us), compare);
		xt_need(n > 0, "the bystander did something");
		for (int i = 0; i < n; i++)
			late += us[i] >= delay * 500;
		xt_note("%-16s %-5s %5d times: median %.2f ms, p99 %.2f ms, longest %.2f ms; %d waited",
			what, act_names[act], n, us[n / 2] / 1e3,
			us[n - 1 - n / 100] / 1e3, us[n - 1] / 1e3, late);
		waited += late;
	}
	return waited;
}

/* The ways in which a page is taken from the exporter; false: cannot. */
typedef bool (*taker)(const struct memory *m, int page);

static bool by_migration(const struct memory *m, int page)
{
	return !madvise(m->mem + page * xt_page, xt_page, MADV_SOFT_OFFLINE);
}

static bool by_reclaim(const struct memory *m, int page)
{
	return !madvise(m->mem + page * xt_page, xt_page, MADV_PAGEOUT);
}

static bool by_hole(const struct memory *m, int page)
{
	return !fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  page * xt_page, xt_page);
}

/* From behind. */
static bool by_truncation(const struct memory *m, int page)
{
	return !ftruncate(m->fd, size - (page + 1) * xt_page);
}

struct way {
	const char *name;
	bool file;
	taker take;
};

static const struct way ways[] = {
	{ "anon, migration", false, by_migration },
	{ "anon, reclaim", false, by_reclaim },
	{ "file, migration", true, by_migration },
	{ "file, hole", true, by_hole },
	{ "file, truncation", true, by_truncation },
};

static struct memory memory_make(const struct way *way)
{
	size_t all = size + SPARE * xt_page;
	struct memory m = { .fd = -1 };

	if (!way->file) {
		m.mem = xt_map(all);
	} else {
		m.fd = memfd_create("xpmem-test", MFD_CLOEXEC);
		xt_need(m.fd >= 0 && !ftruncate(m.fd, all), "make a memfd");
		m.mem = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED,
			     m.fd, 0);
		xt_need(m.mem != MAP_FAILED, "map the memfd");
	}
	xt_fill(m.mem, all, XT_EVEN, 1);
	return m;
}

static void take_all(const struct way *way, const struct memory *m)
{
	long long start = now_us(), us;
	int taken = 0;

	for (int page = 0; page < ops; page++)
		taken += way->take(m, page);
	us = now_us() - start;
	xt_note("%d pages taken, %.1f ms each; %lld revoked", taken,
		us / 1e3 / ops, xt_stat("revoked"));
	xt_ok(taken == ops, "%d of %d pages are taken", taken, ops);
}

static void quiet(void)
{
	const struct timespec pause = { .tv_sec = QUIET_MS / 1000 };

	/* As long as the other phases take: there is nothing to wait for. */
	next_phase();
	nanosleep(&pause, NULL);
	report("nothing revoked");
}

static void home(const struct way *way)
{
	struct memory m = memory_make(way);
	struct memory apart = m;
	xpmem_segid_t segid;
	long long revoked;
	pid_t child;
	int waited;

	/* Of a file that is cut the bystander touches nothing. */
	if (way->take == by_truncation)
		apart.mem = xt_map(size + SPARE * xt_page);
	memset(shared, 0, sizeof(*shared));
	child = fork();
	xt_need(child >= 0, "fork");
	if (!child)
		bystander(&apart);
	/* Pages of the exporter's own, in an anon_vma that the child is in. */
	xt_fill(m.mem, size, XT_EVEN, 1);
	segid = xt_export(m.mem, size, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("stored");
	quiet();
	revoked = xt_stat("revoked");
	next_phase();
	take_all(way, &m);
	waited = report(way->name);
	xt_ok(xt_stat("revoked") - revoked >= ops, "each page was revoked");
	xt_ok(!waited, "no bystander waited for an acknowledgement");
	atomic_store(&shared->stop, 1);
	xt_join(child);
	xt_put("taken", "1");
	xt_await("left");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(m.mem, size + SPARE * xt_page);
	if (apart.mem != m.mem)
		munmap(apart.mem, size + SPARE * xt_page);
	if (m.fd >= 0)
		close(m.fd);
	xt_nothing_left("at the end");
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, size);

	xt_ok(!xt_wrong(at, size, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_fill(at, size, XT_ODD, 2);
	xt_delay(delay);
	xt_put("stored", "1");
	xt_await("taken");
	xt_delay(0);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
	xt_nothing_left("at the end");
}

int main(int argc, char **argv)
{
	delay = argc > 1 ? atoi(argv[1]) : 200;
	ops = argc > 2 ? atoi(argv[2]) : 8;
	if (ops > MAX_OPS)
		ops = MAX_OPS;
	xt_start("bystanders");
	size = ops * xt_page;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(shared != MAP_FAILED, "map memory to share");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		xt_case(ways[i].name);
		if (xt_me == XT_HOME)
			home(&ways[i]);
		else if (xt_me == 2)
			importer();
	}
	return xt_finish();
}
