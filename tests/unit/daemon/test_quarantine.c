// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fencing without being asked: when it begins, when it does not, and what
 * follows a failure. The kernel is faked; partition 2 is a peer, 5 is none.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "fence.h"
#include "loop.h"
#include "quarantine.h"
#include "test.h"

#define GOOD "[ $action = off ] || exit 2"

static struct config_peer peers[] = { { .partid = 2 } };
static struct config config;
static char state_of_2[32];
static char failure_of_2[REASON_SIZE];
static char advice_of_2[REASON_SIZE];
static unsigned int lines;
static char fifo[] = "/tmp/xpmemd-quarantine-XXXXXX";

static int group_setup(void **state)
{
	int fd = mkstemp(fifo);

	close(fd);
	return fd < 0 ? -1 : fence_script_setup(state);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	config = (struct config){
		.partid = 3,
		.peers = peers,
		.npeers = 1,
		.fence_auto = true,
		.fence_timeout_ms = 60000,
	};
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  GOOD);
	quarantine_init(&config);
	return loop_init();
}

static int teardown(void **state)
{
	(void)state;
	fence_exit();
	quarantine_exit();
	loop_exit();
	return 0;
}

static void note(const struct quarantine_line *line, void *arg)
{
	(void)arg;
	lines++;
	if (line->partid != 2)
		return;
	assert_int_equal(line->pages, 7);
	assert_int_equal(line->lost_ms, 5000);
	snprintf(state_of_2, sizeof(state_of_2), "%s", line->fence);
	snprintf(failure_of_2, sizeof(failure_of_2), "%s", line->failure);
	snprintf(advice_of_2, sizeof(advice_of_2), "%s", line->advice);
}

static const char *fence_state(void)
{
	char reason[REASON_SIZE];

	lines = 0;
	state_of_2[0] = '\0';
	assert_int_equal(quarantine_each(note, NULL, reason), 0);
	return state_of_2;
}

static void until_fenced(unsigned int count)
{
	while (fake_kernel.fenced < count)
		assert_int_equal(loop_step(), 0);
}

/* The command for partition 2 runs once, to its end. */
static void fence_once(void)
{
	quarantine_look();
	while (fence_running(2))
		assert_int_equal(loop_step(), 0);
}

static void test_automatic(void **state)
{
	(void)state;
	quarantine_look();
	assert_int_equal(fence_script_calls(), 0);
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	quarantine_look();
	assert_string_equal(fence_state(), "running");
	/* News change nothing while it runs. */
	quarantine_look();
	quarantine_look();
	until_fenced(1);
	assert_int_equal(fence_script_calls(), 2);
	assert_string_equal(fence_state(), "");
	assert_int_equal(lines, 0);
}

/* Lost once more while the command ran: that is another fence. */
static void test_lost_again(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	quarantine_look();
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 10);
	quarantine_look();
	until_fenced(1);
	assert_true(fake_kernel.sessions[0].epoch == 10);
	until_fenced(2);
	assert_int_equal(fence_script_calls(), 4);
}

static void test_not_asked_for(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fake_kernel_have(5, XPMEM_SESSION_STATE_LOST, 9);
	config.fence_auto = false;
	quarantine_look();
	assert_string_equal(fence_state(), "by-hand");
	assert_contains(advice_of_2, "xpmemctl fence 2 turns it off");
	assert_int_equal(lines, 2);
	config.fence_auto = true;
	quarantine_reload(&config);
	assert_string_equal(fence_state(), "running");
	assert_false(fence_running(5));
	until_fenced(1);
}

static void test_up_again(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 10);
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	quarantine_look();
	assert_string_equal(fence_state(), "up-again");
	assert_contains(advice_of_2, "it is alive");
	assert_int_equal(fence_script_calls(), 0);
	/* Then it is lost, too: both at once. */
	fake_kernel.sessions[0].state = XPMEM_SESSION_STATE_LOST;
	fake_kernel.sessions[0].quarantine = 7;
	fake_kernel.sessions[0].lost_ms = 5000;
	quarantine_look();
	until_fenced(2);
	assert_int_equal(fence_script_calls(), 2);
}

static void test_retry(void **state)
{
	(void)state;
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  "echo no power >&2; exit 1");
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fence_once();
	assert_string_equal(fence_state(), "retry");
	assert_contains(failure_of_2, "status 1: no power");
	assert_contains(advice_of_2, "look at the fence device");
	/* Not at once, whatever the news. */
	quarantine_look();
	assert_false(fence_running(2));
	assert_int_equal(fence_script_calls(), 1);
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  GOOD);
	until_fenced(1);
	assert_string_equal(fence_state(), "");
}

/* Another command, or a corrected one, is tried at once. */
static void test_reload(void **state)
{
	(void)state;
	strcpy(config.fence_command, "/nonexistent");
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fence_once();
	assert_string_equal(fence_state(), "retry");
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  GOOD);
	quarantine_reload(&config);
	assert_string_equal(fence_state(), "running");
	until_fenced(1);
}

/* The kernel has no memory for a list when it is asked: it is asked again. */
static void test_deaf(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fake_kernel.deaf = 1;
	quarantine_look();
	assert_false(fence_running(2));
	until_fenced(1);
}

