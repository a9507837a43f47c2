/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_FENCE_H
#define XPMEMD_FENCE_H

#include <stdint.h>

/**
 * fence_done_t - told how a fence ended
 * @owner:    as given to fence_start(); NULL after fence_forget()
 * @partid:   the partition
 * @released: pages that left quarantine
 * @reason:   NULL on success, or why not
 */
typedef void (*fence_done_t)(void *owner, uint16_t partid, uint64_t released,
			     const char *reason);

int fence_start(const char *command, uint16_t partid, fence_done_t done,
		void *owner, char *reason);
void fence_forget(const void *owner);
void fence_exit(void);

#endif
