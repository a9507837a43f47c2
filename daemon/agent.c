// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run of a command of the administrator's, beside the loop (child.c).  The
 * step before is fence.c, the step after too.
 * Invariant: it cannot block the daemon: what it reads and writes are files in
 * memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "child.h"
#include "log.h"

/**
 * struct agent - a command that runs
 * @child:   its process
 * @command: in it: its path
 * @input:   in it: what it reads
 * @output:  what it wrote, both of its streams
 * @seconds: that it may take, for people
 * @done:    told afterwards
 * @owner:   for @done
 */
struct agent {
	struct child *child;
	const char *command;
	int input;
	int output;
	unsigned int seconds;
	agent_done_t done;
	void *owner;
};

static void agent_free(struct agent *agent)
{
	close(agent->output);
	free(agent);
}

/**
 * agent_destroy - end a run, at once; nobody is told
 * @agent: freed
 *
 * A command that nobody watches must not turn a machine off.
 */
void agent_destroy(struct agent *agent)
{
	child_kill(agent->child);
	agent_free(agent);
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

static void ended(void *owner, int status, bool killed)
{
	struct agent *agent = owner;
	char reason[REASON_SIZE], said[REASON_SIZE];
	agent_done_t done = agent->done;

	owner = agent->owner;
	last_words(agent, said);
	if (killed) {
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
	agent_free(agent);
	done(owner, status, reason);
}

/* In the child. */
static void run(void *arg)
{
	const struct agent *agent = arg;

	if (dup2(agent->input, STDIN_FILENO) >= 0 &&
	    dup2(agent->output, STDOUT_FILENO) >= 0 &&
	    dup2(agent->output, STDERR_FILENO) >= 0)
		execl(agent->command, agent->command, (char *)NULL);
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
	agent->command = command;
	agent->input = in;
	agent->seconds = timeout_ms / 1000;
	agent->done = done;
	agent->owner = owner;
	agent->output = text_file("");
	if (agent->output < 0)
		goto failed;
	agent->child = child_start(run, agent, timeout_ms, ended, agent);
	if (!agent->child)
		goto close_output;
	close(in);
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
