/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_QUARANTINE_H
#define XPMEMD_QUARANTINE_H

#include <stdint.h>

#include "config.h"

/* Before the fence command is run again by itself: doubled each time. */
#define QUARANTINE_RETRY_MIN_MS 2000
#define QUARANTINE_RETRY_MAX_MS 60000

/**
 * struct quarantine_line - what one lost session left behind
 * @partid:  the partition
 * @epoch:   of the session
 * @pages:   that are kept
 * @lost_ms: how long ago it was lost
 * @fence:   what is being done: by-hand, due, delayed, running, retry
 *           or up-again
 * @attempts: that failed since the last success
 * @failure: why the last one did; or ""
 * @advice:  what to do
 */
struct quarantine_line {
	uint16_t partid;
	uint64_t epoch;
	uint64_t pages;
	uint64_t lost_ms;
	const char *fence;
	unsigned int attempts;
	const char *failure;
	const char *advice;
};

void quarantine_init(const struct config *config);
void quarantine_exit(void);
void quarantine_reload(const struct config *config);
void quarantine_look(void);
void quarantine_news(void);
void quarantine_failed(uint16_t partid, const char *reason);
int quarantine_each(void (*each)(const struct quarantine_line *line, void *arg),
		    void *arg, char *reason);

#endif
