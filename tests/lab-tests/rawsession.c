// SPDX-License-Identifier: GPL-2.0-only
/*
 * A partition that does not keep to the protocol. The test is its peer: each
 * partition opens sessions to itself under the id of one that does not exist,
 * and sends what it should not. The session ends with a named reason, and
 * nothing else happens.
 */
#include "xt-raw.h"
#include "xt.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

static struct xt_raw raw;

static void message(int type, const void *payload, uint32_t length)
{
	xt_raw_send(&raw, type, payload, length);
}

static int receive(void *payload, size_t size)
{
	return xt_raw_receive(&raw, payload, size);
}

static void open_session(void)
{
	xt_raw_open(&raw);
}

static void ends_with(const char *what, const char *want)
{
	xt_raw_ends(&raw, what, want);
}

static void wrong_headers(void)
{
	static const struct {
		const char *what, *want;
		uint16_t type, flags;
		uint32_t length;
		uint64_t epoch, seq; /* added to the right ones */
	} cases[] = {
		{ "type 0", "type zero", 0, 0, 0, 0, 0 },
		{ "type 14", "unknown type", 14, 0, 0, 0, 0 },
		{ "type 65535", "unknown type", 65535, 0, 0, 0, 0 },
		{ "flags", "flags", BYE, 1, 0, 0, 0 },
		{ "the epoch before", "epoch", BYE, 0, 0, -1, 0 },
		{ "the epoch after", "epoch", BYE, 0, 0, 1, 0 },
		{ "a sequence number", "sequence", PING, 0, 16, 0, 5 },
		{ "a revoke without one", "sequence", REVOKE, 0, 32, 0, -1 },
		{ "a ping without payload", "too short", PING, 0, 0, 0, 0 },
		{ "a ping with too much", "too long", PING, 0, 17, 0, 0 },
		{ "a bye with payload", "too long", BYE, 0, 1, 0, 0 },
		{ "4 GiB", "too long", GET, 0, 0xffffffff, 0, 0 },
		{ "a grant of 4 GiB", "run", GRANT, 0, 0xffffffff, 0, 0 },
		{ "part of a run", "part of a run", REVOKE, 0, 9, 0, 0 },
		{ "513 runs", "too many runs", REVOKE, 0, 8 + 513 * 24, 0, 0 },
		{ "all ones", "unknown type", 0xffff, 0xffff, 0xffffffff, -1,
		  -1 },
	};

	xt_case("headers");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xt_raw_header h;

		open_session();
		h = xt_raw_header(&raw, cases[i].type, cases[i].length);
		h.flags = htole16(cases[i].flags);
		h.epoch = htole64(raw.params.epoch + cases[i].epoch);
		h.seq = htole64(le64toh(h.seq) + cases[i].seq);
		xt_raw_put(&raw, &h, sizeof(h));
		ends_with(cases[i].what, cases[i].want);
	}
}

