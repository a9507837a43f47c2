// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds of memory that an exporter may have, attached on its own partition:
 * zero page, files private and shared, memory files, merged pages, pages shared
 * with a child, userfaultfd. Stores go where the exporter's would, and nowhere
 * else.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define DISK "/tmp/xpmem-disk"
#define FILE_ON_DISK DISK "/file"

static xpmem_segid_t export(void *mem)
{
	xpmem_segid_t segid =
		xpmem_make(mem, SIZE, XPMEM_PERMIT_MODE, (void *)0666);

	xt_need(segid > 0, "xpmem_make");
	return segid;
}

/* --- the zero page */

static void stores_to_zeros(struct xt_import *imp)
{
	uint64_t value;

	xt_ok(!xt_nonzero(imp->at, SIZE), "zeros");
	xt_ok(!xt_store(imp->at + xt_page, 42), "a store to one page");
	xt_ok(!xt_load(imp->at + xt_page, &value) && value == 42, "is seen");
	xt_ok(!xt_nonzero(imp->at + 2 * xt_page, SIZE - 2 * xt_page),
	      "zeros elsewhere");
}

static void zero_page(void)
{
	uint64_t *mem = xt_map(SIZE);
	xpmem_segid_t segid;
	char *fresh;

	xt_case("zero page");
	xt_ok(!xt_nonzero(mem, SIZE), "the exporter only reads");
	segid = export(mem);
	xt_import(stores_to_zeros, segid, SIZE, NULL);
	xt_ok(mem[512] == 42, "the exporter sees the store");
	mem[512] = 0;
	xt_ok(!xt_nonzero(mem, SIZE), "and zeros everywhere else");
	fresh = xt_map(SIZE);
	xt_ok(!xt_nonzero(fresh, SIZE), "fresh memory is zero");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(fresh, SIZE);
	munmap(mem, SIZE);
}

/* --- files */

static void stores_once(struct xt_import *imp)
{
	uint64_t first, value;

	xt_ok(!xt_load(imp->at, &first) &&
		      first == strtoull(xt_await("word"), NULL, 0),
	      "the bytes of the file");
	xt_ok(!xt_store(imp->at, 42), "a store");
	xt_ok(!xt_load(imp->at, &value) && value == 42, "is seen");
}

static void private_file(void)
{
	static char before[SIZE], after[SIZE];
	xpmem_segid_t segid;
	char *mem;
	int fd;

	xt_case("private file");
	fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
	xt_need(pread(fd, before, SIZE, 0) == SIZE, "read bash");
	xt_put("word", "%#lx", *(unsigned long *)before);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	xt_need(mem != MAP_FAILED, "mmap of bash");
	segid = export(mem);
	xt_import(stores_once, segid, SIZE, NULL);
	xt_ok(*(uint64_t *)mem == 42, "the exporter sees the store");
	xt_ok(!memcmp(mem + 8, before + 8, SIZE - 8), "and nothing else");
	xt_ok(pread(fd, after, SIZE, 0) == SIZE && !memcmp(before, after, SIZE),
	      "the file is as it was");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	close(fd);
}

static void only_loads(struct xt_import *imp)
{
	uint64_t value;

	xt_ok(!xt_load(imp->at, &value) &&
		      value == strtoull(xt_await("word"), NULL, 0),
	      "the bytes of the file");
	xt_ok(xt_store(imp->at, 42) == SIGBUS, "a store is SIGBUS");
	xt_ok(!xt_load(imp->at, &value), "a load is still none");
	xt_ok(xt_store(imp->at + xt_page, 42) == SIGBUS,
	      "so it is where nobody looked");
}

/* Page cache of a file that the exporter may not write. */
static void read_only_file(void)
{
	xpmem_segid_t segid;
	uint64_t word;
	char *mem;
	int fd;

	xt_case("file that may only be read");
	fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
	xt_need(pread(fd, &word, 8, 0) == 8, "read bash");
	xt_put("word", "%#lx", (unsigned long)word);
	mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	xt_need(mem != MAP_FAILED, "mmap of bash");
	segid = export(mem);
	xt_import(only_loads, segid, SIZE, NULL);
	xt_ok(*(uint64_t *)mem == word && pread(fd, &word, 8, 0) == 8 &&
		      *(uint64_t *)mem == word,
	      "the file is as it was");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	close(fd);
}

/* Fills and is heard after each write-back: a store after it counts, too. */
static void stores_twice(struct xt_import *imp)
{
	for (int round = 1; round <= 3; round++) {
		char key[16];

		xt_fill(imp->at, SIZE, XT_ODD, round);
		snprintf(key, sizeof(key), "stored-%d", round);
		xt_put(key, "1");
		snprintf(key, sizeof(key), "synced-%d", round);
		xt_await(key);
	}
	/* Last ones, which only the end of the attachment may tell of. */
	xt_fill(imp->at, SIZE, XT_ODD, 4);
}

static void drop_caches(void)
{
	FILE *f = fopen("/proc/sys/vm/drop_caches", "we");

	xt_need(f && fputs("3\n", f) > 0 && !fclose(f), "drop caches");
}

