/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fence command speaks as Debian's fence-agents do: lines KEY=VALUE on its
 * standard input, among them action and plug (and port, its older name).
 *
 *	action=off	exits 0: done
 *	action=status	exits 0: on, 2: off, else it does not know
 */
#ifndef XPMEMD_FENCE_H
#define XPMEMD_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* A home has no more sessions, those included that were lost. */
#define FENCE_EPOCHS_MAX 64

/**
 * fence_done_t - told how a fence ended
 * @owner:    as given to fence_start(); NULL after fence_forget()
 * @partid:   the partition
 * @released: pages that left quarantine
 * @reason:   NULL on success, or why not
 */
typedef void (*fence_done_t)(void *owner, uint16_t partid, uint64_t released,
			     const char *reason);

int fence_start(const struct config *config, uint16_t partid, uint64_t epoch,
		fence_done_t done, void *owner, char *reason);
bool fence_running(uint16_t partid);
void fence_forget(const void *owner);
void fence_exit(void);

#endif
