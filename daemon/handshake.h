/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_HANDSHAKE_H
#define XPMEMD_HANDSHAKE_H

#include <stdint.h>

#include "message.h"

/* Why many of them end. */
#define HANDSHAKE_CLOSED "the other side closed the connection; see its log"
#define HANDSHAKE_SILENT "no answer within 10 seconds; see firewalls on the way"

#define HANDSHAKE_TIMEOUT_MS 10000

/**
 * struct handshake_local - this side
 * @partid:      this partition
 * @version_min: oldest wire version we speak
 * @version_max: newest
 * @page_size:   bytes
 * @machine:     EM_* of our programs
 * @boot_id:     of this kernel
 */
struct handshake_local {
	uint16_t partid;
	uint16_t version_min;
	uint16_t version_max;
	uint32_t page_size;
	uint16_t machine;
	uint8_t boot_id[XPMEM_BOOT_ID_LEN];
};

/**
 * struct handshake_terms - what this side wants to agree on with a peer
 * @fabric:   enum xpmem_fabric
 * @security: enum xpmem_security
 */
struct handshake_terms {
	uint16_t fabric;
	uint16_t security;
};

/**
 * struct handshake_result - what two partitions agreed on
 * @fd:        the connected socket; the receiver's to close.  With TLS, the
 *             kernel encrypts already
 * @partid:    the other side
 * @version:   wire version
 * @page_size: bytes
 * @security:  enum xpmem_security
 * @epoch:     the same on both sides, not 0
 * @boot_id:   of the other side
 */
struct handshake_result {
	int fd;
	uint16_t partid;
	uint32_t version;
	uint32_t page_size;
	uint16_t security;
	uint64_t epoch;
	uint8_t boot_id[XPMEM_BOOT_ID_LEN];
};

struct handshake;

/**
 * struct handshake_ops - what a handshake asks of its owner
 * @expect: may a session with the partition whose HELLO this is begin?
 *          Fills in the terms and returns 0, or returns -1 with the reason
 *          filled in (REASON_SIZE bytes).
 * @done:   called exactly once, unless handshake_destroy() comes first; the
 *          handshake is gone then.  @result is NULL on failure, and @reason
 *          says why; @partid is 0 when the other side never said who it is.
 */
struct handshake_ops {
	int (*expect)(void *owner, const struct message_hello *hello,
		      struct handshake_terms *terms, char *reason);
	void (*done)(void *owner, uint16_t partid,
		     const struct handshake_result *result, const char *reason);
};

int handshake_local_init(struct handshake_local *local, uint16_t partid);
struct handshake *handshake_connect(const struct handshake_local *local, int fd,
				    uint16_t partid,
				    const struct handshake_terms *terms,
				    const struct handshake_ops *ops,
				    void *owner);
struct handshake *handshake_accept(const struct handshake_local *local, int fd,
				   const struct handshake_ops *ops,
				   void *owner);
void handshake_destroy(struct handshake *hs);

#endif
