/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults: what a test does to the daemons of its own partition, and, through
 * the lab, to any partition and link; and what the module says of sessions.
 */
#ifndef XT_LAB_H
#define XT_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "xt.h"

/*
 * Where nothing tells: looks again every 2 ms, for so long. True when it came.
 */
#define xt_until(condition, ms)                          \
	({                                               \
		const long long until_ = xt_ms() + (ms); \
                                                         \
		while (!(condition) && xt_ms() < until_) \
			xt_rest(2);                      \
		(bool)(condition);                       \
	})
void xt_rest(int ms);

/* `lab ctl`, by the port of this partition: no program is started for it. */
void xt_lab(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Named events that do not pass over the links: files in the directory that all
 * partitions share. A name is good for once. Waiting looks every 5 ms.
 */
void xt_flag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool xt_flagged(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool xt_flag_await(int ms, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * An event of the module's trace, "xpmem_ack_send" for one: wait until it has
 * come since it was opened or awaited last.
 */
int xt_trace_open(const char *event);
bool xt_trace_await(int trace, int ms);
void xt_trace_close(int trace);

/* The daemons of this partition, "xpmemd" or "munged". */
void xt_daemon_kill(const char *name); /* SIGKILL; returns when it is dead */
bool xt_daemon_start(const char *name); /* true: it says that it runs */
bool xt_daemon_up(int ms); /* all its sessions, in that time */

/*
 * The times of all sessions from now on, on all partitions, which call this
 * together: the daemons start again, and all sessions begin anew.
 */
void xt_daemon_new_times(int heartbeat_ms, int deadline_ms);

/* A counter of the module, read from /sys: quick. Names have underscores. */
long long xt_count(const char *name);
/* Waits until it is at least that; looks every 2 ms. */
bool xt_count_over(const char *name, long long least, int ms);

/* What the module says of a partition: sessions up and lost, and of all ever. */
struct xt_look {
	bool up;
	uint64_t epoch; /* of the one that is up */
	int lost;
	uint64_t quarantine; /* of the lost ones */
	uint64_t sessions, evictions, missed, granted;
	uint64_t wait_p99_us, wait_max_us;
};
struct xt_look xt_look(uint16_t partid);
/* Until there is a session whose epoch is not @epoch. */
bool xt_look_up(uint16_t partid, uint64_t epoch, int ms);
bool xt_look_lost(uint16_t partid, uint64_t epoch, int ms);
/* In order, by the administrator: begun, or waited for. 0 or the errno. */
int xt_session_close(uint16_t partid);
int xt_session_finish(uint16_t partid);

#endif
