// SPDX-License-Identifier: GPL-2.0-only
/*
 * One exported page seen from both sides: by a process of another partition,
 * by one of the same, by both; and what clients rely on when they attach.
 */
#include "xt.h"

#include <errno.h>
#include <sys/mman.h>
#include <signal.h>

#define SIZE (64 * 1024UL)

static void *mem;
static xpmem_segid_t segid;

static void home_exports(void)
{
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
}

static void home_removes(void)
{
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	xt_nothing_left("after the removal");
}

static void importer_leaves(void *at, xpmem_apid_t apid)
{
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

static void remote(void)
{
	xpmem_apid_t apid;
	void *at;

	xt_case("remote");
	if (xt_me == XT_HOME) {
		home_exports();
		xt_await("stored");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "p1 sees p2's bytes");
		xt_ok(xt_stat("exported") >= (long long)(SIZE / xt_page),
		      "pages are counted as exported");
		xt_put("seen", "1");
		xt_await("left");
		home_removes();
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
		xt_fill(at, SIZE, XT_ODD, 2);
		xt_put("stored", "1");
		xt_await("seen");
		xt_ok(xt_stat("faults-remote") > 0,
		      "remote faults are counted");
		importer_leaves(at, apid);
		xt_nothing_left("after the release");
	}
}

static void local_child(void *arg)
{
	xpmem_apid_t apid = xt_permit(*(xpmem_segid_t *)arg, XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);

	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1),
	      "another process of p1 sees the bytes");
	xt_fill(at, SIZE, XT_ODD, 3);
	xt_put("stored-locally", "1");
	xt_await("stored-remotely");
	xt_ok(!xt_wrong(at, SIZE, XT_ODD, 4), "it sees p2's bytes");
	importer_leaves(at, apid);
}

static void both(void)
{
	xpmem_apid_t apid;
	pid_t child;
	void *at;

	xt_case("local and remote");
	if (xt_me == XT_HOME) {
		home_exports();
		child = xt_spawn(local_child, &segid);
		xt_await("stored-locally");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 3),
		      "the exporter sees the bytes of p1's other process");
		xt_ok(!xt_join(child), "the other process ends well");
		xt_await("left-p2");
		home_removes();
	} else if (xt_me == 2) {
		xt_await("stored-locally");
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_ODD, 3),
		      "p2 sees the bytes of p1's other process");
		xt_fill(at, SIZE, XT_ODD, 4);
		xt_put("stored-remotely", "1");
		xt_ok(!xpmem_release(apid), "xpmem_release detaches too");
		xt_ok(xt_load(at, NULL) == SIGSEGV, "nothing is mapped then");
		xt_put("left-p2", "1");
	}
}

/* Open MPI, UCX: the whole address space, attached at an address. */
static void whole_address_space(void)
{
	struct xpmem_addr addr;
	xpmem_apid_t apid;
	char *at;

	xt_case("whole address space");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 5);
		munmap((char *)mem + SIZE / 2, xt_page);
		segid = xt_export(NULL, XPMEM_MAXADDR_SIZE, 0666);
		xt_put("at", "%p", mem);
		xt_put("segid", "%#llx", (long long)segid);
		xt_await("left");
		home_removes();
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		addr.apid = apid;
		addr.offset = xt_await_num("at");
		at = xpmem_attach(addr, SIZE, NULL);
		xt_need(at != (void *)-1, "attach across a hole");
		xt_ok(!xt_wrong(at, SIZE / 2, XT_EVEN, 5), "bytes before it");
		xt_ok(xt_load(at + SIZE / 2, NULL) == SIGBUS,
		      "touching the hole is SIGBUS");
		xt_ok(xt_load(at + SIZE / 2 + xt_page, NULL) == 0,
		      "the page behind it can be touched");
		xt_ok(!xpmem_detach(at + xt_page),
		      "detach takes any address inside");
		xt_ok(xt_load(at, NULL) == SIGSEGV, "and detaches all of it");
		xt_ok(!xpmem_detach(at), "detach of nothing is 0");
		xt_ok(!xpmem_release(apid), "xpmem_release");
		xt_put("left", "1");
	}
}

static void bounds(void)
{
	struct xpmem_addr addr;
	char *at, *wanted;

	xt_case("bounds");
	if (xt_me == XT_HOME) {
		home_exports();
		xt_await("left");
		home_removes();
	} else if (xt_me == 2) {
		addr.apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		addr.offset = 0;
		errno = 0;
		at = xpmem_attach(addr, SIZE + xt_page, NULL);
		xt_ok(at == (void *)-1 && errno == EINVAL,
		      "attaching past the end is EINVAL (errno %d)", errno);
		addr.offset = SIZE - xt_page;
		at = xpmem_attach(addr, xt_page, NULL);
		xt_need(at != (void *)-1, "attach of the last page");
		xt_ok(*(uint64_t *)at ==
			      xt_word(1, (SIZE - xt_page) / sizeof(uint64_t)),
		      "it is the last page");
		addr.offset = 3 * sizeof(uint64_t) * 2;
		at = xpmem_attach(addr, sizeof(uint64_t), NULL);
		xt_ok(at != (void *)-1 && *(uint64_t *)at == xt_word(1, 6),
		      "an attachment inside a page shows its word");
		wanted = xt_map(xt_page);
		munmap(wanted, xt_page);
		addr.offset = xt_page;
		at = xpmem_attach(addr, xt_page, wanted);
		xt_ok(at == wanted, "attach at a wanted address");
		xt_ok(*(uint64_t *)at == xt_word(1, xt_page / sizeof(uint64_t)),
		      "it is the second page");
		xt_ok(!xpmem_release(addr.apid), "xpmem_release");
		xt_put("left", "1");
	}
}

int main(void)
{
	xt_start("hello");
	remote();
	both();
	whole_address_space();
	bounds();
	return xt_finish();
}
