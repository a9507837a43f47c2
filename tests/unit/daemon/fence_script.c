// SPDX-License-Identifier: GPL-2.0-only
/* A fence command for each test: a shell script that notes what it was told. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static char directory[] = "/tmp/xpmemd-fence-XXXXXX";

/**
 * fence_script_setup - a group's set-up
 * @state: unused
 *
 * Return: 0.
 */
int fence_script_setup(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

/**
 * fence_script_teardown - a group's tear-down
 * @state: unused
 *
 * Return: 0.
 */
int fence_script_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/**
 * fence_script_have - make a fence command
 * @path:   filled in
 * @size:   bytes of @path
 * @script: shell commands; $action and $plug are set
 *
 * What was noted before is forgotten.
 */
void fence_script_have(char *path, size_t size, const char *script)
{
	char input[64];
	int fd;

	snprintf(input, sizeof(input), "%s/input", directory);
	unlink(input);
	snprintf(path, size, "%s/command", directory);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);
	assert_true(dprintf(fd,
			    "#!/bin/sh\n"
			    "while read -r line; do\n"
			    "	echo \"$line\" >>%s\n"
			    "	case $line in\n"
			    "	action=*) action=${line#*=} ;;\n"
			    "	plug=*) plug=${line#*=} ;;\n"
			    "	esac\n"
			    "done\n"
			    "[ $# = 0 ] || exit 99\n"
			    "%s\n",
			    input, script) > 0);
	close(fd);
}

/**
 * fence_script_input - what it was told so far
 *
 * Return: the lines of all runs.
 */
const char *fence_script_input(void)
{
	static char text[8192];
	char path[64];
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/input", directory);
	file = fopen(path, "re");
	if (file) {
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return text;
}

/**
 * fence_script_calls - how often it ran
 *
 * Return: a number.
 */
int fence_script_calls(void)
{
	const char *at = fence_script_input();
	int calls = 0;

	while ((at = strstr(at, "action="))) {
		calls++;
		at++;
	}
	return calls;
}
