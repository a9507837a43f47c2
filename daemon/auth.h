/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_AUTH_H
#define XPMEMD_AUTH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "message.h"

#define AUTH_LABEL "xpmem session\n\n"
#define AUTH_SECRET_LEN 32

/**
 * struct auth_claim - what a credential is for, and nothing else
 * @label:     AUTH_LABEL
 * @role:      of the side that made it
 * @partid:    of the side that made it
 * @peer:      of the other side
 * @fabric:    agreed
 * @version:   agreed wire version
 * @page_size: agreed, bytes
 * @machine:   agreed EM_*
 * @security:  agreed
 * @versions:  the oldest and the newest that the connector speaks, then the
 *             acceptor: nobody between them can make them agree on less
 * @zero:      zero
 * @nonces:    the connector's, then the acceptor's
 * @boot_ids:  the connector's, then the acceptor's
 *
 * Little-endian: both sides compare the bytes.
 */
struct auth_claim {
	char label[16];
	uint16_t role;
	uint16_t partid;
	uint16_t peer;
	uint16_t fabric;
	uint32_t version;
	uint32_t page_size;
	uint16_t machine;
	uint16_t security;
	uint16_t versions[2][2];
	uint16_t zero[2];
	uint8_t nonces[2][MESSAGE_NONCE_LEN];
	uint8_t boot_ids[2][XPMEM_BOOT_ID_LEN];
};

_Static_assert(sizeof(AUTH_LABEL) == sizeof(((struct auth_claim *)0)->label),
	       "the label fills its place");
_Static_assert(sizeof(struct auth_claim) == 144, "no padding in a claim");

/**
 * struct auth_payload - what munge encrypts: only the user for whom it is can
 * have it decrypted, on a machine that has the same key
 * @claim:  what the credential is for
 * @secret: its maker's part of the session's key
 */
struct auth_payload {
	struct auth_claim claim;
	uint8_t secret[AUTH_SECRET_LEN];
};

void auth_init(const char *socket, uid_t uid);
int auth_create(const struct auth_claim *claim,
		const uint8_t secret[AUTH_SECRET_LEN],
		char credential[MESSAGE_CREDENTIAL_MAX + 1], char *reason);
int auth_verify(const struct auth_claim *claim, uint8_t secret[AUTH_SECRET_LEN],
		const char *credential, char *reason);

#endif
