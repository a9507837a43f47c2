// SPDX-License-Identifier: GPL-2.0-only
/*
 * The administrator's side: sessions come in and counters go out over generic
 * netlink, as netlink.yaml says.  The step before is xpmemd or xpmemctl, the
 * step after session.c, segment.c and stats.c.
 * Invariant: a request that is not exactly what the specification says changes
 * nothing, and is told why.
 */
#include <linux/module.h>
#include <net/genetlink.h>

#include "netlink_gen.h"
#include "xpmem.h"

static const struct genl_multicast_group groups[] = {
	[XPMEM_NLGRP_EVENTS] = { .name = XPMEM_MCGRP_EVENTS },
};

static struct genl_family family __ro_after_init = {
	.name = XPMEM_FAMILY_NAME,
	.version = XPMEM_FAMILY_VERSION,
	.maxattr = ARRAY_SIZE(xpmem_main_nl_policy) - 1,
	.policy = xpmem_main_nl_policy,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.small_ops = xpmem_nl_ops,
	.n_small_ops = ARRAY_SIZE(xpmem_nl_ops),
	.resv_start_op = XPMEM_CMD_SESSION_ADD,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

#define PARTID_ONLY BIT(XPMEM_A_PARTID)
#define SESSION_ADD                                                            \
	(PARTID_ONLY | BIT(XPMEM_A_FD) | BIT(XPMEM_A_EPOCH) |                  \
	 BIT(XPMEM_A_VERSION) | BIT(XPMEM_A_PAGE_SIZE) | BIT(XPMEM_A_FABRIC) | \
	 BIT(XPMEM_A_WINDOW) | BIT(XPMEM_A_BOOT_ID) |                          \
	 BIT(XPMEM_A_HEARTBEAT_MS) | BIT(XPMEM_A_DEADLINE_MS) |                \
	 BIT(XPMEM_A_SECURITY) | BIT(XPMEM_A_UID_MIN) | BIT(XPMEM_A_UID_MAX) | \
	 BIT(XPMEM_A_ROOT_SQUASH))

/*
 * Checks that the request has each attribute of @want once, and no other: the
 * policy is one for all operations, and the parser lets the last of two win.
 */
static int check_attrs(const struct nlmsghdr *nlh, unsigned long want,
		       struct netlink_ext_ack *extack)
{
	unsigned long seen = 0;
	struct nlattr *attr;
	int rem;

	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, rem) {
		unsigned long bit = BIT(nla_type(attr));

		if (!(bit & want)) {
			NL_SET_ERR_MSG_ATTR(
				extack, attr,
				"this operation does not take the attribute");
			return -EINVAL;
		}
		if (bit & seen) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "the attribute is given twice");
			return -EINVAL;
		}
		seen |= bit;
	}
	if (seen != want) {
		NL_SET_ERR_MSG(extack, "a required attribute is missing");
		NL_SET_ERR_ATTR_MISS(extack, NULL, __ffs(want & ~seen));
		return -EINVAL;
	}
	return 0;
}

int xpmem_nl_session_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct xpmem_session_params params = {};
	struct nlattr **attrs = info->attrs;
	int err = check_attrs(info->nlhdr, SESSION_ADD, info->extack);

	if (err)
		return err;
	params.partid = nla_get_u16(attrs[XPMEM_A_PARTID]);
	params.fd = nla_get_u32(attrs[XPMEM_A_FD]);
	params.epoch = nla_get_u64(attrs[XPMEM_A_EPOCH]);
	params.version = nla_get_u32(attrs[XPMEM_A_VERSION]);
	params.page_size = nla_get_u32(attrs[XPMEM_A_PAGE_SIZE]);
	params.fabric = nla_get_u32(attrs[XPMEM_A_FABRIC]);
	params.heartbeat_ms = nla_get_u32(attrs[XPMEM_A_HEARTBEAT_MS]);
	params.deadline_ms = nla_get_u32(attrs[XPMEM_A_DEADLINE_MS]);
	params.security = nla_get_u32(attrs[XPMEM_A_SECURITY]);
	params.policy.uid_min = nla_get_u32(attrs[XPMEM_A_UID_MIN]);
	params.policy.uid_max = nla_get_u32(attrs[XPMEM_A_UID_MAX]);
	params.policy.root_squash = nla_get_u32(attrs[XPMEM_A_ROOT_SQUASH]);
	BUILD_BUG_ON(sizeof(params.window) != XPMEM_WINDOW_MAX + 1);
	nla_strscpy(params.window, attrs[XPMEM_A_WINDOW],
		    sizeof(params.window));
	BUILD_BUG_ON(sizeof(params.boot_id) != XPMEM_BOOT_ID_LEN);
	nla_memcpy(params.boot_id, attrs[XPMEM_A_BOOT_ID],
		   sizeof(params.boot_id));
	return xpmem_session_create(&params, info->extack);
}

