// SPDX-License-Identifier: GPL-2.0-only
/*
 * pauses: who has nothing to do with it. On p1 an exporter whose page goes to a
 * local importer and to p2 and is taken from both, again and again; and a
 * process that wants memory, much of it.
 */
#include "pauses.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OVER UINT64_MAX
#define BATCH 512 /* pages taken before one looks at their frames */

/* The words of the page. */
enum { CALL, ANSWER_LOCAL, ANSWER_REMOTE };

static struct shared {
	atomic_bool enough;
	atomic_llong turns;
	atomic_llong longest_ms;
	atomic_bool grabbed;
	atomic_bool look;
} * shared;

static pid_t turner, grabber;

/* The page goes to others by their touch; nothing but its words tells. */
static void call(volatile uint64_t *page, uint64_t n)
{
	page[CALL] = n;
	xt_need(xt_until(page[ANSWER_LOCAL] == n && page[ANSWER_REMOTE] == n,
			 ROUND_MS),
		"the bystanders' answers");
}

static void turn(void *arg)
{
	volatile uint64_t *page = xt_map(xt_page);
	long long start;

	(void)arg;
	page[CALL] = 0;
	xt_put("turning", "%#llx",
	       (long long)xt_export((void *)page, xt_page, 0666));
	for (uint64_t n = 1; !shared->enough; n++) {
		start = xt_ms();
		call(page, n);
		xt_need(!madvise((void *)page, xt_page, MADV_DONTNEED),
			"madvise");
		shared->turns = n;
		if (xt_ms() - start > shared->longest_ms)
			shared->longest_ms = xt_ms() - start;
	}
	call(page, OVER);
	xt_await("bystanders-left");
}

/* An importer, on either partition. */
static void answer(int word)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("turning"), XPMEM_RDWR);
	volatile uint64_t *page = xt_attach(apid, xt_page);
	uint64_t n;

	do {
		n = page[CALL];
		if (page[word] != n)
			page[word] = n;
		xt_rest(1);
	} while (n != OVER);
	xt_ok(!xpmem_release(apid), "xpmem_release of a bystander");
}

static void local(void *arg)
{
	(void)arg;
	answer(ANSWER_LOCAL);
}

void others_remote(void *arg)
{
	(void)arg;
	answer(ANSWER_REMOTE);
	xt_put("bystanders-left", "1");
}

static pid_t answerer;

void others_start(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(shared != MAP_FAILED, "mmap");
	memset(shared, 0, sizeof(*shared));
	turner = xt_spawn(turn, NULL);
	answerer = xt_spawn(local, NULL);
	xt_need(xt_until(shared->turns, PATIENCE_MS), "the first turn");
}

long long others_turns(void)
{
	return shared->turns;
}

void others_end(void)
{
	shared->enough = true;
	xt_ok(!xt_join(answerer), "the local bystander ends well");
	xt_ok(!xt_join(turner), "the bystanders' exporter ends well");
	xt_note("bystanders: %lld turns, longest %lld ms", shared->turns,
		shared->longest_ms);
}

/* --- memory is in demand */

struct grab {
	const uint64_t *frames; /* sorted; what somebody may still reach */
	size_t count;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static size_t count_reused(const struct grab *g, const char *mem, size_t pages)
{
	uint64_t frames[BATCH];
	size_t reused = 0;

	for (size_t at = 0; at < pages; at += BATCH) {
		xt_frames(mem + at * xt_page, frames, BATCH);
		for (size_t i = 0; i < BATCH; i++)
			reused += frames[i] &&
				  bsearch(&frames[i], g->frames, g->count,
					  sizeof(frames[i]), compare);
	}
	return reused;
}

/* What victims store goes to odd words. */
static size_t foreign(const uint64_t *words, size_t size)
{
	size_t found = 0;

	for (size_t i = 1; i < size / sizeof(*words); i += 2)
		found += words[i] != 0;
	return found;
}

static void grab(void *arg)
{
	const struct grab *g = arg;
	size_t pages = sysconf(_SC_AVPHYS_PAGES) / 2 / BATCH * BATCH;
	size_t reused, stored;
	char *mem = xt_map(pages * xt_page);

	xt_fill(mem, pages * xt_page, XT_EVEN, 9);
	reused = count_reused(g, mem, pages);
	xt_ok(!reused, "%zu of %zu new pages are in frames in quarantine",
	      reused, pages);
	shared->grabbed = true;
	xt_need(xt_until(shared->look, ROUND_MS), "p1's word");
	stored = foreign((uint64_t *)mem, pages * xt_page);
	xt_ok(!stored && !xt_wrong(mem, pages * xt_page, XT_EVEN, 9),
	      "%zu words of them were stored by somebody else", stored);
}

/* Leaves it to be joined. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid == pid;
}

void grab_start(const uint64_t *frames, size_t count)
{
	static struct grab g;
	uint64_t *sorted = malloc((count + 1) * sizeof(*sorted));

	xt_need(sorted != NULL, "memory for %zu frames", count);
	memcpy(sorted, frames, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	g = (struct grab){ sorted, count };
	grabber = xt_spawn(grab, &g);
	free(sorted);
	xt_need(xt_until(shared->grabbed || has_ended(grabber), PATIENCE_MS),
		"the memory");
}

void grab_end(void)
{
	shared->look = true;
	xt_ok(!xt_join(grabber), "memory was in demand");
}