static bool on_disk(uint32_t seed)
{
	static char copy[SIZE] __attribute__((aligned(4096)));
	int fd = open(FILE_ON_DISK, O_RDONLY | O_DIRECT | O_CLOEXEC);
	bool right;

	right = fd >= 0 && pread(fd, copy, SIZE, 0) == SIZE &&
		!xt_wrong(copy, SIZE, XT_ODD, seed);
	close(fd);
	return right;
}

static bool mount_disk(void)
{
	mkdir(DISK, 0700);
	if (access("/dev/ram0", W_OK) ||
	    system("mkfs.ext4 -q -F -O ^has_journal /dev/ram0 >/dev/null"))
		return false;
	return !mount("/dev/ram0", DISK, "ext4", 0, NULL);
}

/* Dirt must not be lost, at write-back, at zap, at the end of importers. */
static void shared_file(void)
{
	xpmem_segid_t segid;
	char *mem, key[16];
	pid_t child;
	int fd;

	xt_case("shared file on a disk");
	if (!mount_disk()) {
		xt_skip("write-back", "/dev/ram0 or mkfs.ext4");
		return;
	}
	fd = open(FILE_ON_DISK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	xt_need(fd >= 0 && !ftruncate(fd, SIZE), "a file of %lu bytes", SIZE);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	xt_need(mem != MAP_FAILED, "mmap of it");
	segid = export(mem);
	child = xt_import_start(stores_twice, segid, SIZE, NULL);
	for (int round = 1; round <= 3; round++) {
		snprintf(key, sizeof(key), "stored-%d", round);
		xt_await(key);
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, round), "round %d is seen",
		      round);
		xt_ok(!fdatasync(fd), "fdatasync");
		drop_caches();
		xt_ok(on_disk(round), "and on the disk");
		snprintf(key, sizeof(key), "synced-%d", round);
		xt_put(key, "1");
	}
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	close(fd);
	xt_ok(!umount(DISK) && !mount("/dev/ram0", DISK, "ext4", 0, NULL),
	      "umount and mount");
	xt_ok(on_disk(4), "the last stores are on the disk");
	xt_ok(!umount(DISK), "umount");
}

/* --- shared memory */

static void stores_odd(struct xt_import *imp)
{
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the bytes are right");
	xt_fill(imp->at, SIZE, XT_ODD, 2);
}

static void shared(const char *name, void *mem, void *same)
{
	xpmem_segid_t segid;

	xt_case(name);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = export(mem);
	xt_import(stores_odd, segid, SIZE, NULL);
	xt_ok(!xt_wrong(same, SIZE, XT_ODD, 2),
	      "another mapping of it shows the stores");
	madvise(mem, SIZE, MADV_REMOVE);
	xt_ok(!xt_nonzero(same, SIZE), "a punched hole is zeros");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
}

/* What is cut off goes away under the attachment. */
static void is_cut(struct xt_import *imp)
{
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the bytes are right");
	xt_put("seen", "1");
	xt_await("cut");
	xt_ok(xt_load(imp->at + SIZE / 2, NULL) == SIGBUS,
	      "behind the new end a load is SIGBUS");
	xt_ok(!xt_wrong(imp->at, SIZE / 2, XT_EVEN, 1), "before it nothing");
}

static void shared_memory(void)
{
	int fd = memfd_create("xpmem", MFD_CLOEXEC), id;
	const int rw = PROT_READ | PROT_WRITE;
	xpmem_segid_t segid;
	void *mem, *same;
	pid_t child;

	xt_need(fd >= 0 && !ftruncate(fd, SIZE), "memfd");
	mem = mmap(NULL, SIZE, rw, MAP_SHARED, fd, 0);
	same = mmap(NULL, SIZE, rw, MAP_SHARED, fd, 0);
	shared("memory file", mem, same);
	xt_case("memory file that is cut");
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = export(mem);
	child = xt_import_start(is_cut, segid, SIZE, NULL);
	xt_await("seen");
	xt_ok(!ftruncate(fd, SIZE / 2), "ftruncate");
	xt_put("cut", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
	munmap(same, SIZE);
	close(fd);

	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	mem = shmat(id, NULL, 0);
	same = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	xt_need(mem != (void *)-1 && same != (void *)-1, "shmat");
	shared("System V shared memory", mem, same);
	shmdt(mem);
	shmdt(same);
}

/* --- copy-on-write */

static void stores_after_fork(struct xt_import *imp)
{
	xt_fill(imp->at, SIZE, XT_ODD, 1);
	xt_put("stored", "1");
	xt_await("forked");
	/* Through entries that were writable until the fork. */
	xt_fill(imp->at, SIZE / 2, XT_ODD, 2);
	xt_put("stored-again", "1");
	xt_await("exporter-stored");
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 2),
	      "the importer sees what the exporter stored after the fork");
	xt_ok(!xt_wrong(imp->at, SIZE / 2, XT_ODD, 2), "and its own stores");
}

