// SPDX-License-Identifier: GPL-2.0-only
/*
 * The peers of partition 1, with a kernel that is faked and a partition 2 that
 * is played by the test:
 *
 *	peer.c (partition 1) ---- TCP on 127.0.0.1 ---- handshake_accept (2)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "fake_kernel.h"
#include "fake_ktls.h"
#include "peer.h"
#include "test.h"
#include "tls.h"

static struct handshake_local one, two;
static struct config config;
static struct config_peer peers[2];
static struct loop_source listener;
static unsigned int changes;
static unsigned int finished;
static uint64_t epoch;

static int expect(void *owner, const struct message_hello *hello,
		  struct handshake_terms *terms, char *reason)
{
	(void)owner;
	(void)reason;
	assert_int_equal(hello->partid, 1);
	*terms = (struct handshake_terms){
		.fabric = XPMEM_FABRIC_WINDOW,
		.security = XPMEM_SECURITY_TLS,
	};
	return 0;
}

static void done(void *owner, uint16_t partid,
		 const struct handshake_result *result, const char *reason)
{
	(void)owner;
	(void)partid;
	(void)reason;
	if (!result)
		return;
	epoch = result->epoch;
	close(result->fd);
	finished++;
}

static const struct handshake_ops ops = { .expect = expect, .done = done };

static void ready(struct loop_source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK);

	(void)events;
	assert_true(fd >= 0);
	assert_non_null(handshake_accept(&two, fd, &ops, NULL));
}

static void changed(void)
{
	changes++;
}

static void set_local(struct handshake_local *local, uint16_t partid)
{
	*local = (struct handshake_local){
		.partid = partid,
		.version_min = 2,
		.version_max = 2,
		.page_size = 4096,
		.machine = 62,
	};
	memset(local->boot_id, partid, sizeof(local->boot_id));
}

static int setup(void **state)
{
	struct sockaddr_in *addr = (struct sockaddr_in *)&peers[0].address.addr;
	char reason[REASON_SIZE];

	(void)state;
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	changes = finished = 0;
	set_local(&one, 1);
	set_local(&two, 2);
	auth_init(munged_socket(), geteuid());
	fake_ktls_reset();
	assert_int_equal(tls_init(reason), 0);
	assert_int_equal(loop_init(), 0);
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr->sin_port = 0;
	peers[0].address.length = sizeof(*addr);
	listener.ready = ready;
	listener.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(
		bind(listener.fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	assert_int_equal(listen(listener.fd, 4), 0);
	getsockname(listener.fd, (struct sockaddr *)addr,
		    &peers[0].address.length);
	loop_add(&listener, EPOLLIN);
	peers[0].partid = 2;
	peers[0].fabric = XPMEM_FABRIC_WINDOW;
	peers[0].security = XPMEM_SECURITY_TLS;
	strcpy(peers[0].window, "0000:00:05.0");
	config = (struct config){
		.partid = 1,
		.heartbeat_ms = 500,
		.deadline_ms = 10000,
		.peers = peers,
		.npeers = 1,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (fake_kernel.events)
		peer_exit();
	loop_remove(&listener);
	close(listener.fd);
	tls_exit();
	loop_exit();
	return 0;
}

static void start(void)
{
	if (!*munged_socket())
		skip();
	assert_int_equal(peer_init(&config, &one, changed), 0);
}

static void until(const unsigned int *counter, unsigned int value)
{
	while (*counter < value)
		assert_int_equal(loop_step(), 0);
}

static void test_connect(void **state)
{
	(void)state;
	start();
	assert_string_equal(peer_state_name(peer_first()), "down");
	until(&fake_kernel.added, 1);
	until(&finished, 1);
	assert_int_equal(peer_first()->state, PEER_UP);
	assert_int_equal(changes, 1);
	assert_int_equal(fake_kernel.last.partid, 2);
	assert_true(fake_kernel.last.epoch == epoch);
	assert_int_equal(fake_kernel.last.version, 2);
	assert_int_equal(fake_kernel.last.page_size, 4096);
	assert_int_equal(fake_kernel.last.fabric, XPMEM_FABRIC_WINDOW);
	assert_int_equal(fake_kernel.last.security, XPMEM_SECURITY_TLS);
	assert_int_equal(fake_kernel.last.heartbeat_ms, 500);
	assert_int_equal(fake_kernel.last.deadline_ms, 10000);
}

static void test_lost(void **state)
{
	uint64_t before;

	(void)state;
	start();
	until(&fake_kernel.added, 1);
	until(&finished, 1);
	before = epoch;
	fake_kernel_lose(2);
	assert_int_equal(changes, 2);
	assert_int_equal(peer_first()->state, PEER_DOWN);
	assert_contains(peer_first()->reason, "the test says so");
	until(&fake_kernel.added, 2);
	until(&finished, 2);
	assert_int_equal(peer_first()->state, PEER_UP);
	assert_true(epoch != before);
}

/* Its lease is over, but the home waits: a new session takes its place. */
static void test_closing(void **state)
{
	struct kernel_session closing = {
		.partid = 2,
		.state = XPMEM_SESSION_STATE_CLOSING,
		.reason = "the lease ended",
	};

	(void)state;
	start();
	until(&fake_kernel.added, 1);
	until(&finished, 1);
	closing.epoch = epoch;
	fake_kernel.sessions[0].state = closing.state;
	fake_kernel.events->session(&closing);
	assert_int_equal(peer_first()->state, PEER_DOWN);
	assert_contains(peer_first()->reason, "the lease ended");
	/* Nor does a daemon that begins then take it for one that goes on. */
	fake_kernel.events->missed();
	assert_int_equal(peer_first()->state, PEER_DOWN);
	until(&fake_kernel.added, 2);
	until(&finished, 2);
	assert_int_equal(peer_first()->state, PEER_UP);
	/* The end of the old one changes nothing. */
	closing.state = XPMEM_SESSION_STATE_LOST;
	fake_kernel.events->session(&closing);
	assert_int_equal(peer_first()->state, PEER_UP);
}

