/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of the lab's test programs.
 *
 * One program runs on all partitions at once and takes its part from
 * XPMEM_PARTID: p1 is the home, p2 and p3 import. They meet through named
 * values that p1 keeps (xt-meet.c): one side puts, the other awaits. A
 * partition whose program ends early makes every await fail at once, so a
 * failure never turns into a time-out.
 */
#ifndef XT_H
#define XT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <xpmem.h>

#define XT_HOME 1
#define XT_MIB (1024UL * 1024)
#define XT_WAIT_MS 600000 /* longest wait for another partition */
#define XT_MEET_MS 120000 /* and for it to start the same program */

extern int xt_me; /* this partition's id */
extern int xt_nodes; /* how many there are */
extern size_t xt_page; /* bytes of a page */

/* A program's beginning and end. */
void xt_start(const char *topic);
int xt_finish(void);
/* The end of one that the others do not wait for: prints the plan. */
int xt_part(void);

/* TAP. A check returns its condition; xt_need() ends the process if false. */
bool xt_ok(bool cond, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void xt_need(bool cond, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void xt_fail(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void xt_skip(const char *what, const char *missing);
void xt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A case: all partitions enter it together; keys belong to the case. */
void xt_case(const char *name);

/* Meeting (xt-meet.c). xt_await() returns a string that stays valid. */
void xt_put(const char *key, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
const char *xt_await(const char *key);
long long xt_await_num(const char *key);
void xt_barrier(const char *name);
/* From here on a partition may vanish without failing the others. */
void xt_leave(void);

void xt_meet_init(const char *topic);
void xt_meet_again(void); /* a connection of its own, for a child */
void xt_meet_fail(void);
void xt_meet_fini(void);
void xt_meet_case(const char *name);

/* A child that shares the TAP count and can meet. 0 when all was well. */
pid_t xt_spawn(void (*fn)(void *arg), void *arg);
int xt_join(pid_t pid);
/* A child that is killed, and waited for. */
void xt_kill(pid_t pid);
/* The same, but for at most XT_DEATH_MS: false when it did not die. */
#define XT_DEATH_MS 60000
bool xt_dies(pid_t pid);

/* Words that tell where they belong (xt-mem.c). Each word of a page belongs
 * to one side: word i to side i % 2. */
enum xt_side { XT_EVEN, XT_ODD };
uint64_t xt_word(uint32_t seed, size_t index);
void xt_fill(void *mem, size_t size, enum xt_side side, uint32_t seed);
/* How many words of a side are wrong; says where the first is. */
size_t xt_wrong(const void *mem, size_t size, enum xt_side side, uint32_t seed);
size_t xt_nonzero(const void *mem, size_t size);
/* One access; the signal that it raised, or 0. */
int xt_load(const void *at, uint64_t *value);
int xt_store(void *at, uint64_t value);
void *xt_map(size_t size); /* anonymous, private, page by page */
void *xt_map_huge(size_t size); /* the same with huge pages behind it */
size_t xt_huge_bytes(const void *mem); /* AnonHugePages there */
uint64_t xt_frame(const void *at); /* frame behind an address, or 0 */
void xt_frames(const void *at, uint64_t *frames, size_t n); /* of n pages */
/*
 * Nothing tells a process that its attachment ended, until it touches it: this
 * does, every 50 ms. True when a touch was SIGBUS.
 */
bool xt_touch_ends(void *at, int patience_ms);

/* Catches SIGBUS and SIGSEGV outside of those: a failed check. */
void xt_mem_init(void);

/* Segments: make or die; get and attach or die. */
xpmem_segid_t xt_export(void *mem, size_t size, long mode);
xpmem_apid_t xt_permit(xpmem_segid_t segid, int flags);
void *xt_attach(xpmem_apid_t apid, size_t size);

/* Importers on the exporter's own partition (xt-local.c): a child that gets a
 * permit, attaches all of a segment, runs a function and releases the permit.
 * A function that has done that itself sets apid to 0. */
struct xt_import {
	xpmem_segid_t segid;
	size_t size;
	int flags; /* of xpmem_get */
	void *arg;
	/* filled in for the function */
	xpmem_apid_t apid;
	char *at;
};
typedef void (*xt_importer)(struct xt_import *imp);
pid_t xt_import_start(xt_importer fn, xpmem_segid_t segid, size_t size,
		      void *arg);
/* Waits for it as well, and checks that it ended well. */
void xt_import(xt_importer fn, xpmem_segid_t segid, size_t size, void *arg);
/* With a permit to read. */
pid_t xt_import_start_only(xt_importer fn, xpmem_segid_t segid, size_t size,
			   void *arg);
void xt_import_only(xt_importer fn, xpmem_segid_t segid, size_t size,
		    void *arg);
/* Memory of this process, filled on side XT_EVEN with seed 1, as a segment. */
struct xt_export {
	char *mem;
	size_t size;
	xpmem_segid_t segid;
};
struct xt_export xt_export_new(size_t size);
void xt_export_end(struct xt_export *ex);
/* The line of /proc/self/maps for an address; false if there is none. */
bool xt_maps_line(const void *at, char *line, size_t size);

/* Counters of the module, as `xpmemctl stats` tells them. */
long long xt_stat(const char *name);
/* Several of them, read at one moment. */
void xt_stats(const char *const *names, long long *values, size_t count);
/* Waits, at most that long, until a counter is as wanted. */
bool xt_stat_is(const char *name, long long want, int ms);
bool xt_stat_over(const char *name, long long least, int ms);
/* Does this kernel have the mm series?  The module knows. */
bool xt_series(void);
/* How many lines with these words, and these, are in the kernel's log? */
int xt_logged(const char *words, const char *more);
/* Checks that nothing is left behind on this partition. */
void xt_nothing_left(const char *after);

/* Memory control groups (xt-group.c). */
void xt_group_create(const char *group);
void xt_group_enter(const char *group);
void xt_group_destroy(const char *group);
long long xt_group_read(const char *group, const char *file);
long long xt_group_stat(const char *group, const char *key);
long long xt_group_read_key(const char *group, const char *file,
			    const char *key);
/* Asks once to reclaim; EAGAIN when the kernel found less than that. */
int xt_group_press(const char *group, long long bytes);
/* Reclaims until memory.current fell by @bytes or @ms are over, and returns
 * by how much it fell. */
long long xt_group_reclaim(const char *group, long long bytes, int ms);
/* Writes a file of the group's. */
void xt_group_set(const char *group, const char *file, const char *text);
/* Pages that reclaim freed of the group, ever. */
long long xt_group_stolen(const char *group);
/* Asks for that many bytes in one go, again while the kernel finds less than it
 * was asked for, at most @tries times: false when it still does. */
bool xt_group_press_all(const char *group, long long bytes, int tries);
/* A count of /proc/vmstat; -1 on a kernel that does not have it. */
long long xt_vmstat(const char *name);
/* Which LRU the kernel uses: false if it has no choice. */
bool xt_lru_gen(bool on);
/* Pages written to and read from the swap disk, ever. */
long long xt_swapped_out(void);
long long xt_swapped_in(void);

/* Messages from this partition to the others take so long; 0: as they do. */
void xt_delay(int ms);

/* A thread that touches memory again and again, until it is told to stop
 * (xt-touch.c): the first word of each page; it stores xt_word(1, ...), as side
 * XT_EVEN has it. */
struct xt_toucher {
	char *mem;
	size_t size;
	bool (*wanted)(size_t page); /* NULL: all */
	bool store;
	volatile long passes; /* complete ones */
	volatile bool stop;
	pthread_t thread;
};
void xt_touch_start(struct xt_toucher *t);
/* Returns once every page was touched since. */
void xt_touch_pass(struct xt_toucher *t);
void xt_touch_stop(struct xt_toucher *t);

/*
 * Passes over the words of a side until it is @enough; returns how many stores
 * were lost. Pass n stores words of seed n over those of n - 1.
 */
size_t xt_hammer(void *mem, size_t size, enum xt_side side,
		 _Atomic uint32_t *pass, const atomic_bool *enough);

/* Milliseconds since the program began. */
long long xt_ms(void);

#endif
