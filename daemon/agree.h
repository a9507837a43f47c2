/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_AGREE_H
#define XPMEMD_AGREE_H

#include <stdint.h>

#include "auth.h"
#include "message.h"
#include "prove.h"
#include "tls.h"

enum handshake_role {
	HANDSHAKE_CONNECTOR = 1, /* the lower partid */
	HANDSHAKE_ACCEPTOR = 2,
};

/**
 * struct agreement - what two daemons tell each other
 * @role:    our role
 * @mine:    the HELLO that we send
 * @theirs:  the HELLO that came; its partid is the expected one before
 * @version: agreed wire version
 * @secrets: the connector's, then the acceptor's; told only inside credentials
 */
struct agreement {
	enum handshake_role role;
	struct message_hello mine;
	struct message_hello theirs;
	uint32_t version;
	uint8_t secrets[2][AUTH_SECRET_LEN];
};

int agree_hellos(struct agreement *agreement, char *reason);
struct prove *agree_prove(struct agreement *agreement, char *credential,
			  prove_done_t done, void *owner, char *reason);
struct prove *agree_verify(struct agreement *agreement, char *credential,
			   prove_done_t done, void *owner, char *reason);
uint64_t agree_epoch(const struct agreement *agreement);
int agree_psk(const struct agreement *agreement, uint8_t psk[TLS_PSK_LEN],
	      char *reason);
const char *agree_security_name(uint16_t security);

#endif
