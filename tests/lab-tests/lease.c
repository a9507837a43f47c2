// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a lease. First the test is the home: it stops answering PINGs, at
 * each state that an importer can be in, while the connection is alive and it
 * even says that it is. Then p1 is the home of p2: the link is cut, heals, and
 * at last p1 loses its power.
 *
 *   importer (kernel)                      home (this process, by hand)
 *    PING ───────────────────────────────► answered, until it is mute
 *    GET, FETCH ─────────────────────────► answered, until it is deaf
 */
#include "xt-raw.h"
#include "xt.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define PAGES 4
#define SIZE (PAGES * xt_page)
#define PATIENCE_MS 300000

static struct xt_raw raw;
static const uint64_t raw_segid = 1; /* below the home's partid */

/* What the home by hand answers. */
static struct {
	pthread_mutex_t lock;
	bool pongs; /* or it sends a PING of its own instead */
	bool gets;
	bool fetches;
	unsigned long seen[PONG + 1]; /* messages by type */
	pthread_cond_t news;
	pthread_t thread;
} home = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .news = PTHREAD_COND_INITIALIZER };

static xpmem_segid_t segid_of_raw(void)
{
	return (xpmem_segid_t)raw.params.partid << 48 | raw_segid;
}

static void answer_ping(const uint64_t *ping)
{
	static uint64_t alive[2] = { 0, 1 };

	if (home.pongs) {
		xt_raw_send(&raw, PONG, ping, 16);
		return;
	}
	alive[0]++;
	xt_raw_send(&raw, PING, alive, sizeof(alive));
}

static void answer_get(const uint64_t *get)
{
	/* req, pages, access|status */
	const uint64_t reply[3] = { get[0], PAGES, 3ULL << 32 | OK };

	if (home.gets)
		xt_raw_send(&raw, GET_REPLY, reply, sizeof(reply));
}

/* The page that was touched, from what the window shows; to be read only. */
static void answer_fetch(const uint64_t *fetch)
{
	/* req, segid, retry|status, reserved|nruns; index, frame, access|count */
	const uint64_t grant[4 + 3] = {
		fetch[0],	fetch[1],      OK, 1, fetch[3],
		256 + fetch[3], 1ULL << 32 | 1
	};

	if (home.fetches)
		xt_raw_send(&raw, GRANT, grant, sizeof(grant));
}

static void *home_by_hand(void *unused)
{
	uint64_t payload[2048];
	int type;

	(void)unused;
	while ((type = xt_raw_next(&raw, payload, sizeof(payload))) > 0) {
		pthread_mutex_lock(&home.lock);
		if (type == PING)
			answer_ping(payload);
		else if (type == GET)
			answer_get(payload);
		else if (type == FETCH)
			answer_fetch(payload);
		home.seen[type]++;
		pthread_cond_broadcast(&home.news);
		pthread_mutex_unlock(&home.lock);
	}
	return NULL;
}

static void home_opens(void)
{
	memset(home.seen, 0, sizeof(home.seen));
	home.pongs = true;
	home.gets = true;
	home.fetches = true;
	xt_raw_open(&raw);
	xt_need(!pthread_create(&home.thread, NULL, home_by_hand, NULL),
		"a thread");
}

/* Waits until so many messages of a type have come in this session. */
static void home_awaits(int type, unsigned long count)
{
	pthread_mutex_lock(&home.lock);
	while (home.seen[type] < count)
		pthread_cond_wait(&home.news, &home.lock);
	pthread_mutex_unlock(&home.lock);
}

static unsigned long home_seen(int type)
{
	unsigned long count;

	pthread_mutex_lock(&home.lock);
	count = home.seen[type];
	pthread_mutex_unlock(&home.lock);
	return count;
}

static void home_set(bool *what, bool value)
{
	pthread_mutex_lock(&home.lock);
	*what = value;
	pthread_mutex_unlock(&home.lock);
}

static void home_ended(const char *what, const char *want)
{
	const char *why = xt_raw_reason(&raw);

	xt_ok(strstr(why, want) != NULL, "%s: ended, \"%s\"", what, why);
	pthread_join(home.thread, NULL);
	close(raw.fd);
}

static struct xt_import importer(void)
{
	struct xt_import imp = { .size = SIZE };

	imp.apid = xt_permit(segid_of_raw(), XPMEM_RDWR);
	imp.at = xt_attach(imp.apid, SIZE);
	return imp;
}

