// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish: an exporter gives its segment a name that others can look up.
 *
 * Before: segment.c.  Next: resolve.c.  Invariant: a name is its segment's: it
 * is found while the segment lives, and goes with it.
 */
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "xpmem.h"

#define TABLE_BITS 10
/* Names that one user may have on this partition. */
#define NAMES_PER_USER 4096

/**
 * struct xpmem_name - what a segment is published as
 * @node: in the table
 * @seg:  the segment, whose ->name this is: no reference
 * @text: zeros up to the end
 */
struct xpmem_name {
	struct hlist_node node;
	struct xpmem_segment *seg;
	char text[XPMEM_WIRE_NAME];
};

/* Protects the table, the counts below, and ->name of all segments. */
static DEFINE_SPINLOCK(names_lock);
static DEFINE_HASHTABLE(names_table, TABLE_BITS);
/* uid to how many names it has, for those who have some. */
static DEFINE_XARRAY(users);
/* So that nobody can choose names for one bucket. */
static u32 names_seed __ro_after_init;

static u32 hash(const char *text)
{
	return jhash(text, XPMEM_WIRE_NAME, names_seed);
}

static struct xpmem_name *find_locked(const char *text, kuid_t uid)
{
	struct xpmem_name *name;

	lockdep_assert_held(&names_lock);
	hash_for_each_possible(names_table, name, node, hash(text)) {
		if (uid_eq(name->seg->uid, uid) && !strcmp(name->text, text))
			return name;
	}
	return NULL;
}

static int user_add_locked(kuid_t uid)
{
	void *old = xa_load(&users, __kuid_val(uid));
	unsigned long n = old ? xa_to_value(old) : 0;

	if (n == NAMES_PER_USER)
		return -EDQUOT;
	return xa_err(xa_store(&users, __kuid_val(uid), xa_mk_value(n + 1),
			       GFP_NOWAIT | __GFP_NOWARN));
}

/* Allocates nothing: the slot is there. */
static void user_sub_locked(kuid_t uid)
{
	unsigned long n = xa_to_value(xa_load(&users, __kuid_val(uid)));

	if (n == 1)
		xa_erase(&users, __kuid_val(uid));
	else
		xa_store(&users, __kuid_val(uid), xa_mk_value(n - 1),
			 GFP_NOWAIT);
}

static void destroy_locked(struct xpmem_name *name)
{
	lockdep_assert_held(&names_lock);
	hash_del(&name->node);
	name->seg->name = NULL;
	user_sub_locked(name->seg->uid);
	kfree(name);
	xpmem_uncount(names);
}

/*
 *	publish				the segment's end
 *	-------				-----------------
 *					->dead = true
 *	lock
 *	  not dead: insert
 *	unlock				xpmem_name_drop(): lock, destroy, unlock
 *
 * If the lock is taken the other way round, this sees ->dead.
 */
static int insert_locked(struct xpmem_name *name)
{
	struct xpmem_segment *seg = name->seg;
	struct xpmem_name *old = find_locked(name->text, seg->uid);
	int err;

	if (READ_ONCE(seg->dead))
		return -ENOENT;
	if (seg->name)
		return -EBUSY;
	/* Its exporter has ended; the rest of it is about to. */
	if (old && READ_ONCE(old->seg->dead)) {
		destroy_locked(old);
		old = NULL;
	}
	if (old)
		return -EEXIST;
	err = user_add_locked(seg->uid);
	if (err)
		return err;
	hash_add(names_table, &name->node, hash(name->text));
	seg->name = name;
	xpmem_count(names);
	return 0;
}

static int publish(struct xpmem_segment *seg, const char *text)
{
	struct xpmem_name *name = kzalloc(sizeof(*name), GFP_KERNEL_ACCOUNT);
	int err;

	if (!name)
		return -ENOMEM;
	name->seg = seg;
	strscpy(name->text, text, sizeof(name->text));
	spin_lock(&names_lock);
	err = insert_locked(name);
	spin_unlock(&names_lock);
	if (err)
		kfree(name);
	return err;
}

/**
 * xpmem_name_publish - give a segment a name
 * @process: the caller's
 * @segid:   a segment of it
 * @text:    XPMEM_WIRE_NAME bytes from the caller
 *
 * Context: process; may sleep.
 * Return: 0; -EINVAL for an impossible name; -ENOENT if the process has no such
 * segment; -EBUSY if the segment has a name; -EEXIST if another segment of the
 * same user has this one; -EDQUOT if the user has too many; -ENOMEM.
 */
