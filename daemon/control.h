/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between xpmemd and xpmemctl: one request a connection, a line of words.  The
 * answer is lines of tab-separated fields, a record's name and then key=value,
 * and at last "ok" or "error" with the reason.
 *
 *	status				of this partition and each peer
 *	peers				what is configured
 *	reload				the configuration
 *	quarantine			what lost sessions left behind
 *	fence ID [EPOCH]		answered when it is done, or failed
 *	wait-up MS [ID...]		answered when they are up, or after MS
 *	wait-lost MS ID			answered when its session is not up
 */
#ifndef XPMEMD_CONTROL_H
#define XPMEMD_CONTROL_H

#include "config.h"

#define CONTROL_REQUEST_MAX 4096

int control_init(const struct config *config, int (*reload)(char *reason));
void control_exit(void);
void control_reload(const struct config *config);
void control_peers_changed(void);

#endif
