// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one address space made and got, through whichever descriptors of
 * /dev/xpmem: a program may have two libraries that each open one.
 *
 * Before: dev.c.  Next: segment.c, permit.c.  Invariant: all of it ends with
 * the last of these descriptors, or with the address space if that is earlier:
 * a child may still have a descriptor then.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "xpmem.h"

static struct workqueue_struct *process_wq;

static void process_free(struct kref *ref)
{
	struct xpmem_process *process =
		container_of(ref, struct xpmem_process, ref);

	mmdrop(process->mm);
	kfree(process);
}

/* What a process leaves behind; the lists are under its lock as well. */
struct remains {
	struct list_head segments;
	struct list_head permits;
};

static struct xpmem_permit *first_permit(struct xpmem_process *process,
					 struct remains *remains)
{
	struct xpmem_permit *permit;

	spin_lock(&process->lock);
	permit = list_first_entry_or_null(&remains->permits,
					  struct xpmem_permit, node);
	if (permit)
		list_del_init(&permit->node);
	spin_unlock(&process->lock);
	return permit;
}

static struct xpmem_segment *first_segment(struct xpmem_process *process,
					   struct remains *remains)
{
	struct xpmem_segment *seg;

	spin_lock(&process->lock);
	seg = list_first_entry_or_null(&remains->segments, struct xpmem_segment,
				       node);
	if (seg)
		list_del_init(&seg->node);
	spin_unlock(&process->lock);
	return seg;
}

/* All that is there when this is called, and nothing that comes later. */
static void take_locked(struct xpmem_process *process, struct remains *remains)
{
	lockdep_assert_held(&process->lock);
	list_splice_init(&process->segments, &remains->segments);
	list_splice_init(&process->permits, &remains->permits);
}

static void process_drain(struct xpmem_process *process,
			  struct remains *remains)
{
	struct xpmem_permit *permit;
	struct xpmem_segment *seg;

	while ((permit = first_permit(process, remains)))
		xpmem_permit_destroy(permit);
	while ((seg = first_segment(process, remains)))
		xpmem_segment_destroy(seg);
}

static void process_ended(struct work_struct *work)
{
	struct xpmem_process *process =
		container_of(work, struct xpmem_process, work);
	struct remains remains = {
		.segments = LIST_HEAD_INIT(remains.segments),
		.permits = LIST_HEAD_INIT(remains.permits),
	};

	spin_lock(&process->lock);
	take_locked(process, &remains);
	spin_unlock(&process->lock);
	process_drain(process, &remains);
	kref_put(&process->ref, process_free);
}

static struct mmu_notifier *process_alloc(struct mm_struct *mm)
{
	struct xpmem_process *process =
		kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);

	if (!process)
		return ERR_PTR(-ENOMEM);
	kref_init(&process->ref);
	process->mm = mm;
	mmgrab(mm);
	spin_lock_init(&process->lock);
	INIT_LIST_HEAD(&process->segments);
	INIT_LIST_HEAD(&process->permits);
	INIT_WORK(&process->work, process_ended);
	return &process->notifier;
}

static void process_unregistered(struct mmu_notifier *notifier)
{
	kref_put(&container_of(notifier, struct xpmem_process, notifier)->ref,
		 process_free);
}

/*
 * The address space ends.  Not here: this is called inside of all notifiers,
 * and to remove one waits for them.  Called once.
 */
static void process_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct xpmem_process *process =
		container_of(notifier, struct xpmem_process, notifier);
	bool idle;

	spin_lock(&process->lock);
	idle = list_empty(&process->segments) && list_empty(&process->permits);
	spin_unlock(&process->lock);
	if (idle)
		return;
	kref_get(&process->ref);
	queue_work(process_wq, &process->work);
}

/* What these callbacks return has become another type. */
typedef typeof(((struct mmu_notifier_ops *)NULL)
		       ->test_young(NULL, NULL, 0)) young_t;

