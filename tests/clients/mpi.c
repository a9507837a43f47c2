// SPDX-License-Identifier: GPL-2.0-only
/*
 * An MPI program that checks every byte that it receives: messages of many
 * sizes between all ranks in both directions at once, from memory that is
 * mapped anew at the same address, from the stack, collectives, one-sided
 * puts and gets. Prints how many bytes were right and what the module held
 * meanwhile; exits 1 when a byte was wrong.
 *
 * --flip: rank 1 sends one wrong byte, to show that it is noticed.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bytes.h"

#define KIB 1024UL
#define MIB (1024 * KIB)
#define MAX (4 * MIB)
#define GUARD 64
#define GUARD_BYTE 0xa5

/* Around what is sent at once, through a fragment, in a single copy. */
static const size_t sizes[] = { 1,    7,	64,    1000,   4095,	4096,
				4097, 32 * KIB, 65537, 200001, MIB + 3, MAX };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int rank, ranks;
static bool flip;
static unsigned char *out_room, *in_room;
static uint64_t verified, wrong;

static void *map(void *at, size_t size)
{
	void *mem = mmap(at, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS |
				 (at ? MAP_FIXED_NOREPLACE : 0),
			 -1, 0);

	if (mem == MAP_FAILED || (at && mem != at)) {
		perror("mmap");
		MPI_Abort(MPI_COMM_WORLD, 2);
	}
	return mem;
}

static uint64_t seed_of(int from, int to, size_t size, int round)
{
	return ((uint64_t)round << 48) ^ ((uint64_t)from << 40) ^
	       ((uint64_t)to << 32) ^ size;
}

static void check(const char *what, const void *got, size_t size, uint64_t seed)
{
	size_t bad = bytes_wrong(got, size, seed);

	verified += size;
	if (!bad)
		return;
	printf("# rank %d: %s: %zu bytes are wrong\n", rank, what, bad);
	wrong += bad;
}

/* A place for a message that starts at no round address. */
static unsigned char *place(unsigned char *room, size_t size)
{
	return room + GUARD + size % 13;
}

static void guard(unsigned char *at, size_t size)
{
	memset(at - GUARD, GUARD_BYTE, GUARD);
	memset(at + size, GUARD_BYTE, GUARD);
}

static void check_guard(const unsigned char *at, size_t size)
{
	size_t bad = bytes_not(at - GUARD, GUARD, GUARD_BYTE) +
		     bytes_not(at + size, GUARD, GUARD_BYTE);

	if (bad)
		printf("# rank %d: %zu bytes beside a message\n", rank, bad);
	wrong += bad;
}

