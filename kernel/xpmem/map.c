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
 * xpmem_span_populate - make sure that the page tables exist
 * @span: where
 * @vma:  in whose address space
 *
 * Context: in a fault of @vma; allocates; no notifier lock held.
 * Return: 0 or -ENOMEM.
 */
int xpmem_span_populate(const struct xpmem_span *span,
			struct vm_area_struct *vma)
{
	return apply_to_page_range(vma->vm_mm, span->addr, PAGE_SIZE, NULL,
				   NULL);
}

struct map_args {
	const struct xpmem_span *span;
	struct vm_area_struct *vma;
};

/*
 * Empty entries are filled; the touched one may also gain write permission.
 * An entry for another frame is left alone: whoever took that frame away is
 * about to zap it.
 */
static int map_one(pte_t *pte, unsigned long addr, void *data)
{
	const struct map_args *args = data;
	unsigned int i = (addr - args->span->addr) >> PAGE_SHIFT;
	unsigned long page = args->span->pages[i];
	unsigned long pfn = page >> XPMEM_PAGE_SHIFT;
	bool write = (page & XPMEM_PAGE_WRITE) &&
		     (args->vma->vm_flags & VM_WRITE);
	pte_t old = ptep_get(pte), new;

	if (!(page & XPMEM_PAGE_VALID))
		return 0;
	if (!pte_none(old) && (!write || !pte_present(old) || pte_write(old) ||
			       pte_pfn(old) != pfn))
		return 0;
	new = pte_mkspecial(pfn_pte(pfn, args->vma->vm_page_prot));
	if (write)
		new = pte_mkwrite_novma(pte_mkdirty(new));
	if (i == args->span->target)
		new = pte_mkyoung(new);
	set_pte_at(args->vma->vm_mm, addr, pte, new);
	return 0;
}

/**
 * xpmem_span_map - map what was found
 * @span: pages to map; those without XPMEM_PAGE_VALID are left out
 * @vma:  the attachment
 *
 * Context: in a fault of @vma, under the lock that keeps the frames valid.
 * Return: 0, or -ENOMEM if the page tables vanished.
 */
int xpmem_span_map(const struct xpmem_span *span, struct vm_area_struct *vma)
{
	struct map_args args = { .span = span, .vma = vma };

	return apply_to_page_range(vma->vm_mm, span->addr,
				   (unsigned long)span->count << PAGE_SHIFT,
				   map_one, &args);
}
