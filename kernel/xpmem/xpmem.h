/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of xpmem, their states, and who protects what.
 *
 * Read the files in the order of a page's life: segment.c (make), permit.c
 * (get), attach.c, fault.c and import.c (touch), export.c (grant), revoke.c,
 * ack.c, reap.c (release).  session.c, socket.c and window.c carry it to other
 * partitions.  docs/locking.md has the lock order, docs/life-of-a-page.md the
 * story.
 */
#ifndef XPMEM_H
#define XPMEM_H

#include <linux/completion.h>
#include <linux/fs.h>
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

struct netlink_ext_ack;
struct xpmem_attachment;
struct xpmem_import;
struct xpmem_permit;
struct xpmem_message;
struct xpmem_segment;
struct xpmem_session;

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
#define XPMEM_COUNTERS(X)                                                      \
	X(segments)                                                            \
	X(names)                                                               \
	X(permits)                                                             \
	X(attachments)                                                         \
	X(imports)                                                             \
	X(exported)                                                            \
	X(granted)                                                             \
	X(revoked) X(acked) X(released) X(quarantine) X(faults_local)          \
		X(faults_huge) X(faults_remote) X(fetches) X(gets) X(attaches) \
			X(refused_gets) X(lookups) X(leases_ended)

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
void xpmem_caller_remote(struct xpmem_caller *caller, __le32 uid, __le32 gid,
			 const __le32 *groups, __le32 ngroups);
__le32 xpmem_caller_tell(__le32 *uid, __le32 *gid, __le32 *groups);

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
 * @mapped:   what local attachments may have mapped, see mapped.c
 * @mappings: how often something was mapped
 * @remote:   slot to xpmem_remote word; protected by the home's lock
 * @places:   page number to export entry or deferral; protected by the home's
 *            lock
 * @users:    local attachments, for young.c
 * @nr_permits:     for the administrator
 * @nr_attachments: for the administrator
 * @nr_exported:    places in @places
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
	kgid_t gid;
	umode_t mode;
	unsigned long start;
	unsigned long pages;
	struct inode *inode;
	struct mmu_interval_notifier notifier;
	unsigned long seq;
	struct rw_semaphore lock;
	bool dead;
	struct xarray mapped;
	atomic_long_t mappings;
	struct xarray remote;
	struct xarray places;
	struct xpmem_users users;
	atomic_t nr_permits;
	atomic_t nr_attachments;
	atomic_t nr_exported;
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
void xpmem_segment_destroy(struct xpmem_segment *seg);
int xpmem_segment_remove(struct xpmem_process *process, u64 segid);
struct xpmem_segment *xpmem_segment_get(u64 segid);
void xpmem_segment_put(struct xpmem_segment *seg);
bool xpmem_segment_allows(const struct xpmem_segment *seg,
			  const struct xpmem_caller *caller, bool write);
int xpmem_segment_info_next(u64 *cursor, struct xpmem_segment_info *info);

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
int xpmem_name_resolve(const struct xpmem_query *query, u16 partid,
		       u64 *segid);
void xpmem_session_lookup_recv(struct xpmem_session *session,
			       const struct xpmem_wire_lookup *msg);
