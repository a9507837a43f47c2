// SPDX-License-Identifier: GPL-2.0-only
/*
 * touch, on the exporter's own partition: map the exporter's frames.
 *
 * Before: attach.c.  Invariant: no reference and no per-page state: the
 * exporter's interval notifier zaps the attachment before a frame changes
 * hands, and nobody waits for two address spaces.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "xpmem.h"

/**
 * xpmem_fault_error - what a fault returns for an error
 * @err: negative errno
 */
vm_fault_t xpmem_fault_error(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/**
 * xpmem_fault_unlock - drop the fault's lock, because something must be waited for
 * @vmf: the fault; not to be touched afterwards, nor its VMA
 * @att: the attachment; a reference is taken
 *
 * Return: 0: unlocked, end with xpmem_fault_retry(); else still locked, return
 * this: the caller of the fault does not let it wait.
 */
vm_fault_t xpmem_fault_unlock(struct vm_fault *vmf,
			      struct xpmem_attachment *att)
{
	/* Such a caller would repeat a fault for ever that cannot wait. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	xpmem_attachment_get(att);
	release_fault_lock(vmf);
	return 0;
}

/**
 * xpmem_fault_retry - end a fault whose lock was dropped
 * @att:  the attachment; its reference is consumed
 * @addr: the address touched
 * @err:  0, or why the repeated fault must fail; -EINTR and -ECANCELED are not
 *        errors: the signal, or the missing VMA, is found by the repeated fault
 */
vm_fault_t xpmem_fault_retry(struct xpmem_attachment *att, unsigned long addr,
			     int err)
{
	if (err && err != -EINTR && err != -ECANCELED)
		xpmem_attachment_fail(att, addr, xpmem_fault_error(err));
	xpmem_attachment_put(att);
	return VM_FAULT_RETRY;
}

/* Map under the sequence in which the frames were found, or -EAGAIN. */
static int map_found(struct xpmem_attachment *att,
		     const struct xpmem_span *span, struct vm_fault *vmf,
		     unsigned long seq, bool write)
{
	struct xpmem_segment *seg = att->permit->segment;
	unsigned long pfn = span->pages[span->target] >> XPMEM_PAGE_SHIFT;
	int err = -EAGAIN;

	if (!down_read_trylock(&seg->lock))
		return -EAGAIN;
	if (!xpmem_segment_over(seg) && !att->permit->dead &&
	    !mmu_interval_read_retry(&seg->notifier, seq)) {
		xpmem_mapped_set(seg, span->index,
				 span->index + span->count - 1);
		/* A PFN mapping loses its dirty bit when it is zapped. */
		if (write)
			folio_mark_dirty(pfn_folio(pfn));
		xpmem_span_map(span, vmf);
		err = 0;
	}
	up_read(&seg->lock);
	return err;
}

/*
 * Everything that can be done without waiting for the exporter.  -EAGAIN asks
 * for more; any other error is final.
 */
static int fault_fast(struct vm_fault *vmf, struct xpmem_attachment *att,
		      struct xpmem_span *span, bool write)
{
	struct xpmem_segment *seg = att->permit->segment;
	unsigned long seq = READ_ONCE(seg->seq);
	int err = -EAGAIN;

	if (mmu_interval_check_retry(&seg->notifier, seq))
		return -EAGAIN;
	if (!mmget_not_zero(seg->mm))
		return -EFAULT;
	if (mmap_read_trylock(seg->mm)) {
		err = xpmem_lookup(seg, span, 1, write);
		mmap_read_unlock(seg->mm);
	}
	mmput_async(seg->mm);
	/* Only now: where a page table is, no huge page can be mapped. */
	if (!err)
		err = xpmem_span_populate(span, vmf, att);
	if (!err)
		err = xpmem_mapped_reserve(seg, span->index,
					   span->index + span->count - 1);
	return err ? err : map_found(att, span, vmf, seq, write);
}

/**
 * xpmem_fault_in - wait for the exporter's page, and for a sequence to map it under
 * @seg:   the segment
 * @index: page number in it
 * @write: it must be writable
 *
 * Context: process, no locks held.
 * Return: 0; -EINTR; else as of xpmem_lookup_fault_in().
 */
int xpmem_fault_in(struct xpmem_segment *seg, unsigned long index, bool write)
{
	unsigned int flags = FAULT_FLAG_KILLABLE |
			     (write ? FAULT_FLAG_WRITE : 0);
	unsigned long addr = seg->start + (index << PAGE_SHIFT);
	int step, err = XPMEM_LOOKUP_UNLOCKED;

	if (!mmget_not_zero(seg->mm))
		return -EFAULT;
	for (step = 0; step < 2 && err == XPMEM_LOOKUP_UNLOCKED; step++) {
		err = mmap_read_lock_killable(seg->mm);
		if (err)
			break;
		err = xpmem_lookup_fault_in(seg->mm, addr, flags);
		if (err != XPMEM_LOOKUP_UNLOCKED)
			mmap_read_unlock(seg->mm);
		flags |= FAULT_FLAG_TRIED;
	}
	if (err == XPMEM_LOOKUP_UNLOCKED)
		err = 0;
	if (!err)
		WRITE_ONCE(seg->seq, mmu_interval_read_begin(&seg->notifier));
	mmput_async(seg->mm);
	return err;
}

/*
 * The fault's own lock is dropped before anything is waited for; after that
 * it can only ask to be repeated.
 */
static vm_fault_t fault_slow(struct vm_fault *vmf, struct xpmem_segment *seg,
			     struct xpmem_attachment *att, unsigned long index,
			     bool write)
{
	unsigned long addr = vmf->address;
	vm_fault_t ret = xpmem_fault_unlock(vmf, att);

	if (ret)
		return ret;
	return xpmem_fault_retry(att, addr, xpmem_fault_in(seg, index, write));
}

/**
 * xpmem_fault_local - a touched page of a segment of this partition
 * @vmf:   the fault
 * @att:   the attachment, held by the VMA
 * @write: the page must become writable
 *
 * Context: a page fault, under the per-VMA lock or the mmap_lock.
 * Return: as of ->fault().
 */
vm_fault_t xpmem_fault_local(struct vm_fault *vmf, struct xpmem_attachment *att,
			     bool write)
{
	struct xpmem_segment *seg = att->permit->segment;
	unsigned long index;
	struct xpmem_span span;
	int err;

	xpmem_count(faults_local);
	if (xpmem_segment_over(seg))
		return VM_FAULT_SIGBUS;
	xpmem_span_around(&span, vmf);
	span.pages = kmalloc_array(span.count, sizeof(*span.pages), GFP_KERNEL);
	if (!span.pages)
		return VM_FAULT_OOM;
	err = fault_fast(vmf, att, &span, write);
	index = span.index + span.target;
	kfree(span.pages);
	if (!err)
		return VM_FAULT_NOPAGE;
	if (err != -EAGAIN)
		return xpmem_fault_error(err);
	return fault_slow(vmf, seg, att, index, write);
}
