// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Heat spreads over a plate. Each rank has a block of it, and needs, at the
 * borders, the neighbours' cells of the step before:
 *
 *	             | north's last row |
 *	west's last  +------------------+  east's first
 *	column       |     our block    |  column
 *	             +------------------+
 *	             | south's first row|
 *
 * Programs that send messages copy such borders into halo cells of their own,
 * and pack columns for it. Here a rank reads them where they are.
 *
 * A rank waits for its neighbours only, and only for the step before its own:
 * there are two copies of the block, one that everybody reads and one that is
 * being written.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "flag.h"
#include "peers.h"

static long rows = 48, columns = 64, steps = 100;

static const struct arg args[] = {
	{ "--rows", &rows, 1, 1 << 14, "rows of a rank's block" },
	{ "--columns", &columns, 1, 1 << 14, "columns of a rank's block" },
	{ "--steps", &steps, 1, 1000000, "steps of time" },
	{ 0 },
};

/* Outside of the plate; in millionths of a degree: integers, so that whoever
 * computes a step gets the same, to the bit. */
enum { HOT = 100000000, COLD = 0 };

struct block {
	struct flag step; /* the last one that is finished */
	int64_t cell[]; /* the block at even steps, and at odd ones */
};

enum side { NORTH, SOUTH, WEST, EAST, SIDES };

/* A rank's place in the grid of blocks. */
struct plate {
	MPI_Comm grid;
	int size[2], place[2];
	struct block *own, *beside[SIDES]; /* NULL: the plate ends there */
};

static int64_t *at(struct block *block, long step, long row, long column)
{
	return &block->cell[(step % 2 * rows + row) * columns + column];
}

/* Before the first step, by the place on the whole plate: uneven in both directions,
 * so that every border matters from then on. */
static int64_t before(long row, long column)
{
	return (row * row * 31 + column * column * 17 + row * column) % 997 *
	       (HOT / 1000);
}

static int64_t beyond(enum side side)
{
	return side == NORTH ? HOT : COLD;
}

/* The cell beside one of ours: in our block, in a neighbour's, or in none. */
static int64_t look(const struct plate *plate, long step, long row, long column)
{
	enum side side;

	if (row < 0)
		side = NORTH;
	else if (row == rows)
		side = SOUTH;
	else if (column < 0)
		side = WEST;
	else if (column == columns)
		side = EAST;
	else
		return *at(plate->own, step, row, column);
	if (!plate->beside[side])
		return beyond(side);
	return *at(plate->beside[side], step, (row + rows) % rows,
		   (column + columns) % columns);
}

static int64_t spread(int64_t here, int64_t north, int64_t south, int64_t west,
		      int64_t east)
{
	return here + (north + south + west + east - 4 * here) / 8;
}

/*
 * When all neighbours have finished the step before, its cells are there, and
 * nobody reads the cells of the step before that any more, which we overwrite.
 */
static void advance(struct plate *plate, long step)
{
	long old = step - 1;

	for (int side = 0; side < SIDES; side++)
		if (plate->beside[side])
			flag_await(&plate->beside[side]->step, old);
	for (long r = 0; r < rows; r++)
		for (long c = 0; c < columns; c++)
			*at(plate->own, step, r, c) =
				spread(*at(plate->own, old, r, c),
				       look(plate, old, r - 1, c),
				       look(plate, old, r + 1, c),
				       look(plate, old, r, c - 1),
				       look(plate, old, r, c + 1));
	flag_set(&plate->own->step, step);
}

