// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: TAP, cases, children, counters.
 */
#include "xt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_READ_ALL 3 /* of klogctl() */

int xt_me;
int xt_nodes;
size_t xt_page;

/* Shared with the children, whose checks count too. */
static struct tally {
	atomic_int done;
	atomic_int failed;
} * tally;

static char current_case[64] = "start";
static pid_t leader;
static long long began;

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

long long xt_ms(void)
{
	return now_ms() - began;
}

static int number(const char *variable)
{
	const char *text = getenv(variable);

	if (!text || atoi(text) < 1) {
		fprintf(stderr, "%s is not set: run this in the lab\n",
			variable);
		exit(2);
	}
	return atoi(text);
}

void xt_start(const char *topic)
{
	xt_me = number("XPMEM_PARTID");
	xt_nodes = number("XPMEM_NODES");
	xt_page = sysconf(_SC_PAGESIZE);
	began = now_ms();
	leader = getpid();
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	signal(SIGPIPE, SIG_IGN);
	xt_note("%s on partition %d of %d", topic, xt_me, xt_nodes);
	xt_mem_init();
	xt_meet_init(topic);
}

int xt_part(void)
{
	char plan[32];
	int len;

	len = snprintf(plan, sizeof(plan), "1..%d\n", tally->done);
	if (write(STDOUT_FILENO, plan, len) != len)
		return 2;
	return tally->failed ? 1 : 0;
}

int xt_finish(void)
{
	xt_barrier("finish");
	xt_meet_fini();
	return xt_part();
}

/* One write a line: lines of children must not be torn. */
static void line(const char *prefix, const char *fmt, va_list args)
{
	char text[512];
	int len;

	len = snprintf(text, sizeof(text), "%s", prefix);
	vsnprintf(text + len, sizeof(text) - len - 1, fmt, args);
	len = strlen(text);
	text[len++] = '\n';
	if (write(STDOUT_FILENO, text, len) != len)
		_exit(2);
}

static bool check(bool cond, const char *fmt, va_list args)
{
	char prefix[96];

	snprintf(prefix, sizeof(prefix), "%s - %s: ", cond ? "ok" : "not ok",
		 current_case);
	line(prefix, fmt, args);
	tally->done++;
	if (!cond)
		tally->failed++;
	return cond;
}

bool xt_ok(bool cond, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	check(cond, fmt, args);
	va_end(args);
	return cond;
}

/* The plan of a leader that fails covers what was checked until then. */
static void __attribute__((noreturn)) fail(const char *fmt, va_list args)
{
	int saved = errno;

	check(false, fmt, args);
	xt_note("errno was %d (%s)", saved, strerror(saved));
	xt_meet_fail();
	if (getpid() == leader)
		xt_part();
	_exit(1);
}

void xt_need(bool cond, const char *fmt, ...)
{
	va_list args;

	if (cond)
		return;
	va_start(args, fmt);
	fail(fmt, args);
}

void xt_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail(fmt, args);
}

void xt_skip(const char *what, const char *missing)
{
	char text[256];
	int len;

	len = snprintf(text, sizeof(text), "ok - %s: %s # SKIP %s\n",
		       current_case, what, missing);
	tally->done++;
	if (write(STDOUT_FILENO, text, len) != len)
		_exit(2);
}

bool xt_series(void)
{
	char text[16] = "";
	FILE *f = fopen("/sys/class/misc/xpmem/xpmem/kernel", "re");

	xt_need(f && fgets(text, sizeof(text), f), "/sys says which kernel");
	fclose(f);
	return !strcmp(text, "rmap\n");
}

void xt_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line("# ", fmt, args);
	va_end(args);
}

void xt_case(const char *name)
{
	xt_meet_case(name);
	xt_barrier("begin");
	snprintf(current_case, sizeof(current_case), "%s", name);
}

pid_t xt_spawn(void (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	xt_need(pid >= 0, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	xt_meet_again();
	fn(arg);
	_exit(0);
}

int xt_join(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		xt_need(errno == EINTR, "waitpid");
	if (WIFSIGNALED(status))
		xt_note("child %d ended by signal %d", pid, WTERMSIG(status));
	return status;
}

void xt_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0)
		xt_need(errno == EINTR, "waitpid");
}