/*
 * Reclaim looks at pages of an exporter, under its page-table lock: its importers
 * here may have used them.  Whole address spaces are one segment; what comes after
 * so many is not asked, nor after so many entries of importers.
 */
#define YOUNG_SEGMENTS 64
#define YOUNG_ENTRIES 4096

static bool process_young(struct mmu_notifier *notifier, unsigned long start,
			  unsigned long end, bool clear)
{
	struct xpmem_process *process =
		container_of(notifier, struct xpmem_process, notifier);
	unsigned int n = YOUNG_SEGMENTS, left = YOUNG_ENTRIES;
	struct xpmem_segment *seg;
	bool young = false;

	if (list_empty_careful(&process->segments))
		return false;
	spin_lock(&process->lock);
	list_for_each_entry(seg, &process->segments, node) {
		if (!n-- || !left)
			break;
		young |= xpmem_young_segment(seg, start, end, clear, &left);
	}
	spin_unlock(&process->lock);
	return young;
}

static young_t process_clear_young(struct mmu_notifier *notifier,
				   struct mm_struct *mm, unsigned long start,
				   unsigned long end)
{
	return process_young(notifier, start, end, true);
}

/* For one address. */
static young_t process_test_young(struct mmu_notifier *notifier,
				  struct mm_struct *mm, unsigned long address)
{
	return process_young(notifier, address, address + 1, false);
}

static const struct mmu_notifier_ops process_ops = {
	.release = process_release,
	.clear_flush_young = process_clear_young,
	.clear_young = process_clear_young,
	.test_young = process_test_young,
	.alloc_notifier = process_alloc,
	.free_notifier = process_unregistered,
};

/**
 * xpmem_process_open - the caller uses a descriptor for the first time
 *
 * Context: process; takes the mmap_lock, once for an address space all of its
 * mapping and anon_vma locks.
 * Return: what stands for the caller's address space, for one descriptor; or an
 * ERR_PTR of -ENOMEM; -ERESTARTNOINTR, a signal is pending.
 */
struct xpmem_process *xpmem_process_open(void)
{
	struct mmu_notifier *notifier =
		mmu_notifier_get(&process_ops, current->mm);
	struct xpmem_process *process;
	int err;

	if (notifier == ERR_PTR(-EINTR))
		return ERR_PTR(-ERESTARTNOINTR);
	if (IS_ERR(notifier))
		return ERR_CAST(notifier);
	err = xpmem_stock_prepare(current->mm);
	if (err) {
		mmu_notifier_put(notifier);
		return ERR_PTR(err == -EINTR ? -ERESTARTNOINTR : err);
	}
	process = container_of(notifier, struct xpmem_process, notifier);
	spin_lock(&process->lock);
	process->descriptors++;
	spin_unlock(&process->lock);
	return process;
}

/**
 * xpmem_process_close - a descriptor of the device is closed
 * @process: from xpmem_process_open(); consumed
 *
 * Context: process; may sleep, for remote importers at most their deadline.
 */
void xpmem_process_close(struct xpmem_process *process)
{
	struct remains remains = {
		.segments = LIST_HEAD_INIT(remains.segments),
		.permits = LIST_HEAD_INIT(remains.permits),
	};

	/* Another thread may open, and make, a moment later. */
	spin_lock(&process->lock);
	if (!--process->descriptors)
		take_locked(process, &remains);
	spin_unlock(&process->lock);
	process_drain(process, &remains);
	mmu_notifier_put(&process->notifier);
}

int xpmem_process_init(void)
{
	process_wq = alloc_workqueue("xpmem_process", WQ_UNBOUND, 0);
	return process_wq ? 0 : -ENOMEM;
}

/* Nobody has a descriptor; objects may still be on their way out. */
void xpmem_process_exit(void)
{
	mmu_notifier_synchronize();
	destroy_workqueue(process_wq);
}