const char *
xpmem_session_found_recv(struct xpmem_session *session,
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
 * @write:       may be attached read-write
 * @dead:        released: attachments of it fault with SIGBUS
 * @segment:     what it is for, if that is on this partition
 * @import:      what it is for, if that is on another partition
 * @lock:        protects the attachments' failed faults
 */
struct xpmem_permit {
	struct file *file;
	struct list_head node;
	struct xpmem_process *process;
	u64 apid;
	struct mm_struct *mm;
	bool write;
	bool dead;
	struct xpmem_segment *segment;
	struct xpmem_import *import;
	spinlock_t lock;
};

int xpmem_permit_create(struct xpmem_process *process, u64 segid, bool write,
			u64 *apid);
int xpmem_permit_release(struct xpmem_process *process, u64 apid);
void xpmem_permit_destroy(struct xpmem_permit *permit);
struct xpmem_permit *xpmem_permit_get(struct xpmem_process *process, u64 apid);
void xpmem_permit_put(struct xpmem_permit *permit);
void xpmem_permit_free(struct xpmem_permit *permit);

/* --- attach.c ---------------------------------------------------------- */

extern const struct file_operations xpmem_attach_fops;

/**
 * struct xpmem_attachment - one mapping of (part of) a segment
 * @ref:    one per VMA (an munmap in the middle makes two); a fault that waits
 * @permit: what it was made with; a reference
 * @tables: page tables and huge pages of it are made one at a time: who makes a
 *          table must not find a huge page in its place
 * @start:  its first address, when it was made; it never moves
 * @end:    behind its last one
 * @first:  page number at @start
 * @mm:     where it is, held by mmgrab()
 * @node:   among its segment's or image's users
 * @failed: a fault that had to drop its lock before it failed; the same task's
 *          next fault at the same page delivers it; protected by permit->lock
 * @work:   ends one of a remote segment, once the last VMA is closed
 */
struct xpmem_attachment {
	struct kref ref;
	struct xpmem_permit *permit;
	struct mutex tables;
	unsigned long start;
	unsigned long end;
	unsigned long first;
	struct mm_struct *mm;
	struct list_head node;
	struct {
		const struct task_struct *task;
		unsigned long addr;
		vm_fault_t ret;
		unsigned long until;
	} failed;
	struct work_struct work;
};

int xpmem_attachment_create(struct xpmem_permit *permit, u64 offset,
			    size_t size, unsigned long vaddr,
			    unsigned long *at);
int xpmem_attachment_detach(unsigned long vaddr);
int xpmem_attachment_detach_all(struct xpmem_permit *permit);
void xpmem_attachment_get(struct xpmem_attachment *att);
void xpmem_attachment_put(struct xpmem_attachment *att);
int xpmem_attach_init(void);
void xpmem_attach_exit(void);

/* --- vma.c --------------------------------------------------------------- */

extern const struct vm_operations_struct xpmem_vm_ops;
void xpmem_attachment_fail(struct xpmem_attachment *att, unsigned long addr,
			   vm_fault_t ret);

/* --- access.c ------------------------------------------------------------ */

int xpmem_vma_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		     int len, int write);

/* --- populate.c ---------------------------------------------------------- */

void xpmem_populate(unsigned long start, size_t size);
int xpmem_populate_advised(struct file *file, loff_t offset, loff_t len,
			   int advice);

/* --- inode.c ------------------------------------------------------------- */

int xpmem_inode_init(void);
void xpmem_inode_exit(void);
struct inode *xpmem_inode_create(u64 segid);
void xpmem_inode_name(struct inode *inode, u64 segid);
struct file *xpmem_inode_open(struct inode *inode,
			      const struct file_operations *fops, void *data);

/* --- fault.c, map.c ---------------------------------------------------- */

/* What a page lookup says of one page: a frame number and these. */
#define XPMEM_PAGE_VALID 0x1ul /* there is one */
#define XPMEM_PAGE_WRITE 0x2ul /* it may be mapped writable */
#define XPMEM_PAGE_SWAPPED \
	0x4ul /* there is none now, but the contents are kept */
#define XPMEM_PAGE_SHIFT 3

/**
 * struct xpmem_span - consecutive pages of an attachment, found or to be found
 * @addr:   first address in the importer
 * @index:  its page number in the segment
 * @count:  pages
 * @target: which of them was touched
 * @pages:  frame << XPMEM_PAGE_SHIFT | XPMEM_PAGE_*, or 0
 */
struct xpmem_span {
	unsigned long addr;
	unsigned long index;
	unsigned int count;
	unsigned int target;
	unsigned long *pages;
};

void xpmem_span_around(struct xpmem_span *span, const struct vm_fault *vmf);
int xpmem_span_populate(const struct xpmem_span *span, struct vm_fault *vmf,
			struct xpmem_attachment *att);
void xpmem_span_map(const struct xpmem_span *span, struct vm_fault *vmf);

/* mapped.c */
int xpmem_mapped_reserve(struct xpmem_segment *seg, unsigned long first,
			 unsigned long last);
void xpmem_mapped_set(struct xpmem_segment *seg, unsigned long first,
		      unsigned long last);
bool xpmem_mapped_in(struct xpmem_segment *seg, unsigned long *first,
		     unsigned long *last);
