// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terms: what is refused, and which of two count. Leases: what renews one, and
 * every way in which the messages of a small session can be late or lost.
 *
 * Each side sends a PING a heartbeat. At each step of time, each direction of
 * the connection brings its oldest message or not, or is cut for good: all
 * sequences of that are tried. Whenever the home would give its importer up,
 * the importer's lease must be over. The same with a lease that is counted
 * wrongly must be found out.
 */
#include "lease.h"
#include "tap.h"
#include "wire.h"

#define MS 1000000ull
#define UNIT 10u /* milliseconds a step */
#define STEPS 8
#define HEARTBEAT 1 /* in steps */
#define QUEUE (2 * STEPS + 2)

static const struct xpmem_terms good = { 500, 10000, 9500 };

static void terms_refused(u32 heartbeat, u32 deadline, u32 lease,
			  const char *why)
{
	const struct xpmem_terms terms = { heartbeat, deadline, lease };
	const char *bad = xpmem_terms_check(&terms);

	tap_ok(bad && strstr(bad, why), "terms %u %u %u: %s", heartbeat,
	       deadline, lease, bad ? bad : "accepted");
}

static void test_terms(void)
{
	struct xpmem_terms t;

	tap_ok(!xpmem_terms_check(&good), "terms, sound ones");
	terms_refused(0, 10000, 9500, "heartbeat below");
	terms_refused(9, 10000, 9500, "heartbeat below");
	terms_refused(500, 600001, 9500, "deadline above");
	terms_refused(500, UINT32_MAX, 9500, "deadline above");
	terms_refused(500, 1499, 999, "three heartbeats");
	terms_refused(UINT32_MAX, 600000, 9500, "three heartbeats");
	terms_refused(UINT32_MAX / 3 + 1, 10, 10, "three heartbeats");
	terms_refused(500, 10000, 499, "below one heartbeat");
	terms_refused(500, 10000, 0, "below one heartbeat");
	terms_refused(500, 10000, 9501, "before the deadline");
	terms_refused(500, 10000, UINT32_MAX, "before the deadline");
	xpmem_terms_init(&t, 10, 30);
	tap_ok(!xpmem_terms_check(&t) && t.lease == 20,
	       "terms, the shortest: lease %u", t.lease);
	xpmem_terms_init(&t, 200000, 600000);
	tap_ok(!xpmem_terms_check(&t) && t.lease == 400000,
	       "terms, the longest: lease %u", t.lease);
	xpmem_terms_init(&t, 500, 400);
	tap_ok(!!xpmem_terms_check(&t), "terms, a deadline below a heartbeat");
}

static u32 random32(void)
{
	static u64 x = 0x9e3779b97f4a7c15ull; /* each run is the same */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 16;
}

static void terms_random(struct xpmem_terms *t)
{
	t->heartbeat = XPMEM_TERMS_MIN_MS + random32() % 200;
	t->deadline = 3 * t->heartbeat + random32() % 1000;
	t->lease = t->heartbeat + random32() % (t->deadline - 2 * t->heartbeat);
}

static void test_stricter(void)
{
	unsigned int k, wrong = 0, unsound = 0;

	for (k = 0; k < 200000; k++) {
		struct xpmem_terms a, b, ab, ba;

		terms_random(&a);
		terms_random(&b);
		ab = a;
		xpmem_terms_stricter(&ab, &b);
		ba = b;
		xpmem_terms_stricter(&ba, &a);
		wrong += memcmp(&ab, &ba, sizeof(ab)) != 0 ||
			 ab.deadline > a.deadline || ab.deadline > b.deadline ||
			 ab.lease > a.lease || ab.lease > b.lease;
		unsound += xpmem_terms_check(&ab) != NULL;
	}
	tap_ok(!wrong && !unsound,
	       "terms, %u pairs: %u not the same on both sides, %u unsound", k,
	       wrong, unsound);
}

static struct xpmem_wire_terms wire_terms(u32 heartbeat, u32 deadline,
					  u32 lease)
{
	const struct xpmem_wire_terms msg = {
		.heartbeat_ms = cpu_to_le32(heartbeat),
		.deadline_ms = cpu_to_le32(deadline),
		.lease_ms = cpu_to_le32(lease),
	};

	return msg;
}

