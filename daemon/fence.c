// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making sure that a partition can reach nothing any more: a command of the
 * administrator's, or his word.  The step before is quarantine.c or requests.c,
 * the step after the kernel, which lets pages out of quarantine.
 * Invariant: the kernel is told only after the command turned the partition off
 * and then found it off, and only of sessions that were lost before that began.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "fence.h"
#include "kernel.h"
#include "log.h"
#include "loop.h"

/* What a fence agent exits with after action=status when the machine is off. */
#define STATUS_OFF 2
/* A session that was just lost ends within a deadline or so. */
#define ENDING_RETRY_MS 100
#define ENDING_RETRIES 600

/**
 * struct fence - one under way
 * @next:    any order
 * @command: of the configuration when this began, and so are
 * @options: lines for it, and
 * @timeout_ms: that one run may take
 * @partid:  whom it fences
 * @agent:   the run of the command; NULL when none runs
 * @checks:  that run asks for the status
 * @retry:   tells the kernel again, of what was still ending
 * @retries: that are left
 * @epochs:  of the sessions that are to be released
 * @n:       of them
 * @released: pages so far
 * @done:    told afterwards
 * @owner:   for @done
 */
struct fence {
	struct fence *next;
	char command[sizeof(((struct config *)0)->fence_command)];
	char options[2 * CONFIG_OPTIONS_SIZE + 64];
	uint32_t timeout_ms;
	uint16_t partid;
	struct agent *agent;
	bool checks;
	struct loop_timer retry;
	unsigned int retries;
	uint64_t epochs[FENCE_EPOCHS_MAX];
	unsigned int n;
	uint64_t released;
	fence_done_t done;
	void *owner;
};

static struct fence *fences;

static void fence_destroy(struct fence *fence)
{
	struct fence **at = &fences;

	while (*at != fence)
		at = &(*at)->next;
	*at = fence->next;
	loop_timer_cancel(&fence->retry);
	if (fence->agent)
		agent_destroy(fence->agent);
	free(fence);
}

/* @reason is NULL on success. */
static void finish(struct fence *fence, const char *reason)
{
	fence_done_t done = fence->done;
	uint64_t released = fence->released;
	uint16_t partid = fence->partid;
	void *owner = fence->owner;

	fence_destroy(fence);
	if (reason)
		log_error("partition %u: not fenced: %s", partid, reason);
	else
		log_info("partition %u: fenced, %llu pages released", partid,
			 (unsigned long long)released);
	done(owner, partid, released, reason);
}

/*
 * One session after the other.  That nothing of one is in quarantine any more
 * is as good; that one is still ending is waited for.
 */
static void tell_kernel(struct fence *fence)
{
	char reason[REASON_SIZE];
	uint64_t released;
	int err;

	while (fence->n) {
		err = kernel_fence(fence->partid, fence->epochs[fence->n - 1],
				   &released, reason);
		if (err == -EAGAIN && fence->retries--) {
			loop_timer_set(&fence->retry, ENDING_RETRY_MS);
			return;
		}
		if (err && err != -ENOENT) {
			finish(fence, reason);
			return;
		}
		fence->released += err ? 0 : released;
		fence->n--;
	}
	finish(fence, NULL);
}

static void retry(struct loop_timer *timer)
{
	tell_kernel(container_of(timer, struct fence, retry));
}

static void agent_done(void *owner, int status, const char *why);

static int ask_agent(struct fence *fence, const char *action, char *reason)
{
	char input[sizeof(fence->options) + 32], why[REASON_SIZE];

	snprintf(input, sizeof(input), "action=%s\n%s", action, fence->options);
	fence->agent = agent_run(fence->command, input, fence->timeout_ms,
				 agent_done, fence, why);
	if (fence->agent)
		return 0;
	return reason_set(reason,
			  "the fence command %.180s; see xpmemctl quarantine",
			  why);
}

static void agent_done(void *owner, int status, const char *why)
{
	struct fence *fence = owner;
	char reason[REASON_SIZE];

	fence->agent = NULL;
	if (!fence->checks && !status) {
		fence->checks = true;
		if (ask_agent(fence, "status", reason))
			finish(fence, reason);
	} else if (fence->checks && status == STATUS_OFF) {
		tell_kernel(fence);
	} else {
		reason_set(
			reason,
			fence->checks && !status ?
				"the fence command finds it on after it turned it off; correct fence-options, see fence-command in xpmemd.conf(5)" :
				"the fence command, asked for %s, %.160s; look at the fence device",
			fence->checks ? "its status" : "power off", why);
		finish(fence, reason);
	}
}

/**
 * struct sessions - what the kernel says of a partition
 * @partid: the partition
 * @epoch:  the only one that is meant; 0: all
 * @fence:  takes those that were lost
 * @lost:   any was
 * @up:     one is up
 */
struct sessions {
	uint16_t partid;
	uint64_t epoch;
	struct fence *fence;
	bool lost;
	bool up;
};

