// SPDX-License-Identifier: GPL-2.0-only
/*
 * pingpong ROUNDS SIZE...: two ranks send messages of each size to and fro, and
 * rank 0 prints "SIZE NS" for each: half of the median round trip, in ns. The
 * bytes are checked at the end of each size. Ranks are pinned to CPUs 0 and 1.
 */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

/* Every message is another one, so that a stale copy is found. */
static void round_trip(char *out, char *in, int size, int rank, int round)
{
	int other = !rank;

	out[0] = out[size - 1] = (char)(round + rank);
	if (rank) {
		MPI_Recv(in, size, MPI_CHAR, other, 0, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		MPI_Send(out, size, MPI_CHAR, other, 0, MPI_COMM_WORLD);
	} else {
		MPI_Send(out, size, MPI_CHAR, other, 0, MPI_COMM_WORLD);
		MPI_Recv(in, size, MPI_CHAR, other, 0, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
	}
	if (in[0] != (char)(round + other) ||
	    in[size - 1] != (char)(round + other)) {
		fprintf(stderr, "pingpong: wrong bytes in message %d of %d\n",
			round, size);
		MPI_Abort(MPI_COMM_WORLD, 1);
	}
}

static void run(int rounds, int size, int rank)
{
	double *took = calloc(rounds, sizeof(*took));
	char *out = malloc(size), *in = malloc(size);

	if (!took || !out || !in)
		MPI_Abort(MPI_COMM_WORLD, 1);
	memset(out, 1, size);
	memset(in, 0, size);
	for (int i = 0; i < rounds / 4 + 2; i++)
		round_trip(out, in, size, rank, i);
	for (int i = 0; i < rounds; i++) {
		double start = now();

		round_trip(out, in, size, rank, i);
		took[i] = now() - start;
	}
	qsort(took, rounds, sizeof(*took), compare);
	if (!rank)
		printf("%d %.0f\n", size, took[rounds / 2] / 2);
	free(took);
	free(out);
	free(in);
}

int main(int argc, char **argv)
{
	cpu_set_t cpus;
	int rank, ranks;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (argc < 3 || ranks != 2 || atoi(argv[1]) < 1) {
		fprintf(stderr,
			"usage: mpirun -np 2 pingpong ROUNDS SIZE...\n");
		MPI_Abort(MPI_COMM_WORLD, 2);
	}
	CPU_ZERO(&cpus);
	CPU_SET(rank, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		perror("pingpong: cannot be pinned");
	for (int i = 2; i < argc; i++)
		if (atoi(argv[i]) > 0)
			run(atoi(argv[1]), atoi(argv[i]), rank);
	MPI_Finalize();
	return 0;
}
