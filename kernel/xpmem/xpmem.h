/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of xpmem, their states, and who protects what.
 *
 * Read the files in the order of a page's life: segment.c (make), permit.c
 * (get), attach.c, fault.c and import.c (touch), export.c (grant), revoke.c,
 * ack.c, reap.c (release).  session.c, socket.c and window.c carry it to other
 * partitions.  docs/locking.md has the lock order, docs/life-of-a-page.md the
 * story.  Here is what an exporter makes and who may have it; touch.h, home.h,
 * session.h and import.h, included from here, have the rest.
 */
#ifndef XPMEM_H
#define XPMEM_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/in6.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "compat.h"
#include "core/entry.h"
#include "core/frame.h"
#include "core/lease.h"
#include "core/peer.h"
#include "core/wire.h"

struct cred;
struct netlink_ext_ack;
struct xpmem_attachment;
struct xpmem_import;
struct xpmem_permit;
struct xpmem_message;
struct xpmem_segment;
struct xpmem_session;
struct xpmem_user;
struct xpmem_young;

#define XPMEM_VERSION 0x00030000
#define XPMEM_PARTID_MAX 32767
#define XPMEM_SEGID_SHIFT 48

/* A home waits so long before it grants a page again that reclaim wanted. */
#define XPMEM_DEFER_MS 50
/* A deferral: the count of XPMEM_EXPORT_SPARED above, the time below. */
#define XPMEM_DEFER_SHIFT (BITS_PER_LONG - 4)
#define XPMEM_DEFER_TIME ((1ul << XPMEM_DEFER_SHIFT) - 1)
/* Revoke messages that may wait for their acknowledgement, per session. */
#define XPMEM_REVOKES 8
/* Acknowledgements on their way: one more than can be owed at a time. */
#define XPMEM_ACKS (XPMEM_REVOKES + 1)
/* Messages that wait to be sent, and are allocated: no more answers after that. */
#define XPMEM_CROWD 8192
/* Places (segment, address) that one folio may be exported at. */
#define XPMEM_PLACES 64
/* No exported folio is larger than this. */
#define XPMEM_FOLIO_PAGES 512
/* What ->places of a segment has: deferrals are not marked. */
#define XPMEM_PLACE_SMALL XA_MARK_0
#define XPMEM_PLACE_LARGE XA_MARK_1

/* stats.c: every counter of /sys, netlink and xpmemctl, in one list. */
#define XPMEM_COUNTERS(X) \
	X(segments)       \
	X(names)          \
	X(permits)        \
	X(attachments)    \
	X(imports)        \
	X(exported)       \
	X(granted)        \
	X(revoked)        \
	X(acked)          \
	X(released)       \
	X(quarantine)     \
	X(faults_local)   \
	X(faults_huge)    \
	X(faults_remote)  \
	X(fetches)        \
	X(gets)           \
	X(attaches)       \
	X(refused_gets)   \
	X(lookups)        \
	X(leases_ended) X(refused_limits) X(throttled_gets) X(refused_memory)

/* Each CPU counts for itself; only the sum over all of them means anything. */
struct xpmem_counters {
#define XPMEM_COUNTER(name) u64 name;
	XPMEM_COUNTERS(XPMEM_COUNTER)
#undef XPMEM_COUNTER
};

struct xpmem_stats {
#define XPMEM_COUNTER(name) u64 name;
	XPMEM_COUNTERS(XPMEM_COUNTER)
#undef XPMEM_COUNTER
	u64 wait_median_us;
	u64 wait_max_us;
};

/* Powers of two of microseconds; the last bucket has no upper end. */
#define XPMEM_WAIT_BUCKETS 32

struct xpmem_waits {
	atomic64_t bucket[XPMEM_WAIT_BUCKETS];
	atomic64_t max_us;
};

DECLARE_PER_CPU(struct xpmem_counters, xpmem_counters);
extern unsigned short xpmem_partid;

#define xpmem_count_add(name, n) this_cpu_add(xpmem_counters.name, n)
#define xpmem_count_sub(name, n) this_cpu_sub(xpmem_counters.name, n)
#define xpmem_count(name) xpmem_count_add(name, 1)
#define xpmem_uncount(name) xpmem_count_sub(name, 1)

