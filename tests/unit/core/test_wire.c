// SPDX-License-Identifier: GPL-2.0-only
/*
 * Received messages: each kind of damage is refused, nothing outside of the
 * payload is read (it is allocated to the byte, under a sanitizer), and what
 * is accepted is in the documented ranges.
 */
#include <stdlib.h>

#include "tap.h"
#include "wire.h"

#define EPOCH 0x1122334455667788ull
#define ROUNDS 200000
#define INDEX_END (1ull << 52)
#define LAST XPMEM_WIRE_PONG
#define RW (XPMEM_WIRE_READ | XPMEM_WIRE_WRITE)

struct message {
	struct xpmem_wire_header h;
	union {
		struct xpmem_wire_get get;
		struct xpmem_wire_get_reply reply;
		struct xpmem_wire_put put;
		struct xpmem_wire_fetch fetch;
		struct xpmem_wire_grant grant;
		struct xpmem_wire_revoke revoke;
		struct xpmem_wire_ack ack;
		struct xpmem_wire_ping ping;
		struct xpmem_wire_lookup lookup;
		struct xpmem_wire_lookup_reply found;
		struct xpmem_wire_terms terms;
		u8 bytes[XPMEM_WIRE_MAX + 64];
	};
};

static struct message m; /* what the test at hand is about */

static void begin(u16 type, u32 length)
{
	memset(&m, 0, sizeof(m));
	m.h.type = cpu_to_le16(type);
	m.h.length = cpu_to_le32(length);
	m.h.epoch = cpu_to_le64(EPOCH);
	m.h.seq = cpu_to_le64(type == XPMEM_WIRE_REVOKE ? 7 : 0);
}

static void make_grant(u32 nruns)
{
	u32 k;

	begin(XPMEM_WIRE_GRANT,
	      sizeof(m.grant) + nruns * sizeof(m.grant.runs[0]));
	m.grant.req = cpu_to_le64(1);
	m.grant.segid = cpu_to_le64(2);
	m.grant.status = cpu_to_le32(nruns ? XPMEM_WIRE_OK : XPMEM_WIRE_BUSY);
	m.grant.nruns = cpu_to_le32(nruns);
	for (k = 0; k < nruns; k++) {
		m.grant.runs[k].index = cpu_to_le64(2 * k);
		m.grant.runs[k].frame = cpu_to_le64(100 + k);
		m.grant.runs[k].count = cpu_to_le32(1);
		m.grant.runs[k].access = cpu_to_le32(RW);
	}
}

static void make_revoke(u32 nruns)
{
	u32 k;

	begin(XPMEM_WIRE_REVOKE,
	      sizeof(m.revoke) + nruns * sizeof(m.revoke.runs[0]));
	m.revoke.nruns = cpu_to_le32(nruns);
	for (k = 0; k < nruns; k++) {
		m.revoke.runs[k].segid = cpu_to_le64(2);
		m.revoke.runs[k].index = cpu_to_le64(k);
		m.revoke.runs[k].count = cpu_to_le32(1);
	}
}

