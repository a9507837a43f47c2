// SPDX-License-Identifier: GPL-2.0-only
/* In place of kernel.c and events.c: a module that only keeps a list. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fake_kernel.h"

struct fake_kernel fake_kernel;

int kernel_session_add(const struct kernel_session_params *params, char *reason)
{
	struct fake_kernel *k = &fake_kernel;
	struct kernel_session *session;

	if (k->refusal) {
		k->refused++;
		reason_set(reason, "refused by the test");
		return k->refusal;
	}
	k->last = *params;
	k->last.fd = dup(params->fd);
	session = &k->sessions[k->n++];
	*session = (struct kernel_session){
		.partid = params->partid,
		.state = XPMEM_SESSION_STATE_UP,
		.epoch = params->epoch,
		.security = params->security,
		.uid_min = params->uid_min,
		.uid_max = params->uid_max,
		.root_squash = params->root_squash,
		.address_length = sizeof(session->address),
	};
	strcpy(session->window, params->window);
	if (getpeername(params->fd, (struct sockaddr *)&session->address,
			&session->address_length))
		session->address_length = 0;
	k->added++;
	return 0;
}

static int forget(uint16_t partid)
{
	struct fake_kernel *k = &fake_kernel;
	unsigned int i;

	for (i = 0; i < k->n; i++) {
		if (k->sessions[i].partid == partid) {
			k->sessions[i] = k->sessions[--k->n];
			return 0;
		}
	}
	return -ENOENT;
}

int kernel_session_del(uint16_t partid, char *reason)
{
	/* Nor may this be asked while that is answered. */
	assert(!fake_kernel.asked);
	if (fake_kernel.stuck) {
		fake_kernel.stuck--;
		reason_set(reason, "no memory, says the test");
		return -ENOMEM;
	}
	fake_kernel.deleted++;
	reason_set(reason, "no such session");
	return forget(partid);
}

int kernel_session_each(void (*each)(const struct kernel_session *session,
				     void *arg),
			void *arg, char *reason)
{
	unsigned int i;

	if (fake_kernel.deaf) {
		fake_kernel.deaf--;
		reason_set(reason, "no memory, says the test");
		return -ENOMEM;
	}
	/* The module's answers to two requests would be mixed up. */
	assert(!fake_kernel.asked);
	fake_kernel.asked = true;
	for (i = 0; i < fake_kernel.n; i++)
		each(&fake_kernel.sessions[i], arg);
	fake_kernel.asked = false;
	return 0;
}

int kernel_stats_get(struct kernel_stats *stats, char *reason)
{
	(void)reason;
	*stats = (struct kernel_stats){ .partid = 3, .mode = "rmap" };
	return 0;
}

int kernel_peer_each(void (*each)(const struct kernel_peer *peer, void *arg),
		     void *arg, char *reason)
{
	const struct kernel_peer peer = {
		.partid = 2,
		.evictions = 5,
		.wait_p99_us = 99,
	};

	(void)reason;
	each(&peer, arg);
	return 0;
}

int kernel_fence(uint16_t partid, uint64_t epoch, uint64_t *released,
		 char *reason)
{
	struct fake_kernel *k = &fake_kernel;
	unsigned int i;

	if (k->ending) {
		k->ending--;
		reason_set(reason, "still ending, says the test");
		return -EAGAIN;
	}
	for (i = 0; i < k->n; i++) {
		if (k->sessions[i].partid != partid ||
		    k->sessions[i].epoch != epoch)
			continue;
		if (k->sessions[i].state != XPMEM_SESSION_STATE_LOST) {
			reason_set(reason, "it is up, says the test");
			return -EBUSY;
		}
		*released = 7;
		k->fenced++;
		k->sessions[i] = k->sessions[--k->n];
		return 0;
	}
	reason_set(reason, "no such epoch, says the test");
	return -ENOENT;
}

int kernel_events_init(const struct kernel_events_ops *ops, char *reason)
{
	(void)reason;
	fake_kernel.events = ops;
	return 0;
}

void kernel_events_exit(void)
{
	fake_kernel.events = NULL;
}

/**
 * fake_kernel_have - add a session, and tell nobody
 * @partid: with whom
 * @state:  up or lost
 * @epoch:  of it
 */
void fake_kernel_have(uint16_t partid, uint32_t state, uint64_t epoch)
{
	assert(fake_kernel.n < FAKE_SESSIONS);
	fake_kernel.sessions[fake_kernel.n++] = (struct kernel_session){
		.partid = partid,
		.state = state,
		.epoch = epoch,
		.quarantine = state == XPMEM_SESSION_STATE_LOST ? 7 : 0,
		.lost_ms = 5000,
	};
}

/**
 * fake_kernel_lose - lose the session with a partition, and tell so
 * @partid: the partition
 */
void fake_kernel_lose(uint16_t partid)
{
	struct kernel_session session = fake_kernel.sessions[0];

	assert(session.partid == partid);
	forget(partid);
	close(fake_kernel.last.fd);
	session.state = XPMEM_SESSION_STATE_LOST;
	strcpy(session.reason, "the test says so");
	fake_kernel.events->session(&session);
}
