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
/*
 * Of a name that many users have, so many are looked at, the newest first, when
 * neither the caller nor root has it: one user may be 65536, by his uids.
 */
#define USERS_PER_LOOKUP 4096

/**
 * struct xpmem_name - what a segment is published as
 * @node:  in the table of names of users
 * @alike: in the table of texts
 * @seg:   the segment, whose ->name this is: no reference
 * @text:  zeros up to the end
 */
struct xpmem_name {
	struct hlist_node node;
	struct hlist_node alike;
	struct xpmem_segment *seg;
	char text[XPMEM_WIRE_NAME];
};

/* Protects the tables, the counts below, and ->name of all segments. */
static DEFINE_SPINLOCK(names_lock);
/* By text and user: one each. */
static DEFINE_HASHTABLE(names_table, TABLE_BITS);
/* By text: one for each user that has it. */
static DEFINE_HASHTABLE(texts_table, TABLE_BITS);
/* uid to how many names it has, for those who have some. */
static DEFINE_XARRAY(users);
/* So that nobody can choose names for one bucket. */
static u32 names_seed __ro_after_init;

static u32 text_hash(const char *text)
{
	return jhash(text, XPMEM_WIRE_NAME, names_seed);
}

static u32 name_hash(const char *text, kuid_t uid)
{
	return jhash_2words(text_hash(text), __kuid_val(uid), names_seed);
}

static struct xpmem_name *find_locked(const char *text, kuid_t uid)
{
	struct xpmem_name *name;

	lockdep_assert_held(&names_lock);
	hash_for_each_possible(names_table, name, node, name_hash(text, uid)) {
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
	hash_del(&name->alike);
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

	if (xpmem_segment_over(seg))
		return -ENOENT;
	if (seg->name)
		return -EBUSY;
	/* Its exporter has ended; the rest of it is about to. */
	if (old && xpmem_segment_over(old->seg)) {
		destroy_locked(old);
		old = NULL;
	}
	if (old)
		return -EEXIST;
	err = user_add_locked(seg->uid);
	if (err)
		return err;
	hash_add(names_table, &name->node, name_hash(name->text, seg->uid));
	hash_add(texts_table, &name->alike, text_hash(name->text));
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

static struct xpmem_name *find_own_locked(struct xpmem_process *process,
					  const char *text)
{
	struct xpmem_name *name = find_locked(text, current_euid());
	unsigned int n = 0;

	if (name && name->seg->mm == process->mm)
		return name;
	/* Its user is another one since. */
	hash_for_each_possible(texts_table, name, alike, text_hash(text)) {
		if (name->seg->mm == process->mm && !strcmp(name->text, text))
			return name;
		if (++n == USERS_PER_LOOKUP)
			break;
	}
	return NULL;
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

	if (!xpmem_wire_name_valid(text))
		return -EINVAL;
	spin_lock(&names_lock);
	name = find_own_locked(process, text);
	if (name)
		destroy_locked(name);
	spin_unlock(&names_lock);
	return name ? 0 : -ENOENT;
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

/**
 * struct search - a lookup under way
 * @caller: who asks
 * @status: so far
 * @match:  with XPMEM_WIRE_OK
 */
struct search {
	const struct xpmem_caller *caller;
	u32 status;
	struct xpmem_match *match;
};

/* @name may be NULL.  Of several, all of one rank, the lowest user id counts. */
static void consider_locked(struct search *search,
			    const struct xpmem_name *name)
{
	const struct xpmem_segment *seg = name ? name->seg : NULL;

	lockdep_assert_held(&names_lock);
	if (!seg || xpmem_segment_over(seg))
		return;
	if (!xpmem_segment_allows(seg, search->caller, false)) {
		if (search->status == XPMEM_WIRE_NOENT)
			search->status = XPMEM_WIRE_ACCES;
		return;
	}
	if (search->status == XPMEM_WIRE_OK &&
	    !uid_lt(seg->uid, search->match->uid))
		return;
	search->status = XPMEM_WIRE_OK;
	search->match->segid = seg->segid;
	search->match->uid = seg->uid;
}

static void consider_others_locked(struct search *search, const char *text)
{
	const struct xpmem_name *name;
	unsigned int n = 0;

	hash_for_each_possible(texts_table, name, alike, text_hash(text)) {
		if (!strcmp(name->text, text))
			consider_locked(search, name);
		if (++n == USERS_PER_LOOKUP)
			break;
	}
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
	struct search search = {
		.caller = caller,
		.status = XPMEM_WIRE_NOENT,
		.match = match,
	};
	const char *text = query->text;

	spin_lock(&names_lock);
	if (uid_valid(query->owner)) {
		consider_locked(&search, find_locked(text, query->owner));
	} else {
		consider_locked(&search, find_locked(text, caller->uid));
		if (search.status != XPMEM_WIRE_OK)
			consider_locked(&search,
					find_locked(text, GLOBAL_ROOT_UID));
		if (search.status != XPMEM_WIRE_OK)
			consider_others_locked(&search, text);
	}
	spin_unlock(&names_lock);
	return search.status;
}

void __init xpmem_name_init(void)
{
	names_seed = get_random_u32();
}
