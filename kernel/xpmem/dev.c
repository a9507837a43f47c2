// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/xpmem: the ioctls that libxpmem calls, here or in a container.
 */
#include <linux/cred.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <xpmem.h>

#include "xpmem.h"

/**
 * struct descriptor - an open file of the device
 * @mm:      the address space that opened it, the only one that may use it;
 *           held by mmgrab()
 * @lock:    protects @process
 * @process: of @mm; NULL until it is needed
 */
struct descriptor {
	struct mm_struct *mm;
	struct mutex lock;
	struct xpmem_process *process;
};

/*
 * Little may be done here: all misc devices of the machine are opened under one
 * lock.
 */
static int dev_open(struct inode *inode, struct file *file)
{
	struct descriptor *d;

	if (!current->mm)
		return -EINVAL;
	d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	if (!d)
		return -ENOMEM;
	d->mm = current->mm;
	mmgrab(d->mm);
	mutex_init(&d->lock);
	file->private_data = d;
	return 0;
}

static int dev_release(struct inode *inode, struct file *file)
{
	struct descriptor *d = file->private_data;

	if (d->process)
		xpmem_process_close(d->process);
	mmdrop(d->mm);
	kfree(d);
	return 0;
}

static struct xpmem_process *descriptor_process(struct descriptor *d)
{
	struct xpmem_process *process;

	if (mutex_lock_killable(&d->lock))
		return ERR_PTR(-EINTR);
	process = d->process;
	if (!process) {
		process = xpmem_process_open();
		if (!IS_ERR(process))
			d->process = process;
	}
	mutex_unlock(&d->lock);
	return process;
}

static long cmd_make(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_make cmd;
	u64 segid;
	int err;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.permit_type != XPMEM_PERMIT_MODE || cmd.permit_value & ~0777ull)
		return -EINVAL;
	err = xpmem_segment_create(process, cmd.vaddr, cmd.size,
				   cmd.permit_value, &segid);
	if (err)
		return err;
	if (put_user((xpmem_segid_t)segid,
		     &((struct xpmem_cmd_make __user *)arg)->segid)) {
		xpmem_segment_remove(process, segid);
		return -EFAULT;
	}
	return 0;
}

static long cmd_remove(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_remove cmd;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.segid <= 0)
		return -EINVAL;
	return xpmem_segment_remove(process, cmd.segid);
}

static long cmd_get(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_get cmd;
	u64 apid;
	int err;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.segid <= 0 || cmd.permit_type != XPMEM_PERMIT_MODE ||
	    (cmd.flags != XPMEM_RDONLY && cmd.flags != XPMEM_RDWR))
		return -EINVAL;
	err = xpmem_permit_create(process, cmd.segid, cmd.flags == XPMEM_RDWR,
				  &apid);
	if (err)
		return err;
	if (put_user((xpmem_apid_t)apid,
		     &((struct xpmem_cmd_get __user *)arg)->apid)) {
		xpmem_permit_release(process, apid);
		return -EFAULT;
	}
	return 0;
}

static long cmd_release(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_release cmd;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.apid <= 0)
		return -EINVAL;
	return xpmem_permit_release(process, cmd.apid);
}

static long cmd_attach(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_attach cmd;
	struct xpmem_permit *permit;
	unsigned long at;
	int err;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.apid <= 0 || cmd.offset < 0 || !cmd.size ||
	    (cmd.flags & ~XPMEM_ATTACH_POPULATE) || offset_in_page(cmd.vaddr))
		return -EINVAL;
	permit = xpmem_permit_get(process, cmd.apid);
	if (!permit)
		return -ENOENT;
	err = xpmem_attachment_create(permit, cmd.offset, cmd.size, cmd.vaddr,
				      &at);
	xpmem_permit_put(permit);
	if (err)
		return err;
	if (put_user((__u64)at,
		     &((struct xpmem_cmd_attach __user *)arg)->vaddr)) {
		xpmem_attachment_detach(at);
		return -EFAULT;
	}
	if (cmd.flags & XPMEM_ATTACH_POPULATE)
		xpmem_populate(at, cmd.size);
	return 0;
}

static long cmd_detach(void __user *arg)
{
	struct xpmem_cmd_detach cmd;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	return xpmem_attachment_detach(cmd.vaddr);
}

static long cmd_publish(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_publish cmd;

	BUILD_BUG_ON(sizeof(cmd.name) != XPMEM_WIRE_NAME);
	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.segid <= 0)
		return -EINVAL;
	return xpmem_name_publish(process, cmd.segid, cmd.name);
}

static long cmd_unpublish(struct xpmem_process *process, void __user *arg)
{
	struct xpmem_cmd_unpublish cmd;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	return xpmem_name_unpublish(process, cmd.name);
}

static long cmd_lookup(void __user *arg)
{
	struct xpmem_query query = { .owner = INVALID_UID };
	struct xpmem_cmd_lookup cmd;
	u64 segid;
	int err;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.partid > XPMEM_PARTID_MAX || !xpmem_wire_name_valid(cmd.name))
		return -EINVAL;
	memcpy(query.text, cmd.name, sizeof(query.text));
	if (cmd.owner != XPMEM_ANYBODY) {
		query.owner = make_kuid(current_user_ns(), cmd.owner);
		if (!uid_valid(query.owner))
			return -EINVAL;
	}
	err = xpmem_name_resolve(&query, cmd.partid, &segid);
	if (err)
		return err;
	return put_user((xpmem_segid_t)segid,
			&((struct xpmem_cmd_lookup __user *)arg)->segid);
}

/*
 * A descriptor belongs to the address space that opened it: after fork, or
 * handed over a socket, it names nothing of the caller's.
 */
static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct descriptor *d = file->private_data;
	void __user *uarg = (void __user *)arg;
	struct xpmem_process *process;

	if (cmd == XPMEM_CMD_VERSION)
		return XPMEM_VERSION;
	if (d->mm != current->mm)
		return -XPMEM_ERRNO_NOPROC;
	if (cmd == XPMEM_CMD_DETACH)
		return cmd_detach(uarg);
	if (cmd == XPMEM_CMD_LOOKUP)
		return cmd_lookup(uarg);
	process = descriptor_process(d);
	if (IS_ERR(process))
		return PTR_ERR(process);
	switch (cmd) {
	case XPMEM_CMD_MAKE:
		return cmd_make(process, uarg);
	case XPMEM_CMD_REMOVE:
		return cmd_remove(process, uarg);
	case XPMEM_CMD_GET:
		return cmd_get(process, uarg);
	case XPMEM_CMD_RELEASE:
		return cmd_release(process, uarg);
	case XPMEM_CMD_ATTACH:
		return cmd_attach(process, uarg);
	case XPMEM_CMD_PUBLISH:
		return cmd_publish(process, uarg);
	case XPMEM_CMD_UNPUBLISH:
		return cmd_unpublish(process, uarg);
	}
	return -ENOTTY;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.unlocked_ioctl = dev_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "xpmem",
	.fops = &dev_fops,
	.mode = 0666,
	.groups = xpmem_stats_groups,
};

int xpmem_dev_init(void)
{
	return misc_register(&dev);
}

void xpmem_dev_exit(void)
{
	misc_deregister(&dev);
}
