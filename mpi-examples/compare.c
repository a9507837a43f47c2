// SPDX-License-Identifier: LGPL-2.1-or-later
#include "compare.h"
#include "peers.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Microseconds of one operation on the rank that takes longest. All ranks meet
 * before, so that none gains by being early.
 */
static double time_one(void (*operation)(size_t size), size_t size)
{
	double start, mine, longest;

	MPI_Barrier(MPI_COMM_WORLD);
	start = MPI_Wtime();
	operation(size);
	mine = MPI_Wtime() - start;
	MPI_Allreduce(&mine, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	return longest * 1e6;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, long count)
{
	qsort(values, count, sizeof(*values), order);
	return values[count / 2];
}

/* In turns, so that what else the machine does disturbs both alike. */
static void compare_one(const char *name, const char *mpi_name,
			void (*ours)(size_t size), void (*theirs)(size_t size),
			size_t size, long rounds)
{
	double *our = calloc(rounds, sizeof(*our));
	double *their = calloc(rounds, sizeof(*their)), x, y;
	int rank;

	if (!our || !their)
		fail("%s: no memory for %ld rounds", name, rounds);
	ours(size); /* the first one faults pages in, or opens connections */
	theirs(size);
	for (long i = 0; i < rounds; i++) {
		our[i] = time_one(ours, size);
		their[i] = time_one(theirs, size);
	}
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	x = median(our, rounds);
	y = median(their, rounds);
	if (rank == 0)
		printf("%s: %zu bytes: %.1f us, %s %.1f us, ratio %.2f\n", name,
		       size, x, mpi_name, y, y / x);
	free(our);
	free(their);
}

void compare_all(const char *name, const char *mpi_name,
		 void (*ours)(size_t size), void (*theirs)(size_t size),
		 size_t most, long rounds)
{
	for (size_t size = 1024; size < most; size *= 4)
		compare_one(name, mpi_name, ours, theirs, size, rounds);
	compare_one(name, mpi_name, ours, theirs, most, rounds);
}
