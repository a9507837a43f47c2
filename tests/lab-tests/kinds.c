// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds of memory that an exporter may have: what is not its own, or shared
 * behind its back, is never changed through an attachment, and what cannot be
 * exported is refused when it is touched.
 */
#include "xt.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGES 16
#define SIZE (PAGES * 4096UL)
#define HUGE (2 * XT_MIB)
#define STRANGER 1000

static void *map(size_t size, int flags, int fd)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	xt_need(mem != MAP_FAILED, "mmap of %zu bytes", size);
	return mem;
}

/* The home's part of most cases: show it to p2, then look at it again. */
static void show(void *mem, size_t size)
{
	xpmem_segid_t segid = xt_export(mem, size, 0666);

	xt_put("segid", "%#llx", (long long)segid);
	xt_await("touched");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
}

static char *look(size_t size, xpmem_apid_t *apid)
{
	*apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	return xt_attach(*apid, size);
}

static void looked(xpmem_apid_t apid)
{
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("touched", "1");
}

/* p2 can neither load nor store. */
static void refused(size_t size)
{
	xpmem_apid_t apid;
	char *at = look(size, &apid);

	xt_ok(xt_load(at, NULL) == SIGBUS, "p2's load is SIGBUS");
	xt_ok(xt_store(at, 1) == SIGBUS, "p2's store is SIGBUS");
	looked(apid);
}

/* All of it is the one zero page, until somebody stores. */
static void untouched(void)
{
	xpmem_apid_t apid;
	uint64_t *mem, value;
	char *at;

	xt_case("untouched");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_load(mem, NULL);
		show(mem, SIZE);
		xt_ok(mem[512] == 42, "p1 sees p2's store");
		mem[512] = 0;
		xt_ok(!xt_nonzero(mem, SIZE), "and zeros everywhere else");
		munmap(mem, SIZE);
		mem = xt_map(SIZE);
		xt_ok(!xt_nonzero(mem, SIZE), "fresh memory is zero");
		munmap(mem, SIZE);
	} else if (xt_me == 2) {
		at = look(SIZE, &apid);
		xt_ok(!xt_nonzero(at, SIZE), "p2 reads zeros");
		xt_ok(!xt_store(at + 4096, 42), "p2 stores to one page");
		xt_ok(!xt_load(at + 4096, &value) && value == 42,
		      "p2 sees its store");
		xt_ok(!xt_nonzero(at + 8192, SIZE - 8192),
		      "p2 reads zeros elsewhere");
		looked(apid);
	}
}

/* A private mapping of a file that others read as well. */
static void private_file(void)
{
	static char before[SIZE], after[SIZE];
	uint64_t value = 0;
	xpmem_apid_t apid;
	char *mem, *at;
	int fd, load;

	xt_case("private file");
	if (xt_me == XT_HOME) {
		fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
		xt_need(pread(fd, before, SIZE, 0) == SIZE, "read bash");
		mem = map(SIZE, MAP_PRIVATE, fd);
		xt_put("word", "%llu", (unsigned long long)*(uint64_t *)before);
		show(mem, SIZE);
		xt_ok(pread(fd, after, SIZE, 0) == SIZE &&
			      !memcmp(before, after, SIZE),
		      "the file is as it was");
		xt_ok(*(uint64_t *)mem == 42, "p1 sees p2's store");
		munmap(mem, SIZE);
		close(fd);
	} else if (xt_me == 2) {
		at = look(SIZE, &apid);
		load = xt_load(at, &value);
		xt_ok(load == SIGBUS ||
			      (!load &&
			       value == (uint64_t)xt_await_num("word")),
		      "p2's load is refused or right");
		xt_ok(!xt_store(at, 42),
		      "p2 stores: p1 gets a copy of its own");
		looked(apid);
	}
}

/* Page cache that any reader of the file has, too. */
static void shared_file(void)
{
	void *mem;
	int fd;

	xt_case("shared file");
	if (xt_me == XT_HOME) {
		fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
		mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
		xt_need(mem != MAP_FAILED, "mmap of bash");
		show(mem, SIZE);
		munmap(mem, SIZE);
		close(fd);
	} else if (xt_me == 2) {
		refused(SIZE);
	}
}

/* A memory file of another user: he could be stalled by our importers. */
static void stranger(void *arg)
{
	xt_need(!setgroups(0, NULL) &&
			!setresgid(STRANGER, STRANGER, STRANGER) &&
			!setresuid(STRANGER, STRANGER, STRANGER),
		"become a stranger");
	show(arg, SIZE);
}

static void foreign_memfd(void)
{
	void *mem;
	int fd;

	xt_case("memfd of another user");
	if (xt_me == XT_HOME) {
		fd = memfd_create("xpmem-kinds", MFD_CLOEXEC);
		xt_need(fd >= 0 && !ftruncate(fd, SIZE), "memfd");
		mem = map(SIZE, MAP_SHARED, fd);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		xt_ok(!xt_join(xt_spawn(stranger, mem)), "a stranger exports");
		xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "its bytes stay");
		munmap(mem, SIZE);
		close(fd);
	} else if (xt_me == 2) {
		refused(SIZE);
	}
}

