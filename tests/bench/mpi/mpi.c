// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages between two ranks of one MPI job, each on a partition of its own: by
 * stores into an attachment, beside MPI over whatever mpirun was told to take.
 * Rank 0 measures, and tells rank 1 each game.
 *
 * MPI receives into the very slots that the stores go to, and every byte is checked
 * alike.
 */
#include "../flow.h"

#include <err.h>
#include <errno.h>
#include <mpi.h>
#include <string.h>

/* name, pattern, bytes, most of figure / reference or 0, what it is */
#define GAMES(X)                                                        \
	X("latency-8", PING_PONG, 8, 0.1, "8 bytes" TO_AND_FRO)         \
	X("latency-256", PING_PONG, 256, 0, "256 bytes" TO_AND_FRO)     \
	X("latency-4k", PING_PONG, 4 * KIB, 0, "4 KiB" TO_AND_FRO)      \
	X("latency-64k", PING_PONG, 64 * KIB, 0, "64 KiB" TO_AND_FRO)   \
	X("latency-1m", PING_PONG, MIB, 0.333, "1 MiB" TO_AND_FRO)      \
	X("bandwidth-64k", ONE_WAY, 64 * KIB, 0, "64 KiB, one way")     \
	X("bandwidth-1m", ONE_WAY, MIB, 0, "1 MiB, one way")            \
	X("both-ways-64k", BOTH_WAYS, 64 * KIB, 0, "64 KiB, both ways") \
	X("both-ways-1m", BOTH_WAYS, MIB, 0, "1 MiB, both ways")

#define TO_AND_FRO " to another partition, half a round trip"

#define MEASURE(name, pattern, size, most, what)          \
	{ "mpi/" name "/mpi-tcp",                         \
	  what " through an attachment",                  \
	  "MPI between the same ranks",                   \
	  PER_MESSAGE(pattern, size) ? "message" : "KiB", \
	  { most, 0 },                                    \
	  0 },

static const struct measure measures[] = { GAMES(MEASURE) };

#define ROW(name, pattern, size, most, what) \
	{ "mpi/" name "/mpi-tcp", { BY_MEMORY, pattern, size, 0, 1 } },

static const struct row_game {
	const char *name;
	struct game game;
} games[] = { GAMES(ROW) };

static struct flow flow;
static int rank;

/* --- by MPI */

static void mpi_send(struct lane *lane, unsigned int slot)
{
	(void)slot;
	stamp(lane);
	MPI_Send(lane->source, lane->game->size, MPI_BYTE, !rank, 0,
		 MPI_COMM_WORLD);
}

