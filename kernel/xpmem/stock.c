// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module must see to by itself on kernels without the mm series.
 *
 * Invariant: as with the series, a notifier runs inside of another one only
 * because an attachment is zapped, and then does nothing: this nests one deep.
 */
#include <linux/hash.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "xpmem.h"

#define BUCKET_BITS 6

/* A task that zaps attachments, on its stack. */
struct zap {
	struct hlist_node node;
	const struct task_struct *task;
};

/* @lock protects the list and what it leads through. */
struct bucket {
	spinlock_t lock;
	struct hlist_head zaps;
};

static struct bucket buckets[1 << BUCKET_BITS] = {
	[0 ...(1 << BUCKET_BITS) - 1] = {
		.lock = __SPIN_LOCK_UNLOCKED(buckets.lock),
	},
};

static struct bucket *bucket_of(const struct task_struct *task)
{
	return &buckets[hash_ptr(task, BUCKET_BITS)];
}

/**
 * xpmem_zap - take pages away from whoever attached them
 * @mapping: the segment's or image's
 * @start:   first byte
 * @len:     bytes; 0: all
 *
 * Context: may sleep; takes @mapping's i_mmap_rwsem.
 */
void xpmem_zap(struct address_space *mapping, loff_t start, loff_t len)
{
	struct bucket *b = bucket_of(current);
	struct zap zap = { .task = current };

	spin_lock(&b->lock);
	hlist_add_head(&zap.node, &b->zaps);
	spin_unlock(&b->lock);
	unmap_mapping_range(mapping, start, len, 1);
	spin_lock(&b->lock);
	hlist_del(&zap.node);
	spin_unlock(&b->lock);
}

/**
 * xpmem_zap_nested - is this the notifier of an attachment being zapped?
 * @range: what the notifier is about
 *
 * An importer may export the addresses at which it attached something; there is
 * nothing to take away there.  But zaps are widened to blocks (mapped.c): what
 * lies beside an attachment may have been attached, and so this would come back
 * to here without an end.
 *
 * Context: the interval notifier's.
 */
bool xpmem_zap_nested(const struct mmu_notifier_range *range)
{
	struct bucket *b = bucket_of(current);
	bool found = false;
	struct zap *zap;

	/* What this task put there, it sees. */
	if (hlist_empty(&b->zaps))
		return false;
	spin_lock(&b->lock);
	hlist_for_each_entry(zap, &b->zaps, node)
		found |= zap->task == current;
	spin_unlock(&b->lock);
	return found;
}

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