static void add_session(const struct kernel_session *session, void *arg)
{
	struct sessions *of = arg;
	struct fence *fence = of->fence;

	if (session->partid != of->partid)
		return;
	if (session->state != XPMEM_SESSION_STATE_LOST)
		of->up = true;
	if (session->state != XPMEM_SESSION_STATE_LOST || !session->quarantine)
		return;
	of->lost = true;
	if ((!of->epoch || of->epoch == session->epoch) &&
	    fence->n < FENCE_EPOCHS_MAX)
		fence->epochs[fence->n++] = session->epoch;
}

/*
 * A fence command turns a machine off: not for nothing, and not one that came
 * back.  The administrator's own word ends nothing.
 */
static int find_lost(struct fence *fence, uint64_t epoch, char *reason)
{
	struct sessions of = {
		.partid = fence->partid,
		.epoch = epoch,
		.fence = fence,
	};

	if (kernel_session_each(add_session, &of, reason))
		return -1;
	if (!of.lost && of.up)
		return reason_set(
			reason,
			"the session of partition %u is up, only what is lost can be fenced; see xpmemctl quarantine",
			of.partid);
	if (!of.lost)
		return reason_set(
			reason,
			"nothing of partition %u is lost, there is nothing to fence; see xpmemctl quarantine",
			of.partid);
	if (!fence->n)
		return reason_set(
			reason,
			"no session of partition %u with epoch %#llx is lost; see xpmemctl quarantine",
			of.partid, (unsigned long long)epoch);
	if (of.up && *fence->command)
		return reason_set(
			reason,
			"partition %u is up again, and the fence command would end it; shut it down, or remove fence-command if it was reset since it was lost",
			of.partid);
	return 0;
}

static bool has_key(const char *options, const char *key)
{
	const char *at = options;

	while ((at = strstr(at, key))) {
		if ((at == options || at[-1] == '\n') && at[strlen(key)] == '=')
			return true;
		at++;
	}
	return false;
}

/* What the command is told beside the action, the most special last. */
static void make_options(struct fence *fence, const struct config *config)
{
	const char *own = "";
	size_t i;

	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == fence->partid)
			own = config->peers[i].fence_options;
	}
	snprintf(fence->options, sizeof(fence->options), "%s%s",
		 config->fence_options, own);
	if (!has_key(own, "plug") && !has_key(own, "port"))
		snprintf(fence->options, sizeof(fence->options),
			 "%s%splug=%u\nport=%u\n", config->fence_options, own,
			 fence->partid, fence->partid);
}

/**
 * fence_running - is a partition being fenced?
 * @partid: the partition
 *
 * Return: true or false.
 */
bool fence_running(uint16_t partid)
{
	const struct fence *fence = fences;

	while (fence && fence->partid != partid)
		fence = fence->next;
	return fence;
}

/**
 * fence_start - fence a partition
 * @config: its fence command does it; if there is none, the administrator says
 *          that it is done
 * @partid: the partition
 * @epoch:  of the lost session that is meant; 0: all that are lost now
 * @done:   called once on success, perhaps before this returns
 * @owner:  passed to @done
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1 when nothing was begun and @done will not be called.
 */
int fence_start(const struct config *config, uint16_t partid, uint64_t epoch,
		fence_done_t done, void *owner, char *reason)
{
	struct fence *fence;

	if (fence_running(partid))
		return reason_set(reason,
				  "partition %u is being fenced already; wait",
				  partid);
	fence = calloc(1, sizeof(*fence));
	if (!fence)
		return reason_set(reason,
				  "no memory to fence partition %u; free some",
				  partid);
	strcpy(fence->command, config->fence_command);
	fence->timeout_ms = config->fence_timeout_ms;
	fence->partid = partid;
	fence->retry.fire = retry;
	fence->retries = ENDING_RETRIES;
	fence->done = done;
	fence->owner = owner;
	make_options(fence, config);
	if (find_lost(fence, epoch, reason) ||
	    (*fence->command && ask_agent(fence, "off", reason))) {
		free(fence);
		return -1;
	}
	fence->next = fences;
	fences = fence;
	if (*fence->command)
		log_info("partition %u: fencing with %s", partid,
			 fence->command);
	else
		tell_kernel(fence);
	return 0;
}

/**
 * fence_forget - the owner is going; fencing goes on
 * @owner: as given to fence_start()
 */
void fence_forget(const void *owner)
{
	struct fence *fence;

	for (fence = fences; fence; fence = fence->next) {
		if (fence->owner == owner)
			fence->owner = NULL;
	}
}

/**
 * fence_exit - end all commands: nobody would see what they did
 */
void fence_exit(void)
{
	while (fences) {
		log_warning(
			"partition %u: its fence is broken off, and it may be on or off; wait, fence-auto begins again with the next xpmemd, or: xpmemctl fence %u",
			fences->partid, fences->partid);
		fence_destroy(fences);
	}
}
