// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody on the line between two daemons, who alters, drops, repeats and
 * exchanges bytes, and cuts the line; munge and TLS are real.
 *
 *	one (connector, 1) ---- line ---- the test ---- line ---- two (acceptor, 2)
 *
 * Whatever is done to whichever byte: either there is no session, or both sides
 * have the same keys, which nobody on the line knows.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "fake_ktls.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"
#include "test.h"
#include "tls.h"

#define STALL_MS 200

enum fault { NONE, ALTER, DROP, REPEAT, EXCHANGE, CUT, FAULTS };

static const char *const fault_names[FAULTS] = {
	"none", "altered", "dropped", "repeated", "exchanged", "cut",
};

/**
 * struct end - one end of the line
 * @source: what arrives here goes to the other end
 * @passed: bytes that came so far
 * @at:     what is done to the byte with this number
 * @fault:  and what it is
 * @cut:    nothing passes any more once what came is through
 * @spoilt: what passed is not what came
 */
struct end {
	struct loop_source source;
	size_t passed;
	size_t at;
	enum fault fault;
	bool cut;
	bool spoilt;
};

/**
 * struct side - one daemon
 * @done:   its handshake has ended
 * @ok:     with this result
 * @result: valid if @ok
 * @reason: valid if not
 */
struct side {
	bool done;
	bool ok;
	struct handshake_result result;
	char reason[REASON_SIZE];
};

static struct handshake_local local[2];
static struct side sides[2];
static struct end ends[2]; /* [0] hears side 0 */
static struct loop_timer stall;
static bool early; /* side 0 sends as soon as it may */

static const struct handshake_terms terms = {
	.fabric = XPMEM_FABRIC_WINDOW,
	.security = XPMEM_SECURITY_TLS,
};

static int expect(void *owner, const struct message_hello *hello,
		  struct handshake_terms *want, char *reason)
{
	(void)owner;
	(void)hello;
	(void)reason;
	*want = terms;
	return 0;
}

static void done(void *owner, uint16_t partid,
		 const struct handshake_result *result, const char *reason)
{
	struct side *side = owner;

	(void)partid;
	side->done = true;
	side->ok = !!result;
	if (!result) {
		reason_set(side->reason, "%s", reason);
		return;
	}
	side->result = *result;
	/* A kernel that is sent what it cannot decrypt ends the session. */
	if (ends[0].fault != NONE || ends[1].fault != NONE)
		shutdown(result->fd, SHUT_WR);
	if (early && side == &sides[0])
		assert_int_equal(write(result->fd, "early", 5), 5);
}

static const struct handshake_ops ops = { .expect = expect, .done = done };

static size_t spoil(struct end *end, const uint8_t *in, size_t n, uint8_t *out)
{
	size_t i, length = 0;

	for (i = 0; i < n; i++, end->passed++) {
		if (end->fault == NONE || end->passed != end->at) {
			out[length++] = in[i];
			continue;
		}
		end->spoilt = end->fault != EXCHANGE ||
			      (i + 1 < n && in[i] != in[i + 1]);
		switch (end->fault) {
		case ALTER:
			out[length++] = in[i] ^ 1;
			break;
		case REPEAT:
			out[length++] = in[i];
			out[length++] = in[i];
			break;
		case EXCHANGE:
			if (i + 1 < n)
				out[length++] = in[i + 1];
			out[length++] = in[i];
			if (i + 1 < n)
				i++, end->passed++;
			break;
		case CUT:
			end->cut = true;
			return length;
		case DROP: /* the rest passes, and then nothing */
			end->cut = true;
			break;
		case NONE:
		case FAULTS:
			break;
		}
	}
	return length;
}

static void cut_line(void)
{
	shutdown(ends[0].source.fd, SHUT_RDWR);
	shutdown(ends[1].source.fd, SHUT_RDWR);
}

/* Somebody waits for a byte that will not come: the line does not wait. */
static void stalled(struct loop_timer *timer)
{
	(void)timer;
	cut_line();
}

static void pass(struct loop_source *source, uint32_t events)
{
	struct end *end = container_of(source, struct end, source);
	struct end *to = &ends[end == &ends[0]];
	uint8_t in[MESSAGE_SIZE_MAX], out[2 * MESSAGE_SIZE_MAX];
	ssize_t n = recv(source->fd, in, sizeof(in), 0);
	size_t length;

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		shutdown(to->source.fd, SHUT_WR);
		loop_remove(source);
		return;
	}
	length = spoil(end, in, (size_t)n, out);
	/* A side that has given up hears no more. */
	if (length && send(to->source.fd, out, length, MSG_NOSIGNAL) < 0)
		loop_remove(source);
	if (end->cut)
		cut_line();
	if (end->fault != NONE || to->fault != NONE)
		loop_timer_set(&stall, STALL_MS);
}

