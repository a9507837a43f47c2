// SPDX-License-Identifier: GPL-2.0-only
/*
 * young: do importers use the pages that reclaim looks at?
 *
 * Of another partition: import.c asks before it unmaps what the home wants back,
 * and ack.c at the home hears.  Up to 512 pages are mapped there for one touch;
 * all but the touched one are mapped old (map.c).  On the exporter's own:
 * process.c asks for Linux.  Invariant: a hint, which decides only what reclaim
 * does next; so page tables are read without the mmap_lock.
 */
#include <linux/pgtable.h>

#include "xpmem.h"

/* Attachments looked at for one question; what others used is not seen. */
#define YOUNG_ATTACHMENTS 64

/**
 * xpmem_young_start - begin with a revoke
 * @young: filled in
 * @msg:   the revoke, checked by xpmem_wire_check_payload()
 */
void xpmem_young_start(struct xpmem_young *young,
		       const struct xpmem_wire_revoke *msg)
{
	u32 i, pages = 0;

	for (i = 0; i < le32_to_cpu(msg->nruns); i++)
		pages += le32_to_cpu(msg->runs[i].count);
	young->at = 0;
	young->shift = xpmem_wire_young_shift(pages);
	bitmap_zero(young->bits, XPMEM_WIRE_YOUNG);
}

/* One page table's worth at most; @at is the first page's number in @young. */
static void look_at_table(struct xpmem_young *young, struct mm_struct *mm,
			  unsigned long addr, unsigned int count,
			  unsigned int at)
{
	unsigned long irq;
	pmd_t *pmdp, pmd;
	unsigned int i;
	pte_t *ptep;

	/* Keeps tables from being freed, though not from being emptied. */
	local_irq_save(irq);
	pmdp = xpmem_lookup_pmd(mm, addr);
	if (!pmdp)
		goto unlock;
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd) || pmd_leaf(pmd))
		goto unlock;
	ptep = pte_offset_kernel(&pmd, addr);
	for (i = 0; i < count; i++) {
		pte_t pte = ptep_get_lockless(ptep + i);

		if (pte_present(pte) && pte_special(pte) && pte_young(pte))
			__set_bit((at + i) >> young->shift, young->bits);
	}
unlock:
	local_irq_restore(irq);
}

static void look_at_attachment(struct xpmem_young *young,
			       const struct xpmem_attachment *att,
			       unsigned long first, unsigned long end)
{
	unsigned long pages = (att->end - att->start) >> PAGE_SHIFT;
	unsigned long from = max(first, att->first);
	unsigned long to = min(end, att->first + pages);

	while (from < to) {
		unsigned long addr =
			att->start + ((from - att->first) << PAGE_SHIFT);
		unsigned long left = (PMD_SIZE - (addr & ~PMD_MASK)) >>
				     PAGE_SHIFT;
		unsigned int count = min(to - from, left);

		look_at_table(young, att->mm, addr, count,
			      young->at + (from - first));
		from += count;
	}
}

/**
 * xpmem_young_find - note which pages of a run were used
 * @young: of the revoke; advanced by the run
 * @imp:   what is held of the run's segment; NULL: nothing is
 * @run:   the next run
 *
 * Context: the session's receiver; takes no mmap_lock, waits for nothing,
 * allocates nothing.
 */
void xpmem_young_find(struct xpmem_young *young, struct xpmem_import *imp,
		      const struct xpmem_wire_revoke_run *run)
{
	unsigned long first = le64_to_cpu(run->index);
	unsigned long end = first + le32_to_cpu(run->count);
	unsigned int n = YOUNG_ATTACHMENTS;
	struct xpmem_attachment *att;

	if (imp) {
		spin_lock(&imp->users.lock);
		list_for_each_entry(att, &imp->users.list, node) {
			if (!n--)
				break;
			look_at_attachment(young, att, first, end);
		}
		spin_unlock(&imp->users.lock);
	}
	young->at += end - first;
}

