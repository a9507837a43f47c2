// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module, over generic netlink, as kernel/xpmem/netlink.yaml says.  Used
 * by xpmemd and by xpmemctl.
 * Invariant: each request is answered before the next is sent.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "kernel.h"

#define LOAD_MODULE "load the module: modprobe xpmem partid=ID"

static struct nl_sock *sock;
static int family;

const char *const kernel_stat_names[XPMEM_A_STATS_MAX + 1] = {
	[XPMEM_A_STATS_SEGMENTS] = "segments",
	[XPMEM_A_STATS_PERMITS] = "permits",
	[XPMEM_A_STATS_ATTACHMENTS] = "attachments",
	[XPMEM_A_STATS_IMPORTS] = "imports",
	[XPMEM_A_STATS_EXPORTED] = "exported",
	[XPMEM_A_STATS_GRANTED] = "granted",
	[XPMEM_A_STATS_REVOKED] = "revoked",
	[XPMEM_A_STATS_ACKED] = "acked",
	[XPMEM_A_STATS_RELEASED] = "released",
	[XPMEM_A_STATS_QUARANTINE] = "quarantine",
	[XPMEM_A_STATS_FAULTS_LOCAL] = "faults-local",
	[XPMEM_A_STATS_FAULTS_HUGE] = "faults-huge",
	[XPMEM_A_STATS_FAULTS_REMOTE] = "faults-remote",
	[XPMEM_A_STATS_FETCHES] = "fetches",
	[XPMEM_A_STATS_GETS] = "gets",
	[XPMEM_A_STATS_ATTACHES] = "attaches",
	[XPMEM_A_STATS_LEASES_ENDED] = "leases-ended",
	[XPMEM_A_STATS_REFUSED_GETS] = "refused-gets",
	[XPMEM_A_STATS_REFUSED_LIMITS] = "refused-limits",
	[XPMEM_A_STATS_THROTTLED_GETS] = "throttled-gets",
	[XPMEM_A_STATS_REFUSED_MEMORY] = "refused-memory",
	[XPMEM_A_STATS_NAMES] = "names",
	[XPMEM_A_STATS_LOOKUPS] = "lookups",
	[XPMEM_A_STATS_WAIT_MEDIAN_US] = "wait-median-us",
	[XPMEM_A_STATS_WAIT_MAX_US] = "wait-max-us",
};

/**
 * struct request - one that waits for its answer
 * @reply:  called with the attributes of each message of the answer
 * @arg:    for @reply
 * @done:   the answer is complete
 * @error:  what the kernel says: 0 or a negative errno
 * @reason: REASON_SIZE bytes
 */
struct request {
	void (*reply)(struct nlattr **attrs, void *arg);
	void *arg;
	bool done;
	int error;
	char *reason;
};

/**
 * kernel_socket_open - open a generic netlink socket
 * @opened: filled in; the caller's to nl_socket_free()
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_socket_open(struct nl_sock **opened, char *reason)
{
	int err;

	*opened = nl_socket_alloc();
	if (!*opened) {
		reason_set(reason, "no memory for a netlink socket; free some");
		return -ENOMEM;
	}
	err = genl_connect(*opened);
	if (err) {
		reason_set(
			reason,
			"no netlink socket: %s; free memory or raise LimitNOFILE",
			nl_geterror(err));
		nl_socket_free(*opened);
		*opened = NULL;
		return -EIO;
	}
	return 0;
}

/**
 * kernel_init - find the module
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno; -ENOENT: it is not loaded.
 */
int kernel_init(char *reason)
{
	int on = 1, err = kernel_socket_open(&sock, reason);

	if (err)
		return err;
	family = genl_ctrl_resolve(sock, XPMEM_FAMILY_NAME);
	if (family < 0) {
		reason_set(reason, "the kernel has no xpmem; " LOAD_MODULE);
		kernel_exit();
		return -ENOENT;
	}
	/* Errors come with the module's words, without our request. */
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &on,
		   sizeof(on));
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_CAP_ACK, &on,
		   sizeof(on));
	return 0;
}

