// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The sum of all ranks' vectors, for all ranks, in three steps:
 *
 *	inside	each rank adds up its share of the vectors of its partition,
 *		read where they are, and stores it into the leader's memory
 *	across	each rank adds up its share of the partitions' sums, read from
 *		the leaders, and stores it into every leader's memory
 *	inside	each rank copies the sum from its leader
 *
 * No rank has a buffer for what others send, all ranks add at the same time,
 * and what crosses between two partitions does so once, not once for each rank.
 * Where there is one partition only, the first step gives the sum.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "compare.h"
#include "flag.h"
#include "peers.h"

static long most = 1 << 20, rounds = 20, compare;

static const struct arg args[] = {
	{ "--bytes", &most, 8, 1 << 30, "the longest vector" },
	{ "--rounds", &rounds, 1, 1000000, "sums of each length" },
	{ "--compare", &compare, 0, 1, "1: time it, and MPI_Allreduce" },
	{ 0 },
};

struct box {
	struct flag arrived; /* of a leader: how often its members came */
	struct flag leave; /* of a leader: members may go on from here */
	struct flag arrived_leaders; /* of rank 0: the same for the leaders */
	struct flag leave_leaders;
	/* max words each: our vector; of a leader: its partition's sum; all's */
	_Alignas(64) uint64_t words[];
};

/* Who shares a partition with us, and who leads each partition. */
struct group {
	int *member, members, place; /* place: ours among them */
	int *leader, leaders;
	struct box *own, *lead, *top; /* top: of the leaders' leader, rank 0 */
	long met, met_leaders;
};

static struct xpmem_peers peers;
static struct group group;
static long max; /* words of the longest vector */
static uint64_t *sum; /* the result: any memory of ours */

static uint64_t *vector(int rank)
{
	return ((struct box *)xpmem_peer(&peers, rank))->words;
}

static uint64_t *partial(int rank)
{
	return vector(rank) + max;
}

static uint64_t *total(int rank)
{
	return vector(rank) + 2 * max;
}

static void make_group(void)
{
	int lead = xpmem_leader(&peers, peers.rank);

	group.member = calloc(peers.ranks, sizeof(int));
	group.leader = calloc(peers.ranks, sizeof(int));
	if (!group.member || !group.leader)
		fail("allreduce: no memory for %d ranks", peers.ranks);
	for (int rank = 0; rank < peers.ranks; rank++) {
		if (xpmem_leader(&peers, rank) == rank)
			group.leader[group.leaders++] = rank;
		if (rank == peers.rank)
			group.place = group.members;
		if (xpmem_leader(&peers, rank) == lead)
			group.member[group.members++] = rank;
	}
	group.own = xpmem_peer(&peers, peers.rank);
	group.lead = xpmem_peer(&peers, lead);
	group.top = xpmem_peer(&peers, 0);
}

/* Leaders meet: each of them speaks for its partition. */
static void meet_leaders(void)
{
	group.met_leaders++;
	if (group.own != group.top) {
		flag_add(&group.top->arrived_leaders);
		flag_await(&group.top->leave_leaders, group.met_leaders);
		return;
	}
	flag_await(&group.top->arrived_leaders,
		   group.met_leaders * (group.leaders - 1));
	flag_set(&group.top->leave_leaders, group.met_leaders);
}

/* All ranks of the partition meet, or all ranks: then only the leaders wait
 * for memory of another partition. */
static void meet(bool everybody)
{
	group.met++;
	if (group.own != group.lead) {
		flag_add(&group.lead->arrived);
		flag_await(&group.lead->leave, group.met);
		return;
	}
	flag_await(&group.own->arrived, group.met * (group.members - 1));
	if (everybody)
		meet_leaders();
	flag_set(&group.own->leave, group.met);
}

/* Where share number i of n begins; whole cache lines, so that no two ranks
 * write to the same. */
static long share(long words, int i, int n)
{
	long begin = (words * i / n + 7) / 8 * 8;

	return i == n || begin > words ? words : begin;
}

