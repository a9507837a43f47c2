// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ranks take tasks from a counter in rank 0's memory, with one atomic
 * instruction for each task: nobody is the server, rank 0's processor is not
 * asked, and a quick rank simply takes more.
 *
 * Atomic instructions work on attached memory as on one's own.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "args.h"
#include "flag.h"
#include "peers.h"

static long tasks = 1000, effort = 200;

static const struct arg args[] = {
	{ "--tasks", &tasks, 1, 1 << 24, "tasks in the queue" },
	{ "--effort", &effort, 1, 1 << 30, "steps of the longest task" },
	{ 0 },
};

/* In rank 0's memory. */
struct queue {
	struct flag ready; /* ranks that have a task to begin with */
	_Alignas(64) atomic_long next; /* the first task that nobody has taken */
	_Alignas(64) struct {
		atomic_long times; /* how often it was done */
		uint64_t result;
	} task[];
};

/* Tasks of unequal length, as they are in life. */
static uint64_t work(long task)
{
	uint64_t x = task + 1;

	for (long i = task % effort; i >= 0; i--)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static long take(struct queue *queue)
{
	return atomic_fetch_add(&queue->next, 1);
}

/*
 * How many this rank did. Nobody takes a second one before all have a first: an MPI
 * barrier lets ranks go one after the other, and the first would find all the tasks.
 */
static long serve(struct queue *queue, int ranks)
{
	long task = take(queue), done = 0;

	flag_add(&queue->ready);
	flag_await(&queue->ready, ranks);
	for (; task < tasks; task = take(queue)) {
		queue->task[task].result = work(task);
		atomic_fetch_add(&queue->task[task].times, 1);
		done++;
		sched_yield(); /* there may be more ranks than processors */
	}
	return done;
}

static void check(struct queue *queue, int ranks, long done, long busy)
{
	long least = ranks < tasks ? ranks : tasks;

	if (queue->next != tasks + ranks)
		fail("work_queue: %ld additions, not %ld", (long)queue->next,
		     tasks + ranks);
	if (done != tasks)
		fail("work_queue: the ranks did %ld tasks of %ld", done, tasks);
	if (busy != least)
		fail("work_queue: %ld ranks did some, not %ld", busy, least);
	for (long i = 0; i < tasks; i++) {
		if (queue->task[i].times != 1)
			fail("work_queue: task %ld was done %ld times", i,
			     (long)queue->task[i].times);
		if (queue->task[i].result != work(i))
			fail("work_queue: task %ld: the result is wrong", i);
	}
}

int main(int argc, char **argv)
{
	struct xpmem_peers peers;
	struct queue *own = NULL;
	size_t size = 0;
	long mine, some, done, busy;
	int rank;

	args_parse(argc, argv, "Ranks take tasks from a shared counter.", args);
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0) {
		size = sizeof(*own) + tasks * sizeof(own->task[0]);
		own = xpmem_pages(size);
	}
	xpmem_map_peers(&peers, MPI_COMM_WORLD, own, size, XPMEM_RDWR);

	mine = serve(xpmem_peer(&peers, 0), peers.ranks);
	xpmem_barrier(MPI_COMM_WORLD);
	some = mine > 0;
	MPI_Reduce(&mine, &done, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
	MPI_Reduce(&some, &busy, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
	if (rank == 0) {
		check(own, peers.ranks, done, busy);
		printf("work_queue: %ld tasks, each done once, all right; %ld of %d ranks did some\n",
		       tasks, busy, peers.ranks);
	}
	xpmem_unmap_peers(&peers);
	MPI_Finalize();
	return 0;
}
