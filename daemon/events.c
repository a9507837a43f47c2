// SPDX-License-Identifier: GPL-2.0-only
/*
 * News from the module: a session came up or was lost.  The step before is
 * xpmem_netlink_session_event() in the kernel, the step after peer.c.
 * Invariant: no change stays unknown; when news were lost, peer.c is told to
 * look for itself.
 */
#include <errno.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "kernel.h"
#include "loop.h"

/* Bytes: room for every one of many sessions to be lost at once. */
#define EVENTS_BUFFER (1 << 20)

/* More than so many news the buffer cannot hold. */
#define EVENTS_MAX (EVENTS_BUFFER / NLMSG_HDRLEN)

static struct nl_sock *sock;
static const struct kernel_events_ops *events;
static struct loop_source source;
static bool discarding;

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[XPMEM_A_MAX + 1];
	struct kernel_session session;

	(void)arg;
	if (discarding)
		return NL_OK;
	if (genlmsg_hdr(nlmsg_hdr(msg))->cmd != XPMEM_CMD_SESSION_EVENT ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, attrs, XPMEM_A_MAX, NULL))
		return NL_SKIP;
	kernel_session_parse(attrs, &session);
	events->session(&session);
	return NL_OK;
}

/*
 * What is queued is older than what peer.c is about to see: the beginning of a
 * session whose end was lost would be taken for a new one.  And until the queue is
 * empty the kernel drops news without saying so again.  libnl may have no memory for
 * a message, which then stays: that is why this ends all the same.
 */
static void look_anew(void)
{
	unsigned int left = EVENTS_MAX;

	discarding = true;
	while (left-- && nl_recvmsgs_default(sock) != -NLE_AGAIN)
		;
	discarding = false;
	events->missed();
}

static void ready(struct loop_source *src, uint32_t bits)
{
	int err = nl_recvmsgs_default(sock);

	(void)src;
	(void)bits;
	/* libnl has this one name for ENOBUFS and for its own lack of memory. */
	if (err == -NLE_NOMEM)
		look_anew();
	else if (err < 0 && err != -NLE_AGAIN)
		log_warning("no news from the module: %s; see dmesg",
			    nl_geterror(err));
}

/**
 * kernel_events_init - listen to the module's news
 * @ops:    called from the loop; must outlive kernel_events_exit()
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_events_init(const struct kernel_events_ops *ops, char *reason)
{
	int group, err = kernel_socket_open(&sock, reason);

	if (err)
		return err;
	events = ops;
	group = genl_ctrl_resolve_grp(sock, XPMEM_FAMILY_NAME,
				      XPMEM_MCGRP_EVENTS);
	if (group < 0 || nl_socket_add_membership(sock, group) ||
	    nl_socket_set_buffer_size(sock, EVENTS_BUFFER, 0) ||
	    nl_socket_set_nonblocking(sock)) {
		reason_set(reason,
			   "no news from the module; load one of this version");
		goto free_socket;
	}
	nl_socket_disable_seq_check(sock);
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, NULL);
	source.fd = nl_socket_get_fd(sock);
	source.ready = ready;
	if (!loop_add(&source, EPOLLIN))
		return 0;
	reason_set(reason, "no news from the module; free memory");
free_socket:
	nl_socket_free(sock);
	sock = NULL;
	return -EIO;
}

/**
 * kernel_events_exit - stop listening
 */
void kernel_events_exit(void)
{
	loop_remove(&source);
	nl_socket_free(sock);
	sock = NULL;
}