/* The same plate on one rank alone, with a frame around it. */
static int64_t *alone(long height, long width)
{
	size_t line = width + 2, size = (height + 2) * line;
	int64_t *old = calloc(size, sizeof(*old));
	int64_t *new = calloc(size, sizeof(*new)), *other;

	if (!old || !new)
		fail("halo_2d: no memory to check %ld by %ld cells", height,
		     width);
	for (long c = 0; c < width + 2; c++)
		old[c] = new[c] = HOT;
	for (long r = 0; r < height; r++)
		for (long c = 0; c < width; c++)
			old[(r + 1) * line + c + 1] = before(r, c);
	for (long step = 1; step <= steps; step++) {
		for (long r = 1; r <= height; r++)
			for (long c = 1; c <= width; c++) {
				int64_t *here = &old[r * line + c];

				new[r * line + c] = spread(*here, here[-line],
							   here[line], here[-1],
							   here[1]);
			}
		other = old;
		old = new;
		new = other;
	}
	free(new);
	return old;
}

/* Rank 0 reads everybody's block in place. */
static void check(struct xpmem_peers *peers, const struct plate *plate)
{
	long width = plate->size[1] * columns;
	int64_t *right = alone(plate->size[0] * rows, width), want, got;
	int place[2];

	for (int rank = 0; rank < peers->ranks; rank++) {
		MPI_Cart_coords(plate->grid, rank, 2, place);
		for (long i = 0; i < rows * columns; i++) {
			long r = i / columns, c = i % columns;

			got = *at(xpmem_peer(peers, rank), steps, r, c);
			want = right[(place[0] * rows + r + 1) * (width + 2) +
				     place[1] * columns + c + 1];
			if (got != want)
				fail("halo_2d: rank %d: cell %ld,%ld is %lld, not %lld",
				     rank, r, c, (long long)got,
				     (long long)want);
		}
	}
	free(right);
}

static void make_plate(struct plate *plate)
{
	int rank, ranks, wraps[2] = { 0, 0 };

	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	plate->size[0] = plate->size[1] = 0;
	MPI_Dims_create(ranks, 2, plate->size);
	MPI_Cart_create(MPI_COMM_WORLD, 2, plate->size, wraps, 0, &plate->grid);
	MPI_Comm_rank(plate->grid, &rank);
	MPI_Cart_coords(plate->grid, rank, 2, plate->place);
}

static void fill(struct plate *plate)
{
	for (long r = 0; r < rows; r++)
		for (long c = 0; c < columns; c++)
			*at(plate->own, 0, r, c) =
				before(plate->place[0] * rows + r,
				       plate->place[1] * columns + c);
}

static void find_neighbours(struct plate *plate, struct xpmem_peers *peers)
{
	int rank[SIDES];

	MPI_Cart_shift(plate->grid, 0, 1, &rank[NORTH], &rank[SOUTH]);
	MPI_Cart_shift(plate->grid, 1, 1, &rank[WEST], &rank[EAST]);
	for (int side = 0; side < SIDES; side++)
		plate->beside[side] = rank[side] == MPI_PROC_NULL ?
					      NULL :
					      xpmem_peer(peers, rank[side]);
}

int main(int argc, char **argv)
{
	struct xpmem_peers peers;
	struct plate plate;
	size_t size;

	args_parse(argc, argv, "Heat spreads over a plate.", args);
	MPI_Init(&argc, &argv);
	make_plate(&plate);
	size = sizeof(struct block) + 2 * rows * columns * sizeof(int64_t);
	plate.own = xpmem_pages(size); /* zeroed: at step 0 */
	fill(&plate);
	xpmem_map_peers(&peers, plate.grid, plate.own, size, XPMEM_RDONLY);
	find_neighbours(&plate, &peers);
	xpmem_barrier(plate.grid);

	for (long step = 1; step <= steps; step++)
		advance(&plate, step);
	xpmem_barrier(plate.grid);
	if (peers.rank == 0) {
		check(&peers, &plate);
		printf("halo_2d: %d by %d blocks of %ld by %ld cells, %ld steps, all right\n",
		       plate.size[0], plate.size[1], rows, columns, steps);
	}
	xpmem_unmap_peers(&peers);
	MPI_Comm_free(&plate.grid);
	MPI_Finalize();
	return 0;
}
