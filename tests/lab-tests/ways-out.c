// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way in which a segment, a permit or an attachment ends, on either
 * side and in either order: nothing stays behind.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)

/* How the exporter ends, while p2 has its pages mapped. */
static void by_remove(void *mem, xpmem_segid_t segid)
{
	(void)mem;
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	xt_put("ended", "1");
	xt_await("left");
}

static void by_exit(void *mem, xpmem_segid_t segid)
{
	(void)mem;
	(void)segid;
}

static void by_munmap(void *mem, xpmem_segid_t segid)
{
	(void)segid;
	munmap(mem, SIZE);
	xt_put("ended", "1");
	xt_await("left");
}

/* The process lives on, with another memory: cat waits for the pipe. */
static void by_exec(void *mem, xpmem_segid_t segid)
{
	int pipes[2], alive[2];
	char byte = 'x';
	pid_t cat;

	(void)mem;
	(void)segid;
	xt_need(!pipe(pipes) && !pipe(alive), "pipe");
	/* The parent of the exec'ing process feeds it and tells the others. */
	cat = getpid();
	switch (fork()) {
	case -1:
		xt_fail("fork");
	case 0:
		xt_meet_again();
		close(pipes[0]);
		close(alive[1]);
		/* cat echoes the byte: then the exec is over. */
		xt_need(write(pipes[1], &byte, 1) == 1 &&
				read(alive[0], &byte, 1) == 1,
			"process %d execs", cat);
		xt_put("ended", "1");
		xt_await("left");
		_exit(0);
	}
	close(pipes[1]);
	dup2(pipes[0], STDIN_FILENO);
	dup2(alive[1], STDOUT_FILENO);
	execl("/bin/cat", "cat", NULL);
	xt_fail("exec of cat");
}

typedef void (*way)(void *mem, xpmem_segid_t segid);

static void exporter(void *arg)
{
	void *mem = xt_map(SIZE);
	xpmem_segid_t segid;

	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("stored");
	(*(way *)arg)(mem, segid);
}

static void gone_segment(xpmem_segid_t segid)
{
	errno = 0;
	xt_ok(xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL) == -1 &&
		      errno == ENOENT,
	      "the segment is gone for p%d (errno %d)", xt_me, errno);
}

static void exporter_ends(const char *name, way out, bool segment_stays)
{
	xpmem_segid_t segid;
	xpmem_apid_t apid;
	pid_t child;
	void *at;

	xt_case(name);
	if (xt_me == XT_HOME) {
		child = xt_spawn(exporter, &out);
		if (out == by_exit) {
			xt_ok(!xt_join(child), "the exporter exits");
			xt_put("ended", "1");
			xt_await("left");
		} else {
			xt_ok(!xt_join(child), "the exporter ends well");
		}
	} else if (xt_me == 2) {
		segid = xt_await_num("segid");
		apid = xt_permit(segid, XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
		xt_fill(at, SIZE, XT_ODD, 2);
		xt_put("stored", "1");
		xt_await("ended");
		xt_ok(xt_load(at, NULL) == SIGBUS, "p2's touch is SIGBUS");
		if (!segment_stays)
			gone_segment(segid);
		xt_ok(!xpmem_detach(at), "xpmem_detach");
		xt_ok(!xpmem_release(apid), "xpmem_release");
		xt_put("left", "1");
	}
	xt_barrier("done");
	xt_nothing_left("then");
}

/* How the importer ends, while the exporter lives. */
static void out_detach(void *at, xpmem_apid_t apid)
{
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(xt_stat_is("attachments", 0, 5000), "no attachment is left");
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static void out_release(void *at, xpmem_apid_t apid)
{
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_ok(xt_load(at, NULL) == SIGSEGV, "nothing is mapped then");
}

static void out_munmap(void *at, xpmem_apid_t apid)
{
	xt_ok(!munmap(at, SIZE), "munmap of an attachment");
	xt_ok(xt_load(at, NULL) == SIGSEGV, "nothing is mapped then");
	xt_ok(xt_stat_is("attachments", 0, 5000), "no attachment is left");
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

/* The middle goes; both ends stay attached. */
static void out_munmap_part(void *at, xpmem_apid_t apid)
{
	char *middle = (char *)at + SIZE / 2;

	xt_ok(!munmap(middle, xt_page), "munmap of a page in the middle");
	xt_ok(xt_load(middle, NULL) == SIGSEGV, "it is not mapped then");
	xt_ok(!xt_load(at, NULL) && !xt_load(middle + xt_page, NULL),
	      "its neighbours are");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_ok(xt_load(at, NULL) == SIGSEGV &&
		      xt_load(middle + xt_page, NULL) == SIGSEGV,
	      "then nothing is");
}

static void out_exit(void *at, xpmem_apid_t apid)
{
	(void)at;
	(void)apid;
}

static void out_exec(void *at, xpmem_apid_t apid)
{
	(void)at;
	(void)apid;
	execl("/bin/true", "true", NULL);
	xt_fail("exec of true");
}

static void out_killed(void *at, xpmem_apid_t apid)
{
	(void)at;
	(void)apid;
	raise(SIGKILL);
}

static void importer(void *arg)
{
	way *out = arg;
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);

	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "an importer sees p1's bytes");
	xt_fill(at, SIZE, XT_ODD, 2);
	(*out)(at, apid);
}

static void importer_ends(const char *name, way out)
{
	int status, wanted = out == out_killed ? SIGKILL : 0;
	xpmem_segid_t segid;
	void *mem;

	xt_case(name);
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		segid = xt_export(mem, SIZE, 0666);
		xt_put("segid", "%#llx", (long long)segid);
		status = xt_join(xt_spawn(importer, &out));
		xt_ok(status == wanted, "a local importer ends as it should");
		xt_await("left");
		xt_ok(xt_stat_is("exported", 0, 20000),
		      "no page is exported any more");
		xt_ok(xt_stat_is("permits", 0, 5000), "no permit is left");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "p1 sees the stores");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	} else if (xt_me == 2) {
		status = xt_join(xt_spawn(importer, &out));
		xt_ok(status == wanted, "p2's importer ends as it should");
		xt_put("left", "1");
	}
	xt_barrier("done");
	xt_nothing_left("then");
}

/* Children do not have the attachments of their parents, nor end them. */
static void forked_child(void *arg)
{
	xt_ok(xt_load(arg, NULL) == SIGSEGV, "a child has no attachment");
}

static void importer_forks(void)
{
	xpmem_segid_t segid;
	xpmem_apid_t apid;
	void *mem, *at;

	xt_case("importer forks");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		segid = xt_export(mem, SIZE, 0666);
		xt_put("segid", "%#llx", (long long)segid);
		xt_await("left");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
		xt_ok(!xt_join(xt_spawn(forked_child, at)), "the child ends");
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the parent keeps it");
		xt_ok(!xpmem_release(apid), "xpmem_release");
		xt_put("left", "1");
	}
	xt_barrier("done");
	xt_nothing_left("then");
}

int main(void)
{
	xt_start("ways-out");
	exporter_ends("exporter removes", by_remove, false);
	exporter_ends("exporter exits", by_exit, false);
	exporter_ends("exporter execs", by_exec, false);
	exporter_ends("exporter unmaps", by_munmap, true);
	importer_ends("importer detaches", out_detach);
	importer_ends("importer releases", out_release);
	importer_ends("importer unmaps", out_munmap);
	importer_ends("importer unmaps a part", out_munmap_part);
	importer_ends("importer exits", out_exit);
	importer_ends("importer execs", out_exec);
	importer_ends("importer is killed", out_killed);
	importer_forks();
	return xt_finish();
}