/**
 * kernel_exit - give up what kernel_init() took
 */
void kernel_exit(void)
{
	nl_socket_free(sock);
	sock = NULL;
}

static const char *extack_text(const struct nlmsghdr *nlh, size_t fixed)
{
	struct nlattr *attr;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	attr = nlmsg_find_attr((struct nlmsghdr *)nlh, (int)fixed,
			       NLMSGERR_ATTR_MSG);
	return attr ? nla_get_string(attr) : NULL;
}

static void set_error(struct request *req, int error, const char *text)
{
	req->error = error;
	req->done = true;
	if (error)
		reason_set(req->reason, "%s%s%s", text ? text : "",
			   text ? ": " : "", strerror(-error));
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	const struct nlmsghdr *nlh =
		(const void *)((const char *)err - NLMSG_HDRLEN);

	(void)from;
	set_error(arg, err->error, extack_text(nlh, sizeof(*err)));
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	set_error(arg, 0, NULL);
	return NL_STOP;
}

/* The end of a dump carries an error, too, when the dump failed. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *nlh = nlmsg_hdr(msg);
	int error = 0;

	if (nlmsg_datalen(nlh) >= (int)sizeof(error))
		memcpy(&error, nlmsg_data(nlh), sizeof(error));
	set_error(arg, error, extack_text(nlh, sizeof(error)));
	return NL_STOP;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[XPMEM_A_MAX + 1];
	struct request *req = arg;

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, attrs, XPMEM_A_MAX, NULL) &&
	    req->reply)
		req->reply(attrs, req->arg);
	return NL_OK;
}

/* Sends @msg, which it frees, and waits for the whole answer. */
static int transact(struct nl_msg *msg, struct request *req)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_CUSTOM);
	int err = -NLE_NOMEM;

	if (!cb)
		goto free_msg;
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, req);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, req);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, req);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, req);
	err = nl_send_auto(sock, msg);
	while (err >= 0 && !req->done)
		err = nl_recvmsgs(sock, cb);
	nl_cb_put(cb);
free_msg:
	nlmsg_free(msg);
	if (req->done)
		return req->error;
	reason_set(req->reason, "the module does not answer: %s; see dmesg",
		   nl_geterror(err));
	return -EIO;
}

static struct nl_msg *new_request(uint8_t cmd, int flags, char *reason)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, flags,
			       cmd, XPMEM_FAMILY_VERSION))
		return msg;
	nlmsg_free(msg);
	reason_set(reason, "no memory for a netlink message; free some");
	return NULL;
}

/**
 * kernel_session_add - hand a connected socket to the module
 * @params: the session; its descriptor stays the caller's to close
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno; -EEXIST: the session of this partition is up.
 */
int kernel_session_add(const struct kernel_session_params *params, char *reason)
{
	struct request req = { .reason = reason };
	struct nl_msg *msg;

	msg = new_request(XPMEM_CMD_SESSION_ADD, 0, reason);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u16(msg, XPMEM_A_PARTID, params->partid) ||
	    nla_put_u32(msg, XPMEM_A_FD, (uint32_t)params->fd) ||
	    nla_put_u64(msg, XPMEM_A_EPOCH, params->epoch) ||
	    nla_put_u32(msg, XPMEM_A_VERSION, params->version) ||
	    nla_put_u32(msg, XPMEM_A_PAGE_SIZE, params->page_size) ||
	    nla_put_u32(msg, XPMEM_A_FABRIC, params->fabric) ||
	    nla_put_string(msg, XPMEM_A_WINDOW, params->window) ||
	    nla_put(msg, XPMEM_A_BOOT_ID, XPMEM_BOOT_ID_LEN, params->boot_id) ||
	    nla_put_u32(msg, XPMEM_A_HEARTBEAT_MS, params->heartbeat_ms) ||
	    nla_put_u32(msg, XPMEM_A_DEADLINE_MS, params->deadline_ms) ||
	    nla_put_u32(msg, XPMEM_A_SECURITY, params->security) ||
	    nla_put_u32(msg, XPMEM_A_UID_MIN, params->uid_min) ||
	    nla_put_u32(msg, XPMEM_A_UID_MAX, params->uid_max) ||
	    nla_put_u32(msg, XPMEM_A_ROOT_SQUASH, params->root_squash)) {
		nlmsg_free(msg);
		reason_set(reason,
			   "no memory for a netlink message; free some");
		return -ENOMEM;
	}
	return transact(msg, &req);
}

