// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A broadcast in which each rank copies the data once, from where it is:
 *
 *	root ──┬──► every other rank of its partition
 *	       └──► a leader in each other partition ──► the ranks there
 *
 * So the data crosses to each partition once, whatever the number of ranks
 * there. It flows in pieces: a leader passes on what it has while it fetches
 * the rest.
 *
 * MPI_Bcast takes any buffer; here it has to be in a segment, which is made and
 * attached once and then used for as many broadcasts as one likes.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "compare.h"
#include "flag.h"
#include "peers.h"

static long most = 1 << 20, rounds = 20, compare;

static const struct arg args[] = {
	{ "--bytes", &most, 1, 1 << 30, "the longest message" },
	{ "--rounds", &rounds, 1, 1000000, "broadcasts of each length" },
	{ "--compare", &compare, 0, 1, "1: time it, and MPI_Bcast" },
	{ 0 },
};

enum { PIECE = 16384 };

struct box {
	struct flag here; /* bytes of all broadcasts so far that are in data */
	struct flag taken; /* how often a rank had all it wanted from data */
	_Alignas(64) char data[];
};

static struct xpmem_peers peers;
static long
	sent; /* bytes of all broadcasts before this one; the same everywhere */
static long readers; /* our flag `taken` when nobody reads from us */

/* From whom a rank copies; -1: it is the root. */
static int source(int rank, int root)
{
	int leader = xpmem_leader(&peers, rank);

	if (rank == root)
		return -1;
	if (rank == leader || leader == xpmem_leader(&peers, root))
		return root;
	return leader;
}

/* Gets the data, piece by piece, and says how far it is. */
static void copy(struct box *own, struct box *from, size_t size)
{
	size_t next;

	for (size_t done = 0; done < size; done = next) {
		next = size - done < PIECE ? size : done + PIECE;
		flag_await(&from->here, sent + next);
		memcpy(own->data + done, from->data + done, next - done);
		flag_set(&own->here, sent + next);
	}
	flag_add(&from->taken);
}

/* The first size bytes of the root's data are everyone's, and everyone may
 * write to them again when it returns. */
static void broadcast(size_t size, int root)
{
	struct box *own = xpmem_peer(&peers, peers.rank);
	int from = source(peers.rank, root);

	for (int rank = 0; rank < peers.ranks; rank++)
		readers += source(rank, root) == peers.rank;
	if (from < 0)
		flag_set(&own->here, sent + size);
	else
		copy(own, xpmem_peer(&peers, from), size);
	sent += size;
	flag_await(&own->taken, readers);
}

static unsigned char byte(long round, size_t i)
{
	return round * 31 + i * 7 + (i >> 8);
}

/* Each rank is the root in turn; the others' bytes are all wrong before. */
static void verify(size_t size)
{
	unsigned char *data =
		(unsigned char *)((struct box *)xpmem_peer(&peers, peers.rank))
			->data;

	for (long round = 0; round < rounds; round++) {
		int root = round % peers.ranks;

		for (size_t i = 0; i < size; i++)
			data[i] = peers.rank == root ? byte(round, i) :
						       ~byte(round, i);
		broadcast(size, root);
		for (size_t i = 0; i < size; i++)
			if (data[i] != byte(round, i))
				fail("bcast: %zu bytes from rank %d: byte %zu is wrong",
				     size, root, i);
	}
}

static void ours(size_t size)
{
	broadcast(size, 0);
}

static void theirs(size_t size)
{
	struct box *own = xpmem_peer(&peers, peers.rank);

	MPI_Bcast(own->data, size, MPI_BYTE, 0, MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
	long lengths = 0;
	size_t size;

	args_parse(argc, argv, "A broadcast by copying from memory to memory.",
		   args);
	MPI_Init(&argc, &argv);
	size = sizeof(struct box) + most;
	xpmem_map_peers(&peers, MPI_COMM_WORLD, xpmem_pages(size), size,
			XPMEM_RDWR);

	/* 1, 4, 16, ... and the longest */
	for (size = 1; size < (size_t)most; size *= 4, lengths++)
		verify(size);
	verify(most);
	if (peers.rank == 0)
		printf("bcast: %d ranks, partitions: %d, %ld lengths up to %ld bytes, all right\n",
		       peers.ranks, xpmem_partitions(&peers), lengths + 1,
		       most);
	if (compare)
		compare_all("bcast", "MPI_Bcast", ours, theirs, most, rounds);
	xpmem_unmap_peers(&peers);
	MPI_Finalize();
	return 0;
}
