// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemd and xpmemctl as they are called: what was wrong is named, and what to do
 * about it.
 *
 * usage: test_commands XPMEMD XPMEMCTL
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static const char *programs[2];
enum { DAEMON, CTL };

/* Returns the exit status; what it writes to stderr is in scratch_said(). */
static int run(int program, const char *arguments)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s 2>&1 >/dev/null",
		 programs[program], arguments);
	return scratch_run(command);
}

static int setup(void **state)
{
	if (scratch_setup(state))
		return -1;
	scratch_write("wrong.conf", "partid 1\ncolour red\n");
	scratch_write("short.conf", "partid 1\n");
	scratch_write("file", "");
	return 0;
}

/* @object: what the message is about. */
static const struct {
	int program;
	const char *arguments;
	int status;
	const char *object;
} wrong[] = {
	{ DAEMON, "-c none.conf", 2, "none.conf: No such file" },
	{ DAEMON, "-c wrong.conf --check-config", 1,
	  "wrong.conf:2: \"colour\"" },
	{ DAEMON, "-c short.conf --check-config", 1,
	  "short.conf:1: no listen" },
	{ DAEMON, "-c file -f", 1, "file:1: no partid" },
	{ DAEMON, "word", 2, "\"word\" is no option" },
	{ CTL, "", 2, "no command" },
	{ CTL, "stat", 2, "unknown command \"stat\"" },
	{ CTL, "status 1", 2, "status takes no argument" },
	{ CTL, "stats a b", 2, "stats takes at most one" },
	{ CTL, "fence", 2, "fence takes one id" },
	{ CTL, "wait-lost", 2, "wait-lost takes one id" },
	{ CTL, "--timeout 0 wait-up", 2, "--timeout is \"0\"" },
	{ CTL, "--timeout x wait-up", 2, "--timeout is \"x\"" },
	{ CTL, "--socket none status", 1, "xpmemd does not run (none" },
	{ CTL, "--socket file status", 1, "xpmemd does not run (file" },
	{ CTL, "--socket wrong.conf/x status", 1, "wrong.conf/x: Not a dir" },
	{ CTL, "--socket $(printf %0200d 0) status", 1,
	  "the path is too long" },
};

static void test_wrong(void **state)
{
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		status = run(wrong[i].program, wrong[i].arguments);
		assert_contains(scratch_said(), wrong[i].object);
		assert_advises(scratch_said());
		assert_int_equal(status, wrong[i].status);
	}
}

/* getopt's own words, then where to look. */
static void test_options(void **state)
{
	int program;

	(void)state;
	for (program = DAEMON; program <= CTL; program++) {
		assert_int_equal(run(program, "--colour"), 2);
		assert_contains(scratch_said(),
				"unrecognized option '--colour'");
		assert_contains(scratch_said(), "--help.");
	}
}

/* No module: a name of it, and how to load it. */
static void test_no_module(void **state)
{
	(void)state;
	if (!access("/sys/module/xpmem", F_OK))
		skip();
	assert_int_equal(run(CTL, "segments"), 1);
	assert_contains(scratch_said(), "xpmem");
	assert_advises(scratch_said());
	assert_int_equal(run(CTL, "stats"), 1);
	assert_advises(scratch_said());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_no_module),
	};

	if (argc != 3) {
		fputs("usage: test_commands XPMEMD XPMEMCTL\n", stderr);
		return 2;
	}
	programs[DAEMON] = argv[1];
	programs[CTL] = argv[2];
	return cmocka_run_group_tests_name("commands", tests, setup,
					   scratch_teardown);
}
