// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach: a mapping of (part of) a segment, and nothing else: no page is looked
 * at before it is touched.
 *
 * Before: permit.c.  Next: fault.c, import.c.  Invariant: every attachment of a
 * segment is in the i_mmap of that segment's inode, so that one
 * unmap_mapping_range() reaches them all.
 */
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

#define XPMEM_FS_MAGIC 0x58504d4d

static struct vfsmount *mount;
static struct workqueue_struct *detach_wq;

static atomic_t *attachment_count(struct xpmem_permit *permit)
{
	return permit->segment ? &permit->segment->nr_attachments :
				 &permit->import->nr_attachments;
}

static unsigned long permit_pages(const struct xpmem_permit *permit)
{
	return permit->segment ? permit->segment->pages : permit->import->pages;
}

/* The last VMA was closed, perhaps with the mmap_lock held; here it is not. */
static void attachment_end(struct work_struct *work)
{
	struct xpmem_attachment *att =
		container_of(work, struct xpmem_attachment, work);
	struct xpmem_permit *permit = att->permit;

	if (atomic_dec_and_test(attachment_count(permit)) && permit->import)
		xpmem_import_idle(permit->import);
	xpmem_permit_put(permit);
	kfree(att);
	xpmem_uncount(attachments);
}

static void attachment_unused(struct kref *ref)
{
	struct xpmem_attachment *att =
		container_of(ref, struct xpmem_attachment, ref);

	queue_work(detach_wq, &att->work);
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
	att->failed.task = current;
	att->failed.addr = addr & PAGE_MASK;
	att->failed.ret = ret;
	att->failed.until = jiffies + HZ;
	spin_unlock(&att->permit->lock);
}

static vm_fault_t attachment_failed(struct xpmem_attachment *att,
				    unsigned long addr)
{
	vm_fault_t ret = 0;

	if (!READ_ONCE(att->failed.task))
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

	if (READ_ONCE(permit->dead) || vmf->pgoff >= permit_pages(permit))
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

static const char *vma_name(struct vm_area_struct *vma)
{
	return "[xpmem]";
}

static const struct vm_operations_struct attachment_vm_ops = {
	.open = vma_open,
	.close = vma_close,
	.fault = vma_fault,
	.pfn_mkwrite = vma_pfn_mkwrite,
	.map_pages = vma_map_pages,
	.mremap = vma_mremap,
	.name = vma_name,
};

static int attachment_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct xpmem_attachment *att = file->private_data;

	/*
	 * Once, by attach(): remap_file_pages() would come back with another
	 * offset, when the VMA's reference is gone already.
	 */
	file->private_data = NULL;
	if (!att)
		return -ENODEV;
	if (!(vma->vm_flags & VM_SHARED) ||
	    vma->vm_pgoff + vma_pages(vma) > permit_pages(att->permit))
		return -EINVAL;
	/* VM_IO: otherwise madvise() could take VM_DONTCOPY away. */
	vm_flags_mod(vma,
		     VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND |
			     VM_DONTDUMP,
		     VM_MAYEXEC | (att->permit->write ? 0 : VM_MAYWRITE));
	vma->vm_private_data = att;
	vma->vm_ops = &attachment_vm_ops;
	kref_get(&att->ref);
	return 0;
}

static const struct file_operations attachment_fops = {
	.owner = THIS_MODULE,
	.mmap = attachment_mmap,
};

static struct file *attachment_file(struct xpmem_attachment *att)
{
	struct xpmem_permit *permit = att->permit;
	struct inode *inode = permit->segment ? permit->segment->inode :
						permit->import->inode;
	struct file *file;

	/* The file's last fput() gives both back. */
	ihold(inode);
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, mount, "xpmem", O_RDWR,
				 &attachment_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		return file;
	}
	file->private_data = att;
	return file;
}

static struct xpmem_attachment *attachment_alloc(struct xpmem_permit *permit)
{
	struct xpmem_attachment *att =
		kzalloc(sizeof(*att), GFP_KERNEL_ACCOUNT);

	if (!att)
		return NULL;
	kref_init(&att->ref);
	INIT_WORK(&att->work, attachment_end);
	att->permit = permit;
	kref_get(&permit->ref);
	atomic_inc(attachment_count(permit));
	xpmem_count(attachments);
	return att;
}

/**
 * xpmem_attachment_create - map part of a segment into the caller
 * @permit: of the caller's
 * @offset: bytes from the segment's start, need not be aligned
 * @size:   bytes, not 0
 * @vaddr:  where, page aligned and free of mappings; 0: anywhere
 * @at:     filled in with the address at which @offset appears
 *
 * Context: process; takes the mmap_lock.
 * Return: 0; -EINVAL if the range is not inside the segment, or @vaddr not free;
 * -ENOENT if the permit is released; -ENOMEM.
 */
int xpmem_attachment_create(struct xpmem_permit *permit, u64 offset,
			    size_t size, unsigned long vaddr, unsigned long *at)
{
	u64 limit = (u64)permit_pages(permit) << PAGE_SHIFT;
	unsigned long first = offset >> PAGE_SHIFT, addr;
	struct xpmem_attachment *att;
	struct file *file;

	if (offset >= limit || size > limit - offset || vaddr >= TASK_SIZE)
		return -EINVAL;
	if (READ_ONCE(permit->dead))
		return -ENOENT;
	att = attachment_alloc(permit);
	if (!att)
		return -ENOMEM;
	file = attachment_file(att);
	if (IS_ERR(file)) {
		xpmem_attachment_put(att);
		return PTR_ERR(file);
	}
	addr = vm_mmap(file, vaddr, size + offset_in_page(offset),
		       PROT_READ | (permit->write ? PROT_WRITE : 0),
		       MAP_SHARED | (vaddr ? MAP_FIXED_NOREPLACE : 0),
		       first << PAGE_SHIFT);
	fput(file);
	xpmem_attachment_put(att);
	if (IS_ERR_VALUE(addr))
		return addr == -EEXIST ? -EINVAL : addr;
	trace_xpmem_attach(permit->apid, addr, size >> PAGE_SHIFT);
	*at = addr + offset_in_page(offset);
	return 0;
}

