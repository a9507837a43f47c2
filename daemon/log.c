// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: stderr or syslog.  A peer can cause messages, so they are limited:
 * nobody fills a disk from outside.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "log.h"

/* So many messages at once, and so many a second in the long run. */
#define LOG_BURST 100
#define LOG_RATE 10

static struct {
	const char *name;
	bool syslog;
	time_t second;
	unsigned int tokens;
	unsigned int dropped;
} state = { .name = "xpmemd", .tokens = LOG_BURST };

/**
 * log_init - choose where messages go
 * @name:   the program's name; stays the caller's
 * @syslog: to syslog, else to stderr
 *
 * May be called again, to change the choice.
 */
void log_init(const char *name, bool syslog)
{
	if (syslog)
		openlog(name, LOG_PID, LOG_DAEMON);
	else /* a line at a time: whoever is killed leaves no part of one */
		setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	state.name = name;
	state.syslog = syslog;
}

/**
 * log_exit - end logging to syslog
 */
void log_exit(void)
{
	if (state.syslog)
		closelog();
	state.syslog = false;
}

__attribute__((format(printf, 2, 0))) static void
log_write(int priority, const char *fmt, va_list args)
{
	if (state.syslog) {
		vsyslog(priority, fmt, args);
		return;
	}
	fprintf(stderr, "%s: ", state.name);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

__attribute__((format(printf, 2, 3))) static void log_now(int priority,
							  const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_write(priority, fmt, args);
	va_end(args);
}

static bool log_allowed(void)
{
	struct timespec now;
	uint64_t tokens;

	clock_gettime(CLOCK_MONOTONIC, &now);
	tokens =
		state.tokens + (uint64_t)(now.tv_sec - state.second) * LOG_RATE;
	state.tokens = tokens < LOG_BURST ? (unsigned int)tokens : LOG_BURST;
	state.second = now.tv_sec;
	if (!state.tokens) {
		state.dropped++;
		return false;
	}
	state.tokens--;
	if (state.dropped) {
		log_now(LOG_WARNING, "%u messages were dropped: too many",
			state.dropped);
		state.dropped = 0;
	}
	return true;
}

__attribute__((format(printf, 2, 0))) static void
log_limited(int priority, const char *fmt, va_list args)
{
	int err = errno; /* for %m, whatever is written before */

	if (!log_allowed())
		return;
	errno = err;
	log_write(priority, fmt, args);
}

/**
 * log_error - say that something failed and what to do
 * @fmt: as printf(3)
 */
void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_limited(LOG_ERR, fmt, args);
	va_end(args);
}

/**
 * log_warning - say that something is not as it should be
 * @fmt: as printf(3)
 */
void log_warning(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_limited(LOG_WARNING, fmt, args);
	va_end(args);
}

/**
 * log_info - say what happens
 * @fmt: as printf(3)
 */
void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_limited(LOG_INFO, fmt, args);
	va_end(args);
}

/**
 * reason_set - note why something failed
 * @reason: REASON_SIZE bytes, written
 * @fmt:    as printf(3)
 *
 * Return: -1, for the caller to return.
 */
int reason_set(char *reason, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, REASON_SIZE, fmt, args);
	va_end(args);
	return -1;
}

/**
 * reason_clean - make a text that came from outside fit for a terminal
 * @text: changed in place: each byte that is not printable becomes '?'
 */
void reason_clean(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}
