// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach: a mapping of (part of) a segment, and nothing else: no page is looked
 * at before it is touched.
 *
 * Before: permit.c.  Next: vma.c.  Invariant: every attachment of a segment is
 * in the i_mmap of that segment's inode, so that one unmap_mapping_range()
 * reaches them all.
 */
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

static struct workqueue_struct *detach_wq;

static atomic_t *attachment_count(struct xpmem_permit *permit)
{
	return permit->segment ? &permit->segment->nr_attachments :
				 &permit->import->nr_attachments;
}

static struct xpmem_users *attachment_users(struct xpmem_permit *permit)
{
	return permit->segment ? &permit->segment->users :
				 &permit->import->users;
}

static void attachment_end(struct xpmem_attachment *att)
{
	struct xpmem_permit *permit = att->permit;
	struct xpmem_users *users = attachment_users(permit);

	spin_lock(&users->lock);
	list_del(&att->node);
	spin_unlock(&users->lock);
	mmdrop(att->mm);

	if (atomic_dec_and_test(attachment_count(permit)) && permit->import)
		xpmem_import_idle(permit->import);
	xpmem_permit_put(permit);
	kfree(att);
	xpmem_uncount(attachments);
}

/* The last VMA was closed, perhaps with the mmap_lock held; here it is not. */
static void attachment_end_work(struct work_struct *work)
{
	attachment_end(container_of(work, struct xpmem_attachment, work));
}

static void attachment_unused(struct kref *ref)
{
	struct xpmem_attachment *att =
		container_of(ref, struct xpmem_attachment, ref);

	/* Only the end of a remote one may have to wait for something. */
	if (att->permit->import)
		queue_work(detach_wq, &att->work);
	else
		attachment_end(att);
}

/**
 * xpmem_attachment_get - take a reference
 * @att: the attachment, held by a VMA
 */
void xpmem_attachment_get(struct xpmem_attachment *att)
{
	kref_get(&att->ref);
}

/**
 * xpmem_attachment_put - give a reference back
 * @att: the attachment
 *
 * Context: any that may take a spinlock; only queues what sleeps.
 */
void xpmem_attachment_put(struct xpmem_attachment *att)
{
	kref_put(&att->ref, attachment_unused);
}

static struct xpmem_attachment *
attachment_alloc(struct xpmem_permit *permit, const struct vm_area_struct *vma)
{
	struct xpmem_attachment *att =
		kzalloc(sizeof(*att), GFP_KERNEL_ACCOUNT);
	struct xpmem_users *users = attachment_users(permit);

	if (!att)
		return NULL;
	kref_init(&att->ref);
	mutex_init(&att->tables);
	INIT_WORK(&att->work, attachment_end_work);
	att->permit = permit;
	att->start = vma->vm_start;
	att->end = vma->vm_end;
	att->first = vma->vm_pgoff;
	att->mm = vma->vm_mm;
	mmgrab(att->mm);
	spin_lock(&users->lock);
	list_add(&att->node, &users->list);
	spin_unlock(&users->lock);
	get_file(permit->file);
	atomic_inc(attachment_count(permit));
	xpmem_count(attachments);
	xpmem_count(attaches);
	return att;
}

static int attachment_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct xpmem_permit *permit = file->private_data;
	struct xpmem_attachment *att;

	/* Pairs with permit_destroy(): that sees this VMA, or this sees @dead. */
	if (READ_ONCE(permit->dead))
		return -ENOENT;
	if (permit->import && xpmem_import_stale(permit->import))
		return -ESTALE;
	if (!(vma->vm_flags & VM_SHARED) ||
	    vma->vm_pgoff + vma_pages(vma) > xpmem_permit_pages(permit))
		return -EINVAL;
	att = attachment_alloc(permit, vma);
	if (!att)
		return -ENOMEM;
	/* VM_IO: otherwise madvise() could take VM_DONTCOPY away. */
	vm_flags_mod(vma,
		     VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND |
			     VM_DONTDUMP | VM_HUGEPAGE,
		     VM_MAYEXEC | (permit->write ? 0 : VM_MAYWRITE));
	vma->vm_private_data = att;
	vma->vm_ops = &xpmem_vm_ops;
	return 0;
}

static int attachment_release(struct inode *inode, struct file *file)
{
	xpmem_permit_free(file->private_data);
	return 0;
}

/*
 * The file that the attachments of one permit map.  Its private data is the
 * permit, which lives as long as the file.
 */
const struct file_operations xpmem_attach_fops = {
	.owner = THIS_MODULE,
	.mmap = attachment_mmap,
	.release = attachment_release,
	.fadvise = xpmem_populate_advised,
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	.get_unmapped_area = xpmem_huge_area,
#endif
};