int xpmem_name_publish(struct xpmem_process *process, u64 segid,
		       const char *text)
{
	struct xpmem_segment *seg;
	int err = -ENOENT;

	if (!xpmem_wire_name_valid(text))
		return -EINVAL;
	seg = xpmem_segment_get(segid);
	if (!seg)
		return -ENOENT;
	if (seg->mm == process->mm)
		err = publish(seg, text);
	xpmem_segment_put(seg);
	return err;
}

/**
 * xpmem_name_unpublish - take a name back
 * @process: the caller's
 * @text:    XPMEM_WIRE_NAME bytes from the caller
 *
 * Context: process.
 * Return: 0; -EINVAL for an impossible name; -ENOENT if no segment of the
 * process has it.
 */
int xpmem_name_unpublish(struct xpmem_process *process, const char *text)
{
	struct xpmem_name *name;
	int err = -ENOENT;

	if (!xpmem_wire_name_valid(text))
		return -EINVAL;
	spin_lock(&names_lock);
	hash_for_each_possible(names_table, name, node, hash(text)) {
		if (name->seg->mm != process->mm || strcmp(name->text, text))
			continue;
		destroy_locked(name);
		err = 0;
		break;
	}
	spin_unlock(&names_lock);
	return err;
}

/**
 * xpmem_name_drop - a segment ends, and its name with it
 * @seg: the segment, dead
 *
 * Context: any that may take spinlocks.
 */
void xpmem_name_drop(struct xpmem_segment *seg)
{
	spin_lock(&names_lock);
	if (seg->name)
		destroy_locked(seg->name);
	spin_unlock(&names_lock);
}

/**
 * xpmem_name_copy - for the administrator: what is it published as?
 * @seg:  the segment
 * @text: XPMEM_WIRE_NAME bytes, filled in; "" if it is not
 *
 * Context: any that may take spinlocks.
 */
void xpmem_name_copy(struct xpmem_segment *seg, char *text)
{
	spin_lock(&names_lock);
	strscpy(text, seg->name ? seg->name->text : "", XPMEM_WIRE_NAME);
	spin_unlock(&names_lock);
}

/**
 * xpmem_name_rank - whose segment is meant by a name that several have?
 * @owner:  of one of them
 * @caller: who looks it up
 *
 * Return: the least for the caller's own, then for root's, then all others.
 */
unsigned int xpmem_name_rank(kuid_t owner, kuid_t caller)
{
	if (uid_eq(owner, caller))
		return 0;
	return uid_eq(owner, GLOBAL_ROOT_UID) ? 1 : 2;
}

static bool better(kuid_t uid, kuid_t than, kuid_t caller)
{
	unsigned int a = xpmem_name_rank(uid, caller);
	unsigned int b = xpmem_name_rank(than, caller);

	return a < b || (a == b && uid_lt(uid, than));
}

/**
 * xpmem_name_find - which segment of this partition has a name?
 * @query:  the name
 * @caller: who asks
 * @match:  filled in on XPMEM_WIRE_OK
 *
 * Of several that the caller may read: the one of the least rank, and then of
 * the lowest user id.
 *
 * Context: any that may take spinlocks.
 * Return: XPMEM_WIRE_OK; XPMEM_WIRE_NOENT: none has it; XPMEM_WIRE_ACCES: the
 * caller may read none that has it.
 */
u32 xpmem_name_find(const struct xpmem_query *query,
		    const struct xpmem_caller *caller,
		    struct xpmem_match *match)
{
	u32 status = XPMEM_WIRE_NOENT;
	struct xpmem_name *name;

	spin_lock(&names_lock);
	hash_for_each_possible(names_table, name, node, hash(query->text)) {
		struct xpmem_segment *seg = name->seg;

		if (strcmp(name->text, query->text) || READ_ONCE(seg->dead))
			continue;
		if (uid_valid(query->owner) && !uid_eq(query->owner, seg->uid))
			continue;
		if (!xpmem_segment_allows(seg, caller, false)) {
			if (status == XPMEM_WIRE_NOENT)
				status = XPMEM_WIRE_ACCES;
			continue;
		}
		if (status == XPMEM_WIRE_OK &&
		    !better(seg->uid, match->uid, caller->uid))
			continue;
		status = XPMEM_WIRE_OK;
		match->segid = seg->segid;
		match->uid = seg->uid;
	}
	spin_unlock(&names_lock);
	return status;
}

void __init xpmem_name_init(void)
{
	names_seed = get_random_u32();
}
