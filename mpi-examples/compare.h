/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a collective operation takes, beside MPI's own: medians. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stddef.h>

/*
 * Lengths of 1 KiB, 4 KiB, ... and most bytes; rounds operations of each.
 * Collective; rank 0 prints a line for each length.
 */
void compare_all(const char *name, const char *mpi_name,
		 void (*ours)(size_t size), void (*theirs)(size_t size),
		 size_t most, long rounds);

#endif
