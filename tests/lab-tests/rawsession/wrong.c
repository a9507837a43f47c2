// SPDX-License-Identifier: GPL-2.0-only
/* What no message may be: in its header, in its payload, in its terms. */
#include "rawsession.h"
#include "xt.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void wrong_headers(void)
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

static const uint64_t zeros[19];
/* req, segid, uid|gid, access|ngroups, groups */
static const uint64_t get_access[12] = { 1, 1ULL << 48, 0, 7 };
static const uint64_t get_groups[12] = { 1, 1ULL << 48, 0, 17ULL << 32 | 1 };
/* req, segid, start, target, access|count */
static const uint64_t fetch_none[5] = { 1, 1, 0, 0, 1ULL << 32 };
static const uint64_t fetch_many[5] = { 1, 1, 0, 0, 1ULL << 32 | 513 };
static const uint64_t fetch_far[5] = { 1, 1, ~0ULL, ~0ULL, 1ULL << 32 | 1 };
static const uint64_t fetch_off[5] = { 1, 1, 0, 9, 1ULL << 32 | 1 };
/* req, segid, retry|status, reserved|nruns, runs */
static const uint64_t grant_unasked[4 + 3] = {
	77, 1, OK, 1, 0, 5, 1ULL << 32 | 1
};
static const uint64_t grant_count[4 + 3] = { 1, 1, OK, 2, 0, 5, 1ULL << 32 | 1 };
static const uint64_t revoke_zero[1 + 3] = { 1, 0, 0, 1 };
static const uint64_t revoke_far[1 + 3] = { 1, 1, ~0ULL, 1 };
static const uint64_t ack_none[9] = { 77 };
/* req, gid|uid, ngroups|owner, groups, name */
static const uint64_t lookup_none[19] = { 1, 0, 0xffffffff };
static const uint64_t lookup_space[19] = { 1, 0, 0xffffffff, [11] = 0x202020 };
static const uint64_t lookup_groups[19] = {
	1, 0, 17ULL << 32 | 0xffffffff, [11] = 'x'
};
/* req, segid, status|uid */
static const uint64_t found_busy[3] = { 1, 0, (uint64_t)BUSY << 32 };
static const uint64_t found_none[3] = { 1, 0, (uint64_t)OK << 32 };
static const uint64_t found_else[3] = { 1, 1ULL << 48 | 5, (uint64_t)OK << 32 };
static const uint64_t ping_timeless[2] = { 1, 0 };
static const uint64_t pong_early[2] = { 1ULL << 40, 1 };
/* heartbeat, deadline, lease, reserved */
static const uint32_t terms_good[4] = { 1000, 30000, 29000 };
static const uint32_t terms_more[4] = { 1000, 30000, 29000, 1 };

static const struct {
	const char *what, *want;
	int type;
	const void *payload;
	uint32_t length;
} wrong[] = {
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
	{ "ack of what was not sent", "out of turn", ACK, ack_none, 72 },
	{ "ping of zero", "zero", PING, zeros, 16 },
	{ "ping without a time", "time", PING, ping_timeless, 16 },
	{ "pong of zero", "zero", PONG, zeros, 16 },
	{ "pong of what was not sent", "not sent", PONG, pong_early, 16 },
	{ "terms again", "twice", TERMS, terms_good, 16 },
	{ "terms of zero", "zero", TERMS, zeros, 16 },
	{ "terms with more", "unknown", TERMS, terms_more, 16 },
	{ "lookup of zeros", "zero id", LOOKUP, zeros, 152 },
	{ "lookup of no name", "name", LOOKUP, lookup_none, 152 },
	{ "lookup of a name of spaces", "name", LOOKUP, lookup_space, 152 },
	{ "lookup with 17 groups", "groups", LOOKUP, lookup_groups, 152 },
	{ "lookup reply of zeros", "zero id", FOUND, zeros, 24 },
	{ "lookup reply: busy", "status", FOUND, found_busy, 24 },
	{ "lookup reply of nothing", "impossible", FOUND, found_none, 24 },
	{ "lookup reply of what is elsewhere", "another partition", FOUND,
	  found_else, 24 },
};

static void payload_ends(const char *what, const char *want, int type,
			 const void *payload, uint32_t length)
{
	open_session();
	message(type, payload, length);
	/* Not everything ends a session; this does. */
	if (!want[0])
		message(0, NULL, 0);
	ends_with(what, want);
}

void wrong_payloads(void)
{
	const uint64_t found_unasked[3] = {
		77, (uint64_t)raw.params.partid << 48 | 5, (uint64_t)OK << 32
	};

	xt_case("payloads");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		payload_ends(wrong[i].what, wrong[i].want, wrong[i].type,
			     wrong[i].payload, wrong[i].length);
	payload_ends("lookup reply that nobody asked for", "", FOUND,
		     found_unasked, 24);
}

/* Who does not say what it keeps to, or what nobody can keep to. */
void wrong_terms(void)
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

/* Noise, the same each time. */
void noise(void)
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