/*
 * Unmap one VMA of an attachment, or, with @att NULL, of any made with @permit.
 * The VMA is found and unmapped in two steps; another thread that replaces it
 * in between unmaps its own mapping, as it could with munmap().
 */
static int detach_one(const struct xpmem_permit *permit,
		      const struct xpmem_attachment *att)
{
	struct mm_struct *mm = current->mm;
	unsigned long start = 0, len = 0;
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);

	mmap_read_lock(mm);
	for_each_vma(vmi, vma) {
		const struct xpmem_attachment *at = vma->vm_private_data;

		if (vma->vm_ops != &attachment_vm_ops || at->permit != permit ||
		    (att && at != att))
			continue;
		start = vma->vm_start;
		len = vma->vm_end - vma->vm_start;
		break;
	}
	mmap_read_unlock(mm);
	return len ? vm_munmap(start, len) : -ENOENT;
}

static struct xpmem_attachment *attachment_at(unsigned long vaddr)
{
	struct mm_struct *mm = current->mm;
	struct xpmem_attachment *att = NULL;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, vaddr);
	if (vma && vma->vm_ops == &attachment_vm_ops) {
		att = vma->vm_private_data;
		kref_get(&att->ref);
	}
	mmap_read_unlock(mm);
	return att;
}

/**
 * xpmem_attachment_detach - unmap the attachment at an address
 * @vaddr: any address in it
 *
 * Context: process; takes the mmap_lock; touches no page.
 * Return: 0, also if nothing is mapped there; -EINVAL if something else is.
 */
int xpmem_attachment_detach(unsigned long vaddr)
{
	struct mm_struct *mm = current->mm;
	struct xpmem_attachment *att = attachment_at(vaddr);
	bool other;
	int err;

	if (!att) {
		mmap_read_lock(mm);
		other = vma_lookup(mm, vaddr);
		mmap_read_unlock(mm);
		return other ? -EINVAL : 0;
	}
	trace_xpmem_detach(att->permit->apid, vaddr);
	do
		err = detach_one(att->permit, att);
	while (!err);
	xpmem_attachment_put(att);
	return err == -ENOENT ? 0 : err;
}

/**
 * xpmem_attachment_detach_all - unmap everything made with a permit
 * @permit: of the caller's, dead already
 *
 * Context: process that made them; takes the mmap_lock.
 */
void xpmem_attachment_detach_all(struct xpmem_permit *permit)
{
	while (!detach_one(permit, NULL))
		;
}

/* Segments' mappings nest inside those of the exporter's files and memory. */
static struct lock_class_key segment_i_mmap_key;
static struct kmem_cache *inode_cache;

/* A cache of our own: a lock's class stays with the memory of an inode. */
static void inode_construct(void *data)
{
	struct inode *inode = data;

	inode_init_once(inode);
	lockdep_set_class(&inode->i_data.i_mmap_rwsem, &segment_i_mmap_key);
}

static struct inode *inode_alloc(struct super_block *sb)
{
	return alloc_inode_sb(sb, inode_cache, GFP_KERNEL);
}

static void inode_free(struct inode *inode)
{
	kmem_cache_free(inode_cache, inode);
}

static const struct super_operations fs_ops = {
	.alloc_inode = inode_alloc,
	.free_inode = inode_free,
	.statfs = simple_statfs,
};

/**
 * xpmem_inode_create - an inode for a segment, or for the image of a remote one
 *
 * Context: process; may sleep.
 * Return: the inode, or an ERR_PTR.
 */
struct inode *xpmem_inode_create(void)
{
	struct inode *inode = alloc_anon_inode(mount->mnt_sb);

	if (!IS_ERR(inode)) {
		inode->i_mode = S_IFREG | 0600;
		i_size_write(inode, MAX_LFS_FILESIZE);
	}
	return inode;
}

static int fs_init(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, XPMEM_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &fs_ops;
	fc->s_iflags |= SB_I_NOEXEC;
	return 0;
}

/* No owner: the one mount of it is the module's own, and must not hold it. */
static struct file_system_type fs_type = {
	.name = "xpmem",
	.init_fs_context = fs_init,
	.kill_sb = kill_anon_super,
};

int xpmem_attach_init(void)
{
	int err = -ENOMEM;

	inode_cache = kmem_cache_create("xpmem_inode", sizeof(struct inode), 0,
					SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT,
					inode_construct);
	if (!inode_cache)
		return -ENOMEM;
	detach_wq =
		alloc_workqueue("xpmem_detach", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!detach_wq)
		goto destroy_cache;
	mount = kern_mount(&fs_type);
	if (IS_ERR(mount)) {
		err = PTR_ERR(mount);
		goto destroy_wq;
	}
	return 0;

destroy_wq:
	destroy_workqueue(detach_wq);
destroy_cache:
	kmem_cache_destroy(inode_cache);
	return err;
}

void xpmem_attach_exit(void)
{
	destroy_workqueue(detach_wq);
	kern_unmount(mount);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(inode_cache);
}