static void forks(void)
{
	int pipes[2], status;
	struct xt_export ex;
	pid_t importer, child;
	char byte = 'x';

	xt_case("exporter forks");
	ex = xt_export_new(SIZE);
	importer = xt_import_start(stores_after_fork, ex.segid, SIZE, NULL);
	xt_await("stored");
	xt_need(!pipe(pipes), "pipe");
	child = fork();
	xt_need(child >= 0, "fork");
	if (!child) {
		/* Looks when both have stored. */
		close(pipes[1]);
		while (read(pipes[0], &byte, 1) < 0)
			;
		_exit(xt_wrong(ex.mem, SIZE, XT_EVEN, 1) ||
		      xt_wrong(ex.mem, SIZE, XT_ODD, 1));
	}
	close(pipes[0]);
	xt_put("forked", "1");
	xt_await("stored-again");
	xt_ok(!xt_wrong(ex.mem, SIZE / 2, XT_ODD, 2),
	      "the exporter sees stores made after the fork");
	xt_fill(ex.mem, SIZE, XT_EVEN, 2);
	xt_put("exporter-stored", "1");
	xt_ok(!xt_join(importer), "the importer ends well");
	close(pipes[1]);
	xt_ok(waitpid(child, &status, 0) == child && !status,
	      "the child has what was there at the fork");
	xt_export_end(&ex);
}

static void ksm(const char *file, const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	f = fopen(path, "we");
	xt_need(f && fputs(text, f) > 0 && !fclose(f), "write %s", path);
}

/* The merger announces nothing: this looks every 20 ms. */
static bool merged(const char *mem)
{
	long long end = xt_ms() + 60000;

	ksm("pages_to_scan", "1000");
	ksm("sleep_millisecs", "20");
	ksm("run", "1");
	while (xt_ms() < end) {
		if (xt_frame(mem) && xt_frame(mem) == xt_frame(mem + xt_page))
			return true;
		usleep(20000);
	}
	return false;
}

static void touches_merged(struct xt_import *imp)
{
	uint64_t value;

	xt_ok(!xt_load(imp->at, NULL) && !xt_load(imp->at + xt_page, NULL),
	      "an importer looks before");
	xt_ok(!xt_store(imp->at, 0x7878787878787878), "and stores");
	xt_put("looked", "1");
	xt_await("merged");
	xt_ok(!xt_store(imp->at + xt_page, 42), "a store after");
	xt_ok(!xt_load(imp->at, &value) && value == 0x7878787878787878,
	      "does not show in the page that was merged with it");
}

static void merged_pages(void)
{
	xpmem_segid_t segid;
	pid_t child;
	char *mem;

	xt_case("merged pages");
	mem = xt_map(SIZE);
	memset(mem, 'x', SIZE);
	segid = export(mem);
	child = xt_import_start(touches_merged, segid, SIZE, NULL);
	xt_await("looked");
	xt_need(!madvise(mem, SIZE, MADV_MERGEABLE), "MADV_MERGEABLE");
	xt_ok(merged(mem), "the pages are merged, attached or not");
	ksm("run", "0");
	xt_put("merged", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(mem[0] == 'x' && *(uint64_t *)(mem + xt_page) == 42,
	      "the exporter sees the one store");
	ksm("run", "2");
	ksm("run", "0");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
}

/* --- userfaultfd: nobody waits for what user space may never supply */

static void in_userfault(struct xt_import *imp)
{
	xt_ok(!xt_load(imp->at, NULL), "what is there can be loaded");
	xt_ok(xt_load(imp->at + xt_page, NULL) == SIGBUS,
	      "what user space would have to supply is SIGBUS");
	xt_put("missed", "1");
	xt_await("supplied");
	xt_ok(!xt_load(imp->at + xt_page, NULL), "when it did, it is there");
}

static void userfault(void)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range.len = 4096 };
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	xpmem_segid_t segid;
	pid_t child;
	char *mem;

	xt_case("userfaultfd");
	if (fd < 0) {
		xt_skip("not waited for", "CONFIG_USERFAULTFD");
		return;
	}
	mem = xt_map(SIZE);
	xt_store(mem, 1);
	reg.range.start = (uintptr_t)mem;
	reg.range.len = SIZE;
	xt_need(!ioctl(fd, UFFDIO_API, &api) &&
			!ioctl(fd, UFFDIO_REGISTER, &reg),
		"register with a userfaultfd");
	segid = export(mem);
	child = xt_import_start(in_userfault, segid, SIZE, NULL);
	xt_await("missed");
	zero.range.start = (uintptr_t)mem + xt_page;
	xt_ok(!ioctl(fd, UFFDIO_ZEROPAGE, &zero), "supply a page");
	xt_put("supplied", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	close(fd);
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
}

int main(void)
{
	xt_start("local-kinds");
	zero_page();
	private_file();
	read_only_file();
	shared_file();
	shared_memory();
	forks();
	merged_pages();
	userfault();
	xt_nothing_left("at the end");
	return xt_finish();
}
