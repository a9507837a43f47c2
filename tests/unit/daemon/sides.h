/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_SIDES_H
#define XPMEMD_SIDES_H

#include <stdbool.h>

#include "handshake.h"
#include "log.h"

/**
 * struct side - one end
 * @local:  what it is
 * @terms:  what it wants
 * @done:   its handshake has ended
 * @ok:     with a result
 * @result: valid if @ok
 * @partid: whom it was with
 * @reason: valid if not @ok
 */
struct side {
	struct handshake_local local;
	struct handshake_terms terms;
	bool done;
	bool ok;
	struct handshake_result result;
	uint16_t partid;
	char reason[REASON_SIZE];
};

extern struct side side_one, side_two;
extern bool sides_know;
extern int side_fds[2];
extern const struct handshake_ops side_ops;

int sides_setup(void **state);
int sides_teardown(void **state);
void sides_run(uint16_t partid);
void side_run(struct side *victim);
size_t side_hear(int fd, uint8_t bytes[MESSAGE_SIZE_MAX]);

#endif
