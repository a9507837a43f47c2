// SPDX-License-Identifier: GPL-2.0-only
/*
 * A partition that does not keep to the protocol. The test is its peer: each
 * partition opens sessions to itself under the id of one that does not exist,
 * and sends what it should not. The session ends with a named reason, and
 * nothing else happens.
 */
#include "rawsession.h"
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

struct xt_raw raw;

void message(int type, const void *payload, uint32_t length)
{
	xt_raw_send(&raw, type, payload, length);
}

int receive(void *payload, size_t size)
{
	return xt_raw_receive(&raw, payload, size);
}

void open_session(void)
{
	xt_raw_open(&raw);
}

void ends_with(const char *what, const char *want)
{
	xt_raw_ends(&raw, what, want);
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

/* All that comes is read, and pings are answered: nothing else is. */
static void *answer_pings(void *unused)
{
	uint64_t payload[2048];

	(void)unused;
	while (receive(payload, sizeof(payload)) > 0)
		;
	return NULL;
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
	/* Long enough to be closed before the lease ends, on a busy host, too. */
	raw.params.heartbeat_ms = 200;
	raw.params.deadline_ms = 8000;
	open_session();
	xt_ok(!session_del(), "session-del");
	xt_ok(receive(answer, sizeof(answer)) == BYE, "it says bye");
	ends_with("a side that stays", "closed here");
	xt_ok(xt_stat("quarantine") == 0, "nothing is in quarantine");
	raw.params.heartbeat_ms = 1000;
	raw.params.deadline_ms = 30000;
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
	floods();
	heartbeats();
	never_acks();
	closed_here();
	never_hangs_up();
	noise();
	xt_nothing_left("at the end");
	return xt_finish();
}
