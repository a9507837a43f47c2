// SPDX-License-Identifier: GPL-2.0-only
/*
 * Put frames into an importer's page table: many per fault, because a fault
 * costs far more than a page-table entry.
 *
 * Before: lookup.c, fetch.c.  Invariant: called under the lock whose writer
 * takes the frames away, on page tables that exist, so nothing here allocates.
 */
#include <linux/pgtable.h>

#include "xpmem.h"

/**
 * xpmem_span_around - which pages to map with the one that was touched
 * @span: filled in, except @span->pages
 * @vmf:  the fault
 *
 * The aligned block of a page table's pages, clipped to the VMA.
 */
void xpmem_span_around(struct xpmem_span *span, const struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long start = max(vmf->address & PMD_MASK, vma->vm_start);
	unsigned long end =
		min((vmf->address & PMD_MASK) + PMD_SIZE, vma->vm_end);

	span->addr = start;
	span->index = vma->vm_pgoff + ((start - vma->vm_start) >> PAGE_SHIFT);
	span->count = (end - start) >> PAGE_SHIFT;
	span->target = (vmf->address - start) >> PAGE_SHIFT;
}

/**
 * xpmem_span_populate - make sure that the page table exists
 * @span: where
 * @vmf:  the fault
 * @att:  the attachment
 *
 * A huge page may be there instead, or come any time until the table exists.
 *
 * Context: a page fault; allocates; no notifier lock held.
 * Return: 0 or -ENOMEM.
 */
int xpmem_span_populate(const struct xpmem_span *span, struct vm_fault *vmf,
			struct xpmem_attachment *att)
{
	int err = 0;

	if (!pmd_none(pmdp_get_lockless(vmf->pmd)))
		return 0;
	mutex_lock(&att->tables);
	if (pmd_none(pmdp_get_lockless(vmf->pmd)))
		err = apply_to_page_range(vmf->vma->vm_mm, span->addr,
					  PAGE_SIZE, NULL, NULL);
	mutex_unlock(&att->tables);
	return err;
}

/* What an entry looks like, but for its frame. */
struct look {
	pte_t read;
	pte_t write;
	bool may_write;
	bool aged;
};

static struct look look_of(const struct vm_area_struct *vma)
{
	const struct xpmem_attachment *att = vma->vm_private_data;
	pte_t read = pte_mkspecial(pfn_pte(0, vma->vm_page_prot));

	return (struct look){
		.read = read,
		.write = pte_mkwrite_novma(pte_mkdirty(read)),
		.may_write = vma->vm_flags & VM_WRITE,
		/* See young.c. */
		.aged = att->permit->import,
	};
}

/*
 * Entries that are not present are filled (no pages are swapped out here, but
 * markers may be there); the touched one may also gain write permission.
 * An entry for another frame is left alone: whoever took that frame away is
 * about to zap it.  What comes along with the touched page is old until it is
 * used.
 */
static void map_one(struct mm_struct *mm, unsigned long addr, pte_t *pte,
		    unsigned long page, const struct look *look, bool touched)
{
	bool write = (page & XPMEM_PAGE_WRITE) && look->may_write;
	unsigned long pfn = page >> XPMEM_PAGE_SHIFT;
	pte_t old = ptep_get(pte), new;

	if (!(page & XPMEM_PAGE_VALID))
		return;
	if (pte_present(old) &&
	    (!write || pte_write(old) || pte_pfn(old) != pfn))
		return;
	new = pte_advance_pfn(write ? look->write : look->read, pfn);
	if (look->aged && !touched && !(pte_present(old) && pte_young(old)))
		new = pte_mkold(new);
	set_pte_at(mm, addr, pte, new);
}

/**
 * xpmem_span_map - map what was found
 * @span: pages to map; those without XPMEM_PAGE_VALID are left out
 * @vmf:  the fault, its page table populated
 *
 * Where a huge page came instead of the table, nothing remains to be done.
 *
 * Context: a page fault, under the lock that keeps the frames valid.
 */
void xpmem_span_map(const struct xpmem_span *span, struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct look look = look_of(vmf->vma);
	unsigned long addr = span->addr;
	unsigned int i;
	spinlock_t *ptl;
	pmd_t pmd;
	pte_t *pte;

	rcu_read_lock();
	pmd = pmdp_get_lockless(vmf->pmd);
	if (!pmd_present(pmd) || pmd_leaf(pmd))
		goto unlock_rcu;
	ptl = pte_lockptr(mm, &pmd);
	spin_lock(ptl);
	if (!pmd_same(pmd, pmdp_get_lockless(vmf->pmd)))
		goto unlock;
	pte = pte_offset_kernel(&pmd, addr);
	arch_enter_lazy_mmu_mode();
	for (i = 0; i < span->count; i++, pte++, addr += PAGE_SIZE)
		map_one(mm, addr, pte, span->pages[i], &look,
			i == span->target);
	arch_leave_lazy_mmu_mode();
unlock:
	spin_unlock(ptl);
unlock_rcu:
	rcu_read_unlock();
}
