// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemctl: shows and steers.  What only the kernel knows is asked of the
 * kernel, so that it works without the daemon; the rest goes to xpmemd (see
 * control.h).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "control.h"
#include "kernel.h"
#include "table.h"

static const char help[] =
	"Usage: xpmemctl [OPTION]... COMMAND [ARGUMENT]...\n"
	"Show and steer memory exported across partitions.\n"
	"\n"
	"  status           this partition, and the session with each peer\n"
	"  segments         segments of this partition\n"
	"  names            those of them that have a name for others to look up\n"
	"  users            what each user has here: segments, permits, exported\n"
	"                   pages, pages in quarantine\n"
	"  peers            what is configured\n"
	"  stats [NAME]     counters of the kernel, or one of them\n"
	"  quarantine       pages that lost partitions may still reach, what is done\n"
	"                   about it, and what to do\n"
	"  fence ID [EPOCH] let the pages of a lost partition go: runs the configured\n"
	"                   fence command, or else states that ID can reach nothing\n"
	"                   (of all its lost sessions, or of the one with this epoch)\n"
	"  reload           let xpmemd read its configuration again: peers are added,\n"
	"                   changed and removed, the others are not disturbed\n"
	"  wait-up [ID]...  wait until the sessions with these, or all, peers are up\n"
	"  wait-lost ID     wait until the session with a peer is not up\n"
	"\n"
	"  --timeout S      of the waits, in seconds (default: none)\n"
	"  --json           output for scripts: all but the waits\n"
	"  --socket PATH    of xpmemd (default " CONFIG_CONTROL ")\n"
	"  --help           this text\n"
	"  --version        version\n"
	"\n"
	"Exits 0, 1 when something failed, 2 when it was called wrongly.\n";

struct options {
	const char *socket;
	const char *timeout;
	bool json;
};