/* A permit of the ended session is of no use; a new one is. */
static void attach_again(struct xt_import *imp)
{
	struct xpmem_addr addr = { .apid = imp->apid };

	errno = 0;
	xt_ok(xpmem_attach(addr, SIZE, NULL) == (void *)-1 && errno == ESTALE,
	      "an attach with the old permit: %s", strerror(errno));
	xt_ok(!xpmem_detach(imp->at), "xpmem_detach");
	errno = 0;
	xt_ok(xpmem_get(segid_of_raw(), XPMEM_RDWR, XPMEM_PERMIT_MODE,
			(void *)0666) == -1 &&
		      errno == EHOSTUNREACH,
	      "a get before the session is back: %s", strerror(errno));
	home_opens();
	errno = 0;
	xt_ok(xpmem_attach(addr, SIZE, NULL) == (void *)-1 && errno == ESTALE,
	      "the old permit, after that: %s", strerror(errno));
	xt_ok(!xpmem_release(imp->apid), "xpmem_release");
	*imp = importer();
	xt_ok(!xt_load(imp->at, NULL), "got and attached again, it is there");
	xt_ok(!xpmem_release(imp->apid), "xpmem_release");
	xt_raw_send(&raw, BYE, NULL, 0);
	home_ended("bye", "closed by the other");
}

static volatile sig_atomic_t caught;
static void *caught_at;