void xpmem_mapped_clear(struct xpmem_segment *seg, unsigned long first,
			unsigned long last);
void xpmem_mapped_clear_all(struct xpmem_segment *seg, long mappings);

/* huge.c */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
vm_fault_t xpmem_fault_huge(struct vm_fault *vmf, unsigned int order);
unsigned long xpmem_huge_area(struct file *file, unsigned long addr,
			      unsigned long len, unsigned long pgoff,
			      unsigned long flags);
#else
static inline vm_fault_t xpmem_fault_huge(struct vm_fault *vmf,
					  unsigned int order)
{
	return VM_FAULT_FALLBACK;
}
#endif

vm_fault_t xpmem_fault_local(struct vm_fault *vmf, struct xpmem_attachment *att,
			     bool write);
vm_fault_t xpmem_fault_remote(struct vm_fault *vmf,
			      struct xpmem_attachment *att, bool write);
vm_fault_t xpmem_fault_error(int err);
vm_fault_t xpmem_fault_unlock(struct vm_fault *vmf,
			      struct xpmem_attachment *att);
vm_fault_t xpmem_fault_retry(struct xpmem_attachment *att, unsigned long addr,
			     int err);
int xpmem_fault_in(struct xpmem_segment *seg, unsigned long index, bool write);

/* lookup.c */
pte_t *xpmem_lookup_table(struct mm_struct *mm, unsigned long addr,
			  pmd_t **leaf);
int xpmem_lookup(struct xpmem_segment *seg, const struct xpmem_span *span,
		 unsigned int around, bool write);
int xpmem_lookup_huge(struct xpmem_segment *seg, unsigned long index,
		      bool write, unsigned long *page);
#define XPMEM_LOOKUP_UNLOCKED 1
unsigned long xpmem_lookup_absent(struct mm_struct *mm, unsigned long addr,
				  unsigned long end);
int xpmem_lookup_fault_in(struct mm_struct *mm, unsigned long addr,
			  unsigned int flags);

/* --- export.c: the home ------------------------------------------------ */

/**
 * struct xpmem_place - an address at which a folio is exported
 * @seg:  the segment; a reference
 * @base: page number in @seg that the folio's first page has (below 0 when
 *        only the folio's end lies in the segment)
 * @next: further places of the same folio
 */
struct xpmem_place {
	struct xpmem_segment *seg;
	long base;
	struct xpmem_place *next;
};

/* xpmem_entry_state.flags */
#define XPMEM_EXPORT_QUEUED 0x1 /* on the home's queue of revokes */
#define XPMEM_EXPORT_DEAD 0x2 /* released while queued; freed by the queue */
#define XPMEM_EXPORT_TRY 0x4 /* somebody asked for it who does not wait */
#define XPMEM_EXPORT_YOUNG 0x8 /* touched since it was spared, or asked for */
#define XPMEM_EXPORT_USED 0x10 /* an acknowledgement said so */
#define XPMEM_EXPORT_SPARED 0x20 /* a count: reclaim left it to importers */
#define XPMEM_EXPORT_SPARED_MASK 0x60
#define XPMEM_EXPORT_RECLAIM 0x80 /* and that was reclaim */

/**
 * struct xpmem_export - the export entry of one folio; 64 bytes
 * @state: who holds it, and how far a revocation has come
 * @folio: the folio; one reference, given back when nobody holds it; NULL then
 * @queue: next on the home's queue of revokes
 * @place: where it is exported
 *
 * All of it is protected by the home's lock.
 */
struct xpmem_export {
	struct xpmem_entry_state state;
	struct folio *folio;
	struct xpmem_export *queue;
	struct xpmem_place place;
};

/**
 * struct xpmem_home - everything this partition has exported to others
 * @lock:     protects all of it, each export entry, each segment's places and
 *            remote words, each session's queue order; innermost but for the
 *            sessions' tx_lock; never held while sleeping
 * @exports:  frame number of a folio's first page to export entry: the driver
 *            rmap
 * @queue:    entries with revokes to be sent, in the order of decision
 * @tail:     where the next one goes
 * @queued:   length of @queue
 * @seq:      number of the last revoke message
 * @lost:     slots whose session was lost and that nobody fenced
 * @sessions: by slot
 * @wait:     woken whenever a revocation ended
 * @work:     turns @queue into messages
 */
