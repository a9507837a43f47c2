/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_NOTIFY_H
#define XPMEMD_NOTIFY_H

void notify(const char *state);

#endif
