// SPDX-License-Identifier: GPL-2.0-only
/*
 * The connection under a session: one queue out, one thread in.
 *
 * Invariant: messages leave in the order in which they were queued, and what
 * was queued under the home's lock is in the order of its decisions.  Reclaim
 * may be waiting for any of it: sockets may use the reserves, and nothing here
 * enters reclaim.
 */
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "trace.h"
#include "xpmem.h"

/**
 * xpmem_message_init - fill in a message's header
 * @message: the message
 * @header:  where it stands in memory, the payload right behind it
 * @type:    enum xpmem_wire_type
 * @length:  bytes of payload
 *
 * The epoch is filled in when the message is queued.
 */
void xpmem_message_init(struct xpmem_message *message,
			struct xpmem_wire_header *header, u16 type, u32 length)
{
	INIT_LIST_HEAD(&message->node);
	message->header = header;
	message->size = sizeof(*header) + length;
	header->type = cpu_to_le16(type);
	header->flags = 0;
	header->length = cpu_to_le32(length);
	header->seq = 0;
}

/**
 * xpmem_message_alloc - a message that frees itself when sent
 * @type:   enum xpmem_wire_type
 * @length: bytes of payload, zeroed
 * @gfp:    how hard to try
 *
 * Return: the message, the caller's until queued; or NULL.
 */
struct xpmem_message *xpmem_message_alloc(u16 type, u32 length, gfp_t gfp)
{
	struct xpmem_message *message;

	/* A grant of many runs: too much to insist on in one piece. */
	message = kvzalloc(sizeof(*message) + sizeof(struct xpmem_wire_header) +
				   length,
			   gfp);
	if (message) {
		xpmem_message_init(message, (void *)(message + 1), type,
				   length);
		message->owned = true;
	}
	return message;
}

/**
 * xpmem_message_payload - what stands behind the header
 * @message: the message
 */
void *xpmem_message_payload(struct xpmem_message *message)
{
	return message->header + 1;
}

/**
 * xpmem_message_trim - the payload is shorter than was allocated
 * @message: the message, not queued
 * @length:  bytes of payload
 */
void xpmem_message_trim(struct xpmem_message *message, u32 length)
{
	message->size = sizeof(*message->header) + length;
	message->header->length = cpu_to_le32(length);
}

static void message_drop(struct xpmem_message *message)
{
	if (message->owned)
		kvfree(message);
}

/**
 * xpmem_socket_send - queue a message
 * @session: for this session
 * @message: consumed
 *
 * Context: any that may take a spinlock.
 * Return: false if the session has ended; the message is gone all the same.
 */
bool xpmem_socket_send(struct xpmem_session *session,
		       struct xpmem_message *message)
{
	bool up;

	spin_lock(&session->tx_lock);
	up = !session->failing;
	if (up) {
		message->header->epoch = cpu_to_le64(session->epoch);
		message->queued = true;
		session->tx_owned += message->owned;
		list_add_tail(&message->node, &session->tx_queue);
		/* Under the lock: the session's end cancels it for good. */
		queue_work(session->tx_wq, &session->tx_work);
	}
	spin_unlock(&session->tx_lock);
	if (!up)
		message_drop(message);
	return up;
}

/**
 * xpmem_socket_crowded - does too much wait to be sent?
 * @session: the session
 *
 * Of what the other side can make us send without an end, which is answers.
 * Whoever reads them, as fast as it asks, never has so many.
 */
bool xpmem_socket_crowded(const struct xpmem_session *session)
{
	return READ_ONCE(session->tx_owned) >= XPMEM_CROWD;
}

/**
 * xpmem_socket_send_ack - acknowledge a revoke
 * @session: to its home
 * @seq:     its number
 * @young:   which of its pages were used
 *
 * Context: the session's receiver; allocates nothing.
 * Return: false if the home has sent more revokes than it may.
 */
