// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find the frames behind an exporter's addresses, without faulting, without a
 * reference, and without marking anything accessed.
 *
 * Before: fault.c, export.c.  Invariant: what is found here may be used only
 * under the segment's lock and an unchanged notifier sequence.
 */
#include <linux/magic.h>
#include <linux/mmu_context.h>
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
	/* Also: only these have special entries other than the zero pages. */
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_SHADOW_STACK))
		return -EOPNOTSUPP;
	if (vma->vm_file &&
	    (IS_DAX(file_inode(vma->vm_file)) ||
	     file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC))
		return -EOPNOTSUPP;
	return 0;
}

/* Every entry is read once: another thread may take a table away meanwhile. */
static pud_t *walk_to_pud(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgdp = pgd_offset(mm, addr), pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;

	if (pgd_none(pgd) || pgd_bad(pgd))
		return NULL;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || p4d_bad(p4d))
		return NULL;
	return pud_offset_lockless(p4dp, p4d, addr);
}

/* With interrupts off. */
static pmd_t *walk_to_pmd(struct mm_struct *mm, unsigned long addr)
{
	pud_t *pudp = walk_to_pud(mm, addr), pud;

	/* Else tables are freed once the CPUs of that address space know. */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_MMU_GATHER_RCU_TABLE_FREE));
	if (!pudp)
		return NULL;
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || pud_leaf(pud) || pud_bad(pud))
		return NULL;
	return pmd_offset_lockless(pudp, pud, addr);
}

/**
 * xpmem_lookup_table - the entry for an address in its page table
 * @mm:   the address space, held by mmgrab() at least
 * @addr: the address
 * @leaf: set where a huge entry is instead of a table; else NULL
 *
 * Context: interrupts off while what is returned is used: that keeps tables from
 * being freed, though not from being emptied.
 * Return: NULL if there is no table.
 */
pte_t *xpmem_lookup_table(struct mm_struct *mm, unsigned long addr,
			  pmd_t **leaf)
{
	pmd_t *pmdp = walk_to_pmd(mm, addr), pmd;

	*leaf = NULL;
	if (!pmdp)
		return NULL;
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd))
		return NULL;
	if (!pmd_leaf(pmd))
		return pte_offset_kernel(&pmd, addr);
	*leaf = pmdp;
	return NULL;
}

static unsigned long page_word(unsigned long pfn, bool write)
{
	return pfn << XPMEM_PAGE_SHIFT | XPMEM_PAGE_VALID |
	       (write ? XPMEM_PAGE_WRITE : 0);
}

/*
 * Writable only where the exporter's own entry is writable and dirty.  Dirty is
 * decided when a page is mapped writable: a page that is being written may be
 * clean, because the caller marks its folio dirty.
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

static unsigned long look_at_pmd(pmd_t pmd, bool writing)
{
	if (!pmd_present(pmd) || !pmd_leaf(pmd) || pmd_protnone(pmd) ||
	    pmd_devmap(pmd))
		return 0;
	/* Special: the huge zero page. */
	return page_word(pmd_pfn(pmd), pmd_write(pmd) && !pmd_special(pmd) &&
					       (pmd_dirty(pmd) || writing));
}

/* Huge pages of hugetlbfs only: nothing else has such entries. */
static unsigned long look_at_pud(pud_t pud, bool writing)
{
	if (!pud_present(pud) || !pud_leaf(pud) || pud_devmap(pud))
		return 0;
	return page_word(pud_pfn(pud),
			 pud_write(pud) && (pud_dirty(pud) || writing));
}

/* Pages of one huge page: @word is that of its first one. */
static void fill(unsigned long word, unsigned int skip, unsigned int count,
		 unsigned long *pages)
{
	unsigned int i;

	for (i = 0; word && i < count; i++)
		pages[i] =
			word + ((unsigned long)(skip + i) << XPMEM_PAGE_SHIFT);
}

/*
 * One page table's worth at most.  Interrupts are off, so no table is freed
 * meanwhile, whatever it says: RCU is not enough for those that processes share
 * (hugetlb).  The pages from @first on, @nr of them, are being written, or soon
 * will be.
 */
