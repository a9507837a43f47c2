/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that depends on the kernel's version or on the mm series; no other file
 * has an #if for that.
 *
 * The module is written for the newest kernel.  What an older one lacks is
 * defined here under its own name by a macro, so that a kernel to which it is
 * added later is no conflict; what a newer one has dropped is defined as what
 * it had become: false.
 *
 * docs/kernels.md says what works on which kernel.
 */
#ifndef XPMEM_COMPAT_H
#define XPMEM_COMPAT_H

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/version.h>

#ifdef XPMEM_EXEC_STATE_H
#include <linux/sched/exec_state.h>
#else
#include <linux/sched/coredump.h>
#endif
#ifdef XPMEM_FOLIO_BATCH_H
#include <linux/folio_batch.h>
#else
#include <linux/pagevec.h>
#endif

/* --- the mm series, or what stands in for it: stock.c --------------------- */

#ifdef CONFIG_MMU_RMAP_NOTIFIER

#include <linux/mmu_rmap_notifier.h>

/* What calls the module before a page goes; for /sys, netlink and the log. */
#define XPMEM_KERNEL "rmap"
#define XPMEM_KERNEL_TEXT                                                 \
	"with the mm series (rmap notifier): pages come back before the " \
	"kernel takes its own locks"

static inline int xpmem_stock_prepare(struct mm_struct *mm)
{
	return 0;
}

static inline void xpmem_stock_granted(struct folio *folio)
{
}

static inline void xpmem_stock_exit(void)
{
}

/* Is this the notifier of a zap that takes away what attachments show? */
static inline bool xpmem_zap_nested(const struct mmu_notifier_range *range)
{
	return range->flags & MMU_NOTIFIER_RANGE_NESTED;
}

static inline void xpmem_zap(struct address_space *mapping, loff_t start,
			     loff_t len)
{
	unmap_mapping_range(mapping, start, len, 1);
}

#else

#define XPMEM_KERNEL "range"
#define XPMEM_KERNEL_TEXT                                                 \
	"stock (interval notifier only): whoever unmaps exported memory " \
	"waits for remote importers"

int xpmem_stock_prepare(struct mm_struct *mm);
void xpmem_stock_granted(struct folio *folio);
void xpmem_stock_exit(void);
bool xpmem_zap_nested(const struct mmu_notifier_range *range);
void xpmem_zap(struct address_space *mapping, loff_t start, loff_t len);

/* Nobody calls: the interval notifier has to do, and a reference keeps pages. */
struct mmu_rmap_notifier;

struct mmu_rmap_notifier_ops {
	bool (*try_invalidate_page)(struct mmu_rmap_notifier *mrn,
				    struct folio *folio);
	void (*invalidate_page)(struct mmu_rmap_notifier *mrn,
				struct folio *folio);
	bool (*age_page)(struct mmu_rmap_notifier *mrn, struct folio *folio);
};

struct mmu_rmap_notifier {
	const struct mmu_rmap_notifier_ops *ops;
};

static inline int mmu_rmap_notifier_register(struct mmu_rmap_notifier *mrn)
{
	return 0;
}

static inline void mmu_rmap_notifier_unregister(struct mmu_rmap_notifier *mrn)
{
}

static inline void mmu_rmap_notifier_acked(unsigned long folios)
{
}

static inline bool folio_test_set_rmap_external(struct folio *folio)
{
	return false;
}

static inline void folio_clear_rmap_external(struct folio *folio)
{
}

static inline void folio_batch_reclaim_soon(struct folio_batch *batch)
{
	unsigned int i;

	for (i = 0; i < folio_batch_count(batch); i++)
		folio_put(batch->folios[i]);
	folio_batch_init(batch);
}

static inline void mapping_set_zap_nested(struct address_space *mapping)
{
}

#endif

/* --- 6.17 dropped them ----------------------------------------------------- */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define pte_devmap(pte) false
#define pmd_devmap(pmd) false
#define pud_devmap(pud) false
#endif

/* --- new in 6.12: huge entries that have no struct page -------------------- */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
/* GUP would take such an entry for one with a struct page to hold. */
#define XPMEM_HUGE false
#define pmd_special(pmd) false
#define pmd_mkspecial(pmd) (pmd)
#else
/*
 * Without the series, page_table_check takes a huge page of anonymous memory
 * that is mapped twice for a mistake.
 */
#define XPMEM_HUGE                               \
	(!IS_ENABLED(CONFIG_PAGE_TABLE_CHECK) || \
	 IS_ENABLED(CONFIG_MMU_RMAP_NOTIFIER))
#endif

/* --- new in 6.10 ----------------------------------------------------------- */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define xpmem_assign_str(dst, src) __assign_str(dst, src)
#else
#define xpmem_assign_str(dst, src) __assign_str(dst)
#endif

/* --- new in 6.9 ------------------------------------------------------------ */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
#define pte_advance_pfn(pte, nr) pfn_pte(pte_pfn(pte) + (nr), pte_pgprot(pte))
#endif

/* --- new in 6.6 ------------------------------------------------------------ */

#ifndef VM_SHADOW_STACK
#define VM_SHADOW_STACK VM_NONE
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define pte_mkwrite_novma(pte) pte_mkwrite(pte)
#define pmd_mkwrite_novma(pmd) pmd_mkwrite(pmd)
#endif

#ifndef PMD_ORDER
#define PMD_ORDER (PMD_SHIFT - PAGE_SHIFT)
#endif

/* --- is a process dumpable? Until 7.2 or so that was the address space's. --- */

#ifdef XPMEM_EXEC_STATE_H
static inline bool xpmem_mm_dumpable(struct mm_struct *mm)
{
	enum task_dumpable dumpable = TASK_DUMPABLE_OWNER;
#ifdef CONFIG_MEMCG
	struct task_struct *task;

	rcu_read_lock();
	task = rcu_dereference(mm->owner);
	if (task)
		dumpable = rcu_dereference(task->exec_state)->dumpable;
	rcu_read_unlock();
#endif
	return dumpable == TASK_DUMPABLE_OWNER;
}
#else
static inline bool xpmem_mm_dumpable(struct mm_struct *mm)
{
	return get_dumpable(mm) == SUID_DUMP_USER;
}
#endif

/* --- new in 6.4: per-VMA locks --------------------------------------------- */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define release_fault_lock(vmf) mmap_read_unlock((vmf)->vma->vm_mm)
#endif

/* --- new in 6.3 ------------------------------------------------------------ */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void xpmem_vm_flags_mod(struct vm_area_struct *vma,
				      vm_flags_t set, vm_flags_t clear)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#define vm_flags_mod xpmem_vm_flags_mod
#endif

/* --- new in 6.2 ------------------------------------------------------------ */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define pmdp_get_lockless(pmdp) READ_ONCE(*(pmdp))
#endif

#endif