/* A valid message of each type. */
static void make(u16 type)
{
	static const u32 sizes[] = {
		[XPMEM_WIRE_GET] = sizeof(m.get),
		[XPMEM_WIRE_GET_REPLY] = sizeof(m.reply),
		[XPMEM_WIRE_PUT] = sizeof(m.put),
		[XPMEM_WIRE_FETCH] = sizeof(m.fetch),
		[XPMEM_WIRE_ACK] = sizeof(m.ack),
		[XPMEM_WIRE_PING] = sizeof(m.ping),
		[XPMEM_WIRE_BYE] = 0,
		[XPMEM_WIRE_LOOKUP] = sizeof(m.lookup),
		[XPMEM_WIRE_LOOKUP_REPLY] = sizeof(m.found),
		[XPMEM_WIRE_TERMS] = sizeof(m.terms),
		[XPMEM_WIRE_PONG] = sizeof(m.ping),
	};

	if (type == XPMEM_WIRE_GRANT) {
		make_grant(3);
		return;
	}
	if (type == XPMEM_WIRE_REVOKE) {
		make_revoke(3);
		return;
	}
	begin(type, sizes[type]);
	if (type == XPMEM_WIRE_BYE)
		return;
	m.get.req = cpu_to_le64(1); /* also the only id of the short ones */
	if (type == XPMEM_WIRE_GET) {
		m.get.segid = cpu_to_le64(2);
		m.get.access = cpu_to_le32(RW);
		m.get.ngroups = cpu_to_le32(1);
		m.get.groups[0] = cpu_to_le32(1000);
	} else if (type == XPMEM_WIRE_GET_REPLY) {
		m.reply.pages = cpu_to_le64(16);
		m.reply.status = cpu_to_le32(XPMEM_WIRE_OK);
		m.reply.access = cpu_to_le32(XPMEM_WIRE_READ);
	} else if (type == XPMEM_WIRE_PING || type == XPMEM_WIRE_PONG) {
		m.ping.sent = cpu_to_le64(1);
	} else if (type == XPMEM_WIRE_TERMS) {
		m.terms.heartbeat_ms = cpu_to_le32(500);
		m.terms.deadline_ms = cpu_to_le32(10000);
		m.terms.lease_ms = cpu_to_le32(9500);
	} else if (type == XPMEM_WIRE_FETCH) {
		m.fetch.segid = cpu_to_le64(2);
		m.fetch.start = cpu_to_le64(8);
		m.fetch.target = cpu_to_le64(9);
		m.fetch.count = cpu_to_le32(4);
		m.fetch.access = cpu_to_le32(XPMEM_WIRE_READ);
	} else if (type == XPMEM_WIRE_LOOKUP) {
		m.lookup.owner = cpu_to_le32(XPMEM_WIRE_ANYBODY);
		m.lookup.ngroups = cpu_to_le32(1);
		m.lookup.groups[0] = cpu_to_le32(1000);
		strcpy(m.lookup.name, "heat/3.grid");
	} else if (type == XPMEM_WIRE_LOOKUP_REPLY) {
		m.found.segid = cpu_to_le64(2);
		m.found.uid = cpu_to_le32(1000);
		m.found.status = cpu_to_le32(XPMEM_WIRE_OK);
	}
}

/* As a receiver does it, with a payload of exactly the length announced. */
static const char *verdict(void)
{
	const char *bad = xpmem_wire_check_header(&m.h, EPOCH);
	u32 length = le32_to_cpu(m.h.length);
	void *payload;

	if (bad)
		return bad;
	if (length > XPMEM_WIRE_MAX)
		return NULL; /* never: the caller checks */
	payload = malloc(length ? length : 1);
	if (!payload)
		abort();
	memcpy(payload, m.bytes, length);
	bad = xpmem_wire_check_payload(&m.h, payload);
	free(payload);
	return bad;
}

static void accepted(const char *what)
{
	const char *bad = verdict();

	tap_ok(!bad, "wire, %s%s%s", what, bad ? ": " : "", bad ? bad : "");
}

static void refused(const char *what, const char *why)
{
	const char *bad = verdict();

	tap_ok(bad && !strcmp(bad, why), "wire, %s: %s", what,
	       bad ? bad : "accepted");
}

static void test_headers(void)
{
	u16 t;
	u32 right, n;
	bool ok;

	for (t = XPMEM_WIRE_GET; t <= LAST; t++) {
		make(t);
		accepted("valid");
		right = le32_to_cpu(m.h.length);
		for (ok = true, n = 0; n < XPMEM_WIRE_MAX + 64; n++) {
			m.h.length = cpu_to_le32(n);
			ok = ok && (n == right || verdict());
		}
		tap_ok(ok, "wire, type %u: every other length is refused", t);
		m.h.length = cpu_to_le32(UINT32_MAX);
		tap_ok(!!verdict(), "wire, type %u: huge length", t);
		make(t);
		m.h.flags = cpu_to_le16(0x8000);
		refused("flags", "message with unknown flags");
		make(t);
		m.h.epoch = cpu_to_le64(EPOCH - 1);
		refused("old epoch", "message of another epoch");
		make(t);
		m.h.seq = cpu_to_le64(t == XPMEM_WIRE_REVOKE ? 0 : 1ull << 32);
		refused("sequence", "message with a wrong sequence number");
		make(t);
		memset(m.bytes, 0, sizeof(m.bytes));
		tap_ok(t == XPMEM_WIRE_BYE || verdict(),
		       "wire, type %u: all zero", t);
	}
	make(XPMEM_WIRE_BYE);
	m.h.type = 0;
	refused("no type", "message of type zero");
	m.h.type = cpu_to_le16(LAST + 1);
	refused("next type", "message of unknown type");
	m.h.type = cpu_to_le16(UINT16_MAX);
	refused("last type", "message of unknown type");
}

