// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of the hook table: what a process does to its address space. All of
 * them go through the range notifier.
 */
#include "rows.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL (16 * PAGE)
#define HALF (8 * PAGE)

/* <linux/userfaultfd.h> and <linux/fs.h> of Linux 6.12 */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFDIO_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
struct uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 5, struct uffdio_move)
#endif
#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING 1
#define PAGE_IS_WRITTEN 2
#endif

static enum outcome unmap(struct area *a)
{
	return done_if(!munmap(a->mem, a->size));
}

static enum outcome replace(struct area *a)
{
	return done_if(mmap(a->mem, a->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == a->mem);
}

static enum outcome dontneed(struct area *a)
{
	return done_if(!madvise(a->mem + a->row->from,
				a->row->to - a->row->from, MADV_DONTNEED));
}

/* Nobody is short of memory: the pages stay, and must keep later stores. */
static enum outcome lazily_free(struct area *a)
{
	return done_if(!madvise(a->mem, a->size, MADV_FREE));
}

static enum outcome protect(struct area *a)
{
	return done_if(!mprotect(a->mem, a->size, PROT_READ));
}

static enum outcome protect_and_back(struct area *a)
{
	return done_if(
		!mprotect(a->mem + PAGE, HUGE / 2, PROT_READ) &&
		!mprotect(a->mem + PAGE, HUGE / 2, PROT_READ | PROT_WRITE));
}

static enum outcome protect_all(struct area *a)
{
	return done_if(!mprotect(a->mem, a->size, PROT_NONE));
}

static enum outcome move(struct area *a, int flags)
{
	size_t from = a->row->from, size = a->row->to - from;
	char *to =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	a->moved = mremap(a->mem + from, size, size,
			  MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);
	if (a->moved != MAP_FAILED)
		return DONE;
	a->moved = NULL;
	return flags ? lacks(a, "MREMAP_DONTUNMAP") : NOT_YET;
}

static enum outcome remap(struct area *a)
{
	return move(a, 0);
}

static enum outcome remap_and_keep(struct area *a)
{
	return move(a, MREMAP_DONTUNMAP);
}

static int userfault(uint64_t features, void *mem, size_t size, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, size },
		.mode = mode,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg))
		return fd;
	close(fd);
	return -1;
}

static enum outcome userfault_move(struct area *a)
{
	struct uffdio_move args = { .len = a->row->to - a->row->from };
	char *to;

	if (!a->state) {
		to = a->size == HUGE ? xt_map_huge(HUGE) : xt_map(a->size);
		a->fd = userfault(UFFD_FEATURE_MOVE, to, a->size,
				  UFFDIO_REGISTER_MODE_MISSING);
		if (a->fd < 0)
			return lacks(a, "UFFDIO_MOVE");
		a->moved = to;
		a->state = 1;
	}
	args.src = (uintptr_t)a->mem + a->row->from;
	args.dst = (uintptr_t)a->moved;
	/* Part of it may have moved before it failed. */
	args.src += (size_t)(a->state - 1) * PAGE;
	args.dst += (size_t)(a->state - 1) * PAGE;
	args.len -= (size_t)(a->state - 1) * PAGE;
	if (!ioctl(a->fd, UFFDIO_MOVE, &args))
		return DONE;
	if (args.move > 0)
		a->state += args.move / PAGE;
	return NOT_YET;
}

static enum outcome scan(struct area *a)
{
	struct pm_scan_arg args = {
		.size = sizeof(args),
		.flags = PM_SCAN_WP_MATCHING,
		.start = (uintptr_t)a->mem,
		.end = (uintptr_t)a->mem + a->size,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int pagemap;
	long got;

	a->fd = userfault(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
			  a->mem, a->size, UFFDIO_REGISTER_MODE_WP);
	if (a->fd < 0)
		return lacks(a, "UFFD_FEATURE_WP_ASYNC");
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	got = ioctl(pagemap, PAGEMAP_SCAN, &args);
	close(pagemap);
	return done_if(got >= 0);
}

static enum outcome clear_refs(struct area *a)
{
	/* Kernels without it take the order and do nothing. */
	if (!xt_write_text("/proc/self/clear_refs", "4"))
		return lacks(a, "CONFIG_MEM_SOFT_DIRTY");
	return DONE;
}

/* The child keeps the old pages until the parent has copied all of them. */
static enum outcome fork_and_copy(struct area *a)
{
	uint64_t after[16];
	int go[2], status;
	bool good;
	pid_t pid;
	char byte;

