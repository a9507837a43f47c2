// SPDX-License-Identifier: GPL-2.0-only
/* A directory of our own for files, and programs that run in it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "test.h"

static char directory[32];
static char said[8192];

/**
 * scratch_setup - make the directory; a group's set-up
 * @state: unused
 *
 * Return: 0 or -1.
 */
int scratch_setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/xpmemd-test-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

/**
 * scratch_teardown - remove the directory and all in it; a group's tear-down
 * @state: unused
 *
 * Return: 0 on success.
 */
int scratch_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/**
 * scratch_write - make a file in the directory
 * @name: its name
 * @text: all of it
 */
void scratch_write(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/**
 * scratch_run - run a command line in the directory
 * @command: for the shell
 *
 * Return: its exit status.
 */
int scratch_run(const char *command)
{
	char line[1024];
	size_t got;
	FILE *out;
	int status;

	snprintf(line, sizeof(line), "cd %s && exec %s", directory, command);
	out = popen(line, "re");
	assert_non_null(out);
	got = fread(said, 1, sizeof(said) - 1, out);
	said[got] = '\0';
	status = pclose(out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/**
 * scratch_said - what the last command wrote to stdout
 *
 * Return: it, until the next one runs.
 */
const char *scratch_said(void)
{
	return said;
}
