/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_PEER_H
#define XPMEMD_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"

/*
 *	DOWN ----connect----> CONNECTING ----handshake----> UP
 *	  ^                       |                         |
 *	  +------- failed --------+      session ended      |
 *	  +-------------------------------------------------+
 *
 * The higher partid of two never connects: DOWN is followed by UP.
 */
enum peer_state {
	PEER_DOWN = 1,
	PEER_CONNECTING,
	PEER_UP,
};

/**
 * struct peer - another partition
 * @next:       in partid order
 * @config:     what the file says of it
 * @state:      see above
 * @epoch:      of the session, in PEER_UP
 * @since:      when it came up, by loop_now()
 * @boot_known: @boot_id is that of the session's other side
 * @boot_id:    so that a restart is noticed before the deadline is
 * @handshake:  under way, in PEER_CONNECTING
 * @retry:      connects again
 * @backoff_ms: before the next attempt
 * @reason:     why the session is not up
 * @kept:       private to peer_reload() and learn_sessions()
 * @outdated:   private to learn_sessions()
 */
struct peer {
	struct peer *next;
	struct config_peer config;
	enum peer_state state;
	uint64_t epoch;
	uint64_t since;
	bool boot_known;
	uint8_t boot_id[XPMEM_BOOT_ID_LEN];
	struct handshake *handshake;
	struct loop_timer retry;
	unsigned int backoff_ms;
	char reason[REASON_SIZE];
	bool kept;
	bool outdated;
};

int peer_init(const struct config *config, const struct handshake_local *local,
	      void (*changed)(void));
void peer_exit(void);
int peer_reload(const struct config *config);
int peer_expect(void *owner, const struct message_hello *hello,
		struct handshake_terms *terms, char *reason);
void peer_session_start(const struct handshake_result *result);
const struct peer *peer_first(void);
const struct peer *peer_find(uint16_t partid);
const char *peer_state_name(const struct peer *peer);

#endif
