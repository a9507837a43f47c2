// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGKILL at every step: whatever a process is doing with a segment, a permit
 * or an attachment, it dies, and nothing is left.
 *
 * usage: kill [ROUNDS]
 *
 * A victim repeats one activity and writes a byte into a pipe each time; it is
 * killed after so many bytes, so that it is in the midst of the next.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE XT_MIB
#define MANY 1000

static int rounds;
static int beats[2]; /* the pipe */

struct victim {
	xpmem_segid_t segid;
	void (*act)(struct victim *v);
	size_t turn;
	xpmem_apid_t apid; /* got at the beginning */
	char *at; /* the whole segment, attached at the beginning */
};

static void beat(void)
{
	char byte = 'x';

	if (write(beats[1], &byte, 1) != 1)
		_exit(3);
}

static void touch_all(char *at, bool store)
{
	uint64_t value;

	for (size_t i = 0; i < SIZE; i += xt_page)
		store ? xt_store(at + i, i) : xt_load(at + i, &value);
}

static void gets(struct victim *v)
{
	xpmem_release(xt_permit(v->segid, XPMEM_RDWR));
}

static void makes(struct victim *v)
{
	xpmem_segid_t segid = xt_export(v->at, xt_page, 0600);

	if (v->turn % 2)
		xpmem_remove(segid);
}

static void attaches(struct victim *v)
{
	xpmem_detach(xt_attach(v->apid, SIZE));
}

static void first_touches(struct victim *v)
{
	char *at = xt_attach(v->apid, SIZE);

	touch_all(at, v->turn % 2);
	xpmem_detach(at);
}

/* Pages that the exporter gave to swap: each touch reads the disk. */
static void slow_touches(struct victim *v)
{
	touch_all(v->at, v->turn % 2);
}

static void detaches(struct victim *v)
{
	char *at[8];

	for (int i = 0; i < 8; i++) {
		at[i] = xt_attach(v->apid, SIZE);
		xt_load(at[i], NULL);
	}
	beat();
	for (int i = 0; i < 8; i++)
		xpmem_detach(at[i]);
}

static void unmaps(struct victim *v)
{
	char *at = xt_attach(v->apid, SIZE);

	touch_all(at, false);
	munmap(at + SIZE / 4, SIZE / 2);
	munmap(at, SIZE);
}

static void releases(struct victim *v)
{
	xpmem_apid_t apid = xt_permit(v->segid, XPMEM_RDWR);

	for (int i = 0; i < 50; i++)
		xt_load(xt_attach(apid, xt_page), NULL);
	beat();
	xpmem_release(apid);
}

/* A hole: the fault drops its lock, fails and is repeated. */
static void faults_in_holes(struct victim *v)
{
	struct xpmem_addr addr = { .apid = v->apid, .offset = SIZE };
	char *at = xpmem_attach(addr, SIZE, NULL);

	touch_all(at, v->turn % 2);
	xpmem_detach(at);
}

static void populates(struct victim *v)
{
	struct xpmem_addr addr = { .apid = v->apid };
	char *at =
		xpmem_attach_flags(addr, 2 * SIZE, NULL, XPMEM_ATTACH_POPULATE);

	madvise(at, SIZE, v->turn % 2 ? MADV_POPULATE_WRITE : MADV_WILLNEED);
	madvise(at + SIZE, SIZE, MADV_POPULATE_READ);
	xpmem_detach(at);
}

/* A debugger's access. It may fail while the exporter is busy, but not hang. */
static void looks_at_itself(struct victim *v)
{
	static char copy[SIZE];
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < SIZE; i += xt_page)
		if (pread(fd, copy, xt_page, (uintptr_t)v->at + i) > 0)
			v->turn += pwrite(fd, copy, 8, (uintptr_t)v->at + i) <
				   0;
	close(fd);
}

/* The kernel touches it on behalf of a system call. */
static void writes(struct victim *v)
{
	char *at = xt_attach(v->apid, SIZE);
	int fd = memfd_create("copy", MFD_CLOEXEC);

	if (write(fd, at, SIZE) != (ssize_t)SIZE)
		_exit(3);
	close(fd);
	xpmem_detach(at);
}

static void forks(struct victim *v)
{
	pid_t child = fork();

	if (!child)
		_exit(xt_load(v->at, NULL) != SIGSEGV);
	waitpid(child, NULL, 0);
}

static void victim(void *arg)
{
	struct victim *v = arg;

	v->apid = xt_permit(v->segid, XPMEM_RDWR);
	v->at = xt_attach(v->apid, SIZE);
	for (;; v->turn++) {
		v->act(v);
		beat();
	}
}

static void *second_thread(void *arg)
{
	struct victim v = *(struct victim *)arg;

	for (;; v.turn++)
		v.act(&v);
	return NULL;
}