static void wrong_payloads(void)
{
	static const uint64_t zeros[19];
	/* req, segid, uid|gid, access|ngroups, groups */
	static const uint64_t get_access[12] = { 1, 1ULL << 48, 0, 7 };
	static const uint64_t get_groups[12] = { 1, 1ULL << 48, 0,
						 17ULL << 32 | 1 };
	/* req, segid, start, target, access|count */
	static const uint64_t fetch_none[5] = { 1, 1, 0, 0, 1ULL << 32 };
	static const uint64_t fetch_many[5] = { 1, 1, 0, 0, 1ULL << 32 | 513 };
	static const uint64_t fetch_far[5] = { 1, 1, ~0ULL, ~0ULL,
					       1ULL << 32 | 1 };
	static const uint64_t fetch_off[5] = { 1, 1, 0, 9, 1ULL << 32 | 1 };
	/* req, segid, retry|status, reserved|nruns, runs */
	static const uint64_t grant_unasked[4 + 3] = {
		77, 1, OK, 1, 0, 5, 1ULL << 32 | 1
	};
	static const uint64_t grant_count[4 + 3] = {
		1, 1, OK, 2, 0, 5, 1ULL << 32 | 1
	};
	static const uint64_t revoke_zero[1 + 3] = { 1, 0, 0, 1 };
	static const uint64_t revoke_far[1 + 3] = { 1, 1, ~0ULL, 1 };
	static const uint64_t ack_none[9] = { 77 };
	/* req, gid|uid, ngroups|owner, groups, name */
	static const uint64_t lookup_none[19] = { 1, 0, 0xffffffff };
	static const uint64_t lookup_space[19] = {
		1, 0, 0xffffffff, [11] = 0x202020
	};
	static const uint64_t lookup_groups[19] = {
		1, 0, 17ULL << 32 | 0xffffffff, [11] = 'x'
	};
	/* req, segid, status|uid */
	static const uint64_t found_busy[3] = { 1, 0, (uint64_t)BUSY << 32 };
	static const uint64_t found_none[3] = { 1, 0, (uint64_t)OK << 32 };
	static const uint64_t found_else[3] = { 1, 1ULL << 48 | 5,
						(uint64_t)OK << 32 };
	const uint64_t found_unasked[3] = {
		77, (uint64_t)raw.params.partid << 48 | 5, (uint64_t)OK << 32
	};
	static const uint64_t ping_timeless[2] = { 1, 0 };
	static const uint64_t pong_early[2] = { 1ULL << 40, 1 };
	/* heartbeat, deadline, lease, reserved */
	static const uint32_t terms_good[4] = { 1000, 30000, 29000 };
	static const uint32_t terms_more[4] = { 1000, 30000, 29000, 1 };
	const struct {
		const char *what, *want;
		int type;
		const void *payload;
		uint32_t length;
	} cases[] = {
		{ "get of zeros", "zero id", GET, zeros, 96 },
		{ "get with access 7", "access", GET, get_access, 96 },
		{ "get with 17 groups", "groups", GET, get_groups, 96 },
		{ "get reply of zeros", "zero id", GET_REPLY, zeros, 24 },
		{ "put of zero", "zero id", PUT, zeros, 8 },
		{ "fetch of zeros", "zero id", FETCH, zeros, 40 },
		{ "fetch of no page", "impossible", FETCH, fetch_none, 40 },
		{ "fetch of 513 pages", "impossible", FETCH, fetch_many, 40 },
		{ "fetch at the end", "impossible", FETCH, fetch_far, 40 },
		{ "fetch beside its target", "target", FETCH, fetch_off, 40 },
		{ "grant of zeros", "zero id", GRANT, zeros, 32 },
		{ "grant with a wrong count", "count", GRANT, grant_count, 56 },
		{ "grant that nobody asked for", "", GRANT, grant_unasked, 56 },
		{ "revoke of zeros", "count", REVOKE, zeros, 32 },
		{ "revoke of segment 0", "unknown", REVOKE, revoke_zero, 32 },
		{ "revoke at the end", "impossible", REVOKE, revoke_far, 32 },
		{ "ack of nothing", "nothing", ACK, zeros, 72 },
		{ "ack of what was not sent", "out of turn", ACK, ack_none,
		  72 },
		{ "ping of zero", "zero", PING, zeros, 16 },
		{ "ping without a time", "time", PING, ping_timeless, 16 },
		{ "pong of zero", "zero", PONG, zeros, 16 },
		{ "pong of what was not sent", "not sent", PONG, pong_early,
		  16 },
		{ "terms again", "twice", TERMS, terms_good, 16 },
		{ "terms of zero", "zero", TERMS, zeros, 16 },
		{ "terms with more", "unknown", TERMS, terms_more, 16 },
		{ "lookup of zeros", "zero id", LOOKUP, zeros, 152 },
		{ "lookup of no name", "name", LOOKUP, lookup_none, 152 },
		{ "lookup of a name of spaces", "name", LOOKUP, lookup_space,
		  152 },
		{ "lookup with 17 groups", "groups", LOOKUP, lookup_groups,
		  152 },
		{ "lookup reply of zeros", "zero id", FOUND, zeros, 24 },
		{ "lookup reply: busy", "status", FOUND, found_busy, 24 },
		{ "lookup reply of nothing", "impossible", FOUND, found_none,
		  24 },
		{ "lookup reply of what is elsewhere", "another partition",
		  FOUND, found_else, 24 },
		{ "lookup reply that nobody asked for", "", FOUND,
		  found_unasked, 24 },
	};

	xt_case("payloads");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_session();
		message(cases[i].type, cases[i].payload, cases[i].length);
		/* Not everything ends a session; this does. */
		if (!cases[i].want[0])
			message(0, NULL, 0);
		ends_with(cases[i].what, cases[i].want);
	}
}

