// SPDX-License-Identifier: GPL-2.0-only
/* Two handshakes face to face: what they agree on, and why they do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth.h"
#include "fake_ktls.h"
#include "loop.h"
#include "prove.h"
#include "sides.h"
#include "test.h"

/* Each side names what the other has, and then what it has itself. */
static void assert_refused(const char *by_one, const char *by_two)
{
	assert_false(side_one.ok);
	assert_false(side_two.ok);
	assert_contains(side_one.reason, by_one);
	assert_contains(side_two.reason, by_two);
}

static void test_agree(void **state)
{
	char byte = 'x';

	(void)state;
	side_two.local.version_max = 2;
	sides_run(2);
	assert_true(side_one.ok);
	assert_true(side_two.ok);
	assert_int_equal(side_one.result.partid, 2);
	assert_int_equal(side_two.result.partid, 1);
	assert_int_equal(side_one.result.version, 2);
	assert_int_equal(side_two.result.version, 2);
	assert_int_equal(side_one.result.page_size, 4096);
	assert_int_equal(side_one.result.security, XPMEM_SECURITY_TLS);
	assert_int_equal(side_two.result.security, XPMEM_SECURITY_TLS);
	assert_true(fake_ktls_pair(side_one.result.fd, side_two.result.fd));
	assert_true(side_one.result.epoch != 0);
	assert_true(side_one.result.epoch == side_two.result.epoch);
	assert_memory_equal(side_one.result.boot_id, side_two.local.boot_id,
			    XPMEM_BOOT_ID_LEN);
	assert_memory_equal(side_two.result.boot_id, side_one.local.boot_id,
			    XPMEM_BOOT_ID_LEN);
	/* Nothing is left in the sockets, and they work. */
	assert_int_equal(read(side_one.result.fd, &byte, 1), -1);
	assert_int_equal(write(side_one.result.fd, &byte, 1), 1);
	assert_int_equal(read(side_two.result.fd, &byte, 1), 1);
}

