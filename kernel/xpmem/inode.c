// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small file system of inodes: one for each segment, and for each image of a
 * segment elsewhere, so that all attachments of it hang in one i_mmap.
 *
 * Before: segment.c, import.c.  Next: attach.c.  Invariant: a file of it holds
 * the module, and no process ever has a descriptor of one.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "xpmem.h"

#define XPMEM_FS_MAGIC 0x58504d4d

struct segment_inode {
	struct inode inode;
	u64 segid;
};

static struct vfsmount *mount;
/* A cache of our own: a lock's class stays with the memory of an inode. */
static struct kmem_cache *inode_cache;
/* Segments' mappings nest inside those of the exporter's files and memory. */
static struct lock_class_key segment_i_mmap_key;

static void inode_construct(void *data)
{
	struct segment_inode *si = data;

	inode_init_once(&si->inode);
	lockdep_set_class(&si->inode.i_data.i_mmap_rwsem, &segment_i_mmap_key);
}

static struct inode *inode_alloc(struct super_block *sb)
{
	struct segment_inode *si = alloc_inode_sb(sb, inode_cache, GFP_KERNEL);

	return si ? &si->inode : NULL;
}

static void inode_free(struct inode *inode)
{
	kmem_cache_free(inode_cache,
			container_of(inode, struct segment_inode, inode));
}

static const struct super_operations fs_ops = {
	.alloc_inode = inode_alloc,
	.free_inode = inode_free,
	.statfs = simple_statfs,
};

/* What /proc/PID/maps says of an attachment; at the end of @buffer. */
static char *inode_dname(struct dentry *dentry, char *buffer, int size)
{
	const struct segment_inode *si =
		container_of(d_inode(dentry), struct segment_inode, inode);
	char name[sizeof("xpmem:[0x0123456789abcdef]")];
	int len = scnprintf(name, sizeof(name), "xpmem:[%#llx]", si->segid) + 1;

	if (len > size)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + size - len, name, len);
}

static const struct dentry_operations dentry_ops = {
	.d_dname = inode_dname,
};

/**
 * xpmem_inode_name - what /proc/PID/maps calls attachments
 * @inode: of the segment
 * @segid: the segment's name
 */
void xpmem_inode_name(struct inode *inode, u64 segid)
{
	container_of(inode, struct segment_inode, inode)->segid = segid;
}

/**
 * xpmem_inode_create - an inode for a segment, or for the image of a remote one
 * @segid: the segment's name, or 0 if it has none yet
 *
 * Context: process; may sleep.
 * Return: the inode, or an ERR_PTR.
 */
struct inode *xpmem_inode_create(u64 segid)
{
	struct inode *inode = alloc_anon_inode(mount->mnt_sb);

	if (IS_ERR(inode))
		return inode;
	inode->i_mode = S_IFREG | 0600;
	i_size_write(inode, MAX_LFS_FILESIZE);
	mapping_set_zap_nested(inode->i_mapping);
	xpmem_inode_name(inode, segid);
	return inode;
}

/**
 * xpmem_inode_open - a file for attachments to map
 * @inode: of the segment
 * @fops:  its ->release() gets @data as file->private_data
 * @data:  whatever it stands for
 *
 * Context: process; may sleep.
 * Return: the file, which holds @inode and the module, or an ERR_PTR.
 */
struct file *xpmem_inode_open(struct inode *inode,
			      const struct file_operations *fops, void *data)
{
	struct file *file;

	/* The file's last fput() gives both back. */
	ihold(inode);
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, mount, "xpmem", O_RDWR, fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		return file;
	}
	file->private_data = data;
	return file;
}

static int fs_init(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, XPMEM_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &fs_ops;
	ctx->dops = &dentry_ops;
	fc->s_iflags |= SB_I_NOEXEC;
	return 0;
}

/* No owner: the one mount of it is the module's own, and must not hold it. */
static struct file_system_type fs_type = {
	.name = "xpmem",
	.init_fs_context = fs_init,
	.kill_sb = kill_anon_super,
};

int xpmem_inode_init(void)
{
	inode_cache = kmem_cache_create("xpmem_inode",
					sizeof(struct segment_inode), 0,
					SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT,
					inode_construct);
	if (!inode_cache)
		return -ENOMEM;
	mount = kern_mount(&fs_type);
	if (IS_ERR(mount)) {
		kmem_cache_destroy(inode_cache);
		return PTR_ERR(mount);
	}
	return 0;
}

void xpmem_inode_exit(void)
{
	kern_unmount(mount);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(inode_cache);
}
