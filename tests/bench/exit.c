// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit of a process with 10,000 attachments of one touched page each, beside
 * exit with as many MAP_SHARED mappings, touched alike; from the word to go
 * until the parent has the status.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 10000

static const struct measure measures[] = {
	{ "exit/10000",
	  "exit with 10,000 attachments",
	  "exit with 10,000 MAP_SHARED mappings",
	  "mapping",
	  { 2, 2 },
	  0 },
	{ "exit/10000-workers",
	  "the same until the CPU has nothing to do",
	  "the same",
	  "mapping",
	  { 2, 2 },
	  0 },
	{ "exit/touched",
	  "exit with one attachment, all touched",
	  "exit with one MAP_SHARED mapping",
	  "page",
	  { 0, 0 },
	  0 },
	{ "release/10000",
	  "xpmem_release of 10,000 attachments",
	  "munmap of 10,000 MAP_SHARED mappings",
	  "mapping",
	  { 0, 0 },
	  0 },
};

struct context {
	struct exported exported;
	int file;
	bool many; /* every second page, a mapping each; or one of all */
	bool release; /* before exit, and only that is measured */
	bool workers; /* include what the kernel leaves to its workers */
	void *at[MANY];
	xpmem_apid_t apid;
};

/* Every second page, so that no two become one mapping. */
static size_t place(int i)
{
	return (size_t)i * 2 * page_size;
}

static void *map_page(int file, size_t offset)
{
	void *at = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			file, offset);

	need(at != MAP_FAILED, "map a page of a memory file: %s",
	     strerror(errno));
	return at;
}

static void fill_child(struct context *c, bool xpmem)
{
	if (xpmem)
		c->apid = permit(&c->exported);
	if (!c->many) {
		c->at[0] = xpmem ? attach(c->apid, 0, c->exported.size) :
				   map_file(c->file, c->exported.size);
		touch_write(c->at[0], c->exported.size);
		return;
	}
	for (int i = 0; i < MANY; i++) {
		c->at[i] = xpmem ? attach(c->apid, place(i), page_size) :
				   map_page(c->file, place(i));
		touch_write(c->at[i], page_size);
	}
}

static double release_all(struct context *c, bool xpmem)
{
	uint64_t start = now();

	if (xpmem)
		need(!xpmem_release(c->apid), "xpmem_release: %s",
		     strerror(errno));
	else
		for (int i = 0; i < MANY; i++)
			unmap(c->at[i], page_size);
	return now() - start;
}

static void child(struct context *c, bool xpmem, int fd)
{
	double took = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fill_child(c, xpmem);
	if (c->release)
		took = release_all(c, xpmem);
	if (write(fd, &took, sizeof(took)) == sizeof(took) &&
	    read(fd, &took, sizeof(took)) == sizeof(took))
		_exit(0);
	_exit(1);
}

/* As the least important process, run when all others have nothing to do. */
static void await_workers(void)
{
	static const struct sched_param zero;

	need(!sched_setscheduler(0, SCHED_IDLE, &zero), "SCHED_IDLE: %s",
	     strerror(errno));
	for (int i = 0; i < 10; i++)
		sched_yield();
	need(!sched_setscheduler(0, SCHED_OTHER, &zero), "SCHED_OTHER: %s",
	     strerror(errno));
}

static double end_of_child(struct context *c, bool xpmem)
{
	int ends[2], status;
	uint64_t start;
	double took;
	pid_t pid;

	need(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends),
	     "socketpair: %s", strerror(errno));
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		close(ends[0]);
		child(c, xpmem, ends[1]);
	}
	close(ends[1]);
	need(read(ends[0], &took, sizeof(took)) == sizeof(took),
	     "the child that maps ended early");
	start = now();
	need(write(ends[0], &took, sizeof(took)) == sizeof(took) &&
		     waitpid(pid, &status, 0) == pid && !status,
	     "the child that maps ended badly");
	if (c->workers)
		await_workers();
	if (!c->release)
		took = now() - start;
	close(ends[0]);
	return took / (c->many ? MANY : c->exported.size / page_size);
}

static double with_attachments(void *context)
{
	return end_of_child(context, true);
}

static double with_mappings(void *context)
{
	return end_of_child(context, false);
}

enum how { EXIT_MANY, EXIT_MANY_WORKERS, EXIT_TOUCHED, RELEASE_MANY };

static void one(const char *measure, enum how how)
{
	bool many = how != EXIT_TOUCHED;
	size_t size = many ? 2 * MANY * page_size : options.size;
	struct context *context;
	struct peer peer, sharer;

	if (!wanted(measure))
		return;
	context = calloc(1, sizeof(*context));
	need(context, "memory for %d addresses", MANY);
	context->file = memory_file(size);
	context->many = many;
	context->release = how == RELEASE_MANY;
	context->workers = how == EXIT_MANY_WORKERS;
	peer = peer_start();
	sharer = peer_start();
	peer_export(&sharer, SHARED_FILE, size, context->file);
	context->exported = peer_export(&peer, SMALL_PAGES, size, -1);
	compare(measure, with_attachments, with_mappings, context);
	peer_end(&sharer);
	peer_end(&peer);
	close(context->file);
	free(context);
}

static void run(void)
{
	one("exit/10000", EXIT_MANY);
	if (cpus() == 1)
		one("exit/10000-workers", EXIT_MANY_WORKERS);
	else
		absent("exit/10000-workers",
		       "needs one CPU, which the workers share");
	one("exit/touched", EXIT_TOUCHED);
	one("release/10000", RELEASE_MANY);
}

const struct topic exit_topic = {
	"exit",
	"exit and release with many attachments",
	TOPIC_MEASURES(measures),
	run,
	false,
};
