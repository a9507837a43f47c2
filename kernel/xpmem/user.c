// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each user has here, and how much of it is allowed: segments, permits,
 * exported pages, pages in quarantine; and how often its gets may fail.
 *
 * Used by segment.c, permit.c, ask.c, serve.c, export.c, reap.c.  Invariant: what
 * was charged is uncharged once, from the same account; to uncharge never fails,
 * sleeps or allocates.
 */
#include <linux/cred.h>
#include <linux/jhash.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "xpmem.h"

/* A share of this partition's memory is put in its place at load. */
#define OF_MEMORY ULONG_MAX

static unsigned long limits[XPMEM_USER_COUNTS] = {
	[XPMEM_USER_SEGMENTS] = 16384,
	[XPMEM_USER_PERMITS] = 262144,
	[XPMEM_USER_EXPORTED] = OF_MEMORY,
	[XPMEM_USER_QUARANTINE] = OF_MEMORY,
};

module_param_named(max_segments, limits[XPMEM_USER_SEGMENTS], ulong, 0644);
MODULE_PARM_DESC(max_segments, "segments that a user may have (default 16384)");
module_param_named(max_permits, limits[XPMEM_USER_PERMITS], ulong, 0644);
MODULE_PARM_DESC(max_permits, "permits that a user may have (default 262144)");
module_param_named(max_exported, limits[XPMEM_USER_EXPORTED], ulong, 0644);
MODULE_PARM_DESC(
	max_exported,
	"pages of a user that other partitions may hold (default half of memory)");
module_param_named(max_quarantine, limits[XPMEM_USER_QUARANTINE], ulong, 0644);
MODULE_PARM_DESC(
	max_quarantine,
	"pages of a user in quarantine from which on it exports no more (default a quarter of memory)");

static unsigned int failed_gets = 100;
module_param(failed_gets, uint, 0644);
MODULE_PARM_DESC(failed_gets,
		 "gets of a user that may fail in a second (default 100)");

/**
 * struct xpmem_user - what a user has on this partition
 * @ref:   one per segment, permit and export entry
 * @uid:   the user
 * @id:    a small number for it, kept in export entries; 0: it has none yet
 * @count: of each kind
 */
struct xpmem_user {
	struct kref ref;
	kuid_t uid;
	u32 id;
	atomic_long_t count[XPMEM_USER_COUNTS];
};

/* uid to user, and id to user; both arrays' locks are leaves. */
static DEFINE_XARRAY(users);
static DEFINE_XARRAY_ALLOC1(ids);

/* Of this partition's own users. */
static struct xpmem_failures own_failures;
static u32 failures_seed __ro_after_init;

static struct xpmem_user *user_find(kuid_t uid)
{
	struct xpmem_user *user;

	xa_lock(&users);
	user = xa_load(&users, __kuid_val(uid));
	if (user)
		kref_get(&user->ref);
	xa_unlock(&users);
	return user;
}

static void user_free(struct xpmem_user *user)
{
	if (user->id)
		xa_erase(&ids, user->id);
	kfree(user);
}

static struct xpmem_user *user_alloc(kuid_t uid)
{
	struct xpmem_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

	if (!user)
		return NULL;
	kref_init(&user->ref);
	user->uid = uid;
	return user;
}

/**
 * xpmem_user_self - who is charged for what the caller does
 *
 * Inside a user namespace that is who created the outermost one, however many
 * users it maps: else each of a user's subordinate uids would have limits of its
 * own.  Of namespaces that root created, as container managers do, it is the
 * user who is root inside; where root is itself or nobody, as of services, the
 * caller.
 */
kuid_t xpmem_user_self(void)
{
	struct user_namespace *ns = current_user_ns();
	kuid_t root;

	if (ns == &init_user_ns)
		return current_euid();
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
		return ns->owner;
	root = make_kuid(ns, 0);
	if (!uid_valid(root) || uid_eq(root, GLOBAL_ROOT_UID))
		return current_euid();
	return root;
}

/**
 * xpmem_user_get - the account of the caller, a new one if need be
 *
 * Context: process; may sleep.
 * Return: the account with a reference, or NULL: no memory.
 */
struct xpmem_user *xpmem_user_get(void)
{
	kuid_t uid = xpmem_user_self();
	struct xpmem_user *user = user_find(uid), *old;

