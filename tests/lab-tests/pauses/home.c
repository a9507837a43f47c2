// SPDX-License-Identifier: GPL-2.0-only
/*
 * pauses: the home. It brings each victim to its state, stops it, and looks at
 * what that costs.
 */
#include "pauses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* More than the deadline that a slow machine may need. */
#define SLACK_MS 5000
/* Frames in quarantine that are kept in mind, over all rounds. */
#define FRAMES (4096)

enum order { STAY, TAKE, LEAVE };

/* Of one victim; shared with its exporter. */
static struct struck {
	/* of this round */
	_Atomic enum order order;
	atomic_bool taken;
	atomic_llong wait_ms; /* of the exporter, for its memory */
	atomic_llong close_ms; /* of the administrator, for the session */
	uint64_t frames[PAGES];
	/* the leader's own */
	pid_t exporter, closer;
	struct xt_look before;
	long long since, stopped; /* last heard; paused */
	bool resumed, late; /* it was silent for too long, as it seems */
	/* over all rounds */
	uint64_t quarantine;
	bool off;
} * struck;

static uint64_t frames[FRAMES];
static size_t nframes;
static long long longest_wait, longest_close;

void home_init(void)
{
	struck = mmap(NULL, (MAX_NODES + 1) * sizeof(*struck),
		      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	xt_need(struck != MAP_FAILED, "mmap");
}

/* --- the exporters, a process for each victim */

/* All pages in one table, on either side: one fetch brings them all. */
static char *one_table(void)
{
	const size_t huge = 2 * XT_MIB;
	char *mem = xt_map(2 * huge);

	return mem + (-(uintptr_t)mem & (huge - 1));
}

static void exporter(void *arg)
{
	struct struck *s = arg;
	char *mem = one_table(), key[32];
	long long start;

	xt_fill(mem, SIZE, XT_EVEN, 1);
	snprintf(key, sizeof(key), "segid-%d", (int)(s - struck));
	xt_put(key, "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_need(xt_until(s->order >= TAKE, ROUND_MS), "p1's order");
	xt_frames(mem, s->frames, PAGES);
	start = xt_ms();
	munmap(mem, SIZE);
	s->wait_ms = xt_ms() - start;
	s->taken = true;
	xt_need(xt_until(s->order >= LEAVE, ROUND_MS), "p1's order");
}

static void closer(void *arg)
{
	struct struck *s = arg;
	long long start = xt_ms();
	int error = xt_session_finish(s - struck);

	xt_ok(!error || error == ENOENT, "the session is closed (errno %d)",
	      error);
	s->close_ms = xt_ms() - start;
}

/* --- stopping and going on */

/* Which direction is cut so that the state lasts; "" for none. */
static const char *cut_of(const struct round *r, int id)
{
	static char way[16];

	switch (state_of(id)) {
	case FETCH:
		snprintf(way, sizeof(way), r->other_way ? "1:%d" : "%d:1", id);
		return way;
	case ACK:
	case PUT:
	case CLOSING:
		snprintf(way, sizeof(way), "%d:1", id);
		return way;
	case NONE:
	case HELD:
	case REVOKE:
	case STATES:
		break;
	}
	return "";
}

static bool is_there(const struct round *r, int id)
{
	const struct struck *s = &struck[id];

	if (!xt_flag_await(PATIENCE_MS, FLAG, r->number, id, "there"))
		return false;
	if (state_of(id) != FETCH || !r->other_way)
		return true;
	return xt_until(xt_look(id).granted != s->before.granted, PATIENCE_MS);
}

/* Brings a partition to its state, and stops it. */
static void strike(const struct round *r, int id)
{
	const enum state state = state_of(id);
	const char *way = cut_of(r, id);
	struct struck *s = &struck[id];
	char key[32];

	snprintf(key, sizeof(key), "ready-%d", id);
	xt_await(key);
	s->before = xt_look(id);
	s->since = xt_ms();
	if (*way)
		xt_lab("cut %s", way);
	xt_flag(FLAG, r->number, id, "go");
	if (state == ACK)
		s->order = TAKE;
	if (state == CLOSING && !r->other_way)
		s->closer = xt_spawn(closer, s);
	xt_ok(is_there(r, id), "p%d is in its state: %s", id,
	      state_names[state]);
	xt_lab(r->kind.ms ? "pause %d" : "poweroff %d", id);
	s->stopped = xt_ms();
	s->off = !r->kind.ms;
	if (*way && r->kind.ms)
		xt_lab("heal %s", way);
	/* Of the others the home wants its memory back later. */
	if (state != HELD && (state != CLOSING || r->other_way))
		s->order = TAKE;
}

static int next_due(int first, int last)
{
	int found = 0;

	for (int id = first; id <= last; id++)
		if (!struck[id].resumed &&
		    (!found || struck[id].stopped < struck[found].stopped))
			found = id;
	return found;
}

/* Each after its pause: here time is what the test is about. */
static void resume(const struct round *r, int first, int last)
{
	int id;

	while (r->kind.ms && (id = next_due(first, last))) {
		struct struck *s = &struck[id];

		xt_until(xt_ms() >= s->stopped + r->kind.ms, r->kind.ms);
		xt_lab("resume %d", id);
		s->resumed = true;
		/* Not by our doing, on a machine that has more to do. */
		s->late = xt_ms() - s->since > deadline_ms * 9 / 10;
		xt_flag(FLAG, r->number, id, "resumed");
		if (!r->kind.lasting)
			xt_note("p%d was silent for %lld ms", id,
				xt_ms() - s->since);
	}
}

/* --- what it costs */

static void judge_wait(int id)
{
	struct struck *s = &struck[id];
	const long long most = deadline_ms + 2 * heartbeat() + SLACK_MS;

	if (s->wait_ms > longest_wait)
		longest_wait = s->wait_ms;
	if (s->close_ms > longest_close)
		longest_close = s->close_ms;
	xt_ok(s->taken && s->wait_ms <= most,
	      "the home waited %lld ms for its memory, not over %lld",
	      s->wait_ms, most);
	if (s->closer)
		xt_ok(s->close_ms <= most,
		      "and %lld ms for the end of the session", s->close_ms);
}

/* The exporter has its memory back, or what of it is in nobody's reach. */
static void wait_for(const struct round *r, int id)
{
	const long long patience = 2LL * deadline_ms + PATIENCE_MS;
	struct struck *s = &struck[id];

	if (s->closer)
		xt_ok(!xt_join(s->closer), "who closed it ends well");
	if (s->order == STAY) {
		if (r->kind.lasting)
			xt_ok(xt_look_lost(id, s->before.epoch, patience),
			      "p%d is lost for its silence", id);
		s->order = TAKE;
	}
	xt_until(s->taken, patience);
	judge_wait(id);
}

/* A victim that is lost may reach something, if it was granted that. */
static bool had_pages(const struct round *r, int id)
{
	enum state state = state_of(id);

	return state > FETCH || (state == FETCH && r->other_way);
}

/*
 * How much: all that it has touched, and of a fetch what was granted. What was not
 * resident just then, or locked, is left out of that.
 */
static uint64_t pages_of(int id)
{
	if (state_of(id) != FETCH)
		return PAGES;
	return xt_look(id).granted - struck[id].before.granted;
}

/* Which they are is known if they are all. */
static void remember_frames(int id, uint64_t pages)
{
	if (pages != PAGES || nframes + PAGES > FRAMES)
		return;
	memcpy(frames + nframes, struck[id].frames, sizeof(struck[id].frames));
	nframes += PAGES;
}

static void wait_for_all(const struct round *r, int first, int last)
{
	for (int id = first; id <= last; id++) {
		uint64_t pages;

		wait_for(r, id);
		if (!r->kind.lasting || !had_pages(r, id))
			continue;
		pages = pages_of(id);
		xt_ok(pages > 0 && pages <= PAGES, "p%d may reach %llu pages",
		      id, (unsigned long long)pages);
		struck[id].quarantine += pages;
		remember_frames(id, pages);
	}
}

/* This side was to end the session: a close has its own deadline. */
static bool is_evicted(const struct round *r, int id)
{
	return r->kind.lasting && had_pages(r, id) && state_of(id) != CLOSING;
}

static void judge(const struct round *r, int id)
{
	struct struck *s = &struck[id];
	struct xt_look look;
	char key[32];

	if (r->kind.ms) {
		snprintf(key, sizeof(key), "ended-%d", id);
		xt_await(key);
	} else {
		xt_ok(xt_look_lost(id, s->before.epoch, PATIENCE_MS),
		      "p%d is lost", id);
	}
	look = xt_look(id);
	xt_ok(look.quarantine == s->quarantine || (s->late && !r->kind.lasting),
	      "%s: %llu pages of p%d in quarantine, as it should be %llu",
	      state_names[state_of(id)], (unsigned long long)look.quarantine,
	      id, (unsigned long long)s->quarantine);
	if (is_evicted(r, id))
		xt_ok(look.evictions > s->before.evictions,
		      "the status counts %llu evictions of p%d, before %llu",
		      (unsigned long long)look.evictions, id,
		      (unsigned long long)s->before.evictions);
	if (r->kind.lasting || state_of(id) == CLOSING)
		return;
	if (s->late)
		xt_skip("its session goes on", "a machine that is not so slow");
	else
		xt_ok(look.up && look.epoch == s->before.epoch,
		      "the session of p%d goes on", id);
}

/* --- a round */

static void prepare(void)
{
	for (int id = BYSTANDER; id <= xt_nodes; id++) {
		struct struck *s = &struck[id];

		s->order = STAY;
		s->taken = s->resumed = s->late = false;
		s->wait_ms = s->close_ms = 0;
		s->closer = 0;
		s->exporter = xt_spawn(exporter, s);
	}
}

/* Victims attach anew; then all that is left of them is in quarantine. */
static void come_back(void)
{
	char *mem = xt_map(SIZE), key[32];
	xpmem_segid_t segid;

	xt_fill(mem, SIZE, XT_EVEN, 5);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("again", "%#llx", (long long)segid);
	for (int id = BYSTANDER; id <= xt_nodes; id++) {
		snprintf(key, sizeof(key), "back-%d", id);
		xt_await(key);
	}
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
}

static void others_judge(const struct round *r, long long turns)
{
	turns = others_turns() - turns;
	if (r->kind.lasting)
		xt_ok(turns > 1, "bystanders made %lld turns meanwhile", turns);
	others_end();
}

void home_round(const struct round *r)
{
	long long turns;

	prepare();
	others_start();
	for (int id = FIRST; id <= xt_nodes; id++)
		strike(r, id);
	turns = others_turns();
	if (!r->kind.lasting)
		resume(r, FIRST, xt_nodes);
	wait_for_all(r, FIRST, xt_nodes);
	others_judge(r, turns);
	grab_start(frames, nframes);
	strike(r, BYSTANDER);
	resume(r, BYSTANDER, xt_nodes);
	wait_for_all(r, BYSTANDER, BYSTANDER);
	for (int id = BYSTANDER; id <= xt_nodes; id++)
		judge(r, id);
	grab_end();
	for (int id = BYSTANDER; id <= xt_nodes; id++) {
		struck[id].order = LEAVE;
		xt_ok(!xt_join(struck[id].exporter), "its exporter ends well");
	}
	if (r->kind.ms)
		come_back();
}

/* All victims are off. */
void home_end(void)
{
	char command[64];

	xt_ok(!system("xpmemctl status | sed 's/^/# /'"), "xpmemctl status");
	for (int id = BYSTANDER; id <= xt_nodes; id++) {
		if (!struck[id].quarantine)
			continue;
		snprintf(command, sizeof(command), "xpmemctl fence %d", id);
		xt_ok(!system(command), "%s", command);
	}
	xt_nothing_left("at the end");
	xt_note("longest wait for memory %lld ms, for the end of a session %lld ms; deadline %d ms",
		longest_wait, longest_close, deadline_ms);
	xt_leave();
}
