// SPDX-License-Identifier: GPL-2.0-only
/*
 * pauses: the importers that are stopped. A victim goes to its state and says so
 * by a file: its link may be cut.
 */
#include "pauses.h"

#include <string.h>
#include <sys/mman.h>

/* Between the leader and the child that has the attachment. */
static struct shared {
	atomic_bool attached;
	atomic_bool go;
	atomic_bool back; /* it runs again */
	atomic_bool ended; /* the child may reach nothing any more */
	atomic_long stored; /* passes of stores */
} * shared;

static int trace;

static void forget_acks(void)
{
	while (xt_trace_await(trace, 0))
		;
}

void victim_init(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(shared != MAP_FAILED, "mmap");
	trace = xt_trace_open("xpmem_ack_send");
}

/*
 * Stores to every page until it may not, as a program would that knows nothing of
 * all this.  Waits nowhere: the first store after a pause comes at once.
 */
static void store_on(char *at)
{
	for (;;) {
		for (int page = 0; page < PAGES; page++) {
			if (xt_store(at + page * xt_page + 8, xt_word(7, page)))
				return;
		}
		shared->stored++;
	}
}

static void importer(void *arg)
{
	const struct round *r = arg;
	enum state state = state_of(xt_me);
	char key[32];
	xpmem_apid_t apid;
	char *at;

	snprintf(key, sizeof(key), "segid-%d", xt_me);
	apid = xt_permit(xt_await_num(key), XPMEM_RDWR);
	at = xt_attach(apid, SIZE);
	if (state > FETCH)
		xt_fill(at, SIZE, XT_ODD, 2);
	shared->attached = true;
	xt_need(xt_until(shared->go, ROUND_MS), "the leader's word");
	if (state == PUT) {
		xpmem_detach(at);
	} else {
		xt_until(state != NONE || shared->back, ROUND_MS);
		store_on(at);
		shared->ended = true;
	}
	if (r->kind.ms)
		xt_ok(!xpmem_release(apid), "xpmem_release");
}

/* Has come what makes the state?  It is waited for where it can be seen. */
static bool comes_to(const struct round *r, long long fetches)
{
	switch (state_of(xt_me)) {
	case NONE:
		return true;
	case FETCH:
		return xt_count_over("fetches", fetches + 1, PATIENCE_MS);
	case HELD:
	case REVOKE:
		return xt_until(shared->stored, PATIENCE_MS);
	case ACK:
		return xt_trace_await(trace, PATIENCE_MS);
	case PUT:
		return xt_until(!xt_count("attachments"), PATIENCE_MS);
	case CLOSING:
		if (!r->other_way)
			return xt_trace_await(trace, PATIENCE_MS);
		/* It lets go of all that it imports, then says BYE. */
		return !xt_session_close(XT_HOME) &&
		       xt_until(shared->ended, PATIENCE_MS);
	case STATES:
		break;
	}
	return false;
}

/* Nobody waits for it from here on. */
static void say_goodbye(void)
{
	xt_part();
	xt_leave();
}

static void comes_back(const struct round *r)
{
	char key[32], *at;
	xpmem_apid_t apid;

	snprintf(key, sizeof(key), "ended-%d", xt_me);
	xt_put(key, "1");
	xt_ok(xt_daemon_up(PATIENCE_MS + 2 * r->kind.ms),
	      "all sessions of p%d are there again", xt_me);
	apid = xt_permit(xt_await_num("again"), XPMEM_RDWR);
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 5), "p%d sees a new segment", xt_me);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	snprintf(key, sizeof(key), "back-%d", xt_me);
	xt_put(key, "1");
}

void victim_round(const struct round *r)
{
	long long fetches;
	pid_t child, other;
	char key[32];

	memset(shared, 0, sizeof(*shared));
	if (xt_me == BYSTANDER) {
		other = xt_spawn(others_remote, NULL);
		xt_join(other);
	}
	child = xt_spawn(importer, (void *)r);
	xt_need(xt_until(shared->attached, PATIENCE_MS), "the attachment");
	snprintf(key, sizeof(key), "ready-%d", xt_me);
	if (!r->kind.ms)
		say_goodbye();
	forget_acks();
	fetches = xt_count("fetches");
	xt_put(key, "1");
	xt_need(xt_flag_await(ROUND_MS, FLAG, r->number, xt_me, "go"),
		"p1 says when");
	shared->go = true;
	xt_need(comes_to(r, fetches), "p%d comes to its state", xt_me);
	xt_flag(FLAG, r->number, xt_me, "there");
	/* p1 stops this partition about now. */
	xt_need(xt_flag_await(ROUND_MS, FLAG, r->number, xt_me, "resumed"),
		"p1 says that it is over");
	shared->back = true;
	xt_ok(!xt_join(child), "the importer on p%d ends well", xt_me);
	comes_back(r);
}