void xpmem_stats_get(struct xpmem_stats *stats);
void xpmem_waits_add(struct xpmem_waits *waits, u64 us);
u64 xpmem_waits_quantile(const struct xpmem_waits *waits, unsigned int percent);
extern struct xpmem_waits xpmem_waits;
extern const struct attribute_group *xpmem_stats_groups[];

/* --- dev.c ------------------------------------------------------------- */

int xpmem_dev_init(void);
void xpmem_dev_exit(void);

/* --- process.c ----------------------------------------------------------- */

/**
 * struct xpmem_process - an address space that opened /dev/xpmem
 * @notifier:    tells when the address space ends; counts descriptors as well,
 *               and finds the object for the next one
 * @ref:         one for @notifier, one while @work is queued
 * @mm:          the address space, the only one that may use the descriptors;
 *               held by mmgrab()
 * @lock:        protects what follows
 * @descriptors: open ones
 * @segments:    made by it
 * @permits:     got by it
 * @work:        ends all that, once the address space did
 */
struct xpmem_process {
	struct mmu_notifier notifier;
	struct kref ref;
	struct mm_struct *mm;
	spinlock_t lock;
	unsigned int descriptors;
	struct list_head segments;
	struct list_head permits;
	struct work_struct work;
};

struct xpmem_process *xpmem_process_open(void);
void xpmem_process_close(struct xpmem_process *process);
int xpmem_process_init(void);
void xpmem_process_exit(void);

/* --- caller.c ------------------------------------------------------------ */

/**
 * struct xpmem_policy - whom another partition may speak for
 * @uid_min:     first user, not root
 * @uid_max:     last user
 * @root_squash: its root, and root's group, are nobody here
 */
struct xpmem_policy {
	u32 uid_min;
	u32 uid_max;
	bool root_squash;
};

/**
 * struct xpmem_caller - who asks for a segment, on whichever partition
 * @uid:        effective user
 * @gid:        effective group
 * @groups:     supplementary groups
 * @ngroups:    how many
 * @privileged: has CAP_IPC_OWNER, or is root on another partition
 * @told:       where @groups are that another partition told
 */
struct xpmem_caller {
	kuid_t uid;
	kgid_t gid;
	const kgid_t *groups;
	int ngroups;
	bool privileged;
	kgid_t told[XPMEM_WIRE_GROUPS];
};

void xpmem_caller_local(struct xpmem_caller *caller);
bool xpmem_caller_remote(struct xpmem_caller *caller,
			 const struct xpmem_policy *policy, __le32 uid,
			 __le32 gid, const __le32 *groups, __le32 ngroups);
__le32 xpmem_caller_tell(__le32 *uid, __le32 *gid, __le32 *groups);

/* --- user.c -------------------------------------------------------------- */

/**
 * enum xpmem_user_count - what is counted for each user, and limited
 * @XPMEM_USER_SEGMENTS:   that it made and that live
 * @XPMEM_USER_PERMITS:    that its processes have
 * @XPMEM_USER_EXPORTED:   pages of its segments that other partitions hold
 * @XPMEM_USER_QUARANTINE: of those, pages held by lost partitions
 * @XPMEM_USER_COUNTS:     how many kinds
 */
enum xpmem_user_count {
	XPMEM_USER_SEGMENTS,
	XPMEM_USER_PERMITS,
	XPMEM_USER_EXPORTED,
	XPMEM_USER_QUARANTINE,
	XPMEM_USER_COUNTS,
};

struct xpmem_user_info {
	u32 uid;
	u64 count[XPMEM_USER_COUNTS];
};

/* Gets that failed in the second that began at @since. */
struct xpmem_failed {
	unsigned long since;
	unsigned int count;
};

/**
 * struct xpmem_failures - failed gets of a partition's users
 * @lock: protects @of; a leaf
 * @of:   of users that share a place, one pays for the other; nobody can choose it
 */
struct xpmem_failures {
	spinlock_t lock;
	struct xpmem_failed of[256];
};

