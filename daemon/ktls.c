// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS in the kernel: keys that were agreed on in user space go to the socket.
 * The step before is tls.c, the step after kernel.c.
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls.h"
#include "log.h"

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
		return reason_set(
			reason,
			"the kernel has no TLS for TCP (%s); load the module tls",
			strerror(errno));
	if (set_keys(fd, TLS_TX, send) || set_keys(fd, TLS_RX, receive))
		return reason_set(
			reason,
			"the kernel's TLS has no ChaCha20-Poly1305 (%s); load the module chacha20poly1305",
			strerror(errno));
	return 0;
}

/* A connection within this machine; its other end is closed by the caller. */
static int connect_here(int door, int fd)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(at);

	if (bind(door, (struct sockaddr *)&at, sizeof(at)) || listen(door, 1) ||
	    getsockname(door, (struct sockaddr *)&at, &length))
		return -1;
	return connect(fd, (struct sockaddr *)&at, sizeof(at));
}

/**
 * ktls_probe - can this kernel do what sessions with TLS need?
 * @reason: REASON_SIZE bytes, filled in when not
 *
 * Return: 0 or -1.
 */
int ktls_probe(char *reason)
{
	const struct ktls_keys keys = {};
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (door < 0 || fd < 0 || connect_here(door, fd))
		ret = reason_set(reason, "no TCP within this machine: %s",
				 strerror(errno));
	else
		ret = ktls_install(fd, &keys, &keys, reason);
	if (fd >= 0)
		close(fd);
	if (door >= 0)
		close(door);
	return ret;
}
