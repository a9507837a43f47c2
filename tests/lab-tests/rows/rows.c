// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every row of the hook table, three times.
 *
 *	p1 (home)		p2 (importer)		p3
 *	---------		-------------		--
 *	acknowledged: p1 operates on area after area, p2 answers at once
 *	late:	      the same, p2's answers take DELAY_MS
 *	lost:	      p2 holds everything and falls silent; p1 operates on all
 *		      areas at the same time; p3 holds everything as well and
 *		      sees what it should
 *
 * A pass, in p1's order: make the areas, let the importers hold them, operate,
 * let them look and store, check what they stored and store, let them look
 * again, end.
 */
#include "rows.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DELAY_MS 100
#define ANSWER_MS 90000
/* The deadline of a session is 10 s on rmap, where this runs; other work is slow. */
#define LOST_MS 30000
#define PATIENCE_MS 120000
#define THP "/sys/kernel/mm/transparent_hugepage/"

enum mode { ACKNOWLEDGED, LATE, LOST };

static struct area *areas;
static size_t count;

/* What an importer has of each area. */
static struct hold {
	xpmem_apid_t apid;
	char *at;
} * holds;

static void number(char *key, const char *what, size_t i)
{
	snprintf(key, 32, "%s-%zu", what, i);
}

/* --- home ---------------------------------------------------------------- */

/*
 * Compaction on behalf of others takes any page back, before its row does: none
 * once the areas are there.
 */
static void compact_for_others(bool on)
{
	xt_write_text("/proc/sys/vm/compaction_proactiveness", on ? "20" : "0");
	xt_write_text(THP "defrag", on ? "madvise" : "never");
}

/* A huge page that cannot be split keeps its poison: none of it is exported. */
static bool start(struct area *a, enum mode mode)
{
	if (mode != LOST || !(a->row->flags & ROW_ANSWERED))
		return area_start(a);
	a->missing = "an importer that answers";
	return false;
}

static void start_all(enum mode mode, uint32_t pass)
{
	char key[32];

	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];

		area_init(a, i, pass);
		if (!start(a, mode)) {
			a->outcome = MISSING;
			xt_skip(a->name, a->missing);
		}
		number(key, "segid", i);
		xt_put(key, "%#llx", (long long)a->segid);
	}
}

/* Did the operation do what its row says? */
static bool settled(const struct area *a, bool must)
{
	if (a->outcome == MISSING) {
		xt_skip(a->name, a->missing);
		return false;
	}
	xt_ok(a->outcome == DONE || !must, "%s: %s after %lld ms", a->name,
	      a->outcome == DONE ? "done" : "not done", a->took_ms);
	return a->outcome == DONE;
}

/* One area after the other: each one's revocations and time are its own. */
static void operate_each(enum mode mode)
{
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];
		long long start = xt_ms(), revoked = counter("revoked");

		if (!a->segid)
			continue;
		area_tell(a, ORDER_OPERATE);
		xt_need(area_answers(a, ANSWER_MS), "%s: ends", a->name);
		a->took_ms = xt_ms() - start;
		if (!settled(a, true) || a->row->flags & ROW_LEAVES)
			continue;
		revoked = counter("revoked") - revoked;
		xt_ok(revoked > 0, "%s: %lld pages were revoked", a->name,
		      revoked);
		if (mode == LATE && !(a->row->flags & ROW_ENDS))
			xt_ok(a->took_ms >= DELAY_MS,
			      "%s: not before the acknowledgement (%lld ms)",
			      a->name, a->took_ms);
	}
}

/* Did it end in time?  If not, it owes its answer until after the fence. */
static bool ends_meanwhile(struct area *a, long long start)
{
	long long left = start + LOST_MS - xt_ms();

	a->owes = !area_answers(a, left > 0 ? left : 0);
	if (a->row->flags & ROW_ENDS)
		a->took_ms = xt_ms() - start;
	xt_ok(!a->owes, "%s: ends within %d ms", a->name, LOST_MS);
	if (a->owes)
		a->outcome = NOT_YET;
	return !a->owes;
}

/* All at once: each one's revocation is under way when the importer is lost. */
static void operate_all(void)
{
	long long start = xt_ms(), longest = 0;

	for (size_t i = 0; i < count; i++)
		if (areas[i].segid)
			area_tell(&areas[i], ORDER_TRY);
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];

		if (!a->segid || !ends_meanwhile(a, start))
			continue;
		settled(a, false);
		if (longest < a->took_ms)
			longest = a->took_ms;
	}
	xt_note("the longest operation took %lld ms", longest);
}

/* What was refused while the importer was lost is not any more. */
static void operate_again(void)
{
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];

		if (a->owes) {
			xt_need(area_answers(a, ANSWER_MS),
				"%s: ends after the fence", a->name);
			a->again = true;
			settled(a, false);
		}
		if (!a->segid || a->outcome != NOT_YET)
			continue;
		area_tell(a, ORDER_OPERATE);
		xt_need(area_answers(a, ANSWER_MS), "%s: ends", a->name);
		settled(a, true);
	}
}

