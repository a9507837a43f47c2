// SPDX-License-Identifier: GPL-2.0-only
/* A munged of our own in a directory of its own, with a key of its own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char directory[] = "/tmp/xpmemd-munge-XXXXXX";
static char socket_path[64];

/**
 * munged_socket - where it listens
 *
 * Return: a path; "" when munged could not be started.
 */
const char *munged_socket(void)
{
	return socket_path;
}

static int write_key(void)
{
	char path[64], key[128];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/key", directory);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	ret = getrandom(key, sizeof(key), 0) == sizeof(key) &&
			      write(fd, key, sizeof(key)) == sizeof(key) ?
		      0 :
		      -1;
	close(fd);
	return ret;
}

/**
 * munged_start - start it; a group's set-up
 * @state: unused
 *
 * munged goes to the background when it is ready.
 *
 * Return: 0; without munged the tests that need it skip themselves.
 */
int munged_start(void **state)
{
	char command[512];

	(void)state;
	if (!mkdtemp(directory) || chmod(directory, 0755) || write_key())
		return -1;
	snprintf(
		command, sizeof(command),
		"cd %s && PATH=$PATH:/usr/sbin munged --force --key-file=%s/key --socket=%s/socket --pid-file=%s/pid --log-file=%s/log --seed-file=%s/seed 2>%s/errors",
		directory, directory, directory, directory, directory,
		directory, directory);
	if (!system(command))
		snprintf(socket_path, sizeof(socket_path), "%s/socket",
			 directory);
	else
		print_message("# no munged\n");
	return 0;
}

/**
 * munged_stop - end it; a group's tear-down
 * @state: unused
 *
 * Return: 0.
 */
int munged_stop(void **state)
{
	char command[256];

	(void)state;
	snprintf(
		command, sizeof(command),
		"PATH=$PATH:/usr/sbin; [ ! -S %s/socket ] || munged --stop --socket=%s/socket; rm -rf %s",
		directory, directory, directory);
	return system(command) ? -1 : 0;
}