/* Change one field of a valid message. */
#define BAD(kind, field, value, why)                                  \
	do {                                                          \
		make(kind);                                           \
		__typeof__(m.field) *at_ = &m.field;                  \
		*at_ = sizeof(*at_) == 8 ? cpu_to_le64(value) :       \
					   cpu_to_le32((u32)(value)); \
		refused(#field " = " #value, why);                    \
	} while (0)

static void test_requests(void)
{
	const u16 G = XPMEM_WIRE_GET, R = XPMEM_WIRE_GET_REPLY,
		  F = XPMEM_WIRE_FETCH;

	BAD(G, get.req, 0, "get with a zero id");
	BAD(G, get.segid, 0, "get with a zero id");
	BAD(G, get.access, 0, "get with unknown access");
	BAD(G, get.access, XPMEM_WIRE_WRITE, "get with unknown access");
	BAD(G, get.access, 7, "get with unknown access");
	BAD(G, get.ngroups, 17, "get with too many groups");
	BAD(G, get.ngroups, UINT32_MAX, "get with too many groups");
	BAD(G, get.ngroups, 0, "get with groups beyond its count");
	BAD(G, get.groups[15], 1, "get with groups beyond its count");
	BAD(R, reply.req, 0, "get reply with a zero id");
	BAD(R, reply.status, 0, "get reply with unknown status");
	BAD(R, reply.status, 8, "get reply with unknown status");
	BAD(R, reply.status, 2, "refusing get reply with a permit");
	BAD(R, reply.pages, 0, "get reply with an impossible size");
	BAD(R, reply.pages, INDEX_END + 1, "get reply with an impossible size");
	BAD(R, reply.access, 2, "get reply with unknown access");
	BAD(F, fetch.req, 0, "fetch with a zero id");
	BAD(F, fetch.segid, 0, "fetch with a zero id");
	BAD(F, fetch.count, 0, "fetch of an impossible range");
	BAD(F, fetch.count, 513, "fetch of an impossible range");
	BAD(F, fetch.start, INDEX_END, "fetch of an impossible range");
	BAD(F, fetch.start, UINT64_MAX, "fetch of an impossible range");
	BAD(F, fetch.target, 7, "fetch whose target is outside of its range");
	BAD(F, fetch.target, 12, "fetch whose target is outside of its range");
	BAD(F, fetch.access, 0, "fetch with unknown access");
	BAD(XPMEM_WIRE_PUT, put.segid, 0, "put with a zero id");
	BAD(XPMEM_WIRE_ACK, ack.seq, 0, "acknowledgement of nothing");
	BAD(XPMEM_WIRE_PING, ping.count, 0, "ping with a zero count");
	BAD(XPMEM_WIRE_PING, ping.sent, 0, "ping without a time");
	BAD(XPMEM_WIRE_PONG, ping.count, 0, "ping with a zero count");
	BAD(XPMEM_WIRE_PONG, ping.sent, 0, "ping without a time");
	BAD(XPMEM_WIRE_TERMS, terms.heartbeat_ms, 0, "terms of zero");
	BAD(XPMEM_WIRE_TERMS, terms.deadline_ms, 0, "terms of zero");
	BAD(XPMEM_WIRE_TERMS, terms.lease_ms, 0, "terms of zero");
	BAD(XPMEM_WIRE_TERMS, terms.reserved, 1, "terms with unknown fields");
}

static void test_lookups(void)
{
	const u16 L = XPMEM_WIRE_LOOKUP, F = XPMEM_WIRE_LOOKUP_REPLY;

	BAD(L, lookup.req, 0, "lookup with a zero id");
	BAD(L, lookup.ngroups, 17, "lookup with too many groups");
	BAD(L, lookup.ngroups, UINT32_MAX, "lookup with too many groups");
	BAD(L, lookup.ngroups, 0, "lookup with groups beyond its count");
	BAD(L, lookup.groups[15], 1, "lookup with groups beyond its count");
	BAD(F, found.req, 0, "lookup reply with a zero id");
	BAD(F, found.segid, 0, "lookup reply with an impossible segment");
	BAD(F, found.segid, 1ull << 63,
	    "lookup reply with an impossible segment");
	BAD(F, found.status, 0, "lookup reply with unknown status");
	BAD(F, found.status, XPMEM_WIRE_FAULT,
	    "lookup reply with unknown status");
	BAD(F, found.status, XPMEM_WIRE_NOMEM,
	    "lookup reply with unknown status");
	BAD(F, found.status, XPMEM_WIRE_NOENT,
	    "refusing lookup reply with a segment");
	make(F);
	m.found.segid = 0;
	m.found.status = cpu_to_le32(XPMEM_WIRE_ACCES);
	refused("reply, an owner of nothing",
		"refusing lookup reply with a segment");
	m.found.uid = 0;
	accepted("reply, a refusal");
}

/* A name as a receiver sees it: one of its bytes is changed. */
static bool name_with(unsigned int at, unsigned char byte)
{
	make(XPMEM_WIRE_LOOKUP);
	m.lookup.name[at] = (char)byte;
	return !verdict();
}

static void test_names(void)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/";
	unsigned int c, wrong = 0, length = strlen("heat/3.grid");

	for (c = 1; c < 256; c++)
		wrong += name_with(3, c) != !!strchr(good, c);
	tap_ok(!wrong, "wire, letters, digits and ._-+/ are all a name has");
	tap_ok(!name_with(3, 0), "wire, a name with something behind its end");
	tap_ok(!name_with(XPMEM_WIRE_NAME - 1, 'x'),
	       "wire, a name with something at its end");
	tap_ok(name_with(length, 'x') && name_with(length - 1, 0),
	       "wire, a name longer by one, and shorter");
	make(XPMEM_WIRE_LOOKUP);
	memset(m.lookup.name, 'x', XPMEM_WIRE_NAME);
	refused("a name without an end", "lookup of an impossible name");
	m.lookup.name[XPMEM_WIRE_NAME - 1] = 0;
	accepted("the longest name");
	memset(m.lookup.name, 0, XPMEM_WIRE_NAME);
	refused("no name", "lookup of an impossible name");
}

