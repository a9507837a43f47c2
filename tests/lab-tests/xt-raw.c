// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: the other side of a session, by hand.
 */
#include "xt-raw.h"
#include "xt.h"

#include <endian.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

void xt_raw_start(struct xt_raw *raw)
{
	xt_nl_open(&raw->nl);
	xt_nl_open(&raw->events);
	xt_nl_listen(&raw->events);
	xt_session_good(&raw->params);
	raw->fd = -1;
}

void xt_raw_connect(struct xt_raw *raw)
{
	int ends[2], error;

	xt_tcp_pair(ends);
	raw->params.fd = ends[0];
	raw->params.epoch++;
	error = xt_session_add(&raw->nl, &raw->params);
	xt_need(!error, "session-add: errno %d: %s", error, raw->nl.message);
	/* As the daemon does: the kernel has it now. */
	close(ends[0]);
	raw->fd = ends[1];
}

void xt_raw_open(struct xt_raw *raw)
{
	uint32_t terms[4] = {
		htole32(raw->params.heartbeat_ms),
		htole32(raw->params.deadline_ms),
		htole32(raw->params.deadline_ms - raw->params.heartbeat_ms),
	};

	xt_raw_connect(raw);
	xt_raw_send(raw, TERMS, terms, sizeof(terms));
}

void xt_raw_put(struct xt_raw *raw, const void *data, size_t len)
{
	if (send(raw->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		xt_note("the session ended while we sent");
}

struct xt_raw_header xt_raw_header(const struct xt_raw *raw, int type,
				   uint32_t length)
{
	struct xt_raw_header h = {
		.type = htole16(type),
		.length = htole32(length),
		.epoch = htole64(raw->params.epoch),
		.seq = htole64(type == REVOKE),
	};

	return h;
}

void xt_raw_send(struct xt_raw *raw, int type, const void *payload,
		 uint32_t length)
{
	struct xt_raw_header h = xt_raw_header(raw, type, length);

	xt_raw_put(raw, &h, sizeof(h));
	if (length)
		xt_raw_put(raw, payload, length);
}

int xt_raw_next(struct xt_raw *raw, void *payload, size_t size)
{
	struct xt_raw_header h;

	if (recv(raw->fd, &h, sizeof(h), MSG_WAITALL) != sizeof(h))
		return 0;
	if (h.length > size)
		return -1;
	if (h.length &&
	    recv(raw->fd, payload, h.length, MSG_WAITALL) != h.length)
		return 0;
	raw->seq = h.seq;
	return h.type;
}

int xt_raw_receive(struct xt_raw *raw, void *payload, size_t size)
{
	int type;

	for (;;) {
		type = xt_raw_next(raw, payload, size);
		if (type == PING)
			xt_raw_send(raw, PONG, payload, 16);
		else if (type != PONG && type != TERMS)
			return type;
	}
}

const char *xt_raw_reason(struct xt_raw *raw)
{
	return xt_session_end(&raw->events, raw->params.partid);
}

void xt_raw_ends(struct xt_raw *raw, const char *what, const char *want)
{
	const char *why = xt_raw_reason(raw);

	xt_ok(strstr(why, want) != NULL, "%s: ended, \"%s\"", what, why);
	close(raw->fd);
	raw->fd = -1;
}
