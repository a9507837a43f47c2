// SPDX-License-Identifier: GPL-2.0-only
/*
 * A partition is lost. p1 exports; p2 and p3 import. First the links of p2 are
 * cut: its pages stay in quarantine on p1 until the administrator says that
 * p2 is fenced, its own attachments end, and p3 is not disturbed. Then p1
 * loses power: the attachments of p3 end.
 *
 * The programs part before that: only the lab knows who is alive.
 */
#include "xt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGES 256
#define SIZE (PAGES * 4096UL)
#define PATIENCE_MS 300000
#define BATCH 512 /* pages taken before one looks at their frames */

/* What the exporter tells its leader, who outlives it. */
static struct shared {
	uint64_t frames[PAGES];
} * shared;

static void lab_ctl(const char *verb, const char *id)
{
	char command[512];

	snprintf(command, sizeof(command), "%s ctl %s %s", XT_LAB, verb, id);
	xt_ok(!system(command), "lab ctl %s %s", verb, id);
}

static void exporter(void *arg)
{
	char *mem = xt_map(SIZE);
	xpmem_segid_t segid;

	(void)arg;
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_ok(!xpmem_publish("lost", segid), "xpmem_publish");
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("attached-2");
	xt_await("attached-3");
	for (int i = 0; i < PAGES; i++)
		shared->frames[i] = xt_frame(mem + i * xt_page);
	xt_ok(shared->frames[0] != 0, "the frames are known");
	xt_await("cut");
	/* Half of it goes while p2 cannot answer; the rest when we exit. */
	munmap(mem, SIZE / 2);
	xt_put("unmapped", "1");
	xt_await("checked-3");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Takes most of the memory there is; none of it may be a frame of p2's. */
static void grabber(void *arg)
{
	const size_t pages = sysconf(_SC_AVPHYS_PAGES) / 4 * 3 / BATCH * BATCH;
	volatile char *mem = xt_map(pages * xt_page);
	uint64_t frames[BATCH];
	size_t reused = 0;

	(void)arg;
	qsort(shared->frames, PAGES, sizeof(uint64_t), compare);
	for (size_t at = 0; at < pages; at += BATCH) {
		for (size_t i = 0; i < BATCH; i++)
			mem[(at + i) * xt_page] = 1;
		xt_frames((char *)mem + at * xt_page, frames, BATCH);
		for (size_t i = 0; i < BATCH; i++)
			reused += frames[i] &&
				  bsearch(&frames[i], shared->frames, PAGES,
					  sizeof(frames[i]), compare);
	}
	xt_ok(!reused, "%zu of %zu new pages are in frames that p2 can reach",
	      reused, pages);
}

static void tell(const char *when)
{
	xt_note("%s: granted %lld, revoked %lld, acked %lld, released %lld, exported %lld",
		when, xt_stat("granted"), xt_stat("revoked"), xt_stat("acked"),
		xt_stat("released"), xt_stat("exported"));
}

static void home(void)
{
	xpmem_segid_t segid;
	pid_t child;
	void *mem;

	/* Else it may take pages of p2's back before. */
	xt_ok(!system("echo 0 >/proc/sys/vm/compaction_proactiveness"),
	      "nothing is compacted unasked");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(shared != MAP_FAILED, "mmap");
	child = xt_spawn(exporter, NULL);
	xt_await("attached-2");
	xt_await("attached-3");
	xt_await("parted-2");
	tell("before the cut");
	lab_ctl("cut", "2");
	xt_put("cut", "1");
	xt_await("unmapped");
	tell("when half was unmapped");
	xt_ok(xt_stat("quarantine") > 0, "half of the pages are in quarantine");
	xt_ok(!xt_join(child), "the exporter ends well");
	xt_ok(xt_stat_is("quarantine", PAGES, PATIENCE_MS),
	      "all pages that p2 may reach are in quarantine");
	xt_ok(!xt_join(xt_spawn(grabber, NULL)), "memory was in demand");
	xt_ok(xt_stat("quarantine") == PAGES, "they stay there");
	xt_ok(!system("xpmemctl fence 2"), "xpmemctl fence 2");
	xt_ok(xt_stat_is("quarantine", 0, PATIENCE_MS), "then none is");
	xt_ok(xt_stat_is("exported", 0, PATIENCE_MS), "none is exported");

	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 5);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid-again", "%#llx", (long long)segid);
	xt_await("stored-again");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 6), "p1 sees p3's stores");
}

/* Nobody is there to answer; that it ends, and how, is all there is to see. */
static void finds_nothing(void)
{
	xpmem_segid_t segid = xpmem_lookup("lost");
	int error = errno;

	xt_ok(segid == -1 && (error == EHOSTUNREACH || error == ENOENT),
	      "p%d finds nothing (errno %d)", xt_me, error);
	segid = xpmem_lookup("lost@1");
	error = errno;
	xt_ok(segid == -1 && error == EHOSTUNREACH,
	      "in p1 it cannot even look (errno %d)", error);
}

/* p2, on its own from the cut on. */
static void cut_off(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);

	xt_fill(at, SIZE, XT_ODD, 2);
	xt_put("attached-2", "1");
	xt_leave();
	xt_put("parted-2", "1");
	xt_ok(xt_touch_ends(at, PATIENCE_MS),
	      "p2's touch is SIGBUS in the end");
	xt_ok(xt_store((char *)at + SIZE - 8, 0) == SIGBUS, "its store too");
	finds_nothing();
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_nothing_left("on p2");
}

/* p3, undisturbed until p1 is gone. */
static void third(void)
{
	xpmem_segid_t segid = xt_await_num("segid");
	xpmem_apid_t apid = xt_permit(segid, XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);

	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p3 sees p1's bytes");
	xt_put("attached-3", "1");
	xt_await("unmapped");
	/* Whether the session with p2 has ended by now or not. */
	xt_ok(xpmem_lookup("lost") == segid, "p3 finds p1's name");
	xt_ok(xt_load(at, NULL) == SIGBUS, "what was unmapped is SIGBUS");
	xt_ok(*(uint64_t *)((char *)at + SIZE / 2) ==
		      xt_word(1, SIZE / 2 / sizeof(uint64_t)),
	      "p3 still sees the rest");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("checked-3", "1");
	apid = xt_permit(xt_await_num("segid-again"), XPMEM_RDWR);
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 5), "p3 sees the next segment");
	xt_fill(at, SIZE, XT_ODD, 6);
	xt_put("stored-again", "1");
	xt_await("parted-1");
	lab_ctl("poweroff", "1");
	xt_ok(xt_touch_ends(at, PATIENCE_MS),
	      "p3's touch is SIGBUS in the end");
	finds_nothing();
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_nothing_left("on p3");
}

int main(void)
{
	xt_start("lost");
	xt_case("lost");
	if (xt_nodes != 3) {
		xt_skip("everything", "a run with --nodes 3");
		return xt_finish();
	}
	if (xt_me == 2) {
		cut_off();
		return xt_part();
	}
	if (xt_me == 3) {
		third();
		return xt_part();
	}
	home();
	/* The plan first: there is no end after the power is gone. */
	xt_part();
	xt_put("parted-1", "1");
	xt_await("the power is gone");
	return 1;
}
