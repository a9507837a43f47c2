// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a TCP connection to an authenticated one: HELLO, AUTH, READY (see
 * message.h), TLS.  What is said there is agree.c's and tls.c's.  The step
 * before is peer.c or listen.c, the step after peer.c with the result.
 * Invariant: nothing but the bytes of the messages is read from the socket;
 * what follows belongs to the kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agree.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"
#include "tls.h"

/* What is awaited next. */
enum handshake_state {
	HANDSHAKE_CONNECTION = 1, /* of the socket */
	HANDSHAKE_HELLO,
	HANDSHAKE_AUTH,
	HANDSHAKE_MUNGE, /* munged's answer: to ours, or to the other's */
	HANDSHAKE_READY,
	HANDSHAKE_FLUSH, /* all is said; the rest must leave */
	HANDSHAKE_TLS, /* whatever GnuTLS awaits */
	HANDSHAKE_END, /* refused; the other side closes */
};

/**
 * struct handshake - one under way
 * @source: its socket
 * @timer:  ends it
 * @ops:    the owner's
 * @owner:  for @ops
 * @state:  what is awaited next
 * @agreed: what the two sides told each other
 * @prove:  in HANDSHAKE_MUNGE
 * @credential: in HANDSHAKE_MUNGE
 * @verify: in HANDSHAKE_MUNGE: it is the other side's
 * @tls:    from HANDSHAKE_TLS on
 * @in:     the message being received
 * @got:    bytes of it
 * @out:    messages to send
 * @length: bytes of them
 * @sent:   bytes that left
 * @reason: why we refused or were refused
 */
struct handshake {
	struct loop_source source;
	struct loop_timer timer;
	const struct handshake_ops *ops;
	void *owner;
	enum handshake_state state;
	struct agreement agreed;
	struct prove *prove;
	char credential[MESSAGE_CREDENTIAL_MAX + 1];
	bool verify;
	struct tls *tls;
	uint8_t in[MESSAGE_SIZE_MAX];
	size_t got;
	uint8_t out[3 * MESSAGE_SIZE_MAX];
	size_t length;
	size_t sent;
	char reason[REASON_SIZE];
};

/* Returns the socket, which is the caller's then. */
static int handshake_free(struct handshake *hs)
{
	int fd = hs->source.fd;

	loop_timer_cancel(&hs->timer);
	loop_remove(&hs->source);
	prove_destroy(hs->prove);
	tls_destroy(hs->tls);
	explicit_bzero(hs, sizeof(*hs));
	free(hs);
	return fd;
}

/**
 * handshake_destroy - break a handshake off
 * @hs: freed, its socket closed; its owner is not called
 */
void handshake_destroy(struct handshake *hs)
{
	close(handshake_free(hs));
}

static void fail(struct handshake *hs, const char *reason)
{
	const struct handshake_ops *ops = hs->ops;
	uint16_t partid = hs->agreed.theirs.partid;
	void *owner = hs->owner;
	char copy[REASON_SIZE];

	reason_set(copy, "%s", reason);
	handshake_destroy(hs);
	ops->done(owner, partid, NULL, copy);
}

static void succeed(struct handshake *hs)
{
	const struct agreement *agreed = &hs->agreed;
	const struct handshake_ops *ops = hs->ops;
	struct handshake_result result = {
		.partid = agreed->theirs.partid,
		.version = agreed->version,
		.page_size = agreed->mine.page_size,
		.security = agreed->mine.security,
		.epoch = agree_epoch(agreed),
	};
	void *owner = hs->owner;

	memcpy(result.boot_id, agreed->theirs.boot_id, sizeof(result.boot_id));
	result.fd = handshake_free(hs);
	ops->done(owner, result.partid, &result, NULL);
}

/*
 * The other side was told, or will see that we close.  It closes: were we
 * first, its bytes on the way would take what it was told down with the
 * connection.
 */
static void tls_failed(struct handshake *hs)
{
	hs->state = HANDSHAKE_END;
	shutdown(hs->source.fd, SHUT_WR);
	loop_change(&hs->source, EPOLLIN);
}

