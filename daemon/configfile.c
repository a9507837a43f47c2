// SPDX-License-Identifier: GPL-2.0-only
/* The configuration as a file; what it says is config.c's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define CONFIG_FILE_MAX (1024 * 1024)

/**
 * config_load - read a configuration file
 * @config: filled in; config_free() it after success
 * @path:   the file
 * @error:  CONFIG_ERROR_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1 with @error set and @config empty.
 */
int config_load(struct config *config, const char *path, char *error)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size;
	int ret = -1;

	*config = (struct config){};
	if (!file) {
		snprintf(
			error, CONFIG_ERROR_SIZE,
			"%s: %s; create it, see xpmemd.conf(5), or name another with -c",
			path, strerror(errno));
		return -1;
	}
	text = malloc(CONFIG_FILE_MAX + 1);
	if (!text) {
		snprintf(error, CONFIG_ERROR_SIZE, "%s: no memory; free some",
			 path);
		goto close_file;
	}
	size = fread(text, 1, CONFIG_FILE_MAX + 1, file);
	if (ferror(file) || size > CONFIG_FILE_MAX ||
	    memchr(text, '\0', size)) {
		snprintf(
			error, CONFIG_ERROR_SIZE,
			"%s: is no text file of at most %d bytes; correct the path",
			path, CONFIG_FILE_MAX);
		goto free_text;
	}
	text[size] = '\0';
	ret = config_parse(config, path, text, error);

free_text:
	free(text);
close_file:
	fclose(file);
	return ret;
}