static void test_plain(void **state)
{
	(void)state;
	side_one.terms.security = side_two.terms.security =
		XPMEM_SECURITY_PLAIN;
	sides_run(2);
	assert_true(side_one.ok);
	assert_true(side_two.ok);
	assert_int_equal(side_one.result.security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(side_two.result.security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(fake_ktls_count(), 0);
}

static void test_security(void **state)
{
	(void)state;
	side_two.terms.security = XPMEM_SECURITY_PLAIN;
	sides_run(2);
	assert_refused(
		"the security of partition 2 is plain, of partition 1 tls; configure the same",
		"the security of partition 1 is tls, of partition 2 plain; configure the same");
	sides_teardown(state);
	sides_setup(state);
	side_one.terms.security = XPMEM_SECURITY_PLAIN;
	sides_run(2);
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
	sides_run(2);
	assert_refused("no TLS, says the test", "no TLS, says the test");
}

/* No two sessions have the same key. */
static void test_keys_differ(void **state)
{
	struct ktls_keys first;

	sides_run(2);
	assert_true(side_one.ok);
	first = *fake_ktls_sends(side_one.result.fd);
	sides_teardown(state);
	sides_setup(state);
	sides_run(2);
	assert_true(side_one.ok);
	assert_memory_not_equal(first.key,
				fake_ktls_sends(side_one.result.fd)->key,
				sizeof(first.key));
}

static void test_epochs_differ(void **state)
{
	uint64_t epoch;

	sides_run(2);
	assert_true(side_one.ok);
	epoch = side_one.result.epoch;
	sides_teardown(state);
	sides_setup(state);
	sides_run(2);
	assert_true(side_one.ok);
	assert_true(side_one.result.epoch != epoch);
}

static void test_page_size(void **state)
{
	(void)state;
	side_one.local.page_size = 65536;
	sides_run(2);
	assert_refused(
		"the page size of partition 2 is 4096 bytes, of partition 1 65536",
		"the page size of partition 1 is 65536 bytes, of partition 2 4096");
}

static void test_machine(void **state)
{
	(void)state;
	side_one.local.machine = 183;
	sides_run(2);
	assert_refused("the architecture of partition 2 is ELF machine 62",
		       "the architecture of partition 1 is ELF machine 183");
}

static void test_version(void **state)
{
	(void)state;
	side_two.local.version_min = 4;
	side_two.local.version_max = 5;
	sides_run(2);
	assert_refused(
		"partition 2 speaks versions 4 to 5, partition 1 1 to 3",
		"partition 1 speaks versions 1 to 3, partition 2 4 to 5");
}

static void test_partid(void **state)
{
	(void)state;
	sides_run(3);
	assert_refused("partition 2 answers at the address of partition 3",
		       "partition 1 takes partition 2 for 3");
}

static void test_unknown_peer(void **state)
{
	(void)state;
	sides_know = false;
	sides_run(2);
	assert_refused("refused by the other side: partition 1 is no peer",
		       "partition 1 is no peer");
	assert_int_equal(side_two.partid, 1);
}

static void test_impostor(void **state)
{
	(void)state;
	/* Whoever answers must be the one that was called. */
	side_two.local.partid = 3;
	sides_run(2);
	assert_false(side_one.ok);
	assert_false(side_two.ok);
}

/* Accepts, as a socket's queue does, and never answers. */
static int hung_munged(char *directory, struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_non_null(mkdtemp(directory));
	at->sun_family = AF_UNIX;
	snprintf(at->sun_path, sizeof(at->sun_path), "%s/socket", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static unsigned int ticks;

static void tick(struct loop_timer *timer)
{
	ticks++;
	loop_timer_set(timer, 10);
}

/* The loop goes on, and both sides learn on whose machine munged hangs. */
static void test_munged_hangs(void **state)
{
	char directory[] = "/tmp/xpmemd-hung-XXXXXX";
	struct loop_timer timer = { .fire = tick };
	struct sockaddr_un at = {};
	int fd = hung_munged(directory, &at);
	uint64_t begin = loop_now();

	(void)state;
	auth_init(at.sun_path, geteuid());
	ticks = 0;
	loop_timer_set(&timer, 10);
	assert_non_null(handshake_connect(&side_one.local, side_fds[0], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	assert_non_null(handshake_accept(&side_two.local, side_fds[1],
					 &side_ops, &side_two));
	while (!side_one.done || !side_two.done)
		assert_int_equal(loop_step(), 0);
	loop_timer_cancel(&timer);
	assert_refused(
		"munged did not answer in 5 s; see systemctl status munge",
		"refused by the other side: munged did not answer in 5 s");
	assert_true(loop_now() - begin >= PROVE_TIMEOUT_MS);
	assert_true(ticks > 10);
	close(fd);
	unlink(at.sun_path);
	rmdir(directory);
}

static int asked;

static void be_asked(struct loop_source *source, uint32_t events)
{
	(void)events;
	asked = accept(source->fd, NULL, NULL);
}

/* Whoever goes away is not waited for, and nor is munged for it. */
static void test_gone_meanwhile(void **state)
{
	struct loop_source source = { .ready = be_asked };
	char directory[] = "/tmp/xpmemd-hung-XXXXXX", bytes[4096];
	struct sockaddr_un at = {};
	struct handshake *two;

	(void)state;
	asked = -1;
	source.fd = hung_munged(directory, &at);
	assert_int_equal(loop_add(&source, EPOLLIN), 0);
	auth_init(at.sun_path, geteuid());
	assert_non_null(handshake_connect(&side_one.local, side_fds[0], 2,
					  &side_one.terms, &side_ops,
					  &side_one));
	two = handshake_accept(&side_two.local, side_fds[1], &side_ops,
			       &side_two);
	while (asked < 0)
		assert_int_equal(loop_step(), 0);
	loop_remove(&source);
	handshake_destroy(two);
	while (!side_one.done)
		assert_int_equal(loop_step(), 0);
	assert_contains(side_one.reason, "closed the connection");
	/* Who asked munged is gone, too. */
	while (recv(asked, bytes, sizeof(bytes), 0) > 0)
		;
	close(asked);
	close(source.fd);
	unlink(at.sun_path);
	rmdir(directory);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_agree),	 TEST(test_plain),
		TEST(test_security),	 TEST(test_no_ktls),
		TEST(test_keys_differ),	 TEST(test_epochs_differ),
		TEST(test_page_size),	 TEST(test_machine),
		TEST(test_version),	 TEST(test_partid),
		TEST(test_unknown_peer), TEST(test_impostor),
		TEST(test_munged_hangs), TEST(test_gone_meanwhile),
	};

	return cmocka_run_group_tests_name("handshake", tests, munged_start,
					   munged_stop);
}
