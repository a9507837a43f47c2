// SPDX-License-Identifier: GPL-2.0-only
/* In place of ktls.c: sockets stay as they are, and keys are remembered. */
#include <string.h>

#include "fake_ktls.h"
#include "log.h"
#include "test.h"

#define SOCKETS 64

static struct {
	int fd;
	struct ktls_keys send, receive;
} sockets[SOCKETS];
static unsigned int count;
static bool refusing;

/**
 * fake_ktls_reset - forget all sockets
 */
void fake_ktls_reset(void)
{
	count = 0;
	refusing = false;
}

/**
 * fake_ktls_refuse - be a kernel without TLS, or not
 * @refuse: be one
 */
void fake_ktls_refuse(bool refuse)
{
	refusing = refuse;
}

/**
 * fake_ktls_count - how many sockets were given keys
 */
unsigned int fake_ktls_count(void)
{
	return count;
}

int ktls_probe(char *reason)
{
	return refusing ?
		       reason_set(reason, "no TLS, says the test; load tls") :
		       0;
}

int ktls_install(int fd, const struct ktls_keys *send,
		 const struct ktls_keys *receive, char *reason)
{
	if (refusing)
		return reason_set(reason, "no TLS, says the test; load tls");
	assert_true(count < SOCKETS);
	sockets[count].fd = fd;
	sockets[count].send = *send;
	sockets[count++].receive = *receive;
	return 0;
}

/* The newest with this number: numbers are used again. */
static unsigned int find(int fd)
{
	unsigned int i = count;

	while (i && sockets[i - 1].fd != fd)
		i--;
	assert_true(i > 0);
	return i - 1;
}

/**
 * fake_ktls_sends - the keys with which a socket sends
 * @fd: the socket
 */
const struct ktls_keys *fake_ktls_sends(int fd)
{
	return &sockets[find(fd)].send;
}

/**
 * fake_ktls_pair - do two sockets understand each other, and nobody else them?
 * @a: one
 * @b: the other
 */
bool fake_ktls_pair(int a, int b)
{
	static const struct ktls_keys zero;
	unsigned int i = find(a), j = find(b);

	return !memcmp(&sockets[i].send, &sockets[j].receive, sizeof(zero)) &&
	       !memcmp(&sockets[j].send, &sockets[i].receive, sizeof(zero)) &&
	       memcmp(sockets[i].send.key, sockets[j].send.key, KTLS_KEY_LEN) &&
	       memcmp(sockets[i].send.key, zero.key, KTLS_KEY_LEN) &&
	       !memcmp(sockets[i].send.seq, zero.seq, KTLS_SEQ_LEN) &&
	       !memcmp(sockets[j].send.seq, zero.seq, KTLS_SEQ_LEN);
}
