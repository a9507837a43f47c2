// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys for the kernel's TLS.  Whether this machine's kernel has it is not ours
 * to choose: where it has, two ends must understand each other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls.h"
#include "log.h"
#include "test.h"

static char reason[REASON_SIZE];
static const struct ktls_keys a = { .key = "a", .iv = "x" };
static const struct ktls_keys b = { .key = "b", .iv = "y" };

int __real_setsockopt(int fd, int level, int name, const void *value,
		      socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value,
		      socklen_t size);

/* A kernel that is not this machine's; @calls are all that it was asked. */
static struct {
	bool on;
	int ulp, keys;
	unsigned int calls;
} mock;

int __wrap_setsockopt(int fd, int level, int name, const void *value,
		      socklen_t size)
{
	if (!mock.on)
		return __real_setsockopt(fd, level, name, value, size);
	mock.calls++;
	errno = level == IPPROTO_TCP ? mock.ulp : mock.keys;
	return errno ? -1 : 0;
}

static void test_diagnosis(void **state)
{
	static const struct {
		int ulp, keys;
		const char *says;
	} cases[] = {
		{ ENOENT, 0, "no TLS for TCP; load it: modprobe tls" },
		{ EOPNOTSUPP, 0, "it is not TCP" },
		{ ENOTCONN, 0, "the connection ended" },
		{ EEXIST, 0, "already" },
		{ ENOMEM, 0, "cannot be set up: Cannot allocate memory" },
		{ 0, ENOENT, "modprobe chacha20poly1305" },
		{ 0, EINVAL, "modprobe chacha20poly1305" },
		{ 0, ENOMEM, "takes no keys: Cannot allocate memory" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mock.on = true;
		mock.ulp = cases[i].ulp;
		mock.keys = cases[i].keys;
		assert_int_equal(ktls_install(0, &a, &b, reason), -1);
		mock.on = false;
		assert_contains(reason, cases[i].says);
		if (cases[i].ulp == ENOMEM || cases[i].keys == ENOMEM)
			assert_null(strstr(reason, "modprobe"));
	}
}

/* A kernel that can is asked once; one that cannot, until it can. */
static void test_probe(void **state)
{
	unsigned int calls;

	(void)state;
	mock.on = true;
	mock.ulp = ENOENT;
	mock.keys = mock.calls = 0;
	assert_int_equal(ktls_probe(reason), -1);
	mock.ulp = 0;
	assert_int_equal(ktls_probe(reason), 0);
	calls = mock.calls;
	assert_int_equal(ktls_probe(reason), 0);
	mock.on = false;
	assert_int_equal(mock.calls, calls);
}

static void test_not_tcp(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(ktls_install(fds[0], &a, &b, reason), -1);
	assert_contains(reason, "it is not TCP");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(ktls_install(-1, &a, &b, reason), -1);
	assert_contains(reason, "Bad file descriptor");
}

static void test_not_connected(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(ktls_install(fd, &a, &b, reason), -1);
	assert_true(strstr(reason, "modprobe tls") ||
		    strstr(reason, "the connection ended"));
	close(fd);
}

static void connect_pair(int fds[2])
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(at);
	int door = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(door, (void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (void *)&at, &length), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (void *)&at, sizeof(at)), 0);
	fds[1] = accept(door, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(door);
}

static void test_pair(void **state)
{
	char text[6] = "";
	int fds[2];

	(void)state;
	if (ktls_probe(reason)) {
		/* The probe says what a session would have been told. */
		assert_true(strstr(reason, "modprobe") ||
			    strstr(reason, "no TCP within"));
		print_message("# %s\n", reason);
		skip();
	}
	connect_pair(fds);
	assert_int_equal(ktls_install(fds[0], &a, &b, reason), 0);
	assert_int_equal(ktls_install(fds[1], &b, &a, reason), 0);
	assert_int_equal(write(fds[0], "hello", 6), 6);
	assert_int_equal(recv(fds[1], text, 6, MSG_WAITALL), 6);
	assert_string_equal(text, "hello");
	/* Once only. */
	assert_int_equal(ktls_install(fds[0], &a, &b, reason), -1);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_tcp),
		cmocka_unit_test(test_not_connected),
		cmocka_unit_test(test_diagnosis),
		cmocka_unit_test(test_pair),
		/* Last: what it was told stays. */
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests_name("ktls", tests, NULL, NULL);
}