static bool huge_young(struct mm_struct *mm, unsigned long addr, pmd_t *pmdp,
		       bool clear)
{
	spinlock_t *ptl = pmd_lockptr(mm, pmdp);
	bool young = true;
	pmd_t pmd;

	if (!spin_trylock(ptl))
		return true;
	pmd = pmdp_get_lockless(pmdp);
	young = pmd_present(pmd) && pmd_leaf(pmd) && pmd_young(pmd);
	if (young && clear)
		set_pmd_at(mm, addr & PMD_MASK, pmdp, pmd_mkold(pmd));
	spin_unlock(ptl);
	return young;
}

static bool small_young(struct mm_struct *mm, unsigned long addr, pmd_t *pmdp,
			pmd_t pmd, bool clear)
{
	spinlock_t *ptl = pte_lockptr(mm, &pmd);
	bool young = false;
	pte_t *ptep, pte;

	if (!spin_trylock(ptl))
		return true;
	if (pmd_same(pmd, pmdp_get_lockless(pmdp))) {
		ptep = pte_offset_kernel(&pmd, addr);
		pte = ptep_get(ptep);
		young = pte_present(pte) && pte_special(pte) && pte_young(pte);
		/* Ours are dirty if they are writable: no bit is lost. */
		if (young && clear)
			set_pte_at(mm, addr, ptep, pte_mkold(pte));
	}
	spin_unlock(ptl);
	return young;
}

/*
 * The page-table lock of the importer is only tried, because the exporter's is
 * held; whoever has it uses the table.  The TLB is left alone, as Linux does with
 * its own entries on x86.
 */
static bool page_young(struct mm_struct *mm, unsigned long addr, bool clear)
{
	bool young = false;
	unsigned long irq;
	pmd_t *pmdp, pmd;

	local_irq_save(irq);
	pmdp = xpmem_lookup_pmd(mm, addr);
	if (pmdp) {
		pmd = pmdp_get_lockless(pmdp);
		if (pmd_present(pmd) && pmd_leaf(pmd))
			young = huge_young(mm, addr, pmdp, clear);
		else if (pmd_present(pmd))
			young = small_young(mm, addr, pmdp, pmd, clear);
	}
	local_irq_restore(irq);
	return young;
}

static bool attachment_young(const struct xpmem_attachment *att,
			     unsigned long first, unsigned long last,
			     bool clear)
{
	unsigned long pages = (att->end - att->start) >> PAGE_SHIFT;
	unsigned long index = max(first, att->first);
	bool young = false;

	for (; index <= last && index < att->first + pages; index++)
		young |= page_young(att->mm,
				    att->start + ((index - att->first)
						  << PAGE_SHIFT),
				    clear);
	return young;
}

/**
 * xpmem_young_segment - have local importers used a range of an exporter's?
 * @seg:   the segment, which cannot go away
 * @start: address in the exporter
 * @end:   behind the last one
 * @clear: and from now on?
 *
 * Context: under the exporter's page-table lock.
 */
bool xpmem_young_segment(struct xpmem_segment *seg, unsigned long start,
			 unsigned long end, bool clear)
{
	unsigned long behind = seg->start + (seg->pages << PAGE_SHIFT);
	unsigned int n = YOUNG_ATTACHMENTS;
	struct xpmem_attachment *att;
	unsigned long first, last, block, block_end;
	bool young = false;

	start = max(start, seg->start);
	end = min(end, behind);
	if (start >= end)
		return false;
	first = (start - seg->start) >> PAGE_SHIFT;
	last = (end - 1 - seg->start) >> PAGE_SHIFT;
	block = first;
	block_end = last;
	if (!xpmem_mapped_in(seg, &block, &block_end))
		return false;
	spin_lock(&seg->users.lock);
	list_for_each_entry(att, &seg->users.list, node) {
		if (!n--)
			break;
		young |= attachment_young(att, first, last, clear);
	}
	spin_unlock(&seg->users.lock);
	return young;
}