static void test_late_news(void **state)
{
	struct kernel_session old = {
		.partid = 2,
		.state = XPMEM_SESSION_STATE_LOST,
		.epoch = 1,
	};

	(void)state;
	start();
	until(&fake_kernel.added, 1);
	/* That another session, long replaced, was lost changes nothing. */
	fake_kernel.events->session(&old);
	assert_int_equal(peer_first()->state, PEER_UP);
	old.partid = 99;
	fake_kernel.events->session(&old);
}

static void test_missed_news(void **state)
{
	(void)state;
	start();
	until(&fake_kernel.added, 1);
	fake_kernel.events->missed();
	assert_int_equal(peer_first()->state, PEER_UP);
	fake_kernel.n = 0;
	fake_kernel.events->missed();
	assert_int_equal(peer_first()->state, PEER_DOWN);
	until(&fake_kernel.added, 2);
}

/* Memory is short when news are lost: the list that should help fails too. */
static void test_missed_twice(void **state)
{
	(void)state;
	start();
	until(&fake_kernel.added, 1);
	fake_kernel.n = 0;
	fake_kernel.deaf = 1;
	fake_kernel.events->missed();
	assert_int_equal(peer_first()->state, PEER_UP);
	until(&fake_kernel.added, 2);
	assert_int_equal(fake_kernel.deaf, 0);
}

/* A session that ends as soon as it began: the next ones take their time. */
static void test_flapping(void **state)
{
	unsigned int i;

	(void)state;
	start();
	for (i = 1; i <= 3; i++) {
		until(&fake_kernel.added, i);
		until(&finished, i);
		fake_kernel_lose(2);
		assert_int_equal(peer_first()->backoff_ms, 100 << i);
	}
}

static void test_learn(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 7);
	start();
	assert_int_equal(peer_first()->state, PEER_UP);
	assert_true(peer_first()->epoch == 7);
	assert_false(peer_first()->retry.armed);
	assert_int_equal(fake_kernel.deleted, 0);
}

/* The configuration was changed while there was no daemon. */
static void test_learn_outdated(void **state)
{
	unsigned int i;

	(void)state;
	peers[0].uid_min = 2000;
	peers[0].uid_max = 2999;
	peers[0].root_squash = true;
	for (i = 0; i < 5; i++) {
		struct kernel_session *session = &fake_kernel.sessions[0];

		fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 7);
		session->uid_min = i == 0 ? 1000 : 2000;
		session->uid_max = i == 1 ? 3000 : 2999;
		session->root_squash = i != 2;
		session->security = i == 3 ? XPMEM_SECURITY_PLAIN :
					     XPMEM_SECURITY_TLS;
		start();
		assert_int_equal(fake_kernel.deleted, i < 4 ? i + 1 : 4);
		assert_int_equal(fake_kernel.n, i < 4 ? 0 : 1);
		peer_exit();
	}
}

static uint16_t *port_of(struct sockaddr_storage *addr)
{
	return &((struct sockaddr_in *)addr)->sin_port;
}

