// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who asks for a segment: a process of this partition, or of another, whose
 * kernel vouches for what it tells.
 *
 * Next: permit.c, ask.c, resolve.c.  Invariant: all ids are those of the initial
 * user namespace.
 */
#include <linux/cred.h>

#include "xpmem.h"

/* Who root of another partition is, and whose group is root's. */
#define NOBODY 65534

/**
 * xpmem_caller_local - the calling process
 * @caller: filled in; good while the process keeps its credentials
 */
void xpmem_caller_local(struct xpmem_caller *caller)
{
	const struct cred *cred = current_cred();

	caller->uid = cred->euid;
	caller->gid = cred->egid;
	caller->groups = cred->group_info->gid;
	caller->ngroups = cred->group_info->ngroups;
	caller->privileged = ns_capable_noaudit(&init_user_ns, CAP_IPC_OWNER);
}

static kgid_t told_gid(const struct xpmem_policy *policy, __le32 gid)
{
	if (policy->root_squash && !gid)
		return make_kgid(&init_user_ns, NOBODY);
	return make_kgid(&init_user_ns, le32_to_cpu(gid));
}

/**
 * xpmem_caller_remote - a process of another partition
 * @caller:  filled in; its ->uid in any case
 * @policy:  of the session
 * @uid:     as the message has it
 * @gid:     likewise
 * @groups:  likewise
 * @ngroups: likewise; at most XPMEM_WIRE_GROUPS
 *
 * Return: may that partition speak for this user at all?
 */
bool xpmem_caller_remote(struct xpmem_caller *caller,
			 const struct xpmem_policy *policy, __le32 uid,
			 __le32 gid, const __le32 *groups, __le32 ngroups)
{
	bool squashed = !uid && policy->root_squash;
	u32 id = squashed ? NOBODY : le32_to_cpu(uid);
	int i;

	caller->uid = make_kuid(&init_user_ns, id);
	caller->gid = squashed ? make_kgid(&init_user_ns, NOBODY) :
				 told_gid(policy, gid);
	caller->groups = caller->told;
	caller->ngroups = squashed ? 0 : le32_to_cpu(ngroups);
	caller->privileged = !id;
	for (i = 0; i < caller->ngroups; i++)
		caller->told[i] = told_gid(policy, groups[i]);
	return !uid || (id >= policy->uid_min && id <= policy->uid_max);
}

/**
 * xpmem_caller_tell - fill the calling process into a message
 * @uid:    filled in
 * @gid:    filled in
 * @groups: the first XPMEM_WIRE_GROUPS supplementary groups are filled in
 *
 * Return: how many groups.
 */
__le32 xpmem_caller_tell(__le32 *uid, __le32 *gid, __le32 *groups)
{
	const struct cred *cred = current_cred();
	const struct group_info *all = cred->group_info;
	int i, n = min(all->ngroups, XPMEM_WIRE_GROUPS);

	*uid = cpu_to_le32(from_kuid(&init_user_ns, cred->euid));
	*gid = cpu_to_le32(from_kgid(&init_user_ns, cred->egid));
	for (i = 0; i < n; i++)
		groups[i] = cpu_to_le32(from_kgid(&init_user_ns, all->gid[i]));
	return cpu_to_le32(n);
}
