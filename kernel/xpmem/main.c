// SPDX-License-Identifier: GPL-2.0-only
/* Loading and unloading, in order and in reverse. */
#include <linux/module.h>

#include "xpmem.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned short xpmem_partid = 1;
module_param_named(partid, xpmem_partid, ushort, 0444);
MODULE_PARM_DESC(partid, "id of this partition, 1 to 32767 (default 1)");

static int __init xpmem_init(void)
{
	int err;

	if (!xpmem_partid || xpmem_partid > XPMEM_PARTID_MAX) {
		pr_err("xpmem: partid=%u is not in 1..%u\n", xpmem_partid,
		       XPMEM_PARTID_MAX);
		return -EINVAL;
	}
	xpmem_user_init();
	xpmem_name_init();
	err = xpmem_inode_init();
	if (err)
		return err;
	err = xpmem_process_init();
	if (err)
		goto exit_inode;
	err = xpmem_attach_init();
	if (err)
		goto exit_process;
	err = xpmem_export_init();
	if (err)
		goto exit_attach;
	err = xpmem_serve_init();
	if (err)
		goto exit_export;
	err = xpmem_session_init();
	if (err)
		goto exit_serve;
	err = xpmem_revoke_init();
	if (err)
		goto exit_session;
	err = xpmem_netlink_init();
	if (err)
		goto exit_revoke;
	err = xpmem_dev_init();
	if (err)
		goto exit_netlink;
	pr_info("xpmem: partition %u; kernel: " XPMEM_KERNEL_TEXT "\n",
		xpmem_partid);
	return 0;

exit_netlink:
	xpmem_netlink_exit();
exit_revoke:
	xpmem_revoke_exit();
exit_session:
	xpmem_session_exit();
exit_serve:
	xpmem_serve_exit();
exit_export:
	xpmem_export_exit();
exit_attach:
	xpmem_attach_exit();
exit_process:
	xpmem_process_exit();
exit_inode:
	xpmem_inode_exit();
	return err;
}

/*
 * Not reached while a descriptor or an attachment is open, nor while anything
 * is granted or in quarantine: each of those holds the module.
 */
static void __exit xpmem_exit(void)
{
	xpmem_dev_exit();
	xpmem_process_exit();
	xpmem_watch_exit();
	xpmem_netlink_exit();
	xpmem_stock_exit();
	xpmem_session_exit();
	xpmem_revoke_exit();
	xpmem_serve_exit();
	xpmem_export_exit();
	xpmem_attach_exit();
	xpmem_inode_exit();
	xpmem_user_exit();
}

module_init(xpmem_init);
module_exit(xpmem_exit);
MODULE_DESCRIPTION("Memory exported across Linux instances");
MODULE_LICENSE("GPL");
