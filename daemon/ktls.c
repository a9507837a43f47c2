// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS in the kernel: keys that were agreed on in user space go to the socket.
 * The step before is tls.c, the step after kernel.c.
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls.h"
#include "log.h"

#define PROBE_TIMEOUT_MS 1000

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

_Static_assert(KTLS_KEY_LEN == TLS_CIPHER_CHACHA20_POLY1305_KEY_SIZE &&
		       KTLS_IV_LEN == TLS_CIPHER_CHACHA20_POLY1305_IV_SIZE &&
		       KTLS_SEQ_LEN ==
			       TLS_CIPHER_CHACHA20_POLY1305_REC_SEQ_SIZE,
	       "as the kernel has them");

static int set_keys(int fd, int direction, const struct ktls_keys *keys)
{
	struct tls12_crypto_info_chacha20_poly1305 info = {
		.info = {
			.version = TLS_1_3_VERSION,
			.cipher_type = TLS_CIPHER_CHACHA20_POLY1305,
		},
	};
	int ret;

	memcpy(info.key, keys->key, sizeof(info.key));
	memcpy(info.iv, keys->iv, sizeof(info.iv));
	memcpy(info.rec_seq, keys->seq, sizeof(info.rec_seq));
	ret = setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
	explicit_bzero(&info, sizeof(info));
	return ret;
}

/* Why a socket gets no TLS, and what to do where something can be done. */
static int no_ulp(int err, char *reason)
{
	switch (err) {
	case ENOENT:
		return reason_set(
			reason,
			"the kernel has no TLS for TCP; load it: modprobe tls (CONFIG_TLS)");
	case ENOPROTOOPT:
	case EOPNOTSUPP:
		return reason_set(
			reason,
			"the kernel has no TLS for this socket: it is not TCP; update xpmemd");
	case ENOTCONN:
		return reason_set(
			reason,
			"the connection ended before the kernel's TLS was set up; see the log of the other side");
	case EEXIST:
		return reason_set(
			reason,
			"the socket has TLS, or something like it, already; find who set it up");
	default:
		return reason_set(
			reason,
			"the kernel's TLS cannot be set up: %s; see dmesg",
			strerror(err));
	}
}

static int no_cipher(int err, char *reason)
{
	switch (err) {
	case ENOENT:
	case EINVAL:
		return reason_set(
			reason,
			"the kernel's TLS has no ChaCha20-Poly1305 (%s); load it: modprobe chacha20poly1305",
			strerror(err));
	default:
		return reason_set(
			reason, "the kernel's TLS takes no keys: %s; see dmesg",
			strerror(err));
	}
}

/**
 * ktls_install - from now on the kernel encrypts and decrypts
 * @fd:      connected TCP socket; nothing of it is buffered in user space
 * @send:    keys for what we send
 * @receive: keys for what comes
 * @reason:  REASON_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1: then the connection is of no use any more.
 */
int ktls_install(int fd, const struct ktls_keys *send,
		 const struct ktls_keys *receive, char *reason)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return no_ulp(errno, reason);
	if (set_keys(fd, TLS_TX, send) || set_keys(fd, TLS_RX, receive))
		return no_cipher(errno, reason);
	return 0;
}

/* The start of a connection within this machine, if it has an end there. */
static int connect_here(int door, int fd)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct pollfd connected = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(at);
	int n;

	if (bind(door, (struct sockaddr *)&at, sizeof(at)) || listen(door, 1) ||
	    getsockname(door, (struct sockaddr *)&at, &length))
		return -1;
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return 0;
	if (errno != EINPROGRESS)
		return -1;
	n = poll(&connected, 1, PROBE_TIMEOUT_MS);
	if (!n)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

/**
 * ktls_probe - can this kernel do what sessions with TLS need?
 * @reason: REASON_SIZE bytes, filled in when not
 *
 * Once it could, it is not asked again.  May wait, for PROBE_TIMEOUT_MS at most,
 * where a firewall stands within the machine.
 *
 * Return: 0 or -1.
 */
int ktls_probe(char *reason)
{
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	const struct ktls_keys keys = {};
	static bool can;
	int door, fd, ret;

	if (can)
		return 0;
	door = socket(AF_INET, type, 0);
	fd = socket(AF_INET, type, 0);
	if (door < 0 || fd < 0 || connect_here(door, fd))
		ret = reason_set(
			reason,
			"no TCP within this machine: %s; see that \"lo\" is up, and that a firewall lets 127.0.0.1 reach itself",
			strerror(errno));
	else
		ret = ktls_install(fd, &keys, &keys, reason);
	if (fd >= 0)
		close(fd);
	if (door >= 0)
		close(door);
	can = !ret;
	return ret;
}
