// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exporter's memory is attached and touched by a second process and
 * reclaimed by a third, beside the same without an attachment. What counts is
 * frames: the exporter's group is charged for nothing else.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (64 * MIB)
#define LIMIT 30000000000ULL /* nanoseconds after which a round gives up */
#define GROUPS "/sys/fs/cgroup"

static const struct measure measures[] = {
	{ "reclaim/time-4k",
	  "reclaim 64 MiB, attached, 4 KiB pages",
	  "without attachment",
	  "page",
	  { 1.2, 0 },
	  0 },
	{ "reclaim/freed-4k",
	  "frames freed of 64 MiB, attached",
	  "without attachment",
	  "%",
	  { 0, 0 },
	  99 },
	{ "reclaim/time-2m",
	  "reclaim 64 MiB, attached, 2 MiB pages",
	  "without attachment",
	  "4 KiB",
	  { 1.2, 0 },
	  0 },
	{ "reclaim/freed-2m",
	  "frames freed of 64 MiB, attached",
	  "without attachment",
	  "%",
	  { 0, 0 },
	  99 },
};

static char group[64];

static int write_file(const char *directory, const char *name, const char *text)
{
	char path[128];
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static long long memory_current(void)
{
	char path[128];
	long long value;
	FILE *in;

	snprintf(path, sizeof(path), "%s/memory.current", group);
	in = fopen(path, "re");
	need(in && fscanf(in, "%lld", &value) == 1, "read %s", path);
	fclose(in);
	return value;
}

struct round {
	double time; /* ns a page */
	double freed; /* % */
};

/* EAGAIN says that less was found than asked for; what was freed counts. */
static struct round reclaim(void)
{
	long long before = memory_current(), freed = 0;
	const long long goal = SIZE / 100 * 99;
	uint64_t start = now(), took;
	char text[32];
	int error;

	do {
		snprintf(text, sizeof(text), "%lld", (long long)SIZE - freed);
		error = write_file(group, "memory.reclaim", text);
		need(!error || error == EAGAIN, "memory.reclaim: %s",
		     strerror(error));
		took = now() - start;
		freed = before - memory_current();
	} while (freed < goal && took < LIMIT);
	return (struct round){ (double)took / (SIZE / page_size),
			       100.0 * freed / SIZE };
}

static struct round attached(struct peer *exporter, struct peer *importer,
			     const struct exported *exported)
{
	struct round round;

	peer_touch(exporter);
	peer_attach(importer, exported);
	round = reclaim();
	peer_detach(importer);
	return round;
}

static struct round alone(struct peer *exporter)
{
	peer_touch(exporter);
	return reclaim();
}

static void rounds(struct peer *exporter, struct peer *importer,
		   const struct exported *exported, const char *time,
		   const char *freed)
{
	for (int i = -1; i < options.repeat; i++) {
		struct round with, without;

		if (i & 1)
			with = attached(exporter, importer, exported);
		without = alone(exporter);
		if (!(i & 1))
			with = attached(exporter, importer, exported);
		if (i < 0)
			continue;
		sample(time, with.time, without.time);
		sample(freed, with.freed, without.freed);
	}
	need(peer_sum(exporter) == fill_sum(SIZE), "the bytes are wrong");
}

static void one(enum kind kind, const char *time, const char *freed)
{
	struct peer exporter, importer;
	struct exported exported;
	char pid[16];

	if (!wanted(time) && !wanted(freed))
		return;
	exporter = peer_start();
	importer = peer_start();
	snprintf(pid, sizeof(pid), "%d", exporter.pid);
	need(!write_file(group, "cgroup.procs", pid),
	     "move the exporter to a group of its own");
	exported = peer_export(&exporter, kind, SIZE, -1);
	if (kind == HUGE_PAGES && exported.huge != SIZE) {
		absent(time, "not huge: %zu of %zu MiB", exported.huge / MIB,
		       SIZE / MIB);
		absent(freed, "not huge: %zu of %zu MiB", exported.huge / MIB,
		       SIZE / MIB);
	} else {
		rounds(&exporter, &importer, &exported, time, freed);
	}
	peer_end(&importer);
	peer_end(&exporter);
}

static bool swap_is_on(void)
{
	FILE *in = fopen("/proc/swaps", "re");
	char text[256];
	int lines = 0;

	while (in && fgets(text, sizeof(text), in))
		lines++;
	if (in)
		fclose(in);
	return lines > 1;
}

static const char *missing(void)
{
	char path[128];

	if (!swap_is_on())
		return "swap is off";
	write_file(GROUPS, "cgroup.subtree_control", "+memory");
	snprintf(group, sizeof(group), GROUPS "/bench-%d", getpid());
	if (mkdir(group, 0755))
		return "no cgroup v2 that may be written";
	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	if (!access(path, W_OK))
		return NULL;
	rmdir(group);
	return "no memory.reclaim";
}

static void run(void)
{
	const char *why = missing();

	if (why) {
		for (size_t i = 0; i < sizeof(measures) / sizeof(*measures);
		     i++)
			absent(measures[i].name, "%s", why);
		return;
	}
	one(SMALL_PAGES, "reclaim/time-4k", "reclaim/freed-4k");
	one(HUGE_PAGES, "reclaim/time-2m", "reclaim/freed-2m");
	rmdir(group);
}

const struct topic reclaim_topic = {
	"reclaim", "reclaim from outside", TOPIC_MEASURES(measures), run, true,
};