bool xpmem_socket_send_ack(struct xpmem_session *session, u64 seq,
			   const struct xpmem_young *young)
{
	struct xpmem_ack *ack = &session->acks[session->ack_next];
	u64 words[XPMEM_WIRE_YOUNG / 64];
	unsigned int i;

	if (READ_ONCE(ack->message.queued))
		return false;
	session->ack_next = (session->ack_next + 1) % XPMEM_ACKS;
	xpmem_message_init(&ack->message, &ack->header, XPMEM_WIRE_ACK,
			   sizeof(ack->body));
	ack->body.seq = cpu_to_le64(seq);
	bitmap_to_arr64(words, young->bits, XPMEM_WIRE_YOUNG);
	for (i = 0; i < ARRAY_SIZE(words); i++)
		ack->body.young[i] = cpu_to_le64(words[i]);
	xpmem_socket_send(session, &ack->message);
	trace_xpmem_ack_send(session->partid, seq, young->at);
	return true;
}

static struct xpmem_message *message_next(struct xpmem_session *session)
{
	struct xpmem_message *message;

	spin_lock(&session->tx_lock);
	message = list_first_entry_or_null(&session->tx_queue,
					   struct xpmem_message, node);
	if (message) {
		list_del_init(&message->node);
		session->tx_owned -= message->owned;
	}
	spin_unlock(&session->tx_lock);
	return message;
}

static int message_write(struct xpmem_session *session,
			 const struct xpmem_message *message)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL };
	struct kvec vec = {
		.iov_base = message->header,
		.iov_len = message->size,
	};
	int n = kernel_sendmsg(session->sock, &msg, &vec, 1, vec.iov_len);

	if (n < 0)
		return n;
	if (n != message->size)
		return -EPIPE;
	return session->tls && !xpmem_tls_sent(session->sock->sk) ? -EAGAIN : 0;
}

static const char *write_failed(const struct xpmem_session *session, int err)
{
	const char *plain = "cannot send";

	return session->tls ? xpmem_tls_failed(err, plain) : plain;
}

static void socket_tx(struct work_struct *work)
{
	struct xpmem_session *session =
		container_of(work, struct xpmem_session, tx_work);
	unsigned int noreclaim = memalloc_noreclaim_save();
	struct xpmem_message *message;
	int err = 0;

	while (!err && (message = message_next(session))) {
		bool owned = message->owned;

		err = message_write(session, message);
		/* Ours no more: its owner may fill it again. */
		if (owned) {
			kvfree(message);
			continue;
		}
		/* pairs with the branch on ->queued before it is filled */
		smp_store_release(&message->queued, false);
		if (!err && message == &session->pong.message)
			xpmem_beat_pong_sent(session);
	}
	memalloc_noreclaim_restore(noreclaim);
	if (err)
		xpmem_session_fail(session, write_failed(session, err));
}

static const char *socket_read(struct xpmem_session *session, void *buf,
			       size_t size)
{
	struct msghdr msg = {};
	struct kvec vec = { .iov_base = buf, .iov_len = size };

	if (session->tls)
		return xpmem_tls_read(session->sock, buf, size);
	return kernel_recvmsg(session->sock, &msg, &vec, 1, size,
			      MSG_WAITALL) == size ?
		       NULL :
		       "connection lost";
}

static const char *revoke_recv(struct xpmem_session *session, u64 seq,
			       const struct xpmem_wire_revoke *msg)
{
	u32 i, n = le32_to_cpu(msg->nruns);
	struct xpmem_young young;

	trace_xpmem_revoke_recv(session->partid, seq, n);
	xpmem_young_start(&young, msg);
	for (i = 0; i < n; i++)
		xpmem_import_revoke(session, &msg->runs[i], &young);
	return xpmem_socket_send_ack(session, seq, &young) ?
		       NULL :
		       "more revokes than allowed";
}

static const char *ack_recv(struct xpmem_session *session,
			    const struct xpmem_wire_ack *msg)
{
	return xpmem_ack_recv(session, msg) ? NULL :
					      "acknowledgement out of turn";
}

static const char *bye_recv(struct xpmem_session *session)
{
	WRITE_ONCE(session->orderly, true);
	return "closed by the other partition";
}

