/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_PROVE_H
#define XPMEMD_PROVE_H

#include "auth.h"

/* That munged may take for one credential. */
#define PROVE_TIMEOUT_MS 5000

struct prove;

/**
 * prove_done_t - told that a credential was made or verified; @prove is gone
 * @owner:  as given
 * @reason: NULL on success, or why not
 */
typedef void (*prove_done_t)(void *owner, const char *reason);

struct prove *prove_create(const struct auth_claim *claim, uint8_t *secret,
			   char *credential, prove_done_t done, void *owner,
			   char *reason);
struct prove *prove_verify(const struct auth_claim *claim, uint8_t *secret,
			   char *credential, prove_done_t done, void *owner,
			   char *reason);
void prove_destroy(struct prove *prove);

#endif
