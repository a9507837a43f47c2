// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that are answered when sessions come up or are lost.  The step
 * before is request.c, the news come from peer.c by way of control.c.
 * Invariant: a client that waits is answered once, when it has what it wants or
 * when its time is over.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "peer.h"

static bool is_up(uint16_t id)
{
	const struct peer *peer = peer_find(id);

	return peer && peer->state == PEER_UP;
}

/*
 * Lists in @missing, "" when the wait is over, the partitions that are not as
 * they should be.
 */
static void find_missing(const struct client *client, char *missing)
{
	const struct peer *peer;
	size_t length = 0;
	unsigned int i;

	missing[0] = '\0';
	if (client->wait == CLIENT_WAIT_UP && !client->nids) {
		for (peer = peer_first(); peer; peer = peer->next) {
			if (peer->state != PEER_UP && length < REASON_SIZE / 2)
				length += (size_t)sprintf(missing + length,
							  " %u",
							  peer->config.partid);
		}
	}
	for (i = 0; i < client->nids; i++) {
		if (is_up(client->ids[i]) != (client->wait == CLIENT_WAIT_UP) &&
		    length < REASON_SIZE / 2)
			length += (size_t)sprintf(missing + length, " %u",
						  client->ids[i]);
	}
}

static void timeout(struct loop_timer *timer)
{
	struct client *client = container_of(timer, struct client, timer);
	char missing[REASON_SIZE], reason[REASON_SIZE];

	find_missing(client, missing);
	reason_set(
		reason,
		client->wait == CLIENT_WAIT_UP ?
			"not up in time: partition%.200s; see xpmemctl status" :
			"still up: partition%.190s; see xpmemctl status",
		missing);
	client_answer(client, reason);
}

/**
 * wait_check - sessions changed: is a client's wait over?
 * @client: the client, perhaps one that waits for nothing
 */
void wait_check(struct client *client)
{
	char missing[REASON_SIZE];

	if (client->wait == CLIENT_WAIT_NONE)
		return;
	find_missing(client, missing);
	if (!*missing)
		client_answer(client, NULL);
}

/* Reads the ids of @words into the client.  Returns 0 or -1. */
static int parse_ids(struct client *client, char **words, unsigned int nwords,
		     char *reason)
{
	unsigned int i;

	client->ids = calloc(nwords + 1, sizeof(*client->ids));
	if (!client->ids)
		return reason_set(reason, "no memory for ids; free some");
	client->nids = nwords;
	for (i = 0; i < nwords; i++) {
		if (request_parse_id(words[i], &client->ids[i], reason))
			return -1;
		if (!peer_find(client->ids[i]))
			return reason_set(
				reason,
				"partition %u is no peer; see xpmemctl peers",
				client->ids[i]);
	}
	return 0;
}

/**
 * wait_start - answer a client when sessions are as it wants them
 * @client: the client
 * @wait:   how
 * @words:  its request: what, milliseconds or 0, ids
 * @nwords: of them; at least 2
 */
void wait_start(struct client *client, enum client_wait wait, char **words,
		unsigned int nwords)
{
	char reason[REASON_SIZE], *end;
	unsigned long ms = strtoul(words[1], &end, 10);

	if (*end || ms > 1000ul * 1000 * 1000) {
		client_answer(
			client,
			"the time-out is no number of milliseconds; use an xpmemctl of this version");
		return;
	}
	if (parse_ids(client, words + 2, nwords - 2, reason)) {
		client_answer(client, reason);
		return;
	}
	client->wait = wait;
	client->timer.fire = timeout;
	find_missing(client, reason);
	if (!*reason)
		client_answer(client, NULL);
	else if (ms)
		loop_timer_set(&client->timer, (unsigned int)ms);
}
