/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include "kernel.h"

#define FAKE_SESSIONS 4

/**
 * struct fake_kernel - what the module would know
 * @sessions: those that there are
 * @n:        how many
 * @added:    calls of kernel_session_add() that succeeded
 * @refused:  and that did not
 * @deleted:  calls of kernel_session_del() that were heard
 * @fenced:   calls of kernel_fence() that released something
 * @ending:   how often kernel_fence() says that the session is still ending
 * @refusal:  what kernel_session_add() returns if not 0
 * @deaf:     how often kernel_session_each() fails from now on
 * @stuck:    how often kernel_session_del() fails from now on
 * @asked:    within kernel_session_each()
 * @last:     the session that was added last; its descriptor is a duplicate
 * @events:   whom to tell
 */
struct fake_kernel {
	struct kernel_session sessions[FAKE_SESSIONS];
	unsigned int n;
	unsigned int added;
	unsigned int refused;
	unsigned int deleted;
	unsigned int fenced;
	unsigned int ending;
	int refusal;
	unsigned int deaf;
	unsigned int stuck;
	bool asked;
	struct kernel_session_params last;
	const struct kernel_events_ops *events;
};

extern struct fake_kernel fake_kernel;

void fake_kernel_have(uint16_t partid, uint32_t state, uint64_t epoch);
void fake_kernel_lose(uint16_t partid);

#endif