static void test_runs(void)
{
	const u16 G = XPMEM_WIRE_GRANT, V = XPMEM_WIRE_REVOKE;

	BAD(G, grant.req, 0, "grant with a zero id");
	BAD(G, grant.segid, 0, "grant with a zero id");
	BAD(G, grant.status, 0, "grant with unknown status");
	BAD(G, grant.status, 8, "grant with unknown status");
	BAD(G, grant.status, 6, "grant whose status and runs disagree");
	BAD(G, grant.nruns, 2, "grant with a wrong run count");
	BAD(G, grant.nruns, UINT32_MAX, "grant with a wrong run count");
	BAD(G, grant.reserved, 1, "grant with unknown fields");
	BAD(G, grant.retry_ms, 1, "grant with unknown fields");
	BAD(G, grant.runs[1].count, 0, "grant of an impossible range");
	BAD(G, grant.runs[1].count, 3, "grant of an impossible range");
	BAD(G, grant.runs[2].count, 513, "grant of an impossible range");
	BAD(G, grant.runs[2].count, 511, "grant of too many pages");
	BAD(G, grant.runs[2].index, 0, "grant of an impossible range");
	BAD(G, grant.runs[2].index, INDEX_END, "grant of an impossible range");
	BAD(G, grant.runs[2].frame, INDEX_END, "grant of an impossible range");
	BAD(G, grant.runs[2].access, 2, "grant with unknown access");
	BAD(V, revoke.nruns, 0, "revoke with a wrong run count");
	BAD(V, revoke.nruns, 4, "revoke with a wrong run count");
	BAD(V, revoke.reserved, 1, "revoke with unknown fields");
	BAD(V, revoke.runs[2].segid, 0, "revoke with unknown fields");
	BAD(V, revoke.runs[2].reserved, 1, "revoke with unknown fields");
	BAD(V, revoke.runs[2].count, 0, "revoke of an impossible range");
	BAD(V, revoke.runs[2].count, 513, "revoke of an impossible range");
	BAD(V, revoke.runs[2].index, UINT64_MAX,
	    "revoke of an impossible range");
	make_grant(0);
	m.grant.retry_ms = cpu_to_le32(50);
	accepted("grant refused for now");
	make_grant(XPMEM_WIRE_PAGES);
	accepted("grant of as many runs as there may be");
	make_grant(XPMEM_WIRE_PAGES + 1);
	refused("grant of one more", "message with too many runs");
	make_revoke(XPMEM_WIRE_PAGES);
	accepted("revoke of as many runs as there may be");
	make_revoke(XPMEM_WIRE_PAGES + 1);
	refused("revoke of one more", "message with too many runs");
	make_revoke(0);
	refused("revoke of none", "revoke with a wrong run count");
}

