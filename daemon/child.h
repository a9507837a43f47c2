/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_CHILD_H
#define XPMEMD_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct child;

/**
 * child_done_t - told how a child ended; it is gone then
 * @owner:  as given to child_start()
 * @status: as wait(2) has it
 * @killed: it took too long
 */
typedef void (*child_done_t)(void *owner, int status, bool killed);

struct child *child_start(void (*run)(void *arg), void *arg,
			  uint32_t timeout_ms, child_done_t done, void *owner);
void child_kill(struct child *child);

#endif