static void threaded_victim(void *arg)
{
	struct victim *v = arg;
	pthread_t thread;

	v->apid = xt_permit(v->segid, XPMEM_RDWR);
	v->at = xt_attach(v->apid, SIZE);
	for (int i = 0; i < 2; i++)
		xt_need(!pthread_create(&thread, NULL, second_thread, v),
			"pthread_create");
	for (;; v->turn++) {
		v->act(v);
		beat();
	}
}

/* Lets it live for so many beats; then it has to die. */
static void die_after(pid_t pid, int n, const char *what)
{
	struct pollfd fds[] = { { .fd = beats[0], .events = POLLIN },
				{ .fd = pidfd_open(pid, 0),
				  .events = POLLIN } };
	char byte;

	while (n-- > 0) {
		if (poll(fds, 2, XT_WAIT_MS) < 1)
			xt_fail("%s: waiting for the victim", what);
		/* It may have told all and ended by itself, as it should. */
		if (!fds[0].revents)
			xt_fail("%s: the victim has ended", what);
		xt_need(read(beats[0], &byte, 1) == 1, "read the pipe");
	}
	close(fds[1].fd);
	xt_ok(xt_dies(pid), "%s: dies", what);
}

static void new_pipe(void)
{
	if (beats[0])
		for (int i = 0; i < 2; i++)
			close(beats[i]);
	xt_need(!pipe2(beats, O_CLOEXEC), "pipe");
}

/* --- the exporter */

static void lives(void *arg)
{
	char *mem = xt_map(2 * SIZE);

	(void)arg;
	xt_fill(mem, SIZE, XT_EVEN, 1);
	/* The second half of the segment is a hole. */
	munmap(mem + SIZE, SIZE);
	xt_put("segid", "%lld", (long long)xt_export(mem, 2 * SIZE, 0666));
	xt_await("done-with");
}

