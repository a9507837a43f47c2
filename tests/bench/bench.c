// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line of the benchmarks.
 */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct topic *const here[] = {
	&touch_topic,	&attach_topic,	  &exit_topic,	   &threads_topic,
	&reclaim_topic, &bandwidth_topic, &populate_topic,
};

/* With --host. */
static const struct topic *const across[] = {
	&access_topic,
	&access_touch_topic,
	&stream_topic,
	&messages_topic,
};

static const struct topic *const *topics = here;
static size_t count_of_topics = sizeof(here) / sizeof(here[0]);

struct options options = { .repeat = 15, .size = 32 * MIB };

static void usage(FILE *to)
{
	fputs("usage: bench [options]\n"
	      "Measures the XPMEM module that is loaded, beside references.\n"
	      "\n"
	      "  --only NAME       one a topic, or measures whose names begin so;\n"
	      "                    several separated by commas\n"
	      "  --list            topics and measures, then exit\n"
	      "  --repeat N        samples of each (15); more of what takes under 1 s\n"
	      "  --size MIB        memory that is touched, a multiple of 4 (32)\n"
	      "  --instructions    the clock counts instructions (lab run --icount)\n"
	      "  --host NAME       measures another partition's memory; there,\n"
	      "                    start bench --serve\n"
	      "  --serve           exports memory until that bench ends\n"
	      "  --json FILE       one object for each measure; - prints them\n"
	      "  --help            this text\n"
	      "\n"
	      "A ratio is figure / reference: less is better. It is the median of\n"
	      "the ratios of samples taken side by side; [a..b] holds half of them;\n"
	      "minima is the ratio of the best samples of each.\n"
	      "Exit status: 0 measured, 1 something failed, 2 wrong arguments. A\n"
	      "budget that is exceeded is not a failure, nor what is not there.\n",
	      to);
}

static long number(const char *option, const char *text, long least, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < least || value > most)
		errx(2, "%s: a number from %ld to %ld, not %s", option, least,
		     most, text);
	return value;
}

static void parse(int argc, char **argv)
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
			usage(stdout), exit(0);
		else
			usage(stderr), exit(2);
	}
	if (optind < argc)
		errx(2, "no such argument: %s (--help)", argv[optind]);
	if (options.size % (4 * MIB))
		errx(2, "--size: a multiple of 4");
}

static void measure_all(void)
{
	/* Whose end tells the other side that we are done, however we end. */
	int fd = options.host ? host_begin() : -1;

	for (size_t i = 0; i < count_of_topics; i++)
		run_topic(topics[i]);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct row *rows;
	size_t count;
	int status = 0;

	parse(argc, argv);
	page_size = sysconf(_SC_PAGESIZE);
	if (options.serve) {
		host_serve();
		return 0;
	}
	if (options.host) {
		topics = across;
		count_of_topics = sizeof(across) / sizeof(across[0]);
	}
	count = rows_create(topics, count_of_topics, &rows);
	if (!count)
		errx(2, "--only %s: no such topic or measure (--list)",
		     options.only);
	if (options.list) {
		print_list(topics, count_of_topics);
		return 0;
	}
	clock_check();
	setvbuf(stdout, NULL, _IOLBF, 0);
	measure_all();
	print_table(rows, count);
	if (options.json)
		write_json(rows, count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].state == ROW_FAILED)
			status = 1;
	return status;
}