/* Who does not say what it keeps to, or what nobody can keep to. */
static void wrong_terms(void)
{
	static const struct {
		const char *what, *want;
		uint32_t terms[4];
	} cases[] = {
		{ "a heartbeat of 9 ms", "heartbeat below", { 9, 30000, 100 } },
		{ "a deadline of 600001 ms",
		  "deadline above",
		  { 1000, 600001, 29000 } },
		{ "two heartbeats", "three heartbeats", { 1000, 2999, 1500 } },
		{ "a lease of 999 ms",
		  "below one heartbeat",
		  { 1000, 30000, 999 } },
		{ "a lease as long as the deadline",
		  "before the deadline",
		  { 1000, 30000, 30000 } },
		{ "all ones", "unknown fields", { -1, -1, -1, -1 } },
	};
	static const uint64_t ping[2] = { 1, 1 };

	xt_case("terms");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		xt_raw_connect(&raw);
		message(TERMS, cases[i].terms, 16);
		ends_with(cases[i].what, cases[i].want);
	}
	xt_raw_connect(&raw);
	message(PING, ping, sizeof(ping));
	ends_with("a ping before the terms", "before the terms");
	xt_raw_connect(&raw);
	message(BYE, NULL, 0);
	ends_with("a bye before the terms", "before the terms");
}

static void cut_short(void)
{
	struct xt_raw_header h;

	xt_case("cut short");
	open_session();
	shutdown(raw.fd, SHUT_WR);
	ends_with("nothing but a connection", "connection lost");
	open_session();
	h = xt_raw_header(&raw, PING, 16);
	xt_raw_put(&raw, &h, 5);
	shutdown(raw.fd, SHUT_WR);
	ends_with("part of a header", "connection lost");
	open_session();
	h = xt_raw_header(&raw, GRANT, 56);
	xt_raw_put(&raw, &h, sizeof(h));
	xt_raw_put(&raw, &h, 20);
	shutdown(raw.fd, SHUT_WR);
	ends_with("part of a payload", "connection lost");

	raw.params.heartbeat_ms = 50;
	raw.params.deadline_ms = 500;
	open_session();
	ends_with("silence", "no heartbeat was answered");
	raw.params.heartbeat_ms = 1000;
	raw.params.deadline_ms = 30000;
	open_session();
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
}

/* Questions about what does not exist are answered. */
static void no_such_segment(void)
{
	const uint64_t segid = (uint64_t)xt_me << 48 | 0x123456;
	uint64_t get[12] = { 5, segid, 0, 3 };
	uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	uint64_t put_it[1] = { segid };
	uint64_t revoke[4] = { 1, segid, 0, 1 };
	uint64_t answer[16];

	xt_case("no such segment");
	open_session();
	message(GET, get, sizeof(get));
	xt_ok(receive(answer, sizeof(answer)) == GET_REPLY && answer[0] == 5 &&
		      (uint32_t)answer[2] == NOENT,
	      "a get is answered: there is none");
	message(FETCH, fetch, sizeof(fetch));
	xt_ok(receive(answer, sizeof(answer)) == GRANT && answer[0] == 6 &&
		      (uint32_t)answer[2] == NOENT,
	      "a fetch is answered: there is none");
	message(PUT, put_it, sizeof(put_it));
	message(REVOKE, revoke, sizeof(revoke));
	xt_ok(receive(answer, sizeof(answer)) == ACK && answer[0] == 1,
	      "a revoke is acknowledged");
	message(GET, get, sizeof(get));
	xt_ok(receive(answer, sizeof(answer)) == GET_REPLY,
	      "the session goes on");
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
}