static void tls_go_on(struct handshake *hs)
{
	int want = tls_step(hs->tls, hs->reason);

	if (want == TLS_WANT_READ || want == TLS_WANT_WRITE)
		loop_change(&hs->source,
			    want == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
	else if (want == TLS_DONE && !tls_install(hs->tls, hs->reason))
		succeed(hs);
	else
		tls_failed(hs);
}

static void tls_begin(struct handshake *hs)
{
	uint8_t psk[TLS_PSK_LEN];

	if (!agree_psk(&hs->agreed, psk, hs->reason))
		hs->tls = tls_create(hs->source.fd,
				     hs->agreed.role == HANDSHAKE_CONNECTOR,
				     psk, hs->reason);
	explicit_bzero(psk, sizeof(psk));
	hs->state = HANDSHAKE_TLS;
	if (hs->tls)
		tls_go_on(hs);
	else
		tls_failed(hs);
}

/* All is said, and has left. */
static void agreed(struct handshake *hs)
{
	if (hs->agreed.mine.security == XPMEM_SECURITY_TLS)
		tls_begin(hs);
	else
		succeed(hs);
}

/* What the loop waits for; what comes too early stays in the socket. */
static void await(struct handshake *hs)
{
	uint32_t events = EPOLLIN;

	if (hs->state == HANDSHAKE_MUNGE || hs->state == HANDSHAKE_FLUSH)
		events = 0;
	if (hs->sent < hs->length)
		events |= EPOLLOUT;
	loop_change(&hs->source, events);
}

/* Sends what there is to send.  Returns 0, or -1 with the reason set. */
static int flush(struct handshake *hs)
{
	ssize_t n;

	while (hs->sent < hs->length) {
		n = send(hs->source.fd, hs->out + hs->sent,
			 hs->length - hs->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return reason_set(hs->reason,
					  "send: %s; see the log there",
					  strerror(errno));
		if (n < 0)
			break;
		hs->sent += (size_t)n;
	}
	await(hs);
	return 0;
}

static void set_terms(struct handshake *hs, const struct handshake_terms *terms)
{
	hs->agreed.mine.fabric = terms->fabric;
	hs->agreed.mine.security = terms->security;
}

static void send_hello(struct handshake *hs)
{
	hs->length += message_put_hello(hs->out + hs->length, &hs->agreed.mine);
}

static void send_ready(struct handshake *hs, enum message_status status,
		       const char *why)
{
	struct message_ready ready = { .status = status };

	memcpy(ready.reason, why, strnlen(why, MESSAGE_REASON_MAX));
	hs->length += message_put_ready(hs->out + hs->length, &ready);
}

/*
 * The other side learns the reason, which is set, and closes: were we first,
 * its bytes on the way would take the reason down with the connection.
 */
static void refuse(struct handshake *hs)
{
	char reason[REASON_SIZE];

	send_ready(hs, MESSAGE_STATUS_REFUSED, hs->reason);
	hs->state = HANDSHAKE_END;
	memcpy(reason, hs->reason, sizeof(reason));
	if (flush(hs))
		fail(hs, reason);
	else if (hs->sent == hs->length)
		shutdown(hs->source.fd, SHUT_WR);
}

static void munge_done(void *owner, const char *reason);

/* Has munged make our credential, or look at the one that came. */
static int ask_munge(struct handshake *hs, bool verify)
{
	hs->verify = verify;
	hs->prove = (verify ? agree_verify : agree_prove)(
		&hs->agreed, hs->credential, munge_done, hs, hs->reason);
	if (!hs->prove)
		return -1;
	hs->state = HANDSHAKE_MUNGE;
	return 0;
}

/* The connector proves who it is first; the acceptor, to nobody unknown. */
static int munge_answered(struct handshake *hs)
{
	bool acceptor = hs->agreed.role == HANDSHAKE_ACCEPTOR;

	if (hs->verify && acceptor)
		return ask_munge(hs, false);
	if (!hs->verify)
		hs->length +=
			message_put_auth(hs->out + hs->length, hs->credential);
	if (hs->verify || acceptor) {
		send_ready(hs, MESSAGE_STATUS_READY, "");
		hs->state = HANDSHAKE_READY;
	} else {
		hs->state = HANDSHAKE_AUTH;
	}
	return 0;
}

static void munge_done(void *owner, const char *reason)
{
	struct handshake *hs = owner;

	hs->prove = NULL;
	if (reason)
		reason_set(hs->reason, "%s", reason);
	if (reason || munge_answered(hs))
		refuse(hs);
	else if (flush(hs))
		fail(hs, hs->reason);
}

static int recv_hello(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);
	struct agreement *agreed = &hs->agreed;
	struct handshake_terms terms;
	struct message_hello hello;

	if (message_get_hello(payload, length, &hello, hs->reason))
		return -1;
	if (agreed->role == HANDSHAKE_CONNECTOR &&
	    hello.partid != agreed->theirs.partid)
		return reason_set(
			hs->reason,
			"partition %u answers at the address of partition %u; correct the configuration",
			hello.partid, agreed->theirs.partid);
	agreed->theirs = hello;
	if (agreed->role == HANDSHAKE_ACCEPTOR) {
		if (hs->ops->expect(hs->owner, &hello, &terms, hs->reason))
			return -1;
		agreed->mine.peer = hello.partid;
		set_terms(hs, &terms);
		send_hello(hs);
	}
	if (agree_hellos(agreed, hs->reason))
		return -1;
	if (agreed->role == HANDSHAKE_CONNECTOR)
		return ask_munge(hs, false);
	hs->state = HANDSHAKE_AUTH;
	return 0;
}

static int recv_auth(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);

	if (message_get_auth(payload, length, hs->credential, hs->reason))
		return -1;
	return ask_munge(hs, true);
}

