// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lost partitions left behind: fencing them without being asked, where the
 * configuration says so, again and again until it succeeds; and what there is to
 * say of it.  The step before is peer.c, which hears of losses, the step after
 * fence.c.
 * Invariant: a partition that is up is not fenced, and one attempt follows the
 * other, at growing intervals.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fence.h"
#include "kernel.h"
#include "log.h"
#include "loop.h"
#include "quarantine.h"

/* Until the kernel is asked again: when that failed, and not at once. */
#define LOOK_AGAIN_MS 1000

/**
 * struct culprit - a partition of which something was lost
 * @next:       any order
 * @partid:     the partition
 * @lost:       it has lost sessions, the kernel says
 * @up:         it has one that is up
 * @retry:      begins the next attempt
 * @waited:     fence-delay began for it; the timer is for a failure otherwise
 * @warned:     it was said that it came up too late
 * @backoff_ms: before the attempt after that
 * @attempts:   that failed
 * @failure:    why the last one did
 */
struct culprit {
	struct culprit *next;
	uint16_t partid;
	bool lost;
	bool up;
	struct loop_timer retry;
	bool waited;
	bool warned;
	uint32_t backoff_ms;
	unsigned int attempts;
	char failure[REASON_SIZE];
};

static const struct config *config;
static struct culprit *culprits;
static struct loop_timer again;

static struct culprit *find(uint16_t partid)
{
	struct culprit *culprit = culprits;

	while (culprit && culprit->partid != partid)
		culprit = culprit->next;
	return culprit;
}

static bool is_peer(uint16_t partid)
{
	size_t i;

	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == partid)
			return true;
	}
	return false;
}

static bool is_automatic(uint16_t partid)
{
	return config->fence_auto && *config->fence_command && is_peer(partid);
}

/**
 * quarantine_failed - a fence failed
 * @partid: the partition
 * @reason: why
 */
void quarantine_failed(uint16_t partid, const char *reason)
{
	struct culprit *culprit = find(partid);

	if (!culprit)
		return;
	culprit->attempts++;
	reason_set(culprit->failure, "%s", reason);
}

static void retry_later(struct culprit *culprit)
{
	loop_timer_set(&culprit->retry, culprit->backoff_ms);
	log_warning(
		"partition %u: fencing it again in %u s; see xpmemctl quarantine",
		culprit->partid, culprit->backoff_ms / 1000);
	culprit->backoff_ms *= 2;
	if (culprit->backoff_ms > QUARANTINE_RETRY_MAX_MS)
		culprit->backoff_ms = QUARANTINE_RETRY_MAX_MS;
}

static void auto_done(void *owner, uint16_t partid, uint64_t released,
		      const char *reason)
{
	struct culprit *culprit = find(partid);

	(void)owner;
	(void)released;
	if (reason && culprit) {
		quarantine_failed(partid, reason);
		retry_later(culprit);
	}
	/* Another session may have been lost meanwhile. */
	quarantine_look();
}

static void begin(struct culprit *culprit)
{
	char reason[REASON_SIZE];

	if (!fence_start(config, culprit->partid, 0, auto_done, NULL, reason))
		return;
	quarantine_failed(culprit->partid, reason);
	retry_later(culprit);
}

/* Before the first attempt it may come back, if the configuration says so. */
static void begin_or_wait(struct culprit *culprit)
{
	if (culprit->waited || !config->fence_delay_ms) {
		begin(culprit);
		return;
	}
	culprit->waited = true;
	loop_timer_set(&culprit->retry, config->fence_delay_ms);
	log_warning(
		"partition %u: fencing it in %u s unless it comes back; see xpmemctl quarantine",
		culprit->partid, config->fence_delay_ms / 1000);
}

/*
 * It came back.  What has not begun does not begin; a command that was asked to
 * turn it off may be half-way, and is not broken off.
 */
