// SPDX-License-Identifier: GPL-2.0-only
/*
 * make: an exporter names a range of its address space.
 *
 * Next: permit.c.  Invariant: once ->dead is set under the segment's lock, no
 * page of it is mapped or granted any more.
 */
#include <linux/cred.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"
#include "xpmem.h"

/* segid to segment; lookups under RCU, changes under the array's own lock. */
static DEFINE_XARRAY(segments);

static void segment_zap_range(struct xpmem_segment *seg, unsigned long first,
			      unsigned long last)
{
	if (!xpmem_mapped_in(seg, &first, &last))
		return;
	xpmem_zap(seg->inode->i_mapping, (loff_t)first << PAGE_SHIFT,
		  (loff_t)(last - first + 1) << PAGE_SHIFT);
	xpmem_mapped_clear(seg, first, last);
}

/*
 * The range changes hands: end the sequence under which readers work, then
 * take the range away from local and remote importers.
 *
 * Called with the exporter's mmap_lock or an rmap lock held.  Waits for remote
 * importers, unless this is reclaim: there the rmap notifier has seen to it,
 * and the entry's reference keeps whatever it has not.
 */
static bool segment_invalidate(struct mmu_interval_notifier *notifier,
			       const struct mmu_notifier_range *range,
			       unsigned long cur_seq)
{
	struct xpmem_segment *seg =
		container_of(notifier, struct xpmem_segment, notifier);
	unsigned long end = seg->start + (seg->pages << PAGE_SHIFT);
	unsigned long a = max(range->start, seg->start);
	unsigned long b = min(range->end, end);
	unsigned long first, last;

	/* Attachments cannot be exported: a zap of one is nobody's news. */
	if (a >= b || xpmem_zap_nested(range))
		return true;
	if (mmu_notifier_range_blockable(range))
		down_write(&seg->lock);
	else if (!down_write_trylock(&seg->lock))
		return false;
	mmu_interval_set_seq(notifier, cur_seq);
	if (range->event == MMU_NOTIFY_RELEASE)
		seg->dead = true;
	up_write(&seg->lock);

	first = (a - seg->start) >> PAGE_SHIFT;
	last = (b - 1 - seg->start) >> PAGE_SHIFT;
	if (!mmu_notifier_range_blockable(range)) {
		bool clean = xpmem_revoke_range(seg, first, last, false);

		if (clean && !xpmem_mapped_in(seg, &first, &last))
			return true;
		/* The OOM reaper comes back; have something done by then. */
		kref_get(&seg->ref);
		if (!queue_work(xpmem_session_wq, &seg->zap_work))
			xpmem_segment_put(seg);
		return false;
	}
	segment_zap_range(seg, first, last);
	xpmem_revoke_range(seg, first, last, !(current->flags & PF_MEMALLOC));
	return true;
}

static const struct mmu_interval_notifier_ops segment_notifier_ops = {
	.invalidate = segment_invalidate,
};

static void segment_zap(struct work_struct *work)
{
	struct xpmem_segment *seg =
		container_of(work, struct xpmem_segment, zap_work);
	long mappings;

	down_write(&seg->lock);
	mappings = atomic_long_read(&seg->mappings);
	up_write(&seg->lock);
	xpmem_zap(seg->inode->i_mapping, 0, 0);
	down_write(&seg->lock);
	xpmem_mapped_clear_all(seg, mappings);
	up_write(&seg->lock);
	xpmem_segment_put(seg);
}

static int segment_name(struct xpmem_segment *seg)
{
	int err;

	do {
		u64 secret = get_random_u64() &
			     ((1ull << XPMEM_SEGID_SHIFT) - 1);

		seg->segid = ((u64)xpmem_partid << XPMEM_SEGID_SHIFT) | secret;
		err = secret ? xa_insert(&segments, seg->segid, seg,
					 GFP_KERNEL_ACCOUNT) :
			       -EBUSY;
	} while (err == -EBUSY);
	if (!err)
		xpmem_inode_name(seg->inode, seg->segid);
	return err;
}

static int segment_check(unsigned long start, size_t *size)
{
	if (offset_in_page(start) || !*size || start >= TASK_SIZE)
		return -EINVAL;
	if (*size == (size_t)-1)
		*size = TASK_SIZE - start;
	if (offset_in_page(*size) || *size > TASK_SIZE - start)
		return -EINVAL;
	return 0;
}

