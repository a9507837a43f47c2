// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer has gone silent, and the exporter uses twice the memory that its
 * partition has.
 *
 * usage: silent [MIB_HELD]
 *
 * p2 maps MIB_HELD of the exporter's memory and is paused. No deadline passes
 * meanwhile: whoever waits for p2 waits until the test ends, so it shows. kswapd
 * waits, each time it finds nothing but what p2 holds, for 10 ms at most; a process
 * that has nothing to do with it goes on; nobody is killed.
 *
 * The waits are measured by probes at mmu_rmap_wait_acks(), where reclaim waits. How
 * late this machine wakes up whoever sleeps 10 ms is measured beside: half of the waits
 * are compared with half of the sleeps, and all with the latest one, which a busy host
 * lets some exceed.
 */
#include "xt-lab.h"
#include "xt.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 600000
#define BOUND_MS 60000 /* for any one thing that an unrelated process does */
#define WAIT_US 10000
#define STEP (4 * XT_MIB)
#define SAMPLES 16384
#define PROBES "/sys/kernel/tracing/"
#define GROUP "xtwait"

static size_t held = 64 * XT_MIB;

static struct shared {
	atomic_bool stop;
	atomic_llong ops, longest_op_us;
	size_t sleeps; /* of 10 ms */
	long long slept_us[SAMPLES];
	atomic_bool filled;
	atomic_llong filled_bytes;
} * shared;

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static void longest(atomic_llong *most, long long us)
{
	if (us > *most)
		*most = us;
}

/* --- what waits, and for how long: a line for each beginning and end */

static void probe_write(const char *file, const char *text)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), PROBES "%s", file);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	xt_need(fd >= 0 && write(fd, text, strlen(text)) > 0, "write %s to %s",
		text, path);
	close(fd);
}