/* A session that a daemon of before made, with what the module says of it. */
static void learn_again(unsigned int deleted)
{
	peer_exit();
	start();
	assert_int_equal(fake_kernel.deleted, deleted);
	assert_int_equal(peer_first()->state, deleted ? PEER_DOWN : PEER_UP);
}

static void test_learn_unchanged(void **state)
{
	(void)state;
	start();
	until(&fake_kernel.added, 1);
	learn_again(0);
	assert_true(peer_first()->epoch == fake_kernel.last.epoch);
	assert_int_equal(fake_kernel.sessions[0].address_length,
			 sizeof(struct sockaddr_in));
}

static void test_learn_window(void **state)
{
	(void)state;
	start();
	until(&fake_kernel.added, 1);
	strcpy(peers[0].window, "0000:00:06.0");
	learn_again(1);
	assert_contains(peer_first()->reason, "another address, window");
	until(&fake_kernel.added, 2);
	assert_string_equal(fake_kernel.sessions[0].window, "0000:00:06.0");
	assert_int_equal(peer_first()->state, PEER_UP);
}

/* "Any" is this machine: the socket then says 127.0.0.1. */
static void test_address_any(void **state)
{
	struct sockaddr_in *to = (struct sockaddr_in *)&peers[0].address.addr;

	(void)state;
	to->sin_addr.s_addr = INADDR_ANY;
	start();
	until(&fake_kernel.added, 1);
	learn_again(0);
}

/* It is heard of while the next one is being made, which must not be left over. */
static void test_outdated_connecting(void **state)
{
	(void)state;
	start();
	while (peer_first()->state != PEER_CONNECTING)
		assert_int_equal(loop_step(), 0);
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 7);
	fake_kernel.sessions[0].security = XPMEM_SECURITY_PLAIN;
	fake_kernel.events->missed();
	assert_int_equal(fake_kernel.deleted, 1);
	assert_int_equal(peer_first()->state, PEER_DOWN);
	assert_null(peer_first()->handshake);
	until(&fake_kernel.added, 1);
	assert_int_equal(peer_first()->state, PEER_UP);
}

/* Peers that were removed from the configuration while there was no daemon. */
static void test_learn_removed(void **state)
{
	(void)state;
	fake_kernel_have(XPMEM_PARTID_MAX, XPMEM_SESSION_STATE_UP, 5);
	fake_kernel_have(3, XPMEM_SESSION_STATE_LOST, 6);
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 7);
	fake_kernel_have(4, XPMEM_SESSION_STATE_UP, 8);
	start();
	assert_int_equal(fake_kernel.deleted, 2);
	/* The peer's goes on, and what is in quarantine stays there. */
	assert_int_equal(peer_first()->state, PEER_UP);
	assert_true(peer_first()->epoch == 7);
	assert_int_equal(fake_kernel.n, 2);
	assert_int_equal(fake_kernel.sessions[0].partid +
				 fake_kernel.sessions[1].partid,
			 2 + 3);
}

/* A session that cannot be closed now is closed later. */
static void test_removed_later(void **state)
{
	struct config next;

	(void)state;
	fake_kernel_have(3, XPMEM_SESSION_STATE_UP, 5);
	fake_kernel.stuck = 1;
	start();
	assert_int_equal(fake_kernel.deleted, 0);
	assert_int_equal(fake_kernel.n, 1);
	until(&fake_kernel.deleted, 1);
	until(&fake_kernel.added, 1);
	assert_int_equal(fake_kernel.sessions[0].partid, 2);
	/* The same when the daemon reads the configuration again. */
	next = config;
	next.npeers = 0;
	fake_kernel.stuck = 1;
	assert_int_equal(peer_reload(&next), 0);
	assert_int_equal(fake_kernel.n, 1);
	until(&fake_kernel.deleted, 2);
	assert_int_equal(fake_kernel.n, 0);
}

static void test_refused_by_kernel(void **state)
{
	(void)state;
	fake_kernel.refusal = -EINVAL;
	start();
	until(&fake_kernel.refused, 1);
	assert_int_equal(peer_first()->state, PEER_DOWN);
	assert_contains(peer_first()->reason, "refused by the test");
	fake_kernel.refusal = -EEXIST;
	until(&fake_kernel.refused, 2);
	fake_kernel.refusal = 0;
	until(&fake_kernel.added, 1);
	assert_int_equal(peer_first()->state, PEER_UP);
}

