// SPDX-License-Identifier: GPL-2.0-only
/*
 * touch, where the exporter has a huge page: one entry of the importer's page
 * table for all of it, or for each 2 MiB of one of hugetlbfs.
 *
 * Before: attach.c, whose attachments lie as the exporter's memory does.  As in
 * fault.c otherwise, which is next where this cannot.  Invariant: no entry is
 * larger than a PMD: mremap() clears a PUD of an attachment without a flush.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>

#include "xpmem.h"

/*
 * As map_one() in map.c.  A page table that another thread put there meanwhile
 * is left alone.
 */
static void map_pmd(struct vm_fault *vmf, unsigned long page)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long pfn = page >> XPMEM_PAGE_SHIFT;
	bool write = (page & XPMEM_PAGE_WRITE) && (vma->vm_flags & VM_WRITE);
	spinlock_t *ptl = pmd_lock(vma->vm_mm, vmf->pmd);
	pmd_t old = *vmf->pmd, new;

	if (!pmd_none(old) && (!write || !pmd_present(old) || !pmd_leaf(old) ||
			       pmd_write(old) || pmd_pfn(old) != pfn))
		goto unlock;
	new = pmd_mkspecial(pmd_mkhuge(pfn_pmd(pfn, vma->vm_page_prot)));
	if (write)
		new = pmd_mkwrite_novma(pmd_mkdirty(new));
	set_pmd_at(vma->vm_mm, vmf->address & PMD_MASK, vmf->pmd,
		   pmd_mkyoung(new));
	update_mmu_cache_pmd(vma, vmf->address, vmf->pmd);
unlock:
	spin_unlock(ptl);
}

/**
 * xpmem_huge_area - where to attach, so that huge pages can be mapped
 * @file:  of the permit
 * @addr:  wish, or 0
 * @len:   bytes
 * @pgoff: page number in the segment
 * @flags: as of mmap(2)
 *
 * As far into a huge page as the exporter's own address is.
 */
unsigned long xpmem_huge_area(struct file *file, unsigned long addr,
			      unsigned long len, unsigned long pgoff,
			      unsigned long flags)
{
	const struct xpmem_permit *permit = file->private_data;

	if (permit->segment)
		pgoff += permit->segment->start >> PAGE_SHIFT;
	return thp_get_unmapped_area(file, addr, len, pgoff, flags);
}

/* Does a huge page fit there, in the importer and in the exporter? */
static bool huge_fits(const struct vm_fault *vmf,
		      const struct xpmem_segment *seg, unsigned long *index)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PMD_MASK;

	if (addr < vma->vm_start || addr + PMD_SIZE > vma->vm_end)
		return false;
	*index = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
	return !((seg->start + (*index << PAGE_SHIFT)) & ~PMD_MASK);
}

static int huge_find(struct xpmem_segment *seg, unsigned long index, bool write,
		     unsigned long *page)
{
	int err = -EAGAIN;

	if (!mmget_not_zero(seg->mm))
		return -EFAULT;
	if (mmap_read_trylock(seg->mm)) {
		err = xpmem_lookup_huge(seg, index, write, page);
		mmap_read_unlock(seg->mm);
	}
	mmput_async(seg->mm);
	return err;
}

/*
 * Wait for a new sequence here: ->fault() would do so with a page table in the
 * place of the huge page.
 */
static vm_fault_t huge_wait(struct vm_fault *vmf, struct xpmem_attachment *att)
{
	struct xpmem_segment *seg = att->permit->segment;
	unsigned long addr = vmf->address;

	if (xpmem_fault_unlock(vmf, att))
		return VM_FAULT_FALLBACK;
	WRITE_ONCE(seg->seq, mmu_interval_read_begin(&seg->notifier));
	return xpmem_fault_retry(att, addr, 0);
}

/**
 * xpmem_fault_huge - a touch where nothing smaller is mapped yet
 * @vmf:   the fault
 * @order: of the huge page that Linux would like
 *
 * Context: a page fault, under the per-VMA lock or the mmap_lock.
 * Return: VM_FAULT_NOPAGE; VM_FAULT_RETRY, the lock dropped; or
 * VM_FAULT_FALLBACK: ->fault() does it, or finds out why it cannot be done.
 */
vm_fault_t xpmem_fault_huge(struct vm_fault *vmf, unsigned int order)
{
	struct xpmem_attachment *att = vmf->vma->vm_private_data;
	struct xpmem_segment *seg = att->permit->segment;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long index, page, seq;

	if (!XPMEM_HUGE || order != PMD_ORDER || !seg ||
	    xpmem_segment_over(seg) || READ_ONCE(att->failed.task) == current ||
	    !huge_fits(vmf, seg, &index))
		return VM_FAULT_FALLBACK;
	seq = READ_ONCE(seg->seq);
	if (mmu_interval_check_retry(&seg->notifier, seq))
		return huge_wait(vmf, att);
	if (huge_find(seg, index, write, &page) ||
	    xpmem_mapped_reserve(seg, index, index + PTRS_PER_PTE - 1))
		return VM_FAULT_FALLBACK;
	mutex_lock(&att->tables);
	if (!down_read_trylock(&seg->lock))
		goto unlock;
	if (!xpmem_segment_over(seg) && !att->permit->dead &&
	    !mmu_interval_read_retry(&seg->notifier, seq)) {
		xpmem_mapped_set(seg, index, index + PTRS_PER_PTE - 1);
		/* A PFN mapping loses its dirty bit when it is zapped. */
		if (write)
			folio_mark_dirty(pfn_folio(page >> XPMEM_PAGE_SHIFT));
		map_pmd(vmf, page);
		xpmem_count(faults_local);
		xpmem_count(faults_huge);
		ret = VM_FAULT_NOPAGE;
	}
	up_read(&seg->lock);
unlock:
	mutex_unlock(&att->tables);
	return ret;
}
