// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making sure that a partition can reach nothing any more: a command of the
 * administrator's, or his word.  The step before is control.c, the step after
 * the kernel, which lets pages out of quarantine.
 * Invariant: the kernel is told only after the command has succeeded, and only
 * if nothing was lost after it began.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence.h"
#include "kernel.h"
#include "log.h"
#include "loop.h"

#define FENCE_TIMEOUT_MS 60000

/**
 * struct fence - a command that runs
 * @next:   any order
 * @source: its pidfd, ready when it has ended
 * @timer:  kills it
 * @pid:    its process
 * @partid: whom it fences
 * @killed: it took too long
 * @lost:   what was lost when it began, by lost_epochs()
 * @done:   told afterwards
 * @owner:  for @done
 */
struct fence {
	struct fence *next;
	struct loop_source source;
	struct loop_timer timer;
	pid_t pid;
	uint16_t partid;
	bool killed;
	uint64_t lost;
	fence_done_t done;
	void *owner;
};

static struct fence *fences;

static void fence_unlink(struct fence *fence)
{
	struct fence **at = &fences;

	while (*at != fence)
		at = &(*at)->next;
	*at = fence->next;
}

static void fence_destroy(struct fence *fence)
{
	fence_unlink(fence);
	loop_timer_cancel(&fence->timer);
	loop_remove(&fence->source);
	close(fence->source.fd);
	free(fence);
}

static void tell_kernel(uint16_t partid, fence_done_t done, void *owner)
{
	char reason[REASON_SIZE];
	uint64_t released;

	if (kernel_fence(partid, &released, reason)) {
		log_error("partition %u: cannot fence: %s", partid, reason);
		done(owner, partid, 0, reason);
		return;
	}
	log_info("partition %u: fenced, %llu pages released", partid,
		 (unsigned long long)released);
	done(owner, partid, released, NULL);
}

struct lost {
	uint16_t partid;
	uint64_t epochs;
};

static void add_lost(const struct kernel_session *session, void *arg)
{
	struct lost *lost = arg;

	if (session->partid == lost->partid &&
	    session->state == XPMEM_SESSION_STATE_LOST)
		lost->epochs += session->epoch;
}

/* The sum of random numbers stands for which they are.  Returns 0 or -1. */
static int lost_epochs(uint16_t partid, uint64_t *epochs, char *reason)
{
	struct lost lost = { .partid = partid };

	if (kernel_session_each(add_lost, &lost, reason))
		return -1;
	*epochs = lost.epochs;
	return 0;
}

/* What was lost after the command began, it may not have fenced. */
static int still_the_same(uint16_t partid, uint64_t before, char *reason)
{
	uint64_t now;

	if (lost_epochs(partid, &now, reason))
		return -1;
	if (now != before)
		return reason_set(
			reason,
			"partition %u came back and was lost again while the fence command ran; fence it again",
			partid);
	return 0;
}

static void ended(struct loop_source *source, uint32_t events)
{
	struct fence *fence = container_of(source, struct fence, source);
	fence_done_t done = fence->done;
	uint16_t partid = fence->partid;
	uint64_t lost = fence->lost;
	void *owner = fence->owner;
	char reason[REASON_SIZE];
	int status = -1;

	(void)events;
	if (waitpid(fence->pid, &status, WNOHANG) == 0)
		return;
	if (fence->killed)
		reason_set(reason,
			   "the fence command took over %d s and was killed",
			   FENCE_TIMEOUT_MS / 1000);
	else if (WIFSIGNALED(status))
		reason_set(reason, "the fence command died of signal %d",
			   WTERMSIG(status));
	else
		reason_set(reason, "the fence command failed with status %d",
			   WEXITSTATUS(status));
	fence_destroy(fence);
	if (!status && !still_the_same(partid, lost, reason)) {
		tell_kernel(partid, done, owner);
		return;
	}
	log_error("partition %u: not fenced: %s", partid, reason);
	done(owner, partid, 0, reason);
}

static void timeout(struct loop_timer *timer)
{
	struct fence *fence = container_of(timer, struct fence, timer);

	/* With all that it started: nothing may turn a machine off later on. */
	fence->killed = true;
	kill(-fence->pid, SIGKILL);
}

/* In the child: runs the command, with default signals, in its own group. */
static void run(const char *command, uint16_t partid)
{
	char id[8];
	sigset_t none;

	snprintf(id, sizeof(id), "%u", partid);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	execl(command, command, id, (char *)NULL);
	_exit(127);
}

static int spawn(struct fence *fence, const char *command, char *reason)
{
	fence->pid = fork();
	if (fence->pid < 0)
		return reason_set(reason, "fork: %s", strerror(errno));
	if (!fence->pid)
		run(command, fence->partid);
	fence->source.fd = pidfd_open(fence->pid, 0);
	if (fence->source.fd >= 0 && !loop_add(&fence->source, EPOLLIN))
		return 0;
	reason_set(reason, "pidfd_open: %s", strerror(errno));
	if (fence->source.fd >= 0)
		close(fence->source.fd);
	kill(fence->pid, SIGKILL);
	waitpid(fence->pid, NULL, 0);
	return -1;
}

/**
 * fence_start - fence a partition
 * @command: program that does it, given the partid; or "": the administrator
 *           says that it is done
 * @partid:  the partition
 * @done:    called once on success, perhaps before this returns
 * @owner:   passed to @done
 * @reason:  REASON_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1 when nothing was begun and @done will not be called.
 */
int fence_start(const char *command, uint16_t partid, fence_done_t done,
		void *owner, char *reason)
{
	struct fence *fence;

	for (fence = fences; fence; fence = fence->next) {
		if (fence->partid == partid)
			return reason_set(
				reason, "partition %u is being fenced already",
				partid);
	}
	if (!*command) {
		tell_kernel(partid, done, owner);
		return 0;
	}
	fence = calloc(1, sizeof(*fence));
	if (!fence)
		return reason_set(reason, "no memory");
	fence->source.ready = ended;
	fence->timer.fire = timeout;
	fence->partid = partid;
	fence->done = done;
	fence->owner = owner;
	if (lost_epochs(partid, &fence->lost, reason) ||
	    spawn(fence, command, reason)) {
		free(fence);
		return -1;
	}
	fence->next = fences;
	fences = fence;
	loop_timer_set(&fence->timer, FENCE_TIMEOUT_MS);
	log_info("partition %u: fencing with %s", partid, command);
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
 * fence_exit - stop watching commands; they go on, and prove nothing
 */
void fence_exit(void)
{
	while (fences) {
		log_warning(
			"partition %u: its fence is not waited for; fence it again",
			fences->partid);
		fence_destroy(fences);
	}
}
