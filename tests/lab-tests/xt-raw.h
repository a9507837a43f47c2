/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A session whose other side is the test itself: it says what no partition
 * would say.
 */
#ifndef XT_RAW_H
#define XT_RAW_H

#include <stddef.h>
#include <stdint.h>

#include "xt-netlink.h"

/* The wire format, written out once more on purpose. */
enum {
	GET = 1,
	GET_REPLY,
	PUT,
	FETCH,
	GRANT,
	REVOKE,
	ACK,
	PING,
	BYE,
	LOOKUP,
	FOUND,
	TERMS,
	PONG
};
enum { OK = 1, NOENT = 2, ACCES = 3, BUSY = 6 };

struct xt_raw_header {
	uint16_t type;
	uint16_t flags;
	uint32_t length;
	uint64_t epoch;
	uint64_t seq;
};

struct xt_raw {
	struct xt_session params;
	struct xt_nl nl, events;
	int fd; /* our end of the connection */
	uint64_t seq; /* of the last message received */
};

/* To a partition that does not exist: 30 s of deadline, 1 s of heartbeat. */
void xt_raw_start(struct xt_raw *raw);
/* Hands a new connection to the kernel. */
void xt_raw_connect(struct xt_raw *raw);
/* And says what we keep to: what the kernel does. */
void xt_raw_open(struct xt_raw *raw);
void xt_raw_put(struct xt_raw *raw, const void *data, size_t len);
struct xt_raw_header xt_raw_header(const struct xt_raw *raw, int type,
				   uint32_t length);
void xt_raw_send(struct xt_raw *raw, int type, const void *payload,
		 uint32_t length);
/* The next message of any kind, into @payload; its type, or 0 at the end. */
int xt_raw_next(struct xt_raw *raw, void *payload, size_t size);
/* The next one that is about pages; pings before it are answered. */
int xt_raw_receive(struct xt_raw *raw, void *payload, size_t size);
/* The reason with which our session ended. */
const char *xt_raw_reason(struct xt_raw *raw);
/* The session ended with a reason in which @want is; our end is closed. */
void xt_raw_ends(struct xt_raw *raw, const char *what, const char *want);

#endif
