// SPDX-License-Identifier: GPL-2.0-only
/*
 * One handshake against an attacker, who says what no daemon says, or is
 * between two; and what becomes of credentials that are not meant for it.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "loop.h"
#include "sides.h"
#include "test.h"

/* Plays @bytes to an acceptor, or to a connector, and closes. */
static void attack(const void *bytes, size_t size, bool connector)
{
	struct side *victim = connector ? &side_one : &side_two;

	if (connector)
		assert_non_null(handshake_connect(&side_one.local, side_fds[1],
						  2, &side_one.terms, &side_ops,
						  &side_one));
	else
		assert_non_null(handshake_accept(&side_two.local, side_fds[1],
						 &side_ops, &side_two));
	assert_int_equal(write(side_fds[0], bytes, size), size);
	shutdown(side_fds[0], SHUT_WR);
	while (!victim->done)
		assert_int_equal(loop_step(), 0);
	close(side_fds[0]);
	assert_false(victim->ok);
}

static void test_silence(void **state)
{
	(void)state;
	attack("", 0, false);
	assert_contains(side_two.reason, "closed the connection");
}

static void test_zeroes(void **state)
{
	const char zeroes[256] = {};

	(void)state;
	attack(zeroes, sizeof(zeroes), false);
	assert_contains(side_two.reason, "unknown type 0");
}

static void test_oversized(void **state)
{
	const struct message_wire_header wire = {
		.length = htole32(0x7fffffff),
		.type = htole16(MESSAGE_AUTH),
	};

	(void)state;
	attack(&wire, sizeof(wire), false);
	assert_contains(side_two.reason, "with 2147483647 bytes");
}

static const struct message_hello hello_of_1 = {
	.version_min = 1,
	.version_max = 3,
	.page_size = 4096,
	.machine = 62,
	.fabric = XPMEM_FABRIC_WINDOW,
	.partid = 1,
	.peer = 2,
	.security = XPMEM_SECURITY_TLS,
};

static void test_truncated(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	size_t size = message_put_hello(bytes, &hello_of_1);

	(void)state;
	attack(bytes, size - 1, false);
	assert_contains(side_two.reason, "closed the connection");
}

static void test_out_of_turn(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];

	(void)state;
	attack(bytes, message_put_auth(bytes, "MUNGE:x:"), false);
	assert_contains(side_two.reason, "message 2 came out of turn");
}

static void test_early_ready(void **state)
{
	const struct message_ready ready = { .status = MESSAGE_STATUS_READY };
	uint8_t bytes[MESSAGE_SIZE_MAX];

	(void)state;
	attack(bytes, message_put_ready(bytes, &ready), true);
	assert_contains(side_one.reason, "READY came too early");
}

static void test_no_credential(void **state)
{
	uint8_t bytes[2 * MESSAGE_SIZE_MAX];
	size_t size;

	(void)state;
	if (!*munged_socket())
		skip();
	size = message_put_hello(bytes, &hello_of_1);
	size += message_put_auth(bytes + size, "MUNGE:AwQFAAD:");
	attack(bytes, size, false);
	assert_contains(side_two.reason, "munge refuses its credential");
}