int xpmem_nl_session_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	int err = check_attrs(info->nlhdr, PARTID_ONLY, info->extack);

	if (err)
		return err;
	err = xpmem_session_close(nla_get_u16(info->attrs[XPMEM_A_PARTID]));
	if (err == -ENOENT)
		NL_SET_ERR_MSG(info->extack,
			       "there is no session with this partition");
	return err;
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, XPMEM_A_PAD);
}

static int put_session(struct sk_buff *skb,
		       const struct xpmem_session_info *info)
{
	BUILD_BUG_ON(sizeof(info->address) != XPMEM_ADDRESS_MAX);
	if (nla_put_u16(skb, XPMEM_A_PARTID, info->partid) ||
	    nla_put_u32(skb, XPMEM_A_STATE, info->state) ||
	    put_u64(skb, XPMEM_A_EPOCH, info->epoch) ||
	    put_u64(skb, XPMEM_A_QUARANTINE, info->quarantine) ||
	    put_u64(skb, XPMEM_A_LOST_MS, info->lost_ms) ||
	    nla_put_string(skb, XPMEM_A_REASON, info->reason) ||
	    nla_put_u32(skb, XPMEM_A_SECURITY, info->security) ||
	    nla_put_u32(skb, XPMEM_A_UID_MIN, info->policy.uid_min) ||
	    nla_put_u32(skb, XPMEM_A_UID_MAX, info->policy.uid_max) ||
	    nla_put_u32(skb, XPMEM_A_ROOT_SQUASH, info->policy.root_squash) ||
	    nla_put_string(skb, XPMEM_A_WINDOW, info->window) ||
	    nla_put(skb, XPMEM_A_ADDRESS, info->address_len, &info->address))
		return -EMSGSIZE;
	return 0;
}

static int put_peer(struct sk_buff *skb, const struct xpmem_history_info *info)
{
	if (nla_put_u16(skb, XPMEM_A_PARTID, info->partid) ||
	    put_u64(skb, XPMEM_A_SESSIONS, info->sessions) ||
	    put_u64(skb, XPMEM_A_EVICTIONS, info->evictions) ||
	    put_u64(skb, XPMEM_A_DEADLINES_MISSED, info->deadlines_missed) ||
	    put_u64(skb, XPMEM_A_GRANTED, info->granted) ||
	    put_u64(skb, XPMEM_A_REVOKED, info->revoked) ||
	    put_u64(skb, XPMEM_A_ACKED, info->acked) ||
	    put_u64(skb, XPMEM_A_WAIT_MEDIAN_US, info->wait_median_us) ||
	    put_u64(skb, XPMEM_A_WAIT_P99_US, info->wait_p99_us) ||
	    put_u64(skb, XPMEM_A_WAIT_MAX_US, info->wait_max_us))
		return -EMSGSIZE;
	return 0;
}

/* A segment that has no name has no attribute for it. */
static int put_segment(struct sk_buff *skb,
		       const struct xpmem_segment_info *info)
{
	const int pad = XPMEM_A_SEGMENT_PAD;
	struct nlattr *nest = nla_nest_start(skb, XPMEM_A_SEGMENT);

	if (!nest ||
	    nla_put_u64_64bit(skb, XPMEM_A_SEGMENT_SEGID, info->segid, pad) ||
	    nla_put_u32(skb, XPMEM_A_SEGMENT_PID, info->pid) ||
	    nla_put_u32(skb, XPMEM_A_SEGMENT_UID, info->uid) ||
	    nla_put_u64_64bit(skb, XPMEM_A_SEGMENT_SIZE, info->size, pad) ||
	    nla_put_u32(skb, XPMEM_A_SEGMENT_MODE, info->mode) ||
	    nla_put_u64_64bit(skb, XPMEM_A_SEGMENT_EXPORTED, info->exported,
			      pad) ||
	    nla_put_u32(skb, XPMEM_A_SEGMENT_PERMITS, info->permits) ||
	    nla_put_u32(skb, XPMEM_A_SEGMENT_ATTACHMENTS, info->attachments) ||
	    (info->name[0] &&
	     nla_put_string(skb, XPMEM_A_SEGMENT_NAME, info->name)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* One message of a dump; NULL when @skb is full. */
static void *start_entry(struct sk_buff *skb, struct netlink_callback *cb,
			 u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &family, NLM_F_MULTI, cmd);
}

/*
 * A dump is called until it adds nothing; its cursor moves only over entries
 * that fitted.
 */
int xpmem_nl_session_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb)
{
	u32 *cursor = (u32 *)cb->ctx;
	struct xpmem_session_info info;
	void *entry;
	u32 next;
	int err = check_attrs(cb->nlh, 0, cb->extack);

	if (err)
		return err;
	for (next = *cursor; !xpmem_session_info_next(&next, &info);
	     *cursor = next) {
		entry = start_entry(skb, cb, XPMEM_CMD_SESSION_GET);
		if (!entry)
			break;
		if (put_session(skb, &info)) {
			genlmsg_cancel(skb, entry);
			break;
		}
		genlmsg_end(skb, entry);
	}
	return skb->len;
}

int xpmem_nl_peer_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	u32 *cursor = (u32 *)cb->ctx;
	struct xpmem_history_info info;
	void *entry;
	u32 next;
	int err = check_attrs(cb->nlh, 0, cb->extack);

	if (err)
		return err;
	for (next = *cursor; !xpmem_history_info_next(&next, &info);
	     *cursor = next) {
		entry = start_entry(skb, cb, XPMEM_CMD_PEER_GET);
		if (!entry)
			break;
		if (put_peer(skb, &info)) {
			genlmsg_cancel(skb, entry);
			break;
		}
		genlmsg_end(skb, entry);
	}
	return skb->len;
}