void xpmem_user_init(void);
void xpmem_user_exit(void);
kuid_t xpmem_user_self(void);
struct xpmem_user *xpmem_user_get(void);
int xpmem_user_number(struct xpmem_user *user);
u16 xpmem_user_hold(struct xpmem_user *user);
struct xpmem_user *xpmem_user_of(u16 id);
void xpmem_user_put(struct xpmem_user *user);
bool xpmem_user_unlimited(void);
int xpmem_user_charge(struct xpmem_user *user, enum xpmem_user_count what,
		      unsigned long n, bool unlimited);
void xpmem_user_uncharge(struct xpmem_user *user, enum xpmem_user_count what,
			 unsigned long n);
int xpmem_user_export(struct xpmem_user *user, unsigned long pages,
		      bool unlimited);
void xpmem_user_tell(const struct xpmem_user *user);
void xpmem_failures_init(struct xpmem_failures *failures);
bool xpmem_user_may_get(struct xpmem_failures *failures, kuid_t uid);
void xpmem_user_failed(struct xpmem_failures *failures, kuid_t uid);
int xpmem_user_info_next(u64 *cursor, struct xpmem_user_info *info);

/* --- segment.c --------------------------------------------------------- */

/**
 * struct xpmem_users - the attachments of a segment on this partition
 * @lock: protects @list; taken under an exporter's page-table lock
 * @list: attachments, by their ->node
 */
struct xpmem_users {
	spinlock_t lock;
	struct list_head list;
};

/**
 * struct xpmem_segment - an exported address range
 * @ref:      one for the table while the segment lives, one per permit, one
 *            per place an export entry has in it, one per fetch being served
 * @node:     in its process' list
 * @segid:    its name
 * @mm:       the exporter's address space, held by mmgrab()
 * @pid:      of the exporter, for the administrator
 * @uid:      the exporter's effective user
 * @user:     its account; a reference
 * @unlimited: no limit counts for it
 * @gid:      the exporter's effective group
 * @mode:     who may get a permit
 * @start:    first address, page aligned
 * @pages:    length
 * @inode:    its i_mmap holds the local attachments; page offset is the page's
 *            number in the segment
 * @notifier: tells when something happens to the range
 * @seq:      the last @notifier sequence seen; a hint
 * @lock:     the notifier lock: readers map or export pages that they found
 *            under a sequence, the writer ends that sequence
 * @dead:     removed, or the exporter exited; written under @lock
 * @dumpable: when it was made, the exporter was, see watch.c
 * @mapped:   what local attachments may have mapped, see mapped.c
 * @mappings: how often something was mapped
 * @remote:   slot to xpmem_remote word; protected by the home's lock
 * @places:   page number to export entry or deferral; protected by the home's
 *            lock
 * @users:    local attachments, for young.c
 * @nr_permits:     for the administrator
 * @nr_attachments: for the administrator
 * @nr_exported:    places in @places
 * @next_told:      when, in jiffies, the log may say again that there is no memory
 *                  to export its pages; 0: at any time
 * @zap_work:       takes local attachments away where the notifier cannot
 * @name:     what it is published as, or NULL; protected by the lock of name.c
 */
struct xpmem_segment {
	struct kref ref;
	struct list_head node;
	u64 segid;
	struct mm_struct *mm;
	pid_t pid;
	kuid_t uid;
	struct xpmem_user *user;
	bool unlimited;
	kgid_t gid;
	umode_t mode;
	unsigned long start;
	unsigned long pages;
	struct inode *inode;
	struct mmu_interval_notifier notifier;
	unsigned long seq;
	struct rw_semaphore lock;
	bool dead;
	bool dumpable;
	struct xarray mapped;
	atomic_long_t mappings;
	struct xarray remote;
	struct xarray places;
	struct xpmem_users users;
	atomic_t nr_permits;
	atomic_t nr_attachments;
	atomic_t nr_exported;
	unsigned long next_told;
	struct work_struct zap_work;
	struct xpmem_name *name;
};

struct xpmem_segment_info {
	u64 segid;
	u64 size;
	u64 exported;
	u32 pid;
	u32 uid;
	u32 mode;
	u32 permits;
	u32 attachments;
	char name[XPMEM_WIRE_NAME];
};

int xpmem_segment_create(struct xpmem_process *process, unsigned long start,
			 size_t size, umode_t mode, u64 *segid);
