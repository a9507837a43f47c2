// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: topics in processes of their own, samples, their spread, the
 * clock and the CPUs.
 */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define WARMUPS 2
#define ENOUGH 1000000000ULL /* what takes less, is sampled more often */

size_t page_size;

static struct row *rows;
static size_t row_count;
static const struct topic *running;

/* --only: comma-separated topics, and beginnings of names of measures. */
static bool asked_for(const struct topic *topic, const char *name)
{
	const char *word = options.only;

	while (word && *word) {
		size_t len = strcspn(word, ",");

		if (len && (!strncmp(name, word, len) ||
			    (strlen(topic->name) == len &&
			     !strncmp(topic->name, word, len))))
			return true;
		word += len + (word[len] == ',');
	}
	return !options.only;
}

size_t rows_create(const struct topic *const *topics, size_t count,
		   struct row **all)
{
	size_t most = 0;

	for (size_t i = 0; i < count; i++)
		most += topics[i]->count;
	rows = mmap(NULL, most * sizeof(*rows), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rows == MAP_FAILED)
		err(1, "memory for the samples");
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < topics[i]->count; k++)
			if (asked_for(topics[i], topics[i]->measures[k].name)) {
				rows[row_count].topic = topics[i];
				rows[row_count++].measure =
					&topics[i]->measures[k];
			}
	*all = rows;
	return row_count;
}

bool any_failed(const struct row *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].state == ROW_FAILED)
			return true;
	return false;
}

static struct row *find(const char *measure)
{
	for (size_t i = 0; i < row_count; i++)
		if (!strcmp(rows[i].measure->name, measure))
			return &rows[i];
	return NULL;
}

bool wanted(const char *measure)
{
	return find(measure);
}

void sample(const char *measure, double figure, double reference)
{
	struct row *row = find(measure);

	if (!row || row->samples == MAX_SAMPLES)
		return;
	row->figure[row->samples] = figure;
	row->reference[row->samples++] = reference;
	row->state = ROW_MEASURED;
}

/* On a busy machine short probes are hit as often as long ones, but harder. */
static bool enough(int samples, uint64_t since)
{
	if (samples < options.repeat)
		return false;
	return options.clock == CLOCK_INSTR || samples >= MAX_SAMPLES ||
	       now() - since >= ENOUGH;
}

void compare(const char *measure, probe figure, probe reference, void *context)
{
	uint64_t start = now();

	if (!wanted(measure))
		return;
	for (int i = -WARMUPS; !enough(i, start); i++) {
		double f = 0, r = 0;

		/* Neither always comes second, with the caches of the first. */
		if (i & 1)
			f = figure(context);
		if (reference)
			r = reference(context);
		if (!(i & 1))
			f = figure(context);
		if (i >= 0)
			sample(measure, f, r);
	}
}

void compare_pairs(const char *measure, pair probe, void *context)
{
	uint64_t start = now();

	if (!wanted(measure))
		return;
	for (int i = -WARMUPS; !enough(i, start); i++) {
		double f, r;

		probe(context, &f, &r);
		if (i >= 0)
			sample(measure, f, r);
	}
}

static void annotate(const char *measure, const char *fmt, va_list args)
{
	struct row *row = find(measure);

	if (row)
		vsnprintf(row->note, sizeof(row->note), fmt, args);
}

void note(const char *measure, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	annotate(measure, fmt, args);
	va_end(args);
}

void absent(const char *measure, const char *fmt, ...)
{
	struct row *row = find(measure);
	va_list args;

	va_start(args, fmt);
	annotate(measure, fmt, args);
	va_end(args);
	if (row)
		row->state = ROW_ABSENT;
}

/* What the topic has not measured yet. */
static void fail_rest(const struct topic *topic, const char *why)
{
	for (size_t i = 0; i < row_count; i++)
		if (rows[i].topic == topic && rows[i].state == ROW_EMPTY) {
			rows[i].state = ROW_FAILED;
			snprintf(rows[i].note, sizeof(rows[i].note), "%s", why);
		}
}