static void first_exporter(void *arg)
{
	void *mem = xt_map(SIZE);

	(void)arg;
	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_put("first", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_await("touched");
	xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "its bytes stay");
}

static void attachment(void)
{
	xpmem_apid_t apid;
	pid_t child;
	void *at;

	xt_case("attachment");
	if (xt_me == XT_HOME) {
		child = xt_spawn(first_exporter, NULL);
		apid = xt_permit(xt_await_num("first"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p1 attaches");
		show(at, SIZE);
		xt_ok(!xt_join(child), "the first exporter ends well");
		xt_ok(!xpmem_release(apid), "xpmem_release");
	} else if (xt_me == 2) {
		refused(SIZE);
	}
}

static void secret(void)
{
	void *mem = NULL;
	int fd = -1;

	xt_case("secret memory");
	if (xt_me == XT_HOME) {
		fd = syscall(SYS_memfd_secret, 0);
		xt_put("there", "%d", fd >= 0);
		if (fd >= 0) {
			xt_need(!ftruncate(fd, SIZE), "ftruncate");
			mem = map(SIZE, MAP_SHARED, fd);
			xt_fill(mem, SIZE, XT_EVEN, 1);
			show(mem, SIZE);
			munmap(mem, SIZE);
			close(fd);
			return;
		}
	}
	if (!xt_await_num("there"))
		xt_skip("refused", "CONFIG_SECRETMEM");
	else if (xt_me == 2)
		refused(SIZE);
}

static void hugetlb(void)
{
	FILE *out;
	void *mem;

	xt_case("hugetlb");
	if (xt_me == XT_HOME) {
		out = fopen("/proc/sys/vm/nr_hugepages", "we");
		xt_need(out && fprintf(out, "2\n") > 0 && !fclose(out),
			"reserve huge pages");
		mem = map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
		xt_fill(mem, HUGE, XT_EVEN, 1);
		show(mem, HUGE);
		xt_ok(!xt_wrong(mem, HUGE, XT_EVEN, 1), "its bytes stay");
		munmap(mem, HUGE);
		out = fopen("/proc/sys/vm/nr_hugepages", "we");
		xt_need(out && fprintf(out, "0\n") > 0 && !fclose(out),
			"give them back");
	} else if (xt_me == 2) {
		refused(HUGE);
	}
}

static long long ksm(const char *file, int value)
{
	char path[64];
	long long got = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	f = fopen(path, value < 0 ? "re" : "we");
	xt_need(f != NULL, "open %s", path);
	if (value < 0)
		xt_need(fscanf(f, "%lld", &got) == 1, "read %s", path);
	else
		fprintf(f, "%d\n", value);
	xt_need(!fclose(f), "close %s", path);
	return got;
}

/* The merger announces nothing: this looks every 20 ms. */
static bool merged(const void *mem)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	long long end = xt_ms() + 60000;

	ksm("pages_to_scan", 1000);
	ksm("sleep_millisecs", 20);
	ksm("run", 1);
	while (xt_ms() < end) {
		if (xt_frame(mem) == xt_frame((char *)mem + xt_page))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Two pages in one frame: a store to one must not show in the other. */
static void same_pages(void)
{
	xpmem_apid_t apid;
	uint64_t value;
	char *mem, *at;

	xt_case("merged pages");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		memset(mem, 'x', SIZE);
		xt_need(!madvise(mem, SIZE, MADV_MERGEABLE), "MADV_MERGEABLE");
		xt_ok(merged(mem), "the pages are merged");
		ksm("run", 0);
		show(mem, SIZE);
		memcpy(&value, mem + 4096, sizeof(value));
		xt_ok(value == 42, "p1 sees p2's store");
		xt_ok(!memcmp(mem, mem + 8192, 4096) && mem[0] == 'x',
		      "no other page has it");
		munmap(mem, SIZE);
	} else if (xt_me == 2) {
		at = look(SIZE, &apid);
		xt_ok(!xt_load(at, &value) && value == 0x7878787878787878ULL,
		      "p2 reads a merged page");
		xt_ok(!xt_store(at + 4096, 42), "p2 stores to one of them");
		xt_ok(!xt_load(at + 8192, &value) &&
			      value == 0x7878787878787878ULL,
		      "p2 sees no store in the others");
		looked(apid);
	}
}

int main(void)
{
	xt_start("kinds");
	untouched();
	private_file();
	shared_file();
	foreign_memfd();
	attachment();
	secret();
	hugetlb();
	same_pages();
	xt_barrier("done");
	xt_nothing_left("at the end");
	return xt_finish();
}