/* Returns 1 when the other side refused us: then there is nothing to say. */
static int recv_ready(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);
	struct message_ready ready;

	if (message_get_ready(payload, length, &ready, hs->reason))
		return -1;
	if (ready.status == MESSAGE_STATUS_REFUSED) {
		reason_set(hs->reason, "refused by the other side: %s",
			   ready.reason);
		return 1;
	}
	if (hs->state != HANDSHAKE_READY)
		return reason_set(hs->reason,
				  "READY came too early; update xpmemd");
	hs->state = HANDSHAKE_FLUSH;
	return 0;
}

/* Returns 0, 1 when refused by the other side, or -1 with the reason set. */
static int recv_message(struct handshake *hs, enum message_type type,
			uint32_t length)
{
	if (type == MESSAGE_READY)
		return recv_ready(hs, length);
	if (type == MESSAGE_HELLO && hs->state == HANDSHAKE_HELLO)
		return recv_hello(hs, length);
	if (type == MESSAGE_AUTH && hs->state == HANDSHAKE_AUTH)
		return recv_auth(hs, length);
	return reason_set(hs->reason,
			  "message %u came out of turn; update xpmemd", type);
}

/*
 * Reads up to @want bytes of the present message.  Returns 1 when they are
 * there, 0 when more must come, -1 with the reason set when none will.
 */