static bool range_fits(__le64 index, __le32 count)
{
	u32 n = le32_to_cpu(count);

	return n && n <= XPMEM_WIRE_PAGES && le64_to_cpu(index) < INDEX_END;
}

static bool access_fits(__le32 access)
{
	return le32_to_cpu(access) == XPMEM_WIRE_READ ||
	       le32_to_cpu(access) == RW;
}

static bool runs_fit(void)
{
	u32 k, n = le32_to_cpu(m.grant.nruns), pages = 0;
	u64 next = 0;

	if (le16_to_cpu(m.h.type) == XPMEM_WIRE_REVOKE) {
		n = le32_to_cpu(m.revoke.nruns);
		if (!n || n > XPMEM_WIRE_PAGES)
			return false;
		for (k = 0; k < n; k++)
			if (!m.revoke.runs[k].segid ||
			    !range_fits(m.revoke.runs[k].index,
					m.revoke.runs[k].count))
				return false;
		return true;
	}
	if (n > XPMEM_WIRE_PAGES ||
	    !n != (le32_to_cpu(m.grant.status) != XPMEM_WIRE_OK))
		return false;
	for (k = 0; k < n; k++) {
		const struct xpmem_wire_grant_run *r = &m.grant.runs[k];

		if (!range_fits(r->index, r->count) ||
		    !access_fits(r->access) || le64_to_cpu(r->index) < next)
			return false;
		next = le64_to_cpu(r->index) + le32_to_cpu(r->count);
		pages += le32_to_cpu(r->count);
	}
	return pages <= XPMEM_WIRE_PAGES;
}

