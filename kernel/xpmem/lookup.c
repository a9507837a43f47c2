// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find the frames behind an exporter's addresses, without faulting, without a
 * reference, and without marking anything accessed.
 *
 * Before: fault.c, export.c.  Invariant: what is found here may be used only
 * under the segment's lock and an unchanged notifier sequence.
 */
#include <linux/magic.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>

#include "xpmem.h"

/* May pages of this VMA be shown to others at all? */
static int vma_check(const struct vm_area_struct *vma, bool write)
{
	if (!vma || !(vma->vm_flags & VM_READ) ||
	    (write && !(vma->vm_flags & VM_WRITE)))
		return -EFAULT;
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_HUGETLB))
		return -EOPNOTSUPP;
	if (vma->vm_file &&
	    (IS_DAX(file_inode(vma->vm_file)) ||
	     file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC))
		return -EOPNOTSUPP;
	return 0;
}

static pmd_t *walk_to_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_leaf(*pud) || pud_bad(*pud))
		return NULL;
	return pmd_offset(pud, addr);
}

/* Writable only where the exporter's own entry is writable and dirty. */
static unsigned long page_word(unsigned long pfn, bool write)
{
	return pfn << XPMEM_PAGE_SHIFT | XPMEM_PAGE_VALID |
	       (write ? XPMEM_PAGE_WRITE : 0);
}

/*
 * Dirty is decided when a page is mapped writable: a page that is being written
 * may be clean, because the caller marks its folio dirty.
 */
static unsigned long look_at_pte(pte_t pte, bool writing)
{
	if (!pte_present(pte))
		return pte_none(pte) ? 0 : XPMEM_PAGE_SWAPPED;
	if (pte_protnone(pte) || pte_devmap(pte))
		return 0;
	if (pte_special(pte) && !is_zero_pfn(pte_pfn(pte)))
		return 0;
	return page_word(pte_pfn(pte),
			 pte_write(pte) && (pte_dirty(pte) || writing));
}

/* Addresses that are being written, or soon will be. */
struct written {
	unsigned long start;
	unsigned long end;
};

static bool being_written(const struct written *written, unsigned long addr,
			  unsigned int i)
{
	addr += (unsigned long)i << PAGE_SHIFT;
	return addr >= written->start && addr < written->end;
}

/* One page table's worth at most; RCU keeps the table, not what it says. */
static void look_at_table(struct mm_struct *mm, unsigned long addr,
			  unsigned int count, const struct written *written,
			  unsigned long *pages)
{
	pmd_t *pmdp = walk_to_pmd(mm, addr), pmd;
	unsigned int i;
	pte_t *pte;

	memset(pages, 0, count * sizeof(*pages));
	if (!pmdp)
		return;
	rcu_read_lock();
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd) || pmd_protnone(pmd) || pmd_devmap(pmd))
		goto unlock;
	if (pmd_leaf(pmd)) {
		unsigned long pfn =
			pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);

		if (pmd_special(pmd))
			goto unlock;
		for (i = 0; i < count; i++)
			pages[i] = page_word(
				pfn + i,
				pmd_write(pmd) &&
					(pmd_dirty(pmd) ||
					 being_written(written, addr, i)));
		goto unlock;
	}
	pte = pte_offset_kernel(&pmd, addr);
	for (i = 0; i < count; i++)
		pages[i] = look_at_pte(ptep_get_lockless(pte + i),
				       being_written(written, addr, i));
unlock:
	rcu_read_unlock();
}

/**
 * xpmem_lookup - frames behind consecutive pages of an exporter
 * @seg:    the segment
 * @addr:   first address in the exporter
 * @count:  pages
 * @target: which of them is needed; the others are welcome
 * @around: with @write, so many pages, aligned, are given writable even where
 *          the exporter's entry is clean; a power of two; the caller marks
 *          dirty what it maps writable
 * @write:  @target is needed writable
 * @pages:  filled in: frame << XPMEM_PAGE_SHIFT | XPMEM_PAGE_*, or 0
 *
 * Context: the exporter's mmap_lock is held for reading; does not sleep.
 * Return: 0; -EAGAIN if @target is not there (or not writable) now but may be
 * after xpmem_lookup_fault_in(); -EFAULT if the exporter has nothing there, or
 * not with that access; -EOPNOTSUPP if that kind of memory is not exported.
 */
int xpmem_lookup(struct xpmem_segment *seg, unsigned long addr,
		 unsigned int count, unsigned int target, unsigned int around,
		 bool write, unsigned long *pages)
{
	unsigned long size = (unsigned long)around << PAGE_SHIFT;
	unsigned long end = addr + ((unsigned long)count << PAGE_SHIFT);
	unsigned long at = addr,
		      want = addr + ((unsigned long)target << PAGE_SHIFT);
	struct written written = {};
	struct vm_area_struct *vma;
	int err;

	mmap_assert_locked(seg->mm);
	if (write) {
		written.start = want & ~(size - 1);
		written.end = written.start + size;
	}
	memset(pages, 0, count * sizeof(*pages));
	err = vma_check(vma_lookup(seg->mm, want), write);
	if (err)
		return err;
	while (at < end && (vma = find_vma(seg->mm, at)) &&
	       vma->vm_start < end) {
		unsigned long stop =
			min3(end, vma->vm_end, pmd_addr_end(at, end));

		if (at < vma->vm_start) {
			at = vma->vm_start;
			continue;
		}
		if (!vma_check(vma, false))
			look_at_table(seg->mm, at, (stop - at) >> PAGE_SHIFT,
				      &written,
				      pages + ((at - addr) >> PAGE_SHIFT));
		at = stop;
	}
	if (!(pages[target] & XPMEM_PAGE_VALID) ||
	    (write && !(pages[target] & XPMEM_PAGE_WRITE)))
		return -EAGAIN;
	return 0;
}

/**
 * xpmem_lookup_fault_in - make a page of the exporter resident
 * @mm:    the exporter's address space
 * @addr:  the page
 * @flags: FAULT_FLAG_WRITE, FAULT_FLAG_UNSHARE, or 0
 *
 * As the exporter's own touch would, but without marking the page accessed:
 * that would keep reclaim from freeing what only importers use.  Never waits
 * for user space: a range under a userfaultfd is not faulted in.
 *
 * Context: @mm's mmap_lock is held for reading and stays held; sleeps for I/O.
 * Return: 0; -EOPNOTSUPP under a userfaultfd; or as of fixup_user_fault().
 */
int xpmem_lookup_fault_in(struct mm_struct *mm, unsigned long addr,
			  unsigned int flags)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (vma && userfaultfd_armed(vma))
		return -EOPNOTSUPP;
	return fixup_user_fault(mm, addr, flags, NULL);
}
