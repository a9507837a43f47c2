// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the exporter does to its address space shows on the importers: other
 * pages at the same address, zeros, less permission, nothing at all.
 */
#include "xt.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define SIZE (256 * 1024UL)
#define STORMS 5

static bool fatal(int sig)
{
	return sig == SIGBUS || sig == SIGSEGV;
}

/* p1, between two steps: "NAME" tells p2 to look, "NAME-seen" that it did. */
static void show(const char *step)
{
	char seen[32];

	xt_put(step, "1");
	snprintf(seen, sizeof(seen), "%s-seen", step);
	xt_await(seen);
}

static void saw(const char *step)
{
	char seen[32];

	snprintf(seen, sizeof(seen), "%s-seen", step);
	xt_put(seen, "1");
}

static void home_changes(void)
{
	char *mem = xt_map(SIZE), *again;
	xpmem_segid_t segid;

	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	show("first");

	munmap(mem, SIZE);
	again = mmap(mem, SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	xt_need(again == mem, "mmap at the same address");
	xt_fill(mem, SIZE, XT_EVEN, 2);
	show("remapped");

	xt_ok(!madvise(mem, SIZE, MADV_DONTNEED), "MADV_DONTNEED");
	show("dontneed");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 3), "p1 sees what p2 stored then");

	xt_fill(mem, SIZE, XT_EVEN, 4);
	xt_ok(!mprotect(mem, SIZE, PROT_READ), "mprotect to read-only");
	show("readonly");
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 4), "nothing was stored meanwhile");
	xt_ok(!mprotect(mem, SIZE, PROT_NONE), "mprotect to nothing");
	show("none");
	xt_ok(!mprotect(mem, SIZE, PROT_READ | PROT_WRITE), "mprotect back");
	show("readwrite");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 5), "p1 sees what p2 stored then");

	munmap(mem + SIZE / 2, SIZE / 2);
	show("hole");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	show("removed");
	munmap(mem, SIZE / 2);
}

static void importer_looks(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, SIZE);

	xt_await("first");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees the first pages");
	xt_fill(at, SIZE, XT_ODD, 1);
	saw("first");

	xt_await("remapped");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 2),
	      "after munmap and mmap p2 sees the new pages");
	saw("remapped");

	xt_await("dontneed");
	xt_ok(!xt_nonzero(at, SIZE), "after MADV_DONTNEED p2 sees zeros");
	xt_fill(at, SIZE, XT_ODD, 3);
	saw("dontneed");

	xt_await("readonly");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 4), "p2 reads read-only pages");
	xt_ok(fatal(xt_store(at, 0)), "p2's store to them is refused");
	xt_ok(!xt_load(at, NULL), "p2 still reads them");
	saw("readonly");
	xt_await("none");
	xt_ok(fatal(xt_load(at, NULL)), "p2 cannot read what p1 cannot");
	saw("none");
	xt_await("readwrite");
	xt_fill(at, SIZE, XT_ODD, 5);
	saw("readwrite");

	xt_await("hole");
	xt_ok(xt_load(at + SIZE / 2, NULL) == SIGBUS,
	      "after munmap p2's touch is SIGBUS");
	xt_ok(!xt_wrong(at, SIZE / 2, XT_ODD, 5), "and nothing else changed");
	saw("hole");
	xt_await("removed");
	xt_ok(xt_load(at, NULL) == SIGBUS, "after xpmem_remove SIGBUS");
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	saw("removed");
}

static void changes(void)
{
	xt_case("changes");
	if (xt_me == XT_HOME)
		home_changes();
	else if (xt_me == 2)
		importer_looks();
	xt_barrier("done");
	xt_nothing_left("after the changes");
}

static void exporting_child(void *arg)
{
	const bool *by_itself = arg;
	void *mem = xt_map(SIZE);

	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_await("stored");
	if (!*by_itself)
		xt_await("killed meanwhile");
}

/* The exporter exits, or is killed, while p2 has its pages mapped. */
static void exporter_ends(bool by_itself)
{
	xpmem_apid_t apid;
	pid_t child;
	void *at;

	xt_case(by_itself ? "exporter exits" : "exporter is killed");
	if (xt_me == XT_HOME) {
		child = xt_spawn(exporting_child, &by_itself);
		xt_await("stored");
		if (by_itself)
			xt_join(child);
		else
			xt_kill(child);
		xt_put("ended", "1");
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
		xt_fill(at, SIZE, XT_ODD, 2);
		xt_put("stored", "1");
		xt_await("ended");
		xt_ok(xt_load(at, NULL) == SIGBUS, "p2's load is SIGBUS");
		xt_ok(xt_store(at, 1) == SIGBUS, "p2's store is SIGBUS");
		xt_ok(!xpmem_detach(at), "xpmem_detach");
		xt_ok(!xpmem_release(apid), "xpmem_release");
	}
	xt_barrier("done");
	xt_nothing_left("after the exporter's end");
}

static void storing_child(void *arg)
{
	xpmem_apid_t apid = xt_permit(*(xpmem_segid_t *)arg, XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);

	xt_fill(at, SIZE, XT_ODD, 1);
	xt_put("storing", "1");
	for (uint32_t seed = 2;; seed++)
		xt_fill(at, SIZE, XT_ODD, seed);
}

static void watching_child(void *arg)
{
	atomic_bool *stop = arg;

	xt_await("killed");
	*stop = true;
}

/* p1 takes its pages back again and again until p2's process is dead. */
static void storm_home(void)
{
	void *mem = xt_map(SIZE);
	unsigned int turns = 0;
	xpmem_segid_t segid;
	atomic_bool *stop;
	long long revoked;
	pid_t watch;

	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_need(stop != MAP_FAILED, "mmap");
	segid = xt_export(mem, SIZE, 0666);
	watch = xt_spawn(watching_child, stop);
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("storing");
	revoked = xt_stat("revoked");
	for (; !*stop; turns++) {
		madvise(mem, SIZE, MADV_DONTNEED);
		xt_fill(mem, SIZE, XT_EVEN, turns);
		if (turns == 20)
			xt_put("in-the-middle", "1");
	}
	xt_ok(!xt_join(watch), "p2's process was killed, %u revocations in all",
	      turns);
	xt_ok(xt_stat("revoked") > revoked, "pages were revoked meanwhile");
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, turns - 1), "p1's bytes are right");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	munmap(stop, sizeof(*stop));
}

static void importer_killed(void)
{
	xpmem_segid_t segid;
	char name[32];
	pid_t child;

	for (int i = 1; i <= STORMS; i++) {
		snprintf(name, sizeof(name), "importer is killed %d", i);
		xt_case(name);
		if (xt_me == XT_HOME) {
			storm_home();
		} else if (xt_me == 2) {
			segid = xt_await_num("segid");
			child = xt_spawn(storing_child, &segid);
			xt_await("in-the-middle");
			xt_kill(child);
			xt_put("killed", "1");
		}
		xt_barrier("done");
		xt_nothing_left("after the importer's end");
	}
}

int main(void)
{
	xt_start("remap");
	changes();
	exporter_ends(true);
	exporter_ends(false);
	importer_killed();
	return xt_finish();
}
