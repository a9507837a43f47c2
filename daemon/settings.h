/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_SETTINGS_H
#define XPMEMD_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "kernel.h"

bool settings_connects(uint16_t self, const struct config_peer *peer);
bool settings_same(uint16_t self, const struct config_peer *a,
		   const struct config_peer *b);
bool settings_match(uint16_t self, const struct config_peer *peer,
		    const struct kernel_session *session);

#endif