static const char *message_recv(struct xpmem_session *session,
				const struct xpmem_wire_header *header,
				const void *payload)
{
	enum xpmem_wire_type type = le16_to_cpu(header->type);

	if (type != XPMEM_WIRE_TERMS && !session->lease.agreed)
		return "message before the terms";
	switch (type) {
	case XPMEM_WIRE_GET:
		xpmem_session_get_recv(session, payload);
		return NULL;
	case XPMEM_WIRE_GET_REPLY:
		xpmem_session_reply_recv(session, payload);
		return NULL;
	case XPMEM_WIRE_PUT:
		xpmem_reap_put(
			session,
			le64_to_cpu(((const struct xpmem_wire_put *)payload)
					    ->segid));
		return NULL;
	case XPMEM_WIRE_FETCH:
		xpmem_serve_fetch(session, payload);
		return NULL;
	case XPMEM_WIRE_GRANT:
		/* It may have waited, as we have, for longer than the lease. */
		if (!xpmem_beat_check(session))
			return NULL;
		return xpmem_fetch_grant(session, payload);
	case XPMEM_WIRE_REVOKE:
		return revoke_recv(session, le64_to_cpu(header->seq), payload);
	case XPMEM_WIRE_ACK:
		return ack_recv(session, payload);
	case XPMEM_WIRE_PING:
		xpmem_beat_ping(session, payload);
		return NULL;
	case XPMEM_WIRE_PONG:
		return xpmem_beat_pong(session, payload);
	case XPMEM_WIRE_TERMS:
		return xpmem_beat_terms(session, payload);
	case XPMEM_WIRE_BYE:
		return bye_recv(session);
	case XPMEM_WIRE_LOOKUP:
		xpmem_session_lookup_recv(session, payload);
		return NULL;
	case XPMEM_WIRE_LOOKUP_REPLY:
		return xpmem_session_found_recv(session, payload);
	}
	return "message of unknown type";
}

/* After our BYE that is how the other side answers. */
static const char *hung_up(const struct xpmem_session *session, const char *why)
{
	return READ_ONCE(session->orderly) ? "closed here" : why;
}

static const char *message_read(struct xpmem_session *session)
{
	struct xpmem_wire_header header;
	const char *wrong = socket_read(session, &header, sizeof(header));

	if (wrong)
		return hung_up(session, wrong);
	wrong = xpmem_wire_check_header(&header, session->epoch);
	if (wrong)
		return wrong;
	if (header.length)
		wrong = socket_read(session, session->rx_buf,
				    le32_to_cpu(header.length));
	if (wrong)
		return wrong;
	wrong = xpmem_wire_check_payload(&header, session->rx_buf);
	if (wrong)
		return wrong;
	WRITE_ONCE(session->heard, ktime_get_boottime_ns());
	return message_recv(session, &header, session->rx_buf);
}

