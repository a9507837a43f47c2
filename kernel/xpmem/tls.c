// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions over kTLS.  The daemon has agreed on keys and given them to the
 * socket; the kernel's TLS encrypts what is sent and decrypts what comes.
 * Here: is the socket what the daemon says, and what came that is no message.
 *
 * Invariant: a byte that reaches socket.c was sent by the other side's module,
 * in this order and without a gap: everything else ends the session.
 */
#include <linux/netlink.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "xpmem.h"

/* Record types, handshake types and alerts of RFC 8446. */
enum {
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
};

enum {
	HANDSHAKE_NEW_SESSION_TICKET = 4,
	HANDSHAKE_KEY_UPDATE = 24,
};

enum {
	ALERT_CLOSE_NOTIFY = 0,
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_INTERNAL_ERROR = 80,
};

static bool has_tls(const struct sock *sk)
{
	const struct tcp_ulp_ops *ulp = inet_csk(sk)->icsk_ulp_ops;

	return ulp && !strcmp(ulp->name, "tls");
}

static bool is_async(struct crypto_aead *cipher)
{
	return crypto_aead_alg(cipher)->base.cra_flags & CRYPTO_ALG_ASYNC;
}

/*
 * A cipher that answers later would make reclaim wait for whoever computes it.
 * The kernel has no key update, and AES-GCM may not be used for longer than
 * 2^24.5 records: see docs/design.md.
 */
static const char *tls_wrong(const struct sock *sk)
{
	const struct tls_context *ctx = tls_get_ctx(sk);

	if (ctx->tx_conf != TLS_SW || ctx->rx_conf != TLS_SW)
		return "the socket's TLS is not set up in both directions, in software";
	if (ctx->prot_info.version != TLS_1_3_VERSION ||
	    ctx->prot_info.cipher_type != TLS_CIPHER_CHACHA20_POLY1305)
		return "the socket's TLS is not version 1.3 with ChaCha20-Poly1305";
	if (is_async(tls_sw_ctx_tx(ctx)->aead_send) ||
	    is_async(tls_sw_ctx_rx(ctx)->aead_recv))
		return "the kernel's ChaCha20-Poly1305 is asynchronous; unload its driver";
	return NULL;
}

/**
 * xpmem_tls_vet - is a socket protected as the daemon says?
 * @sk:  connected TCP
 * @tls: it says TLS
 *
 * Context: process; takes the socket's lock.
 * Return: what is wrong, or NULL.
 */
const char *xpmem_tls_vet(struct sock *sk, bool tls)
{
	const char *wrong = NULL;

	lock_sock(sk);
	if (tls && !has_tls(sk))
		wrong = "the socket was said to have TLS, and has none";
	else if (tls)
		wrong = tls_wrong(sk);
	else if (inet_csk(sk)->icsk_ulp_ops)
		wrong = "the socket was said to be plain, and is not";
	release_sock(sk);
	return wrong;
}

/**
 * xpmem_tls_sent - did all that was written leave for TCP?
 * @sk: a socket with TLS, of which the caller is the only writer
 *
 * TLS says that it has sent what it could not hand to TCP in time, and tries
 * again by itself, from a work queue that may be waiting for memory.
 *
 * Context: process, the session's sender.
 */
bool xpmem_tls_sent(const struct sock *sk)
{
	const struct tls_sw_context_tx *tx = tls_sw_ctx_tx(tls_get_ctx(sk));

	return list_empty(&tx->tx_list) && !tx->open_rec;
}

/**
 * xpmem_tls_failed - what an error of a socket with TLS means
 * @err:       negative; whoever reads or writes first is told of what came
 * @otherwise: constant string, for all that TLS has no part in
 *
 * Return: a constant string.
 */
const char *xpmem_tls_failed(int err, const char *otherwise)
{
	switch (err) {
	case -EBADMSG:
		/* TLS says so, too, to whoever asks after it had no memory. */
		return "a TLS record was altered, lost or repeated on the line, or memory ran out";
	case -EMSGSIZE:
	case -EINVAL:
		return "a TLS record was altered, lost or repeated on the line";
	case -ENOMEM:
		return "no memory for a TLS record";
	default:
		return otherwise;
	}
}

static const char *alert_came(const u8 *alert, int size)
{
	if (size < 2)
		return "TLS alert without a description";
	switch (alert[1]) {
	case ALERT_CLOSE_NOTIFY:
		return "TLS alert: close notify";
	case ALERT_UNEXPECTED_MESSAGE:
		return "TLS alert: unexpected message";
	case ALERT_BAD_RECORD_MAC:
		return "TLS alert: bad record MAC";
	case ALERT_INTERNAL_ERROR:
		return "TLS alert: internal error";
	default:
		return "TLS alert";
	}
}

static const char *handshake_came(const u8 *handshake, int size)
{
	switch (size ? handshake[0] : 0) {
	case HANDSHAKE_NEW_SESSION_TICKET:
		return "TLS handshake message: new session ticket";
	case HANDSHAKE_KEY_UPDATE:
		return "TLS handshake message: key update";
	default:
		return "TLS handshake message";
	}
}

/* What a read brought, if that is no part of a message of ours. */
static const char *not_data(u8 type, const void *buf, int size)
{
	switch (type) {
	case RECORD_DATA:
		return size ? NULL : "connection lost";
	case RECORD_ALERT:
		return alert_came(buf, size);
	case RECORD_HANDSHAKE:
		return handshake_came(buf, size);
	default:
		return "TLS record of unknown type";
	}
}

/* Says what kind of record the bytes are from: one kind only, in one read. */
union record_control {
	struct cmsghdr header;
	u8 space[CMSG_SPACE(sizeof(u8))];
};

static u8 record_type(const union record_control *control,
		      const struct msghdr *msg)
{
	/* Untouched: nothing came, or TLS did not say. */
	if (msg->msg_controllen == sizeof(*control) ||
	    control->header.cmsg_level != SOL_TLS ||
	    control->header.cmsg_type != TLS_GET_RECORD_TYPE)
		return RECORD_DATA;
	return *(const u8 *)CMSG_DATA(&control->header);
}

/**
 * xpmem_tls_read - read from a session's stream
 * @sock: with TLS
 * @buf:  filled in
 * @size: that many bytes
 *
 * Context: process, the session's receiver; waits.
 * Return: NULL, or a constant string that says what came instead.
 */
const char *xpmem_tls_read(struct socket *sock, void *buf, size_t size)
{
	while (size) {
		union record_control control = {};
		struct msghdr msg = {
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		struct kvec vec = { .iov_base = buf, .iov_len = size };
		const char *wrong;
		int n = kernel_recvmsg(sock, &msg, &vec, 1, size, MSG_WAITALL);

		if (n < 0)
			return xpmem_tls_failed(n, "connection lost");
		wrong = not_data(record_type(&control, &msg), buf, n);
		if (wrong)
			return wrong;
		buf += n;
		size -= n;
	}
	return NULL;
}
