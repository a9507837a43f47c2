// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A second program looks at a simulation while it runs, in its memory: nothing
 * is written to files, nothing is sent, and the simulation does not wait.
 *
 *	mpirun -np 4 in_situ		the simulation; it prints a number
 *	in_situ --watch NUMBER		the watcher: not of the MPI job, started
 *					at any time, on any partition
 *
 * The number is the name of a segment of rank 0, in which the names of all
 * others stand: one number leads to everything. To that segment alone the
 * watcher may write, to steer: here it tells the simulation to stop. For the
 * fields it has permits to read.
 *
 * In each rank's field, a ring of cells, heat flows. None is made or lost, so
 * the watcher knows the sum; cells of different times would not have it.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "flag.h"
#include "peers.h"

static long cells = 4096, snapshots = 5, watched;

static const struct arg args[] = {
	{ "--cells", &cells, 3, 1 << 24, "cells of a rank's field" },
	{ "--watch", &watched, 1, INT64_MAX, "look at the simulation NUMBER" },
	{ "--snapshots", &snapshots, 1, 1000000,
	  "of the watcher, then it stops the simulation" },
	{ 0 },
};

/* All the heat of a field, at first in its cell 0. */
enum { HEAT = 1000000000, MOST_RANKS = 256 };

/* What a watcher finds first. */
struct directory {
	struct flag stop;
	long ranks, cells;
	xpmem_segid_t field[MOST_RANKS];
};

/* In a segment of its own, for permits are for a whole one. */
struct field {
	struct flag begun, done; /* steps */
	int64_t cell[]; /* the ring after even steps, and after odd ones */
};

static size_t field_size(long ring)
{
	return sizeof(struct field) + 2 * ring * sizeof(int64_t);
}

/* --- the simulation */

static int64_t flow(int64_t from, int64_t to)
{
	return (from - to) / 4;
}

/*
 * The fence is for whoever sees one of the new cells: then begun, too. It is
 * the partner of the one in try_copy().
 */
static void step(struct field *field, long number)
{
	int64_t *new = field->cell + number % 2 * cells;
	int64_t *old = field->cell + (number - 1) % 2 * cells;

	atomic_store_explicit(&field->begun.value, number,
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (long i = 0; i < cells; i++)
		new[i] = old[i] + flow(old[i ? i - 1 : cells - 1], old[i]) -
			 flow(old[i], old[i + 1 < cells ? i + 1 : 0]);
	flag_set(&field->done, number);
}

/* Rank 0 gathers the names; the segids are all that is ever sent. */
static void fill_directory(struct directory *directory,
			   const struct xpmem_peers *fields)
{
	if (fields->ranks > MOST_RANKS)
		fail("in_situ: at most %d ranks", MOST_RANKS);
	MPI_Gather(&fields->segid, sizeof(fields->segid), MPI_BYTE,
		   directory ? directory->field : NULL, sizeof(fields->segid),
		   MPI_BYTE, 0, MPI_COMM_WORLD);
	if (directory) {
		directory->ranks = fields->ranks;
		directory->cells = cells;
	}
}

static void simulate(void)
{
	struct xpmem_peers fields, steering;
	struct directory *directory = NULL;
	struct field *own = xpmem_pages(field_size(cells));
	struct flag *stop;
	long number = 0;

	own->cell[0] = HEAT;
	xpmem_map_peers(&fields, MPI_COMM_WORLD, own, field_size(cells),
			XPMEM_RDONLY);
	if (fields.rank == 0)
		directory = xpmem_pages(sizeof(*directory));
	fill_directory(directory, &fields);
	xpmem_map_peers(&steering, MPI_COMM_WORLD, directory,
			directory ? sizeof(*directory) : 0, XPMEM_RDONLY);
	stop = &((struct directory *)xpmem_peer(&steering, 0))->stop;
	if (directory) {
		printf("in_situ: look at me with --watch %lld\n",
		       (long long)steering.segid);
		fflush(stdout);
	}

	while (!atomic_load_explicit(&stop->value, memory_order_relaxed)) {
		step(own, ++number);
		sched_yield(); /* there may be more ranks than processors */
	}
	xpmem_unmap_peers(&steering);
	xpmem_unmap_peers(&fields);
	if (directory)
		printf("in_situ: told to stop, after %ld steps of rank 0\n",
		       number);
}

/* --- the watcher; no MPI from here on */

static void *look_at(xpmem_segid_t segid, size_t size, int access)
{
	struct xpmem_addr start = { .offset = 0 };
	void *at;

	start.apid = xpmem_get(segid, access, XPMEM_PERMIT_MODE, NULL);
	if (start.apid == -1)
		fail("in_situ: no permit for %lld: %s", (long long)segid,
		     strerror(errno));
	at = xpmem_attach(start, size, NULL);
	if (at == (void *)-1)
		fail("in_situ: attaching %lld: %s", (long long)segid,
		     strerror(errno));
	return at;
}

/*
 * The cells after the last step that is done. The simulation is writing those
 * of the next one meanwhile, beside them; if it is further than that now, then
 * some of these may be overwritten.
 */
static long try_copy(struct field *field, int64_t *copy)
{
	long done =
		atomic_load_explicit(&field->done.value, memory_order_acquire);

	memcpy(copy, field->cell + done % 2 * cells, cells * sizeof(*copy));
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&field->begun.value, memory_order_relaxed) >
	    done + 1)
		return -1;
	return done;
}