static void look_at_table(struct mm_struct *mm, unsigned long addr,
			  unsigned int count, unsigned int first,
			  unsigned int nr, unsigned long *pages)
{
	unsigned int i, skip = (addr & ~PMD_MASK) >> PAGE_SHIFT;
	pud_t *pudp;
	unsigned long irq;
	pmd_t *pmdp, pmd;
	pte_t *pte;

	local_irq_save(irq);
	pmdp = walk_to_pmd(mm, addr);
	if (!pmdp) {
		pudp = walk_to_pud(mm, addr);
		if (pudp)
			fill(look_at_pud(READ_ONCE(*pudp), nr),
			     (addr & ~PUD_MASK) >> PAGE_SHIFT, count, pages);
		goto unlock;
	}
	pmd = pmdp_get_lockless(pmdp);
	if (pmd_leaf(pmd)) {
		fill(look_at_pmd(pmd, nr), skip, count, pages);
		goto unlock;
	}
	if (!pmd_present(pmd))
		goto unlock;
	pte = pte_offset_kernel(&pmd, addr);
	for (i = 0; i < count; i++)
		pages[i] =
			look_at_pte(ptep_get_lockless(pte + i), i - first < nr);
unlock:
	local_irq_restore(irq);
}

/**
 * xpmem_lookup - frames behind consecutive pages of an exporter
 * @seg:    the segment
 * @span:   which pages; ->target is needed, the others are welcome; ->pages is
 *          filled in: frame << XPMEM_PAGE_SHIFT | XPMEM_PAGE_*, or 0
 * @around: with @write, so many pages, aligned, are given writable even where
 *          the exporter's entry is clean; a power of two; the caller marks
 *          dirty what it maps writable
 * @write:  the target is needed writable
 *
 * Context: the exporter's mmap_lock is held for reading; does not sleep.
 * Return: 0; -EAGAIN if the target is not there (or not writable) now but may be
 * after xpmem_lookup_fault_in(); -EFAULT if the exporter has nothing there, or
 * not with that access; -EOPNOTSUPP if that kind of memory is not exported.
 */
int xpmem_lookup(struct xpmem_segment *seg, const struct xpmem_span *span,
		 unsigned int around, bool write)
{
	unsigned long addr = seg->start + (span->index << PAGE_SHIFT);
	unsigned long end = addr + ((unsigned long)span->count << PAGE_SHIFT);
	unsigned long want = addr + ((unsigned long)span->target << PAGE_SHIFT);
	unsigned long written = ALIGN_DOWN(want >> PAGE_SHIFT, around);
	unsigned long page, at = addr;
	struct vm_area_struct *vma;
	int err;

	mmap_assert_locked(seg->mm);
	memset(span->pages, 0, span->count * sizeof(*span->pages));
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
				      written - (at >> PAGE_SHIFT),
				      write ? around : 0,
				      span->pages +
					      ((at - addr) >> PAGE_SHIFT));
		at = stop;
	}
	page = span->pages[span->target];
	if (!(page & XPMEM_PAGE_VALID) || (write && !(page & XPMEM_PAGE_WRITE)))
		return -EAGAIN;
	return 0;
}

/**
 * xpmem_lookup_huge - the huge page behind an aligned piece of an exporter
 * @seg:   the segment
 * @index: first page number in the segment; its address is a multiple of
 *         PMD_SIZE
 * @write: it is needed writable
 * @page:  filled in: frame << XPMEM_PAGE_SHIFT | XPMEM_PAGE_*
 *
 * Context: the exporter's mmap_lock is held for reading; does not sleep.
 * Return: 0, or -EAGAIN if there is no huge page with that access now.
 */
int xpmem_lookup_huge(struct xpmem_segment *seg, unsigned long index,
		      bool write, unsigned long *page)
{
	unsigned long addr = seg->start + (index << PAGE_SHIFT), irq;
	struct vm_area_struct *vma = vma_lookup(seg->mm, addr);
	pmd_t *pmdp;
	pud_t *pudp;

	mmap_assert_locked(seg->mm);
	*page = 0;
	if (vma_check(vma, write) || addr + PMD_SIZE > vma->vm_end)
		return -EAGAIN;
	local_irq_save(irq);
	pmdp = walk_to_pmd(seg->mm, addr);
	pudp = walk_to_pud(seg->mm, addr);
	if (pmdp)
		*page = look_at_pmd(pmdp_get_lockless(pmdp), write);
	else if (pudp)
		fill(look_at_pud(READ_ONCE(*pudp), write),
		     (addr & ~PUD_MASK) >> PAGE_SHIFT, 1, page);
	local_irq_restore(irq);
	if (!(*page & XPMEM_PAGE_VALID) ||
	    (write && !(*page & XPMEM_PAGE_WRITE)))
		return -EAGAIN;
	return 0;
}