static struct xpmem_segment *segment_alloc(unsigned long start, size_t size,
					   umode_t mode)
{
	struct xpmem_segment *seg = kzalloc(sizeof(*seg), GFP_KERNEL_ACCOUNT);

	if (!seg)
		return ERR_PTR(-ENOMEM);
	seg->inode = xpmem_inode_create(0);
	if (IS_ERR(seg->inode)) {
		void *err = seg->inode;

		kfree(seg);
		return err;
	}
	seg->user = xpmem_user_get();
	if (!seg->user) {
		iput(seg->inode);
		kfree(seg);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&seg->ref);
	INIT_LIST_HEAD(&seg->node);
	INIT_WORK(&seg->zap_work, segment_zap);
	init_rwsem(&seg->lock);
	xa_init(&seg->mapped);
	xa_init(&seg->remote);
	xa_init(&seg->places);
	xpmem_users_init(&seg->users);
	seg->mm = current->mm;
	mmgrab(seg->mm);
	seg->pid = task_tgid_nr(current);
	seg->uid = current_euid();
	seg->unlimited = xpmem_user_unlimited();
	seg->dumpable = xpmem_mm_dumpable(seg->mm);
	seg->gid = current_egid();
	seg->mode = mode;
	seg->start = start;
	seg->pages = size >> PAGE_SHIFT;
	xpmem_count(segments);
	return seg;
}

/**
 * xpmem_segment_create - export a range of the caller's address space
 * @process: the caller's
 * @start:   first address, page aligned
 * @size:    bytes, a multiple of the page size, or (size_t)-1 for all the rest
 * @mode:    who may get a permit, as of a file
 * @segid:   filled in with the segment's name
 *
 * Nothing needs to be mapped there, now or ever.
 *
 * Context: process; may sleep; takes the mmap_lock.
 * Return: 0, -EINVAL for an impossible range; -EDQUOT the user has too many
 * segments; -ENOMEM; -ERESTARTNOINTR, a signal is pending.
 */
int xpmem_segment_create(struct xpmem_process *process, unsigned long start,
			 size_t size, umode_t mode, u64 *segid)
{
	struct xpmem_segment *seg;
	int err = segment_check(start, &size);

	if (err)
		return err;
	seg = segment_alloc(start, size, mode);
	if (IS_ERR(seg))
		return PTR_ERR(seg);
	err = xpmem_user_charge(seg->user, XPMEM_USER_SEGMENTS, 1,
				seg->unlimited);
	if (err) {
		xpmem_count(refused_limits);
		goto put;
	}
	err = mmu_interval_notifier_insert(&seg->notifier, seg->mm, start, size,
					   &segment_notifier_ops);
	/* The first one of an address space takes all its locks. */
	if (err == -EINTR)
		err = -ERESTARTNOINTR;
	if (err)
		goto uncharge;
	seg->seq = mmu_interval_read_begin(&seg->notifier);
	err = segment_name(seg);
	if (err)
		goto remove_notifier;
	spin_lock(&process->lock);
	list_add_tail(&seg->node, &process->segments);
	spin_unlock(&process->lock);
	if (seg->dumpable)
		xpmem_watch();
	trace_xpmem_segment_create(seg->segid, seg->start, seg->pages);
	*segid = seg->segid;
	return 0;

remove_notifier:
	mmu_interval_notifier_remove(&seg->notifier);
uncharge:
	xpmem_user_uncharge(seg->user, XPMEM_USER_SEGMENTS, 1);
put:
	xpmem_segment_put(seg);
	return err;
}

/**
 * xpmem_segment_over - is a segment dead, or must be?
 * @seg: the segment
 *
 * Whoever made it could be looked into by its own user; now it cannot, because
 * it wants so or has gained privileges.  Then nobody gets at its memory through
 * what it made before.
 *
 * Context: any.
 */
bool xpmem_segment_over(const struct xpmem_segment *seg)
{
	return READ_ONCE(seg->dead) ||
	       (seg->dumpable && !xpmem_mm_dumpable(seg->mm));
}

/* Nothing is mapped or granted from here on; @wait: nor held, but by the lost. */
static void segment_kill(struct xpmem_segment *seg, bool wait)
{
	down_write(&seg->lock);
	seg->dead = true;
	up_write(&seg->lock);
	xpmem_name_drop(seg);
	xpmem_zap(seg->inode->i_mapping, 0, 0);
	xpmem_revoke_range(seg, 0, seg->pages - 1, wait);
}

/**
 * xpmem_segment_end - a segment dies before its exporter says so
 * @seg: the segment, held by the caller
 *
 * What its exporter has of it stays until that is destroyed.  Remote importers are
 * not waited for.
 *
 * Context: process; may sleep.
 */
void xpmem_segment_end(struct xpmem_segment *seg)
{
	segment_kill(seg, false);
}

/**
 * xpmem_segment_next - one segment after the other
 * @cursor: 0 at first; advanced
 *
 * Context: any that may take a spinlock.
 * Return: a segment with a reference, or NULL after the last one.
 */
struct xpmem_segment *xpmem_segment_next(unsigned long *cursor)
{
	struct xpmem_segment *seg;

	xa_lock(&segments);
	for (;;) {
		seg = xa_find(&segments, cursor, ULONG_MAX, XA_PRESENT);
		if (!seg)
			break;
		++*cursor;
		if (kref_get_unless_zero(&seg->ref))
			break;
	}
	xa_unlock(&segments);
	return seg;
}

/**
 * xpmem_segment_destroy - end a segment: make dead, wait, free
 * @seg: taken off its process' list; the table's reference is consumed
 *
 * Permits and attachments keep the object, and fault with SIGBUS.
 *
 * Context: process; may sleep, for remote importers at most their deadline.
 */