static void test_expect(void **state)
{
	struct message_hello hello = { .partid = 2 };
	struct handshake_terms terms;
	char reason[REASON_SIZE];

	(void)state;
	config.partid = 3;
	start();
	assert_false(peer_first()->retry.armed);
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), 0);
	assert_int_equal(terms.fabric, XPMEM_FABRIC_WINDOW);
	assert_int_equal(terms.security, XPMEM_SECURITY_TLS);
	hello.partid = 4;
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), -1);
	assert_contains(reason, "partition 4 is no peer of partition 3");
}

static void test_expect_restarted(void **state)
{
	struct message_hello hello = { .partid = 2 };
	struct handshake_terms terms;
	char reason[REASON_SIZE];
	struct handshake_result result = {
		.partid = 2,
		.epoch = 5,
		.boot_id = { 1 },
		.security = XPMEM_SECURITY_PLAIN,
	};

	(void)state;
	config.partid = 3;
	start();
	/* Agreed on before "security" was changed: it makes no session. */
	result.fd = dup(listener.fd);
	peer_session_start(&result);
	memcpy(hello.boot_id, result.boot_id, sizeof(hello.boot_id));
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), 0);
	result.security = XPMEM_SECURITY_TLS;
	result.fd = dup(listener.fd);
	peer_session_start(&result);
	memcpy(hello.boot_id, result.boot_id, sizeof(hello.boot_id));
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), -1);
	assert_contains(reason, "still has a session");
	hello.boot_id[0] = 2;
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), 0);
}

static void test_wrong_direction(void **state)
{
	struct message_hello hello = { .partid = 2 };
	struct handshake_terms terms;
	char reason[REASON_SIZE];

	(void)state;
	start();
	assert_int_equal(peer_expect(NULL, &hello, &terms, reason), -1);
	assert_contains(reason, "the lower id does");
}

static void test_reload(void **state)
{
	struct config next;

	(void)state;
	start();
	until(&fake_kernel.added, 1);
	next = config;
	next.npeers = 2;
	peers[1] = peers[0];
	peers[1].partid = 3;
	assert_int_equal(peer_reload(&next), 0);
	assert_int_equal(fake_kernel.deleted, 0);
	assert_int_equal(peer_find(2)->state, PEER_UP);
	assert_int_equal(peer_find(3)->state, PEER_DOWN);
	/* What only a fence must know is no reason to disturb anybody. */
	strcpy(peers[0].fence_options, "ip=192.0.2.9\n");
	assert_int_equal(peer_reload(&next), 0);
	assert_int_equal(fake_kernel.deleted, 0);
	assert_int_equal(peer_find(2)->state, PEER_UP);
	/* Changed: closed, and made anew. */
	strcpy(peers[0].window, "0000:00:06.0");
	next.npeers = 1;
	assert_int_equal(peer_reload(&next), 0);
	assert_null(peer_find(3));
	assert_int_equal(fake_kernel.deleted, 2);
	assert_int_equal(peer_find(2)->state, PEER_DOWN);
	until(&fake_kernel.added, 2);
	assert_string_equal(peer_find(2)->config.window, "0000:00:06.0");
	peers[0].security = XPMEM_SECURITY_PLAIN;
	assert_int_equal(peer_reload(&next), 0);
	assert_int_equal(fake_kernel.deleted, 3);
	/* The other side does not want that. */
	while (!strstr(peer_find(2)->reason, "the security of"))
		assert_int_equal(loop_step(), 0);
	assert_int_equal(peer_find(2)->state, PEER_DOWN);
	/* Elsewhere. */
	*port_of(&peers[0].address.addr) ^= 1;
	assert_int_equal(peer_reload(&next), 0);
	assert_int_equal(fake_kernel.deleted, 4);
	/* Removed. */
	next.npeers = 0;
	assert_int_equal(peer_reload(&next), 0);
	assert_null(peer_first());
	assert_int_equal(fake_kernel.deleted, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connect),
		TEST(test_lost),
		TEST(test_closing),
		TEST(test_late_news),
		TEST(test_missed_news),
		TEST(test_learn),
		TEST(test_learn_outdated),
		TEST(test_learn_unchanged),
		TEST(test_learn_window),
		TEST(test_address_any),
		TEST(test_outdated_connecting),
		TEST(test_learn_removed),
		TEST(test_removed_later),
		TEST(test_refused_by_kernel),
		TEST(test_expect),
		TEST(test_expect_restarted),
		TEST(test_wrong_direction),
		TEST(test_reload),
		TEST(test_missed_twice),
		TEST(test_flapping),
	};

	return cmocka_run_group_tests_name("peer", tests, munged_start,
					   munged_stop);
}