static void probes_set(bool on)
{
	if (on) {
		/* That empties it. */
		close(open(PROBES "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
		probe_write("buffer_size_kb", "4096");
		probe_write("kprobe_events",
			    "p:" GROUP "/begin mmu_rmap_wait_acks\n");
		probe_write("kprobe_events",
			    "r:" GROUP "/end mmu_rmap_wait_acks\n");
	}
	probe_write("events/" GROUP "/enable", on ? "1" : "0");
}

static void probes_remove(void)
{
	probe_write("kprobe_events", "-:" GROUP "/begin\n");
	probe_write("kprobe_events", "-:" GROUP "/end\n");
}

struct waits {
	size_t kswapd, others;
	long long kswapd_us[SAMPLES];
	long long longest_other_us;
};

#define TASKS 256

/* "  kswapd0-35  [001] d.... 12.345678: begin: (mmu_rmap_wait_acks+0x0/0x90)" */
static void read_line(const char *line, struct waits *w)
{
	static struct {
		char task[32];
		double since;
	} open_waits[TASKS];
	static int count;
	char task[32], what[16];
	double at;
	long long us;
	int i;

	if (sscanf(line, " %31s [%*d] %*s %lf: %15[a-z]:", task, &at, what) !=
	    3)
		return;
	for (i = 0; i < count && strcmp(open_waits[i].task, task); i++)
		;
	if (i == TASKS)
		return;
	if (i == count) {
		strcpy(open_waits[i].task, task);
		count++;
	}
	if (!strcmp(what, "begin")) {
		open_waits[i].since = at;
		return;
	}
	if (!open_waits[i].since)
		return;
	us = (at - open_waits[i].since) * 1e6;
	open_waits[i].since = 0;
	if (strncmp(task, "kswapd", 6)) {
		w->others++;
		if (us > w->longest_other_us)
			w->longest_other_us = us;
	} else if (w->kswapd < SAMPLES) {
		w->kswapd_us[w->kswapd++] = us;
	}
}

static struct waits *read_waits(void)
{
	FILE *in = fopen(PROBES "trace", "re");
	static struct waits w;
	char line[512];

	xt_need(in != NULL, "open " PROBES "trace");
	while (fgets(line, sizeof(line), in))
		read_line(line, &w);
	fclose(in);
	return &w;
}

static int compare(const void *a, const void *b)
{
	const long long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts them; of none it is 0. */
static long long median(long long *us, size_t count)
{
	qsort(us, count, sizeof(*us), compare);
	return count ? us[count / 2] : 0;
}

/* --- who has nothing to do with it */

static void operation(int n)
{
	char *mem;
	pid_t pid;
	int fd;

	switch (n % 3) {
	case 0:
		pid = fork();
		xt_need(pid >= 0, "fork");
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		return;
	case 1:
		mem = xt_map(16 * xt_page);
		memset(mem, 1, 16 * xt_page);
		munmap(mem, 16 * xt_page);
		return;
	case 2:
		fd = open("/tmp/silent", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		xt_need(fd >= 0 && write(fd, "x", 1) == 1, "write to a file");
		close(fd);
		return;
	}
}

static void unrelated(void *arg)
{
	long long start;

	(void)arg;
	for (int n = 0; !shared->stop; n++) {
		start = now_us();
		operation(n);
		longest(&shared->longest_op_us, now_us() - start);
		shared->ops++;
	}
}

static void sleeper(void *arg)
{
	const struct timespec pause = { .tv_nsec = WAIT_US * 1000 };
	long long start;

	(void)arg;
	while (!shared->stop) {
		start = now_us();
		nanosleep(&pause, NULL);
		if (shared->sleeps < SAMPLES)
			shared->slept_us[shared->sleeps++] = now_us() - start;
	}
}

/* --- the exporter */

static size_t twice_the_memory(void)
{
	return 2UL * sysconf(_SC_PHYS_PAGES) * xt_page / STEP * STEP;
}

/* What p2 holds comes first; the rest is written once, a step after the other. */
static void exporter(void *arg)
{
	size_t size = twice_the_memory();
	char *mem = xt_map(size);

	(void)arg;
	xt_fill(mem, held, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, held, 0666));
	xt_await("held");
	xt_flag("silent-go");
	xt_need(xt_flag_await(DEADLINE_MS, "silent-paused"), "p2 is paused");
	for (size_t at = held; at < size; at += STEP) {
		for (size_t i = 0; i < STEP; i += xt_page)
			*(volatile uint64_t *)(mem + at + i) = at + i;
		shared->filled_bytes = at + STEP;
	}
	shared->filled = true;
	xt_await("woken");
	for (size_t at = held; at < size; at += 64 * xt_page)
		xt_need(*(uint64_t *)(mem + at) == at, "the word at %zu", at);
	xt_ok(!xt_wrong(mem, held, XT_EVEN, 1), "its first words are there");
	xt_ok(!xt_wrong(mem, held, XT_ODD, 2), "and what p2 stored");
	xt_await("left");
}

static void judge_waits(struct waits *w)
{
	long long *slept = shared->slept_us;
	long long usual = median(w->kswapd_us, w->kswapd);
	long long late = median(slept, shared->sleeps) - WAIT_US, latest;
	size_t over = 0;

	latest = shared->sleeps ? slept[shared->sleeps - 1] - WAIT_US : 0;
	for (size_t i = 0; i < w->kswapd; i++)
		over += w->kswapd_us[i] > WAIT_US + latest;
	xt_note("%zu waits of kswapd, half within %lld us, the longest %lld us; of %zu others %lld us",
		w->kswapd, usual, w->kswapd ? w->kswapd_us[w->kswapd - 1] : 0,
		w->others, w->longest_other_us);
	xt_note("%zu sleeps of 10 ms, half up to %lld us late, the latest %lld us",
		shared->sleeps, late, latest);
	xt_ok(w->kswapd > 0 && usual <= WAIT_US + late,
	      "kswapd waits 10 ms at most, if it is woken in time");
	xt_ok(over * 20 <= w->kswapd,
	      "%zu of %zu waits were later than the latest sleep", over,
	      w->kswapd);
	xt_ok(!w->kswapd ||
		      w->kswapd_us[w->kswapd - 1] < 10 * (WAIT_US + latest),
	      "and none of them by far");
}

static void judge(long long ms, long long refused, long long waited)
{
	xt_note("%zu MiB written in %lld ms, %lld of p2's folios refused, reclaim waited %lld times",
		(size_t)shared->filled_bytes / XT_MIB, ms, refused, waited);
	xt_note("unrelated: %lld operations, longest %lld us", shared->ops,
		shared->longest_op_us);
	xt_ok(refused > 0, "reclaim met what p2 holds, and was refused");
	xt_ok(shared->longest_op_us < BOUND_MS * 1000LL,
	      "nobody else waits for p2");
	xt_ok(!xt_vmstat("oom_kill"), "nobody was killed");
}

static void home(void)
{
	long long refused, waited, start, ms;
	pid_t child, other, ruler;
	struct xt_look before;

	child = xt_spawn(exporter, NULL);
	xt_await("held");
	before = xt_look(2);
	xt_need(xt_flag_await(60000, "silent-go"), "the exporter is ready");
	xt_lab("pause 2");
	other = xt_spawn(unrelated, NULL);
	ruler = xt_spawn(sleeper, NULL);
	refused = xt_vmstat("rmap_external_refused");
	waited = xt_vmstat("rmap_external_waits");
	probes_set(true);
	start = xt_ms();
	xt_flag("silent-paused");
	xt_until(shared->filled, DEADLINE_MS / 2);
	ms = xt_ms() - start;
	probes_set(false);
	shared->stop = true;
	xt_ok(shared->filled, "the exporter wrote all of its memory");
	xt_ok(!xt_join(other), "the unrelated process ends well");
	xt_join(ruler);
	judge_waits(read_waits());
	probes_remove();
	judge(ms, xt_vmstat("rmap_external_refused") - refused,
	      xt_vmstat("rmap_external_waits") - waited);
	xt_lab("resume 2");
	xt_put("woken", "1");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_ok(xt_look(2).epoch == before.epoch, "p2's session goes on");
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, held);

	xt_fill(at, held, XT_ODD, 2);
	xt_put("held", "1");
	xt_await("woken");
	xt_ok(!xt_wrong(at, held, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		held = strtoul(argv[1], NULL, 10) * XT_MIB;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_start("silent");
	xt_case("silent");
	if (!xt_series()) {
		xt_skip("everything", "the mm series");
		return xt_finish();
	}
	xt_daemon_new_times(500, DEADLINE_MS);
	if (xt_me == XT_HOME)
		home();
	else if (xt_me == 2)
		importer();
	xt_barrier("done");
	xt_nothing_left("then");
	return xt_finish();
}
