/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A connection of xpmemctl: control.c has its socket, request.c does what it
 * asks for, wait.c what takes long.
 */
#ifndef XPMEMD_CLIENT_H
#define XPMEMD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "control.h"
#include "loop.h"

/* What a client waits for. */
enum client_wait {
	CLIENT_WAIT_NONE,
	CLIENT_WAIT_UP,
	CLIENT_WAIT_LOST,
};

/**
 * struct client - a connection of xpmemctl
 * @next:    any order
 * @source:  its socket
 * @timer:   ends a wait
 * @wait:    what for
 * @ids:     whom for
 * @nids:    how many; 0 with CLIENT_WAIT_UP: all peers
 * @request: the line so far
 * @got:     bytes of it
 * @answer:  being sent, once @ended
 * @length:  bytes of it
 * @sent:    bytes that left
 * @ended:   the answer is complete
 */
struct client {
	struct client *next;
	struct loop_source source;
	struct loop_timer timer;
	enum client_wait wait;
	uint16_t *ids;
	unsigned int nids;
	char request[CONTROL_REQUEST_MAX];
	size_t got;
	char *answer;
	size_t length;
	size_t sent;
	bool ended;
};

/* control.c */
__attribute__((format(printf, 2, 3))) void client_say(struct client *client,
						      const char *fmt, ...);
void client_answer(struct client *client, const char *reason);

/* request.c */
void request_handle(struct client *client, char *line);
void request_init(const struct config *config, int (*reload)(char *reason));
void request_reload(const struct config *config);
int request_parse_id(const char *word, uint16_t *id, char *reason);

/* wait.c */
void wait_start(struct client *client, enum client_wait wait, char **words,
		unsigned int nwords);
void wait_check(struct client *client);

#endif