static void mpi_receive(struct lane *lane, unsigned int slot)
{
	MPI_Recv(lane->mine->slots[slot], lane->game->size, MPI_BYTE, !rank, 0,
		 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	check_stamp(lane, slot);
}

static void mpi_reply(struct lane *lane)
{
	MPI_Send(&lane->received, 1, MPI_UINT64_T, !rank, 1, MPI_COMM_WORLD);
}

static void mpi_await_reply(struct lane *lane)
{
	uint64_t number;

	MPI_Recv(&number, 1, MPI_UINT64_T, !rank, 1, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	need(number == lane->sent, "a wrong reply");
}

static void mpi_both(struct lane *lane)
{
	MPI_Request request[WINDOW];

	for (unsigned int i = 0; i < WINDOW; i++)
		MPI_Irecv(lane->mine->slots[i], lane->game->size, MPI_BYTE,
			  !rank, 0, MPI_COMM_WORLD, &request[i]);
	for (unsigned int i = 0; i < WINDOW; i++)
		mpi_send(lane, i);
	MPI_Waitall(WINDOW, request, MPI_STATUSES_IGNORE);
	for (unsigned int i = 0; i < WINDOW; i++)
		check_stamp(lane, i);
}

static const struct carrier by_mpi = {
	mpi_send, mpi_receive, mpi_reply, mpi_await_reply, mpi_both,
};

/* --- a game, on both ranks */

/* Each rank exports a box and attaches the other's. */
static void meet(void)
{
	void *box = own_memory(BOX_SIZE), *theirs;
	struct exported other = { .size = BOX_SIZE };
	xpmem_segid_t segid =
		xpmem_make(box, BOX_SIZE, XPMEM_PERMIT_MODE, (void *)0600);

	need(segid != -1, "xpmem_make: %s", strerror(errno));
	MPI_Sendrecv(&segid, sizeof(segid), MPI_BYTE, !rank, 0, &other.segid,
		     sizeof(segid), MPI_BYTE, !rank, 0, MPI_COMM_WORLD,
		     MPI_STATUS_IGNORE);
	theirs = attach(permit(&other), 0, BOX_SIZE);
	touch_write(theirs, BOX_SIZE);
	MPI_Barrier(MPI_COMM_WORLD);
	flow_init(&flow, box, theirs, !rank);
	carriers[BY_MPI] = &by_mpi;
	MPI_Barrier(MPI_COMM_WORLD);
}

static double play(struct game game)
{
	uint64_t took;

	flow_prepare(&flow, &game);
	MPI_Barrier(MPI_COMM_WORLD);
	took = flow_play(&flow, &game);
	MPI_Barrier(MPI_COMM_WORLD);
	flow_verify(&flow, &game);
	return flow_per_unit(&game, took);
}

/* No rounds: the last word. */
static void tell(struct game *game)
{
	MPI_Bcast(game, sizeof(*game), MPI_BYTE, 0, MPI_COMM_WORLD);
}

static double play_by(const struct game *game, enum way way)
{
	struct game this = *game;

	this.way = way;
	this.rounds = flow_rounds(&this);
	tell(&this);
	return play(this);
}

static double by_memory(void *game)
{
	return play_by(game, BY_MEMORY);
}

static double by_messages(void *game)
{
	return play_by(game, BY_MPI);
}

static void run(void)
{
	struct game end = {};

	for (size_t i = 0; i < sizeof(games) / sizeof(*games); i++)
		compare(games[i].name, by_memory, by_messages,
			(void *)&games[i].game);
	tell(&end);
}

static void follow(void)
{
	struct game game;

	for (tell(&game); game.rounds; tell(&game))
		play(game);
}

static const struct topic topic = {
	"mpi",
	"messages between two ranks of an MPI job",
	TOPIC_MEASURES(measures),
	run,
	true,
};

static const char usage[] =
	"usage: mpirun --host p1,p2 -np 2 bench-mpi [options]\n"
	"Measures messages between two ranks, through attachments and by MPI.\n"
	"\n"
	"  --only NAME       measures whose names begin so\n"
	"  --list            what is measured, then exit\n"
	"  --repeat N        samples of each (15); more of what takes under 1 s\n"
	"  --json FILE       one object for each measure; - prints them\n"
	"  --help            this text\n"
	"Exit status: 0 measured, 1 something failed, 2 wrong arguments.\n";

int main(int argc, char **argv)
{
	const struct topic *const topics[] = { &topic };
	struct row *rows;
	size_t count;
	int ranks;

	options_parse(argc, argv, usage);
	if (options.host || options.serve)
		errx(2, "--host, --serve: mpirun says where (--help)");
	if (options.clock)
		errx(2,
		     "--instructions: two partitions have no such clock (--help)");
	if (options.sized)
		errx(2, "--size: messages have their own sizes (--help)");
	count = rows_create(topics, 1, &rows);
	if (!count)
		errx(2, "--only %s: no such measure (--list)", options.only);
	if (options.list) {
		print_list(topics, 1);
		return 0;
	}
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks != 2)
		errx(2, "two ranks are wanted, not %d (--help)", ranks);
	meet();
	if (rank)
		follow();
	else
		run_topic_here(&topic);
	MPI_Finalize();
	if (!rank)
		print_table(rows, count);
	if (!rank && options.json)
		write_json(rows, count);
	return rank ? 0 : any_failed(rows, count);
}
