// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of the hook table: a memory file loses pages.
 */
#include "rows.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HALF (8 * PAGE)
#define INSIDE 2048 /* bytes into a page */

static enum outcome truncate_all(struct area *a)
{
	return ftruncate(a->fd, 0) ? NOT_YET : DONE;
}

static enum outcome truncate_half(struct area *a)
{
	return ftruncate(a->fd, HALF) ? NOT_YET : DONE;
}

/* What comes back when the file grows again is zeros. */
static enum outcome shrink_and_grow(struct area *a, size_t to)
{
	if (ftruncate(a->fd, to) || ftruncate(a->fd, a->size))
		return NOT_YET;
	return DONE;
}

static enum outcome truncate_inside(struct area *a)
{
	return shrink_and_grow(a, HALF + INSIDE);
}

static enum outcome truncate_huge(struct area *a)
{
	return shrink_and_grow(a, HUGE / 2 + INSIDE);
}

static enum outcome punch(struct area *a)
{
	return fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 a->row->from, a->row->to - a->row->from) ?
		       NOT_YET :
		       DONE;
}

static enum outcome remove_range(struct area *a)
{
	return madvise(a->mem + a->row->from, a->row->to - a->row->from,
		       MADV_REMOVE) ?
		       NOT_YET :
		       DONE;
}

/* The file goes with its last user. */
static enum outcome close_file(struct area *a)
{
	munmap(a->mem, a->size);
	close(a->fd);
	return DONE;
}

const struct row file_rows[] = {
	{ "truncate", MEM_FILE, truncate_all, .sees = NOTHING,
	  .to = 16 * PAGE },
	{ "truncate to a half", MEM_FILE, truncate_half, .sees = NOTHING,
	  .from = HALF, .to = 16 * PAGE },
	{ "truncate inside a page", MEM_FILE, truncate_inside, .sees = ZEROS,
	  .from = HALF + INSIDE, .to = 16 * PAGE },
	{ "truncate inside a huge page", MEM_FILE_HUGE, truncate_huge,
	  .sees = ZEROS, .from = HUGE / 2 + INSIDE, .to = HUGE },
	{ "hole", MEM_FILE, punch, .sees = ZEROS, .from = 4 * PAGE,
	  .to = HALF },
	{ "hole inside pages", MEM_FILE, punch, .sees = ZEROS, .from = INSIDE,
	  .to = 3 * PAGE + INSIDE },
	{ "hole in a huge page", MEM_FILE_HUGE, punch, .sees = ZEROS,
	  .from = 16 * PAGE, .to = 40 * PAGE },
	{ "MADV_REMOVE", MEM_FILE, remove_range, .sees = ZEROS,
	  .from = 4 * PAGE, .to = HALF },
	{ "last close", MEM_FILE, close_file, .sees = NOTHING,
	  .to = 16 * PAGE },
};

const size_t file_count = sizeof(file_rows) / sizeof(file_rows[0]);