/* Is an accepted message in the ranges that wire.h documents? */
static bool fits(void)
{
	u64 start = le64_to_cpu(m.fetch.start);

	switch ((enum xpmem_wire_type)le16_to_cpu(m.h.type)) {
	case XPMEM_WIRE_GET:
		return m.get.req && m.get.segid && access_fits(m.get.access) &&
		       le32_to_cpu(m.get.ngroups) <= XPMEM_WIRE_GROUPS;
	case XPMEM_WIRE_GET_REPLY:
		return m.reply.req && m.reply.status &&
		       (le32_to_cpu(m.reply.status) == XPMEM_WIRE_OK) ==
			       !!m.reply.pages &&
		       le64_to_cpu(m.reply.pages) <= INDEX_END;
	case XPMEM_WIRE_FETCH:
		return m.fetch.req && m.fetch.segid &&
		       range_fits(m.fetch.start, m.fetch.count) &&
		       le64_to_cpu(m.fetch.target) >= start &&
		       le64_to_cpu(m.fetch.target) <
			       start + le32_to_cpu(m.fetch.count) &&
		       access_fits(m.fetch.access);
	case XPMEM_WIRE_GRANT:
	case XPMEM_WIRE_REVOKE:
		return runs_fit();
	case XPMEM_WIRE_PUT:
	case XPMEM_WIRE_ACK:
		return m.put.segid;
	case XPMEM_WIRE_PING:
	case XPMEM_WIRE_PONG:
		return m.ping.count && m.ping.sent;
	case XPMEM_WIRE_TERMS:
		return m.terms.heartbeat_ms && m.terms.deadline_ms &&
		       m.terms.lease_ms && !m.terms.reserved;
	case XPMEM_WIRE_BYE:
		return !m.h.length;
	case XPMEM_WIRE_LOOKUP:
		return m.lookup.req &&
		       le32_to_cpu(m.lookup.ngroups) <= XPMEM_WIRE_GROUPS &&
		       memchr(m.lookup.name, 0, XPMEM_WIRE_NAME) &&
		       m.lookup.name[0] && !strpbrk(m.lookup.name, " :@\n\t");
	case XPMEM_WIRE_LOOKUP_REPLY:
		return m.found.req && (le32_to_cpu(m.found.status) ==
				       XPMEM_WIRE_OK) == !!m.found.segid;
	}
	return false;
}

static u64 random64(void)
{
	static u64 x =
		0x9e3779b97f4a7c15ull; /* the seed: each run is the same */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Overwrite a 4- or 8-byte field, or a byte, somewhere in the message. */
static void mutate(void)
{
	static const u64 nice[] = {
		0,	   1,	       2,	   3,	      16,
		17,	   511,	       512,	   513,	      INDEX_END - 1,
		INDEX_END, UINT32_MAX, 1ull << 63, UINT64_MAX
	};
	u64 value = random64() & 1 ?
			    random64() :
			    nice[random64() % (sizeof(nice) / sizeof(nice[0]))];
	u32 width = 1u << (random64() % 4);
	u32 end = sizeof(m.h) + sizeof(m.lookup);
	u32 at = random64() % end / width * width;

	if (random64() % 8 == 0) /* otherwise the payload is hardly reached */
		at %= sizeof(m.h);
	else if (at < sizeof(m.h))
		at += sizeof(m.h);
	memcpy((u8 *)&m + at, &value, width);
}

static void fuzz(void)
{
	u32 k, n, ok = 0, unfit = 0;

	for (k = 0; k < ROUNDS; k++) {
		if (random64() % 4)
			make(1 + random64() % LAST);
		else if (random64() % 2)
			make_grant(random64() % (XPMEM_WIRE_PAGES + 2));
		else
			make_revoke(random64() % (XPMEM_WIRE_PAGES + 2));
		for (n = 1 + random64() % 3; n; n--)
			mutate();
		if (verdict())
			continue;
		ok++;
		unfit += !fits();
	}
	tap_ok(!unfit && ok > ROUNDS / 100 && ok < ROUNDS,
	       "wire, %u damaged messages: %u accepted, %u of them out of range",
	       ROUNDS, ok, unfit);
}

/* Every page has a bit, and no bit is wasted where one more bit would do. */
static void test_young(void)
{
	u32 pages, wrong = 0;

	for (pages = 1; pages <= XPMEM_WIRE_PAGES * XPMEM_WIRE_PAGES; pages++) {
		unsigned int shift = xpmem_wire_young_shift(pages);

		wrong += (pages - 1) >> shift >= XPMEM_WIRE_YOUNG;
		wrong += shift && (pages - 1) >> (shift - 1) < XPMEM_WIRE_YOUNG;
	}
	tap_ok(!wrong, "wire, bits of an acknowledgement: %u wrong", wrong);
}

int main(void)
{
	test_headers();
	test_young();
	test_requests();
	test_lookups();
	test_names();
	test_runs();
	fuzz();
	return tap_done();
}