/* Revokes are carried out here: allocations use the reserves or fail. */
static int socket_rx(void *data)
{
	struct xpmem_session *session = data;
	unsigned int noreclaim = memalloc_noreclaim_save();
	const char *wrong = NULL;

	wait_for_completion(&session->started);
	while (!wrong && !READ_ONCE(session->failing))
		wrong = message_read(session);
	if (wrong)
		xpmem_session_fail(session, wrong);
	memalloc_noreclaim_restore(noreclaim);
	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static int socket_vet(struct sock *sk, bool tls, struct netlink_ext_ack *extack)
{
	const char *wrong;

	if (!sk_is_tcp(sk)) {
		NL_SET_ERR_MSG(extack, "the descriptor is not a TCP socket");
		return -ESOCKTNOSUPPORT;
	}
	if (sk->sk_state != TCP_ESTABLISHED) {
		NL_SET_ERR_MSG(extack, "the socket is not connected");
		return -ENOTCONN;
	}
	if (!net_eq(sock_net(sk), &init_net)) {
		NL_SET_ERR_MSG(
			extack,
			"the socket is not of the initial network namespace");
		return -EINVAL;
	}
	wrong = xpmem_tls_vet(sk, tls);
	if (!wrong)
		return 0;
	/* A constant string, as that of the macro. */
	if (extack)
		extack->_msg = wrong;
	return -EPROTO;
}

/* Kept, as what is told of a session must not wait for its socket. */
static int socket_address(struct xpmem_session *session, struct socket *sock,
			  struct netlink_ext_ack *extack)
{
	struct sockaddr_storage address;
	int len = kernel_getpeername(sock, (struct sockaddr *)&address);

	if (len <= 0 || len > sizeof(session->address)) {
		NL_SET_ERR_MSG(extack, "the socket is not connected any more");
		return -ENOTCONN;
	}
	memcpy(&session->address, &address, len);
	session->address_len = len;
	return 0;
}

/**
 * xpmem_socket_patience - a send may take as long as the deadline
 * @session: its deadline is set
 */
void xpmem_socket_patience(struct xpmem_session *session)
{
	WRITE_ONCE(session->sock->sk->sk_sndtimeo,
		   msecs_to_jiffies(READ_ONCE(session->deadline_ms)));
}

static void socket_prepare(struct xpmem_session *session)
{
	struct sock *sk = session->sock->sk;

	sk_set_memalloc(sk);
	lock_sock(sk);
	/*
	 * TLS changes it for a while when data come, and then back; and it may
	 * allocate from a worker of its own, with the socket locked, which must
	 * not enter reclaim.
	 */
	sk->sk_allocation = GFP_NOIO | __GFP_MEMALLOC;
	if (session->tls)
		sk->sk_allocation &= ~__GFP_DIRECT_RECLAIM;
	sk->sk_use_task_frag = false;
	xpmem_socket_patience(session);
	sk->sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT;
	release_sock(sk);
	tcp_sock_set_nodelay(sk);
}

/**
 * xpmem_socket_adopt - take over the daemon's socket
 * @session: being created; its deadline and ->tls are set
 * @fd:      of the calling process; connected, TCP
 * @extack:  says what is wrong
 *
 * On success the session holds the file; the daemon closes its descriptor and
 * must not use it any more.
 *
 * Context: process, the daemon's.
 * Return: 0, -EBADF, -ENOTSOCK, -ESOCKTNOSUPPORT, -ENOTCONN, -EINVAL, -EPROTO.
 */
int xpmem_socket_adopt(struct xpmem_session *session, int fd,
		       struct netlink_ext_ack *extack)
{
	struct socket *sock;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock) {
		NL_SET_ERR_MSG(extack, "the descriptor is not a socket");
		return err;
	}
	err = socket_vet(sock->sk, session->tls, extack) ?:
		      socket_address(session, sock, extack);
	if (err) {
		sockfd_put(sock);
		return err;
	}
	session->sock = sock;
	INIT_WORK(&session->tx_work, socket_tx);
	INIT_LIST_HEAD(&session->tx_queue);
	spin_lock_init(&session->tx_lock);
	socket_prepare(session);
	return 0;
}

/**
 * xpmem_socket_start - make the receiver
 * @session: complete but for its slot; it receives once ->started is completed
 *
 * Return: 0 or the error of making a thread.
 */
int xpmem_socket_start(struct xpmem_session *session)
{
	session->heard = ktime_get_boottime_ns();
	session->rx =
		kthread_run(socket_rx, session, "xpmem_rx/%u", session->partid);
	return PTR_ERR_OR_ZERO(session->rx);
}

/**
 * xpmem_socket_stop - nothing is received or sent any more when this returns
 * @session: failing
 *
 * Context: process, neither the receiver nor the sender; may sleep.
 */
void xpmem_socket_stop(struct xpmem_session *session)
{
	struct xpmem_message *message;

	kernel_sock_shutdown(session->sock, SHUT_RDWR);
	kthread_stop(session->rx);
	cancel_work_sync(&session->tx_work);
	while ((message = message_next(session)))
		message_drop(message);
}

/**
 * xpmem_socket_release - give the socket back
 * @session: stopped, or never started
 */
void xpmem_socket_release(struct xpmem_session *session)
{
	sk_clear_memalloc(session->sock->sk);
	sockfd_put(session->sock);
}