struct xpmem_home {
	spinlock_t lock;
	struct xarray exports;
	struct xpmem_export *queue;
	struct xpmem_export **tail;
	unsigned long queued;
	u64 seq;
	u64 lost;
	struct xpmem_session *sessions[XPMEM_SLOTS];
	wait_queue_head_t wait;
	struct work_struct work;
};

extern struct xpmem_home xpmem_home;

/* seg->remote: what a slot may do, and how often it let go of everything. */
#define XPMEM_REMOTE_READ 0x1ul
#define XPMEM_REMOTE_WRITE 0x2ul
#define XPMEM_REMOTE_GEN 0x4ul /* the lowest bit of the count */

/* --- serve.c ------------------------------------------------------------ */

/*
 * Pages around the touched one that come back from swap with it, and that
 * become writable with it, aligned: one answer for so many touches, at the
 * price of as many pages marked dirty.
 */
#define XPMEM_SERVE_AROUND 32

/* One fetch on its way to a grant. */
struct xpmem_serve {
	struct work_struct work;
	struct xpmem_session *session; /* a reference */
	struct xpmem_segment *seg; /* a reference */
	/*
	 * The slot's word for the segment when the fetch came.  If its count
	 * has changed, the importer has let go since, and takes no answer.
	 */
	unsigned long remote;
	u64 req; /* start, count, target, write: what is asked for */
	unsigned long start;
	unsigned int count;
	unsigned int target;
	bool write;
	unsigned int defer_ms; /* the touched page is not granted for so long */
	bool made_own; /* what could not be granted was replaced once */
	unsigned long *pages; /* what was found there */
	unsigned int nr_spare;
	void *spare[XPMEM_WIRE_PAGES]; /* entries, made before any lock */
};

int xpmem_serve_init(void);
void xpmem_serve_exit(void);
void xpmem_serve_fetch(struct xpmem_session *session,
		       const struct xpmem_wire_fetch *msg);

/* --- export.c, again ----------------------------------------------------- */

int xpmem_export_init(void);
void xpmem_export_exit(void);
bool xpmem_export_exportable(const struct xpmem_segment *seg,
			     struct folio *folio);
bool xpmem_export_around(const struct xpmem_serve *s, unsigned int i);
int xpmem_export_grant_locked(struct xpmem_serve *s,
			      struct xpmem_message *message);
int xpmem_export_alloc_bulk(void **entries, unsigned int count);
void xpmem_export_free_bulk(void **entries, unsigned int count);
void xpmem_export_free(struct xpmem_export *e);

/**
 * struct xpmem_reaped - what left the home's tables and must be given back
 * @entries: released export entries, chained by ->queue
 * @places:  places that were taken off living entries
 * @folios:  that are free of importers since
 * @pages:   of those
 * @wake:    a revocation ended
 *
 * Filled under the home's lock, emptied by xpmem_reap() outside of it.
 */
struct xpmem_reaped {
	struct xpmem_export *entries;
	struct xpmem_place *places;
	unsigned long folios;
	unsigned long pages;
	bool wake;
};

/* --- revoke.c ---------------------------------------------------------- */

void xpmem_segment_forget(unsigned int slot);
int xpmem_revoke_init(void);
void xpmem_revoke_exit(void);
bool xpmem_revoke_range(struct xpmem_segment *seg, unsigned long first,
			unsigned long last, bool wait);
void xpmem_revoke_slot(unsigned int slot);
void xpmem_revoke_large(void);
void xpmem_revoke_kick(void);
void xpmem_dispatch(struct work_struct *work);
void xpmem_revoke_enqueue_locked(struct xpmem_export *e);

/* --- ack.c ------------------------------------------------------------- */

bool xpmem_ack_recv(struct xpmem_session *session,
		    const struct xpmem_wire_ack *msg);

/* --- reap.c ------------------------------------------------------------ */

void xpmem_reap_event_locked(struct xpmem_export *e, enum xpmem_entry_event ev,
			     const struct xpmem_entry_arg *arg,
			     struct xpmem_reaped *reaped);