__attribute__((format(printf, 1, 2))) static int complain(const char *fmt, ...)
{
	va_list args;

	fputs("xpmemctl: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return 1;
}

static int daemon_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		complain(
			"%s: the path is too long; give one of at most 107 characters",
			path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		complain("xpmemd does not run (%s: %s); start it", path,
			 strerror(errno));
		break;
	case EACCES:
		complain("%s: %s; run as root", path, strerror(errno));
		break;
	default:
		complain("%s: %s; correct the path", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Reads the answer into @table.  Returns 0 after "ok", else 1. */
static int read_answer(FILE *stream, struct table *table)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int ret = -1;

	while (ret < 0 && (n = getline(&line, &size, stream)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "ok"))
			ret = 0;
		else if (!strncmp(line, "error\t", 6))
			ret = complain("%s", line + 6);
		else if (table_add(table, line))
			ret = complain(
				"xpmemd answers \"%s\"; use one of this version",
				line);
	}
	if (ret < 0)
		ret = complain(
			"xpmemd closed the connection; see its log, and that you are root");
	free(line);
	return ret;
}

/*
 * Sends @request and prints the answer, where it has @records also when there is
 * none.  Returns the exit status.
 */
static int ask_daemon(const struct options *options, const char *request,
		      bool records)
{
	struct table table;
	FILE *stream;
	int fd, ret;

	fd = daemon_connect(options->socket);
	if (fd < 0)
		return 1;
	stream = fdopen(fd, "r+");
	if (!stream) {
		close(fd);
		return complain("no memory; free some");
	}
	table_init(&table);
	fprintf(stream, "%s\n", request);
	fflush(stream);
	ret = read_answer(stream, &table);
	if (!ret && (records || table.first))
		table_print(&table, options->json);
	table_free(&table);
	fclose(stream);
	return ret;
}

static int run_simple(const struct options *options, char **argv)
{
	return ask_daemon(options, argv[0], strcmp(argv[0], "reload"));
}

static int run_fence(const struct options *options, char **argv)
{
	char request[CONTROL_REQUEST_MAX];

	snprintf(request, sizeof(request), "fence %s %s", argv[1],
		 argv[2] ?: "");
	return ask_daemon(options, request, true);
}

static int run_wait(const struct options *options, char **argv)
{
	char request[CONTROL_REQUEST_MAX];
	unsigned long ms = 0;
	double seconds;
	size_t length;
	char *end;

	if (options->timeout) {
		seconds = strtod(options->timeout, &end);
		if (*end || end == options->timeout || !(seconds > 0) ||
		    seconds > 1000000)
			return complain(
				       "--timeout is \"%s\"; give seconds, more than 0",
				       options->timeout) +
			       1;
		ms = (unsigned long)(seconds * 1000) ?: 1;
	}
	length = (size_t)snprintf(request, sizeof(request), "%s %lu", argv[0],
				  ms);
	for (argv++; *argv; argv++) {
		if (length + strlen(*argv) + 2 >= sizeof(request))
			return complain(
				       "too many ids; name fewer, or none for all") +
			       1;
		length += (size_t)sprintf(request + length, " %s", *argv);
	}
	return ask_daemon(options, request, false);
}

static void add_segment(const struct kernel_segment *segment, void *arg)
{
	char line[512];

	snprintf(
		line, sizeof(line),
		"segment\tsegid=%#llx\tpid=%u\tuid=%u\tsize=%llu\tmode=%04o\texported=%llu\tpermits=%u\tattachments=%u",
		(unsigned long long)segment->segid, segment->pid, segment->uid,
		(unsigned long long)segment->size, segment->mode,
		(unsigned long long)segment->exported, segment->permits,
		segment->attachments);
	if (table_add(arg, line))
		complain("no memory; free some");
}

static void add_name(const struct kernel_segment *segment, void *arg)
{
	char line[512];

	if (!*segment->name)
		return;
	snprintf(
		line, sizeof(line),
		"name\tname=%s\tsegid=%#llx\tuid=%u\tpid=%u\tsize=%llu\tmode=%04o",
		segment->name, (unsigned long long)segment->segid, segment->uid,
		segment->pid, (unsigned long long)segment->size, segment->mode);
	if (table_add(arg, line))
		complain("no memory; free some");
}

static void add_user(const struct kernel_user *user, void *arg)
{
	char line[256];

	snprintf(
		line, sizeof(line),
		"user\tuid=%u\tsegments=%llu\tpermits=%llu\texported=%llu\tquarantine=%llu",
		user->uid, (unsigned long long)user->segments,
		(unsigned long long)user->permits,
		(unsigned long long)user->exported,
		(unsigned long long)user->quarantine);
	if (table_add(arg, line))
		complain("no memory; free some");
}

static int run_users(const struct options *options, char **argv)
{
	char reason[REASON_SIZE];
	struct table table;
	int err;

	(void)argv;
	if (kernel_init(reason))
		return complain("%s", reason);
	table_init(&table);
	err = kernel_user_each(add_user, &table, reason);
	kernel_exit();
	if (err)
		complain("cannot list users: %s; run as root", reason);
	else
		table_print(&table, options->json);
	table_free(&table);
	return err ? 1 : 0;
}

static int list_segments(const struct options *options,
			 void (*add)(const struct kernel_segment *segment,
				     void *arg))
{
	char reason[REASON_SIZE];
	struct table table;
	int err;

	if (kernel_init(reason))
		return complain("%s", reason);
	table_init(&table);
	err = kernel_segment_each(add, &table, reason);
	kernel_exit();
	if (err)
		complain("cannot list segments: %s; run as root", reason);
	else
		table_print(&table, options->json);
	table_free(&table);
	return err ? 1 : 0;
}

static int run_segments(const struct options *options, char **argv)
{
	(void)argv;
	return list_segments(options, add_segment);
}

static int run_names(const struct options *options, char **argv)
{
	(void)argv;
	return list_segments(options, add_name);
}

static int print_one(const struct kernel_stats *stats, const char *name)
{
	unsigned int i;

	for (i = 0; i <= XPMEM_A_STATS_MAX; i++) {
		if (!kernel_stat_names[i] || strcmp(kernel_stat_names[i], name))
			continue;
		printf("%llu\n", (unsigned long long)stats->value[i]);
		return 0;
	}
	return complain("no counter \"%s\"; see xpmemctl stats", name);
}

static void print_all(const struct kernel_stats *stats, bool json)
{
	const char *format = json ? ",\n  \"%s\": %llu" : "%s %llu\n";
	unsigned int i;

	if (json)
		printf("{\n  \"partid\": %u,\n  \"kernel\": \"%s\"",
		       stats->partid, stats->mode);
	for (i = 0; i <= XPMEM_A_STATS_MAX; i++) {
		if (kernel_stat_names[i])
			printf(format, kernel_stat_names[i],
			       (unsigned long long)stats->value[i]);
	}
	if (json)
		puts("\n}");
}

static int run_stats(const struct options *options, char **argv)
{
	char reason[REASON_SIZE];
	struct kernel_stats stats;
	int err;

	if (kernel_init(reason))
		return complain("%s", reason);
	err = kernel_stats_get(&stats, reason);
	kernel_exit();
	if (err)
		return complain("cannot read the counters: %s; run as root",
				reason);
	if (argv[1])
		return print_one(&stats, argv[1]);
	print_all(&stats, options->json);
	return 0;
}

static const struct {
	const char *name;
	int min, max;
	int (*run)(const struct options *options, char **argv);
} commands[] = {
	{ "status", 0, 0, run_simple },	    { "segments", 0, 0, run_segments },
	{ "names", 0, 0, run_names },	    { "users", 0, 0, run_users },
	{ "peers", 0, 0, run_simple },	    { "stats", 0, 1, run_stats },
	{ "quarantine", 0, 0, run_simple }, { "fence", 1, 2, run_fence },
	{ "reload", 0, 0, run_simple },	    { "wait-up", 0, 2000, run_wait },
	{ "wait-lost", 1, 1, run_wait },
};

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "timeout", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 't':
			options->timeout = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 's':
			options->socket = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("xpmemctl " XPMEM_RELEASE);
			return 0;
		default:
			fputs("Try xpmemctl --help.\n", stderr);
			return 2;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct options options = { .socket = CONFIG_CONTROL };
	int ret = parse_options(argc, argv, &options);
	int nargs = argc - optind - 1;
	unsigned int i;

	if (ret >= 0)
		return ret;
	if (nargs < 0)
		return complain("no command; try --help") + 1;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[optind], commands[i].name))
			continue;
		if (nargs < commands[i].min || nargs > commands[i].max)
			return complain("%s takes %s; try --help", argv[optind],
					commands[i].max == 0 ?
						"no argument" :
					commands[i].min == 0 ?
						"at most one" :
					commands[i].max == 2 ?
						"one id and perhaps an epoch" :
						"one id") +
			       1;
		return commands[i].run(&options, argv + optind);
	}
	return complain("unknown command \"%s\"; try --help", argv[optind]) + 1;
}