bool xt_dies(pid_t pid)
{
	struct pollfd ends = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	bool dead;

	xt_need(ends.fd >= 0, "pidfd_open");
	kill(pid, SIGKILL);
	dead = poll(&ends, 1, XT_DEATH_MS) == 1;
	close(ends.fd);
	if (dead)
		xt_kill(pid);
	return dead;
}

xpmem_segid_t xt_export(void *mem, size_t size, long mode)
{
	xpmem_segid_t segid;

	segid = xpmem_make(mem, size, XPMEM_PERMIT_MODE, (void *)mode);
	xt_need(segid > 0, "xpmem_make of %zu bytes, mode %lo", size, mode);
	return segid;
}

xpmem_apid_t xt_permit(xpmem_segid_t segid, int flags)
{
	xpmem_apid_t apid;

	apid = xpmem_get(segid, flags, XPMEM_PERMIT_MODE, (void *)0666);
	xt_need(apid > 0, "xpmem_get of %#llx", (long long)segid);
	return apid;
}

void *xt_attach(xpmem_apid_t apid, size_t size)
{
	struct xpmem_addr addr = { .apid = apid, .offset = 0 };
	void *mem = xpmem_attach(addr, size, NULL);

	xt_need(mem != (void *)-1, "xpmem_attach of %zu bytes", size);
	return mem;
}

void xt_stats(const char *const *names, long long *values, size_t count)
{
	FILE *out = popen("xpmemctl stats", "re");
	char name[64];
	long long value;
	size_t found = 0;

	xt_need(out != NULL, "xpmemctl stats");
	while (fscanf(out, "%63s %lld", name, &value) == 2) {
		for (size_t i = 0; i < count; i++) {
			if (strcmp(name, names[i]))
				continue;
			values[i] = value;
			found++;
		}
	}
	xt_need(pclose(out) == 0 && found == count,
		"xpmemctl stats: %zu of %zu counters", found, count);
}

long long xt_stat(const char *name)
{
	long long value;

	xt_stats(&name, &value, 1);
	return value;
}

/*
 * Nothing tells a program that a counter changed: this asks again, every
 * 20 ms.
 */
static bool stat_reaches(const char *name, long long least, long long most,
			 int ms)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	long long end = now_ms() + ms, value;

	for (;;) {
		value = xt_stat(name);
		if (value >= least && value <= most)
			return true;
		if (now_ms() > end)
			break;
		nanosleep(&pause, NULL);
	}
	xt_note("%s is %lld after %d ms", name, value, ms);
	return false;
}

bool xt_stat_is(const char *name, long long want, int ms)
{
	return stat_reaches(name, want, want, ms);
}

bool xt_stat_over(const char *name, long long least, int ms)
{
	return stat_reaches(name, least, INT64_MAX, ms);
}

void xt_nothing_left(const char *after)
{
	static const char *const names[] = {
		"segments", "permits",	  "attachments", "imports",
		"exported", "quarantine", "names",
	};
	const size_t count = sizeof(names) / sizeof(names[0]);
	const struct timespec pause = { .tv_nsec = 20000000 };
	long long end = now_ms() + 20000, values[7], sum;

	/* As above: nothing tells. */
	do {
		xt_stats(names, values, count);
		sum = 0;
		for (size_t i = 0; i < count; i++)
			sum += values[i];
		if (sum)
			nanosleep(&pause, NULL);
	} while (sum && now_ms() < end);
	for (size_t i = 0; i < count; i++)
		xt_ok(values[i] == 0, "%s is 0 %s (%lld)", names[i], after,
		      values[i]);
}

int xt_logged(const char *words, const char *more)
{
	static char log[1 << 18];
	int n = klogctl(LOG_READ_ALL, log, sizeof(log) - 1);
	char *line, *rest = log;
	int lines = 0;

	xt_need(n >= 0, "the kernel's log");
	log[n] = '\0';
	while ((line = strsep(&rest, "\n")))
		lines += strstr(line, words) && strstr(line, more);
	return lines;
}
