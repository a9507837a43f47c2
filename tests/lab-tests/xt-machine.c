// SPDX-License-Identifier: GPL-2.0-only
/* See xt-machine.h. */
#include "xt-machine.h"

#include "xt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NUMA "/sys/kernel/debug/sched/numa_balancing/"
#define DEVICE "/tmp/xt-hmm"
#define MPOL_MF_MOVE 2
#define PATIENCE_MS 120000

bool xt_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	bool good = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return good;
}

/* @nodes: where to, or NULL to ask where they are; true if @status is filled. */
static bool nodes_of(char *mem, size_t pages, const int *nodes, int *status)
{
	void *at[XT_MOST_PAGES];

	xt_need(pages <= XT_MOST_PAGES, "%zu pages in one call", pages);
	for (size_t i = 0; i < pages; i++)
		at[i] = mem + i * xt_page;
	return !syscall(SYS_move_pages, 0, pages, at, nodes, status,
			nodes ? MPOL_MF_MOVE : 0);
}

size_t xt_count_on(char *mem, size_t pages, int node)
{
	int status[XT_MOST_PAGES];
	size_t count = 0;

	xt_need(nodes_of(mem, pages, NULL, status),
		"ask for the nodes of the pages");
	for (size_t i = 0; i < pages; i++)
		count += status[i] == node;
	return count;
}

void xt_move_to(char *mem, size_t pages, int node)
{
	int to[XT_MOST_PAGES], status[XT_MOST_PAGES];
	long long end = xt_ms() + PATIENCE_MS;

	for (size_t i = 0; i < XT_MOST_PAGES; i++)
		to[i] = node;
	while (xt_count_on(mem, pages, node) < pages) {
		xt_need(xt_ms() < end, "move all pages to node %d", node);
		nodes_of(mem, pages, to, status);
	}
}

/* Asks the kernel: its vDSO keeps the node that a CPU was given first (AMD, numa=fake). */
unsigned int xt_node(void)
{
	unsigned int cpu, node;

	xt_need(!syscall(SYS_getcpu, &cpu, &node, NULL), "getcpu");
	return node;
}

void xt_balance_soon(void)
{
	xt_write_text(NUMA "scan_period_min_ms", "20");
	xt_write_text(NUMA "scan_period_max_ms", "100");
	xt_write_text(NUMA "scan_delay_ms", "20");
}

int xt_block_find(char *path, size_t size)
{
	DIR *dir = opendir(XT_NODE1);
	struct dirent *entry;
	int block = -1;

	while (dir && block < 0 && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "memory%d", &block) != 1)
			continue;
		snprintf(path, size, XT_NODE1 "/memory%d/state", block);
		/* Blocks that the kernel itself uses stay. */
		if (!xt_write_text(path, "offline") ||
		    !xt_write_text(path, "online_movable"))
			block = -1;
	}
	if (dir)
		closedir(dir);
	return block;
}

static size_t block_pages(void)
{
	FILE *in = fopen("/sys/devices/system/memory/block_size_bytes", "re");
	unsigned long bytes;

	xt_need(in && fscanf(in, "%lx", &bytes) == 1,
		"the size of a block of memory");
	fclose(in);
	return bytes / xt_page;
}

size_t xt_count_in_block(const char *mem, size_t pages, int block)
{
	uint64_t frames[XT_MOST_PAGES];
	size_t size = block_pages(), count = 0;

	xt_need(pages <= XT_MOST_PAGES, "%zu pages in one call", pages);
	xt_frames(mem, frames, pages);
	for (size_t i = 0; i < pages; i++)
		count += frames[i] / size == (uint64_t)block;
	return count;
}

/* Its minor 0 has memory of its own. */
static bool make_device(void)
{
	const char *kdir = getenv("XPMEM_KDIR");
	unsigned int major = 0;
	char text[256], name[64];
	bool found = false;
	FILE *in;

	snprintf(text, sizeof(text), "insmod %s/lib/test_hmm.ko 2>/dev/null",
		 kdir ? kdir : "");
	if (access("/sys/module/test_hmm", F_OK) && system(text))
		return false;
	in = fopen("/proc/devices", "re");
	while (in && !found && fgets(text, sizeof(text), in))
		found = sscanf(text, "%u %63s", &major, name) == 2 &&
			!strcmp(name, "HMM_DMIRROR");
	if (in)
		fclose(in);
	return found && (!mknod(DEVICE, S_IFCHR | 0600, makedev(major, 0)) ||
			 errno == EEXIST);
}

int xt_hmm_open(void)
{
	int fd;

	if (!make_device())
		return -1;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	xt_need(fd >= 0, "open the device");
	return fd;
}

bool xt_hmm_take(int fd, unsigned long request, void *mem, void *copy,
		 size_t pages)
{
	struct xt_hmm cmd = { (uintptr_t)mem, (uintptr_t)copy, pages, 0, 0 };

	if (!ioctl(fd, request, &cmd))
		return true;
	xt_need(errno == EBUSY || errno == ENOENT, "the device takes pages");
	return false;
}

int xt_probe(const char *path, uint64_t at)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.config1 = (uintptr_t)path,
		.config2 = at,
	};
	FILE *in = fopen("/sys/bus/event_source/devices/uprobe/type", "re");

	if (!in || fscanf(in, "%u", &attr.type) != 1)
		attr.type = 0;
	if (in)
		fclose(in);
	if (!attr.type) {
		errno = ENODEV;
		return -1;
	}
	return syscall(SYS_perf_event_open, &attr, getpid(), -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
}