/* A segment that the other side was not given is as good as none. */
static void not_permitted(void)
{
	void *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0600);
	uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	uint64_t get[12] = { 5, segid, 1000ULL << 32 | 1000, 3 };
	uint64_t answer[16] = { 0 };

	xt_case("not permitted");
	*(volatile char *)mem = 1;
	open_session();
	message(FETCH, fetch, sizeof(fetch));
	xt_ok(receive(answer, sizeof(answer)) == GRANT &&
		      (uint32_t)answer[2] != OK,
	      "a fetch without a get is refused");
	message(GET, get, sizeof(get));
	xt_ok(receive(answer, sizeof(answer)) == GET_REPLY &&
		      (uint32_t)answer[2] != OK,
	      "a get by uid 1000 is refused");
	message(FETCH, fetch, sizeof(fetch));
	xt_ok(receive(answer, sizeof(answer)) == GRANT &&
		      (uint32_t)answer[2] != OK,
	      "a fetch after that too");
	xt_ok(xt_stat("exported") == 0, "nothing is exported");
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
}

struct looked {
	const char *name;
	xpmem_segid_t segid;
	int error;
	long long ms;
};

static void *look_up(void *arg)
{
	struct looked *l = arg;
	long long start = xt_ms();

	l->segid = xpmem_lookup(l->name);
	l->error = l->segid == -1 ? errno : 0;
	l->ms = xt_ms() - start;
	return NULL;
}

/* All that comes is read, and pings are answered: nothing else is. */
static void *answer_pings(void *unused)
{
	uint64_t payload[2048];

	(void)unused;
	while (receive(payload, sizeof(payload)) > 0)
		;
	return NULL;
}

/*
 * Looks a name up in the partition that we are, which answers so; or, without
 * @type, answers nothing, and is no more heard of.
 */
static struct looked looks_up(int type, const uint64_t *rest, uint32_t length)
{
	uint64_t question[19], reply[12];
	struct looked l = {};
	pthread_t thread;
	char name[32];

	snprintf(name, sizeof(name), "1000:raw@%d", raw.params.partid);
	l.name = name;
	xt_need(!pthread_create(&thread, NULL, look_up, &l), "a thread");
	xt_ok(receive(question, sizeof(question)) == LOOKUP && question[0] &&
		      question[1] == 0 && (uint32_t)question[2] == 1000 &&
		      !strcmp((char *)&question[11], "raw"),
	      "the partition is asked for user 1000's \"raw\"");
	if (type) {
		memcpy(reply, rest, length);
		reply[0] = question[0];
		message(type, reply, length);
	}
	pthread_join(thread, NULL);
	return l;
}

/* What another partition may answer to a lookup, and that it may not. */
static void lookups(void)
{
	const uint64_t segid = (uint64_t)raw.params.partid << 48 | 0x123456;
	const uint64_t found[3] = { 0, segid, (uint64_t)OK << 32 | 1000 };
	const uint64_t none[3] = { 0, 0, (uint64_t)NOENT << 32 };
	const uint64_t refused[3] = { 0, 0, (uint64_t)ACCES << 32 };
	const uint64_t permit[3] = { 0, 1, 1ULL << 32 | OK };
	struct looked l;

	xt_case("lookups");
	open_session();
	l = looks_up(FOUND, found, sizeof(found));
	xt_ok(l.segid == (xpmem_segid_t)segid, "what it says is found");
	l = looks_up(FOUND, none, sizeof(none));
	xt_ok(l.error == ENOENT, "ENOENT (errno %d)", l.error);
	l = looks_up(FOUND, refused, sizeof(refused));
	xt_ok(l.error == EACCES, "EACCES (errno %d)", l.error);
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");

	/* Long enough to be asked before the lease ends, on a busy host, too. */
	raw.params.deadline_ms = 10000;
	open_session();
	l = looks_up(GET_REPLY, permit, sizeof(permit));
	xt_ok(l.error == EHOSTUNREACH,
	      "the answer to another question is none (errno %d, %lld ms)",
	      l.error, l.ms);
	ends_with("silence", "the lease ended");
	open_session();
	l = looks_up(0, NULL, 0);
	xt_ok(l.error == EHOSTUNREACH && l.ms < 60000,
	      "no answer is EHOSTUNREACH in the end (errno %d, %lld ms)",
	      l.error, l.ms);
	ends_with("silence", "the lease ended");
	raw.params.deadline_ms = 30000;
	open_session();
	l = looks_up(BYE, NULL, 0);
	xt_ok(l.error == EHOSTUNREACH,
	      "nor is there one when it closes the session (errno %d)",
	      l.error);
	ends_with("bye", "closed by the other");
}

