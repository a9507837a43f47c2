/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A number that one rank counts up and others wait for, in memory that all have
 * attached. Whoever sees the number sees what was stored before it: release and
 * acquire, as between threads, and across partitions alike.
 */
#ifndef FLAG_H
#define FLAG_H

#include <sched.h>
#include <stdatomic.h>

/* Alone in its cache line, or every store beside it disturbs whoever waits. */
struct flag {
	_Alignas(64) atomic_long value;
};

static inline void flag_set(struct flag *flag, long value)
{
	atomic_store_explicit(&flag->value, value, memory_order_release);
}

/* When several ranks count. */
static inline void flag_add(struct flag *flag)
{
	atomic_fetch_add_explicit(&flag->value, 1, memory_order_release);
}

static inline void flag_await(struct flag *flag, long least)
{
	while (atomic_load_explicit(&flag->value, memory_order_acquire) < least)
		sched_yield(); /* there may be more ranks than processors */
}

#endif
