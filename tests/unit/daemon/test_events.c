// SPDX-License-Identifier: GPL-2.0-only
/*
 * News from the module, of which some were lost: those still queued are older than
 * what the daemon then looks at, and must not be taken for later ones.  The module
 * and its socket are faked.
 */
#include <errno.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "kernel.h"
#include "loop.h"
#include "test.h"

#define ENDLESS 1000000

int __wrap_kernel_socket_open(struct nl_sock **opened, char *reason);
int __wrap_genl_ctrl_resolve_grp(struct nl_sock *sock, const char *family,
				 const char *group);
int __wrap_nl_socket_add_membership(struct nl_sock *sock, int group);
int __wrap_nl_socket_set_buffer_size(struct nl_sock *sock, int rx, int tx);
int __wrap_nl_socket_set_nonblocking(const struct nl_sock *sock);
int __wrap_nl_socket_modify_cb(struct nl_sock *sock, enum nl_cb_type type,
			       enum nl_cb_kind kind, nl_recvmsg_msg_cb_t func,
			       void *arg);
int __wrap_nl_recvmsgs_default(struct nl_sock *sock);
int __wrap_loop_add(struct loop_source *source, uint32_t bits);
void __wrap_loop_remove(struct loop_source *source);

/* What the socket says next: an error, or 0 for one message. */
static struct {
	const int *results;
	unsigned int left, calls;
	nl_recvmsg_msg_cb_t valid;
	struct loop_source *source;
} fake;

/* What came through. */
static struct {
	unsigned int sessions, missed;
	/* Messages that had been read when the news were looked at anew */
	unsigned int read_before;
} seen;

int __wrap_kernel_socket_open(struct nl_sock **opened, char *reason)
{
	(void)reason;
	*opened = nl_socket_alloc();
	return *opened ? 0 : -ENOMEM;
}

int __wrap_genl_ctrl_resolve_grp(struct nl_sock *sock, const char *family,
				 const char *group)
{
	(void)sock;
	(void)family;
	(void)group;
	return 1;
}

int __wrap_nl_socket_add_membership(struct nl_sock *sock, int group)
{
	(void)sock;
	(void)group;
	return 0;
}

int __wrap_nl_socket_set_buffer_size(struct nl_sock *sock, int rx, int tx)
{
	(void)sock;
	(void)rx;
	(void)tx;
	return 0;
}

int __wrap_nl_socket_set_nonblocking(const struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

int __wrap_nl_socket_modify_cb(struct nl_sock *sock, enum nl_cb_type type,
			       enum nl_cb_kind kind, nl_recvmsg_msg_cb_t func,
			       void *arg)
{
	(void)sock;
	(void)kind;
	(void)arg;
	if (type == NL_CB_VALID)
		fake.valid = func;
	return 0;
}

static void deliver(void)
{
	struct nl_msg *msg = nlmsg_alloc();

	assert_non_null(msg);
	assert_non_null(genlmsg_put(msg, 0, 0, NLMSG_MIN_TYPE, 0, 0,
				    XPMEM_CMD_SESSION_EVENT, 1));
	assert_int_equal(nla_put_u16(msg, XPMEM_A_PARTID, 7), 0);
	fake.valid(msg, NULL);
	nlmsg_free(msg);
}

int __wrap_nl_recvmsgs_default(struct nl_sock *sock)
{
	int result;

	(void)sock;
	if (fake.calls++ > ENDLESS)
		fail_msg("the socket is read for ever");
	if (!fake.left)
		return -NLE_AGAIN;
	result = *fake.results;
	if (fake.left != ENDLESS) {
		fake.left--;
		fake.results++;
	}
	if (!result)
		deliver();
	return result;
}

int __wrap_loop_add(struct loop_source *source, uint32_t bits)
{
	(void)bits;
	fake.source = source;
	return 0;
}

void __wrap_loop_remove(struct loop_source *source)
{
	(void)source;
}

static void on_session(const struct kernel_session *session)
{
	assert_int_equal(session->partid, 7);
	seen.sessions++;
}

static void on_missed(void)
{
	seen.missed++;
	seen.read_before = fake.calls;
}

/* The socket is readable, and has @n results. */
static void readable(const int *results, unsigned int n)
{
	memset(&seen, 0, sizeof(seen));
	fake.results = results;
	fake.left = n;
	fake.calls = 0;
	fake.source->ready(fake.source, EPOLLIN);
}

static void test_news(void **state)
{
	static const int one[] = { 0 };

	(void)state;
	readable(one, 1);
	assert_int_equal(seen.sessions, 1);
	assert_int_equal(seen.missed, 0);
}

static void test_lost(void **state)
{
	/* Lost, two older ones, lost again, one more */
	static const int lost[] = { -NLE_NOMEM, 0, 0, -NLE_NOMEM, 0 };

	(void)state;
	readable(lost, 5);
	assert_int_equal(seen.sessions, 0);
	assert_int_equal(seen.missed, 1);
	assert_int_equal(seen.read_before, 6);
	test_news(state);
}

static void test_lost_always(void **state)
{
	static const int lost[] = { -NLE_NOMEM };

	(void)state;
	readable(lost, ENDLESS);
	assert_int_equal(seen.missed, 1);
	test_news(state);
}

static void test_error(void **state)
{
	static const int error[] = { -NLE_FAILURE };

	(void)state;
	readable(error, 1);
	assert_int_equal(seen.sessions + seen.missed, 0);
	test_news(state);
}

int main(void)
{
	static const struct kernel_events_ops ops = {
		.session = on_session,
		.missed = on_missed,
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_always),
		cmocka_unit_test(test_error),
	};
	char reason[REASON_SIZE];
	int failed;

	if (kernel_events_init(&ops, reason))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kernel_events_exit();
	return failed;
}
