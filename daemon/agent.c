// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run of a command of the administrator's, beside the loop.  The step
 * before is fence.c, the step after too.
 * Invariant: it can neither block the daemon nor outlive its time-out: what it
 * reads and writes are files in memory, and it is killed with all it started.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "log.h"
#include "loop.h"

/**
 * struct agent - a command that runs
 * @source:  its pidfd, ready when it has ended
 * @timer:   kills it
 * @pid:     its process, and its process group
 * @output:  what it wrote, both of its streams
 * @killed:  it took too long
 * @seconds: that it may take, for people
 * @done:    told afterwards
 * @owner:   for @done
 */
struct agent {
	struct loop_source source;
	struct loop_timer timer;
	pid_t pid;
	int output;
	bool killed;
	unsigned int seconds;
	agent_done_t done;
	void *owner;
};

/**
 * agent_destroy - no longer watch a run; it goes on
 * @agent: freed
 */
void agent_destroy(struct agent *agent)
{
	loop_timer_cancel(&agent->timer);
	loop_remove(&agent->source);
	close(agent->source.fd);
	close(agent->output);
	free(agent);
}

/* The last line that it wrote, "" if none: agents say there what is wrong. */
static void last_words(const struct agent *agent, char *text)
{
	char tail[REASON_SIZE / 2];
	off_t size = lseek(agent->output, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(tail) - 1 ?
			     size - ((off_t)sizeof(tail) - 1) :
			     0;
	ssize_t n = pread(agent->output, tail, sizeof(tail) - 1, from);
	char *line;

	while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
		n--;
	tail[n > 0 ? n : 0] = '\0';
	line = strrchr(tail, '\n');
	reason_set(text, "%s", line ? line + 1 : tail);
	reason_clean(text);
}

static void ended(struct loop_source *source, uint32_t events)
{
	struct agent *agent = container_of(source, struct agent, source);
	agent_done_t done = agent->done;
	char reason[REASON_SIZE], said[REASON_SIZE];
	void *owner = agent->owner;
	int status = -1;

	(void)events;
	if (waitpid(agent->pid, &status, WNOHANG) == 0)
		return;
	last_words(agent, said);
	if (agent->killed) {
		reason_set(reason, "took over %u s and was killed",
			   agent->seconds);
		status = -1;
	} else if (WIFSIGNALED(status)) {
		reason_set(reason, "died of signal %d", WTERMSIG(status));
		status = -1;
	} else {
		status = WEXITSTATUS(status);
		reason_set(reason, "exited with status %d%s%.120s", status,
			   *said ? ": " : "", said);
	}
	agent_destroy(agent);
	done(owner, status, reason);
}

static void timeout(struct loop_timer *timer)
{
	struct agent *agent = container_of(timer, struct agent, timer);

	/* With all that it started: nothing may turn a machine off later on. */
	agent->killed = true;
	kill(-agent->pid, SIGKILL);
}

/* In the child, in a group of its own, with default signals. */
static void run(const char *command, int input, int output)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	if (dup2(input, STDIN_FILENO) >= 0 &&
	    dup2(output, STDOUT_FILENO) >= 0 &&
	    dup2(output, STDERR_FILENO) >= 0)
		execl(command, command, (char *)NULL);
	_exit(127);
}

/* Returns a descriptor of a file in memory with @text in it; or -1. */
static int text_file(const char *text)
{
	size_t length = strlen(text);
	int fd = memfd_create("xpmemd-agent", MFD_CLOEXEC);

	if (fd >= 0 && pwrite(fd, text, length, 0) != (ssize_t)length) {
		close(fd);
		return -1;
	}
	return fd;
}

static int spawn(struct agent *agent, const char *command, int input)
{
	agent->pid = fork();
	if (agent->pid < 0)
		return -1;
	if (!agent->pid)
		run(command, input, agent->output);
	/* Here as well: it may have to be killed before it came to that. */
	setpgid(agent->pid, agent->pid);
	agent->source.fd = pidfd_open(agent->pid, 0);
	if (agent->source.fd >= 0 && !loop_add(&agent->source, EPOLLIN))
		return 0;
	if (agent->source.fd >= 0)
		close(agent->source.fd);
	kill(agent->pid, SIGKILL);
	waitpid(agent->pid, NULL, 0);
	return -1;
}

/**
 * agent_run - run a command
 * @command:    its path; it gets no arguments
 * @input:      what it reads from its standard input
 * @timeout_ms: that it may take
 * @done:       called once, later, unless agent_destroy() comes first
 * @owner:      passed to @done
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Return: the run, or NULL when it could not begin.
 */
struct agent *agent_run(const char *command, const char *input,
			uint32_t timeout_ms, agent_done_t done, void *owner,
			char *reason)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int in = text_file(input);

	if (!agent || in < 0)
		goto failed;
	agent->source.ready = ended;
	agent->timer.fire = timeout;
	agent->seconds = timeout_ms / 1000;
	agent->done = done;
	agent->owner = owner;
	agent->output = text_file("");
	if (agent->output < 0)
		goto failed;
	if (spawn(agent, command, in))
		goto close_output;
	close(in);
	loop_timer_set(&agent->timer, timeout_ms);
	return agent;

close_output:
	close(agent->output);
failed:
	reason_set(reason, "cannot be started: %s", strerror(errno));
	if (in >= 0)
		close(in);
	free(agent);
	return NULL;
}