	if (user)
		return user;
	user = user_alloc(uid);
	if (!user)
		return NULL;
	xa_lock(&users);
	old = __xa_cmpxchg(&users, __kuid_val(uid), NULL, user,
			   GFP_KERNEL_ACCOUNT);
	/* It is in the table, under whose lock it would leave. */
	if (old && !xa_is_err(old))
		kref_get(&old->ref);
	xa_unlock(&users);
	if (!old)
		return user;
	user_free(user);
	return xa_is_err(old) ? NULL : old;
}

/**
 * xpmem_user_number - give an account the number that its export entries keep
 * @user: held by the caller
 *
 * Only who exports pages takes one of the 65535 numbers.
 *
 * Context: process; may sleep.
 * Return: 0; -ENOMEM; -EDQUOT: pages of too many users are exported.
 */
int xpmem_user_number(struct xpmem_user *user)
{
	u32 id;
	int err;

	if (READ_ONCE(user->id))
		return 0;
	xa_lock(&ids);
	err = __xa_alloc(&ids, &id, user, XA_LIMIT(1, U16_MAX),
			 GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	/* Memory is allocated without the lock: another fetch may be first. */
	if (user->id) {
		if (!err)
			__xa_erase(&ids, id);
		err = 0;
	} else if (!err) {
		WRITE_ONCE(user->id, id);
	}
	xa_unlock(&ids);
	return err == -EBUSY ? -EDQUOT : err;
}

/**
 * xpmem_user_hold - take one more reference
 * @user: held by the caller, with a number
 *
 * Return: the number, by which xpmem_user_of() finds it; never 0.
 */
u16 xpmem_user_hold(struct xpmem_user *user)
{
	kref_get(&user->ref);
	return user->id;
}

/**
 * xpmem_user_of - the account with a number
 * @id: from xpmem_user_hold(), and that reference is still held
 */
struct xpmem_user *xpmem_user_of(u16 id)
{
	return xa_load(&ids, id);
}

static void user_unused(struct kref *ref)
{
	struct xpmem_user *user = container_of(ref, struct xpmem_user, ref);

	__xa_erase(&users, __kuid_val(user->uid));
	xa_unlock(&users);
	user_free(user);
}

/**
 * xpmem_user_put - give a reference back
 * @user: the account
 *
 * Context: any that may take a spinlock; part of the revoke path.
 */
void xpmem_user_put(struct xpmem_user *user)
{
	kref_put_lock(&user->ref, user_unused, &users.xa_lock);
}

/**
 * xpmem_user_unlimited - is the caller beyond all limits?
 *
 * What it has is counted all the same.
 */
bool xpmem_user_unlimited(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE);
}

/**
 * xpmem_user_charge - a user gets more of something
 * @user:      the account
 * @what:      of what
 * @n:         how much
 * @unlimited: do not look at the limit
 *
 * Context: any.
 * Return: 0, or -EDQUOT and nothing is charged.
 */
int xpmem_user_charge(struct xpmem_user *user, enum xpmem_user_count what,
		      unsigned long n, bool unlimited)
{
	unsigned long now = atomic_long_add_return(n, &user->count[what]);

	if (unlimited || now <= READ_ONCE(limits[what]))
		return 0;
	atomic_long_sub(n, &user->count[what]);
	return -EDQUOT;
}

/**
 * xpmem_user_uncharge - a user has less of something
 * @user: the account
 * @what: of what
 * @n:    how much
 *
 * Context: any; part of the revoke path.
 */
void xpmem_user_uncharge(struct xpmem_user *user, enum xpmem_user_count what,
			 unsigned long n)
{
	atomic_long_sub(n, &user->count[what]);
}

/**
 * xpmem_user_export - may pages of a user be exported, and if so, they are
 * @user:      the account
 * @pages:     how many
 * @unlimited: do not look at the limits
 *
 * Who has too many pages in quarantine exports no more until they are fenced.
 *
 * Context: any.
 * Return: 0, or -EDQUOT and nothing is charged.
 */
int xpmem_user_export(struct xpmem_user *user, unsigned long pages,
		      bool unlimited)
{
	unsigned long kept =
		atomic_long_read(&user->count[XPMEM_USER_QUARANTINE]);

	if (!unlimited && kept &&
	    kept >= READ_ONCE(limits[XPMEM_USER_QUARANTINE]))
		return -EDQUOT;
	return xpmem_user_charge(user, XPMEM_USER_EXPORTED, pages, unlimited);
}

