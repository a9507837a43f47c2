// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two ranks pass a message to and fro with loads and stores alone.
 *
 *	rank 0					the last rank
 *	writes the payload into the box
 *	of the last rank, then its flag
 *						sees the flag in its own box,
 *						checks the payload; writes one
 *						into rank 0's box, then its flag
 *	sees the flag in its own box, ...
 *
 * Each waits on its own memory and writes into the other's: a waiting rank
 * looks at its own cache again and again, and only the message itself crosses.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "args.h"
#include "peers.h"

static long rounds = 1000, words = 512;

static const struct arg args[] = {
	{ "--rounds", &rounds, 1, 100000000, "round trips" },
	{ "--words", &words, 1, 1 << 20, "64-bit words in a message" },
	{ 0 },
};

/* The flag is the number of the last message, and not beside the payload. */
struct box {
	_Alignas(64) atomic_long flag;
	_Alignas(64) uint64_t payload[];
};

static uint64_t word(long message, long i)
{
	return ((uint64_t)message << 32) ^ (uint64_t)i * 2654435761u;
}

/*
 * Release: whoever sees the flag sees the payload that was stored before it.
 * The hardware's coherence makes that as true across partitions as between two
 * threads.
 */
static void send(struct box *theirs, long message)
{
	for (long i = 0; i < words; i++)
		theirs->payload[i] = word(message, i);
	atomic_store_explicit(&theirs->flag, message, memory_order_release);
}

/* Acquire: the partner of send()'s release. */
static void receive(struct box *mine, long message)
{
	while (atomic_load_explicit(&mine->flag, memory_order_acquire) !=
	       message)
		sched_yield(); /* there may be more ranks than processors */
	for (long i = 0; i < words; i++)
		if (mine->payload[i] != word(message, i))
			fail("ping_pong: message %ld: word %ld is wrong",
			     message, i);
}

int main(int argc, char **argv)
{
	struct xpmem_peers peers;
	struct box *mine, *theirs;
	size_t size;
	double start;
	int last;

	args_parse(argc, argv, "Two ranks pass a message to and fro.", args);
	MPI_Init(&argc, &argv);
	size = sizeof(struct box) + words * sizeof(uint64_t);
	mine = xpmem_pages(size);
	xpmem_map_peers(&peers, MPI_COMM_WORLD, mine, size, XPMEM_RDWR);
	last = peers.ranks - 1;
	if (!last)
		fail("ping_pong: wants two ranks or more");
	theirs = xpmem_peer(&peers, peers.rank ? 0 : last);

	start = MPI_Wtime();
	for (long i = 1; i <= rounds; i++) {
		if (peers.rank == 0) {
			send(theirs, 2 * i - 1);
			receive(mine, 2 * i);
		} else if (peers.rank == last) {
			receive(mine, 2 * i - 1);
			send(theirs, 2 * i);
		}
	}
	if (peers.rank == 0)
		printf("ping_pong: ranks 0 and %d, %ld messages of %ld words, all right; %.2f us a round trip\n",
		       last, 2 * rounds, words,
		       (MPI_Wtime() - start) / rounds * 1e6);
	xpmem_unmap_peers(&peers);
	MPI_Finalize();
	return 0;
}
