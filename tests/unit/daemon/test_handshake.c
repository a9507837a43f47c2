// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two handshakes face to face in one loop, and one against an attacker; munge
 * is real.
 *
 *	one (connector, partition 1) ---- socketpair ---- two (acceptor, 2)
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
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

/**
 * struct side - one end
 * @local:  what it is
 * @terms:  what it wants
 * @done:   its handshake has ended
 * @ok:     with a result
 * @result: valid if @ok
 * @partid: whom it was with
 * @reason: valid if not @ok
 */
struct side {
	struct handshake_local local;
	struct handshake_terms terms;
	bool done;
	bool ok;
	struct handshake_result result;
	uint16_t partid;
	char reason[REASON_SIZE];
};

static struct side one, two;
static bool two_knows_one;
static int fds[2];

static int expect(void *owner, const struct message_hello *hello,
		  struct handshake_terms *terms, char *reason)
{
	*terms = ((struct side *)owner)->terms;
	if (two_knows_one)
		return 0;
	return reason_set(reason, "partition %u is no peer", hello->partid);
}

static void done(void *owner, uint16_t partid,
		 const struct handshake_result *result, const char *reason)
{
	struct side *side = owner;

	assert_false(side->done);
	side->done = true;
	side->partid = partid;
	side->ok = !!result;
	if (result)
		side->result = *result;
	else
		reason_set(side->reason, "%s", reason);
}

static const struct handshake_ops ops = { .expect = expect, .done = done };

static int setup(void **state)
{
	const struct handshake_local local = {
		.version_min = 1,
		.version_max = 3,
		.page_size = 4096,
		.machine = 62,
	};

	(void)state;
	memset(&one, 0, sizeof(one));
	memset(&two, 0, sizeof(two));
	one.local = two.local = local;
	one.terms = two.terms = (struct handshake_terms){
		.fabric = XPMEM_FABRIC_WINDOW,
		.security = XPMEM_SECURITY_TLS,
	};
	one.local.partid = 1;
	two.local.partid = 2;
	memset(one.local.boot_id, 1, sizeof(one.local.boot_id));
	memset(two.local.boot_id, 2, sizeof(two.local.boot_id));
	two_knows_one = true;
	fake_ktls_reset();
	assert_int_equal(tls_init(one.reason), 0);
	auth_init(munged_socket(), geteuid());
	assert_int_equal(loop_init(), 0);
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  0, fds);
}

static int teardown(void **state)
{
	(void)state;
	if (one.ok)
		close(one.result.fd);
	if (two.ok)
		close(two.result.fd);
	tls_exit();
	loop_exit();
	return 0;
}

static void run_both(uint16_t partid)
{
	if (!*munged_socket())
		skip();
	assert_non_null(handshake_connect(&one.local, fds[0], partid,
					  &one.terms, &ops, &one));
	assert_non_null(handshake_accept(&two.local, fds[1], &ops, &two));
	while (!one.done || !two.done)
		assert_int_equal(loop_step(), 0);
}

/* Each side names what the other has, and then what it has itself. */
static void assert_refused(const char *by_one, const char *by_two)
{
	assert_false(one.ok);
	assert_false(two.ok);
	assert_contains(one.reason, by_one);
	assert_contains(two.reason, by_two);
}

static void test_agree(void **state)
{
	char byte = 'x';

	(void)state;
	two.local.version_max = 2;
	run_both(2);
	assert_true(one.ok);
	assert_true(two.ok);
	assert_int_equal(one.result.partid, 2);
	assert_int_equal(two.result.partid, 1);
	assert_int_equal(one.result.version, 2);
	assert_int_equal(two.result.version, 2);
	assert_int_equal(one.result.page_size, 4096);
	assert_int_equal(one.result.security, XPMEM_SECURITY_TLS);
	assert_int_equal(two.result.security, XPMEM_SECURITY_TLS);
	assert_true(fake_ktls_pair(one.result.fd, two.result.fd));
	assert_true(one.result.epoch != 0);
	assert_true(one.result.epoch == two.result.epoch);
	assert_memory_equal(one.result.boot_id, two.local.boot_id,
			    XPMEM_BOOT_ID_LEN);
	assert_memory_equal(two.result.boot_id, one.local.boot_id,
			    XPMEM_BOOT_ID_LEN);
	/* Nothing is left in the sockets, and they work. */
	assert_int_equal(read(one.result.fd, &byte, 1), -1);
	assert_int_equal(write(one.result.fd, &byte, 1), 1);
	assert_int_equal(read(two.result.fd, &byte, 1), 1);
}