static int dump(uint8_t cmd, void (*reply)(struct nlattr **attrs, void *arg),
		void *arg, char *reason)
{
	struct request req = {
		.reply = reply,
		.arg = arg,
		.reason = reason,
	};
	struct nl_msg *msg = new_request(cmd, NLM_F_DUMP, reason);

	return msg ? transact(msg, &req) : -ENOMEM;
}

/* @epoch is 0 where the request takes none. */
static int partid_request(uint8_t cmd, uint16_t partid, uint64_t epoch,
			  struct request *req)
{
	struct nl_msg *msg = new_request(cmd, 0, req->reason);

	if (!msg)
		return -ENOMEM;
	if (nla_put_u16(msg, XPMEM_A_PARTID, partid) ||
	    (epoch && nla_put_u64(msg, XPMEM_A_EPOCH, epoch))) {
		nlmsg_free(msg);
		reason_set(req->reason,
			   "no memory for a netlink message; free some");
		return -ENOMEM;
	}
	return transact(msg, req);
}

/**
 * kernel_session_del - begin to close a session in order
 * @partid: the other side
 * @reason: filled in on failure
 *
 * The end is told as an event.
 *
 * Return: 0 or a negative errno; -ENOENT: there is none.
 */
int kernel_session_del(uint16_t partid, char *reason)
{
	struct request req = { .reason = reason };

	return partid_request(XPMEM_CMD_SESSION_DEL, partid, 0, &req);
}

static uint64_t get_u64(struct nlattr *attr)
{
	return attr && nla_len(attr) == sizeof(uint64_t) ? nla_get_u64(attr) :
							   0;
}

static uint32_t get_u32(struct nlattr *attr)
{
	return attr && nla_len(attr) == sizeof(uint32_t) ? nla_get_u32(attr) :
							   0;
}

static uint16_t get_u16(struct nlattr *attr)
{
	return attr && nla_len(attr) == sizeof(uint16_t) ? nla_get_u16(attr) :
							   0;
}

static void get_text(struct nlattr *attr, char *text, size_t size)
{
	text[0] = '\0';
	if (attr)
		nla_strlcpy(text, attr, size);
	reason_clean(text);
}

static void get_address(struct nlattr *attr, struct kernel_session *session)
{
	if (!attr || nla_len(attr) > (int)sizeof(session->address))
		return;
	session->address_length = (socklen_t)nla_len(attr);
	memcpy(&session->address, nla_data(attr), (size_t)nla_len(attr));
}

/**
 * kernel_session_parse - read what the module says of a session
 * @attrs:   by XPMEM_A_*
 * @session: filled in; zero where it says nothing
 */
void kernel_session_parse(struct nlattr **attrs, struct kernel_session *session)
{
	*session = (struct kernel_session){
		.partid = get_u16(attrs[XPMEM_A_PARTID]),
		.state = get_u32(attrs[XPMEM_A_STATE]),
		.epoch = get_u64(attrs[XPMEM_A_EPOCH]),
		.quarantine = get_u64(attrs[XPMEM_A_QUARANTINE]),
		.lost_ms = get_u64(attrs[XPMEM_A_LOST_MS]),
		.security = get_u32(attrs[XPMEM_A_SECURITY]),
		.uid_min = get_u32(attrs[XPMEM_A_UID_MIN]),
		.uid_max = get_u32(attrs[XPMEM_A_UID_MAX]),
		.root_squash = get_u32(attrs[XPMEM_A_ROOT_SQUASH]),
	};
	get_text(attrs[XPMEM_A_REASON], session->reason,
		 sizeof(session->reason));
	get_text(attrs[XPMEM_A_WINDOW], session->window,
		 sizeof(session->window));
	get_address(attrs[XPMEM_A_ADDRESS], session);
}