static void tell_outcomes(const char *what)
{
	char key[32];

	for (size_t i = 0; i < count; i++) {
		number(key, what, i);
		xt_put(key, "%d", areas[i].outcome);
	}
}

static void check_all(void)
{
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];

		if (!a->segid || a->outcome == MISSING ||
		    a->row->flags & ROW_ENDS)
			continue;
		area_tell(a, ORDER_CHECK);
		xt_need(area_answers(a, ANSWER_MS), "%s: is checked", a->name);
	}
}

static void end_all(void)
{
	for (size_t i = 0; i < count; i++)
		if (areas[i].segid)
			xt_ok(area_ends(&areas[i]), "%s: ends well",
			      areas[i].name);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* How many frames of the areas are among these? */
static size_t known(const uint64_t *frames, size_t number_of,
		    const uint64_t *sorted, size_t total)
{
	size_t found = 0;

	for (size_t i = 0; i < number_of; i++)
		found += frames[i] && bsearch(&frames[i], sorted, total,
					      sizeof(*sorted), compare);
	return found;
}

/* Takes half of the memory there is; none of it may be a frame of p2's. */
static void grab(void *arg)
{
	const size_t size = (size_t)sysconf(_SC_AVPHYS_PAGES) / 2 * PAGE;
	uint64_t *sorted = malloc(count * sizeof(areas->frames));
	size_t total = 0, reused = 0;
	char *mem = xt_map(size);
	uint64_t frames[512];

	(void)arg;
	xt_need(sorted != NULL, "malloc");
	for (size_t i = 0; i < count; i++)
		for (size_t p = 0; p < areas[i].size / PAGE; p++)
			sorted[total++] = areas[i].frames[p];
	qsort(sorted, total, sizeof(*sorted), compare);
	for (size_t at = 0; at + HUGE <= size; at += HUGE) {
		for (size_t p = 0; p < 512; p++)
			mem[at + p * PAGE] = 1;
		area_frames(mem + at, 512, frames);
		reused += known(frames, 512, sorted, total);
	}
	xt_ok(!reused, "%zu of %zu new pages are in frames that p2 can reach",
	      reused, size / PAGE);
}

static void fence(void)
{
	xt_ok(xt_stat("quarantine") > 0, "what p2 holds is in quarantine");
	xt_ok(!xt_join(xt_spawn(grab, NULL)), "memory was in demand");
	xt_ok(!system("xpmemctl fence 2"), "xpmemctl fence 2");
	xt_ok(xt_stat_is("quarantine", 0, PATIENCE_MS), "then nothing is");
}

static void home(enum mode mode, uint32_t pass)
{
	long long began = xt_ms();

	compact_for_others(true);
	start_all(mode, pass);
	compact_for_others(false);
	xt_await("held-2");
	if (mode == LOST) {
		xt_await("held-3");
		xt_await("parted-2");
		xt_ok(!system(XT_LAB " ctl cut 2"), "lab ctl cut 2");
		operate_all();
	} else {
		operate_each(mode);
	}
	tell_outcomes("done");
	xt_put("operated", "1");
	xt_await("looked");
	if (mode == LOST) {
		fence();
		operate_again();
	}
	check_all();
	tell_outcomes("again");
	xt_put("stored", "1");
	xt_await("left");
	end_all();
	xt_nothing_left("at the end");
	xt_note("%zu areas in %lld ms", count, xt_ms() - began);
}

/* --- importers ----------------------------------------------------------- */

/* Attach everything and touch it; whoever comes first stores. */
static void hold_all(uint32_t pass, bool first)
{
	char key[32];

	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];
		struct hold *h = &holds[i];

		area_init(a, i, pass);
		number(key, "segid", i);
		a->segid = xt_await_num(key);
		if (!a->segid)
			continue;
		h->apid = xt_permit(a->segid,
				    a->write ? XPMEM_RDWR : XPMEM_RDONLY);
		h->at = xt_attach(h->apid, a->size);
		xt_ok(!area_wrong(a, h->at, XT_EVEN, 1, 0, a->size),
		      "%s: p%d has the exporter's words", a->name, xt_me);
		if (!a->write)
			xt_ok(xt_store(h->at, 0) == SIGSEGV,
			      "%s: p%d cannot store", a->name, xt_me);
		else if (first)
			xt_ok(area_store(a, h->at, XT_ODD, 2, 0, a->size),
			      "%s: p%d stores", a->name, xt_me);
		if (!a->write || !first)
			xt_ok(!area_wrong(a, h->at, XT_ODD, 2, 0, a->size),
			      "%s: p%d has the other words", a->name, xt_me);
	}
}

static void look_at_kept(const struct area *a, char *at, size_t from, size_t to)
{
	if (from == to)
		return;
	xt_ok(!area_wrong(a, at, XT_EVEN, 1, from, to),
	      "%s: p%d has the exporter's words", a->name, xt_me);
	xt_ok(!area_wrong(a, at, XT_ODD, 2, from, to),
	      "%s: p%d has the words that were stored before", a->name, xt_me);
	if (area_can_store(a))
		xt_ok(area_store(a, at, XT_ODD, 4, from, to), "%s: p%d stores",
		      a->name, xt_me);
	else if (a->write && a->outcome == DONE)
		xt_ok(xt_store(at + from, 0), "%s: p%d cannot store any more",
		      a->name, xt_me);
}

