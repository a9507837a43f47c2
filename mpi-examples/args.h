/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of the examples: options that take a number. */
#ifndef ARGS_H
#define ARGS_H

struct arg {
	const char *name; /* "--size"; NULL ends the table */
	long *value; /* its default, then what was given */
	long least, most;
	const char *help;
};

/*
 * Ends the program after --help (status 0), and after a bad argument (status
 * 2) that it names. To be called before MPI_Init, so that it needs no mpirun.
 */
void args_parse(int argc, char **argv, const char *about,
		const struct arg *args);

#endif
