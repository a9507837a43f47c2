/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_LOOP_H
#define XPMEMD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/**
 * struct loop_source - a descriptor that the loop watches
 * @fd:    the descriptor; its owner closes it, after loop_remove()
 * @ready: called with EPOLL* bits; may remove and free the source
 */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events);
};

/**
 * struct loop_timer - something to do later; all zero is a timer at rest
 * @fire:  called once per loop_timer_set(); may free the timer
 * @due:   private to the loop
 * @next:  private to the loop
 * @armed: set until it fires or is cancelled
 */
struct loop_timer {
	void (*fire)(struct loop_timer *timer);
	uint64_t due;
	struct loop_timer *next;
	bool armed;
};

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer)-offsetof(type, member)))

int loop_init(void);
void loop_exit(void);
int loop_add(struct loop_source *source, uint32_t events);
void loop_change(struct loop_source *source, uint32_t events);
void loop_remove(struct loop_source *source);
void loop_timer_set(struct loop_timer *timer, unsigned int ms);
void loop_timer_cancel(struct loop_timer *timer);
uint64_t loop_now(void);
int loop_run(void);
int loop_step(void);
void loop_stop(void);

#endif
