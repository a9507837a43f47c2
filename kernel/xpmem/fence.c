// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a quarantine.  The step before is session.c, where a session was
 * lost, and xpmemd, which made sure that its partition reaches nothing.
 *
 * Invariant: what is released is what one session held that was lost, named by
 * its epoch: nothing that was lost after the fence began.
 */
#include <linux/netlink.h>
#include <linux/string.h>

#include "xpmem.h"

static struct xpmem_session *session_get_epoch(u16 partid, u64 epoch)
{
	struct xpmem_session *session, *found = NULL;
	unsigned int slot;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS && !found; slot++) {
		session = xpmem_home.sessions[slot];
		if (session && session->partid == partid &&
		    session->epoch == epoch) {
			kref_get(&session->ref);
			found = session;
		}
	}
	spin_unlock(&xpmem_home.lock);
	return found;
}

/* The same boot of a partition that was lost has come back, and is alive. */
static bool came_back(const struct xpmem_session *old)
{
	const struct xpmem_session *session;
	unsigned int slot;
	bool same = false;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS && !same; slot++) {
		session = xpmem_home.sessions[slot];
		same = session && session->partid == old->partid &&
		       session->phase == XPMEM_PEER_UP &&
		       !memcmp(session->boot_id, old->boot_id,
			       sizeof(old->boot_id));
	}
	spin_unlock(&xpmem_home.lock);
	return same;
}

/* May what a session held be let go?  @extack says why not. */
static int check_fence(const struct xpmem_session *session,
		       struct netlink_ext_ack *extack)
{
	bool up, settled;

	spin_lock(&xpmem_home.lock);
	up = session->phase == XPMEM_PEER_UP;
	settled = session->settled;
	spin_unlock(&xpmem_home.lock);
	if (up) {
		NL_SET_ERR_MSG(extack, "the session with this epoch is up");
		return -EBUSY;
	}
	if (!settled) {
		NL_SET_ERR_MSG(extack, "the session is still ending");
		return -EAGAIN;
	}
	if (came_back(session)) {
		NL_SET_ERR_MSG(
			extack,
			"the partition is up and was not restarted: it is not fenced");
		return -EBUSY;
	}
	return 0;
}

/* Of two who come at the same time one releases the pages: true for that one. */
static bool session_forget(struct xpmem_session *session, u64 *pages)
{
	unsigned int actions;

	spin_lock(&xpmem_home.lock);
	actions = xpmem_peer_event(&session->phase, XPMEM_PEER_EV_FENCE);
	if (actions & XPMEM_PEER_RELEASE)
		xpmem_home.lost &= ~(1ull << session->slot);
	spin_unlock(&xpmem_home.lock);
	if (!(actions & XPMEM_PEER_RELEASE))
		return false;
	*pages = xpmem_reap_slot(session->slot, XPMEM_ENTRY_EV_FENCED);
	xpmem_count_sub(quarantine, *pages);
	xpmem_session_slot_free(session);
	return true;
}

/**
 * xpmem_fence_session - a partition can reach nothing any more of one session
 * @partid: the partition; the administrator's word is taken for it
 * @epoch:  of the session that was lost: what was lost later, a fence that was
 *          begun before says nothing about
 * @pages:  filled in: pages released from quarantine
 * @extack: says what is wrong
 *
 * Context: process; may sleep.
 * Return: 0; -ENOENT if no such session was lost with pages in quarantine;
 * -EAGAIN while it is ending; -EBUSY if it is up, or the partition is and was
 * not restarted since: then it is not fenced, whatever anybody says.
 */
int xpmem_fence_session(u16 partid, u64 epoch, u64 *pages,
			struct netlink_ext_ack *extack)
{
	struct xpmem_session *session = session_get_epoch(partid, epoch);
	int err = session ? check_fence(session, extack) : -ENOENT;

	*pages = 0;
	if (!err && !session_forget(session, pages))
		err = -ENOENT;
	if (err == -ENOENT)
		NL_SET_ERR_MSG(
			extack,
			"no session with this partition and epoch was lost");
	if (session)
		xpmem_session_put(session);
	return err;
}