static void vdie(const char *fmt, va_list args)
{
	char text[160];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "bench: %s: %s\n", running ? running->name : "set-up",
		text);
	if (running)
		fail_rest(running, text);
	_exit(1);
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vdie(fmt, args);
	va_end(args);
	abort();
}

void need(bool condition, const char *fmt, ...)
{
	va_list args;

	if (condition)
		return;
	va_start(args, fmt);
	vdie(fmt, args);
	va_end(args);
}

static void leave_out(const struct topic *topic, const char *why)
{
	for (size_t i = 0; i < row_count; i++)
		if (rows[i].topic == topic)
			absent(rows[i].measure->name, "%s", why);
}

static void await(const struct topic *topic, pid_t pid)
{
	char why[160];
	int status;

	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "died of signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(why, sizeof(why), "ended with status %d",
			 WEXITSTATUS(status));
	else
		snprintf(why, sizeof(why), "was not measured");
	fail_rest(topic, why);
}

void run_topic(const struct topic *topic)
{
	uint64_t start = now();
	bool any = false;
	pid_t pid;

	for (size_t i = 0; i < row_count; i++)
		any |= rows[i].topic == topic;
	if (!any)
		return;
	if (topic->time_only && options.clock == CLOCK_INSTR) {
		leave_out(topic, "measured in time only");
		return;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		running = topic;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(0);
		topic->run();
		_exit(0);
	}
	await(topic, pid);
	printf("bench: %s: %.1f s\n", topic->name, (now() - start) / 1e9);
}

void run_topic_here(const struct topic *topic)
{
	running = topic;
	topic->run();
	fail_rest(topic, "was not measured");
	running = NULL;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between two samples, as their distance tells. */
static double quantile(const double *sorted, int count, double q)
{
	double at = q * (count - 1);
	int i = at;

	if (i + 1 >= count)
		return sorted[count - 1];
	return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

struct spread spread_of(const double *samples, int count)
{
	double sorted[MAX_SAMPLES];

	memcpy(sorted, samples, count * sizeof(*samples));
	qsort(sorted, count, sizeof(*sorted), ascending);
	return (struct spread){
		.min = sorted[0],
		.low = quantile(sorted, count, 0.25),
		.median = quantile(sorted, count, 0.5),
		.high = quantile(sorted, count, 0.75),
		.max = sorted[count - 1],
	};
}

struct spread ratio_of(const struct row *row)
{
	double ratio[MAX_SAMPLES];

	for (int i = 0; i < row->samples; i++)
		ratio[i] = row->figure[i] / row->reference[i];
	return spread_of(ratio, row->samples);
}

double budget_of(const struct row *row)
{
	return row->measure->most[options.clock];
}

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Nanoseconds of a loop of two instructions, one million times. */
static double loop_of_two(void)
{
	long rounds = 1000000;
	uint64_t start = now();

#ifdef __x86_64__
	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(rounds));
#else
	while (rounds--)
		__asm__ volatile("");
#endif
	return (now() - start) / 1e6;
}

/*
 * Interrupts come on top, by well under a per cent; a clock of nanoseconds
 * may by chance agree once, but not with a spread of a per cent.
 */
void clock_check(void)
{
	double samples[9];
	struct spread s;

	if (options.clock != CLOCK_INSTR)
		return;
	for (int i = 0; i < 9; i++)
		samples[i] = loop_of_two();
	s = spread_of(samples, 9);
	if (s.min < 1.98 || s.median > 2.04)
		errx(1,
		     "--instructions: this clock does not count them (two take %.2f to %.2f): lab run --icount",
		     s.min, s.max);
}

int cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

int other_cpu(void)
{
	return cpus() > 1 ? 1 : 0;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set), "pin to CPU %d: %s", cpu,
	     strerror(errno));
}
