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
#include "quarantine.h"
#include "test.h"

static char directory[] = "/tmp/xpmemd-control-XXXXXX";
static struct handshake_local local = { .partid = 3 };
static struct config_peer peers[] = { { .partid = 2 } };
static struct config config;
static char answer[4096];
static const char *reload_error;

static int make_directory(void **state)
{
	return mkdtemp(directory) ? fence_script_setup(state) : -1;
}

static int remove_directory(void **state)
{
	return fence_script_teardown(state) | rmdir(directory);
}

static int prepare(void **state)
{
	(void)state;
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	config = (struct config){
		.partid = 3,
		.peers = peers,
		.npeers = 1,
		.fence_timeout_ms = 60000,
	};
	snprintf(config.control, sizeof(config.control), "%s/socket",
		 directory);
	return loop_init();
}

/* What the daemon's main() would do. */
static int reload(char *reason)
{
	if (reload_error)
		return reason_set(reason, "%s", reload_error);
	control_reload(&config);
	return 0;
}

static int setup(void **state)
{
	quarantine_init(&config);
	return prepare(state) || control_init(&config, reload) ||
	       peer_init(&config, &local, control_peers_changed);
}

static int teardown(void **state)
{
	(void)state;
	peer_exit();
	control_exit();
	fence_exit();
	quarantine_exit();
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
	fake_kernel_have(2, state, 0x100 + fake_kernel.n);
}

/* A fence command, for this test. */
static void have_command(const char *script)
{
	fence_script_have(config.fence_command, sizeof(config.fence_command),
			  script);
}

static void test_status(void **state)
{
	(void)state;
	ask("status\n");
	assert_contains(answer, "partition\tpartid=3\tkernel=rmap");
	assert_contains(answer, "peer\tpartid=2\tstate=down");
	assert_contains(answer, "\twait-p99-us=99\t");
	assert_contains(answer, "\tevictions=5\t");
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
		"fence 2 2 2\n",
		"fence 2 0\n",
		"fence 2 -1\n",
		"fence 2 0xg\n",
		"fence 2 0x10000000000000000\n",
		"quarantine 2\n",
		"reload 1\n",
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
		assert_advises(answer);
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

static void test_reload(void **state)
{
	(void)state;
	ask("reload\n");
	assert_string_equal(answer, "ok\n");
	reload_error = "file:7: nonsense";
	ask("reload\n");
	assert_string_equal(answer, "error\tfile:7: nonsense\n");
	reload_error = NULL;
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
	assert_contains(answer, "only what is lost can be fenced");
	assert_int_equal(fake_kernel.fenced, 0);
}

static void test_fence_word(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	ask("fence 2\n");
	assert_string_equal(answer, "fence\tpartid=2\treleased=7\nok\n");
	have_session(XPMEM_SESSION_STATE_LOST);
	have_session(XPMEM_SESSION_STATE_LOST);
	have_session(XPMEM_SESSION_STATE_UP);
	ask("fence 2\n");
	assert_string_equal(answer, "fence\tpartid=2\treleased=14\nok\n");
	assert_int_equal(fake_kernel.fenced, 3);
}

/* A fence names what it is about; what was lost later stays. */
static void test_fence_epoch(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	have_session(XPMEM_SESSION_STATE_LOST);
	ask("fence 2 0x102\n");
	assert_contains(answer, "with epoch 0x102 is lost");
	assert_int_equal(fake_kernel.fenced, 0);
	ask("fence 2 0x101\n");
	assert_string_equal(answer, "fence\tpartid=2\treleased=7\nok\n");
	assert_int_equal(fake_kernel.n, 1);
	assert_true(fake_kernel.sessions[0].epoch == 0x100);
}

/* The kernel is asked again while the lost session is still ending. */
static void test_fence_ending(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	fake_kernel.ending = 3;
	ask("fence 2\n");
	assert_string_equal(answer, "fence\tpartid=2\treleased=7\nok\n");
	assert_int_equal(fake_kernel.ending, 0);
}

static void test_fence_command(void **state)
{
	static const struct {
		const char *script, *answer;
	} wrong[] = {
		{ "exit 1", "asked for power off, exited with status 1" },
		{ "exit 2", "asked for power off, exited with status 2" },
		{ "echo; echo no such plug >&2; exit 255",
		  "exited with status 255: no such plug" },
		{ "kill -9 $$", "died of signal 9" },
		{ "exit 0", "finds it on after it turned it off" },
		{ "[ $action = off ]", "asked for its status, exited with" },
		{ "[ $action = off ] || kill -15 $$", "died of signal 15" },
		{ "yes | head -c 300000; exit 3", "status 3: y" },
		{ "printf '\\033]0;x\\a'; exit 3", "status 3: ?]0;x?" },
	};
	size_t i;

	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		have_command(wrong[i].script);
		ask("fence 2\n");
		assert_contains(answer, wrong[i].answer);
		assert_advises(answer);
	}
	unlink(config.fence_command);
	ask("fence 2\n");
	assert_contains(answer, "exited with status 127");
	assert_int_equal(fake_kernel.fenced, 0);
	have_command("[ $action = off ] || exit 2");
	ask("fence 2\n");
	assert_contains(answer, "\nok\n");
	assert_int_equal(fake_kernel.fenced, 1);
	assert_string_equal(fence_script_input(),
			    "action=off\nplug=2\nport=2\n"
			    "action=status\nplug=2\nport=2\n");
}

