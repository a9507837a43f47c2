// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	kernel/xpmem/netlink.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/xpmem_netlink.h>

/* Integer value ranges */
static const struct netlink_range_validation xpmem_a_fd_range = {
	.max	= S32_MAX,
};

/* Global operation policy for xpmem */
const struct nla_policy xpmem_main_nl_policy[XPMEM_A_ROOT_SQUASH + 1] = {
	[XPMEM_A_PARTID] = NLA_POLICY_RANGE(NLA_U16, 1, 32767),
	[XPMEM_A_FD] = NLA_POLICY_FULL_RANGE(NLA_U32, &xpmem_a_fd_range),
	[XPMEM_A_EPOCH] = NLA_POLICY_MIN(NLA_U64, 1),
	[XPMEM_A_VERSION] = NLA_POLICY_MIN(NLA_U32, 1),
	[XPMEM_A_PAGE_SIZE] = NLA_POLICY_MIN(NLA_U32, 4096),
	[XPMEM_A_FABRIC] = NLA_POLICY_RANGE(NLA_U32, 1, 1),
	[XPMEM_A_WINDOW] = { .type = NLA_NUL_STRING, .len = XPMEM_WINDOW_MAX, },
	[XPMEM_A_BOOT_ID] = NLA_POLICY_EXACT_LEN(XPMEM_BOOT_ID_LEN),
	[XPMEM_A_HEARTBEAT_MS] = NLA_POLICY_MIN(NLA_U32, 1),
	[XPMEM_A_DEADLINE_MS] = NLA_POLICY_MIN(NLA_U32, 1),
	[XPMEM_A_SECURITY] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[XPMEM_A_UID_MIN] = NLA_POLICY_MIN(NLA_U32, 1),
	[XPMEM_A_UID_MAX] = NLA_POLICY_MIN(NLA_U32, 1),
	[XPMEM_A_ROOT_SQUASH] = NLA_POLICY_MAX(NLA_U32, 1),
};

/* Ops table for xpmem */
const struct genl_small_ops xpmem_nl_ops[8] = {
	{
		.cmd	= XPMEM_CMD_SESSION_ADD,
		.doit	= xpmem_nl_session_add_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_SESSION_DEL,
		.doit	= xpmem_nl_session_del_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_SESSION_GET,
		.dumpit	= xpmem_nl_session_get_dumpit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_SEGMENT_GET,
		.dumpit	= xpmem_nl_segment_get_dumpit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_STATS_GET,
		.doit	= xpmem_nl_stats_get_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_FENCE,
		.doit	= xpmem_nl_fence_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_PEER_GET,
		.dumpit	= xpmem_nl_peer_get_dumpit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= XPMEM_CMD_USER_GET,
		.dumpit	= xpmem_nl_user_get_dumpit,
		.flags	= GENL_ADMIN_PERM,
	},
};