/*
 * to[] = the sum of the vectors, from begin to end. In blocks that stay in the
 * processor's first cache while one vector after the other is added.
 */
static void add(uint64_t *to, uint64_t *(*from)(int rank), const int *rank,
		int ranks, long begin, long end)
{
	enum { BLOCK = 1024 };

	for (long b = begin; b < end; b += BLOCK) {
		long n = end - b < BLOCK ? end - b : BLOCK;

		memcpy(to + b, from(rank[0]) + b, n * sizeof(*to));
		for (int r = 1; r < ranks; r++) {
			const uint64_t *more = from(rank[r]) + b;

			for (long i = 0; i < n; i++)
				to[b + i] += more[i];
		}
	}
}

/* The partitions' sums to all leaders. */
static void across(long words)
{
	long begin = share(words, peers.rank, peers.ranks);
	long end = share(words, peers.rank + 1, peers.ranks);
	int lead = group.member[0];

	meet(true);
	add(total(lead), partial, group.leader, group.leaders, begin, end);
	for (int i = 0; i < group.leaders; i++)
		if (group.leader[i] != lead)
			memcpy(total(group.leader[i]) + begin,
			       total(lead) + begin,
			       (end - begin) * sizeof(uint64_t));
	meet(true);
}

/*
 * What is overwritten here was read before a meeting that we have had since:
 * the leader's sums of the last time, before the first one of this time.
 */
static void all_reduce(long words)
{
	int lead = group.member[0];
	bool single = group.leaders == 1;

	meet(false);
	add(single ? total(lead) : partial(lead), vector, group.member,
	    group.members, share(words, group.place, group.members),
	    share(words, group.place + 1, group.members));
	if (single)
		meet(false);
	else
		across(words);
	memcpy(sum, total(lead), words * sizeof(*sum));
}

/* number counts all sums of all lengths, from 1: none is that of an earlier one. */
static uint64_t value(int rank, long number, long i)
{
	return (uint64_t)(rank + 1) * (i * 2654435761u + number);
}

static void verify(long words)
{
	uint64_t *own = vector(peers.rank);
	uint64_t ranks = (uint64_t)peers.ranks * (peers.ranks + 1) / 2;
	static long number;

	for (long round = 0; round < rounds; round++) {
		number++;
		for (long i = 0; i < words; i++)
			own[i] = value(peers.rank, number, i);
		all_reduce(words);
		for (long i = 0; i < words; i++)
			if (sum[i] != ranks * value(0, number, i))
				fail("allreduce: %ld words: word %ld is wrong",
				     words, i);
	}
}

static void ours(size_t size)
{
	all_reduce(size / sizeof(uint64_t));
}

static void theirs(size_t size)
{
	MPI_Allreduce(vector(peers.rank), sum, size / sizeof(uint64_t),
		      MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
	long lengths = 0;
	size_t size;

	args_parse(argc, argv, "The sum of all ranks' vectors, for all.", args);
	MPI_Init(&argc, &argv);
	max = most / sizeof(uint64_t);
	size = sizeof(struct box) + 3 * max * sizeof(uint64_t);
	sum = xpmem_pages(max * sizeof(uint64_t));
	xpmem_map_peers(&peers, MPI_COMM_WORLD, xpmem_pages(size), size,
			XPMEM_RDWR);
	make_group();

	/* 1, 4, 16, ... words and the longest */
	for (long words = 1; words < max; words *= 4, lengths++)
		verify(words);
	verify(max);
	if (peers.rank == 0)
		printf("allreduce: %d ranks, partitions: %d, %ld lengths up to %ld words, all right\n",
		       peers.ranks, xpmem_partitions(&peers), lengths + 1, max);
	if (compare)
		compare_all("allreduce", "MPI_Allreduce", ours, theirs,
			    max * sizeof(uint64_t), rounds);
	xpmem_unmap_peers(&peers);
	free(group.member);
	free(group.leader);
	MPI_Finalize();
	return 0;
}
