// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control socket of partition 3 and the fence command, with a kernel that
 * is faked; partition 2 is its only peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "fake_kernel.h"
#include "fence.h"
#include "loop.h"
#include "peer.h"
#include "test.h"

static char directory[] = "/tmp/xpmemd-control-XXXXXX";
static struct handshake_local local = { .partid = 3 };
static struct config_peer peers[] = { { .partid = 2 } };
static struct config config;
static char answer[4096];

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int prepare(void **state)
{
	(void)state;
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	config = (struct config){ .partid = 3, .peers = peers, .npeers = 1 };
	snprintf(config.control, sizeof(config.control), "%s/socket",
		 directory);
	return loop_init();
}

static int setup(void **state)
{
	return prepare(state) || control_init(&config) ||
	       peer_init(&config, &local, control_peers_changed);
}

static int teardown(void **state)
{
	(void)state;
	peer_exit();
	control_exit();
	loop_exit();
	return 0;
}

static int call(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, config.control);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

/* Asks, and fills @answer. */
static void ask_bytes(const char *request, size_t size)
{
	size_t got = 0;
	int fd = call();
	ssize_t n;

	assert_int_equal(write(fd, request, size), size);
	while ((n = read(fd, answer + got, sizeof(answer) - 1 - got))) {
		if (n > 0)
			got += (size_t)n;
		else
			assert_int_equal(loop_step(), 0);
	}
	answer[got] = '\0';
	close(fd);
}

static void ask(const char *request)
{
	ask_bytes(request, strlen(request));
}

static void have_session(uint32_t state)
{
	fake_kernel.sessions[fake_kernel.n++] = (struct kernel_session){
		.partid = 2,
		.state = state,
		.epoch = fake_kernel.n + 1,
	};
}

/* A fence command, for this test. */
static void have_command(const char *script)
{
	int fd;

	snprintf(config.fence_command, sizeof(config.fence_command),
		 "%s/command", directory);
	fd = open(config.fence_command, O_CREAT | O_WRONLY, 0700);
	assert_true(dprintf(fd, "#!/bin/sh\n%s\n", script) > 0);
	close(fd);
}

static void test_status(void **state)
{
	(void)state;
	ask("status\n");
	assert_contains(answer, "partition\tpartid=3\tkernel=rmap");
	assert_contains(answer, "peer\tpartid=2\tstate=down");
	assert_contains(answer, "\nok\n");
}

static void test_bad_requests(void **state)
{
	static const char *const bad[] = {
		"\n",
		"fence\n",
		"fence 0\n",
		"fence 32768\n",
		"fence -2\n",
		"fence 2x\n",
		"fence 2 2\n",
		"wait-up\n",
		"wait-up x\n",
		"wait-up -1\n",
		"wait-up 0 99\n",
		"wait-lost 10\n",
		"status 1\n",
		"\t\n",
		"Status\n",
	};
	char longest[CONTROL_REQUEST_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask(bad[i]);
		assert_memory_equal(answer, "error\t", 6);
	}
	ask_bytes("sta\0tus\n", 8);
	assert_memory_equal(answer, "error\t", 6);
	memset(longest, ' ', sizeof(longest));
	ask_bytes(longest, sizeof(longest));
	assert_contains(answer, "too long");
	for (i = 0; i < sizeof(longest); i += 2)
		longest[i] = 'x';
	longest[sizeof(longest) - 1] = '\n';
	ask_bytes(longest, sizeof(longest));
	assert_memory_equal(answer, "error\t", 6);
	assert_int_equal(fake_kernel.fenced, 0);
}

static void test_waits(void **state)
{
	(void)state;
	ask("wait-lost 50 2\n");
	assert_string_equal(answer, "ok\n");
	ask("wait-up 50\n");
	assert_contains(answer, "not up in time: partition 2");
	have_session(XPMEM_SESSION_STATE_UP);
	fake_kernel.events->missed();
	ask("wait-up 50 2\n");
	assert_string_equal(answer, "ok\n");
	ask("wait-lost 50 2\n");
	assert_contains(answer, "still up: partition 2");
}