/* The connector's own credential, sent back to it, proves nothing. */
static void test_reflection(void **state)
{
	struct message_hello hello = hello_of_1;
	uint8_t bytes[MESSAGE_SIZE_MAX];
	size_t size;

	(void)state;
	if (!*munged_socket())
		skip();
	hello.partid = 2;
	hello.peer = 1;
	hello.nonce[0] = 1;
	assert_non_null(handshake_connect(&side_one.local, side_fds[1], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	side_hear(side_fds[0], bytes);
	size = message_put_hello(bytes, &hello);
	assert_int_equal(write(side_fds[0], bytes, size), size);
	size = side_hear(side_fds[0], bytes);
	assert_int_equal(write(side_fds[0], bytes, size), size);
	shutdown(side_fds[0], SHUT_WR);
	side_run(&side_one);
	assert_contains(side_one.reason,
			"its credential is for something else");
	close(side_fds[0]);
}

/* Nor does its nonce, whatever else the other side says of itself. */
static void test_same_nonce(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	struct message_wire_hello wire;
	uint8_t *payload = bytes + sizeof(struct message_wire_header);
	size_t size;

	(void)state;
	assert_non_null(handshake_connect(&side_one.local, side_fds[1], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	size = side_hear(side_fds[0], bytes);
	memcpy(&wire, payload, sizeof(wire));
	wire.partid = htole16(2);
	wire.peer = htole16(1);
	wire.boot_id[0] ^= 1;
	memcpy(payload, &wire, sizeof(wire));
	assert_int_equal(write(side_fds[0], bytes, size), size);
	shutdown(side_fds[0], SHUT_WR);
	side_run(&side_one);
	assert_contains(side_one.reason, "hears itself");
	close(side_fds[0]);
}

/* Whoever only says HELLO to an acceptor is given no credential of root's. */
static void test_stranger(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	size_t size = message_put_hello(bytes, &hello_of_1);

	(void)state;
	assert_non_null(handshake_accept(&side_two.local, side_fds[1],
					 &side_ops, &side_two));
	assert_int_equal(write(side_fds[0], bytes, size), size);
	shutdown(side_fds[0], SHUT_WR);
	side_run(&side_two);
	assert_int_equal(read(side_fds[0], bytes, sizeof(bytes)),
			 sizeof(struct message_wire_header) +
				 sizeof(struct message_wire_hello));
	close(side_fds[0]);
}

static void hand_on(int from, int to)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	size_t size = side_hear(from, bytes);

	assert_int_equal(write(to, bytes, size), size);
}

/* Hands a HELLO on, and lets it speak nothing newer than version 1. */
static void hand_on_older(int from, int to)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	uint8_t *payload = bytes + sizeof(struct message_wire_header);
	struct message_wire_hello wire;
	size_t size = side_hear(from, bytes);

	memcpy(&wire, payload, sizeof(wire));
	wire.version_max = htole16(1);
	memcpy(payload, &wire, sizeof(wire));
	assert_int_equal(write(to, bytes, size), size);
}

/* Somebody between two partitions cannot make them agree on less. */
static void test_downgrade(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	int others[2];
	size_t size;

	(void)state;
	if (!*munged_socket())
		skip();
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, others), 0);
	assert_non_null(handshake_connect(&side_one.local, side_fds[1], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	assert_non_null(handshake_accept(&side_two.local, others[1], &side_ops,
					 &side_two));
	hand_on_older(side_fds[0], others[0]);
	hand_on_older(others[0], side_fds[0]);
	size = side_hear(side_fds[0], bytes);
	assert_int_equal(write(others[0], bytes, size), size);
	shutdown(others[0], SHUT_WR);
	side_run(&side_two);
	assert_contains(side_two.reason,
			"its credential is for something else");
	close(side_fds[0]);
	close(others[0]);
	side_run(&side_one);
}

/* Fills what the socket takes, so that nothing more leaves through it. */
static size_t fill_up(int fd)
{
	char junk[4096] = {};
	size_t all = 0;
	ssize_t n;

	while ((n = write(fd, junk, sizeof(junk))) > 0)
		all += (size_t)n;
	while (write(fd, junk, 1) == 1)
		all++;
	assert_int_equal(errno, EAGAIN);
	return all;
}

static void stop_waiting(struct loop_timer *timer)
{
	timer->fire = NULL;
}

/* Steps of the loop in a while in which nothing can be done. */
static unsigned int idle_steps(void)
{
	struct loop_timer timer = { .fire = stop_waiting };
	unsigned int steps = 0;

	loop_timer_set(&timer, 100);
	while (timer.fire) {
		assert_int_equal(loop_step(), 0);
		steps++;
	}
	return steps;
}

/*
 * The other side is ahead: what it says already waits until our last message
 * has left, and so does the loop.
 */
static void test_ahead(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	unsigned int steps;
	int others[2], i;
	size_t junk;

	(void)state;
	if (!*munged_socket())
		skip();
	side_one.terms.security = XPMEM_SECURITY_PLAIN;
	side_two.terms.security = XPMEM_SECURITY_PLAIN;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, others), 0);
	assert_non_null(handshake_connect(&side_one.local, side_fds[1], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	assert_non_null(handshake_accept(&side_two.local, others[1], &side_ops,
					 &side_two));
	hand_on(side_fds[0], others[0]); /* HELLO, both ways */
	hand_on(others[0], side_fds[0]);
	hand_on(side_fds[0], others[0]); /* AUTH */
	junk = fill_up(side_fds[1]);
	for (i = 0; i < 2; i++) /* AUTH and READY of two */
		hand_on(others[0], side_fds[0]);
	assert_int_equal(write(side_fds[0], "x", 1), 1);
	/* Munged takes its time; then there is nothing to do. */
	do {
		steps = idle_steps();
	} while (steps < 100 && steps > 1);
	assert_int_equal(steps, 1);
	assert_false(side_one.done);
	while (junk)
		junk -= (size_t)read(side_fds[0], bytes,
				     junk < sizeof(bytes) ? junk :
							    sizeof(bytes));
	hand_on(side_fds[0], others[0]); /* READY */
	while (!side_one.done || !side_two.done)
		assert_int_equal(loop_step(), 0);
	assert_true(side_one.ok && side_two.ok);
	assert_int_equal(read(side_one.result.fd, bytes, 2), 1);
	assert_int_equal(bytes[0], 'x');
	close(side_fds[0]);
	close(others[0]);
}

/* Credentials, with a real munge. */
static char credential[MESSAGE_CREDENTIAL_MAX + 1];
static uint8_t secret[AUTH_SECRET_LEN] = "told to one side only";
static uint8_t told[AUTH_SECRET_LEN];
static char reason[REASON_SIZE];
static struct auth_claim claim = { .label = AUTH_LABEL, .partid = 1 };

static void make_credential(void)
{
	if (!*munged_socket())
		skip();
	assert_int_equal(auth_create(&claim, secret, credential, reason), 0);
}

static void assert_refused(const struct auth_claim *as, const char *why)
{
	assert_int_equal(auth_verify(as, told, credential, reason), -1);
	assert_contains(reason, why);
}

static void test_replay(void **state)
{
	(void)state;
	make_credential();
	assert_int_equal(auth_verify(&claim, told, credential, reason), 0);
	assert_memory_equal(told, secret, sizeof(secret));
	assert_refused(&claim, "eplayed");
}

static void test_other_peer(void **state)
{
	struct auth_claim other = claim;

	(void)state;
	other.peer ^= 1;
	make_credential();
	assert_refused(&other, "for something else");
}

static void test_other_user(void **state)
{
	(void)state;
	make_credential();
	auth_init(munged_socket(), geteuid() + 1);
	assert_refused(&claim, "its credential is of user");
	/* Made for another user: munge does not even decode it for us. */
	make_credential();
	assert_refused(&claim, "munge refuses its credential");
}

static void test_damaged(void **state)
{
	(void)state;
	make_credential();
	credential[strlen(credential) / 2] ^= 1;
	assert_refused(&claim, "munge refuses its credential");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silence),	  TEST(test_zeroes),
		TEST(test_oversized),	  TEST(test_truncated),
		TEST(test_out_of_turn),	  TEST(test_early_ready),
		TEST(test_no_credential), TEST(test_reflection),
		TEST(test_same_nonce),	  TEST(test_stranger),
		TEST(test_downgrade),	  TEST(test_ahead),
		TEST(test_replay),	  TEST(test_other_peer),
		TEST(test_other_user),	  TEST(test_damaged),
	};

	return cmocka_run_group_tests_name("attack", tests, munged_start,
					   munged_stop);
}
