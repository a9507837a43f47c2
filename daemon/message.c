// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encoding and decoding of the daemons' messages.
 * Invariant: what a decoder lets through is within every limit of message.h,
 * whatever the bytes were.
 */
#include <endian.h>
#include <string.h>

#include "log.h"
#include "message.h"

/* What no xpmemd of this version sends: what to do about it. */
#define UPDATE "; update the older xpmemd"

static size_t put_header(uint8_t *buffer, enum message_type type, size_t length)
{
	struct message_wire_header header = {
		.length = htole32((uint32_t)length),
		.type = htole16((uint16_t)type),
	};

	memcpy(buffer, &header, sizeof(header));
	return sizeof(header) + length;
}

/**
 * message_put_hello - encode a HELLO
 * @buffer: MESSAGE_SIZE_MAX bytes
 * @hello:  what it says
 *
 * Return: bytes used.
 */
size_t message_put_hello(uint8_t *buffer, const struct message_hello *hello)
{
	struct message_wire_hello wire = {
		.magic = htole32(MESSAGE_MAGIC),
		.version_min = htole16(hello->version_min),
		.version_max = htole16(hello->version_max),
		.page_size = htole32(hello->page_size),
		.machine = htole16(hello->machine),
		.fabric = htole16(hello->fabric),
		.partid = htole16(hello->partid),
		.peer = htole16(hello->peer),
		.security = htole16(hello->security),
	};

	memcpy(wire.boot_id, hello->boot_id, sizeof(wire.boot_id));
	memcpy(wire.nonce, hello->nonce, sizeof(wire.nonce));
	memcpy(buffer + sizeof(struct message_wire_header), &wire,
	       sizeof(wire));
	return put_header(buffer, MESSAGE_HELLO, sizeof(wire));
}

/**
 * message_put_auth - encode an AUTH
 * @buffer:     MESSAGE_SIZE_MAX bytes
 * @credential: at most MESSAGE_CREDENTIAL_MAX characters
 *
 * Return: bytes used.
 */
size_t message_put_auth(uint8_t *buffer, const char *credential)
{
	size_t length = strnlen(credential, MESSAGE_CREDENTIAL_MAX);

	memcpy(buffer + sizeof(struct message_wire_header), credential, length);
	return put_header(buffer, MESSAGE_AUTH, length);
}

/**
 * message_put_ready - encode a READY
 * @buffer: MESSAGE_SIZE_MAX bytes
 * @ready:  what it says
 *
 * Return: bytes used.
 */
size_t message_put_ready(uint8_t *buffer, const struct message_ready *ready)
{
	struct message_wire_ready wire = { .status = htole32(ready->status) };
	size_t length = strnlen(ready->reason, MESSAGE_REASON_MAX);

	buffer += sizeof(struct message_wire_header);
	memcpy(buffer, &wire, sizeof(wire));
	memcpy(buffer + sizeof(wire), ready->reason, length);
	buffer -= sizeof(struct message_wire_header);
	return put_header(buffer, MESSAGE_READY, sizeof(wire) + length);
}