static void catch (int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	caught = info->si_code;
	caught_at = info->si_addr;
	/* The program goes on: there is something else at the address now. */
	xpmem_detach(info->si_addr);
	if (mmap(info->si_addr, xt_page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED)
		_exit(99);
}

/* The signal tells where; the process catches it, detaches and goes on. */
static void caught_and_gone_on(struct xt_import *imp)
{
	struct sigaction now = { .sa_sigaction = catch,
				 .sa_flags = SA_SIGINFO };
	volatile uint64_t *at = (uint64_t *)(imp->at + xt_page);
	struct sigaction before;

	caught = 0;
	xt_need(!sigaction(SIGBUS, &now, &before), "sigaction");
	*at = 5;
	xt_need(!sigaction(SIGBUS, &before, NULL), "sigaction");
	xt_ok(caught == BUS_ADRERR && caught_at == (void *)at,
	      "SIGBUS, code %d, at %p of %p", (int)caught, caught_at,
	      (void *)at);
	xt_ok(*at == 5, "the process goes on with other memory there");
	munmap((void *)at, xt_page);
}

static void check_log(void)
{
	char words[64];

	snprintf(words, sizeof(words), "its home, partition %u, is lost",
		 raw.params.partid);
	xt_ok(xt_logged(words, "the lease ended"),
	      "the log names the home and the reason");
}

/* Pages are held, and nothing is asked. The home is heard, and never answers. */
static void at_rest(void)
{
	long long ended = xt_stat("leases-ended");
	struct xt_import imp;

	xt_case("lease: pages are held");
	home_opens();
	imp = importer();
	for (size_t i = 0; i < PAGES; i++)
		xt_ok(!xt_load(imp.at + i * xt_page, NULL), "page %zu", i);
	home_set(&home.pongs, false);
	xt_ok(xt_touch_ends(imp.at, PATIENCE_MS), "a touch is SIGBUS");
	home_ended("a home that sends pings and no pong", "lease ended");
	xt_ok(xt_stat("leases-ended") == ended + 1, "a lease ended");
	check_log();
	caught_and_gone_on(&imp);
	attach_again(&imp);
}

struct waiter {
	pthread_t thread;
	char *at; /* or NULL: a get */
	int result;
};

static void *waits(void *arg)
{
	struct waiter *w = arg;

	if (w->at) {
		w->result = xt_load(w->at, NULL);
		return NULL;
	}
	errno = 0;
	if (xpmem_get(segid_of_raw(), XPMEM_RDWR, XPMEM_PERMIT_MODE,
		      (void *)0666) == -1)
		w->result = errno;
	return NULL;
}

/* Somebody waits for the home at that moment. */
static void while_waiting(const char *what, int type, bool *answers, int want)
{
	struct waiter w = { .result = -1 };
	struct xt_import imp;

	xt_case(what);
	home_opens();
	imp = importer();
	home_set(answers, false);
	w.at = type == FETCH ? imp.at : NULL;
	xt_need(!pthread_create(&w.thread, NULL, waits, &w), "a thread");
	home_awaits(type, type == GET ? 2 : 1);
	home_set(&home.pongs, false);
	pthread_join(w.thread, NULL);
	xt_ok(w.result == want, "it ends, with %d", w.result);
	home_ended("a home that does not answer", "lease ended");
	xt_ok(xt_load(imp.at, NULL) == SIGBUS, "a touch is SIGBUS");
	attach_again(&imp);
}

/* A revoke came and was acknowledged: what is left is one page. */
static void after_revoke(void)
{
	/* nruns; segid, index, reserved|count */
	const uint64_t revoke[4] = { 1, segid_of_raw(), 0, 1 };
	struct xt_import imp;

	xt_case("lease: one page of two was revoked");
	home_opens();
	imp = importer();
	xt_ok(!xt_load(imp.at, NULL) && !xt_load(imp.at + xt_page, NULL),
	      "two pages are held");
	xt_raw_send(&raw, REVOKE, revoke, sizeof(revoke));
	home_awaits(ACK, 1);
	home_set(&home.pongs, false);
	xt_ok(xt_touch_ends(imp.at + xt_page, PATIENCE_MS),
	      "a touch of the other page is SIGBUS");
	xt_ok(xt_load(imp.at, NULL) == SIGBUS, "of the revoked page, too");
	home_ended("a home that does not answer", "lease ended");
	attach_again(&imp);
}

/* The errno of a fence of what a session held, the last but @before. */
static int fence(unsigned int before)
{
	uint64_t epoch = raw.params.epoch - before;

	xt_nl_begin(&raw.nl, XPMEM_CMD_FENCE, 0);
	xt_nl_put(&raw.nl, XPMEM_A_PARTID, &raw.params.partid,
		  sizeof(raw.params.partid));
	xt_nl_put(&raw.nl, XPMEM_A_EPOCH, &epoch, sizeof(epoch));
	return xt_nl_call(&raw.nl, NULL);
}

/*
 * The other side's session has ended, too, and it is back: it is let in, although
 * what it held is not given back.
 */
static void comes_back(void)
{
	struct xt_session params = raw.params;
	int ends[2], error;

	xt_tcp_pair(ends);
	params.fd = ends[0];
	params.epoch++;
	error = xt_session_add(&raw.nl, &params);
	xt_ok(!error, "the same boot comes back: errno %d, %s", error,
	      raw.nl.message);
	home_ended("the session before", "lease ended");
	xt_ok(xt_stat("quarantine") == 1, "what it held is in quarantine");
	xt_ok(fence(0) == EBUSY, "it is not fenced: it is up (%s)",
	      raw.nl.message);
	close(ends[0]);
	close(ends[1]);
	xt_raw_reason(&raw);
	raw.params.epoch++;
}

/*
 * The other side is an importer, too, and holds a page of ours. The lease's end
 * does not end that: it is not answered any more, and is lost at the deadline, or
 * when it comes back.
 */
static void home_as_well(bool back)
{
	char *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0600);
	const uint64_t get[12] = { 5, segid, 0, 3 };
	const uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	struct xt_import imp;
	unsigned long pongs;

	xt_case(back ? "lease: the other side holds a page of ours, and is back" :
		       "lease: the other side holds a page of ours");
	*(volatile char *)mem = 1;
	home_opens();
	imp = importer();
	xt_ok(!xt_load(imp.at, NULL), "a page is held");
	xt_raw_send(&raw, GET, get, sizeof(get));
	xt_raw_send(&raw, FETCH, fetch, sizeof(fetch));
	home_awaits(GRANT, 1);
	home_set(&home.pongs, false);
	xt_ok(xt_touch_ends(imp.at, PATIENCE_MS), "a touch is SIGBUS");
	xt_session_closing(&raw.events, raw.params.partid);
	/* In order: the answers to what was sent before have come by then. */
	home_awaits(PING, home_seen(PING) + 1);
	pongs = home_seen(PONG);
	if (back)
		comes_back();
	munmap(mem, xt_page);
	if (!back) {
		xt_ok(home_seen(PONG) == pongs,
		      "none of its pings was answered since");
		home_ended("an importer of ours", "lease ended");
		xt_ok(xt_stat("quarantine") == 1,
		      "what it held is in quarantine");
	}
	xt_ok(!fence(back), "fence");
	xt_ok(xt_stat("quarantine") == 0, "then it is not");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	attach_again(&imp);
}

