// SPDX-License-Identifier: LGPL-2.1-or-later
#include "compare.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

/* Odd, so that one of them is the middle. */
enum { TURNS = 5 };

/*
 * Microseconds of one operation on the rank that takes longest. Between two of
 * them all ranks meet, so that none gains by being early.
 */
static double mean(void (*operation)(size_t size), size_t size, long rounds)
{
	double start, mine = 0, longest;

	for (long i = 0; i < rounds; i++) {
		MPI_Barrier(MPI_COMM_WORLD);
		start = MPI_Wtime();
		operation(size);
		mine += MPI_Wtime() - start;
	}
	MPI_Allreduce(&mine, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	return longest / rounds * 1e6;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In turns, so that what else the machine does disturbs both; the median. */
static void compare_one(const char *name, const char *mpi_name,
			void (*ours)(size_t size), void (*theirs)(size_t size),
			size_t size, long rounds)
{
	double our[TURNS], their[TURNS];
	int rank;

	ours(size); /* the first one faults pages in, or opens connections */
	theirs(size);
	for (int turn = 0; turn < TURNS; turn++) {
		our[turn] = mean(ours, size, rounds);
		their[turn] = mean(theirs, size, rounds);
	}
	qsort(our, TURNS, sizeof(*our), order);
	qsort(their, TURNS, sizeof(*their), order);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0)
		printf("%s: %zu bytes: %.1f us, %s %.1f us, ratio %.2f\n", name,
		       size, our[TURNS / 2], mpi_name, their[TURNS / 2],
		       their[TURNS / 2] / our[TURNS / 2]);
}

void compare_all(const char *name, const char *mpi_name,
		 void (*ours)(size_t size), void (*theirs)(size_t size),
		 size_t most, long rounds)
{
	for (size_t size = 1024; size < most; size *= 4)
		compare_one(name, mpi_name, ours, theirs, size, rounds);
	compare_one(name, mpi_name, ours, theirs, most, rounds);
}
