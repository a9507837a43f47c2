/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	kernel/xpmem/netlink.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_XPMEM_GEN_H
#define _LINUX_XPMEM_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/xpmem_netlink.h>

/* Global operation policy for xpmem */
extern const struct nla_policy xpmem_main_nl_policy[XPMEM_A_ROOT_SQUASH + 1];

/* Ops table for xpmem */
extern const struct genl_small_ops xpmem_nl_ops[8];

int xpmem_nl_session_add_doit(struct sk_buff *skb, struct genl_info *info);
int xpmem_nl_session_del_doit(struct sk_buff *skb, struct genl_info *info);
int xpmem_nl_session_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb);
int xpmem_nl_segment_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb);
int xpmem_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info);
int xpmem_nl_fence_doit(struct sk_buff *skb, struct genl_info *info);
int xpmem_nl_peer_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int xpmem_nl_user_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

enum {
	XPMEM_NLGRP_EVENTS,
};

#endif /* _LINUX_XPMEM_GEN_H */
