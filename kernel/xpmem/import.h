/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this partition holds of segments elsewhere.  Before: session.h.  Part of
 * xpmem.h.
 */
#ifndef XPMEM_IMPORT_H
#define XPMEM_IMPORT_H

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
int xpmem_import_ask(struct xpmem_import *imp, bool write);
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

#endif
