// SPDX-License-Identifier: GPL-2.0-only
/* Questions: what may be answered to ours, and what comes of too many. */
#include "rawsession.h"
#include "xt.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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
void lookups(void)
{
	const uint64_t segid = (uint64_t)raw.params.partid << 48 | 0x123456;
	const uint64_t found[3] = { 0, segid, (uint64_t)OK << 32 | 1000 };
	const uint64_t others[3] = { 0, segid, (uint64_t)OK << 32 | 1001 };
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
	l = looks_up(FOUND, others, sizeof(others));
	xt_ok(l.error == EHOSTUNREACH, "nor is another user's (errno %d)",
	      l.error);
	ends_with("another user's segment", "of another user");
	open_session();
	l = looks_up(BYE, NULL, 0);
	xt_ok(l.error == EHOSTUNREACH,
	      "nor is there one when it closes the session (errno %d)",
	      l.error);
	ends_with("bye", "closed by the other");
}

/*
 * Sends a question, as one piece, so often, or as often as it is taken; whoever asks
 * reads nothing.  Returns how often.
 */
static unsigned long flood(int type, const void *payload, uint32_t length,
			   unsigned long most)
{
	struct timeval patience = { .tv_sec = 60 };
	char piece[256];
	struct xt_raw_header h = xt_raw_header(&raw, type, length);
	unsigned long sent = 0;

	memcpy(piece, &h, sizeof(h));
	memcpy(piece + sizeof(h), payload, length);
	setsockopt(raw.fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		   sizeof(patience));
	while (sent < most &&
	       send(raw.fd, piece, sizeof(h) + length, MSG_NOSIGNAL) ==
		       (ssize_t)(sizeof(h) + length))
		sent++;
	xt_note("%lu questions were taken", sent);
	return sent;
}

/* Answers to lookups, up to that to a ping, which comes last. */
static unsigned long found(void)
{
	const uint64_t ping[2] = { 1, 0x70696e67 };
	uint64_t payload[64] = { 0 };
	unsigned long n = 0;
	int type;

	message(PING, ping, sizeof(ping));
	do {
		type = xt_raw_next(&raw, payload, sizeof(payload));
		n += type == FOUND;
	} while (type > 0 && (type != PONG || payload[1] != ping[1]));
	xt_ok(type == PONG, "the session goes on");
	return n;
}

/* What a socket has room for takes time to fill, and shows nothing. */
static void set_send_buffer(const char *to, char *before)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_wmem", "r+e");

	xt_need(f && (!before || fgets(before, 64, f)) &&
			fseek(f, 0, SEEK_SET) == 0 && fputs(to, f) >= 0 &&
			!fclose(f),
		"set tcp_wmem to %s", to);
}

#define LOOKUPS 20000
#define ANSWERS 8192 /* XPMEM_CROWD */

/*
 * Whoever asks and reads no answer cannot fill our memory: too many gets end
 * the session, too many lookups are not answered.
 */
void floods(void)
{
	const uint64_t segid = (uint64_t)xt_me << 48 | 0x123456;
	/* Of a user whose gets nobody else needs: so many that failed are too many. */
	const uint64_t get[12] = { 5, segid, 4242ULL << 32 | 4242, 3 };
	uint64_t lookup[19] = { 6, 4242ULL << 32 | 4242, UINT32_MAX };
	unsigned long sent, answers;
	char before[64];

	xt_case("floods");
	set_send_buffer("4096 16384 16384", before);
	/* Nobody answers pings meanwhile. */
	raw.params.deadline_ms = 600000;
	open_session();
	flood(GET, get, sizeof(get), 1000000);
	ends_with("gets whose answers nobody reads", "answers were read");
	open_session();
	strcpy((char *)&lookup[11], "nothing");
	sent = flood(LOOKUP, lookup, sizeof(lookup), LOOKUPS);
	answers = found();
	xt_ok(sent == LOOKUPS && answers >= ANSWERS && answers < sent,
	      "%lu of %lu lookups were answered", answers, sent);
	message(LOOKUP, lookup, sizeof(lookup));
	xt_ok(found() == 1, "the next one is again");
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
	set_send_buffer(before, NULL);
	raw.params.deadline_ms = 30000;
}

#define PINGS 200

/*
 * As after a disturbance of the network: many pings at once.  Not each has to be
 * answered, but the last one: only its time makes a lease as long as it can be.
 */
void heartbeats(void)
{
	char pieces[PINGS * (sizeof(struct xt_raw_header) + 16)];
	long long end = xt_ms() + 30000;
	uint64_t payload[64], last = 0;
	unsigned int answers = 0;
	char *at = pieces;

	xt_case("heartbeats");
	open_session();
	for (uint64_t i = 1; i <= PINGS; i++) {
		struct xt_raw_header h = xt_raw_header(&raw, PING, 16);
		const uint64_t ping[2] = { i, i };

		memcpy(at, &h, sizeof(h));
		memcpy(at + sizeof(h), ping, sizeof(ping));
		at += sizeof(h) + sizeof(ping);
	}
	xt_raw_put(&raw, pieces, sizeof(pieces));
	while (last != PINGS && xt_ms() < end) {
		int type = xt_raw_next(&raw, payload, sizeof(payload));

		if (type <= 0)
			break;
		if (type != PONG)
			continue;
		xt_need(payload[0] > last && payload[0] == payload[1],
			"answers in order");
		last = payload[0];
		answers++;
	}
	xt_ok(last == PINGS, "the last of %d pings is answered, one of %u",
	      PINGS, answers);
	message(BYE, NULL, 0);
	ends_with("bye", "closed by the other");
}