/* PONGs that are wrong end the session before they make a lease longer. */
static void wrong_pongs(void)
{
	static const struct {
		const char *what, *want;
		int64_t count, sent; /* added to the right ones: far, for
				      * another ping may be under way */
	} cases[] = {
		{ "a pong of a ping to come", "not sent", 1000, 0 },
		{ "a pong from the future", "another time", 0, 1LL << 40 },
		{ "a pong from the past", "another time", 0, -(1LL << 40) },
	};
	uint64_t payload[2048], pong[2];

	xt_case("lease: wrong pongs");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		xt_raw_open(&raw);
		while (xt_raw_next(&raw, payload, sizeof(payload)) != PING)
			;
		pong[0] = payload[0] + cases[i].count;
		pong[1] = payload[1] + cases[i].sent;
		xt_raw_send(&raw, PONG, pong, sizeof(pong));
		xt_raw_ends(&raw, cases[i].what, cases[i].want);
	}
	xt_raw_open(&raw);
	while (xt_raw_next(&raw, payload, sizeof(payload)) != PING)
		;
	xt_raw_send(&raw, PONG, payload, 16);
	xt_raw_send(&raw, PONG, payload, 16);
	xt_raw_ends(&raw, "a pong twice", "was answered");
}

static void lab_ctl(const char *verb, const char *id)
{
	char command[512];

	snprintf(command, sizeof(command), "%s ctl %s %s", XT_LAB, verb, id);
	xt_ok(!system(command), "lab ctl %s %s", verb, id);
}

/* p1, which exports all the time; only the lab knows when it is cut off. */
static void home_p1(void)
{
	char *mem = xt_map(SIZE);
	xpmem_segid_t segid;

	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("back");
	xt_ok(xt_stat("quarantine") == PAGES,
	      "what p2 held is in quarantine, %lld pages",
	      xt_stat("quarantine"));
	xt_put("looked", "1");
	xt_await("attached-again");
}

/*
 * p2 cuts the link and heals it. It says nothing meanwhile, so that the
 * programs' own connection need not wait for TCP to try again.
 */
static void importer_p2(void)
{
	long long segid = xt_await_num("segid"), ended, start;
	struct xpmem_addr addr;
	char *at;

	addr = (struct xpmem_addr){ .apid = xt_permit(segid, XPMEM_RDWR) };
	at = xt_attach(addr.apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
	ended = xt_stat("leases-ended");
	start = xt_ms();
	lab_ctl("cut", "1-2");
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "p2's touch is SIGBUS");
	xt_note("the link was cut: SIGBUS after %lld ms", xt_ms() - start);
	xt_ok(xt_stat("leases-ended") == ended + 1, "its lease ended");
	lab_ctl("heal", "1-2");
	xt_ok(!system("xpmemctl wait-up --timeout 300"), "the session is back");
	errno = 0;
	xt_ok(xpmem_attach(addr, SIZE, NULL) == (void *)-1 && errno == ESTALE,
	      "an attach with the old permit: %s", strerror(errno));
	xt_put("back", "1");
	xt_await("looked");
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(addr.apid), "xpmem_release");
	addr.apid = xt_permit(segid, XPMEM_RDWR);
	at = xt_attach(addr.apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "attached again, p2 sees them");
	xt_put("attached-again", "1");

	/* And now for good. */
	xt_await("parted-1");
	start = xt_ms();
	lab_ctl("poweroff", "1");
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "p2's touch is SIGBUS");
	xt_note("p1 lost its power: SIGBUS after %lld ms", xt_ms() - start);
	xt_ok(xt_stat("leases-ended") == ended + 2, "its lease ended");
	xt_ok(xt_logged("its home, partition 1, is lost", "the lease ended"),
	      "the log names the home and the reason");
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(addr.apid), "xpmem_release");
	xt_nothing_left("on p2");
}

int main(void)
{
	xt_start("lease");
	xt_raw_start(&raw);
	raw.params.heartbeat_ms = 200;
	raw.params.deadline_ms = 4000;
	at_rest();
	while_waiting("lease: a fetch is under way", FETCH, &home.fetches,
		      SIGBUS);
	while_waiting("lease: a get is under way", GET, &home.gets,
		      EHOSTUNREACH);
	after_revoke();
	home_as_well(false);
	home_as_well(true);
	wrong_pongs();
	xt_nothing_left("of the sessions by hand");

	xt_case("lease: the home is cut off, and dies");
	if (xt_nodes != 2) {
		xt_skip("the home is cut off", "a run with --nodes 2");
		return xt_finish();
	}
	if (xt_me == 2) {
		importer_p2();
		return xt_part();
	}
	home_p1();
	/* The plan first: there is no end after the power is gone. */
	xt_part();
	xt_put("parted-1", "1");
	xt_await("the power is gone");
	return 1;
}