	xt_need(!pipe2(go, O_CLOEXEC), "pipe");
	pid = fork();
	xt_need(pid >= 0, "fork");
	if (!pid) {
		close(go[1]);
		if (read(go[0], &byte, 1))
			_exit(2);
		_exit(area_wrong(a, a->mem, XT_EVEN, 1, 0, a->size) ||
		      area_wrong(a, a->mem, XT_ODD, 2, 0, a->size));
	}
	close(go[0]);
	area_store(a, a->mem, XT_EVEN, 1, 0, a->size);
	area_frames(a->mem, 16, after);
	close(go[1]);
	good = waitpid(pid, &status, 0) == pid && !status;
	for (int i = 0; i < 16; i++)
		good &= after[i] != a->frames[i];
	return done_if(good);
}

static enum outcome leave(struct area *a)
{
	(void)a;
	_exit(0);
}

/* Takes more than its group may have. */
static enum outcome out_of_memory(struct area *a)
{
	char path[96], limit[32];
	char *more;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.swap.max",
		 a->group);
	if (!xt_write_text(path, "0"))
		return lacks(a, "memory.swap.max");
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.max", a->group);
	snprintf(limit, sizeof(limit), "%lld",
		 xt_group_read(a->group, "memory.current") +
			 4LL * (long long)XT_MIB);
	if (!xt_write_text(path, limit))
		return lacks(a, "memory.max");
	more = xt_map(64 * XT_MIB);
	memset(more, 1, 64 * XT_MIB);
	return NOT_YET;
}

const struct row range_rows[] = {
	{ "munmap", MEM_ANON, unmap, .sees = NOTHING, .to = ALL },
	{ "munmap of a huge page", MEM_HUGE, unmap, .sees = NOTHING,
	  .to = HUGE },
	{ "mmap over it", MEM_ANON, replace, .sees = ZEROS, .to = ALL },
	{ "MADV_DONTNEED", MEM_ANON, dontneed, .sees = ZEROS, .from = 4 * PAGE,
	  .to = HALF },
	{ "MADV_DONTNEED in a huge page", MEM_HUGE, dontneed, .sees = ZEROS,
	  .from = 4 * PAGE, .to = HUGE / 2 },
	{ "MADV_FREE", MEM_ANON, lazily_free, .sees = KEPT },
	{ "mprotect to read-only", MEM_ANON, protect, .sees = KEPT,
	  .flags = ROW_READS | ROW_FIXED },
	{ "mprotect in a huge page", MEM_HUGE, protect_and_back, .sees = KEPT },
	{ "mprotect to nothing", MEM_ANON, protect_all, .sees = NOTHING,
	  .to = ALL },
	{ "mremap", MEM_ANON, remap, .sees = NOTHING, .from = 4 * PAGE,
	  .to = ALL },
	{ "mremap out of a huge page", MEM_HUGE, remap, .sees = NOTHING,
	  .to = HUGE / 2 },
	{ "mremap that leaves a hole", MEM_ANON, remap_and_keep, .sees = ZEROS,
	  .to = ALL },
	{ "UFFDIO_MOVE", MEM_ANON, userfault_move, .sees = ZEROS,
	  .from = 4 * PAGE, .to = ALL },
	{ "UFFDIO_MOVE out of a huge page", MEM_HUGE, userfault_move,
	  .sees = ZEROS, .to = HALF },
	{ "PAGEMAP_SCAN", MEM_ANON, scan, .sees = KEPT, .flags = ROW_READS },
	{ "clear_refs", MEM_ANON, clear_refs, .sees = KEPT },
	{ "fork and copy", MEM_ANON, fork_and_copy, .sees = KEPT },
	{ "exit", MEM_ANON, leave, .sees = NOTHING, .to = ALL,
	  .flags = ROW_ENDS },
	{ "out of memory", MEM_ANON, out_of_memory, .sees = NOTHING, .to = ALL,
	  .flags = ROW_ENDS | ROW_GROUP },
};

const size_t range_count = sizeof(range_rows) / sizeof(range_rows[0]);
