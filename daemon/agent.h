/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_AGENT_H
#define XPMEMD_AGENT_H

#include <stdint.h>

struct agent;

/**
 * agent_done_t - told how a run ended; the agent is gone then
 * @owner:  as given to agent_run()
 * @status: its exit status; -1 when it did not exit by itself
 * @reason: what it said last, or how it ended
 */
typedef void (*agent_done_t)(void *owner, int status, const char *reason);

struct agent *agent_run(const char *command, const char *input,
			uint32_t timeout_ms, agent_done_t done, void *owner,
			char *reason);
void agent_destroy(struct agent *agent);

#endif