/**
 * message_get_header - decode what precedes each payload
 * @buffer: sizeof(struct message_wire_header) bytes
 * @type:   filled in
 * @length: filled in: bytes of the payload, at most MESSAGE_PAYLOAD_MAX
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int message_get_header(const uint8_t *buffer, enum message_type *type,
		       uint32_t *length, char *reason)
{
	struct message_wire_header wire;
	uint32_t min, max;

	memcpy(&wire, buffer, sizeof(wire));
	*length = le32toh(wire.length);
	switch (le16toh(wire.type)) {
	case MESSAGE_HELLO:
		min = max = sizeof(struct message_wire_hello);
		break;
	case MESSAGE_AUTH:
		min = 1;
		max = MESSAGE_CREDENTIAL_MAX;
		break;
	case MESSAGE_READY:
		min = sizeof(struct message_wire_ready);
		max = min + MESSAGE_REASON_MAX;
		break;
	default:
		return reason_set(reason, "a message of unknown type %u" UPDATE,
				  le16toh(wire.type));
	}
	*type = le16toh(wire.type);
	if (wire.zero)
		return reason_set(reason,
				  "a message with unknown flags %#x" UPDATE,
				  le16toh(wire.zero));
	if (*length < min || *length > max)
		return reason_set(
			reason,
			"a message of type %u with %u bytes, not %u to %u" UPDATE,
			*type, *length, min, max);
	return 0;
}

/**
 * message_get_hello - decode the payload of a HELLO
 * @payload: the bytes
 * @length:  how many
 * @hello:   filled in
 * @reason:  REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int message_get_hello(const uint8_t *payload, uint32_t length,
		      struct message_hello *hello, char *reason)
{
	struct message_wire_hello wire;

	if (length != sizeof(wire))
		return reason_set(reason, "a HELLO of %u bytes" UPDATE, length);
	memcpy(&wire, payload, sizeof(wire));
	if (le32toh(wire.magic) != MESSAGE_MAGIC)
		return reason_set(
			reason,
			"no xpmemd: its HELLO has magic %#x; correct its address and port",
			le32toh(wire.magic));
	*hello = (struct message_hello){
		.version_min = le16toh(wire.version_min),
		.version_max = le16toh(wire.version_max),
		.page_size = le32toh(wire.page_size),
		.machine = le16toh(wire.machine),
		.fabric = le16toh(wire.fabric),
		.partid = le16toh(wire.partid),
		.peer = le16toh(wire.peer),
		.security = le16toh(wire.security),
	};
	memcpy(hello->boot_id, wire.boot_id, sizeof(wire.boot_id));
	memcpy(hello->nonce, wire.nonce, sizeof(wire.nonce));
	if (!hello->version_min || hello->version_min > hello->version_max)
		return reason_set(reason,
				  "a HELLO with versions %u to %u" UPDATE,
				  hello->version_min, hello->version_max);
	if (!hello->partid || hello->partid > XPMEM_PARTID_MAX)
		return reason_set(reason, "a HELLO of partition %u" UPDATE,
				  hello->partid);
	if (!hello->peer || hello->peer > XPMEM_PARTID_MAX)
		return reason_set(reason, "a HELLO for partition %u" UPDATE,
				  hello->peer);
	if (!hello->page_size || !hello->machine || !hello->fabric)
		return reason_set(
			reason,
			"a HELLO with page size, machine or fabric 0" UPDATE);
	if (hello->security != XPMEM_SECURITY_TLS &&
	    hello->security != XPMEM_SECURITY_PLAIN)
		return reason_set(reason,
				  "a HELLO with unknown security %u" UPDATE,
				  hello->security);
	if (wire.zero)
		return reason_set(reason,
				  "a HELLO with unknown flags %#x" UPDATE,
				  le16toh(wire.zero));
	return 0;
}

/**
 * message_get_auth - decode the payload of an AUTH
 * @payload:    the bytes
 * @length:     how many
 * @credential: filled in, ended by a zero
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int message_get_auth(const uint8_t *payload, uint32_t length,
		     char credential[MESSAGE_CREDENTIAL_MAX + 1], char *reason)
{
	if (!length || length > MESSAGE_CREDENTIAL_MAX)
		return reason_set(reason, "an AUTH of %u bytes" UPDATE, length);
	if (memchr(payload, '\0', length))
		return reason_set(reason, "an AUTH that is no text" UPDATE);
	memcpy(credential, payload, length);
	credential[length] = '\0';
	return 0;
}

/**
 * message_get_ready - decode the payload of a READY
 * @payload: the bytes
 * @length:  how many
 * @ready:   filled in; its reason is made printable
 * @reason:  REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int message_get_ready(const uint8_t *payload, uint32_t length,
		      struct message_ready *ready, char *reason)
{
	struct message_wire_ready wire;

	if (length < sizeof(wire) || length > sizeof(wire) + MESSAGE_REASON_MAX)
		return reason_set(reason, "a READY of %u bytes" UPDATE, length);
	memcpy(&wire, payload, sizeof(wire));
	ready->status = le32toh(wire.status);
	if (ready->status != MESSAGE_STATUS_READY &&
	    ready->status != MESSAGE_STATUS_REFUSED)
		return reason_set(reason,
				  "a READY with unknown status %u" UPDATE,
				  ready->status);
	length -= (uint32_t)sizeof(wire);
	memcpy(ready->reason, payload + sizeof(wire), length);
	ready->reason[length] = '\0';
	reason_clean(ready->reason);
	return 0;
}