int xpmem_nl_segment_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb)
{
	u64 *cursor = (u64 *)cb->ctx;
	struct xpmem_segment_info info;
	void *entry;
	u64 next;
	int err = check_attrs(cb->nlh, 0, cb->extack);

	if (err)
		return err;
	for (next = *cursor; !xpmem_segment_info_next(&next, &info);
	     *cursor = next) {
		entry = start_entry(skb, cb, XPMEM_CMD_SEGMENT_GET);
		if (!entry)
			break;
		if (put_segment(skb, &info)) {
			genlmsg_cancel(skb, entry);
			break;
		}
		genlmsg_end(skb, entry);
	}
	return skb->len;
}

static int put_account(struct sk_buff *skb, const struct xpmem_user_info *info)
{
	static const int attrs[XPMEM_USER_COUNTS] = {
		[XPMEM_USER_SEGMENTS] = XPMEM_A_USER_SEGMENTS,
		[XPMEM_USER_PERMITS] = XPMEM_A_USER_PERMITS,
		[XPMEM_USER_EXPORTED] = XPMEM_A_USER_EXPORTED,
		[XPMEM_USER_QUARANTINE] = XPMEM_A_USER_QUARANTINE,
	};
	struct nlattr *nest = nla_nest_start(skb, XPMEM_A_USER);
	int i;

	if (!nest || nla_put_u32(skb, XPMEM_A_USER_UID, info->uid))
		return -EMSGSIZE;
	for (i = 0; i < XPMEM_USER_COUNTS; i++)
		if (nla_put_u64_64bit(skb, attrs[i], info->count[i],
				      XPMEM_A_USER_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int xpmem_nl_user_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	u64 *cursor = (u64 *)cb->ctx;
	struct xpmem_user_info info;
	void *entry;
	u64 next;
	int err = check_attrs(cb->nlh, 0, cb->extack);

	if (err)
		return err;
	for (next = *cursor; !xpmem_user_info_next(&next, &info);
	     *cursor = next) {
		entry = start_entry(skb, cb, XPMEM_CMD_USER_GET);
		if (!entry)
			break;
		if (put_account(skb, &info)) {
			genlmsg_cancel(skb, entry);
			break;
		}
		genlmsg_end(skb, entry);
	}
	return skb->len;
}

#define STAT(attr, member)                                                 \
	{                                                                  \
		XPMEM_A_STATS_##attr, offsetof(struct xpmem_stats, member) \
	}

static const struct {
	int attr;
	size_t offset;
} stats_map[] = {
	STAT(SEGMENTS, segments),
	STAT(PERMITS, permits),
	STAT(ATTACHMENTS, attachments),
	STAT(IMPORTS, imports),
	STAT(EXPORTED, exported),
	STAT(GRANTED, granted),
	STAT(REVOKED, revoked),
	STAT(ACKED, acked),
	STAT(RELEASED, released),
	STAT(QUARANTINE, quarantine),
	STAT(FAULTS_LOCAL, faults_local),
	STAT(FAULTS_HUGE, faults_huge),
	STAT(FAULTS_REMOTE, faults_remote),
	STAT(FETCHES, fetches),
	STAT(GETS, gets),
	STAT(ATTACHES, attaches),
	STAT(REFUSED_GETS, refused_gets),
	STAT(NAMES, names),
	STAT(LOOKUPS, lookups),
	STAT(LEASES_ENDED, leases_ended),
	STAT(REFUSED_LIMITS, refused_limits),
	STAT(THROTTLED_GETS, throttled_gets),
	STAT(REFUSED_MEMORY, refused_memory),
	STAT(WAIT_MEDIAN_US, wait_median_us),
	STAT(WAIT_MAX_US, wait_max_us),
};

static_assert(ARRAY_SIZE(stats_map) * sizeof(u64) ==
	      sizeof(struct xpmem_stats));

static int put_stats(struct sk_buff *skb, const struct xpmem_stats *stats)
{
	struct nlattr *nest = nla_nest_start(skb, XPMEM_A_STATS);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(stats_map); i++) {
		const void *value = (const void *)stats + stats_map[i].offset;

		if (nla_put_u64_64bit(skb, stats_map[i].attr,
				      *(const u64 *)value, XPMEM_A_STATS_PAD))
			return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

int xpmem_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct xpmem_stats stats;
	struct sk_buff *reply;
	void *hdr;
	int err = check_attrs(info->nlhdr, 0, info->extack);

	if (err)
		return err;
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	xpmem_stats_get(&stats);
	hdr = genlmsg_put_reply(reply, info, &family, 0, XPMEM_CMD_STATS_GET);
	if (!hdr || nla_put_u16(reply, XPMEM_A_PARTID, xpmem_partid) ||
	    nla_put_string(reply, XPMEM_A_MODE, XPMEM_KERNEL) ||
	    put_stats(reply, &stats)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

int xpmem_nl_fence_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	u64 pages = 0;
	void *hdr;
	int err = check_attrs(info->nlhdr, PARTID_ONLY | BIT(XPMEM_A_EPOCH),
			      info->extack);

	if (err)
		return err;
	/* Before the fence: what it did must not stay untold. */
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = xpmem_fence_session(nla_get_u16(info->attrs[XPMEM_A_PARTID]),
				  nla_get_u64(info->attrs[XPMEM_A_EPOCH]),
				  &pages, info->extack);
	if (err)
		goto free_reply;
	err = -EMSGSIZE;
	hdr = genlmsg_put_reply(reply, info, &family, 0, XPMEM_CMD_FENCE);
	if (!hdr || put_u64(reply, XPMEM_A_RELEASED, pages))
		goto free_reply;
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);

free_reply:
	nlmsg_free(reply);
	return err;
}

/**
 * xpmem_netlink_session_event - tell whoever listens that a session changed
 * @partid: the other partition
 * @state:  enum xpmem_session_state
 * @epoch:  of the session
 * @reason: why, or NULL; at most XPMEM_REASON_MAX bytes
 * @gfp:    GFP_NOIO at most, as reclaim may be waiting for the caller
 *
 * A listener that cannot be told because memory is short learns that it missed
 * something: its next receive fails with ENOBUFS.
 *
 * Context: may sleep, if @gfp does.
 */
void xpmem_netlink_session_event(u16 partid, u32 state, u64 epoch,
				 const char *reason, gfp_t gfp)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, gfp);
	void *hdr;

	if (!skb)
		goto missed;
	hdr = genlmsg_put(skb, 0, 0, &family, 0, XPMEM_CMD_SESSION_EVENT);
	if (!hdr || nla_put_u16(skb, XPMEM_A_PARTID, partid) ||
	    nla_put_u32(skb, XPMEM_A_STATE, state) ||
	    put_u64(skb, XPMEM_A_EPOCH, epoch) ||
	    nla_put_string(skb, XPMEM_A_REASON, reason ?: ""))
		goto free_skb;
	genlmsg_end(skb, hdr);
	/* -ESRCH: nobody listens, which is nobody's fault. */
	genlmsg_multicast(&family, skb, 0, XPMEM_NLGRP_EVENTS, gfp);
	return;

free_skb:
	nlmsg_free(skb);
missed:
	genl_set_err(&family, &init_net, 0, XPMEM_NLGRP_EVENTS, -ENOBUFS);
}

/**
 * xpmem_netlink_init - register the generic netlink family
 *
 * From then on requests come in: all that they reach must be ready.
 *
 * Context: process, may sleep.
 * Return: 0, or what genl_register_family() returns.
 */
int __init xpmem_netlink_init(void)
{
	return genl_register_family(&family);
}

/**
 * xpmem_netlink_exit - unregister the family
 *
 * Waits for requests that are being handled.  No xpmem_netlink_session_event()
 * may come after it.
 *
 * Context: process, may sleep.
 */
void xpmem_netlink_exit(void)
{
	genl_unregister_family(&family);
}
