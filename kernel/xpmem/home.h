/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The home of pages that other partitions map: who holds them, and how they are
 * taken back.  Before: touch.h.  Next: session.h.  Part of xpmem.h.
 */
#ifndef XPMEM_HOME_H
#define XPMEM_HOME_H

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
void xpmem_export_uncharge(struct xpmem_export *e);

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

#endif
