// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each partition did in all its sessions: an eviction must not be
 * forgotten with the session that it ended.
 *
 * Invariant: once a partition had a session, its history stays until the module
 * goes; sessions point to it without a reference.
 */
#include <linux/slab.h>
#include <linux/xarray.h>

#include "xpmem.h"

/* By partid; entries are only added. */
static DEFINE_XARRAY(histories);

/**
 * xpmem_history_of - the history of a partition, a new one if need be
 * @partid: the partition
 *
 * Context: process; may sleep. Calls are serialised by the caller.
 * Return: the history, valid until the module goes; or NULL: no memory.
 */
struct xpmem_history *xpmem_history_of(u16 partid)
{
	struct xpmem_history *history = xa_load(&histories, partid);

	if (history)
		return history;
	history = kzalloc(sizeof(*history), GFP_KERNEL);
	if (!history)
		return NULL;
	xpmem_failures_init(&history->failures);
	if (xa_err(xa_store(&histories, partid, history, GFP_KERNEL))) {
		kfree(history);
		return NULL;
	}
	return history;
}

/**
 * xpmem_history_info_next - describe one partition after the other
 * @cursor: 0 at first; advanced
 * @info:   filled in
 *
 * Context: process.
 * Return: 0, or -ENOENT after the last one.
 */
int xpmem_history_info_next(u32 *cursor, struct xpmem_history_info *info)
{
	unsigned long partid = *cursor;
	struct xpmem_history *history;

	history = xa_find(&histories, &partid, XPMEM_PARTID_MAX, XA_PRESENT);
	if (!history)
		return -ENOENT;
	*cursor = partid + 1;
	*info = (struct xpmem_history_info){
		.partid = partid,
		.sessions = atomic64_read(&history->sessions),
		.evictions = atomic64_read(&history->evictions),
		.deadlines_missed = atomic64_read(&history->missed),
		.granted = atomic64_read(&history->granted),
		.revoked = atomic64_read(&history->revoked),
		.acked = atomic64_read(&history->acked),
		.wait_median_us = xpmem_waits_quantile(&history->waits, 50),
		.wait_p99_us = xpmem_waits_quantile(&history->waits, 99),
		.wait_max_us = atomic64_read(&history->waits.max_us),
	};
	return 0;
}

/* Every session is gone. */
void xpmem_history_exit(void)
{
	struct xpmem_history *history;
	unsigned long partid;

	xa_for_each(&histories, partid, history)
		kfree(history);
	xa_destroy(&histories);
}