static int fill(struct handshake *hs, size_t want)
{
	ssize_t n;

	while (hs->got < want) {
		n = recv(hs->source.fd, hs->in + hs->got, want - hs->got, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return reason_set(hs->reason,
					  "receive: %s; see the log there",
					  strerror(errno));
		if (!n)
			return reason_set(hs->reason, HANDSHAKE_CLOSED);
		hs->got += (size_t)n;
	}
	return 1;
}

/* Receives and handles one message; frees the handshake when it ends it. */
static void receive(struct handshake *hs)
{
	const size_t header = sizeof(struct message_wire_header);
	enum message_type type;
	uint32_t length;
	int ret;

	ret = fill(hs, header);
	if (ret < 0)
		fail(hs, hs->reason);
	if (ret <= 0)
		return;
	if (message_get_header(hs->in, &type, &length, hs->reason)) {
		refuse(hs);
		return;
	}
	ret = fill(hs, header + length);
	if (ret < 0)
		fail(hs, hs->reason);
	if (ret <= 0)
		return;
	hs->got = 0;
	ret = recv_message(hs, type, length);
	if (ret > 0) {
		fail(hs, hs->reason);
	} else if (ret < 0) {
		refuse(hs);
	} else if (flush(hs)) {
		fail(hs, hs->reason);
	} else if (hs->state == HANDSHAKE_FLUSH && hs->sent == hs->length) {
		agreed(hs);
	}
}

/* After a refusal: whatever comes is thrown away until the other side closes. */
static void drain(struct handshake *hs)
{
	ssize_t n = recv(hs->source.fd, hs->in, sizeof(hs->in), 0);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		fail(hs, hs->reason);
}

static void connected(struct handshake *hs)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(hs->source.fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	if (err) {
		reason_set(hs->reason,
			   "connect: %s; see that xpmemd runs there",
			   strerror(err));
		fail(hs, hs->reason);
		return;
	}
	send_hello(hs);
	hs->state = HANDSHAKE_HELLO;
	if (flush(hs))
		fail(hs, hs->reason);
}

/* Sends what is left.  Returns 0, or -1 when the handshake is over. */
static int go_on_sending(struct handshake *hs)
{
	if (flush(hs)) {
		fail(hs, hs->reason);
		return -1;
	}
	if (hs->sent < hs->length)
		return 0;
	if (hs->state == HANDSHAKE_FLUSH) {
		agreed(hs);
		return -1;
	}
	if (hs->state == HANDSHAKE_END)
		shutdown(hs->source.fd, SHUT_WR);
	return 0;
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct handshake *hs = container_of(source, struct handshake, source);

	if (hs->state == HANDSHAKE_CONNECTION) {
		connected(hs);
		return;
	}
	if (hs->state == HANDSHAKE_TLS) {
		tls_go_on(hs);
		return;
	}
	if ((events & EPOLLOUT || hs->state == HANDSHAKE_FLUSH) &&
	    go_on_sending(hs))
		return;
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	switch (hs->state) {
	case HANDSHAKE_FLUSH:
		break;
	case HANDSHAKE_MUNGE:
		/* Nothing was asked for: the connection is gone, both ways. */
		if (events & (EPOLLHUP | EPOLLERR))
			fail(hs, HANDSHAKE_CLOSED);
		break;
	case HANDSHAKE_END:
		drain(hs);
		break;
	default:
		receive(hs);
	}
}

static void timeout(struct loop_timer *timer)
{
	struct handshake *hs = container_of(timer, struct handshake, timer);

	fail(hs, hs->state == HANDSHAKE_END ? hs->reason : HANDSHAKE_SILENT);
}

static struct handshake *handshake_create(const struct handshake_local *local,
					  int fd,
					  const struct handshake_ops *ops,
					  void *owner)
{
	struct handshake *hs = calloc(1, sizeof(*hs));

	if (!hs) {
		log_error("no memory for a handshake; free some");
		return NULL;
	}
	hs->source = (struct loop_source){ .fd = fd, .ready = ready };
	hs->timer.fire = timeout;
	hs->ops = ops;
	hs->owner = owner;
	hs->agreed.mine = (struct message_hello){
		.version_min = local->version_min,
		.version_max = local->version_max,
		.page_size = local->page_size,
		.machine = local->machine,
		.partid = local->partid,
	};
	memcpy(hs->agreed.mine.boot_id, local->boot_id, XPMEM_BOOT_ID_LEN);
	if (getrandom(hs->agreed.mine.nonce, MESSAGE_NONCE_LEN, 0) !=
		    MESSAGE_NONCE_LEN ||
	    loop_add(&hs->source, EPOLLOUT)) {
		log_error("a handshake cannot start: %m; free memory");
		free(hs);
		return NULL;
	}
	loop_timer_set(&hs->timer, HANDSHAKE_TIMEOUT_MS);
	return hs;
}

/**
 * handshake_connect - start a handshake as the connector
 * @local:  this side; stays the caller's
 * @fd:     non-blocking socket, connected or about to be
 * @partid: the partition that must answer
 * @terms:  what we want to agree on; not used later
 * @ops:    called later, never from here
 * @owner:  passed to @ops
 *
 * Return: the handshake, which owns @fd; or NULL after logging why, and @fd is
 * still the caller's.
 */
struct handshake *handshake_connect(const struct handshake_local *local, int fd,
				    uint16_t partid,
				    const struct handshake_terms *terms,
				    const struct handshake_ops *ops,
				    void *owner)
{
	struct handshake *hs = handshake_create(local, fd, ops, owner);

	if (!hs)
		return NULL;
	hs->agreed.role = HANDSHAKE_CONNECTOR;
	hs->agreed.mine.peer = partid;
	hs->agreed.theirs.partid = partid;
	set_terms(hs, terms);
	hs->state = HANDSHAKE_CONNECTION;
	return hs;
}

/**
 * handshake_accept - start a handshake as the acceptor
 * @local: this side; stays the caller's
 * @fd:    non-blocking, connected socket
 * @ops:   called later, never from here
 * @owner: passed to @ops
 *
 * Return: the handshake, which owns @fd; or NULL after logging why, and @fd is
 * still the caller's.
 */
struct handshake *handshake_accept(const struct handshake_local *local, int fd,
				   const struct handshake_ops *ops, void *owner)
{
	struct handshake *hs = handshake_create(local, fd, ops, owner);

	if (!hs)
		return NULL;
	hs->agreed.role = HANDSHAKE_ACCEPTOR;
	hs->state = HANDSHAKE_HELLO;
	loop_change(&hs->source, EPOLLIN);
	return hs;
}