struct session_each {
	void (*each)(const struct kernel_session *session, void *arg);
	void *arg;
};

static void session_reply(struct nlattr **attrs, void *arg)
{
	const struct session_each *to = arg;
	struct kernel_session session;

	kernel_session_parse(attrs, &session);
	to->each(&session, to->arg);
}

/**
 * kernel_session_each - look at all sessions
 * @each:   called for each, before this returns; must make no request
 * @arg:    for @each
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_session_each(void (*each)(const struct kernel_session *session,
				     void *arg),
			void *arg, char *reason)
{
	struct session_each to = { .each = each, .arg = arg };

	return dump(XPMEM_CMD_SESSION_GET, session_reply, &to, reason);
}

struct peer_each {
	void (*each)(const struct kernel_peer *peer, void *arg);
	void *arg;
};

static void peer_reply(struct nlattr **attrs, void *arg)
{
	const struct peer_each *to = arg;
	const struct kernel_peer peer = {
		.partid = get_u16(attrs[XPMEM_A_PARTID]),
		.sessions = get_u64(attrs[XPMEM_A_SESSIONS]),
		.evictions = get_u64(attrs[XPMEM_A_EVICTIONS]),
		.deadlines_missed = get_u64(attrs[XPMEM_A_DEADLINES_MISSED]),
		.granted = get_u64(attrs[XPMEM_A_GRANTED]),
		.revoked = get_u64(attrs[XPMEM_A_REVOKED]),
		.acked = get_u64(attrs[XPMEM_A_ACKED]),
		.wait_median_us = get_u64(attrs[XPMEM_A_WAIT_MEDIAN_US]),
		.wait_p99_us = get_u64(attrs[XPMEM_A_WAIT_P99_US]),
		.wait_max_us = get_u64(attrs[XPMEM_A_WAIT_MAX_US]),
	};

	to->each(&peer, to->arg);
}

/**
 * kernel_peer_each - look at all partitions that ever had a session
 * @each:   called for each, before this returns; must make no request
 * @arg:    for @each
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_peer_each(void (*each)(const struct kernel_peer *peer, void *arg),
		     void *arg, char *reason)
{
	struct peer_each to = { .each = each, .arg = arg };

	return dump(XPMEM_CMD_PEER_GET, peer_reply, &to, reason);
}

struct segment_each {
	void (*each)(const struct kernel_segment *segment, void *arg);
	void *arg;
};

static void segment_reply(struct nlattr **attrs, void *arg)
{
	struct nlattr *in[XPMEM_A_SEGMENT_MAX + 1];
	const struct segment_each *to = arg;
	struct kernel_segment segment;

	if (!attrs[XPMEM_A_SEGMENT] ||
	    nla_parse_nested(in, XPMEM_A_SEGMENT_MAX, attrs[XPMEM_A_SEGMENT],
			     NULL))
		return;
	segment = (struct kernel_segment){
		.segid = get_u64(in[XPMEM_A_SEGMENT_SEGID]),
		.size = get_u64(in[XPMEM_A_SEGMENT_SIZE]),
		.exported = get_u64(in[XPMEM_A_SEGMENT_EXPORTED]),
		.pid = get_u32(in[XPMEM_A_SEGMENT_PID]),
		.uid = get_u32(in[XPMEM_A_SEGMENT_UID]),
		.mode = get_u32(in[XPMEM_A_SEGMENT_MODE]),
		.permits = get_u32(in[XPMEM_A_SEGMENT_PERMITS]),
		.attachments = get_u32(in[XPMEM_A_SEGMENT_ATTACHMENTS]),
	};
	get_text(in[XPMEM_A_SEGMENT_NAME], segment.name, sizeof(segment.name));
	to->each(&segment, to->arg);
}

/**
 * kernel_segment_each - look at all segments of this partition
 * @each:   called for each, before this returns; must make no request
 * @arg:    for @each
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_segment_each(void (*each)(const struct kernel_segment *segment,
				     void *arg),
			void *arg, char *reason)
{
	struct segment_each to = { .each = each, .arg = arg };

	return dump(XPMEM_CMD_SEGMENT_GET, segment_reply, &to, reason);
}

struct user_each {
	void (*each)(const struct kernel_user *user, void *arg);
	void *arg;
};

static void user_reply(struct nlattr **attrs, void *arg)
{
	struct nlattr *in[XPMEM_A_USER_MAX + 1];
	const struct user_each *to = arg;
	struct kernel_user user;

	if (!attrs[XPMEM_A_USER] ||
	    nla_parse_nested(in, XPMEM_A_USER_MAX, attrs[XPMEM_A_USER], NULL))
		return;
	user = (struct kernel_user){
		.uid = get_u32(in[XPMEM_A_USER_UID]),
		.segments = get_u64(in[XPMEM_A_USER_SEGMENTS]),
		.permits = get_u64(in[XPMEM_A_USER_PERMITS]),
		.exported = get_u64(in[XPMEM_A_USER_EXPORTED]),
		.quarantine = get_u64(in[XPMEM_A_USER_QUARANTINE]),
	};
	to->each(&user, to->arg);
}

/**
 * kernel_user_each - look at all users that have anything on this partition
 * @each:   called for each, before this returns; must make no request
 * @arg:    for @each
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_user_each(void (*each)(const struct kernel_user *user, void *arg),
		     void *arg, char *reason)
{
	struct user_each to = { .each = each, .arg = arg };

	return dump(XPMEM_CMD_USER_GET, user_reply, &to, reason);
}

static void stats_reply(struct nlattr **attrs, void *arg)
{
	struct nlattr *in[XPMEM_A_STATS_MAX + 1];
	struct kernel_stats *stats = arg;
	unsigned int i;

	stats->partid = get_u16(attrs[XPMEM_A_PARTID]);
	get_text(attrs[XPMEM_A_MODE], stats->mode, sizeof(stats->mode));
	if (!attrs[XPMEM_A_STATS] ||
	    nla_parse_nested(in, XPMEM_A_STATS_MAX, attrs[XPMEM_A_STATS], NULL))
		return;
	for (i = 1; i <= XPMEM_A_STATS_MAX; i++)
		stats->value[i] = get_u64(in[i]);
}

/**
 * kernel_stats_get - read the module's counters
 * @stats:  filled in
 * @reason: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int kernel_stats_get(struct kernel_stats *stats, char *reason)
{
	struct request req = {
		.reply = stats_reply,
		.arg = stats,
		.reason = reason,
	};
	struct nl_msg *msg;

	*stats = (struct kernel_stats){};
	msg = new_request(XPMEM_CMD_STATS_GET, 0, reason);
	return msg ? transact(msg, &req) : -ENOMEM;
}

static void fence_reply(struct nlattr **attrs, void *arg)
{
	*(uint64_t *)arg = get_u64(attrs[XPMEM_A_RELEASED]);
}

/**
 * kernel_fence - tell the module that a partition is fenced
 * @partid:   the partition
 * @epoch:    of its session that was lost
 * @released: filled in: pages that left quarantine
 * @reason:   filled in on failure
 *
 * Return: 0 or a negative errno; -ENOENT: nothing of that session is in
 * quarantine; -EAGAIN: the session is still ending; -EBUSY: it is up.
 */
int kernel_fence(uint16_t partid, uint64_t epoch, uint64_t *released,
		 char *reason)
{
	struct request req = {
		.reply = fence_reply,
		.arg = released,
		.reason = reason,
	};

	*released = 0;
	return partid_request(XPMEM_CMD_FENCE, partid, epoch, &req);
}
