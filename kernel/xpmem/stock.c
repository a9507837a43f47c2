// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module must see to by itself on kernels without the mm series.
 *
 * Invariant: as with the series, a notifier runs inside of another one only
 * because an attachment is zapped, and then finds nothing to do, because
 * attachments cannot be exported: this nests one deep.
 */
#include <linux/mmu_notifier.h>
#include <linux/workqueue.h>

#include "xpmem.h"

static bool nothing(struct mmu_interval_notifier *notifier,
		    const struct mmu_notifier_range *range, unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

/**
 * xpmem_stock_prepare - make an address space ready for attachments
 * @mm: the caller's
 *
 * The first interval notifier of an address space takes all locks of its
 * mappings, and then those of its anonymous memory.  Zaps take the lock of a
 * segment's mapping inside of the latter.  So let there have been one before
 * anything is attached.
 *
 * Context: process; takes the mmap_lock.
 * Return: 0, or as of mmu_interval_notifier_insert().
 */
int xpmem_stock_prepare(struct mm_struct *mm)
{
	static const struct mmu_interval_notifier_ops ops = {
		.invalidate = nothing,
	};
	struct mmu_interval_notifier first;
	int err = mmu_interval_notifier_insert(&first, mm, 0, PAGE_SIZE, &ops);

	if (!err)
		mmu_interval_notifier_remove(&first);
	return err;
}

/*
 * Reclaim, and whoever splits huge pages, passes over a large folio with more
 * references than mappings before it asks any notifier: an importer would keep
 * it for ever.  So what is large is lent for this long; who still uses it then
 * touches it again.
 */
#define LARGE_LENT (2 * HZ)

static void large_back(struct work_struct *work)
{
	xpmem_revoke_large();
}

static DECLARE_DELAYED_WORK(large_work, large_back);

/**
 * xpmem_stock_granted - a folio was granted to another partition
 * @folio: the folio
 *
 * Context: any.
 */
void xpmem_stock_granted(struct folio *folio)
{
	if (folio_test_large(folio))
		queue_delayed_work(xpmem_session_wq, &large_work, LARGE_LENT);
}

/**
 * xpmem_stock_exit - nothing is granted any more, nor will be
 *
 * Context: process; may sleep.
 */
void xpmem_stock_exit(void)
{
	cancel_delayed_work_sync(&large_work);
}