void xpmem_reap_entry_locked(struct xpmem_export *e,
			     struct xpmem_reaped *reaped);
void xpmem_reap_unplace_locked(struct xpmem_export *e,
			       struct xpmem_segment *seg,
			       struct xpmem_reaped *reaped);
void xpmem_reap(struct xpmem_reaped *reaped);
u64 xpmem_reap_slot(unsigned int slot, enum xpmem_entry_event ev);
void xpmem_reap_put(struct xpmem_session *session, u64 segid);
u64 xpmem_reap_held(unsigned int slot);

/* --- history.c --------------------------------------------------------- */

/**
 * struct xpmem_history - what a partition did, in all its sessions
 * @sessions:  that began
 * @evictions: those that this side ended because the partition was too late
 * @missed:    revokes that it did not acknowledge within their deadline
 * @granted:   pages, and so on
 * @waits:     from revoke to ack
 */
struct xpmem_history {
	atomic64_t sessions;
	atomic64_t evictions;
	atomic64_t missed;
	atomic64_t granted;
	atomic64_t revoked;
	atomic64_t acked;
	struct xpmem_waits waits;
};

struct xpmem_history_info {
	u16 partid;
	u64 sessions;
	u64 evictions;
	u64 deadlines_missed;
	u64 granted;
	u64 revoked;
	u64 acked;
	u64 wait_median_us;
	u64 wait_p99_us;
	u64 wait_max_us;
};

struct xpmem_history *xpmem_history_of(u16 partid);
int xpmem_history_info_next(u32 *cursor, struct xpmem_history_info *info);
void xpmem_history_exit(void);

/* --- session.c --------------------------------------------------------- */

struct xpmem_session_params {
	u16 partid;
	u32 fd;
	u64 epoch;
	u32 version;
	u32 page_size;
	u32 fabric;
	char window[32];
	u8 boot_id[16];
	u32 heartbeat_ms;
	u32 deadline_ms;
	u32 security;
};

struct xpmem_session_info {
	u16 partid;
	u32 state;
	u64 epoch;
	u64 quarantine;
	u64 lost_ms;
	char reason[64];
};

/**
 * struct xpmem_window - another partition's memory in our physical addresses
 * @pdev:   the device whose BAR it is; a reference
 * @map:    kernel mapping; reserves the memory type
 * @pfn:    frame number of its start here
 * @frames: its length; a frame of the home at or above it cannot be reached
 */
struct xpmem_window {
	struct pci_dev *pdev;
	void *map;
	unsigned long pfn;
	unsigned long frames;
};

int xpmem_window_open(struct xpmem_window *window, const char *name,
		      struct netlink_ext_ack *extack);
void xpmem_window_close(struct xpmem_window *window);

/**
 * struct xpmem_message - one message on its way out
 * @node:   in the session's queue; empty when not queued
 * @size:   of @header and the payload behind it, bytes
 * @owned:  kfree() it when sent; else it is part of something larger
 * @queued: waits to be sent; protected by the session's tx_lock
 * @header: as on the wire
 */
struct xpmem_message {
	struct list_head node;
	u32 size;
	bool owned;
	bool queued;
	struct xpmem_wire_header *header;
};

/**
 * struct xpmem_revoke - one revoke message and what it was about
 * @message: the message; not owned
 * @seq:     its number
 * @since:   when it was queued, ktime_get_boottime_ns()
 * @count:   valid members of @pfn
 * @nruns:   valid members of @runs
 * @pages:   of all those folios
 * @named:   of all runs: a folio has some at each of its places
 * @pfn:     frame numbers of the folios it asks for
 * @at:      where among the named pages the folio's are
 * @header:  as on the wire, followed by
 * @body:    and its runs
 */
struct xpmem_revoke {
	struct xpmem_message message;
	u64 seq;
	u64 since;
	unsigned int count;
	unsigned int nruns;
	unsigned int pages;
	unsigned int named;
	unsigned long pfn[XPMEM_WIRE_PAGES];
	unsigned int at[XPMEM_WIRE_PAGES];
	struct xpmem_wire_header header;
	struct xpmem_wire_revoke body;
	struct xpmem_wire_revoke_run runs[XPMEM_WIRE_PAGES];
};