/**
 * xpmem_attachment_create - map part of a segment into the caller
 * @permit: of the caller's
 * @offset: bytes from the segment's start, need not be aligned
 * @size:   bytes, not 0
 * @vaddr:  where, page aligned and free of mappings; 0: anywhere
 * @at:     filled in with the address at which @offset appears
 *
 * Context: process; takes the mmap_lock; may wait for the home, see
 * xpmem_permit_check().
 * Return: 0; -EINVAL if the range is not inside the segment, or @vaddr not free;
 * -EACCES if who the caller is now may not; -ENOENT if the permit is released; -ESTALE if the session is over that it was
 * got through; -ENOMEM.
 */
int xpmem_attachment_create(struct xpmem_permit *permit, u64 offset,
			    size_t size, unsigned long vaddr, unsigned long *at)
{
	u64 limit = (u64)xpmem_permit_pages(permit) << PAGE_SHIFT;
	unsigned long first = offset >> PAGE_SHIFT, addr;
	int err;

	if (offset >= limit || size > limit - offset || vaddr >= TASK_SIZE)
		return -EINVAL;
	err = xpmem_permit_check(permit);
	if (err)
		return err;
	addr = vm_mmap(permit->file, vaddr, size + offset_in_page(offset),
		       PROT_READ | (permit->write ? PROT_WRITE : 0),
		       MAP_SHARED | (vaddr ? MAP_FIXED_NOREPLACE : 0),
		       first << PAGE_SHIFT);
	if (IS_ERR_VALUE(addr))
		return addr == -EEXIST ? -EINVAL : addr;
	trace_xpmem_attach(permit->apid, addr, size >> PAGE_SHIFT);
	*at = addr + offset_in_page(offset);
	return 0;
}

/*
 * Unmap one VMA between @at and @to that belongs to @att, or, if that is NULL,
 * to any attachment made with @permit; then @at is where it ended.
 *
 * The VMA is found and unmapped in two steps; another thread that replaces it
 * in between unmaps its own mapping, as it could with munmap().
 */
static int detach_one(unsigned long *at, unsigned long to,
		      const struct xpmem_permit *permit,
		      const struct xpmem_attachment *att)
{
	struct mm_struct *mm = current->mm;
	unsigned long start = 0, end = 0;
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, *at);

	mmap_read_lock(mm);
	for_each_vma_range(vmi, vma, to) {
		const struct xpmem_attachment *a = vma->vm_private_data;

		if (vma->vm_ops != &xpmem_vm_ops || a->permit != permit ||
		    (att && a != att))
			continue;
		start = vma->vm_start;
		end = vma->vm_end;
		break;
	}
	mmap_read_unlock(mm);
	if (!end)
		return -ENOENT;
	*at = end;
	return vm_munmap(start, end - start);
}

static struct xpmem_attachment *attachment_at(unsigned long vaddr)
{
	struct mm_struct *mm = current->mm;
	struct xpmem_attachment *att = NULL;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, vaddr);
	if (vma && vma->vm_ops == &xpmem_vm_ops) {
		att = vma->vm_private_data;
		xpmem_attachment_get(att);
	} else if (vma) {
		att = ERR_PTR(-EINVAL);
	}
	mmap_read_unlock(mm);
	return att;
}

/**
 * xpmem_attachment_detach - unmap the attachment at an address
 * @vaddr: any address in it
 *
 * Context: process; takes the mmap_lock; touches no page.
 * Return: 0, also if nothing is mapped there; -EINVAL if something else is;
 * else as of vm_munmap().
 */
int xpmem_attachment_detach(unsigned long vaddr)
{
	struct xpmem_attachment *att = attachment_at(vaddr);
	unsigned long at;
	int err;

	if (IS_ERR_OR_NULL(att))
		return PTR_ERR_OR_ZERO(att);
	trace_xpmem_detach(att->permit->apid, vaddr);
	at = att->start;
	do
		err = detach_one(&at, att->end, att->permit, att);
	while (!err && at < att->end);
	xpmem_attachment_put(att);
	return err == -ENOENT ? 0 : err;
}

/**
 * xpmem_attachment_detach_all - unmap everything made with a permit
 * @permit: of the caller's, dead already
 *
 * Context: process that made them; takes the mmap_lock.
 * Return: 0, or why one is still mapped, as of vm_munmap().
 */
int xpmem_attachment_detach_all(struct xpmem_permit *permit)
{
	unsigned long at = 0;
	int err, failed = 0;

	while ((err = detach_one(&at, TASK_SIZE, permit, NULL)) != -ENOENT)
		failed = err ?: failed;
	return failed;
}

int xpmem_attach_init(void)
{
	detach_wq =
		alloc_workqueue("xpmem_detach", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return detach_wq ? 0 : -ENOMEM;
}

void xpmem_attach_exit(void)
{
	destroy_workqueue(detach_wq);
}
