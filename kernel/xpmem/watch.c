// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exporters that became non-dumpable: by prctl(PR_SET_DUMPABLE), or because they
 * changed their user or gained privileges.  Their segments end.
 *
 * Before: segment.c.  Invariant: from the moment on nothing new is permitted, mapped
 * or granted (xpmem_segment_over()); what was before is taken away by the next
 * look.  Nothing tells a module of that moment, so this looks.
 */
#include <linux/sched/mm.h>

#include "xpmem.h"

#define WATCH_MS 500

static void watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch);

static void watch(struct work_struct *work)
{
	struct xpmem_segment *seg;
	unsigned long cursor = 0;
	bool any = false;

	while ((seg = xpmem_segment_next(&cursor))) {
		if (!READ_ONCE(seg->dead) && seg->dumpable) {
			any = true;
			if (xpmem_segment_over(seg))
				xpmem_segment_end(seg);
		}
		xpmem_segment_put(seg);
		cond_resched();
	}
	if (any)
		xpmem_watch();
}

/**
 * xpmem_watch - there is a segment to look after
 *
 * Context: any.
 */
void xpmem_watch(void)
{
	queue_delayed_work(system_unbound_wq, &watch_work,
			   msecs_to_jiffies(WATCH_MS));
}

/* There are no segments any more. */
void xpmem_watch_exit(void)
{
	cancel_delayed_work_sync(&watch_work);
}