static void test_agreement(void)
{
	struct xpmem_wire_terms msg = wire_terms(100, 900, 300);
	struct xpmem_lease lease;
	const char *why;

	xpmem_lease_start(&lease, &good, 5 * MS);
	tap_ok(!lease.agreed, "lease, no terms have come yet");
	tap_ok(!xpmem_lease_terms(&lease, &msg) && lease.agreed &&
		       lease.terms.heartbeat == 100 &&
		       lease.terms.deadline == 900 && lease.terms.lease == 300,
	       "lease, the stricter terms count");
	tap_ok(xpmem_lease_left(&lease, 5 * MS) == 300 * MS,
	       "lease, from the session's beginning");
	why = xpmem_lease_terms(&lease, &msg);
	tap_ok(why && strstr(why, "twice"), "lease, terms again: %s", why);
	xpmem_lease_start(&lease, &good, 5 * MS);
	msg = wire_terms(100, 250, 100);
	why = xpmem_lease_terms(&lease, &msg);
	tap_ok(why && !lease.agreed && lease.terms.deadline == 10000,
	       "lease, unsound terms change nothing: %s", why);
}

static const char *pong(struct xpmem_lease *lease, u64 now, u64 count, u64 sent)
{
	const struct xpmem_wire_ping msg = {
		.count = cpu_to_le64(count),
		.sent = cpu_to_le64(sent),
	};

	return xpmem_lease_pong(lease, now, &msg);
}

static void pong_refused(struct xpmem_lease lease, u64 count, u64 sent,
			 const char *want)
{
	u64 since = lease.since;
	const char *why = pong(&lease, 900 * MS, count, sent);

	tap_ok(why && strstr(why, want) && lease.since == since,
	       "lease, pong %llu sent at %llu: %s", (unsigned long long)count,
	       (unsigned long long)sent, why ? why : "accepted");
}

static void test_pongs(void)
{
	struct xpmem_wire_ping msg;
	struct xpmem_lease lease;
	u64 at;

	xpmem_lease_start(&lease, &good, 100 * MS);
	pong_refused(lease, 1, 100 * MS, "not sent");
	for (at = 200; at <= 800; at += 200)
		xpmem_lease_ping(&lease, at * MS, &msg);
	tap_ok(le64_to_cpu(msg.count) == 4 && le64_to_cpu(msg.sent) == 800 * MS,
	       "lease, a ping has its number and time");
	tap_ok(!pong(&lease, 850 * MS, 2, 400 * MS) && lease.since == 400 * MS,
	       "lease, counts from when the ping was sent");
	pong_refused(lease, 2, 400 * MS, "answered");
	pong_refused(lease, 1, 200 * MS, "answered");
	pong_refused(lease, 5, 800 * MS, "not sent");
	pong_refused(lease, UINT64_MAX, 800 * MS, "not sent");
	pong_refused(lease, 3, 399 * MS, "another time");
	pong_refused(lease, 3, 800 * MS + 1, "another time");
	pong_refused(lease, 4, 799 * MS, "another time");
	pong_refused(lease, 4, UINT64_MAX, "another time");
	tap_ok(!pong(&lease, 900 * MS, 4, 800 * MS) && lease.since == 800 * MS,
	       "lease, a pong may be left out");
	tap_ok(xpmem_lease_left(&lease, 10300 * MS - 1) == 1,
	       "lease, a nanosecond before the end");
	xpmem_lease_ping(&lease, 10000 * MS, &msg);
	tap_ok(!xpmem_lease_left(&lease, 10300 * MS), "lease, the end");
	tap_ok(!pong(&lease, 10301 * MS, 5, 10000 * MS) &&
		       !xpmem_lease_left(&lease, 10302 * MS) &&
		       lease.since == 800 * MS,
	       "lease, a late pong renews nothing");
	tap_ok(!xpmem_lease_left(&lease, 900 * MS),
	       "lease, over for good whatever the clock says");
}

/* A message is a PING of the importer, its answer, or neither (count 0). */
struct pipe {
	unsigned int head, tail;
	bool cut;
	struct xpmem_wire_ping m[QUEUE];
};

/**
 * struct session - an importer, its home and what is under way
 * @lease: the importer's
 * @up:    importer to home: PINGs
 * @down:  home to importer: PONGs, and a revoke
 * @heard: home: when it last heard from the importer
 * @asked: home: when it queued a revoke; 0 before
 * @told:  importer: the revoke has come, nothing is mapped any more
 */
struct session {
	struct xpmem_lease lease;
	struct pipe up, down;
	u64 heard;
	u64 asked;
	bool told;
};

enum mistake { NONE, FROM_ANSWER, FROM_LAST, TOO_LONG, MISTAKES };

static const char *const mistakes[MISTAKES] = {
	"as it is", "counted from the answer",
	"counted from the last ping whichever was answered",
	"longer than the deadline"
};