static void stop(struct loop_timer *timer)
{
	timer->fire = NULL;
}

/* Longer than the delay of the tests. */
static void let_time_pass(void)
{
	struct loop_timer timer = { .fire = stop };

	loop_timer_set(&timer, 200);
	while (timer.fire)
		assert_int_equal(loop_step(), 0);
}

/* It comes back before its time is over, and is lost again later. */
static void test_back_in_time(void **state)
{
	(void)state;
	config.fence_delay_ms = 100;
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	quarantine_look();
	assert_string_equal(fence_state(), "delayed");
	assert_contains(advice_of_2, "unless it comes back");
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 10);
	quarantine_look();
	assert_string_equal(fence_state(), "up-again");
	let_time_pass();
	assert_int_equal(fence_script_calls(), 0);
	fake_kernel.sessions[1].state = XPMEM_SESSION_STATE_LOST;
	fake_kernel.sessions[1].quarantine = 7;
	quarantine_look();
	assert_string_equal(fence_state(), "delayed");
	assert_int_equal(fence_script_calls(), 0);
	/* Another configuration does not make it shorter. */
	quarantine_reload(&config);
	assert_string_equal(fence_state(), "delayed");
	until_fenced(2);
	assert_int_equal(fence_script_calls(), 2);
}

/* Nor is a partition that failed to be fenced, and then came back. */
static void test_back_after_failure(void **state)
{
	(void)state;
	strcpy(config.fence_command, "/nonexistent");
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fence_once();
	assert_string_equal(fence_state(), "retry");
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 10);
	quarantine_look();
	assert_string_equal(fence_state(), "up-again");
	assert_false(fence_running(2));
}

/* Too late: it is turned off, and only what was lost before is let go. */
static void test_back_too_late(void **state)
{
	(void)state;
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	quarantine_look();
	fake_kernel_have(2, XPMEM_SESSION_STATE_UP, 10);
	quarantine_look();
	assert_string_equal(fence_state(), "running");
	until_fenced(1);
	assert_int_equal(fence_script_calls(), 2);
	assert_int_equal(fake_kernel.n, 1);
	assert_true(fake_kernel.sessions[0].epoch == 10);
}

/* A command that is alive as long as whoever holds its end of a pipe. */
static int have_sleeper(const char *script)
{
	char text[256];
	int fd;

	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	snprintf(text, sizeof(text), script, fifo);
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  text);
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	return fd;
}

static void await_sleeper(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte;

	assert_int_equal(poll(&poll_fd, 1, -1), 1);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(read(fd, &byte, 1), 1);
}

/* Does not end before everybody has. */
static void assert_dead(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
	unlink(fifo);
}

/* Its time is over: what it started ends with it. */
static void test_killed(void **state)
{
	int fd = have_sleeper("exec 9>%s; (sleep 1000) & printf x >&9; wait");

	(void)state;
	config.fence_timeout_ms = 500;
	fence_once();
	assert_string_equal(fence_state(), "retry");
	assert_contains(failure_of_2, "was killed");
	await_sleeper(fd);
	assert_dead(fd);
	assert_int_equal(fake_kernel.fenced, 0);
}

/* It ended by itself, and left something behind that might go on. */
static void test_leftover(void **state)
{
	int fd = have_sleeper(
		"exec 9>%s; printf x >&9; [ $action = off ] || exit 2; (sleep 1000) & exit 0");

	(void)state;
	quarantine_look();
	until_fenced(1);
	await_sleeper(fd);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	while (read(fd, state_of_2, 1) > 0)
		;
	close(fd);
	unlink(fifo);
}

/* What became of it cannot be known: that is no success. */
static void test_not_waited_for(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	fake_kernel_have(2, XPMEM_SESSION_STATE_LOST, 9);
	fence_once();
	signal(SIGCHLD, SIG_DFL);
	assert_string_equal(fence_state(), "retry");
	assert_null(strstr(failure_of_2, "its status"));
	assert_null(strstr(failure_of_2, "finds it on"));
	assert_int_equal(fake_kernel.fenced, 0);
}

/* Nobody would see what it does after us. */
static void test_exit(void **state)
{
	int fd = have_sleeper("exec 9>%s; printf x >&9; sleep 1000");

	(void)state;
	quarantine_look();
	await_sleeper(fd);
	fence_exit();
	assert_dead(fd);
	assert_false(fence_running(2));
}

static void test_daemon_killed(void **state)
{
	int fd = have_sleeper("exec 9>%s; printf x >&9; exec sleep 1000");
	pid_t daemon = fork();

	(void)state;
	if (!daemon) {
		quarantine_look();
		while (!loop_step())
			;
		_exit(1);
	}
	await_sleeper(fd);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	assert_dead(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_automatic),	   TEST(test_lost_again),
		TEST(test_not_asked_for),  TEST(test_up_again),
		TEST(test_retry),	   TEST(test_reload),
		TEST(test_back_in_time),   TEST(test_back_after_failure),
		TEST(test_back_too_late),  TEST(test_deaf),
		TEST(test_killed),	   TEST(test_leftover),
		TEST(test_not_waited_for), TEST(test_exit),
		TEST(test_daemon_killed),
	};

	return cmocka_run_group_tests_name("quarantine", tests, group_setup,
					   fence_script_teardown);
}
