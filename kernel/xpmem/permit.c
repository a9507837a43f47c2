// SPDX-License-Identifier: GPL-2.0-only
/*
 * get: a process obtains the right to attach a segment, here or elsewhere.
 *
 * Before: segment.c.  Next: attach.c.  Invariant: who may is decided by the
 * segment's home, from its mode and the caller's credentials, never from what
 * the caller says.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

/* apid to permit; changes and lookups under the array's own lock. */
static DEFINE_XARRAY(permits);

static int permit_name(struct xpmem_permit *permit)
{
	int err;

	do {
		u64 secret = get_random_u64() &
			     ((1ull << XPMEM_SEGID_SHIFT) - 1);

		permit->apid = ((u64)xpmem_partid << XPMEM_SEGID_SHIFT) |
			       secret;
		err = secret ? xa_insert(&permits, permit->apid, permit,
					 GFP_KERNEL_ACCOUNT) :
			       -EBUSY;
	} while (err == -EBUSY);
	return err;
}

static int permit_local(struct xpmem_permit *permit, u64 segid)
{
	struct xpmem_segment *seg = xpmem_segment_get(segid);
	struct xpmem_caller caller;

	if (!seg)
		return -ENOENT;
	if (xpmem_segment_over(seg)) {
		xpmem_segment_put(seg);
		return -ENOENT;
	}
	xpmem_caller_local(&caller);
	if (!xpmem_segment_allows(seg, &caller, permit->write)) {
		xpmem_segment_put(seg);
		return -EACCES;
	}
	atomic_inc(&seg->nr_permits);
	permit->segment = seg;
	return 0;
}

static int permit_target(struct xpmem_permit *permit, u64 segid)
{
	bool unlimited = xpmem_user_unlimited();
	struct xpmem_import *imp;
	int err = 0;

	if (!unlimited && !xpmem_user_may_get(NULL, xpmem_user_self()))
		return -EAGAIN;
	if (segid >> XPMEM_SEGID_SHIFT == xpmem_partid) {
		err = permit_local(permit, segid);
	} else {
		imp = xpmem_import_open(segid, permit->write);
		if (IS_ERR(imp))
			err = PTR_ERR(imp);
		else
			permit->import = imp;
	}
	if (err)
		xpmem_count(refused_gets);
	if (!unlimited && (err == -ENOENT || err == -EACCES))
		xpmem_user_failed(NULL, xpmem_user_self());
	return err;
}

/* At the end of the right, not of the last attachment that still has it. */
static void permit_uncharge(struct xpmem_permit *permit)
{
	if (permit->charged)
		xpmem_user_uncharge(permit->user, XPMEM_USER_PERMITS, 1);
	permit->charged = false;
}

static struct xpmem_permit *permit_alloc(struct xpmem_process *process,
					 bool write)
{
	struct xpmem_permit *permit =
		kzalloc(sizeof(*permit), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!permit)
		return ERR_PTR(-ENOMEM);
	permit->user = xpmem_user_get();
	if (!permit->user)
		goto free;
	err = xpmem_user_charge(permit->user, XPMEM_USER_PERMITS, 1,
				xpmem_user_unlimited());
	if (err) {
		xpmem_count(refused_limits);
		goto put_user;
	}
	permit->charged = true;
	permit->cred = get_current_cred();
	INIT_LIST_HEAD(&permit->node);
	spin_lock_init(&permit->lock);
	permit->mm = process->mm;
	permit->write = write;
	xpmem_count(permits);
	return permit;

put_user:
	xpmem_user_put(permit->user);
free:
	kfree(permit);
	return ERR_PTR(err);
}

/**
 * xpmem_permit_create - get a permit for a segment
 * @process: the caller's
 * @segid:   the segment, of this or another partition
 * @write:   read-write, not just read
 * @apid:    filled in with the permit's name
 *
 * Context: process; may sleep; another partition is waited for, killable.
 * Return: 0; -ENOENT no such segment; -EACCES its mode does not allow it;
 * -EHOSTUNREACH no session to its partition; -EDQUOT the user has too many
 * permits; -EAGAIN too many of its gets failed within a second; -ENOMEM, -EINTR.
 */
int xpmem_permit_create(struct xpmem_process *process, u64 segid, bool write,
			u64 *apid)
{
	struct xpmem_permit *permit = permit_alloc(process, write);
	int err;

	if (IS_ERR(permit))
		return PTR_ERR(permit);
	err = permit_target(permit, segid);
	if (err)
		goto free;
	permit->file = xpmem_inode_open(xpmem_permit_inode(permit),
					&xpmem_attach_fops, permit);
	if (IS_ERR(permit->file)) {
		err = PTR_ERR(permit->file);
		goto free;
	}
	err = permit_name(permit);
	if (err)
		goto put;
	spin_lock(&process->lock);
	permit->process = process;
	list_add_tail(&permit->node, &process->permits);
	spin_unlock(&process->lock);
	trace_xpmem_permit_create(segid, permit->apid, write);
	xpmem_count(gets);
	*apid = permit->apid;
	return 0;

put:
	xpmem_permit_put(permit);
	return err;
free:
	xpmem_permit_free(permit);
	return err;
}