struct xpmem_ack {
	struct xpmem_message message;
	struct xpmem_wire_header header;
	struct xpmem_wire_ack body;
};

struct xpmem_ping {
	struct xpmem_message message;
	struct xpmem_wire_header header;
	struct xpmem_wire_ping body;
};

struct xpmem_terms_message {
	struct xpmem_message message;
	struct xpmem_wire_header header;
	struct xpmem_wire_terms body;
};

/**
 * struct xpmem_session - one authenticated connection to another partition
 * @ref:      one for the home's table, one per import, one per fetch served
 * @partid:   the other side
 * @slot:     its bit in every export entry
 * @phase:    enum xpmem_peer_phase; written under the home's lock
 * @epoch:    in every message
 * @heartbeat_ms: what counts of both sides' terms; written by the receiver
 * @deadline_ms:  likewise
 * @failing:  it is ending; written once, under @tx_lock
 * @closing:  no more grants; under the home's lock
 * @orderly:  the other side, or we, let go of everything before the end
 * @settled:  what its partition held is in quarantine; under the home's lock
 * @lost:     when it was lost, ktime_get_boottime_ns(); under the home's lock
 * @history:  of its partition
 * @started:  its slot is taken: messages may be received
 * @reason:   why it ended, or will; constant string, written once, under
 *            @tx_lock
 * @sock:     ours alone since the daemon handed it over
 * @tls:      what is sent and received is encrypted by @sock
 * @window:   the other side's memory
 * @rx:       the thread that receives and carries out
 * @rx_buf:   its payload buffer
 * @heard:    when the last message came, ktime_get_boottime_ns()
 * @lapsed:   when the lease ended; 0 before; written under the home's lock
 * @lease_lock: protects @lease; a leaf
 * @lease:    the lease; ->agreed is the receiver's own
 * @tx_lock:  protects @tx_queue and queued flags
 * @tx_queue: messages to send, in order
 * @tx_owned: of them, those that are allocated; under @tx_lock
 * @tx_work:  sends them
 * @revokes:  ring of revoke messages, oldest at @revoke_tail; home's lock
 * @acks:     messages for acknowledgements
 * @imports:  segid to import; its own lock
 * @requests: number to xpmem_request; its own lock
 * @serving:  fetches of the other side that are being served
 * @tx_wq:    runs @tx_work only: a socket that blocks delays nobody else
 * @close_work: ends it in good order; queued once, by who set @closing
 * @down_work: ends the session; queued once
 */
struct xpmem_session {
	struct kref ref;
	u16 partid;
	u8 slot;
	u8 phase;
	u64 epoch;
	u8 boot_id[16];
	u32 heartbeat_ms;
	u32 deadline_ms;
	bool failing;
	bool closing;
	bool orderly;
	bool settled;
	u64 lost;
	struct xpmem_history *history;
	bool tls;
	struct completion started;
	const char *reason;
	struct socket *sock;
	struct xpmem_window window;
	struct task_struct *rx;
	void *rx_buf;
	u64 heard;
	u64 lapsed;
	spinlock_t lease_lock;
	struct xpmem_lease lease;
	spinlock_t tx_lock;
	struct list_head tx_queue;
	unsigned int tx_owned;
	struct workqueue_struct *tx_wq;
	struct work_struct tx_work;
	struct delayed_work beat_work;
	struct work_struct close_work;
	struct delayed_work lease_work;
	struct work_struct down_work;
	struct xpmem_revoke *revokes;
	unsigned int revoke_head;
	unsigned int revoke_tail;
	struct xpmem_ack acks[XPMEM_ACKS];
	unsigned int ack_next;
	struct xpmem_terms_message terms;
	struct xpmem_ping ping;
	struct xpmem_ping pong;
	struct xarray imports;
	struct xarray requests;
	u32 request_next;
	atomic_t serving;
};

/**
 * struct xpmem_request - a get or a lookup that waits for its reply
 * @done:   it came, or the session ended
 * @reply:  the type that the reply must have
 * @status: enum xpmem_wire_status; 0: there was no reply
 * @access: get: what was given
 * @pages:  get: length of the segment
 * @owner:  lookup: whose it must be, or INVALID_UID
 * @match:  lookup: what has the name
 */
