// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of the hook table: reclaim, migration, poison, split, collapse, merge.
 * All of them go through the page hooks.
 */
#include "rows.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <asm/mman.h> and <linux/mman.h>, which glibc does not show */
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static enum outcome pageout(struct area *a)
{
	madvise(a->mem, a->size, MADV_PAGEOUT);
	return done_if(!area_resident(a));
}

/* The other pages of the process go as well: it does not matter. */
static enum outcome group_reclaim(struct area *a)
{
	xt_group_press(a->group, 4 * XT_MIB);
	return done_if(!area_resident(a));
}

static enum outcome move_pages(struct area *a)
{
	size_t count = a->row->memory == MEM_HUGE ? 1 : a->size / PAGE;
	int nodes[16], status[16];
	void *pages[16];

	if (access("/sys/devices/system/node/node1", F_OK))
		return lacks(a, "a second NUMA node");
	for (size_t i = 0; i < count; i++)
		pages[i] = a->mem + i * PAGE;
	if (!a->state) {
		if (syscall(SYS_move_pages, 0, 1, pages, NULL, status, 0))
			return lacks(a, "move_pages");
		a->state = status[0] == 0 ? 2 : 1; /* the other node, plus 1 */
	}
	for (size_t i = 0; i < count; i++)
		nodes[i] = a->state - 1;
	syscall(SYS_move_pages, 0, count, pages, nodes, status, 2);
	for (size_t i = 0; i < count; i++)
		if (status[i] != nodes[i])
			return NOT_YET;
	return DONE;
}

static enum outcome soft_offline(struct area *a)
{
	if (xt_frame(a->mem) == a->frames[0] &&
	    madvise(a->mem, PAGE, MADV_SOFT_OFFLINE) && errno == EINVAL)
		return lacks(a, "CONFIG_MEMORY_FAILURE");
	return done_if(xt_frame(a->mem) != a->frames[0]);
}

/* Whoever poisons a page of its own is sent SIGBUS, as if it had touched it. */
static enum outcome poison(struct area *a)
{
	struct sigaction action = { .sa_handler = hear_signal }, usual;
	int error;

	sigaction(SIGBUS, &action, &usual);
	error = madvise(a->mem, PAGE, MADV_HWPOISON) ? errno : 0;
	sigaction(SIGBUS, &usual, NULL);
	if (error == EINVAL)
		return lacks(a, "CONFIG_MEMORY_FAILURE");
	return done_if(xt_load(a->mem, NULL));
}

/* Advice about a part of a huge page splits it. */
static enum outcome split(struct area *a)
{
	madvise(a->mem + 4 * PAGE, 4 * PAGE, MADV_COLD);
	return done_if(!area_compound(a->mem));
}

static enum outcome collapse_file(struct area *a)
{
	if (madvise(a->mem, HUGE, MADV_COLLAPSE) && errno == EINVAL)
		return lacks(a, "MADV_COLLAPSE of memory files");
	/* It maps nothing: a touch does. */
	return done_if(!xt_load(a->mem, NULL) && area_compound(a->mem));
}

/* Does not ask: as long as a page is exported, it is refused. */
static enum outcome collapse(struct area *a)
{
	madvise(a->mem, HUGE, MADV_HUGEPAGE);
	madvise(a->mem, HUGE, MADV_COLLAPSE);
	return DONE;
}

/* By the kernel's thread; the pages have the same words. */
static enum outcome merge(struct area *a)
{
	uint64_t frames[2];

	if (!a->state) {
		if (madvise(a->mem, a->size, MADV_MERGEABLE))
			return lacks(a, "CONFIG_KSM");
		xt_write_text("/sys/kernel/mm/ksm/pages_to_scan", "1000");
		xt_write_text("/sys/kernel/mm/ksm/sleep_millisecs", "20");
		xt_write_text("/sys/kernel/mm/ksm/run", "1");
		a->state = 1;
	}
	area_frames(a->mem, 2, frames);
	return done_if(frames[0] && frames[0] == frames[1]);
}

const struct row reclaim_rows[] = {
	{ "MADV_PAGEOUT", MEM_ANON, pageout, .sees = KEPT },
	{ "MADV_PAGEOUT of a huge page", MEM_HUGE, pageout, .sees = KEPT },
	{ "MADV_PAGEOUT of a file", MEM_FILE, pageout, .sees = KEPT },
	{ "memory.reclaim", MEM_ANON, group_reclaim, .sees = KEPT,
	  .flags = ROW_GROUP },
	{ "move_pages", MEM_ANON, move_pages, .sees = KEPT },
	{ "move_pages of a huge page", MEM_HUGE, move_pages, .sees = KEPT },
	{ "move_pages of a file", MEM_FILE, move_pages, .sees = KEPT },
	{ "soft offline", MEM_ANON, soft_offline, .sees = KEPT },
	{ "soft offline of a file", MEM_FILE, soft_offline, .sees = KEPT },
	{ "soft offline of a huge page", MEM_HUGE, soft_offline, .sees = KEPT },
	{ "poison", MEM_ANON, poison, .sees = NOTHING, .to = PAGE },
	{ "poison of a file", MEM_FILE, poison, .sees = NOTHING, .to = PAGE },
	{ "poison of a huge page", MEM_HUGE, poison, .sees = NOTHING,
	  .to = PAGE, .flags = ROW_ANSWERED },
	{ "split", MEM_HUGE, split, .sees = KEPT },
	{ "collapse", MEM_ANON_ROOM, collapse, .sees = KEPT,
	  .flags = ROW_LEAVES },
	{ "collapse of a file", MEM_FILE_ROOM, collapse_file, .sees = KEPT },
	{ "merge", MEM_ANON, merge, .sees = KEPT, .flags = ROW_ALIKE },
};

const size_t reclaim_count = sizeof(reclaim_rows) / sizeof(reclaim_rows[0]);
