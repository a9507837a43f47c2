// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peers that connect to us.  The step before is their peer.c, the step after
 * handshake.c.
 * Invariant: however many connections come from outside, few handshakes are
 * under way, and no address has most of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"
#include "log.h"
#include "loop.h"
#include "peer.h"

#define HANDSHAKES_MAX 64
#define HANDSHAKES_PER_ADDRESS 4
/* How long nothing is accepted after an error that will come again. */
#define THROTTLE_MS 1000

/**
 * struct incoming - a handshake that somebody else began
 * @next:      any order
 * @handshake: under way
 * @address:   where it comes from, in words
 */
struct incoming {
	struct incoming *next;
	struct handshake *handshake;
	char address[INET6_ADDRSTRLEN];
};

static struct loop_source source = { .fd = -1 };
static struct loop_timer throttle;
static const struct handshake_local *local;
static struct incoming *incoming;

static void address_text(const struct sockaddr_storage *addr, char *text)
{
	const void *at = &((const struct sockaddr_in *)addr)->sin_addr;

	if (addr->ss_family == AF_INET6)
		at = &((const struct sockaddr_in6 *)addr)->sin6_addr;
	if (!inet_ntop(addr->ss_family, at, text, INET6_ADDRSTRLEN))
		strcpy(text, "?");
}

static void incoming_unlink(struct incoming *in)
{
	struct incoming **at = &incoming;

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
}

static void accept_done(void *owner, uint16_t partid,
			const struct handshake_result *result,
			const char *reason)
{
	struct incoming *in = owner;

	incoming_unlink(in);
	if (result)
		peer_session_start(result);
	else if (partid)
		log_warning("partition %u refused, at %s: %s", partid,
			    in->address, reason);
	else
		log_warning("connection from %s refused: %s", in->address,
			    reason);
	free(in);
}

static const struct handshake_ops accept_ops = {
	.expect = peer_expect,
	.done = accept_done,
};

static bool too_many(const char *address)
{
	unsigned int all = 0, same = 0;
	const struct incoming *in;

	for (in = incoming; in; in = in->next) {
		all++;
		same += !strcmp(in->address, address);
	}
	return all >= HANDSHAKES_MAX || same >= HANDSHAKES_PER_ADDRESS;
}

/* Owns @fd: it is closed when no handshake begins. */
static void begin(int fd, const struct sockaddr_storage *addr)
{
	struct incoming *in = calloc(1, sizeof(*in));
	int one = 1;

	if (!in) {
		log_error("no memory for a connection; free some");
		goto close_fd;
	}
	address_text(addr, in->address);
	if (too_many(in->address)) {
		log_warning(
			"connection from %s refused: too many handshakes are under way; find who opens them",
			in->address);
		goto free_incoming;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	in->handshake = handshake_accept(local, fd, &accept_ops, in);
	if (!in->handshake)
		goto free_incoming;
	in->next = incoming;
	incoming = in;
	return;

free_incoming:
	free(in);
close_fd:
	close(fd);
}

static void throttle_end(struct loop_timer *timer)
{
	(void)timer;
	loop_change(&source, EPOLLIN);
}

static void ready(struct loop_source *src, uint32_t events)
{
	struct sockaddr_storage addr = {};
	socklen_t length = sizeof(addr);
	int fd;

	(void)events;
	fd = accept4(src->fd, (struct sockaddr *)&addr, &length,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		begin(fd, &addr);
		return;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		/* The connection stays in the queue: it would be ready at once. */
		log_error(
			"accept: %m; free memory or raise LimitNOFILE, it is tried again in %d ms",
			THROTTLE_MS);
		loop_change(src, 0);
		loop_timer_set(&throttle, THROTTLE_MS);
		break;
	default:
		/* The connection ended before it was accepted. */
		break;
	}
}

/**
 * listen_init - let peers connect
 * @address: where
 * @self:    this side; must outlive listen_exit()
 *
 * Return: 0, or -1 after logging why.
 */
int listen_init(const struct config_address *address,
		const struct handshake_local *self)
{
	char text[INET6_ADDRSTRLEN];
	int one = 1;

	local = self;
	address_text(&address->addr, text);
	source.ready = ready;
	source.fd = socket(address->addr.ss_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (source.fd < 0) {
		log_error(
			"no socket to listen with: %m; free memory or raise LimitNOFILE");
		return -1;
	}
	if (setsockopt(source.fd, SOL_SOCKET, SO_REUSEADDR, &one,
		       sizeof(one)) ||
	    bind(source.fd, (const struct sockaddr *)&address->addr,
		 address->length) ||
	    listen(source.fd, HANDSHAKES_MAX)) {
		log_error(
			"cannot listen on %s: %m; correct \"listen\", or end what uses the port",
			text);
		goto close_fd;
	}
	if (loop_add(&source, EPOLLIN))
		goto close_fd;
	throttle.fire = throttle_end;
	return 0;

close_fd:
	close(source.fd);
	return -1;
}

/**
 * listen_exit - stop listening and break handshakes off
 */
void listen_exit(void)
{
	struct incoming *in;

	while ((in = incoming)) {
		incoming = in->next;
		handshake_destroy(in->handshake);
		free(in);
	}
	loop_timer_cancel(&throttle);
	loop_remove(&source);
	close(source.fd);
}