static void test_plain(void **state)
{
	(void)state;
	one.terms.security = two.terms.security = XPMEM_SECURITY_PLAIN;
	run_both(2);
	assert_true(one.ok);
	assert_true(two.ok);
	assert_int_equal(one.result.security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(two.result.security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(fake_ktls_count(), 0);
}

static void test_security(void **state)
{
	(void)state;
	two.terms.security = XPMEM_SECURITY_PLAIN;
	run_both(2);
	assert_refused(
		"the security of partition 2 is plain, of partition 1 tls; configure the same",
		"the security of partition 1 is tls, of partition 2 plain; configure the same");
	teardown(state);
	setup(state);
	one.terms.security = XPMEM_SECURITY_PLAIN;
	run_both(2);
	assert_refused(
		"the security of partition 2 is tls, of partition 1 plain",
		"the security of partition 1 is plain, of partition 2 tls");
	assert_int_equal(fake_ktls_count(), 0);
}

/* A kernel that takes no keys: each side says why, and gives up. */
static void test_no_ktls(void **state)
{
	(void)state;
	fake_ktls_refuse(true);
	run_both(2);
	assert_refused("no TLS, says the test", "no TLS, says the test");
}

/* No two sessions have the same key. */
static void test_keys_differ(void **state)
{
	struct ktls_keys first;

	run_both(2);
	assert_true(one.ok);
	first = *fake_ktls_sends(one.result.fd);
	teardown(state);
	setup(state);
	run_both(2);
	assert_true(one.ok);
	assert_memory_not_equal(first.key, fake_ktls_sends(one.result.fd)->key,
				sizeof(first.key));
}

static void test_epochs_differ(void **state)
{
	uint64_t epoch;

	run_both(2);
	assert_true(one.ok);
	epoch = one.result.epoch;
	teardown(state);
	setup(state);
	run_both(2);
	assert_true(one.ok);
	assert_true(one.result.epoch != epoch);
}

static void test_page_size(void **state)
{
	(void)state;
	one.local.page_size = 65536;
	run_both(2);
	assert_refused(
		"the page size of partition 2 is 4096 bytes, of partition 1 65536",
		"the page size of partition 1 is 65536 bytes, of partition 2 4096");
}

static void test_machine(void **state)
{
	(void)state;
	one.local.machine = 183;
	run_both(2);
	assert_refused("the architecture of partition 2 is ELF machine 62",
		       "the architecture of partition 1 is ELF machine 183");
}

static void test_version(void **state)
{
	(void)state;
	two.local.version_min = 4;
	two.local.version_max = 5;
	run_both(2);
	assert_refused(
		"partition 2 speaks versions 4 to 5, partition 1 1 to 3",
		"partition 1 speaks versions 1 to 3, partition 2 4 to 5");
}

static void test_partid(void **state)
{
	(void)state;
	run_both(3);
	assert_refused("partition 2 answers at the address of partition 3",
		       "partition 1 takes partition 2 for 3");
}

static void test_unknown_peer(void **state)
{
	(void)state;
	two_knows_one = false;
	run_both(2);
	assert_refused("refused by the other side: partition 1 is no peer",
		       "partition 1 is no peer");
	assert_int_equal(two.partid, 1);
}

static void test_impostor(void **state)
{
	(void)state;
	/* Whoever answers must be the one that was called. */
	two.local.partid = 3;
	run_both(2);
	assert_false(one.ok);
	assert_false(two.ok);
}

/* Plays @bytes to an acceptor, or to a connector, and closes. */
static void attack(const void *bytes, size_t size, bool connector)
{
	struct side *victim = connector ? &one : &two;

	if (connector)
		assert_non_null(handshake_connect(&one.local, fds[1], 2,
						  &one.terms, &ops, &one));
	else
		assert_non_null(
			handshake_accept(&two.local, fds[1], &ops, &two));
	assert_int_equal(write(fds[0], bytes, size), size);
	shutdown(fds[0], SHUT_WR);
	while (!victim->done)
		assert_int_equal(loop_step(), 0);
	close(fds[0]);
	assert_false(victim->ok);
}

static void test_silence(void **state)
{
	(void)state;
	attack("", 0, false);
	assert_contains(two.reason, "closed the connection");
}

static void test_zeroes(void **state)
{
	const char zeroes[256] = {};

	(void)state;
	attack(zeroes, sizeof(zeroes), false);
	assert_contains(two.reason, "unknown type 0");
}

static void test_oversized(void **state)
{
	const struct message_wire_header wire = {
		.length = htole32(0x7fffffff),
		.type = htole16(MESSAGE_AUTH),
	};

	(void)state;
	attack(&wire, sizeof(wire), false);
	assert_contains(two.reason, "with 2147483647 bytes");
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
	assert_contains(two.reason, "closed the connection");
}

static void test_out_of_turn(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];

	(void)state;
	attack(bytes, message_put_auth(bytes, "MUNGE:x:"), false);
	assert_contains(two.reason, "message 2 came out of turn");
}

static void test_early_ready(void **state)
{
	const struct message_ready ready = { .status = MESSAGE_STATUS_READY };
	uint8_t bytes[MESSAGE_SIZE_MAX];

	(void)state;
	attack(bytes, message_put_ready(bytes, &ready), true);
	assert_contains(one.reason, "READY came too early");
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
	assert_contains(two.reason, "munge refuses its credential");
}

/* Receives one message at an attacker's @fd.  Returns its size. */
static size_t hear(int fd, uint8_t bytes[MESSAGE_SIZE_MAX])
{
	size_t got = 0, want = sizeof(struct message_wire_header);
	char why[REASON_SIZE];
	enum message_type type;
	uint32_t length;
	ssize_t n;

	while (got < want) {
		n = read(fd, bytes + got, want - got);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_int_equal(loop_step(), 0);
			continue;
		}
		assert_true(n > 0);
		got += (size_t)n;
		if (got != sizeof(struct message_wire_header))
			continue;
		assert_int_equal(message_get_header(bytes, &type, &length, why),
				 0);
		want += length;
	}
	return got;
}