/* The errno of a fence of what one session held. */
static int fence(uint64_t epoch)
{
	xt_nl_begin(&raw.nl, XPMEM_CMD_FENCE, 0);
	xt_nl_put(&raw.nl, XPMEM_A_PARTID, &raw.params.partid,
		  sizeof(raw.params.partid));
	xt_nl_put(&raw.nl, XPMEM_A_EPOCH, &epoch, sizeof(epoch));
	return xt_nl_call(&raw.nl, NULL);
}

/*
 * An importer that is granted a page and never acknowledges. It is alive
 * otherwise: its heartbeats do not help it.
 */
static void never_acks(void)
{
	char *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0600);
	uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	uint64_t get[12] = { 5, segid, 0, 3 };
	uint64_t answer[16] = { 0 };
	pthread_t alive;
	long long start;
	int error, ends[2];

	xt_case("never acks");
	*(volatile char *)mem = 1;
	raw.params.heartbeat_ms = 200;
	raw.params.deadline_ms = 6000;
	open_session();
	message(GET, get, sizeof(get));
	xt_ok(receive(answer, sizeof(answer)) == GET_REPLY && answer[0] == 5 &&
		      (uint32_t)answer[2] == OK,
	      "a get by root is permitted");
	message(FETCH, fetch, sizeof(fetch));
	xt_ok(receive(answer, sizeof(answer)) == GRANT && answer[0] == 6 &&
		      (uint32_t)answer[2] == OK,
	      "a fetch is granted");
	xt_ok(xt_stat("exported") == 1, "the page is exported");
	xt_need(!pthread_create(&alive, NULL, answer_pings, NULL), "a thread");
	start = xt_ms();
	munmap(mem, xt_page);
	xt_note("munmap waited for the deadline of %u ms: %lld ms",
		raw.params.deadline_ms, xt_ms() - start);
	pthread_join(alive, NULL);
	ends_with("an importer that answers pings and no revoke",
		  "a revoke was not acknowledged");
	xt_ok(xt_stat("quarantine") == 1, "the page is in quarantine");
	xt_tcp_pair(ends);
	raw.params.fd = ends[0];
	error = xt_session_add(&raw.nl, &raw.params);
	xt_ok(error == EINVAL, "a new session with the old epoch: %s",
	      raw.nl.message);
	close(ends[0]);
	close(ends[1]);
	open_session();
	xt_ok(fence(raw.params.epoch - 2) == ENOENT,
	      "fence of an older session: ENOENT");
	xt_ok(fence(raw.params.epoch) == EBUSY, "fence of the new one: EBUSY");
	xt_ok(fence(raw.params.epoch - 1) == EBUSY,
	      "fence of the old one while the same boot is up: EBUSY (%s)",
	      raw.nl.message);
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
	xt_ok(xt_stat("quarantine") == 1, "the page stays in quarantine");
	xt_ok(!fence(raw.params.epoch - 1), "fence");
	xt_ok(xt_stat("quarantine") == 0, "then it is not");
	xt_ok(fence(raw.params.epoch - 1) == ENOENT, "fence it again: ENOENT");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	raw.params.heartbeat_ms = 1000;
	raw.params.deadline_ms = 30000;
}