/**
 * xpmem_user_tell - say that a fetch is refused because of a limit
 * @user: the account
 *
 * Context: process.
 */
void xpmem_user_tell(const struct xpmem_user *user)
{
	uid_t uid = from_kuid(&init_user_ns, user->uid);

	xpmem_count(refused_limits);
	if (!READ_ONCE(user->id)) {
		pr_warn_ratelimited(
			"xpmem: uid %u: no more pages are exported: those of %d other users are: xpmemctl users\n",
			uid, U16_MAX);
		return;
	}
	pr_warn_ratelimited(
		"xpmem: uid %u: no more pages are exported: it has %ld exported (max_exported is %lu) and %ld in quarantine (max_quarantine is %lu)\n",
		uid, atomic_long_read(&user->count[XPMEM_USER_EXPORTED]),
		READ_ONCE(limits[XPMEM_USER_EXPORTED]),
		atomic_long_read(&user->count[XPMEM_USER_QUARANTINE]),
		READ_ONCE(limits[XPMEM_USER_QUARANTINE]));
}

static struct xpmem_failed *failed_of(struct xpmem_failures *failures,
				      kuid_t uid)
{
	u32 at = jhash_1word(__kuid_val(uid), failures_seed);

	return &failures->of[at % ARRAY_SIZE(failures->of)];
}

/**
 * xpmem_failures_init - nothing has failed yet
 * @failures: of a partition's users
 */
void xpmem_failures_init(struct xpmem_failures *failures)
{
	spin_lock_init(&failures->lock);
}

/**
 * xpmem_user_may_get - did few enough gets of a user fail?
 * @failures: of the partition where it is a user; NULL: of this one
 * @uid:      the user
 *
 * Segids cannot be guessed; this sees to it that nobody tries.
 *
 * Context: any that may take a spinlock.
 */
bool xpmem_user_may_get(struct xpmem_failures *failures, kuid_t uid)
{
	struct xpmem_failed *f;
	bool may;

	failures = failures ?: &own_failures;
	f = failed_of(failures, uid);
	spin_lock(&failures->lock);
	if (time_after_eq(jiffies, f->since + HZ)) {
		f->since = jiffies;
		f->count = 0;
	}
	may = f->count < READ_ONCE(failed_gets);
	spin_unlock(&failures->lock);
	if (!may)
		xpmem_count(throttled_gets);
	return may;
}

/**
 * xpmem_user_failed - a get of a user failed
 * @failures: as for xpmem_user_may_get()
 * @uid:      the user
 *
 * Context: any that may take a spinlock.
 */
void xpmem_user_failed(struct xpmem_failures *failures, kuid_t uid)
{
	failures = failures ?: &own_failures;
	spin_lock(&failures->lock);
	failed_of(failures, uid)->count++;
	spin_unlock(&failures->lock);
}

/**
 * xpmem_user_info_next - describe one user after the other
 * @cursor: 0 at first; advanced
 * @info:   filled in
 *
 * Context: any that may take a spinlock.
 * Return: 0, or -ENOENT after the last one.
 */
int xpmem_user_info_next(u64 *cursor, struct xpmem_user_info *info)
{
	unsigned long index = *cursor;
	struct xpmem_user *user;
	int i;

	xa_lock(&users);
	user = xa_find(&users, &index, ULONG_MAX, XA_PRESENT);
	if (user) {
		info->uid = from_kuid(&init_user_ns, user->uid);
		for (i = 0; i < XPMEM_USER_COUNTS; i++)
			info->count[i] = atomic_long_read(&user->count[i]);
		*cursor = (u64)index + 1;
	}
	xa_unlock(&users);
	return user ? 0 : -ENOENT;
}

void __init xpmem_user_init(void)
{
	failures_seed = get_random_u32();
	xpmem_failures_init(&own_failures);
	if (limits[XPMEM_USER_EXPORTED] == OF_MEMORY)
		limits[XPMEM_USER_EXPORTED] = totalram_pages() / 2;
	if (limits[XPMEM_USER_QUARANTINE] == OF_MEMORY)
		limits[XPMEM_USER_QUARANTINE] = totalram_pages() / 4;
}

/* Nobody has anything any more; the arrays keep no memory when empty. */
void xpmem_user_exit(void)
{
	xa_destroy(&users);
	xa_destroy(&ids);
}