/* Sends to one rank and receives from another, both at once. */
static void exchange(unsigned char *out, size_t size, int distance, int round)
{
	unsigned char *in = place(in_room, size);
	int to = (rank + distance) % ranks;
	int from = (rank - distance + ranks) % ranks;

	bytes_fill(out, size, seed_of(rank, to, size, round));
	if (flip && rank == 1 && size == MAX)
		out[size / 2] ^= 1, flip = false;
	guard(in, size);
	MPI_Sendrecv(out, size, MPI_BYTE, to, round, in, size, MPI_BYTE, from,
		     round, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	check("exchange", in, size, seed_of(from, rank, size, round));
	check_guard(in, size);
}

static void exchanges(void)
{
	for (size_t i = 0; i < SIZES; i++)
		for (int distance = 1; distance < ranks; distance++)
			exchange(place(out_room, sizes[i]), sizes[i], distance,
				 i + 1);
}

/* Nobody tells a receiver that the sender's pages are others now. */
static void remapped(void)
{
	size_t size = MIB;
	unsigned char *out = map(NULL, size);

	for (int round = 100; round < 106; round++) {
		exchange(out, size, 1, round);
		munmap(out, size);
		out = map(out, size);
	}
	munmap(out, size);
}

static void from_stack(void)
{
	unsigned char out[200 * KIB];

	exchange(out, sizeof(out), 1, 200);
}

/* Many messages at once, each way. */
static void crowd(void)
{
	enum { COUNT = 16 };
	size_t size = 100 * KIB + 1;
	int to = (rank + 1) % ranks, from = (rank - 1 + ranks) % ranks;
	MPI_Request requests[2 * COUNT];

	for (int i = 0; i < COUNT; i++)
		MPI_Irecv(in_room + i * size, size, MPI_BYTE, from, i,
			  MPI_COMM_WORLD, &requests[i]);
	for (int i = 0; i < COUNT; i++) {
		bytes_fill(out_room + i * size, size,
			   seed_of(rank, to, size, 300 + i));
		MPI_Isend(out_room + i * size, size, MPI_BYTE, to, i,
			  MPI_COMM_WORLD, &requests[COUNT + i]);
	}
	MPI_Waitall(2 * COUNT, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < COUNT; i++)
		check("crowd", in_room + i * size, size,
		      seed_of(from, rank, size, 300 + i));
}

static void broadcasts(void)
{
	for (int root = 0; root < ranks; root++)
		for (size_t i = 0; i < SIZES; i += 3) {
			uint64_t seed = seed_of(root, 99, sizes[i], 400);

			if (rank == root)
				bytes_fill(in_room, sizes[i], seed);
			else
				memset(in_room, 0, sizes[i]);
			MPI_Bcast(in_room, sizes[i], MPI_BYTE, root,
				  MPI_COMM_WORLD);
			check("broadcast", in_room, sizes[i], seed);
		}
}

static void allreduce(size_t count)
{
	uint64_t *out = (void *)out_room, *in = (void *)in_room;

	for (size_t i = 0; i < count; i++)
		out[i] = bytes_word(rank, i);
	MPI_Allreduce(out, in, count, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	for (size_t i = 0; i < count; i++) {
		uint64_t want = 0;

		for (int r = 0; r < ranks; r++)
			want += bytes_word(r, i);
		if (in[i] != want)
			wrong += sizeof(want);
	}
	verified += count * sizeof(*in);
}

static void alltoall(size_t size)
{
	for (int r = 0; r < ranks; r++)
		bytes_fill(out_room + r * size, size,
			   seed_of(rank, r, size, 500));
	memset(in_room, 0, ranks * size);
	MPI_Alltoall(out_room, size, MPI_BYTE, in_room, size, MPI_BYTE,
		     MPI_COMM_WORLD);
	for (int r = 0; r < ranks; r++)
		check("alltoall", in_room + r * size, size,
		      seed_of(r, rank, size, 500));
}

/* Puts into the next rank's window, gets from the one before. */
static void one_sided(void)
{
	size_t size = 300 * KIB;
	int next = (rank + 1) % ranks, before = (rank - 1 + ranks) % ranks;
	unsigned char *window;
	MPI_Win win;

	MPI_Win_allocate(2 * size, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window,
			 &win);
	bytes_fill(out_room, size, seed_of(rank, next, size, 600));
	bytes_fill(window + size, size, seed_of(rank, 99, size, 601));
	MPI_Win_fence(0, win);
	MPI_Put(out_room, size, MPI_BYTE, next, 0, size, MPI_BYTE, win);
	MPI_Get(in_room, size, MPI_BYTE, before, size, size, MPI_BYTE, win);
	MPI_Win_fence(0, win);
	check("put", window, size, seed_of(before, rank, size, 600));
	check("get", in_room, size, seed_of(before, 99, size, 601));
	MPI_Win_free(&win);
}

/* All ranks wait while one looks at what the module holds. */
static void look(void)
{
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		module_print();
	MPI_Barrier(MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
	uint64_t mine[2], all[2];

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	flip = argc > 1 && !strcmp(argv[1], "--flip");
	out_room = map(NULL, MAX + MIB);
	in_room = map(NULL, MAX + MIB);

	exchanges();
	look();
	remapped();
	from_stack();
	crowd();
	broadcasts();
	allreduce(1);
	allreduce(3 * KIB + 1);
	allreduce(MAX / 8);
	alltoall(63);
	alltoall(MIB);
	one_sided();

	mine[0] = verified, mine[1] = wrong;
	MPI_Reduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
	if (rank == 0)
		printf("ranks=%d verified=%llu wrong=%llu\n", ranks,
		       (unsigned long long)all[0], (unsigned long long)all[1]);
	MPI_Finalize();
	return wrong ? 1 : 0;
}