/* Holds its mmap_lock for writing nearly always: each fork copies tables. */
static void forks_always(void *arg)
{
	char *mem = xt_map(2 * SIZE), *more = xt_map(32 * XT_MIB);

	(void)arg;
	xt_fill(mem, SIZE, XT_EVEN, 1);
	munmap(mem + SIZE, SIZE);
	memset(more, 1, 32 * XT_MIB);
	xt_put("segid", "%lld", (long long)xt_export(mem, 2 * SIZE, 0666));
	for (;;) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

/* Takes its memory away all the time. */
static void drops_always(void *arg)
{
	char *mem = xt_map(2 * SIZE);

	(void)arg;
	xt_put("segid", "%lld", (long long)xt_export(mem, 2 * SIZE, 0666));
	for (size_t turn = 0;; turn++) {
		if (turn % 8)
			madvise(mem, SIZE, MADV_DONTNEED);
		else
			mmap(mem, SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		for (size_t i = 0; i < SIZE; i += xt_page)
			*(volatile char *)(mem + i) = 1;
	}
}

/* Everything is on the swap disk, again and again. */
static void pages_out(void *arg)
{
	char *mem = xt_map(2 * SIZE);

	(void)arg;
	xt_fill(mem, SIZE, XT_EVEN, 1);
	munmap(mem + SIZE, SIZE);
	xt_put("segid", "%lld", (long long)xt_export(mem, 2 * SIZE, 0666));
	for (;;)
		madvise(mem, SIZE, MADV_PAGEOUT);
}

struct step {
	const char *name;
	void (*act)(struct victim *v);
	bool threads;
};

static const struct step steps[] = {
	{ "get and release", gets, false },
	{ "make and remove", makes, false },
	{ "attach and detach", attaches, false },
	{ "first touch", first_touches, false },
	{ "first touch by threads", first_touches, true },
	{ "detach of many", detaches, false },
	{ "munmap by threads", unmaps, true },
	{ "release of many", releases, false },
	{ "touch of holes", faults_in_holes, true },
	{ "write(2) from it", writes, false },
	{ "fork", forks, false },
	{ "populate", populates, false },
	{ "/proc/PID/mem", looks_at_itself, false },
	{ "all of it by threads", slow_touches, true },
};

static void kill_importers(const char *name, void (*exporter)(void *arg),
			   bool stopped, const struct step *list, size_t count)
{
	pid_t home, pid;

	xt_case(name);
	home = xt_spawn(exporter, NULL);
	for (size_t i = 0; i < count; i++) {
		struct victim v = { .segid = xt_await_num("segid"),
				    .act = list[i].act };

		if (stopped)
			kill(home, SIGSTOP);
		for (int round = 0; round < rounds; round++) {
			new_pipe();
			pid = xt_spawn(
				list[i].threads ? threaded_victim : victim, &v);
			die_after(pid, 1 + round, list[i].name);
		}
		xt_ok(xt_stat_is("permits", 0, 20000),
		      "%s: nothing of the dead is left", list[i].name);
	}
	xt_ok(xt_dies(home), "the exporter dies");
	xt_nothing_left("then");
}

/* --- an exporter is killed, and its importer after it */

static void kill_exporters(const char *name, void (*exporter)(void *arg))
{
	struct victim v = { .act = slow_touches };
	pid_t home, pid;
	char label[64];

	for (int round = 0; round < rounds; round++) {
		snprintf(label, sizeof(label), "%s %d", name, round + 1);
		xt_case(label);
		home = xt_spawn(exporter, NULL);
		v.segid = xt_await_num("segid");
		new_pipe();
		pid = xt_spawn(threaded_victim, &v);
		die_after(home, 2 + round * 2, "the exporter under touches");
		/* Its pages are gone; the importer goes on, with SIGBUS. */
		die_after(pid, 2, "the importer after it");
		xt_nothing_left("then");
	}
}

/* --- both are each other's importers */

struct pair {
	const char *mine, *other;
	int beats;
};

/* False if the other was killed before this one. */
static bool touch_other(struct victim *v)
{
	struct xpmem_addr addr = { .apid = v->apid };
	char *at = xpmem_attach(addr, SIZE, NULL);

	if (at == (void *)-1 && errno == ENOENT)
		return false;
	xt_need(at != (void *)-1, "xpmem_attach");
	touch_all(at, v->turn % 2);
	xpmem_detach(at);
	return true;
}

static void peer(void *arg)
{
	const struct pair *pair = arg;
	char *mem = xt_map(SIZE);
	struct victim v = { .act = first_touches };

	xt_put(pair->mine, "%lld", (long long)xt_export(mem, SIZE, 0666));
	v.segid = xt_await_num(pair->other);
	v.apid = xt_permit(v.segid, XPMEM_RDWR);
	for (;; v.turn++) {
		if (!touch_other(&v))
			pause();
		madvise(mem, SIZE, MADV_DONTNEED);
		if (pair->beats)
			beat();
	}
}

static void each_other(void)
{
	static const struct pair pairs[] = { { "a", "b", 1 }, { "b", "a", 0 } };
	pid_t pids[2];

	xt_case("two that import from each other");
	new_pipe();
	for (int i = 0; i < 2; i++)
		pids[i] = xt_spawn(peer, (void *)&pairs[i]);
	die_after(pids[0], 4, "the one");
	xt_ok(xt_dies(pids[1]), "the other dies");
	xt_nothing_left("then");
}

/* --- exit with many attachments, killed while it lasts */

static void exits_with_many(void *arg)
{
	struct victim *v = arg;

	v->apid = xt_permit(v->segid, XPMEM_RDWR);
	for (int i = 0; i < MANY; i++)
		xt_load(xt_attach(v->apid, (1 + i % 3) * xt_page), NULL);
	beat();
	_exit(0);
}

static void many(void)
{
	struct victim v = {};
	pid_t home, pid;

	xt_case("exit with many attachments");
	home = xt_spawn(lives, NULL);
	v.segid = xt_await_num("segid");
	for (int round = 0; round < rounds; round++) {
		new_pipe();
		pid = xt_spawn(exits_with_many, &v);
		die_after(pid, 1, "in the midst of its exit");
	}
	xt_ok(xt_stat_is("attachments", 0, 20000), "no attachment is left");
	xt_ok(xt_dies(home), "the exporter dies");
	xt_nothing_left("then");
}

/* --- by a debugger's hand */

static void traced(void)
{
	struct victim v = { .act = first_touches };
	pid_t home, pid;
	int status;

	xt_case("stopped by a debugger");
	home = xt_spawn(lives, NULL);
	v.segid = xt_await_num("segid");
	for (int round = 0; round < rounds; round++) {
		new_pipe();
		pid = xt_spawn(threaded_victim, &v);
		xt_need(!ptrace(PTRACE_SEIZE, pid, NULL, NULL) &&
				!ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) &&
				waitpid(pid, &status, 0) == pid,
			"stop the victim");
		die_after(pid, 0, "in its stop");
	}
	xt_ok(xt_dies(home), "the exporter dies");
	xt_nothing_left("then");
}

int main(int argc, char **argv)
{
	const size_t n = sizeof(steps) / sizeof(steps[0]);
	static const struct step slow[] = {
		{ "touch", slow_touches, false },
		{ "touch by threads", slow_touches, true },
		{ "first touch by threads", first_touches, true },
		{ "populate", populates, false },
		{ "/proc/PID/mem", looks_at_itself, false },
	};
	const size_t m = sizeof(slow) / sizeof(slow[0]);

	rounds = argc > 1 ? atoi(argv[1]) : 3;
	xt_start("kill");
	kill_importers("the exporter waits", lives, false, steps, n);
	kill_importers("the exporter is stopped", lives, true, slow, m);
	kill_importers("the exporter holds its mmap_lock", forks_always, false,
		       slow, m);
	kill_importers("the exporter drops its memory", drops_always, false,
		       slow, m);
	kill_importers("the exporter pages out", pages_out, false, slow, m);
	kill_exporters("an exporter that waits is killed", lives);
	kill_exporters("an exporter that forks is killed", forks_always);
	kill_exporters("an exporter that drops is killed", drops_always);
	each_other();
	many();
	traced();
	return xt_finish();
}