static void spare(struct culprit *culprit)
{
	if (culprit->retry.armed)
		log_info("partition %u: up again; it is not fenced",
			 culprit->partid);
	loop_timer_cancel(&culprit->retry);
	culprit->waited = false;
	culprit->backoff_ms = QUARANTINE_RETRY_MIN_MS;
	if (fence_running(culprit->partid) && !culprit->warned)
		log_warning(
			"partition %u: up again, too late: the fence command was started before, and turns it off; start it again",
			culprit->partid);
	culprit->warned = fence_running(culprit->partid);
}

static void retry_fire(struct loop_timer *timer)
{
	(void)timer;
	quarantine_look();
}

static struct culprit *culprit_create(uint16_t partid)
{
	struct culprit *culprit = calloc(1, sizeof(*culprit));

	if (!culprit) {
		log_error(
			"no memory to fence partition %u; free some, then: xpmemctl fence %u",
			partid, partid);
		return NULL;
	}
	culprit->partid = partid;
	culprit->backoff_ms = QUARANTINE_RETRY_MIN_MS;
	culprit->retry.fire = retry_fire;
	culprit->next = culprits;
	culprits = culprit;
	return culprit;
}

/* Sessions as the kernel tells them, in no order. */
struct seen {
	unsigned int n;
	struct {
		uint16_t partid;
		bool lost;
	} session[FENCE_EPOCHS_MAX];
};

static void see(const struct kernel_session *session, void *arg)
{
	struct seen *seen = arg;

	if (seen->n == FENCE_EPOCHS_MAX)
		return;
	seen->session[seen->n].partid = session->partid;
	/* One that holds nothing is only ending. */
	seen->session[seen->n++].lost = session->state ==
						XPMEM_SESSION_STATE_LOST &&
					session->quarantine;
}

static void note_seen(const struct seen *seen)
{
	struct culprit *culprit;
	unsigned int i;

	for (culprit = culprits; culprit; culprit = culprit->next)
		culprit->lost = culprit->up = false;
	for (i = 0; i < seen->n; i++) {
		if (!seen->session[i].lost)
			continue;
		culprit = find(seen->session[i].partid) ?:
				  culprit_create(seen->session[i].partid);
		if (culprit)
			culprit->lost = true;
	}
	for (i = 0; i < seen->n; i++) {
		culprit = find(seen->session[i].partid);
		if (culprit && !seen->session[i].lost)
			culprit->up = true;
	}
}

/* Makes the list what the kernel says.  Returns 0 or -1. */
static int learn(char *reason)
{
	struct culprit **at = &culprits, *culprit;
	struct seen seen = {};

	if (kernel_session_each(see, &seen, reason))
		return -1;
	note_seen(&seen);
	while ((culprit = *at)) {
		if (culprit->lost || fence_running(culprit->partid)) {
			at = &culprit->next;
			continue;
		}
		*at = culprit->next;
		loop_timer_cancel(&culprit->retry);
		free(culprit);
	}
	return 0;
}

/**
 * quarantine_look - sessions changed: is there anything to fence?
 */
void quarantine_look(void)
{
	struct culprit *culprit, *next;
	char reason[REASON_SIZE];

	if (learn(reason)) {
		log_error("cannot list the kernel's sessions: %s; see dmesg",
			  reason);
		loop_timer_set(&again, LOOK_AGAIN_MS);
		return;
	}
	for (culprit = culprits; culprit; culprit = next) {
		next = culprit->next;
		if (culprit->up)
			spare(culprit);
		else if (culprit->lost && is_automatic(culprit->partid) &&
			 !culprit->retry.armed &&
			 !fence_running(culprit->partid))
			begin_or_wait(culprit);
	}
}

/**
 * quarantine_news - sessions changed: look when the caller is done
 *
 * The news may come in the middle of an answer of the kernel, and looking asks
 * it again.
 */
void quarantine_news(void)
{
	loop_timer_set(&again, 0);
}