static void test_fence_nothing(void **state)
{
	(void)state;
	ask("fence 2\n");
	assert_contains(answer, "there is nothing to fence");
	have_session(XPMEM_SESSION_STATE_UP);
	ask("fence 2\n");
	assert_contains(answer, "fence only what is lost");
	assert_int_equal(fake_kernel.fenced, 0);
}

static void test_fence_word(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	ask("fence 2\n");
	assert_string_equal(answer, "fence\tpartid=2\treleased=7\nok\n");
	have_session(XPMEM_SESSION_STATE_UP);
	ask("fence 2\n");
	assert_contains(answer, "\nok\n");
	assert_int_equal(fake_kernel.fenced, 2);
}

static void test_fence_command(void **state)
{
	static const struct {
		const char *script, *answer;
	} wrong[] = {
		{ "exit 1", "failed with status 1" },
		{ "exit 255", "failed with status 255" },
		{ "kill -9 $$", "died of signal 9" },
	};
	size_t i;

	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		have_command(wrong[i].script);
		ask("fence 2\n");
		assert_contains(answer, wrong[i].answer);
		unlink(config.fence_command);
	}
	ask("fence 2\n");
	assert_contains(answer, "failed with status 127");
	assert_int_equal(fake_kernel.fenced, 0);
	have_command("[ \"$*\" = 2 ]");
	ask("fence 2\n");
	assert_contains(answer, "\nok\n");
	assert_int_equal(fake_kernel.fenced, 1);
	unlink(config.fence_command);
}

/* The command would turn a machine off that works again. */
static void test_fence_up_again(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	have_session(XPMEM_SESSION_STATE_UP);
	have_command("exit 0");
	ask("fence 2\n");
	assert_contains(answer, "partition 2 is up again");
	assert_int_equal(fake_kernel.fenced, 0);
	unlink(config.fence_command);
}

/* Whoever asked goes away; the fence does not. */
static void test_fence_forgotten(void **state)
{
	int fd;

	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	have_command("sleep 0.3");
	fd = call();
	assert_int_equal(write(fd, "fence 2\n", 8), 8);
	while (access(config.fence_command, F_OK) == 0) {
		assert_int_equal(loop_step(), 0);
		ask("fence 2\n");
		if (strstr(answer, "is being fenced already"))
			unlink(config.fence_command);
	}
	close(fd);
	while (!fake_kernel.fenced)
		assert_int_equal(loop_step(), 0);
	assert_int_equal(fake_kernel.fenced, 1);
}

/* What is lost while the command runs, it may not have fenced. */
static void test_fence_lost_again(void **state)
{
	char part[64] = "";
	int fd;

	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	have_command("sleep 0.3");
	fd = call();
	assert_int_equal(write(fd, "fence 2\n", 8), 8);
	assert_int_equal(loop_step(), 0);
	assert_int_equal(loop_step(), 0);
	have_session(XPMEM_SESSION_STATE_LOST);
	while (read(fd, part, sizeof(part) - 1) < 0)
		assert_int_equal(loop_step(), 0);
	assert_contains(part, "partition 2 came back and was lost again");
	assert_int_equal(fake_kernel.fenced, 0);
	close(fd);
	unlink(config.fence_command);
}

/* Only a socket is taken for what an earlier daemon left behind. */
static void test_foreign_file(void **state)
{
	int fd;

	prepare(state);
	fd = open(config.control, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(control_init(&config), -1);
	assert_int_equal(unlink(config.control), 0);
	loop_exit();
}

static void test_stale_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat stat;

	prepare(state);
	strcpy(addr.sun_path, config.control);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(control_init(&config), 0);
	assert_int_equal(lstat(config.control, &stat), 0);
	assert_int_equal(stat.st_mode & 0777, 0600);
	assert_int_equal(control_init(&config), -1);
	control_exit();
	loop_exit();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),
		TEST(test_bad_requests),
		TEST(test_waits),
		TEST(test_fence_nothing),
		TEST(test_fence_word),
		TEST(test_fence_command),
		TEST(test_fence_up_again),
		TEST(test_fence_forgotten),
		TEST(test_fence_lost_again),
		cmocka_unit_test(test_foreign_file),
		cmocka_unit_test(test_stale_socket),
	};

	return cmocka_run_group_tests_name("control", tests, make_directory,
					   remove_directory);
}
