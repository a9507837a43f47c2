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

/* Attachments of a range that are looked at, and others that are passed by. */
#define YOUNG_ATTACHMENTS 64
#define YOUNG_OTHERS 1024

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

/*
 * The accessed bit is cleared in one step, so that what the CPU sets meanwhile, and
 * who changes the entry under a lock that is not taken here, wins.  A table that was
 * just taken out may be written, too, until interrupts are on again.  The TLB is left
 * alone, as Linux does with its own entries on x86.
 */
static void clear_accessed(void *entry, unsigned long old, unsigned long new)
{
	static_assert(sizeof(pte_t) == sizeof(unsigned long));
	static_assert(sizeof(pmd_t) == sizeof(unsigned long));

	cmpxchg((unsigned long *)entry, old, new);
}

static bool small_young(pte_t *ptep, bool clear)
{
	pte_t pte = ptep_get_lockless(ptep);

	if (!pte_present(pte) || !pte_special(pte) || !pte_young(pte))
		return false;
	if (clear)
		clear_accessed(ptep, pte_val(pte), pte_val(pte_mkold(pte)));
	return true;
}

/* One page table's worth at most; @at is the first page's number in @young. */
static void look_at_table(struct xpmem_young *young, struct mm_struct *mm,
			  unsigned long addr, unsigned int count,
			  unsigned int at)
{
	unsigned long irq;
	unsigned int i;
	pmd_t *leaf;
	pte_t *ptep;

	local_irq_save(irq);
	ptep = xpmem_lookup_table(mm, addr, &leaf);
	for (i = 0; ptep && i < count; i++)
		if (small_young(ptep + i, false))
			__set_bit((at + i) >> young->shift, young->bits);
	local_irq_restore(irq);
}

/* The pages of an attachment that are in a range. */
struct overlap {
	unsigned long from;
	unsigned long to;
};

static bool overlap(const struct xpmem_attachment *att, unsigned long first,
		    unsigned long end, struct overlap *o)
{
	unsigned long pages = (att->end - att->start) >> PAGE_SHIFT;

	o->from = max(first, att->first);
	o->to = min(end, att->first + pages);
	return o->from < o->to;
}

static unsigned long address(const struct xpmem_attachment *att,
			     unsigned long index)
{
	return att->start + ((index - att->first) << PAGE_SHIFT);
}

/* As many pages from @index on as one page table has. */
static unsigned int table_pages(unsigned long addr, unsigned long pages)
{
	return min(pages, (PMD_SIZE - (addr & ~PMD_MASK)) >> PAGE_SHIFT);
}

static void look_at_attachment(struct xpmem_young *young,
			       const struct xpmem_attachment *att,
			       unsigned long first, const struct overlap *o)
{
	unsigned long from = o->from;

	while (from < o->to) {
		unsigned long addr = address(att, from);
		unsigned int count = table_pages(addr, o->to - from);

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
	unsigned int n = YOUNG_ATTACHMENTS, others = YOUNG_OTHERS;
	struct xpmem_attachment *att;
	struct overlap o;

	if (imp) {
		spin_lock(&imp->users.lock);
		list_for_each_entry(att, &imp->users.list, node) {
			if (!overlap(att, first, end, &o)) {
				if (!others--)
					break;
				continue;
			}
			if (!n--)
				break;
			look_at_attachment(young, att, first, &o);
		}
		spin_unlock(&imp->users.lock);
	}
	young->at += end - first;
}

static bool huge_young(pmd_t *pmdp, bool clear)
{
	pmd_t pmd = pmdp_get_lockless(pmdp);

	/* Not special: what came after an attachment was unmapped there. */
	if (!pmd_present(pmd) || !pmd_leaf(pmd) || !pmd_special(pmd) ||
	    !pmd_young(pmd))
		return false;
	if (clear)
		clear_accessed(pmdp, pmd_val(pmd), pmd_val(pmd_mkold(pmd)));
	return true;
}

/* No page-table lock: the exporter's is held, and may be the same one. */
static bool table_young(struct mm_struct *mm, unsigned long addr,
			unsigned int count, bool clear)
{
	bool young = false;
	unsigned long irq;
	unsigned int i;
	pmd_t *leaf;
	pte_t *ptep;

	local_irq_save(irq);
	ptep = xpmem_lookup_table(mm, addr, &leaf);
	if (leaf)
		young = huge_young(leaf, clear);
	for (i = 0; ptep && i < count && (clear || !young); i++)
		young |= small_young(ptep + i, clear);
	local_irq_restore(irq);
	return young;
}

static bool attachment_young(const struct xpmem_attachment *att,
			     const struct overlap *o, bool clear,
			     unsigned int *left)
{
	unsigned long index = o->from;
	bool young = false;

	while (index < o->to && *left) {
		unsigned long addr = address(att, index);
		unsigned int count =
			min(*left, table_pages(addr, o->to - index));

		young |= table_young(att->mm, addr, count, clear);
		index += count;
		*left -= count;
	}
	return young;
}

/**
 * xpmem_young_segment - have local importers used a range of an exporter's?
 * @seg:   the segment, which cannot go away
 * @start: address in the exporter
 * @end:   behind the last one
 * @clear: and from now on?
 * @left:  entries that may be looked at; lowered
 *
 * Context: under the exporter's page-table lock.
 */
bool xpmem_young_segment(struct xpmem_segment *seg, unsigned long start,
			 unsigned long end, bool clear, unsigned int *left)
{
	unsigned long behind = seg->start + (seg->pages << PAGE_SHIFT);
	unsigned int others = YOUNG_OTHERS;
	unsigned long first, last, block, block_end;
	struct xpmem_attachment *att;
	bool young = false;
	struct overlap o;

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
		if (!*left || (young && !clear) || !others--)
			break;
		if (overlap(att, first, last + 1, &o))
			young |= attachment_young(att, &o, clear, left);
	}
	spin_unlock(&seg->users.lock);
	return young;
}
