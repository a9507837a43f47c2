/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hook table of docs/mm-hooks.md, row by row: something in the home's
 * kernel lets go of pages that another partition has mapped.
 *
 * Each row is an operation on an area of a process of its own (area.c), made
 * twice in a pass: with importers that only read, and with some that store.
 * rows.c makes the passes: importers that acknowledge at once, late, never.
 */
#ifndef ROWS_H
#define ROWS_H

#include "xt.h"
#include "xt-machine.h"

#define PAGE 4096UL
#define HUGE (512 * PAGE)

enum memory {
	MEM_ANON, /* anonymous, page by page */
	MEM_ANON_ROOM, /* the same, at the beginning of room for a huge page */
	MEM_HUGE, /* an anonymous huge page */
	MEM_FILE, /* a memory file, page by page */
	MEM_FILE_ROOM,
	MEM_FILE_HUGE, /* a memory file's huge page */
	MEM_CODE, /* private pages over a memory file, executable */
	MEM_REMOTE, /* anonymous, on a node that its process is not on */
	MEM_MOVABLE, /* anonymous, in the block of memory that goes offline */
};

/* One attempt at an operation. */
enum outcome {
	NOT_YET, /* refused: may be tried again */
	DONE,
	MISSING, /* the kernel or the machine lacks area->missing */
};

/* What an importer finds afterwards in [from, to); elsewhere nothing changes. */
enum sees { KEPT, ZEROS, NOTHING };

#define ROW_ENDS 1 /* the exporter does not outlive it */
#define ROW_LEAVES 2 /* need not take anything back */
#define ROW_READS 4 /* importers cannot store afterwards */
#define ROW_FIXED 8 /* nor can the exporter */
#define ROW_ALIKE 16 /* pages have the same words */
#define ROW_GROUP 32 /* in a memory group of its own */
#define ROW_ANSWERED 64 /* not with an importer that does not answer */

struct area;
typedef enum outcome (*row_op)(struct area *a);

struct row {
	const char *name;
	enum memory memory;
	row_op op;
	enum sees sees;
	size_t from, to; /* bytes */
	unsigned int flags;
};

extern const struct row reclaim_rows[], file_rows[], range_rows[], rare_rows[];
extern const size_t reclaim_count, file_count, range_count, rare_count;

/* A row with one kind of access; shared between the leader and its children. */
struct area {
	const struct row *row;
	bool write; /* importers may store */
	char name[80];
	char group[32];
	uint32_t seed;
	size_t size; /* bytes of the segment */
	char *mem;
	char *moved; /* where [from, to) went within its process, or NULL */
	int fd; /* the memory file */
	int state; /* what the operation keeps from one attempt to the next */
	int tries; /* orders to operate */
	bool again; /* done by a later one than the first */
	bool owes; /* an answer, since it did not end in time */
	xpmem_segid_t segid;
	const char *missing;
	enum outcome outcome;
	long long took_ms, revoked;
	uint64_t frames[512]; /* before the operation */
	/* the leader's */
	pid_t pid;
	int sock;
};

/* area.c: areas, their contents, and the processes that own them. */
size_t area_count(void);
void area_init(struct area *a, size_t index, uint32_t pass);
bool area_can_store(const struct area *a);
/* What has changed; both are ->size if nothing has. */
size_t area_from(const struct area *a);
size_t area_to(const struct area *a);
/* Starts the area's process; false, with ->missing, if there is no such memory. */
bool area_start(struct area *a);
/* Tells it what to do next, and awaits the answer: false when it is late. */
void area_tell(struct area *a, char order);
bool area_answers(struct area *a, int ms);
bool area_ends(struct area *a);

#define ORDER_TRY 't' /* one attempt */
#define ORDER_OPERATE 'o' /* attempts until it is done */
#define ORDER_CHECK 'c' /* the importers' last stores are there; store again */
#define ORDER_END 'e'

/*
 * Words of [from, to) that are not as they should be; a page that cannot be
 * read counts as a whole.
 */
size_t area_wrong(const struct area *a, const char *at, enum xt_side side,
		  int round, size_t from, size_t to);
size_t area_nonzero(const char *at, size_t from, size_t to);
/* The round of the importers' words, if the pages stayed. */
int area_round(const struct area *a);
/* Stores to one side; false if a page cannot be stored to. */
bool area_store(const struct area *a, char *at, enum xt_side side, int round,
		size_t from, size_t to);

/* rare.c: once, before there are areas; and their memory. */
void rare_prepare(void);
bool rare_map_movable(struct area *a);
bool rare_map_remote(struct area *a);
void rare_map_code(struct area *a);
void rare_protect_code(const struct area *a);

/* For operations. */
void area_frames(const char *mem, size_t pages, uint64_t *frames);
size_t area_resident(const struct area *a);
bool area_compound(const char *at);
long long counter(const char *name);
enum outcome lacks(struct area *a, const char *what);
enum outcome done_if(bool done);
/* A handler: nothing but that the signal came. */
void hear_signal(int sig);

#endif
