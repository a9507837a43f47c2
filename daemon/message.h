/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What two daemons say to each other before the kernels talk.  Fixed-width
 * little-endian; zero is never a valid type, status, version or id.
 *
 *	connector (lower partid)	acceptor
 *	HELLO -->
 *					<-- HELLO
 *	AUTH -->
 *					<-- AUTH, READY
 *	READY -->
 *	TLS ClientHello -->		(unless both want no TLS)
 *					<-- TLS ServerHello ... Finished
 *	TLS Finished -->
 *
 * The acceptor, whom anybody can call, gives no credential of root's away
 * before it has seen one.
 * Whoever refuses sends READY with a reason instead of its next message.
 */
#ifndef XPMEMD_MESSAGE_H
#define XPMEMD_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/xpmem_netlink.h>

#define MESSAGE_MAGIC 0x444d5058u /* "XPMD" */
#define MESSAGE_VERSION_MIN 3
#define MESSAGE_VERSION_MAX 3
#define MESSAGE_NONCE_LEN 32

enum message_type {
	MESSAGE_HELLO = 1,
	MESSAGE_AUTH = 2,
	MESSAGE_READY = 3,
};

enum message_status {
	MESSAGE_STATUS_READY = 1,
	MESSAGE_STATUS_REFUSED = 2,
};

/* Longest payloads, and the longest of all. */
#define MESSAGE_CREDENTIAL_MAX 4096
#define MESSAGE_REASON_MAX 255
#define MESSAGE_PAYLOAD_MAX MESSAGE_CREDENTIAL_MAX

/* As on the wire. */
struct message_wire_header {
	uint32_t length; /* of the payload, bytes */
	uint16_t type;
	uint16_t zero;
};

struct message_wire_hello {
	uint32_t magic;
	uint16_t version_min;
	uint16_t version_max;
	uint32_t page_size;
	uint16_t machine;
	uint16_t fabric;
	uint16_t partid;
	uint16_t peer;
	uint16_t security;
	uint16_t zero;
	uint8_t boot_id[XPMEM_BOOT_ID_LEN];
	uint8_t nonce[MESSAGE_NONCE_LEN];
};

struct message_wire_ready {
	uint32_t status;
	char reason[]; /* up to the end of the payload, not terminated */
};

_Static_assert(sizeof(struct message_wire_header) == 8, "wire format");
_Static_assert(offsetof(struct message_wire_hello, boot_id) == 24,
	       "wire format");
_Static_assert(sizeof(struct message_wire_hello) == 72, "wire format");
_Static_assert(sizeof(struct message_wire_ready) == 4, "wire format");

#define MESSAGE_SIZE_MAX \
	(sizeof(struct message_wire_header) + MESSAGE_PAYLOAD_MAX)

/**
 * struct message_hello - who speaks, in this machine's byte order
 * @version_min: oldest wire version that it speaks
 * @version_max: newest
 * @page_size:   bytes
 * @machine:     EM_* of its programs
 * @fabric:      enum xpmem_fabric that it wants to use with the other
 * @partid:      its id
 * @peer:        the id that it takes the other for
 * @security:    enum xpmem_security that it wants for the session
 * @boot_id:     of its kernel
 * @nonce:       fresh random bytes
 */
struct message_hello {
	uint16_t version_min;
	uint16_t version_max;
	uint32_t page_size;
	uint16_t machine;
	uint16_t fabric;
	uint16_t partid;
	uint16_t peer;
	uint16_t security;
	uint8_t boot_id[XPMEM_BOOT_ID_LEN];
	uint8_t nonce[MESSAGE_NONCE_LEN];
};

/**
 * struct message_ready - consent, or not
 * @status: enum message_status
 * @reason: printable; empty with MESSAGE_STATUS_READY
 */
struct message_ready {
	uint32_t status;
	char reason[MESSAGE_REASON_MAX + 1];
};

size_t message_put_hello(uint8_t *buffer, const struct message_hello *hello);
size_t message_put_auth(uint8_t *buffer, const char *credential);
size_t message_put_ready(uint8_t *buffer, const struct message_ready *ready);

int message_get_header(const uint8_t *buffer, enum message_type *type,
		       uint32_t *length, char *reason);
int message_get_hello(const uint8_t *payload, uint32_t length,
		      struct message_hello *hello, char *reason);
int message_get_auth(const uint8_t *payload, uint32_t length,
		     char credential[MESSAGE_CREDENTIAL_MAX + 1], char *reason);
int message_get_ready(const uint8_t *payload, uint32_t length,
		      struct message_ready *ready, char *reason);

#endif
