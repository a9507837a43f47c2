/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel does to memory with the help of the machine: nodes, a block of
 * memory that can go, a device with memory of its own, a probe.
 */
#ifndef XT_MACHINE_H
#define XT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define XT_NODE1 "/sys/devices/system/node/node1"
#define XT_BALANCING "/proc/sys/kernel/numa_balancing"
#define XT_MOST_PAGES 64 /* of one call */

/* lib/test_hmm_uapi.h of Linux 6.12 */
struct xt_hmm {
	uint64_t addr, ptr, npages, cpages, faults;
};
#define XT_HMM_MIGRATE_TO_DEV _IOWR('H', 0x02, struct xt_hmm)
#define XT_HMM_EXCLUSIVE _IOWR('H', 0x05, struct xt_hmm)

/* To a file of proc or sysfs; false if that is refused. */
bool xt_write_text(const char *path, const char *text);

/* How many of the pages are on the node? */
size_t xt_count_on(char *mem, size_t pages, int node);
/* Until all of them are: a page that somebody holds for a moment is left where it is. */
void xt_move_to(char *mem, size_t pages, int node);
/* The node of the CPU that this thread runs on. */
unsigned int xt_node(void);
/* Has the scans of NUMA balancing come often. */
void xt_balance_soon(void);

/*
 * A block of node 1 that can go offline, made movable, so that what is moved to the
 * node goes there: its number, and the path of its state; or -1.
 */
int xt_block_find(char *path, size_t size);
/* How many of the pages are in it? */
size_t xt_count_in_block(const char *mem, size_t pages, int block);

/* The kernel's own test device; -1 without it. */
int xt_hmm_open(void);
/* It takes all of the pages, and copies them; false if one of them is in use. */
bool xt_hmm_take(int fd, unsigned long request, void *mem, void *copy,
		 size_t pages);

/* A probe at a byte of a file; -1 with ENODEV without CONFIG_UPROBE_EVENTS. */
int xt_probe(const char *path, uint64_t at);

#endif