static void set_up(void)
{
	unsigned int i;

	memset(sides, 0, sizeof(sides));
	memset(ends, 0, sizeof(ends));
	fake_ktls_reset();
	early = false;
	stall.fire = stalled;
	for (i = 0; i < 2; i++) {
		local[i] = (struct handshake_local){
			.partid = (uint16_t)(i + 1),
			.version_min = 1,
			.version_max = 3,
			.page_size = 4096,
			.machine = 62,
			.boot_id = { (uint8_t)(i + 1) },
		};
	}
}

static void run(void)
{
	int line[2][2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    line[i]),
				 0);
		ends[i].source = (struct loop_source){ line[i][1], pass };
		assert_int_equal(loop_add(&ends[i].source, EPOLLIN), 0);
	}
	assert_non_null(handshake_connect(&local[0], line[0][0], 2, &terms,
					  &ops, &sides[0]));
	assert_non_null(
		handshake_accept(&local[1], line[1][0], &ops, &sides[1]));
	while (!sides[0].done || !sides[1].done)
		assert_int_equal(loop_step(), 0);
}

static void tear_down(void)
{
	unsigned int i;

	loop_timer_cancel(&stall);
	for (i = 0; i < 2; i++) {
		loop_remove(&ends[i].source);
		close(ends[i].source.fd);
		if (sides[i].ok)
			close(sides[i].result.fd);
	}
}

static int setup(void **state)
{
	char reason[REASON_SIZE];

	(void)state;
	auth_init(munged_socket(), geteuid());
	assert_int_equal(tls_init(reason), 0);
	return loop_init();
}

static int teardown(void **state)
{
	(void)state;
	loop_exit();
	tls_exit();
	return 0;
}

/* Is this outcome allowed?  Returns whether there is a session. */
static bool verdict(void)
{
	if (!sides[0].ok || !sides[1].ok)
		return false;
	assert_true(fake_ktls_pair(sides[0].result.fd, sides[1].result.fd));
	assert_true(sides[0].result.epoch == sides[1].result.epoch);
	assert_int_equal(sides[0].result.version, 3);
	assert_int_equal(sides[1].result.version, 3);
	return true;
}

/* How many bytes either side says when nobody disturbs. */
static void measure(size_t length[2])
{
	set_up();
	run();
	assert_true(verdict());
	length[0] = ends[0].passed;
	length[1] = ends[1].passed;
	tear_down();
}

/*
 * A session is left where a byte means nothing: of the version in the header of
 * a TLS record that is not yet encrypted, the last byte is not looked at.
 */
static void test_each_byte(void **state)
{
	unsigned int tries = 0, sessions = 0, from;
	enum fault fault;
	size_t length[2], at;

	(void)state;
	if (!*munged_socket())
		skip();
	measure(length);
	for (from = 0; from < 2; from++) {
		for (at = 0; at < length[from]; at++) {
			fault = (enum fault)(ALTER + at % (FAULTS - 1));
			set_up();
			ends[from].fault = fault;
			ends[from].at = at;
			run();
			if (verdict() && ends[from].spoilt) {
				print_message("# byte %zu of side %u %s\n", at,
					      from, fault_names[fault]);
				sessions++;
			}
			tear_down();
			tries++;
		}
	}
	print_message("# %u of %u disturbed handshakes made a session\n",
		      sessions, tries);
	assert_true(sessions <= 2);
}

/* Every byte of the two sides' last words, which TLS encrypts. */
static void test_finished(void **state)
{
	size_t length[2], at;
	unsigned int from;

	(void)state;
	if (!*munged_socket())
		skip();
	measure(length);
	for (from = 0; from < 2; from++) {
		for (at = length[from] - 53; at < length[from]; at++) {
			set_up();
			ends[from].fault = ALTER;
			ends[from].at = at;
			run();
			assert_false(verdict());
			/* The connector's last word, so it has a session yet. */
			assert_int_equal(sides[0].ok, from == 0);
			assert_false(sides[1].ok);
			assert_contains(sides[1].reason, "TLS");
			tear_down();
		}
	}
}

/* What comes right behind the handshake is the kernel's. */
static void test_nothing_taken(void **state)
{
	char text[6] = "";

	(void)state;
	if (!*munged_socket())
		skip();
	set_up();
	early = true;
	run();
	assert_true(verdict());
	while (recv(sides[1].result.fd, text, 5, MSG_PEEK) != 5)
		assert_int_equal(loop_step(), 0);
	assert_int_equal(read(sides[1].result.fd, text, 5), 5);
	assert_string_equal(text, "early");
	tear_down();
}

/* TLS alone: two ends with a key each. */
static void tls_pair(const uint8_t *key_a, const uint8_t *key_b, int ret[2])
{
	char reason[REASON_SIZE];
	struct tls *tls[2];
	int fds[2], i;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	tls[0] = tls_create(fds[0], true, key_a, reason);
	tls[1] = tls_create(fds[1], false, key_b, reason);
	assert_non_null(tls[0]);
	assert_non_null(tls[1]);
	ret[0] = ret[1] = TLS_WANT_READ;
	while (ret[0] > 0 || ret[1] > 0) {
		for (i = 0; i < 2; i++) {
			if (ret[i] > 0)
				ret[i] = tls_step(tls[i], reason);
			if (ret[i] < 0)
				shutdown(fds[i], SHUT_WR);
		}
	}
	for (i = 0; i < 2; i++) {
		tls_destroy(tls[i]);
		close(fds[i]);
	}
}