static void look_at_changed(const struct area *a, char *at, size_t from,
			    size_t to)
{
	if (from == to)
		return;
	if (a->row->sees == NOTHING) {
		xt_ok(xt_load(at + from, NULL) == SIGBUS &&
			      xt_load(at + to - 8, NULL) == SIGBUS,
		      "%s: SIGBUS for p%d", a->name, xt_me);
		return;
	}
	xt_ok(!area_nonzero(at, from, to), "%s: zeros for p%d", a->name, xt_me);
	if (area_can_store(a))
		xt_ok(area_store(a, at, XT_ODD, 4, from, to),
		      "%s: p%d stores to the new pages", a->name, xt_me);
}

static void hear_outcomes(const char *what)
{
	char key[32];

	for (size_t i = 0; i < count; i++) {
		number(key, what, i);
		areas[i].outcome = xt_await_num(key);
	}
}

static void look_all(void)
{
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];
		size_t from = area_from(a), to = area_to(a);

		if (!a->segid || a->outcome == MISSING)
			continue;
		look_at_kept(a, holds[i].at, 0, from);
		look_at_changed(a, holds[i].at, from, to);
		look_at_kept(a, holds[i].at, to, a->size);
	}
}

static void look_again(void)
{
	for (size_t i = 0; i < count; i++) {
		struct area *a = &areas[i];
		int round = a->row->flags & ROW_FIXED ? 1 : 3;
		size_t from = area_from(a), to = area_to(a);

		if (!a->segid || a->outcome == MISSING ||
		    a->row->flags & ROW_ENDS)
			continue;
		if (a->row->sees == ZEROS)
			from = to;
		xt_ok(!area_wrong(a, holds[i].at, XT_EVEN, round, 0, from) &&
			      !area_wrong(a, holds[i].at, XT_EVEN, round, to,
					  a->size),
		      "%s: p%d has the exporter's later words", a->name, xt_me);
	}
}

static void release_all(void)
{
	size_t failed = 0;

	for (size_t i = 0; i < count; i++)
		failed += areas[i].segid && xpmem_release(holds[i].apid);
	xt_ok(!failed, "p%d releases all permits", xt_me);
}

static void importer(enum mode mode, uint32_t pass)
{
	if (mode == LOST)
		xt_await("held-2");
	hold_all(pass, mode != LOST);
	if (mode == LATE)
		xt_need(!system("tc qdisc replace dev lan1 root netem delay 100ms"),
			"delay what p2 sends");
	xt_put(mode == LOST ? "held-3" : "held-2", "1");
	xt_await("operated");
	if (mode == LATE)
		xt_need(!system("tc qdisc del dev lan1 root"), "delay no more");
	hear_outcomes("done");
	look_all();
	xt_put("looked", "1");
	xt_await("stored");
	hear_outcomes("again");
	look_again();
	release_all();
	xt_put("left", "1");
	xt_nothing_left("at the end");
}

/* p2, on its own from the cut on. */
static void silent(uint32_t pass)
{
	hold_all(pass, true);
	xt_put("held-2", "1");
	xt_leave();
	xt_put("parted-2", "1");
	for (size_t i = 0; i < count; i++)
		if (areas[i].segid)
			xt_ok(xt_touch_ends(holds[i].at, PATIENCE_MS),
			      "%s: SIGBUS for p2 in the end", areas[i].name);
	release_all();
	xt_nothing_left("on p2");
}

/* --- passes -------------------------------------------------------------- */

static void take_part(enum mode mode, uint32_t pass)
{
	if (xt_me == XT_HOME)
		home(mode, pass);
	else if (mode == LOST && xt_me == 2)
		silent(pass);
	else if (xt_me == (mode == LOST ? 3 : 2))
		importer(mode, pass);
}

/* p2 takes no part in the end any more. */
static int end_without_p2(void)
{
	if (xt_me != 2) {
		xt_put(xt_me == XT_HOME ? "end-1" : "end-3", "1");
		xt_await(xt_me == XT_HOME ? "end-3" : "end-1");
		xt_meet_fini();
	}
	return xt_part();
}

int main(void)
{
	count = area_count();
	areas = mmap(NULL, count * sizeof(*areas), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	holds = calloc(count, sizeof(*holds));
	xt_start("rows");
	xt_need(areas != MAP_FAILED && holds, "memory for %zu areas", count);
	if (xt_me == XT_HOME) {
		xt_write_text(THP "shmem_enabled", "advise");
		rare_prepare();
	}
	xt_case("acknowledged");
	take_part(ACKNOWLEDGED, 1);
	xt_case("late");
	take_part(LATE, 2);
	if (xt_me == XT_HOME)
		xt_write_text("/sys/kernel/mm/ksm/run", "0");
	xt_case("lost");
	if (xt_nodes == 3) {
		take_part(LOST, 3);
		return end_without_p2();
	}
	xt_skip("everything", "a run with --nodes 3");
	return xt_finish();
}
