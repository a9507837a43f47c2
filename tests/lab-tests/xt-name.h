/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XT_NAME_H
#define XT_NAME_H

#include <xpmem.h>

/* A lookup that must end so: 0, or the errno that it fails with. */
xpmem_segid_t xt_name_looks_up(const char *name, int want);
/* One that must find this segment. */
void xt_name_finds(const char *name, xpmem_segid_t want);
/* Publishes; must end so: 0, or the errno that it fails with. */
void xt_name_publishes(const char *name, xpmem_segid_t segid, int want);

#endif