static void test_wrong_key(void **state)
{
	uint8_t key[TLS_PSK_LEN] = "a key", other[TLS_PSK_LEN];
	unsigned int i;
	int ret[2];

	(void)state;
	tls_pair(key, key, ret);
	assert_int_equal(ret[0], TLS_DONE);
	assert_int_equal(ret[1], TLS_DONE);
	for (i = 0; i < TLS_PSK_LEN; i++) {
		memcpy(other, key, sizeof(other));
		other[i] ^= 0x80;
		tls_pair(key, other, ret);
		assert_int_equal(ret[0], -1);
		assert_int_equal(ret[1], -1);
	}
}

/* A client that has the key, and wants something else. */
static int other_client(const char *priority, const char *name, char *reason)
{
	static uint8_t key[TLS_PSK_LEN] = "a key";
	gnutls_psk_client_credentials_t credentials;
	gnutls_datum_t user = { (void *)name, strlen(name) };
	gnutls_datum_t psk = { key, sizeof(key) };
	int fds[2], ret = TLS_WANT_READ;
	gnutls_session_t session;
	struct tls *tls;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	tls = tls_create(fds[1], false, key, reason);
	assert_non_null(tls);
	gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	assert_int_equal(gnutls_priority_set_direct(session, priority, NULL),
			 0);
	gnutls_psk_allocate_client_credentials(&credentials);
	gnutls_psk_set_client_credentials2(credentials, &user, &psk,
					   GNUTLS_PSK_KEY_RAW);
	gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
	gnutls_transport_set_int(session, fds[0]);
	while (ret > 0) {
		gnutls_handshake(session);
		ret = tls_step(tls, reason);
	}
	gnutls_deinit(session);
	gnutls_psk_free_client_credentials(credentials);
	tls_destroy(tls);
	close(fds[0]);
	close(fds[1]);
	return ret;
}

#define CLIENT(version, cipher, kx)                                        \
	"NONE:+VERS-" version ":+" cipher ":+AEAD:+" kx ":+GROUP-X25519:+" \
	"GROUP-SECP256R1:+SIGN-ALL:+COMP-NULL"

static void test_other_client(void **state)
{
	static const struct {
		const char *priority, *name;
	} wrong[] = {
		{ CLIENT("TLS1.3", "CHACHA20-POLY1305", "ECDHE-PSK"), "root" },
		{ CLIENT("TLS1.3", "AES-256-GCM", "ECDHE-PSK"), "xpmem" },
		{ CLIENT("TLS1.3", "CHACHA20-POLY1305", "PSK"), "xpmem" },
		{ CLIENT("TLS1.2", "CHACHA20-POLY1305", "ECDHE-PSK"), "xpmem" },
		{ CLIENT("TLS1.2", "AES-128-GCM", "PSK"), "xpmem" },
	};
	char reason[REASON_SIZE];
	unsigned int i;

	(void)state;
	assert_int_equal(
		other_client(CLIENT("TLS1.3", "CHACHA20-POLY1305", "ECDHE-PSK"),
			     "xpmem", reason),
		TLS_DONE);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(other_client(wrong[i].priority, wrong[i].name,
					      reason),
				 -1);
		assert_contains(reason, "TLS: ");
	}
}

/* Bytes that are no TLS. */
static void test_noise(void **state)
{
	static const uint8_t key[TLS_PSK_LEN];
	char reason[REASON_SIZE];
	uint8_t bytes[512];
	struct tls *tls;
	int fds[2], i, ret;
	size_t j;

	(void)state;
	srandom(4711);
	for (i = 0; i < 200; i++) {
		for (j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)random();
		if (i % 2) /* as a handshake record begins */
			memcpy(bytes, "\x16\x03\x03\x01\x00", 5);
		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    fds),
				 0);
		tls = tls_create(fds[1], i % 4 < 2, key, reason);
		assert_non_null(tls);
		assert_int_equal(write(fds[0], bytes, sizeof(bytes)),
				 sizeof(bytes));
		shutdown(fds[0], SHUT_WR);
		do {
			ret = tls_step(tls, reason);
		} while (ret > 0);
		assert_int_equal(ret, -1);
		assert_contains(reason, "TLS: ");
		tls_destroy(tls);
		close(fds[0]);
		close(fds[1]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_byte),	  TEST(test_finished),
		TEST(test_nothing_taken), TEST(test_wrong_key),
		TEST(test_other_client),  TEST(test_noise),
	};

	return cmocka_run_group_tests_name("line", tests, munged_start,
					   munged_stop);
}
