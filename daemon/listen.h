/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_LISTEN_H
#define XPMEMD_LISTEN_H

#include "config.h"
#include "handshake.h"

int listen_init(const struct config_address *address,
		const struct handshake_local *local);
void listen_exit(void);

#endif
