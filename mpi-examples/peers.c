// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The four steps of every user of xpmem: make a segment of one's own memory,
 * tell the others its name, get a permit for each of theirs, attach it.
 */
#include "peers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A segment's name begins with the number of its partition. */
enum { PARTITION_SHIFT = 48 };

/* What one rank has to tell the others. */
struct card {
	xpmem_segid_t segid;
	size_t size;
};

void fail(const char *format, ...)
{
	char text[512];
	va_list args;
	int rank, parallel;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	MPI_Initialized(&parallel);
	if (!parallel) {
		fprintf(stderr, "%s\n", text);
		exit(1);
	}
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	fprintf(stderr, "rank %d: %s\n", rank, text);
	fflush(stderr);
	MPI_Abort(MPI_COMM_WORLD, 1);
	abort();
}

/* A segment is whole pages. */
static size_t whole_pages(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void *xpmem_pages(size_t size)
{
	void *memory = mmap(NULL, whole_pages(size), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("no memory for %zu bytes: %s", size, strerror(errno));
	return memory;
}

/*
 * Mode 0600: a permit is for our own user only, and on every partition alike.
 * The pages need not be there yet, and nothing pins them: memory that is
 * exported can be swapped and moved as any other.
 */
static struct card make(void *memory, size_t size)
{
	struct card card = { 0, whole_pages(size) };

	if (!size)
		return card;
	card.segid =
		xpmem_make(memory, card.size, XPMEM_PERMIT_MODE, (void *)0600);
	if (card.segid == -1)
		fail("xpmem_make: %s (is the xpmem module loaded?)",
		     strerror(errno));
	return card;
}

void xpmem_map_peers(struct xpmem_peers *peers, MPI_Comm comm, void *memory,
		     size_t size, int access)
{
	struct card mine = make(memory, size), *cards;

	peers->comm = comm;
	peers->access = access;
	peers->segid = mine.segid;
	MPI_Comm_rank(comm, &peers->rank);
	MPI_Comm_size(comm, &peers->ranks);
	peers->peer = calloc(peers->ranks, sizeof(*peers->peer));
	cards = calloc(peers->ranks, sizeof(*cards));
	if (!peers->peer || !cards)
		fail("no memory for %d ranks", peers->ranks);

	MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, cards, sizeof(mine),
		      MPI_BYTE, comm);
	for (int rank = 0; rank < peers->ranks; rank++) {
		peers->peer[rank].segid = cards[rank].segid;
		peers->peer[rank].size = cards[rank].size;
	}
	peers->peer[peers->rank].at = size ? memory : NULL;
	free(cards);
}

/* The name alone says where the memory is: the call is the same for all. */
static void attach(struct xpmem_peer *peer, int rank, int access)
{
	struct xpmem_addr start = { .offset = 0 };

	start.apid = xpmem_get(peer->segid, access, XPMEM_PERMIT_MODE, NULL);
	if (start.apid == -1)
		fail("xpmem_get of rank %d's memory: %s%s", rank,
		     strerror(errno),
		     errno == EHOSTUNREACH ?
			     " (xpmemctl status tells which partitions are up)" :
			     "");
	peer->at = xpmem_attach(start, peer->size, NULL);
	if (peer->at == (void *)-1)
		fail("xpmem_attach of rank %d's memory: %s", rank,
		     strerror(errno));
	peer->permit = start.apid;
}

void *xpmem_peer(struct xpmem_peers *peers, int rank)
{
	struct xpmem_peer *peer = &peers->peer[rank];

	if (!peer->at && peer->segid)
		attach(peer, rank, peers->access);
	return peer->at;
}

static int partition(const struct xpmem_peers *peers, int rank)
{
	return peers->peer[rank].segid >> PARTITION_SHIFT;
}

int xpmem_leader(const struct xpmem_peers *peers, int rank)
{
	int first = 0;

	while (partition(peers, first) != partition(peers, rank))
		first++;
	return first;
}

int xpmem_partitions(const struct xpmem_peers *peers)
{
	int count = 0;

	for (int rank = 0; rank < peers->ranks; rank++)
		count += peers->peer[rank].segid &&
			 xpmem_leader(peers, rank) == rank;
	return count;
}

/*
 * The end of a process does all of this, too. In this order nobody meets
 * SIGBUS: no segment is removed before everybody has stopped to use it.
 */
void xpmem_unmap_peers(struct xpmem_peers *peers)
{
	for (int rank = 0; rank < peers->ranks; rank++) {
		struct xpmem_peer *peer = &peers->peer[rank];

		if (!peer->permit)
			continue;
		if (xpmem_detach(peer->at) || xpmem_release(peer->permit))
			fail("detaching rank %d's memory: %s", rank,
			     strerror(errno));
	}
	MPI_Barrier(peers->comm);
	if (peers->segid && xpmem_remove(peers->segid))
		fail("xpmem_remove: %s", strerror(errno));
	free(peers->peer);
}

/* MPI orders its own messages; the fences order our loads and stores with it. */
void xpmem_barrier(MPI_Comm comm)
{
	atomic_thread_fence(memory_order_seq_cst);
	MPI_Barrier(comm);
	atomic_thread_fence(memory_order_seq_cst);
}