static long snapshot(struct field *field, int64_t *copy, long after)
{
	enum { TRIES = 1000000 };
	long done = -1;

	for (int i = 0; i < TRIES; i++) {
		done = try_copy(field, copy);
		if (done > after)
			return done;
		sched_yield();
	}
	fail("in_situ: %s", done < 0 ?
				    "the simulation is faster than our copies" :
				    "the simulation stands still");
}

/* Returns the hottest cell. It can only have cooled down since. */
static int64_t check(const int64_t *copy, int64_t before, long rank, long done)
{
	int64_t sum = 0, hottest = 0;

	for (long i = 0; i < cells; i++) {
		sum += copy[i];
		if (copy[i] > hottest)
			hottest = copy[i];
	}
	if (sum != HEAT)
		fail("in_situ: rank %ld, step %ld: the heat is %lld, not %d",
		     rank, done, (long long)sum, HEAT);
	if (hottest > before)
		fail("in_situ: rank %ld, step %ld: a cell got hotter than all were",
		     rank, done);
	return hottest;
}

static void on_sigbus(int signal)
{
	static const char text[] = "in_situ: the simulation has ended\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static void watch(void)
{
	struct directory *directory;
	struct field *field[MOST_RANKS];
	int64_t *copy, hottest[MOST_RANKS];
	long done[MOST_RANKS], ranks;

	signal(SIGBUS,
	       on_sigbus); /* a touch of memory whose exporter is gone */
	directory = look_at(watched, sizeof(*directory), XPMEM_RDWR);
	ranks = directory->ranks;
	cells = directory->cells;
	copy = calloc(cells, sizeof(*copy));
	if (ranks < 1 || ranks > MOST_RANKS || cells < 3 || !copy)
		fail("in_situ: %ld is no simulation", watched);
	for (long rank = 0; rank < ranks; rank++) {
		field[rank] = look_at(directory->field[rank], field_size(cells),
				      XPMEM_RDONLY);
		hottest[rank] = HEAT;
		done[rank] = -1;
	}

	for (long i = 0; i < snapshots; i++)
		for (long rank = 0; rank < ranks; rank++) {
			done[rank] = snapshot(field[rank], copy, done[rank]);
			hottest[rank] =
				check(copy, hottest[rank], rank, done[rank]);
		}
	flag_set(&directory->stop, 1);
	printf("in_situ: %ld snapshots of %ld fields of %ld cells, the last of rank 0 at step %ld, all right\n",
	       snapshots, ranks, cells, done[0]);
	free(copy);
	/* Our end detaches everything. */
}

int main(int argc, char **argv)
{
	args_parse(argc, argv, "A watcher attaches to a running simulation.",
		   args);
	if (watched) {
		watch();
		return 0;
	}
	MPI_Init(&argc, &argv);
	simulate();
	MPI_Finalize();
	return 0;
}
