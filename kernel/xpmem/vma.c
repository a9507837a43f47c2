// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Linux asks of an attachment's VMA: faults, copies, ends, names.
 *
 * Before: attach.c.  Next: fault.c, huge.c, import.c, access.c.  Invariant: no
 * fault sleeps with the mmap_lock held for what another address space does.
 */
#include <linux/mm.h>

#include "xpmem.h"

/**
 * xpmem_attachment_fail - remember how a fault failed that dropped its lock
 * @att:  the attachment
 * @addr: the address touched
 * @ret:  VM_FAULT_SIGBUS or VM_FAULT_OOM
 *
 * Once the lock is dropped, a fault can only ask to be repeated; the repeated
 * one returns @ret.  One slot: a task whose entry was overwritten by another
 * one's fails again.
 */
void xpmem_attachment_fail(struct xpmem_attachment *att, unsigned long addr,
			   vm_fault_t ret)
{
	spin_lock(&att->permit->lock);
	att->failed.addr = addr & PAGE_MASK;
	att->failed.ret = ret;
	att->failed.until = jiffies + HZ;
	WRITE_ONCE(att->failed.task, current);
	spin_unlock(&att->permit->lock);
}

static vm_fault_t attachment_failed(struct xpmem_attachment *att,
				    unsigned long addr)
{
	vm_fault_t ret = 0;

	if (READ_ONCE(att->failed.task) != current)
		return 0;
	spin_lock(&att->permit->lock);
	if (att->failed.task == current &&
	    att->failed.addr == (addr & PAGE_MASK)) {
		/* The task may have died since, and its pointer be another's. */
		if (time_before(jiffies, att->failed.until))
			ret = att->failed.ret;
		att->failed.task = NULL;
	}
	spin_unlock(&att->permit->lock);
	return ret;
}

static void vma_open(struct vm_area_struct *vma)
{
	xpmem_attachment_get(vma->vm_private_data);
}

static void vma_close(struct vm_area_struct *vma)
{
	xpmem_attachment_put(vma->vm_private_data);
}

static vm_fault_t vma_touch(struct vm_fault *vmf, bool write)
{
	struct xpmem_attachment *att = vmf->vma->vm_private_data;
	struct xpmem_permit *permit = att->permit;
	vm_fault_t failed;

	if (READ_ONCE(permit->dead) || vmf->pgoff >= xpmem_permit_pages(permit))
		return VM_FAULT_SIGBUS;
	failed = attachment_failed(att, vmf->address);
	if (failed)
		return failed;
	if (permit->segment)
		return xpmem_fault_local(vmf, att, write);
	return xpmem_fault_remote(vmf, att, write);
}

static vm_fault_t vma_fault(struct vm_fault *vmf)
{
	return vma_touch(vmf, vmf->flags & FAULT_FLAG_WRITE);
}

/* A bare VM_FAULT_RETRY would be lost by the caller, with the lock released. */
static vm_fault_t vma_pfn_mkwrite(struct vm_fault *vmf)
{
	vm_fault_t ret = vma_touch(vmf, true);

	return ret & VM_FAULT_RETRY ? ret | VM_FAULT_NOPAGE : ret;
}

/* Without it, ->fault() never runs under the per-VMA lock. */
static vm_fault_t vma_map_pages(struct vm_fault *vmf, pgoff_t start,
				pgoff_t end)
{
	return 0;
}

static int vma_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

const struct vm_operations_struct xpmem_vm_ops = {
	.open = vma_open,
	.close = vma_close,
	.fault = vma_fault,
	.huge_fault = xpmem_fault_huge,
	.pfn_mkwrite = vma_pfn_mkwrite,
	.map_pages = vma_map_pages,
	.mremap = vma_mremap,
	.access = xpmem_vma_access,
};
