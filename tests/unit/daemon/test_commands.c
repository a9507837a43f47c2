// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemd and xpmemctl as they are called: what was wrong is named, and what to do
 * about it.
 *
 * usage: test_commands XPMEMD XPMEMCTL
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static const char *programs[2];
enum { DAEMON, CTL };

static char directory[] = "/tmp/xpmemd-commands-XXXXXX";
static char said[8192];

/* Runs a command line, fills @said with its stderr. Returns the exit status. */
static int run(int program, const char *arguments)
{
	char command[1024];
	size_t got;
	FILE *out;
	int status;

	snprintf(command, sizeof(command),
		 "cd %s && exec %s %s 2>&1 >/dev/null", directory,
		 programs[program], arguments);
	out = popen(command, "re");
	assert_non_null(out);
	got = fread(said, 1, sizeof(said) - 1, out);
	said[got] = '\0';
	status = pclose(out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	write_file("wrong.conf", "partid 1\ncolour red\n");
	write_file("short.conf", "partid 1\n");
	write_file("file", "");
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "wrong.conf", "short.conf",
					     "file" };
	char path[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
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
		assert_contains(said, wrong[i].object);
		assert_advises(said);
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
		assert_contains(said, "unrecognized option '--colour'");
		assert_contains(said, "--help.");
	}
}

/* No module: a name of it, and how to load it. */
static void test_no_module(void **state)
{
	(void)state;
	if (!access("/sys/module/xpmem", F_OK))
		skip();
	assert_int_equal(run(CTL, "segments"), 1);
	assert_contains(said, "xpmem");
	assert_advises(said);
	assert_int_equal(run(CTL, "stats"), 1);
	assert_advises(said);
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
	return cmocka_run_group_tests_name("commands", tests, setup, teardown);
}