static void run_one_side(struct side *victim)
{
	while (!victim->done)
		assert_int_equal(loop_step(), 0);
	assert_false(victim->ok);
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
	assert_non_null(handshake_connect(&one.local, fds[1], 2, &one.terms,
					  &ops, &one));
	hear(fds[0], bytes);
	size = message_put_hello(bytes, &hello);
	assert_int_equal(write(fds[0], bytes, size), size);
	size = hear(fds[0], bytes);
	assert_int_equal(write(fds[0], bytes, size), size);
	shutdown(fds[0], SHUT_WR);
	run_one_side(&one);
	assert_contains(one.reason, "its credential is for something else");
	close(fds[0]);
}

/* Nor does its nonce, whatever else the other side says of itself. */
static void test_same_nonce(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	struct message_wire_hello wire;
	uint8_t *payload = bytes + sizeof(struct message_wire_header);
	size_t size;

	(void)state;
	assert_non_null(handshake_connect(&one.local, fds[1], 2, &one.terms,
					  &ops, &one));
	size = hear(fds[0], bytes);
	memcpy(&wire, payload, sizeof(wire));
	wire.partid = htole16(2);
	wire.peer = htole16(1);
	wire.boot_id[0] ^= 1;
	memcpy(payload, &wire, sizeof(wire));
	assert_int_equal(write(fds[0], bytes, size), size);
	shutdown(fds[0], SHUT_WR);
	run_one_side(&one);
	assert_contains(one.reason, "hears itself");
	close(fds[0]);
}