/**
 * xpmem_lookup_absent - the first address without an entry
 * @mm:   an importer's address space
 * @addr: where to begin
 * @end:  where to stop, at most the end of @addr's page table
 *
 * Context: @mm's mmap_lock is held for reading; does not sleep.
 * Return: an address in [@addr, @end), or @end if all are mapped.
 */
unsigned long xpmem_lookup_absent(struct mm_struct *mm, unsigned long addr,
				  unsigned long end)
{
	unsigned long irq;
	pmd_t *leaf;
	pte_t *pte;

	local_irq_save(irq);
	pte = xpmem_lookup_table(mm, addr, &leaf);
	if (leaf)
		addr = end;
	for (; pte && addr < end && pte_present(ptep_get_lockless(pte)); pte++)
		addr += PAGE_SIZE;
	local_irq_restore(irq);
	return addr;
}

/* Would a fault there wait for the user space behind a userfaultfd? */
static bool supplied_by_user(struct vm_area_struct *vma, unsigned long addr,
			     bool write)
{
	unsigned long page = 0;

	if (!userfaultfd_armed(vma))
		return false;
	look_at_table(vma->vm_mm, addr & PAGE_MASK, 1, 0, write, &page);
	if (!(page & XPMEM_PAGE_VALID))
		return true;
	return write && !(page & XPMEM_PAGE_WRITE) && userfaultfd_wp(vma);
}

/* May a fault wait although it must not?  File systems do, for what they read. */
static bool may_wait(struct vm_area_struct *vma)
{
	if (userfaultfd_armed(vma))
		return true;
	return vma->vm_file && !(vma->vm_flags & VM_HUGETLB) &&
	       file_inode(vma->vm_file)->i_sb->s_magic != TMPFS_MAGIC;
}

/**
 * xpmem_lookup_fault_in - one step towards a page of the exporter being resident
 * @mm:    the exporter's address space
 * @addr:  the page
 * @flags: FAULT_FLAG_WRITE or FAULT_FLAG_UNSHARE; FAULT_FLAG_KILLABLE;
 *         FAULT_FLAG_TRIED in the second step, which else might be like the
 *         first; or FAULT_FLAG_RETRY_NOWAIT, which asks no file system
 *
 * As the exporter's own touch would, but without marking the page accessed:
 * that would keep reclaim from freeing what only importers use.  One step, not
 * fixup_user_fault(): that goes on by itself after it dropped the lock, when the
 * address may be an attachment's.  What a userfaultfd would be asked for is not
 * faulted in.  What it waits for is the exporter's affair, and may be a file
 * system that does not answer.  It holds no lock while it waits for a page to be
 * read; a second step (FAULT_FLAG_TRIED), a file system that waits before a page
 * may be written, and a range under a userfaultfd keep @mm's.
 *
 * Context: @mm's mmap_lock is held for reading; sleeps for I/O, unless
 * FAULT_FLAG_RETRY_NOWAIT.
 * Return: 0; XPMEM_LOOKUP_UNLOCKED: had to wait, the mmap_lock is not held any
 * more, take another step; -EAGAIN: would have to wait; -EFAULT, -EOPNOTSUPP as
 * of xpmem_lookup(); -EOPNOTSUPP if a userfaultfd would be asked; -ENOMEM.
 */
int xpmem_lookup_fault_in(struct mm_struct *mm, unsigned long addr,
			  unsigned int flags)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);
	bool write = flags & FAULT_FLAG_WRITE;
	int err = vma_check(vma, write);
	vm_fault_t ret;

	if (err)
		return err;
	if (!arch_vma_access_permitted(vma, write, false, true))
		return -EFAULT;
	if (supplied_by_user(vma, addr, write) ||
	    ((flags & FAULT_FLAG_RETRY_NOWAIT) && may_wait(vma)))
		return -EOPNOTSUPP;
	/* The entry may be gone by now: without this flag nobody is asked. */
	if (!userfaultfd_armed(vma))
		flags |= FAULT_FLAG_ALLOW_RETRY;
	ret = handle_mm_fault(vma, addr, flags | FAULT_FLAG_REMOTE, NULL);
	if (ret & VM_FAULT_COMPLETED)
		return XPMEM_LOOKUP_UNLOCKED;
	if (ret & VM_FAULT_ERROR)
		return vm_fault_to_errno(ret, 0);
	if (ret & VM_FAULT_RETRY)
		return flags & FAULT_FLAG_RETRY_NOWAIT ? -EAGAIN :
							 XPMEM_LOOKUP_UNLOCKED;
	return 0;
}