/* The errno of a request that names only our partition. */
static int session_del(void)
{
	xt_nl_begin(&raw.nl, XPMEM_CMD_SESSION_DEL, 0);
	xt_nl_put(&raw.nl, XPMEM_A_PARTID, &raw.params.partid,
		  sizeof(raw.params.partid));
	return xt_nl_call(&raw.nl, NULL);
}

/*
 * A session that is closed here: whoever asks for that waits for nobody, and
 * what the importer holds is taken back first. Were session-del to wait for the
 * importer, whom we play, the session would be lost.
 */
static void closed_here(void)
{
	char *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0600);
	uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	uint64_t get[12] = { 5, segid, 0, 3 };
	uint64_t answer[16], ack[9] = { 0 };
	int error, ends[2];

	xt_case("closed here");
	*(volatile char *)mem = 1;
	open_session();
	message(GET, get, sizeof(get));
	xt_need(receive(answer, sizeof(answer)) == GET_REPLY, "a get");
	message(FETCH, fetch, sizeof(fetch));
	xt_need(receive(answer, sizeof(answer)) == GRANT, "a grant");
	xt_ok(!session_del(), "session-del");
	xt_ok(session_del() == ENOENT, "once more: ENOENT (%s)",
	      raw.nl.message);
	xt_tcp_pair(ends);
	raw.params.fd = ends[0];
	raw.params.epoch++;
	error = xt_session_add(&raw.nl, &raw.params);
	raw.params.epoch--;
	xt_ok(error == EBUSY, "a new session has to wait: EBUSY (%s)",
	      raw.nl.message);
	close(ends[0]);
	close(ends[1]);
	xt_ok(receive(answer, sizeof(answer)) == REVOKE,
	      "what was granted is revoked");
	ack[0] = raw.seq;
	message(ACK, ack, sizeof(ack));
	xt_ok(receive(answer, sizeof(answer)) == BYE, "then it says bye");
	/* And waits until we hang up: that is how it knows that we heard it. */
	shutdown(raw.fd, SHUT_WR);
	ends_with("session-del", "closed here");
	xt_ok(xt_stat("quarantine") == 0, "nothing is in quarantine");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
}

/* The other side of a session that is closed here may never hang up. */
static void never_hangs_up(void)
{
	uint64_t answer[16];

	xt_case("never hangs up");
	raw.params.heartbeat_ms = 200;
	raw.params.deadline_ms = 2000;
	open_session();
	xt_ok(!session_del(), "session-del");
	xt_ok(receive(answer, sizeof(answer)) == BYE, "it says bye");
	ends_with("a side that stays", "closed here");
	xt_ok(xt_stat("quarantine") == 0, "nothing is in quarantine");
	raw.params.heartbeat_ms = 1000;
	raw.params.deadline_ms = 30000;
}

/* Noise, the same each time. */
static void noise(void)
{
	unsigned char bytes[256];

	xt_case("noise");
	srandom(4711 + xt_me);
	for (int i = 0; i < 50; i++) {
		struct xt_raw_header h;

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = random();
		open_session();
		/* A right header at first, so that payloads are looked at. */
		if (i % 2) {
			static const int sizes[] = { 0,	  96, 24, 8,  40,
						     56,  32, 72, 16, 0,
						     152, 24, 16, 16 };
			int type = 1 + i / 2 % PONG;

			h = xt_raw_header(&raw, type, sizes[type]);
			xt_raw_put(&raw, &h, sizeof(h));
			xt_raw_put(&raw, bytes, sizes[type]);
		}
		xt_raw_put(&raw, bytes, sizeof(bytes));
		shutdown(raw.fd, SHUT_WR);
		xt_need(xt_raw_reason(&raw)[0], "noise %d: the session ends",
			i);
		close(raw.fd);
	}
	xt_ok(true, "50 sessions of noise ended");
}

int main(void)
{
	xt_start("rawsession");
	xt_raw_start(&raw);
	wrong_headers();
	wrong_payloads();
	wrong_terms();
	cut_short();
	no_such_segment();
	not_permitted();
	lookups();
	never_acks();
	closed_here();
	never_hangs_up();
	noise();
	xt_nothing_left("at the end");
	return xt_finish();
}
