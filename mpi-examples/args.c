// SPDX-License-Identifier: LGPL-2.1-or-later
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help(const char *program, const char *about, const struct arg *args)
{
	printf("usage: mpirun -np RANKS %s [OPTION NUMBER]...\n%s\n", program,
	       about);
	for (; args->name; args++)
		printf("  %-12s %s (%ld; %ld to %ld)\n", args->name, args->help,
		       *args->value, args->least, args->most);
}

static const struct arg *find(const struct arg *args, const char *name)
{
	while (args->name && strcmp(args->name, name) != 0)
		args++;
	return args->name ? args : NULL;
}

static int set(const struct arg *arg, const char *text)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < arg->least ||
	    value > arg->most)
		return -1;
	*arg->value = value;
	return 0;
}

void args_parse(int argc, char **argv, const char *about,
		const struct arg *args)
{
	const struct arg *arg;

	for (int i = 1; i < argc; i += 2) {
		if (!strcmp(argv[i], "--help")) {
			help(argv[0], about, args);
			exit(0);
		}
		arg = find(args, argv[i]);
		if (!arg) {
			fprintf(stderr, "%s: no option %s; see --help\n",
				argv[0], argv[i]);
			exit(2);
		}
		if (i + 1 == argc || set(arg, argv[i + 1])) {
			fprintf(stderr,
				"%s: %s wants a number from %ld to %ld\n",
				argv[0], arg->name, arg->least, arg->most);
			exit(2);
		}
	}
}