bool xpmem_segment_over(const struct xpmem_segment *seg);
void xpmem_segment_end(struct xpmem_segment *seg);
struct xpmem_segment *xpmem_segment_next(unsigned long *cursor);
void xpmem_segment_destroy(struct xpmem_segment *seg);
int xpmem_segment_remove(struct xpmem_process *process, u64 segid);
struct xpmem_segment *xpmem_segment_get(u64 segid);
void xpmem_segment_put(struct xpmem_segment *seg);
bool xpmem_segment_allows(const struct xpmem_segment *seg,
			  const struct xpmem_caller *caller, bool write);
int xpmem_segment_info_next(u64 *cursor, struct xpmem_segment_info *info);

/* --- watch.c ------------------------------------------------------------- */

void xpmem_watch(void);
void xpmem_watch_exit(void);

/* --- name.c, resolve.c --------------------------------------------------- */

/**
 * struct xpmem_query - a name to be looked up
 * @text:  the name, as xpmem_wire_name_valid() has it
 * @owner: whose segment; INVALID_UID: whoever's
 */
struct xpmem_query {
	char text[XPMEM_WIRE_NAME];
	kuid_t owner;
};

/**
 * struct xpmem_match - a segment that has the name
 * @segid: the segment
 * @uid:   its owner
 */
struct xpmem_match {
	u64 segid;
	kuid_t uid;
};

int xpmem_name_publish(struct xpmem_process *process, u64 segid,
		       const char *text);
int xpmem_name_unpublish(struct xpmem_process *process, const char *text);
void xpmem_name_drop(struct xpmem_segment *seg);
void xpmem_name_copy(struct xpmem_segment *seg, char *text);
unsigned int xpmem_name_rank(kuid_t owner, kuid_t caller);
u32 xpmem_name_find(const struct xpmem_query *query,
		    const struct xpmem_caller *caller,
		    struct xpmem_match *match);
void xpmem_name_init(void);
int xpmem_name_resolve(const struct xpmem_query *query, u16 partid, u64 *segid);
void xpmem_session_lookup_recv(struct xpmem_session *session,
			       const struct xpmem_wire_lookup *msg);
const char *xpmem_session_found_recv(struct xpmem_session *session,
				     const struct xpmem_wire_lookup_reply *msg);

/* --- permit.c ---------------------------------------------------------- */

/**
 * struct xpmem_permit - the right of one process to attach one segment
 * @file:        what its attachments map; the permit lives as long as this
 *               does: one reference while the process has it, one per VMA and
 *               one per attachment
 * @node:        in its process' list
 * @process:     whose right it is; compared, never used
 * @apid:        its name
 * @mm:          the importer's address space; compared, never used
 * @user:        whose it is, for the limits; a reference
 * @charged:     it counts for @user
 * @cred:        with these its home was asked last; a reference; protected by
 *               @lock
 * @write:       may be attached read-write
 * @dead:        released: attachments of it fault with SIGBUS
 * @segment:     what it is for, if that is on this partition
 * @import:      what it is for, if that is on another partition
 * @lock:        protects @cred, and the attachments' failed faults
 */
struct xpmem_permit {
	struct file *file;
	struct list_head node;
	struct xpmem_process *process;
	u64 apid;
	struct mm_struct *mm;
	struct xpmem_user *user;
	bool charged;
	const struct cred *cred;
	bool write;
	bool dead;
	struct xpmem_segment *segment;
	struct xpmem_import *import;
	spinlock_t lock;
};

int xpmem_permit_create(struct xpmem_process *process, u64 segid, bool write,
			u64 *apid);
int xpmem_permit_check(struct xpmem_permit *permit);
int xpmem_permit_release(struct xpmem_process *process, u64 apid);
void xpmem_permit_destroy(struct xpmem_permit *permit);
struct xpmem_permit *xpmem_permit_get(struct xpmem_process *process, u64 apid);
void xpmem_permit_put(struct xpmem_permit *permit);
void xpmem_permit_free(struct xpmem_permit *permit);

#include "touch.h"
#include "home.h"
#include "session.h"
#include "import.h"

/* --- netlink.c --------------------------------------------------------- */

int xpmem_netlink_init(void);
void xpmem_netlink_exit(void);
void xpmem_netlink_session_event(u16 partid, u32 state, u64 epoch,
				 const char *reason, gfp_t gfp);

#endif
