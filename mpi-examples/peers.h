/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all examples need: each rank exports some memory, and every other rank
 * of the communicator, on this or on another partition, attaches it.
 *
 *	memory = xpmem_pages(size);
 *	xpmem_map_peers(&peers, MPI_COMM_WORLD, memory, size, XPMEM_RDWR);
 *	... peers.at[r] is where rank r's memory is, to be read and written ...
 *	xpmem_unmap_peers(&peers);
 *
 * All calls are collective, and end the whole job with a message when one rank
 * cannot go on.
 */
#ifndef PEERS_H
#define PEERS_H

#include <mpi.h>
#include <stddef.h>
#include <xpmem.h>

struct xpmem_peers {
	MPI_Comm comm;
	int rank, ranks;
	xpmem_segid_t segid; /* our own segment, 0 when we export nothing */
	xpmem_apid_t *permit; /* by rank; 0 for us and who exports nothing */
	void **at; /* by rank; ours is the memory itself; NULL: nothing */
};

/* Zeroed memory that starts on a page and has it for itself. */
void *xpmem_pages(size_t size);

/*
 * size may differ from rank to rank; 0: this rank exports nothing and only
 * looks on. access: XPMEM_RDONLY or XPMEM_RDWR, what this rank may do with the
 * memory of the others.
 */
void xpmem_map_peers(struct xpmem_peers *peers, MPI_Comm comm, void *memory,
		     size_t size, int access);
void xpmem_unmap_peers(struct xpmem_peers *peers);

/*
 * Until all ranks are here; what each wrote before, in whosever memory, the
 * others then read.
 */
void xpmem_barrier(MPI_Comm comm);

/* Prints what went wrong and ends all ranks with status 1. */
_Noreturn void fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
