// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmarks: which topics there are, and what is done with their results.
 */
#include "bench.h"

#include <err.h>
#include <stdio.h>
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

static const char usage[] =
	"usage: bench [options]\n"
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
	"budget that is exceeded is not a failure, nor what is not there.\n";

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

	options_parse(argc, argv, usage);
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
	return any_failed(rows, count);
}
