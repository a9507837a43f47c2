// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process beside the loop, for what may take long or hang.  The step before
 * is agent.c or prove.c, the step after too.
 * Invariant: it neither blocks the daemon nor outlives it or its time-out; it is
 * killed with all of its process group, and reaped.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "loop.h"

/**
 * struct child - a process
 * @source: its pidfd, ready when it has ended
 * @timer:  kills it
 * @pid:    its process, and its process group
 * @killed: it took too long
 * @done:   told afterwards; NULL: nobody is
 * @owner:  for @done
 */
struct child {
	struct loop_source source;
	struct loop_timer timer;
	pid_t pid;
	bool killed;
	child_done_t done;
	void *owner;
};

/* Returns whether it was there to be reaped; it is freed then. */
static bool reap(struct child *child, int *status)
{
	/* What it left behind: its number is its own until it is reaped. */
	kill(-child->pid, SIGKILL);
	if (waitpid(child->pid, status, WNOHANG) == 0)
		return false;
	loop_timer_cancel(&child->timer);
	loop_remove(&child->source);
	close(child->source.fd);
	free(child);
	return true;
}

static void ended(struct loop_source *source, uint32_t events)
{
	struct child *child = container_of(source, struct child, source);
	child_done_t done = child->done;
	void *owner = child->owner;
	bool killed = child->killed;
	/* No success, should somebody else have waited for it. */
	int status = -1;

	(void)events;
	if (reap(child, &status) && done)
		done(owner, status, killed);
}

static void timeout(struct loop_timer *timer)
{
	struct child *child = container_of(timer, struct child, timer);

	child->killed = true;
	kill(-child->pid, SIGKILL);
}

/* In the child: a group of its own, default signals, and no life after ours. */
static void prepare(pid_t parent)
{
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
}

static int spawn(struct child *child, void (*run)(void *arg), void *arg)
{
	pid_t parent = getpid();

	child->pid = fork();
	if (child->pid < 0)
		return -1;
	if (!child->pid) {
		prepare(parent);
		run(arg);
		_exit(127);
	}
	/* Here as well: it may have to be killed before it came to that. */
	setpgid(child->pid, child->pid);
	child->source.fd = pidfd_open(child->pid, 0);
	if (child->source.fd >= 0 && !loop_add(&child->source, EPOLLIN))
		return 0;
	if (child->source.fd >= 0)
		close(child->source.fd);
	kill(-child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	return -1;
}

/**
 * child_start - run a function in a process of its own
 * @run:        in the child; should end with exec or _exit()
 * @arg:        for @run
 * @timeout_ms: that it may take
 * @done:       called once, later, unless child_kill() comes first
 * @owner:      passed to @done
 *
 * Return: the child; or NULL with errno set.
 */
struct child *child_start(void (*run)(void *arg), void *arg,
			  uint32_t timeout_ms, child_done_t done, void *owner)
{
	struct child *child = calloc(1, sizeof(*child));
	int err;

	if (!child)
		return NULL;
	child->source.ready = ended;
	child->timer.fire = timeout;
	child->done = done;
	child->owner = owner;
	if (spawn(child, run, arg)) {
		err = errno;
		free(child);
		errno = err;
		return NULL;
	}
	loop_timer_set(&child->timer, timeout_ms);
	return child;
}

/**
 * child_kill - end a child; its owner is not called
 * @child: the loop frees it when it has ended
 *
 * Does not wait: a process that is in a system call may take its time to die.
 */
void child_kill(struct child *child)
{
	int status;

	child->done = NULL;
	loop_timer_cancel(&child->timer);
	reap(child, &status);
}
