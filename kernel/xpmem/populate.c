// SPDX-License-Identifier: GPL-2.0-only
/*
 * Touch an attachment ahead of its user: at attach, or because madvise() says
 * so.
 *
 * Before: attach.c.  Next: fault.c, import.c.  Invariant: best effort; what
 * cannot be had now is found out by whoever touches it.
 */
#include <linux/fadvise.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "xpmem.h"

/*
 * One page table's worth.  Each fault brings all neighbours that are resident.
 * Steps over what the exporter does not have grow: a hole costs a few faults,
 * not one for each of its pages.
 *
 * Returns -EINTR or -ENOENT when there is no point in going on.
 */
static int populate_table(struct mm_struct *mm, unsigned long addr,
			  unsigned long end)
{
	unsigned long step = PAGE_SIZE;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int err = 0;

	while (!err) {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		vma = vma_lookup(mm, addr);
		if (!vma || vma->vm_ops != &xpmem_vm_ops) {
			err = -ENOENT;
		} else {
			addr = xpmem_lookup_absent(mm, addr, end);
			if (addr >= end)
				err = -EEXIST;
			else if (fixup_user_fault(mm, addr, 0, &unlocked))
				step *= 2;
			else
				step = PAGE_SIZE;
		}
		mmap_read_unlock(mm);
		addr += step;
		if (addr >= end)
			break;
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	return err == -EEXIST ? 0 : err;
}

/**
 * xpmem_populate - map what the exporter has of a range
 * @start: first address in the caller
 * @size:  bytes
 *
 * For reading; writable where that comes for free.  Ends early at what is no
 * attachment.
 *
 * Context: process; may sleep; takes the mmap_lock; ended by a fatal signal.
 */
void xpmem_populate(unsigned long start, size_t size)
{
	unsigned long addr = start & PAGE_MASK;
	unsigned long end = PAGE_ALIGN(start + size), next;

	for (; addr < end; addr = next) {
		next = pmd_addr_end(addr, end);
		if (populate_table(current->mm, addr, next))
			return;
		cond_resched();
	}
}

/**
 * xpmem_populate_advised - MADV_WILLNEED on an attachment
 * @file:   of the permit
 * @offset: bytes into the segment
 * @len:    bytes
 * @advice: POSIX_FADV_*
 *
 * Nothing tells which attachment is meant: all of the caller's that show @offset
 * are populated.
 *
 * Context: process; may sleep; takes the mmap_lock.
 * Return: 0.
 */
int xpmem_populate_advised(struct file *file, loff_t offset, loff_t len,
			   int advice)
{
	unsigned long pgoff = offset >> PAGE_SHIFT, at = 0, start = 0;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	if (advice != POSIX_FADV_WILLNEED || !mm || len <= 0)
		return 0;
	do {
		VMA_ITERATOR(vmi, mm, at);

		if (mmap_read_lock_killable(mm))
			return 0;
		start = 0;
		for_each_vma(vmi, vma) {
			at = vma->vm_end;
			if (vma->vm_file != file || pgoff < vma->vm_pgoff ||
			    pgoff - vma->vm_pgoff >= vma_pages(vma))
				continue;
			start = vma->vm_start +
				((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
			break;
		}
		mmap_read_unlock(mm);
		if (start)
			xpmem_populate(start, min_t(u64, len, at - start));
	} while (start && !fatal_signal_pending(current));
	return 0;
}
