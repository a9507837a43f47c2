/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sessions: what a partition has with another, and what they say to each other.
 * Before: home.h.  Next: import.h.  Part of xpmem.h.
 */
#ifndef XPMEM_SESSION_H
#define XPMEM_SESSION_H

/* --- history.c --------------------------------------------------------- */

/**
 * struct xpmem_history - what a partition did, in all its sessions
 * @sessions:  that began
 * @evictions: those that this side ended because the partition was too late
 * @missed:    revokes that it did not acknowledge within their deadline
 * @granted:   pages, and so on
 * @waits:     from revoke to ack
 * @failures:  gets of its users that failed
 */
struct xpmem_history {
	atomic64_t sessions;
	atomic64_t evictions;
	atomic64_t missed;
	atomic64_t granted;
	atomic64_t revoked;
	atomic64_t acked;
	struct xpmem_waits waits;
	struct xpmem_failures failures;
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
	struct xpmem_policy policy;
};

struct xpmem_session_info {
	u16 partid;
	u32 state;
	u64 epoch;
	u64 quarantine;
	u64 lost_ms;
	char reason[64];
	u32 security;
	struct xpmem_policy policy;
	char window[32];
	struct sockaddr_in6 address;
	int address_len;
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
 * @address:  of its other end, or a struct sockaddr_in
 * @address_len: bytes of it
 * @tls:      what is sent and received is encrypted by @sock
 * @policy:   whom its partition may speak for
 * @window:   the other side's memory
 * @rx:       the thread that receives and carries out
 * @rx_buf:   its payload buffer
 * @heard:    when the last message came, ktime_get_boottime_ns()
 * @lapsed:   when the lease ended; 0 before; written under the home's lock
 * @lease_lock: protects @lease and what is to answer PINGs; a leaf
 * @lease:    the lease; ->agreed is the receiver's own
 * @tx_lock:  protects @tx_queue and queued flags
 * @tx_queue: messages to send, in order
 * @tx_owned: of them, those that are allocated; under @tx_lock
 * @tx_work:  sends them
 * @revokes:  ring of revoke messages, oldest at @revoke_tail; home's lock
 * @acks:     messages for acknowledgements
 * @pong:     message for the answer to a PING
 * @pong_busy: it is not ours to fill; under @lease_lock
 * @pong_next: the PING to answer then, of count 0 if there is none; under @lease_lock
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
	struct sockaddr_in6 address;
	int address_len;
	bool tls;
	struct xpmem_policy policy;
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
	bool pong_busy;
	struct xpmem_wire_ping pong_next;
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
void xpmem_beat_pong_sent(struct xpmem_session *session);
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

#endif
