// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory is found by a name, not by a segid that somebody has to pass on: the
 * others need to know which user exports it, but not which process, nor on which
 * partition.
 *
 *	rank 0					every other rank
 *	makes a segment of its board
 *	publishes it
 *	------------------- barrier -------------------------
 *						looks the name up, gets a permit,
 *						attaches, reads the question,
 *						writes its answer beside it
 *	------------------- barrier -------------------------
 *	reads the answers
 *	removes the segment
 *	------------------- barrier -------------------------
 *						looks up in vain: a name goes
 *						with its segment
 *
 * MPI only starts the ranks and is the barrier here. Programs that have no
 * barrier in common look up again while the error is ENOENT.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "peers.h"

static long job = 1;

static const struct arg args[] = {
	{ "--job", &job, 1, 1000000000,
	  "part of the name; another for each job at a time" },
	{ 0 },
};

struct board {
	uint64_t question;
	uint64_t answer[]; /* by rank */
};

/*
 * Each user has names of their own, on each partition. Looked up with our user id
 * before it, the name is one of our user's or none; without, another user's segment
 * might be found when ours is not there. It may still be another job's of our user:
 * on this partition publishing says EEXIST then, on another one nothing does.
 */
static const char *name(bool whose)
{
	static char text[2 * XPMEM_NAME_SIZE];
	int n = whose ? sprintf(text, "%u:", (unsigned int)geteuid()) : 0;

	sprintf(text + n, "publish_lookup/%ld", job);
	return text;
}

static uint64_t right(uint64_t question, int rank)
{
	return question * (rank + 1);
}

static xpmem_segid_t publish(struct board *board, size_t size)
{
	xpmem_segid_t segid =
		xpmem_make(board, size, XPMEM_PERMIT_MODE, (void *)0600);

	if (segid == -1)
		fail("publish_lookup: xpmem_make: %s", strerror(errno));
	if (xpmem_publish(name(false), segid))
		fail("publish_lookup: cannot publish \"%s\": %s%s", name(false),
		     strerror(errno),
		     errno == EEXIST ? "; give another --job" : "");
	return segid;
}

static void answer(size_t size, int rank)
{
	xpmem_segid_t segid = xpmem_lookup(name(true));
	struct xpmem_addr addr = { 0 };
	struct board *board;

	if (segid == -1)
		fail("publish_lookup: cannot look \"%s\" up: %s", name(true),
		     strerror(errno));
	addr.apid = xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	if (addr.apid == -1)
		fail("publish_lookup: xpmem_get: %s", strerror(errno));
	board = xpmem_attach(addr, size, NULL);
	if (board == (void *)-1)
		fail("publish_lookup: xpmem_attach: %s", strerror(errno));
	board->answer[rank] = right(board->question, rank);
	/* Detaches as well. */
	if (xpmem_release(addr.apid))
		fail("publish_lookup: xpmem_release: %s", strerror(errno));
}

static void check(const struct board *board, int ranks)
{
	for (int r = 1; r < ranks; r++)
		if (board->answer[r] != right(board->question, r))
			fail("publish_lookup: rank %d answered %llu", r,
			     (unsigned long long)board->answer[r]);
}

static void check_gone(void)
{
	if (xpmem_lookup(name(true)) != -1)
		fail("publish_lookup: \"%s\" is still there", name(true));
	if (errno != ENOENT)
		fail("publish_lookup: whether \"%s\" is gone: %s", name(true),
		     strerror(errno));
}

int main(int argc, char **argv)
{
	size_t size, page = sysconf(_SC_PAGESIZE);
	struct board *board = NULL;
	xpmem_segid_t segid = 0;
	int rank, ranks;

	args_parse(argc, argv, "Memory is found by its name.", args);
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks < 2)
		fail("publish_lookup: wants two ranks or more");
	size = sizeof(*board) + ranks * sizeof(board->answer[0]);
	size = (size + page - 1) / page * page;
	if (rank == 0) {
		board = xpmem_pages(size);
		board->question = 6700417;
		segid = publish(board, size);
	}
	xpmem_barrier(MPI_COMM_WORLD);
	if (rank)
		answer(size, rank);
	xpmem_barrier(MPI_COMM_WORLD);
	if (rank == 0) {
		check(board, ranks);
		if (xpmem_remove(segid))
			fail("publish_lookup: xpmem_remove: %s",
			     strerror(errno));
	}
	xpmem_barrier(MPI_COMM_WORLD);
	check_gone();
	if (rank == 0)
		printf("publish_lookup: \"%s\" found by %d ranks, their answers all right, and then gone\n",
		       name(false), ranks - 1);
	MPI_Finalize();
	return 0;
}