struct xpmem_request {
	struct completion done;
	enum xpmem_wire_type reply;
	u32 status;
	u32 access;
	u64 pages;
	kuid_t owner;
	struct xpmem_match match;
};

int xpmem_session_init(void);
void xpmem_session_exit(void);
int xpmem_session_create(const struct xpmem_session_params *params,
			 struct netlink_ext_ack *extack);
int xpmem_session_close(u16 partid);
void xpmem_session_slot_free(struct xpmem_session *session);
int xpmem_session_info_next(u32 *cursor, struct xpmem_session_info *info);
struct xpmem_session *xpmem_session_get_up(u16 partid);
void xpmem_session_put(struct xpmem_session *session);
void xpmem_session_blame(struct xpmem_session *session, const char *reason);
void xpmem_session_fail(struct xpmem_session *session, const char *reason);
extern struct workqueue_struct *xpmem_session_wq;

/* --- fence.c ------------------------------------------------------------ */

int xpmem_fence_session(u16 partid, u64 epoch, u64 *pages,
			struct netlink_ext_ack *extack);

/* --- beat.c -------------------------------------------------------------- */

void xpmem_beat_init(struct xpmem_session *session,
		     const struct xpmem_terms *terms);
void xpmem_beat_open_locked(struct xpmem_session *session);
void xpmem_beat_start(struct xpmem_session *session);
bool xpmem_beat_check(struct xpmem_session *session);
const char *xpmem_beat_terms(struct xpmem_session *session,
			     const struct xpmem_wire_terms *msg);
void xpmem_beat_ping(struct xpmem_session *session,
		     const struct xpmem_wire_ping *msg);
const char *xpmem_beat_pong(struct xpmem_session *session,
			    const struct xpmem_wire_ping *msg);

/* --- tls.c --------------------------------------------------------------- */

struct sock;

#if IS_ENABLED(CONFIG_TLS)
const char *xpmem_tls_vet(struct sock *sk, bool tls);
bool xpmem_tls_sent(const struct sock *sk);
const char *xpmem_tls_failed(int err, const char *otherwise);
const char *xpmem_tls_read(struct socket *sock, void *buf, size_t size);
#else
static inline const char *xpmem_tls_vet(struct sock *sk, bool tls)
{
	return tls ? "this kernel has no TLS" : NULL;
}

static inline bool xpmem_tls_sent(const struct sock *sk)
{
	return true;
}

static inline const char *xpmem_tls_failed(int err, const char *otherwise)
{
	return otherwise;
}

static inline const char *xpmem_tls_read(struct socket *sock, void *buf,
					 size_t size)
{
	return "this kernel has no TLS";
}
#endif

/* --- ask.c --------------------------------------------------------------- */

int xpmem_session_ask(struct xpmem_session *session, u64 segid, bool write,
		      u64 *pages);
void xpmem_session_get_recv(struct xpmem_session *session,
			    const struct xpmem_wire_get *msg);
void xpmem_session_reply_recv(struct xpmem_session *session,
			      const struct xpmem_wire_get_reply *msg);
int xpmem_request_add(struct xpmem_session *session,
		      struct xpmem_request *request, u32 *req);
struct xpmem_request *xpmem_request_take_locked(struct xpmem_session *session,
						__le64 req,
						enum xpmem_wire_type reply);

/* --- young.c ------------------------------------------------------------- */

/**
 * struct xpmem_young - which pages of a revoke were used
 * @at:    pages of the message that were looked at
 * @shift: from xpmem_wire_young_shift()
 * @bits:  as in the acknowledgement
 */
struct xpmem_young {
	unsigned int at;
	unsigned int shift;
	DECLARE_BITMAP(bits, XPMEM_WIRE_YOUNG);
};

void xpmem_young_start(struct xpmem_young *young,
		       const struct xpmem_wire_revoke *msg);
void xpmem_young_find(struct xpmem_young *young, struct xpmem_import *imp,
		      const struct xpmem_wire_revoke_run *run);
bool xpmem_young_segment(struct xpmem_segment *seg, unsigned long start,
			 unsigned long end, bool clear, unsigned int *left);

