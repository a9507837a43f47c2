// SPDX-License-Identifier: GPL-2.0-only
/*
 * A debugger looks at an attachment: ptrace() and /proc/PID/mem reach no page of
 * it by themselves, because PFN mappings have none.
 *
 * Before: vma.c.  Next: lookup.c, fetch.c.  Invariant: the importer's mmap_lock
 * is held throughout, so the exporter's is only tried, and waits are bounded.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "xpmem.h"

/* How long a debugger waits for a page in all, and between two attempts. */
#define ACCESS_WAIT (5 * HZ)
#define ACCESS_PAUSE_MS 2
/* So often it does not pause if only the page had to be made present. */
#define ACCESS_AT_ONCE 64

struct access {
	unsigned long index; /* page number in the segment */
	unsigned int offset; /* in the page */
	unsigned int len;
	void *buf;
	bool write;
	unsigned long until; /* jiffies */
	const struct xpmem_permit *permit;
};

static void copy(const struct access *a, void *page)
{
	if (a->write)
		memcpy(page + a->offset, a->buf, a->len);
	else
		memcpy(a->buf, page + a->offset, a->len);
}

/* -EINPROGRESS: it was made present just now, look again at once. */
static int local_find(struct xpmem_segment *seg, const struct access *a,
		      unsigned long *page)
{
	const unsigned long addr = seg->start + (a->index << PAGE_SHIFT);
	const unsigned int flags = FAULT_FLAG_RETRY_NOWAIT |
				   (a->write ? FAULT_FLAG_WRITE : 0);
	const struct xpmem_span span = {
		.index = a->index,
		.count = 1,
		.pages = page,
	};
	int err = -EAGAIN;

	if (!mmget_not_zero(seg->mm))
		return -EFAULT;
	if (mmap_read_trylock(seg->mm)) {
		err = xpmem_lookup(seg, &span, 1, a->write);
		if (err == -EAGAIN)
			err = xpmem_lookup_fault_in(seg->mm, addr, flags) ?:
				      -EINPROGRESS;
		mmap_read_unlock(seg->mm);
	}
	mmput_async(seg->mm);
	return err;
}

static int access_local(struct xpmem_segment *seg, const struct access *a)
{
	unsigned long page, seq = mmu_interval_read_begin(&seg->notifier);
	int err = local_find(seg, a, &page);
	void *map;

	if (err)
		return err;
	down_read(&seg->lock);
	err = -EAGAIN;
	if (xpmem_segment_over(seg) || a->permit->dead) {
		err = -EFAULT;
	} else if (!mmu_interval_read_retry(&seg->notifier, seq)) {
		if (a->write)
			folio_mark_dirty(pfn_folio(page >> XPMEM_PAGE_SHIFT));
		map = kmap_local_page(pfn_to_page(page >> XPMEM_PAGE_SHIFT));
		copy(a, map);
		kunmap_local(map);
		err = 0;
	}
	up_read(&seg->lock);
	return err;
}

static int access_remote(struct xpmem_import *imp, const struct access *a)
{
	const struct xpmem_window *window = &imp->session->window;
	long left = a->until - jiffies;
	unsigned long page;
	int err = -EAGAIN;

	down_read(&imp->lock);
	page = xa_to_value(xa_load(&imp->frames, a->index) ?: xa_mk_value(0));
	if (imp->lost || a->permit->dead) {
		err = -EHOSTUNREACH;
	} else if ((page & XPMEM_PAGE_VALID) &&
		   (!a->write || (page & XPMEM_PAGE_WRITE))) {
		copy(a,
		     window->map + (((page >> XPMEM_PAGE_SHIFT) - window->pfn)
				    << PAGE_SHIFT));
		err = 0;
	}
	up_read(&imp->lock);
	if (err != -EAGAIN)
		return err;
	return xpmem_fetch_wait(imp, a->index, 1, a->index, a->write, max(left, 1l)) ?:
		       -EAGAIN;
}

/**
 * xpmem_vma_access - read or write an attachment for somebody else
 * @vma:   the attachment's
 * @addr:  first address
 * @buf:   in kernel memory
 * @len:   bytes; may be more than one page, of which the first is done
 * @write: the other way round
 *
 * Context: the importer's mmap_lock is held for reading.  Sleeps, some seconds
 * at most: for the exporter's lock and I/O, which are only tried, or for another
 * partition; and for what changes the exporter's memory just now.
 * Return: bytes copied, or a negative errno.
 */
int xpmem_vma_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		     int len, int write)
{
	struct xpmem_attachment *att = vma->vm_private_data;
	struct xpmem_permit *permit = att->permit;
	struct access a = {
		.index = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT),
		.offset = offset_in_page(addr),
		.len = min_t(unsigned int, len,
			     PAGE_SIZE - offset_in_page(addr)),
		.buf = buf,
		.write = write,
		.until = jiffies + ACCESS_WAIT,
		.permit = permit,
	};
	int err, at_once = ACCESS_AT_ONCE;

	if (READ_ONCE(permit->dead) || a.index >= xpmem_permit_pages(permit))
		return -EFAULT;
	if (write && !permit->write)
		return -EACCES;
	for (;;) {
		err = permit->segment ? access_local(permit->segment, &a) :
					access_remote(permit->import, &a);
		if (err != -EAGAIN && err != -EINPROGRESS)
			return err ?: a.len;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, a.until))
			return -ETIMEDOUT;
		if (err == -EINPROGRESS && at_once-- > 0)
			continue;
		schedule_timeout_killable(msecs_to_jiffies(ACCESS_PAUSE_MS));
	}
}
