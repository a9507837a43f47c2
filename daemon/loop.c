// SPDX-License-Identifier: GPL-2.0-only
/*
 * The event loop: one epoll descriptor and a sorted list of timers.
 * Invariant: between two callbacks nothing refers to a source or a timer that
 * was removed, so a callback may free either.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"

static int epoll_fd = -1;
static struct loop_timer *timers;
static bool stopped;

/**
 * loop_init - set the loop up
 *
 * Return: 0, or -1 after logging why.
 */
int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0) {
		log_error(
			"epoll_create1: %m; free memory or raise LimitNOFILE");
		return -1;
	}
	timers = NULL;
	stopped = false;
	return 0;
}

/**
 * loop_exit - give up what loop_init() took
 */
void loop_exit(void)
{
	close(epoll_fd);
	epoll_fd = -1;
}

/**
 * loop_add - watch a descriptor
 * @source: stays the caller's, until loop_remove()
 * @events: EPOLL* bits
 *
 * Return: 0, or -1 after logging why.
 */
int loop_add(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, source->fd, &event)) {
		log_error("epoll_ctl: %m; free memory");
		return -1;
	}
	return 0;
}

/**
 * loop_change - watch a descriptor for other events
 * @source: one that was added
 * @events: EPOLL* bits
 */
void loop_change(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, source->fd, &event))
		log_error("epoll_ctl: %m; free memory");
}

/**
 * loop_remove - watch a descriptor no longer
 * @source: one that was added
 */
void loop_remove(struct loop_source *source)
{
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

/**
 * loop_now - the loop's clock
 *
 * Return: milliseconds since some start, never going back.
 */
uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/**
 * loop_timer_set - call a timer's function later, once
 * @timer: armed or not; stays the caller's
 * @ms:    milliseconds from now
 */
void loop_timer_set(struct loop_timer *timer, unsigned int ms)
{
	struct loop_timer **at = &timers;

	loop_timer_cancel(timer);
	timer->due = loop_now() + ms;
	while (*at && (*at)->due <= timer->due)
		at = &(*at)->next;
	timer->next = *at;
	timer->armed = true;
	*at = timer;
}

/**
 * loop_timer_cancel - do not call a timer's function
 * @timer: armed or not
 */
void loop_timer_cancel(struct loop_timer *timer)
{
	struct loop_timer **at = &timers;

	if (!timer->armed)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->armed = false;
}

/* Milliseconds until the first timer is due; -1 when there is none. */
static int wait_ms(void)
{
	uint64_t now = loop_now();

	if (!timers)
		return -1;
	if (timers->due <= now)
		return 0;
	return timers->due - now < INT_MAX ? (int)(timers->due - now) : INT_MAX;
}

/**
 * loop_step - wait for one event or one timer and handle it
 *
 * One event at a time: a callback may remove any source, and further events
 * fetched with its own would still point there.  The kernel serves the ready
 * ones in turn.
 *
 * Return: 0, or -1 after logging why.
 */
int loop_step(void)
{
	struct loop_source *source;
	struct loop_timer *timer;
	struct epoll_event event;
	int n;

	n = epoll_wait(epoll_fd, &event, 1, wait_ms());
	if (n < 0 && errno != EINTR) {
		log_error("epoll_wait: %m; start xpmemd again");
		return -1;
	}
	if (n > 0) {
		source = event.data.ptr;
		source->ready(source, event.events);
	}
	timer = timers;
	if (timer && timer->due <= loop_now()) {
		loop_timer_cancel(timer);
		timer->fire(timer);
	}
	return 0;
}

/**
 * loop_run - handle events until loop_stop()
 *
 * Return: 0, or -1 after logging why.
 */
int loop_run(void)
{
	while (!stopped) {
		if (loop_step())
			return -1;
	}
	return 0;
}

/**
 * loop_stop - make loop_run() return after the present callback
 */
void loop_stop(void)
{
	stopped = true;
}