/* It is killed with what it started, and was no success. */
static void test_fence_timeout(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	config.fence_timeout_ms = 200;
	have_command("sleep 1000");
	ask("fence 2\n");
	assert_contains(answer, "and was killed");
	assert_int_equal(fake_kernel.fenced, 0);
}

static void test_fence_options(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	strcpy(config.fence_options, "username=a b\nplugs=1\n");
	strcpy(peers[0].fence_options, "ip=192.0.2.9\nport=node2\n");
	have_command("[ $action = off ] || exit 2");
	ask("fence 2\n");
	assert_contains(answer, "\nok\n");
	assert_string_equal(
		fence_script_input(),
		"action=off\nusername=a b\nplugs=1\nip=192.0.2.9\nport=node2\n"
		"action=status\nusername=a b\nplugs=1\nip=192.0.2.9\nport=node2\n");
	peers[0].fence_options[0] = '\0';
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
	assert_int_equal(fence_script_calls(), 0);
	ask("quarantine\n");
	assert_contains(answer, "\tfence=up-again\t");
}

/* Whoever asked goes away; the fence does not. */
static void test_fence_forgotten(void **state)
{
	char go[64], script[128];
	int fd, pipe;

	(void)state;
	snprintf(go, sizeof(go), "%s/go", directory);
	assert_int_equal(mkfifo(go, 0600), 0);
	snprintf(script, sizeof(script),
		 "[ $action = off ] || exit 2; read -r _ <%s", go);
	have_session(XPMEM_SESSION_STATE_LOST);
	have_command(script);
	fd = call();
	assert_int_equal(write(fd, "fence 2\n", 8), 8);
	while (!fence_running(2))
		assert_int_equal(loop_step(), 0);
	ask("fence 2\n");
	assert_contains(answer, "is being fenced already");
	ask("quarantine\n");
	assert_contains(answer, "\tfence=running\t");
	close(fd);
	ask("peers\n");
	pipe = open(go, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(pipe, "\n", 1), 1);
	close(pipe);
	while (!fake_kernel.fenced)
		assert_int_equal(loop_step(), 0);
	unlink(go);
}

static unsigned int tellings;

static void told(void *owner, uint16_t partid, uint64_t released,
		 const char *reason)
{
	(void)owner;
	assert_int_equal(partid, 2);
	assert_int_equal(released, 7);
	assert_null(reason);
	tellings++;
}

/* What is lost while the command runs, it may not have fenced. */
static void test_fence_lost_again(void **state)
{
	(void)state;
	have_session(XPMEM_SESSION_STATE_LOST);
	have_command("[ $action = off ] || exit 2");
	assert_int_equal(fence_start(&config, 2, 0, told, NULL, answer), 0);
	have_session(XPMEM_SESSION_STATE_LOST);
	while (!tellings)
		assert_int_equal(loop_step(), 0);
	assert_int_equal(fake_kernel.fenced, 1);
	assert_int_equal(fake_kernel.n, 1);
	assert_true(fake_kernel.sessions[0].epoch == 0x101);
}

static void test_quarantine(void **state)
{
	(void)state;
	ask("quarantine\n");
	assert_string_equal(answer, "ok\n");
	have_session(XPMEM_SESSION_STATE_LOST);
	ask("quarantine\n");
	assert_contains(answer, "quarantine\tpartid=2\tepoch=0x100\tpages=7\t");
	assert_contains(answer, "\tfence=by-hand\tfailed=0\tfailure=\tdo=make");
	have_command("echo no hands; exit 1");
	ask("fence 2\n");
	ask("quarantine\n");
	assert_contains(answer, "\tfailed=1\t");
	assert_contains(answer, "status 1: no hands; look at the fence device\t"
				"do=xpmemctl fence 2");
}

/* Only a socket is taken for what an earlier daemon left behind. */
static void test_foreign_file(void **state)
{
	int fd;

	prepare(state);
	fd = open(config.control, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(control_init(&config, reload), -1);
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
	assert_int_equal(control_init(&config, reload), 0);
	assert_int_equal(lstat(config.control, &stat), 0);
	assert_int_equal(stat.st_mode & 0777, 0600);
	assert_int_equal(control_init(&config, reload), -1);
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
		TEST(test_reload),
		TEST(test_fence_nothing),
		TEST(test_fence_word),
		TEST(test_fence_epoch),
		TEST(test_fence_ending),
		TEST(test_fence_command),
		TEST(test_fence_timeout),
		TEST(test_fence_options),
		TEST(test_quarantine),
		TEST(test_fence_up_again),
		TEST(test_fence_forgotten),
		TEST(test_fence_lost_again),
		cmocka_unit_test(test_foreign_file),
		cmocka_unit_test(test_stale_socket),
	};

	return cmocka_run_group_tests_name("control", tests, make_directory,
					   remove_directory);
}