void xpmem_segment_destroy(struct xpmem_segment *seg)
{
	trace_xpmem_segment_destroy(seg->segid, atomic_read(&seg->nr_exported));
	xa_erase(&segments, seg->segid);
	segment_kill(seg, true);
	mmu_interval_notifier_remove(&seg->notifier);
	/* Permits of others may keep the object: that is on their account. */
	xpmem_user_uncharge(seg->user, XPMEM_USER_SEGMENTS, 1);
	xpmem_segment_put(seg);
}

/**
 * xpmem_segment_remove - the exporter takes its segment back
 * @process: the caller's
 * @segid:   the segment; it may have ended before
 *
 * Context: process; may sleep.
 * Return: 0, or -ENOENT if the process has no such segment.
 */
int xpmem_segment_remove(struct xpmem_process *process, u64 segid)
{
	struct xpmem_segment *seg, *mine = NULL;

	spin_lock(&process->lock);
	list_for_each_entry(seg, &process->segments, node)
		if (seg->segid == segid) {
			list_del_init(&seg->node);
			mine = seg;
			break;
		}
	spin_unlock(&process->lock);
	if (!mine)
		return -ENOENT;
	xpmem_segment_destroy(mine);
	return 0;
}

/**
 * xpmem_segment_get - find a segment by name
 * @segid: its name
 *
 * Context: any that may use RCU.
 * Return: the segment with a reference, or NULL.
 */
struct xpmem_segment *xpmem_segment_get(u64 segid)
{
	struct xpmem_segment *seg;

	xa_lock(&segments);
	seg = xa_load(&segments, segid);
	if (seg && (READ_ONCE(seg->dead) || !kref_get_unless_zero(&seg->ref)))
		seg = NULL;
	xa_unlock(&segments);
	return seg;
}

/**
 * xpmem_segment_forget - a slot's next session starts without permits
 * @slot: the slot, its session ended
 *
 * Context: any that may take spinlocks.
 */
void xpmem_segment_forget(unsigned int slot)
{
	struct xpmem_segment *seg;
	unsigned long index;

	xa_lock(&segments);
	xa_for_each(&segments, index, seg) {
		spin_lock(&xpmem_home.lock);
		xa_erase(&seg->remote, slot);
		spin_unlock(&xpmem_home.lock);
	}
	xa_unlock(&segments);
}

static void segment_free(struct kref *ref)
{
	struct xpmem_segment *seg =
		container_of(ref, struct xpmem_segment, ref);

	xa_destroy(&seg->places);
	xa_destroy(&seg->remote);
	xa_destroy(&seg->mapped);
	iput(seg->inode);
	mmdrop(seg->mm);
	xpmem_user_put(seg->user);
	kfree(seg);
	xpmem_uncount(segments);
}

/**
 * xpmem_segment_put - give a reference back
 * @seg: the segment
 *
 * Context: process; may sleep.
 */
void xpmem_segment_put(struct xpmem_segment *seg)
{
	kref_put(&seg->ref, segment_free);
}

/**
 * xpmem_segment_allows - may this user have a permit?
 * @seg:    the segment
 * @caller: the user
 * @write:  read-write, not just read
 *
 * The rule of System V IPC: the first class that fits decides.
 */
bool xpmem_segment_allows(const struct xpmem_segment *seg,
			  const struct xpmem_caller *caller, bool write)
{
	unsigned int want = write ? 06 : 04, mode = seg->mode;
	bool in_group = gid_eq(caller->gid, seg->gid);
	int i;

	if (caller->privileged)
		return true;
	for (i = 0; i < caller->ngroups && !in_group; i++)
		in_group = gid_eq(caller->groups[i], seg->gid);
	if (uid_eq(caller->uid, seg->uid))
		mode >>= 6;
	else if (in_group)
		mode >>= 3;
	return (mode & want) == want;
}

/**
 * xpmem_segment_info_next - describe one segment after the other
 * @cursor: 0 at first; advanced
 * @info:   filled in
 *
 * Context: any that may use RCU.
 * Return: 0, or -ENOENT after the last one.
 */
int xpmem_segment_info_next(u64 *cursor, struct xpmem_segment_info *info)
{
	unsigned long index = *cursor;
	struct xpmem_segment *seg;
	int err = -ENOENT;

	xa_lock(&segments);
	seg = xa_find(&segments, &index, ULONG_MAX, XA_PRESENT);
	if (seg) {
		info->segid = seg->segid;
		info->size = (u64)seg->pages << PAGE_SHIFT;
		info->exported = atomic_read(&seg->nr_exported);
		info->pid = seg->pid;
		info->uid = from_kuid(&init_user_ns, seg->uid);
		info->mode = seg->mode;
		info->permits = atomic_read(&seg->nr_permits);
		info->attachments = atomic_read(&seg->nr_attachments);
		xpmem_name_copy(seg, info->name);
		*cursor = index + 1;
		err = 0;
	}
	xa_unlock(&segments);
	return err;
}