struct search {
	enum mistake mistake;
	u32 deadline; /* in steps */
	u32 revoke_at; /* step, or none */
	unsigned long long ends; /* the home gave the importer up */
	unsigned long long bad; /* while its lease went on */
	unsigned long long early; /* a lease ended although all was in time */
};

static void put(struct pipe *p, struct xpmem_wire_ping m)
{
	if (!p->cut)
		p->m[p->head++ % QUEUE] = m;
}

static bool take(struct pipe *p, struct xpmem_wire_ping *m)
{
	if (p->cut || p->head == p->tail)
		return false;
	*m = p->m[p->tail++ % QUEUE];
	return true;
}

static void importer_recv(const struct search *s, struct session *w, u64 now)
{
	struct xpmem_wire_ping m;

	if (!take(&w->down, &m))
		return;
	if (!m.count) {
		w->told = true;
		return;
	}
	xpmem_lease_pong(&w->lease, now, &m);
	if (s->mistake == FROM_ANSWER)
		w->lease.since = now;
	if (s->mistake == FROM_LAST)
		w->lease.since = w->lease.pinged;
}

static void home_recv(struct session *w, u64 now)
{
	struct xpmem_wire_ping m;

	if (!take(&w->up, &m))
		return;
	w->heard = now;
	put(&w->down, m);
}

/* Would the home give the importer up now?  Then nothing may be mapped there. */
static bool home_ends(struct search *s, struct session *w, u64 now)
{
	u64 deadline = s->deadline * UNIT * MS;

	if (now - w->heard <= deadline &&
	    (!w->asked || now - w->asked <= deadline))
		return false;
	s->ends++;
	if (!w->told && xpmem_lease_left(&w->lease, now))
		s->bad++;
	return true;
}

/* What can happen in one step: each direction brings a message, or not, or ends. */
enum { UP = 1, DOWN = 2, CUT_UP = 4, CUT_DOWN = 8 };

static void walk(struct search *s, struct session w, u32 step, bool prompt)
{
	static const u8 choices[] = { UP | DOWN,     UP,
				      DOWN,	     0,
				      CUT_UP,	     CUT_DOWN,
				      CUT_UP | DOWN, CUT_DOWN | UP };
	u64 now = (step + 1) * UNIT * MS;
	struct xpmem_wire_ping ping;
	size_t k;

	if (home_ends(s, &w, now))
		return;
	if (prompt && !xpmem_lease_left(&w.lease, now))
		s->early++;
	if (step == STEPS)
		return;
	if (step % HEARTBEAT == 0) {
		xpmem_lease_ping(&w.lease, now, &ping);
		put(&w.up, ping);
	}
	if (step == s->revoke_at) {
		w.asked = now;
		ping.count = 0;
		put(&w.down, ping);
	}
	for (k = 0; k < sizeof(choices); k++) {
		struct session to = w;
		u8 c = choices[k];

		if ((c & CUT_UP && w.up.cut) || (c & CUT_DOWN && w.down.cut))
			continue;
		to.up.cut |= !!(c & CUT_UP);
		to.down.cut |= !!(c & CUT_DOWN);
		if (c & UP)
			home_recv(&to, now);
		if (c & DOWN)
			importer_recv(s, &to, now);
		walk(s, to, step + 1, prompt && c == (UP | DOWN));
	}
}

static void search(struct search *s)
{
	struct session w = { .heard = UNIT * MS };
	struct xpmem_terms terms;

	xpmem_terms_init(&terms, HEARTBEAT * UNIT, s->deadline * UNIT);
	if (s->mistake == TOO_LONG)
		terms.lease = terms.deadline + 2 * UNIT;
	xpmem_lease_start(&w.lease, &terms, UNIT * MS);
	/* A revoke takes its turn in the channel. */
	walk(s, w, 0, s->revoke_at >= STEPS);
}

static void test_order(void)
{
	enum mistake m;
	u32 at;

	for (m = NONE; m < MISTAKES; m++) {
		struct search sum = { .mistake = m };

		for (at = 0; at <= STEPS; at++) {
			struct search s = { .mistake = m,
					    .deadline = 3 + at % 2,
					    .revoke_at = at };

			search(&s);
			sum.ends += s.ends;
			sum.bad += s.bad;
			sum.early += s.early;
		}
		tap_ok(sum.ends && !sum.bad == (m == NONE) &&
			       (m != NONE || !sum.early),
		       "lease %s: the home gave up %llu times, %llu of them too early; %llu leases ended without need",
		       mistakes[m], sum.ends, sum.bad, sum.early);
	}
}

int main(void)
{
	test_terms();
	test_stricter();
	test_agreement();
	test_pongs();
	test_order();
	return tap_done();
}
