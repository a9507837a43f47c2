// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two partitions, each with memory exported to the other that is half as much again
 * as it has: both reclaim from each other all the time.
 *
 * usage: mutual [MINUTES]
 *
 * On each partition a process exports and uses its memory, a second one uses that of
 * the other partition, both at random, and read back what they stored: a word of each
 * page is the exporter's, another one the importer's. A third has nothing to do with
 * it. Nobody stands still, nobody is killed, and no store is lost.
 */
#include "xt-lab.h"
#include "xt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STANDSTILL_MS 300000 /* longer than anything that goes on needs */
#define LOOK_MS 1000

enum who { EXPORTER, IMPORTER, UNRELATED, WHO };
static const char *const names[WHO] = { "exporter", "importer", "bystander" };

static struct shared {
	atomic_bool stop;
	atomic_llong done[WHO];
	atomic_llong longest_us[WHO];
	atomic_llong wrong;
} * shared;

static double minutes = 10;

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static void did(enum who who, long long since)
{
	long long us = now_us() - since;

	if (us > shared->longest_us[who])
		shared->longest_us[who] = us;
	shared->done[who]++;
}

static size_t memory(void)
{
	return 3UL * sysconf(_SC_PHYS_PAGES) / 2 * xt_page / XT_MIB * XT_MIB;
}

/* How often a page was stored to by this side is what it must say. */
static void use(char *mem, size_t size, enum who who)
{
	const size_t pages = size / xt_page;
	uint32_t *count = calloc(pages, sizeof(*count));
	unsigned int seed = 4711 + 2 * xt_me + who;

	xt_need(count != NULL, "memory for %zu counts", pages);
	while (!shared->stop) {
		size_t page =
			((size_t)rand_r(&seed) << 16 ^ rand_r(&seed)) % pages;
		volatile uint64_t *word =
			(uint64_t *)(mem + page * xt_page) + who;
		long long start = now_us();

		if (*word != count[page]) {
			shared->wrong++;
			xt_note("page %zu says %llu, not %u", page,
				(unsigned long long)*word, count[page]);
			count[page] = *word;
		}
		*word = ++count[page];
		did(who, start);
	}
	free(count);
}

static void exporter(void *arg)
{
	size_t size = memory();
	char *mem = xt_map(size), key[32];

	(void)arg;
	/* Before the other side sees it: there, it has to be there. */
	for (size_t at = 0; at < size && !shared->stop; at += xt_page)
		*(volatile uint64_t *)(mem + at) = 0;
	snprintf(key, sizeof(key), "segid-%d", xt_me);
	xt_put(key, "%#llx", (long long)xt_export(mem, size, 0666));
	snprintf(key, sizeof(key), "size-%d", xt_me);
	xt_put(key, "%zu", size);
	xt_await("begin");
	use(mem, size, EXPORTER);
	snprintf(key, sizeof(key), "left-%d", 3 - xt_me);
	xt_await(key);
}

static void importer(void *arg)
{
	xpmem_apid_t apid;
	char key[32];
	size_t size;

	(void)arg;
	snprintf(key, sizeof(key), "segid-%d", 3 - xt_me);
	apid = xt_permit(xt_await_num(key), XPMEM_RDWR);
	snprintf(key, sizeof(key), "size-%d", 3 - xt_me);
	size = xt_await_num(key);
	xt_await("begin");
	use(xt_attach(apid, size), size, IMPORTER);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	snprintf(key, sizeof(key), "left-%d", xt_me);
	xt_put(key, "1");
}

static void unrelated(void *arg)
{
	(void)arg;
	while (!shared->stop) {
		long long start = now_us();
		char *mem = xt_map(64 * xt_page);
		pid_t pid = fork();

		xt_need(pid >= 0, "fork");
		if (!pid)
			_exit(0);
		memset(mem, 1, 64 * xt_page);
		munmap(mem, 64 * xt_page);
		waitpid(pid, NULL, 0);
		did(UNRELATED, start);
	}
}

/* For so long: the duration is the test's.  Returns false at a standstill. */
static bool watch(void)
{
	long long end = xt_ms() + minutes * 60000, last[WHO] = { 0 };
	long long since[WHO] = { xt_ms(), xt_ms(), xt_ms() };

	while (xt_ms() < end) {
		xt_rest(LOOK_MS);
		for (int who = 0; who < WHO; who++) {
			if (shared->done[who] != last[who])
				since[who] = xt_ms();
			last[who] = shared->done[who];
			if (xt_ms() - since[who] < STANDSTILL_MS)
				continue;
			xt_note("the %s stands still", names[who]);
			return false;
		}
	}
	return true;
}

static void figures(const struct xt_look *look)
{
	for (int who = 0; who < WHO; who++)
		xt_note("%s: %lld turns, the longest took %lld ms", names[who],
			shared->done[who], shared->longest_us[who] / 1000);
	xt_note("revoked %lld pages; a wait: 99 of 100 within %llu us, the longest %llu us; swapped %lld out, %lld in",
		xt_count("revoked"), (unsigned long long)look->wait_p99_us,
		(unsigned long long)look->wait_max_us, xt_swapped_out(),
		xt_swapped_in());
	if (xt_series())
		xt_note("reclaim was refused %lld folios, and waited %lld times",
			xt_vmstat("rmap_external_refused"),
			xt_vmstat("rmap_external_waits"));
}

static void both(void)
{
	void (*const fns[WHO])(void *) = { exporter, importer, unrelated };
	struct xt_look before = xt_look(3 - xt_me), look;
	pid_t pids[WHO];
	bool moving;

	for (int who = 0; who < WHO; who++)
		pids[who] = xt_spawn(fns[who], NULL);
	xt_await("segid-1");
	xt_await("segid-2");
	if (xt_me == XT_HOME)
		xt_put("begin", "1");
	xt_await("begin");
	moving = watch();
	xt_ok(moving, "nobody stands still for %d s", STANDSTILL_MS / 1000);
	look = xt_look(3 - xt_me);
	figures(&look);
	xt_barrier("watched");
	shared->stop = true;
	for (int who = 0; who < WHO; who++)
		xt_ok(!xt_join(pids[who]), "the %s ends well", names[who]);
	xt_ok(!shared->wrong, "%lld stores were lost", shared->wrong);
	xt_ok(shared->done[EXPORTER] && shared->done[IMPORTER] &&
		      shared->done[UNRELATED],
	      "all had their turns");
	xt_ok(xt_count("revoked") > 0 && look.wait_max_us > 0,
	      "pages were taken back");
	xt_ok(!xt_vmstat("oom_kill"), "nobody was killed");
	xt_ok(look.up && look.epoch == before.epoch &&
		      look.evictions == before.evictions,
	      "the session is the one of before");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		minutes = atof(argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_start("mutual");
	xt_case("mutual");
	if (xt_nodes != 2 || minutes <= 0) {
		xt_skip("everything", "two partitions, and minutes");
		return xt_finish();
	}
	both();
	xt_barrier("done");
	xt_nothing_left("then");
	return xt_finish();
}
