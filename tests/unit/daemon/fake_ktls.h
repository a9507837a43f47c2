/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_FAKE_KTLS_H
#define XPMEMD_FAKE_KTLS_H

#include <stdbool.h>

#include "ktls.h"

void fake_ktls_reset(void);
void fake_ktls_refuse(bool refuse);
unsigned int fake_ktls_count(void);
const struct ktls_keys *fake_ktls_sends(int fd);
bool fake_ktls_pair(int a, int b);

#endif
