/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all examples need: each rank exports some memory, and the other ranks
 * of the communicator, on this or on another partition, attach it.
 *
 *	memory = xpmem_pages(size);
 *	xpmem_map_peers(&peers, MPI_COMM_WORLD, memory, size, XPMEM_RDWR);
 *	there = xpmem_peer(&peers, rank); to be read and written
 *	xpmem_unmap_peers(&peers);
 *
 * Mapping and unmapping are collective; looking up a peer is not. All of them
 * end the whole job with a message when one rank cannot go on.
 */
#ifndef PEERS_H
#define PEERS_H

#include <mpi.h>
#include <stddef.h>
#include <xpmem.h>

/* A rank's segment, and where we have it. */
struct xpmem_peer {
	xpmem_segid_t segid; /* 0: it exports nothing */
	size_t size;
	xpmem_apid_t permit; /* 0: not attached yet */
	void *at;
};

struct xpmem_peers {
	MPI_Comm comm;
	int rank, ranks;
	int access;
	xpmem_segid_t segid; /* our own segment, 0 when we export nothing */
	struct xpmem_peer *peer; /* by rank */
};

/* Zeroed memory that starts on a page and has it for itself. */
void *xpmem_pages(size_t size);

/*
 * Makes our segment, and tells it to all. size may differ from rank to rank; 0:
 * this rank exports nothing and only looks on. access: XPMEM_RDONLY or
 * XPMEM_RDWR, what this rank may do with the memory of the others.
 */
void xpmem_map_peers(struct xpmem_peers *peers, MPI_Comm comm, void *memory,
		     size_t size, int access);
void xpmem_unmap_peers(struct xpmem_peers *peers);

/*
 * Where that rank's memory is in our address space; NULL if it exports nothing.
 * It is attached when it is asked for first: who needs a few of many ranks has
 * permits for a few. Ours is the memory itself.
 */
void *xpmem_peer(struct xpmem_peers *peers, int rank);

/*
 * The first rank whose memory is on the same partition as that rank's: who
 * speaks for it where one for each partition is enough.
 */
int xpmem_leader(const struct xpmem_peers *peers, int rank);

/* How many leaders there are among the ranks that export something. */
int xpmem_partitions(const struct xpmem_peers *peers);

/*
 * Until all ranks are here; what each wrote before, in whosever memory, the
 * others then read.
 */
void xpmem_barrier(MPI_Comm comm);

/* Prints what went wrong and ends all ranks with status 1. */
_Noreturn void fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