static inline void xpmem_users_init(struct xpmem_users *users)
{
	spin_lock_init(&users->lock);
	INIT_LIST_HEAD(&users->list);
}

/* --- socket.c ---------------------------------------------------------- */

int xpmem_socket_adopt(struct xpmem_session *session, int fd,
		       struct netlink_ext_ack *extack);
int xpmem_socket_start(struct xpmem_session *session);
void xpmem_socket_stop(struct xpmem_session *session);
void xpmem_socket_release(struct xpmem_session *session);
struct xpmem_message *xpmem_message_alloc(u16 type, u32 length, gfp_t gfp);
void *xpmem_message_payload(struct xpmem_message *message);
void xpmem_message_init(struct xpmem_message *message,
			struct xpmem_wire_header *header, u16 type, u32 length);
void xpmem_message_trim(struct xpmem_message *message, u32 length);
bool xpmem_socket_send(struct xpmem_session *session,
		       struct xpmem_message *message);
bool xpmem_socket_crowded(const struct xpmem_session *session);
void xpmem_socket_patience(struct xpmem_session *session);
bool xpmem_socket_send_ack(struct xpmem_session *session, u64 seq,
			   const struct xpmem_young *young);

/* --- import.c, fetch.c -------------------------------------------------- */

/**
 * struct xpmem_import - what this partition holds of a segment elsewhere
 * @ref:     one per permit, and one for each look-up under way
 * @session: to its home; a reference
 * @segid:   its name
 * @pages:   its length
 * @inode:   its i_mmap holds the attachments
 * @lock:    readers map frames, the writer changes @frames
 * @frames:  page number to frame word, as in struct xpmem_span; protected by
 *           @lock
 * @lost:    the session ended: every touch is SIGBUS; written under @lock
 * @fetch_lock: protects @fetches
 * @fetches: asked and not yet answered
 * @nr_attachments: when the last is gone, so are the frames
 * @users:   attachments of all processes here
 */
struct xpmem_import {
	struct kref ref;
	struct xpmem_session *session;
	u64 segid;
	unsigned long pages;
	struct inode *inode;
	struct rw_semaphore lock;
	struct xarray frames;
	bool lost;
	spinlock_t fetch_lock;
	struct list_head fetches;
	atomic_t nr_attachments;
	struct xpmem_users users;
};

/**
 * struct xpmem_fetch - a request for pages, and everybody who waits for it
 */
struct xpmem_fetch {
	struct kref ref;
	struct list_head node;
	u64 req;
	unsigned long start;
	unsigned long target;
	unsigned int count;
	bool write;
	struct completion done;
	int error;
	unsigned int retry_ms;
};

static inline struct inode *
xpmem_permit_inode(const struct xpmem_permit *permit)
{
	return permit->segment ? permit->segment->inode : permit->import->inode;
}

static inline unsigned long
xpmem_permit_pages(const struct xpmem_permit *permit)
{
	return permit->segment ? permit->segment->pages : permit->import->pages;
}

struct xpmem_import *xpmem_import_open(u64 segid, bool write);
void xpmem_import_put(struct xpmem_import *imp);
struct xpmem_import *xpmem_import_find(struct xpmem_session *session,
				       u64 segid);
void xpmem_import_idle(struct xpmem_import *imp);
bool xpmem_import_stale(const struct xpmem_import *imp);
void xpmem_import_lose_all(struct xpmem_session *session);
bool xpmem_import_revoke(struct xpmem_session *session,
			 const struct xpmem_wire_revoke_run *run,
			 struct xpmem_young *young);
int xpmem_fetch_wait(struct xpmem_import *imp, unsigned long start,
		     unsigned int count, unsigned long target, bool write,
		     unsigned long timeout);
const char *xpmem_fetch_grant(struct xpmem_session *session,
			      const struct xpmem_wire_grant *msg);
void xpmem_fetch_cancel_all(struct xpmem_import *imp, int error);

/* --- netlink.c --------------------------------------------------------- */

int xpmem_netlink_init(void);
void xpmem_netlink_exit(void);
void xpmem_netlink_session_event(u16 partid, u32 state, u64 epoch,
				 const char *reason, gfp_t gfp);

#endif
