// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: the command line.
 */
#include "bench.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options options = { .repeat = 15 };

static long number(const char *option, const char *text, long least, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < least || value > most)
		errx(2, "%s: a number from %ld to %ld, not %s", option, least,
		     most, text);
	return value;
}

void options_parse(int argc, char **argv, const char *usage)
{
	static const struct option longs[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "list", no_argument, NULL, 'l' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "size", required_argument, NULL, 's' },
		{ "instructions", no_argument, NULL, 'i' },
		{ "json", required_argument, NULL, 'j' },
		{ "host", required_argument, NULL, 'H' },
		{ "serve", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'o')
			options.only = optarg;
		else if (c == 'l')
			options.list = true;
		else if (c == 'r')
			options.repeat =
				number("--repeat", optarg, 1, MAX_SAMPLES);
		else if (c == 's')
			options.size = number("--size", optarg, 4, 512) * MIB;
		else if (c == 'i')
			options.clock = CLOCK_INSTR;
		else if (c == 'j')
			options.json = optarg;
		else if (c == 'H')
			options.host = optarg;
		else if (c == 'S')
			options.serve = true;
		else if (c == 'h')
			fputs(usage, stdout), exit(0);
		else
			fputs(usage, stderr), exit(2);
	}
	if (optind < argc)
		errx(2, "no such argument: %s (--help)", argv[optind]);
	if (options.size % (4 * MIB))
		errx(2, "--size: a multiple of 4");
	options.sized = options.size;
	if (!options.sized)
		options.size = 32 * MIB;
	page_size = sysconf(_SC_PAGESIZE);
}