/**
 * xpmem_permit_get - find a permit of the caller's
 * @process: the caller's
 * @apid:    its name
 *
 * Context: process.
 * Return: the permit with a reference, or NULL if the process has none of that
 * name.
 */
struct xpmem_permit *xpmem_permit_get(struct xpmem_process *process, u64 apid)
{
	struct xpmem_permit *permit;

	xa_lock(&permits);
	permit = xa_load(&permits, apid);
	if (permit && permit->mm == process->mm)
		/* Its process has a reference while it is in the table. */
		get_file(permit->file);
	else
		permit = NULL;
	xa_unlock(&permits);
	return permit;
}

/* Its home said yes to a caller with other credentials: ask again. */
static int check_remote(struct xpmem_permit *permit)
{
	const struct cred *cred = current_cred(), *old;
	int err;

	if (READ_ONCE(permit->cred) == cred)
		return 0;
	err = xpmem_import_ask(permit->import, permit->write);
	if (err)
		return err;
	get_cred(cred);
	spin_lock(&permit->lock);
	old = permit->cred;
	WRITE_ONCE(permit->cred, cred);
	spin_unlock(&permit->lock);
	put_cred(old);
	return 0;
}

/**
 * xpmem_permit_check - may the caller use its permit, being who it is now?
 * @permit: of the caller's
 *
 * A process that has become somebody else since the get has the rights of
 * that one.
 *
 * Context: process; may sleep; the home is waited for, killable, if the caller's
 * credentials have changed.
 * Return: 0; -EACCES; -ENOENT the segment is gone; as of xpmem_import_ask().
 */
int xpmem_permit_check(struct xpmem_permit *permit)
{
	struct xpmem_segment *seg = permit->segment;
	struct xpmem_caller caller;
	int err = 0;

	if (!seg) {
		err = check_remote(permit);
	} else if (xpmem_segment_over(seg)) {
		err = -ENOENT;
	} else {
		xpmem_caller_local(&caller);
		if (!xpmem_segment_allows(seg, &caller, permit->write))
			err = -EACCES;
	}
	if (err == -EACCES)
		xpmem_count(refused_gets);
	return err;
}

/**
 * xpmem_permit_destroy - end a permit: make dead, wait, free
 * @permit: taken off its process' list; its reference is consumed
 *
 * Attachments that the caller could not unmap, because they are another address
 * space's by now, fault with SIGBUS.
 *
 * Context: process; may sleep.
 */
void xpmem_permit_destroy(struct xpmem_permit *permit)
{
	struct rw_semaphore *lock = permit->segment ? &permit->segment->lock :
						      &permit->import->lock;
	bool left = false;

	xa_erase(&permits, permit->apid);
	/* Whoever maps looks at it under the lock: none does from here on. */
	down_write(lock);
	WRITE_ONCE(permit->dead, true);
	up_write(lock);
	if (current->mm == permit->mm) {
		left = xpmem_attachment_detach_all(permit);
	} else if (mmget_not_zero(permit->mm)) {
		left = true;
		mmput_async(permit->mm);
	}
	/* Of an address space that has ended nothing is left; spare the others. */
	if (left)
		xpmem_zap(xpmem_permit_inode(permit)->i_mapping, 0, 0);
	permit_uncharge(permit);
	xpmem_permit_put(permit);
}

/**
 * xpmem_permit_release - give a permit back, and detach what was made with it
 * @process: the caller's
 * @apid:    the permit
 *
 * Context: process; may sleep; takes the mmap_lock.
 * Return: 0, or -ENOENT if the process has no such permit.
 */
int xpmem_permit_release(struct xpmem_process *process, u64 apid)
{
	struct xpmem_permit *permit = xpmem_permit_get(process, apid);
	struct xpmem_process *owner;
	bool mine = false;

	if (!permit)
		return -ENOENT;
	owner = READ_ONCE(permit->process);
	if (owner == process) {
		spin_lock(&process->lock);
		mine = !list_empty(&permit->node);
		list_del_init(&permit->node);
		spin_unlock(&process->lock);
	}
	if (mine)
		xpmem_permit_destroy(permit);
	xpmem_permit_put(permit);
	return mine ? 0 : -ENOENT;
}

/**
 * xpmem_permit_free - the last reference is gone
 * @permit: the permit; not in the table any more, or never
 *
 * Context: process, without locks: the end of a file, or of its making.
 */
void xpmem_permit_free(struct xpmem_permit *permit)
{
	if (permit->segment) {
		atomic_dec(&permit->segment->nr_permits);
		xpmem_segment_put(permit->segment);
	}
	if (permit->import)
		xpmem_import_put(permit->import);
	permit_uncharge(permit);
	xpmem_user_put(permit->user);
	put_cred(permit->cred);
	kfree(permit);
	xpmem_uncount(permits);
}

/**
 * xpmem_permit_put - give a reference back
 * @permit: the permit
 *
 * Context: any; the last reference only leads to xpmem_permit_free() later.
 */
void xpmem_permit_put(struct xpmem_permit *permit)
{
	fput(permit->file);
}
