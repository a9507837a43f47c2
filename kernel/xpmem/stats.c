// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, the time that revocations took, and what there is to say of each
 * session, for people and for tests.
 */
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#include <uapi/linux/xpmem_netlink.h>

#include "xpmem.h"

DEFINE_PER_CPU(struct xpmem_counters, xpmem_counters);
struct xpmem_waits xpmem_waits;

/**
 * xpmem_waits_add - record how long one revocation took
 * @waits: histogram to add to
 * @us:    from sending to acknowledgement, microseconds
 *
 * Context: any.
 */
void xpmem_waits_add(struct xpmem_waits *waits, u64 us)
{
	unsigned int bucket = us ? ilog2(us) + 1 : 0;
	s64 max = atomic64_read(&waits->max_us);

	atomic64_inc(&waits->bucket[min(bucket, XPMEM_WAIT_BUCKETS - 1u)]);
	while (max < us && !atomic64_try_cmpxchg(&waits->max_us, &max, us))
		;
}

/**
 * xpmem_waits_quantile - how long the quicker ones took
 * @waits:   histogram
 * @percent: how many of a hundred; 50: the median
 *
 * Return: microseconds, rounded up to a power of two; 0 if nothing was recorded.
 */
u64 xpmem_waits_quantile(const struct xpmem_waits *waits, unsigned int percent)
{
	u64 total = 0, seen = 0;
	int i;

	for (i = 0; i < XPMEM_WAIT_BUCKETS; i++)
		total += atomic64_read(&waits->bucket[i]);
	for (i = 0; i < XPMEM_WAIT_BUCKETS && total; i++) {
		seen += atomic64_read(&waits->bucket[i]);
		if (100 * seen >= percent * total)
			return min_t(u64, 1ull << i,
				     atomic64_read(&waits->max_us));
	}
	return 0;
}

/*
 * A CPU may count a thing's end that another one counted the beginning of, and
 * the sum miss one of the two while both go on: never less than nothing.
 */
#define COUNTER_FUNCTIONS(name)                                              \
	static u64 name##_sum(void)                                          \
	{                                                                    \
		s64 sum = 0;                                                 \
		int cpu;                                                     \
                                                                             \
		for_each_possible_cpu(cpu)                                   \
			sum += READ_ONCE(                                    \
				per_cpu_ptr(&xpmem_counters, cpu)->name);    \
		return max(sum, 0ll);                                        \
	}                                                                    \
                                                                             \
	static ssize_t name##_show(struct device *dev,                       \
				   struct device_attribute *attr, char *buf) \
	{                                                                    \
		return sysfs_emit(buf, "%llu\n", name##_sum());              \
	}                                                                    \
	static DEVICE_ATTR_RO(name);
XPMEM_COUNTERS(COUNTER_FUNCTIONS)
#undef COUNTER_FUNCTIONS

/**
 * xpmem_stats_get - read every counter
 * @stats: filled in; the counters are read one after the other
 *
 * Context: any.
 */
void xpmem_stats_get(struct xpmem_stats *stats)
{
#define XPMEM_COUNTER(name) stats->name = name##_sum();
	XPMEM_COUNTERS(XPMEM_COUNTER)
#undef XPMEM_COUNTER
	stats->wait_median_us = xpmem_waits_quantile(&xpmem_waits, 50);
	stats->wait_max_us = atomic64_read(&xpmem_waits.max_us);
}

static void info_fill(struct xpmem_session_info *info,
		      const struct xpmem_session *session)
{
	memset(info, 0, sizeof(*info));
	info->partid = session->partid;
	info->state = session->phase == XPMEM_PEER_UP &&
				      (session->lapsed || session->closing) ?
			      XPMEM_SESSION_STATE_CLOSING :
			      session->phase;
	info->epoch = session->epoch;
	if (session->phase == XPMEM_PEER_LOST)
		info->lost_ms = div_u64(ktime_get_boottime_ns() - session->lost,
					NSEC_PER_MSEC);
	strscpy(info->reason, session->reason ?: "", sizeof(info->reason));
	info->security = session->tls ? XPMEM_SECURITY_TLS :
					XPMEM_SECURITY_PLAIN;
	info->policy = session->policy;
	strscpy(info->window, pci_name(session->window.pdev),
		sizeof(info->window));
	info->address = session->address;
	info->address_len = session->address_len;
}

/**
 * xpmem_session_info_next - describe one session after the other
 * @cursor: 0 at first; advanced
 * @info:   filled in
 *
 * Context: process; may sleep.
 * Return: 0, or -ENOENT after the last one.
 */
int xpmem_session_info_next(u32 *cursor, struct xpmem_session_info *info)
{
	bool found = false;
	u32 slot;

	spin_lock(&xpmem_home.lock);
	for (slot = *cursor; slot < XPMEM_SLOTS; slot++)
		if (xpmem_home.sessions[slot]) {
			info_fill(info, xpmem_home.sessions[slot]);
			found = true;
			break;
		}
	spin_unlock(&xpmem_home.lock);
	if (!found)
		return -ENOENT;
	*cursor = slot + 1;
	if (info->state == XPMEM_PEER_LOST)
		info->quarantine = xpmem_reap_held(slot);
	return 0;
}

static ssize_t kernel_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, XPMEM_KERNEL "\n");
}
static DEVICE_ATTR_RO(kernel);

static struct attribute *stats_attrs[] = {
	&dev_attr_kernel.attr,
#define XPMEM_COUNTER(name) &dev_attr_##name.attr,
	XPMEM_COUNTERS(XPMEM_COUNTER)
#undef XPMEM_COUNTER
		NULL,
};

static const struct attribute_group stats_group = {
	.name = "xpmem",
	.attrs = stats_attrs,
};

const struct attribute_group *xpmem_stats_groups[] = { &stats_group, NULL };
