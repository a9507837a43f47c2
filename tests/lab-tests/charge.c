// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the home remembers of exported pages, the exporter's memory group pays.
 * Where that has no room for it, importers wait, killable, and nobody is killed.
 */
#include "xt-lab.h"
#include "xt.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define GROUP "charge"
#define SIZE (128 * XT_MIB)
#define PAGES (SIZE / xt_page)
/*
 * What a group is said to have may be half a MiB behind: a kernel adds up only what
 * is 64 pages or more on each CPU.
 */
#define ENTRIES (PAGES * 64 - XT_MIB / 2)
/*
 * Room for what the exporter may need while it waits, and not for the entries of
 * all pages, even with the 64 pages that each CPU has charged in advance.
 */
#define ROOM (XT_MIB / 4)
/*
 * Pages of an attachment, and with it of a fetch: for entries of so few at a time,
 * 8 pages of memory or less, a kernel would have somebody killed.
 */
#define CHUNK 64
/* Asked so often in vain, an importer does not only come once. */
#define REFUSALS 5
#define PATIENCE_MS 120000

/* A word in each page, which tells the page. */
static void fill(char *mem)
{
	for (size_t i = 0; i < PAGES; i++)
		*(uint64_t *)(mem + i * xt_page) = xt_word(1, i);
}

static void check(xpmem_apid_t apid, volatile size_t *done)
{
	struct xpmem_addr addr = { .apid = apid };
	const char *at = NULL;

	for (size_t i = 0; i < PAGES; i++, at += xt_page) {
		if (i % CHUNK == 0) {
			addr.offset = i * xt_page;
			at = xpmem_attach(addr, CHUNK * xt_page, NULL);
			xt_need(at != (void *)-1, "attach from page %zu", i);
		}
		if (*(volatile const uint64_t *)at != xt_word(1, i))
			xt_fail("page %zu is wrong", i);
		*done = i + 1;
	}
}

static void paying(void *arg)
{
	void *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = xt_map(SIZE);
	fill(mem);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_await("end");
}

/* Reads all pages; @arg: how many it has read, seen by its parent, too. */
static void reading(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDONLY);

	check(apid, arg);
	xt_put("held", "1");
	xt_await("looked");
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static void charge(void)
{
	long long before, paid;
	size_t done = 0;
	pid_t pid;

	xt_case("charge");
	if (xt_me == XT_HOME) {
		xt_group_create(GROUP);
		pid = xt_spawn(paying, NULL);
		xt_await("segid");
		before = xt_group_stat(GROUP, "slab_unreclaimable");
		xt_put("go", "1");
		xt_await("held");
		paid = xt_group_stat(GROUP, "slab_unreclaimable") - before;
		xt_ok(paid >= (long long)ENTRIES,
		      "%lld bytes for %zu pages are the group's", paid, PAGES);
		xt_put("looked", "1");
		xt_put("end", "1");
		xt_ok(!xt_join(pid), "the exporter ends");
		xt_group_destroy(GROUP);
	} else if (xt_me == 2) {
		xt_await("go");
		reading(&done);
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

static bool refused_more(void)
{
	return xt_count_over("refused_memory",
			     xt_count("refused_memory") + REFUSALS,
			     PATIENCE_MS);
}

static void nobody_killed(const char *when)
{
	xt_ok(!xt_group_read_key(GROUP, "memory.events", "oom") &&
		      !xt_group_read_key(GROUP, "memory.events", "oom_kill"),
	      "%s nobody was killed, or was to be", when);
}

/* Each minute one line says it of an exporter, and the first one soon. */
static void named(pid_t pid, long long since)
{
	long long minutes;
	char text[32];
	int lines;

	snprintf(text, sizeof(text), "pid %d:", pid);
	lines = xt_logged(text, "no memory to export its pages");
	minutes = (xt_ms() - since) / 60000;
	xt_ok(lines >= 1 && lines <= minutes + 1,
	      "the log says whose: %d lines in %lld minutes and a bit", lines,
	      minutes);
}

/* The group has no room: all that it has is the exporter's, and cannot go. */
static void home_without_room(void)
{
	long long since;
	char text[32];
	pid_t pid;

	xt_group_create(GROUP);
	xt_group_set(GROUP, "memory.swap.max", "0");
	pid = xt_spawn(paying, NULL);
	xt_await("segid");
	snprintf(text, sizeof(text), "%lld",
		 xt_group_read(GROUP, "memory.current") + (long long)ROOM);
	xt_group_set(GROUP, "memory.max", text);
	since = xt_ms();
	xt_put("go", "1");
	xt_ok(refused_more(), "fetches are refused for want of memory");
	named(pid, since);
	nobody_killed("meanwhile");
	xt_put("full", "1");
	xt_await("killed");
	xt_ok(xt_stat_is("exported", 0, PATIENCE_MS),
	      "nothing is exported any more");
	xt_put("empty", "1");
	xt_ok(refused_more(), "fetches of another importer are, too");
	named(pid, since);
	xt_put("full-again", "1");
	xt_await("waits");
	xt_group_set(GROUP, "memory.max", "max");
	xt_await("held");
	nobody_killed("in the end");
	xt_put("looked", "1");
	xt_put("end", "1");
	xt_ok(!xt_join(pid), "the exporter ends");
	xt_group_destroy(GROUP);
}

/* Some pages were had, all cannot be, and the process is there. */
static void waits(pid_t pid, const volatile size_t *done)
{
	size_t had = *done;

	xt_ok(had && had < PAGES && !waitpid(pid, NULL, WNOHANG),
	      "the importer waits: it has %zu pages of %zu", had, PAGES);
}

static void importer_waits(void)
{
	volatile size_t *done = mmap(NULL, xt_page, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	xt_need(done != MAP_FAILED, "memory shared with a child");
	xt_await("go");
	pid = xt_spawn(reading, (void *)done);
	xt_await("full");
	waits(pid, done);
	xt_ok(xt_dies(pid), "a signal ends it");
	xt_put("killed", "1");
	xt_await("empty");
	*done = 0;
	pid = xt_spawn(reading, (void *)done);
	xt_await("full-again");
	waits(pid, done);
	xt_put("waits", "1");
	xt_ok(!xt_join(pid) && *done == PAGES,
	      "with room for it all pages come, with the right bytes");
	munmap((void *)done, xt_page);
}

static void no_room(const char *name)
{
	xt_case(name);
	if (xt_me == XT_HOME)
		home_without_room();
	else if (xt_me == 2)
		importer_waits();
	xt_barrier("done");
	xt_nothing_left("at the end");
}

int main(void)
{
	xt_start("charge");
	charge();
	no_room("no room");
	/* At once: the log names each */
	no_room("no room, another exporter");
	return xt_finish();
}
