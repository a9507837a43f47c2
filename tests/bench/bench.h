/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Benchmarks of XPMEM beside references that are measured in the same run.
 *
 * Only the public interface of xpmem.h is used, so one binary measures any
 * XPMEM module. A topic runs in a process of its own, which is the importer;
 * the other side is a peer (peer.c): a second process that serves requests and
 * sleeps while something is measured.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xpmem.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* What the clock counts: nanoseconds, or, under `lab run --icount`, instructions. */
enum clock { CLOCK_TIME, CLOCK_INSTR, CLOCKS };

struct measure {
	const char *name; /* topic/... */
	const char *figure; /* what is measured */
	const char *reference; /* beside what; NULL: beside nothing */
	const char *per; /* "page": nanoseconds a page; "%": per cent */
	double most[CLOCKS]; /* budget of figure / reference; 0: none */
	/* With a budget, the least ratio; without, the least figure; 0: none */
	double least;
};

struct topic {
	const char *name;
	const char *what;
	const struct measure *measures;
	size_t count;
	void (*run)(void);
	bool time_only; /* waits for devices or needs two CPUs */
};

extern const struct topic touch_topic, attach_topic, exit_topic, threads_topic,
	reclaim_topic, bandwidth_topic, populate_topic;
/* Those that need another partition, whose name is options.host. */
extern const struct topic access_topic, access_touch_topic, stream_topic,
	messages_topic;

#define TOPIC_MEASURES(array) array, sizeof(array) / sizeof((array)[0])

struct options {
	enum clock clock;
	int repeat;
	size_t size; /* bytes that are touched */
	bool sized; /* --size was given */
	const char *only; /* topic, or beginning of a measure's name */
	const char *json;
	const char *host; /* the partition that exports; NULL: this one */
	bool serve; /* export for a bench on another partition */
	bool list;
};

extern struct options options;
extern size_t page_size;

/* options.c: the command line. Ends the program after --help, and, with status 2,
 * after what it does not know. */
void options_parse(int argc, char **argv, const char *usage);

/* harness.c: running topics, taking samples. */
#define MAX_SAMPLES 200

enum state { ROW_EMPTY, ROW_MEASURED, ROW_ABSENT, ROW_FAILED };

struct row {
	const struct topic *topic;
	const struct measure *measure;
	enum state state;
	int samples;
	double figure[MAX_SAMPLES];
	double reference[MAX_SAMPLES];
	char note[160];
};

struct spread {
	double min, low, median, high, max;
};

typedef double (*probe)(void *context);
typedef void (*pair)(void *context, double *figure, double *reference);

/* Rows of all wanted measures of all topics, in shared memory. */
size_t rows_create(const struct topic *const *topics, size_t count,
		   struct row **rows);
/* Whether one of them could not be measured: the exit status. */
bool any_failed(const struct row *rows, size_t count);
/* Runs a topic in a process of its own. */
void run_topic(const struct topic *topic);
/* Runs it in this one, which ends if the topic fails. */
void run_topic_here(const struct topic *topic);
/* Is this measure asked for? A topic may skip the set-up of others. */
bool wanted(const char *measure);
/* Warm-up, then figure and reference in turns. */
void compare(const char *measure, probe figure, probe reference, void *context);
/* The same where one call takes both. */
void compare_pairs(const char *measure, pair probe, void *context);
void sample(const char *measure, double figure, double reference);
/* What cannot be measured here, and why: not a failure. */
void absent(const char *measure, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void note(const char *measure, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends the topic: it has failed. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void need(bool condition, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

struct spread spread_of(const double *samples, int count);
/* Spread of figure / reference, sample by sample. */
struct spread ratio_of(const struct row *row);
/* The budget that applies on this clock; 0: none. */
double budget_of(const struct row *row);

uint64_t now(void);
/* Fails unless the clock counts what the options say. */
void clock_check(void);
void pin(int cpu);
/* CPU of the other side: another one if there is one. */
int other_cpu(void);
int cpus(void);

/*
 * peer.c: a process that exports, or imports, as it is told; on this partition
 * or, host.c, on another one.
 */
enum kind {
	SMALL_PAGES, /* anonymous, 4 KiB pages */
	HUGE_PAGES, /* anonymous, transparent huge pages */
	RESERVED, /* address space, nothing touched */
	SHARED_FILE, /* MAP_SHARED of a memory file; not a segment */
};

struct peer {
	pid_t pid; /* 0: on another partition */
	int fd;
};

struct exported {
	xpmem_segid_t segid;
	uint64_t at; /* in the exporter */
	size_t size;
	size_t huge; /* bytes with huge pages behind them */
	enum kind kind;
};

struct peer peer_start(void);
struct peer peer_start_there(void); /* at options.host */
void peer_serve(int fd) __attribute__((noreturn));
void peer_end(struct peer *peer);
/* Maps, fills and, unless SHARED_FILE, makes a segment of it. */
struct exported peer_export(struct peer *peer, enum kind kind, size_t size,
			    int fd);
/* Takes segment and memory down again. */
void peer_withdraw(struct peer *peer);
/* Writes to each page of what it exported. */
void peer_touch(struct peer *peer);
/* Sum of the first byte of each page of what it exported. */
uint64_t peer_sum(struct peer *peer);
/* The peer imports: attaches and writes to each page; detaches. */
void peer_attach(struct peer *peer, const struct exported *exported);
void peer_detach(struct peer *peer);

/* host.c: until the bench on another partition has ended. */
void host_serve(void);
int host_begin(void); /* the connection that says that a bench lives */
int host_connect(uint16_t port);
uint16_t host_listen(int *fd); /* at a port that is free; which */
int host_accept(int door);
/* A whole message or death. */
void send_all(int fd, const void *at, size_t size);
bool receive_all(int fd, void *at, size_t size);

/* memory.c: mapping and touching. */
int memory_file(size_t size); /* a memory file, nothing touched */
void *map_file(int fd, size_t size);
void *own_memory(size_t size); /* filled, of 4 KiB pages */
void unmap(void *at, size_t size);
xpmem_apid_t permit(const struct exported *exported);
void *attach(xpmem_apid_t apid, size_t offset, size_t size);
void detach(void *at);
/* First byte of each page of a fresh mapping. */
void fill(void *at, size_t size);
uint64_t fill_sum(size_t size);
void touch_write(void *at, size_t size);
uint64_t touch_read(const void *at, size_t size);
size_t huge_bytes(const void *at);

/* report.c */
void print_list(const struct topic *const *topics, size_t count);
void print_table(const struct row *rows, size_t count);
void write_json(const struct row *rows, size_t count);

#endif
