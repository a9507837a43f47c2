// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An array on rank 0's heap is everyone's array: each rank writes its part in
 * place, and reads the others' parts. No rank has a copy, and rank 0 takes no
 * part in what the others do.
 *
 * Any memory of a process can be exported, here what aligned_alloc() returned;
 * whole pages are, so it starts on one and fills the last.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "peers.h"

static long words = 1 << 16;

static const struct arg args[] = {
	{ "--words", &words, 1, 1L << 30, "64-bit words in the array" },
	{ 0 },
};

static uint64_t *heap_array(size_t *size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uint64_t *array;

	*size = (words * sizeof(*array) + page - 1) / page * page;
	array = aligned_alloc(page, *size);
	if (!array)
		fail("shared_array: no memory for %ld words", words);
	for (long i = 0; i < words; i++)
		array[i] = 0;
	return array;
}

/* Who writes word i: the words are dealt in turn, so that pages are shared. */
static int owner(long i, int ranks)
{
	return i % ranks;
}

/* Never 0, which is what was there before. */
static uint64_t value(long i, int ranks)
{
	return (uint64_t)i * i + owner(i, ranks) + 1;
}

int main(int argc, char **argv)
{
	struct xpmem_peers peers;
	uint64_t *own = NULL, *array;
	size_t size = 0;
	int rank;

	args_parse(argc, argv, "One rank's heap is everyone's array.", args);
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0)
		own = heap_array(&size);
	xpmem_map_peers(&peers, MPI_COMM_WORLD, own, size, XPMEM_RDWR);
	array = xpmem_peer(&peers, 0);

	for (long i = rank; i < words; i += peers.ranks)
		array[i] = value(i, peers.ranks);
	xpmem_barrier(MPI_COMM_WORLD);
	for (long i = 0; i < words; i++)
		if (array[i] != value(i, peers.ranks))
			fail("shared_array: word %ld is %llu, not %llu: rank %d wrote it",
			     i, (unsigned long long)array[i],
			     (unsigned long long)value(i, peers.ranks),
			     owner(i, peers.ranks));

	xpmem_unmap_peers(&peers);
	if (rank == 0)
		printf("shared_array: %ld words of rank 0, written and read by %d ranks, all right\n",
		       words, peers.ranks);
	free(own);
	MPI_Finalize();
	return 0;
}
