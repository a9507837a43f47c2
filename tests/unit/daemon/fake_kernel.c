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

	if (k->refusal) {
		k->refused++;
		reason_set(reason, "refused by the test");
		return k->refusal;
	}
	k->last = *params;
	k->last.fd = dup(params->fd);
	k->sessions[k->n++] = (struct kernel_session){
		.partid = params->partid,
		.state = XPMEM_SESSION_STATE_UP,
		.epoch = params->epoch,
	};
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
	for (i = 0; i < fake_kernel.n; i++)
		each(&fake_kernel.sessions[i], arg);
	return 0;
}

int kernel_stats_get(struct kernel_stats *stats, char *reason)
{
	(void)reason;
	*stats = (struct kernel_stats){ .partid = 3, .mode = "rmap" };
	return 0;
}

int kernel_fence(uint16_t partid, uint64_t *released, char *reason)
{
	(void)partid;
	(void)reason;
	fake_kernel.fenced++;
	*released = 7;
	return 0;
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
