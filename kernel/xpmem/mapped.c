// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which parts of a segment may be mapped by local attachments: one bit for 32
 * pages, in one word for each page table's worth that was ever touched.
 *
 * Before: fault.c, which sets.  Next: segment.c, which zaps what is set, and
 * nothing else.  Invariant: a bit is cleared only after a zap, and while nobody
 * can map: see xpmem_mapped_clear().
 *
 * An exporter that gave away its whole address space pays for its own munmap()
 * and copy-on-write only where somebody looked; reclaim, which takes one page
 * after the other, zaps once for 32 of them.
 */
#include "xpmem.h"

#define BLOCK_SHIFT 5
#define BLOCKS (PTRS_PER_PTE >> BLOCK_SHIFT)
#define TABLE_SHIFT (PMD_SHIFT - PAGE_SHIFT)

/* Bits of the blocks that pages @first to @last of table @table lie in. */
static unsigned long block_mask(unsigned long table, unsigned long first,
				unsigned long last)
{
	unsigned long start = table << TABLE_SHIFT;
	unsigned long end = start + PTRS_PER_PTE - 1;
	unsigned int from = (max(first, start) - start) >> BLOCK_SHIFT;
	unsigned int to = (min(last, end) - start) >> BLOCK_SHIFT;

	BUILD_BUG_ON(BLOCKS >= BITS_PER_LONG);
	return GENMASK(to, from);
}

/**
 * xpmem_mapped_reserve - make room, so that xpmem_mapped_set() needs no memory
 * @seg:   the segment
 * @first: page number
 * @last:  page number
 *
 * Context: process, no lock held under which memory may not be allocated.
 * Return: 0 or -ENOMEM.
 */
int xpmem_mapped_reserve(struct xpmem_segment *seg, unsigned long first,
			 unsigned long last)
{
	unsigned long table;
	int err;

	for (table = first >> TABLE_SHIFT; table <= last >> TABLE_SHIFT;
	     table++) {
		if (xa_load(&seg->mapped, table))
			continue;
		err = xa_insert(&seg->mapped, table, xa_mk_value(0),
				GFP_KERNEL_ACCOUNT);
		if (err && err != -EBUSY)
			return err;
	}
	return 0;
}

/**
 * xpmem_mapped_set - pages are about to be mapped
 * @seg:   the segment, its lock held for reading, its sequence unchanged
 * @first: page number; reserved
 * @last:  page number
 */
void xpmem_mapped_set(struct xpmem_segment *seg, unsigned long first,
		      unsigned long last)
{
	unsigned long table, mask, old;

	lockdep_assert_held_read(&seg->lock);
	for (table = first >> TABLE_SHIFT; table <= last >> TABLE_SHIFT;
	     table++) {
		mask = block_mask(table, first, last);
		/* Nobody clears now: a zap holds the lock or the sequence. */
		old = xa_to_value(xa_load(&seg->mapped, table));
		if ((old & mask) == mask)
			continue;
		xa_lock(&seg->mapped);
		old = xa_to_value(xa_load(&seg->mapped, table));
		/* In place of a value: allocates nothing, and cannot fail. */
		__xa_store(&seg->mapped, table, xa_mk_value(old | mask), 0);
		xa_unlock(&seg->mapped);
	}
	/* Pairs with xpmem_mapped_clear_all(). */
	atomic_long_inc(&seg->mappings);
}

/**
 * xpmem_mapped_in - what of a range may be mapped
 * @seg:   the segment
 * @first: page number; moved to where zapping must begin
 * @last:  page number; moved to where zapping must end
 *
 * Widened to whole blocks, so that their bits can be cleared afterwards.
 *
 * Context: any that may take a spinlock.  After the sequence was ended, what it
 * says stays true while that lasts.
 * Return: false if nothing is.
 */
bool xpmem_mapped_in(struct xpmem_segment *seg, unsigned long *first,
		     unsigned long *last)
{
	unsigned long table = *first >> TABLE_SHIFT, from = ULONG_MAX, to = 0;
	unsigned long set;
	void *entry;

	xa_for_each_range(&seg->mapped, table, entry, *first >> TABLE_SHIFT,
			  *last >> TABLE_SHIFT) {
		set = xa_to_value(entry) & block_mask(table, *first, *last);
		if (!set)
			continue;
		from = min(from, (table << TABLE_SHIFT) +
					 (__ffs(set) << BLOCK_SHIFT));
		to = (table << TABLE_SHIFT) + ((__fls(set) + 1) << BLOCK_SHIFT);
	}
	if (!to)
		return false;
	*first = from;
	*last = to - 1;
	return true;
}

/**
 * xpmem_mapped_clear - a range was zapped
 * @seg:   the segment, its sequence ended and not begun again
 * @first: page number, as xpmem_mapped_in() moved it
 * @last:  page number, as xpmem_mapped_in() moved it
 *
 * Two invalidations of one block may go on at a time.  Nobody maps meanwhile:
 *
 *	one					the other
 *	---					---------
 *	xpmem_mapped_in(): set
 *	zap
 *						xpmem_mapped_in()
 *	xpmem_mapped_clear()
 *
 * The other one finds the bit set, and zaps again, or clear, and then the zap
 * is over.
 */
void xpmem_mapped_clear(struct xpmem_segment *seg, unsigned long first,
			unsigned long last)
{
	unsigned long table = first >> TABLE_SHIFT, left;
	void *entry;

	xa_lock(&seg->mapped);
	xa_for_each_range(&seg->mapped, table, entry, first >> TABLE_SHIFT,
			  last >> TABLE_SHIFT) {
		left = xa_to_value(entry) & ~block_mask(table, first, last);
		__xa_store(&seg->mapped, table, xa_mk_value(left), 0);
	}
	xa_unlock(&seg->mapped);
}

/**
 * xpmem_mapped_clear_all - everything was zapped, perhaps while others mapped
 * @seg:      the segment, its lock held for writing
 * @mappings: seg->mappings, read under the same lock before the zap
 */
void xpmem_mapped_clear_all(struct xpmem_segment *seg, long mappings)
{
	lockdep_assert_held_write(&seg->lock);
	if (atomic_long_read(&seg->mappings) == mappings)
		xpmem_mapped_clear(seg, 0, seg->pages - 1);
}