/* Whoever only says HELLO to an acceptor is given no credential of root's. */
static void test_stranger(void **state)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	size_t size = message_put_hello(bytes, &hello_of_1);

	(void)state;
	assert_non_null(handshake_accept(&two.local, fds[1], &ops, &two));
	assert_int_equal(write(fds[0], bytes, size), size);
	shutdown(fds[0], SHUT_WR);
	run_one_side(&two);
	assert_int_equal(read(fds[0], bytes, sizeof(bytes)),
			 sizeof(struct message_wire_header) +
				 sizeof(struct message_wire_hello));
	close(fds[0]);
}

/* Hands a HELLO on, and lets it speak nothing newer than version 1. */
static void hand_on_older(int from, int to)
{
	uint8_t bytes[MESSAGE_SIZE_MAX];
	uint8_t *payload = bytes + sizeof(struct message_wire_header);
	struct message_wire_hello wire;
	size_t size = hear(from, bytes);

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
	assert_non_null(handshake_connect(&one.local, fds[1], 2, &one.terms,
					  &ops, &one));
	assert_non_null(handshake_accept(&two.local, others[1], &ops, &two));
	hand_on_older(fds[0], others[0]);
	hand_on_older(others[0], fds[0]);
	size = hear(fds[0], bytes);
	assert_int_equal(write(others[0], bytes, size), size);
	shutdown(others[0], SHUT_WR);
	run_one_side(&two);
	assert_contains(two.reason, "its credential is for something else");
	close(fds[0]);
	close(others[0]);
	run_one_side(&one);
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

static void test_replay(void **state)
{
	(void)state;
	make_credential();
	assert_int_equal(auth_verify(&claim, told, credential, reason), 0);
	assert_memory_equal(told, secret, sizeof(secret));
	assert_int_equal(auth_verify(&claim, told, credential, reason), -1);
	assert_contains(reason, "eplayed");
}

static void test_other_peer(void **state)
{
	struct auth_claim other = claim;

	(void)state;
	other.peer ^= 1;
	make_credential();
	assert_int_equal(auth_verify(&other, told, credential, reason), -1);
	assert_contains(reason, "for something else");
}

static void test_other_user(void **state)
{
	(void)state;
	make_credential();
	auth_init(munged_socket(), geteuid() + 1);
	assert_int_equal(auth_verify(&claim, told, credential, reason), -1);
	assert_contains(reason, "its credential is of user");
	/* Made for another user: munge does not even decode it for us. */
	make_credential();
	assert_int_equal(auth_verify(&claim, told, credential, reason), -1);
	assert_contains(reason, "munge refuses its credential");
}

static void test_damaged(void **state)
{
	(void)state;
	make_credential();
	credential[strlen(credential) / 2] ^= 1;
	assert_int_equal(auth_verify(&claim, told, credential, reason), -1);
	assert_contains(reason, "munge refuses its credential");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_agree),	  TEST(test_epochs_differ),
		TEST(test_plain),	  TEST(test_security),
		TEST(test_no_ktls),	  TEST(test_keys_differ),
		TEST(test_page_size),	  TEST(test_machine),
		TEST(test_version),	  TEST(test_partid),
		TEST(test_unknown_peer),  TEST(test_impostor),
		TEST(test_silence),	  TEST(test_zeroes),
		TEST(test_oversized),	  TEST(test_truncated),
		TEST(test_out_of_turn),	  TEST(test_early_ready),
		TEST(test_no_credential), TEST(test_replay),
		TEST(test_other_peer),	  TEST(test_other_user),
		TEST(test_damaged),	  TEST(test_reflection),
		TEST(test_same_nonce),	  TEST(test_stranger),
		TEST(test_downgrade),
	};

	return cmocka_run_group_tests_name("handshake", tests, munged_start,
					   munged_stop);
}
