/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_LOG_H
#define XPMEMD_LOG_H

#include <stdbool.h>

/* Longest reason that is told, to the log, to a peer or to xpmemctl. */
#define REASON_SIZE 256

void log_init(const char *name, bool syslog);
void log_exit(void);

__attribute__((format(printf, 1, 2))) void log_error(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *fmt, ...);

__attribute__((format(printf, 2, 3))) int reason_set(char *reason,
						     const char *fmt, ...);
void reason_clean(char *text);

#endif