static uint64_t seconds_left(const struct culprit *culprit)
{
	uint64_t now = loop_now(), due = culprit->retry.due;

	return due > now ? (due - now) / 1000 : 0;
}

static void fill_advice(const struct culprit *culprit,
			struct quarantine_line *line, char *advice)
{
	unsigned int id = line->partid;

	if (fence_running(line->partid)) {
		line->fence = "running";
		reason_set(advice, "wait");
	} else if (culprit->up) {
		line->fence = "up-again";
		reason_set(
			advice,
			"it is alive: shut it down%s, then: xpmemctl fence %u",
			*config->fence_command ?
				"" :
				", or be sure that it was restarted since",
			id);
	} else if (!*config->fence_command) {
		line->fence = "by-hand";
		reason_set(
			advice,
			"make sure that it is off or was reset, then: xpmemctl fence %u",
			id);
	} else if (!is_automatic(line->partid)) {
		line->fence = "by-hand";
		reason_set(advice, "xpmemctl fence %u turns it off", id);
	} else if (culprit->retry.armed && !culprit->attempts) {
		line->fence = "delayed";
		reason_set(
			advice,
			"fenced in %llu s unless it comes back; now: xpmemctl fence %u",
			(unsigned long long)seconds_left(culprit), id);
	} else if (culprit->retry.armed) {
		line->fence = "retry";
		reason_set(
			advice,
			"look at the fence device; tried again in %llu s, or now: xpmemctl fence %u",
			(unsigned long long)seconds_left(culprit), id);
	} else {
		line->fence = "due";
		reason_set(advice, "wait");
	}
}

struct line_each {
	void (*each)(const struct quarantine_line *line, void *arg);
	void *arg;
};

static void tell_line(const struct kernel_session *session, void *arg)
{
	const struct culprit *culprit = find(session->partid);
	const struct line_each *to = arg;
	char advice[REASON_SIZE];
	struct quarantine_line line = {
		.partid = session->partid,
		.epoch = session->epoch,
		.pages = session->quarantine,
		.lost_ms = session->lost_ms,
		.advice = advice,
	};

	if (session->state != XPMEM_SESSION_STATE_LOST || !culprit)
		return;
	line.attempts = culprit->attempts;
	line.failure = culprit->failure;
	fill_advice(culprit, &line, advice);
	to->each(&line, to->arg);
}

/**
 * quarantine_each - what every lost session left behind
 * @each:   called for each, before this returns; must make no request
 * @arg:    for @each
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int quarantine_each(void (*each)(const struct quarantine_line *line, void *arg),
		    void *arg, char *reason)
{
	struct line_each to = { .each = each, .arg = arg };

	if (learn(reason) || kernel_session_each(tell_line, &to, reason))
		return -1;
	return 0;
}

/**
 * quarantine_init - be ready to fence
 * @conf: must outlive quarantine_exit() or be replaced by quarantine_reload()
 */
void quarantine_init(const struct config *conf)
{
	config = conf;
	again.fire = retry_fire;
}

/**
 * quarantine_exit - forget all; the kernel does not
 */
void quarantine_exit(void)
{
	struct culprit *culprit;

	loop_timer_cancel(&again);
	while ((culprit = culprits)) {
		culprits = culprit->next;
		loop_timer_cancel(&culprit->retry);
		free(culprit);
	}
}

/**
 * quarantine_reload - use another configuration from now on
 * @conf: takes the place of the one before
 *
 * What failed is tried again at once: the fence command may be another one.
 */
void quarantine_reload(const struct config *conf)
{
	struct culprit *culprit;

	config = conf;
	for (culprit = culprits; culprit; culprit = culprit->next) {
		loop_timer_cancel(&culprit->retry);
		culprit->backoff_ms = QUARANTINE_RETRY_MIN_MS;
		culprit->waited = culprit->attempts;
	}
	quarantine_look();
}
