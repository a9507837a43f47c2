/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A line that somebody sits on: a thread that passes on what comes over TCP,
 * and alters, drops, repeats or exchanges it when it is told to.
 */
#ifndef XT_LINE_H
#define XT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is done to a piece of what passes: to a byte of it, or to all of it. */
enum xt_fault {
	XT_NO_FAULT,
	XT_ALTER,
	XT_DROP,
	XT_REPEAT,
	XT_CUT,
	XT_DROP_ALL,
	XT_REPEAT_ALL,
	XT_EXCHANGE_ALL,
};

const char *xt_fault_name(enum xt_fault fault);
/* Leads to an address; returns the port of 127.0.0.1 at which it begins. */
uint16_t xt_line_open(const char *address, uint16_t port);
/*
 * To the byte @at of direction @from (0: from who called) something will
 * happen, counted in the next connection if @fresh, else from now.
 */
void xt_line_fault(enum xt_fault fault, int from, size_t at, bool fresh);
/* Has it happened? */
bool xt_line_done(void);
/* Ends the connection. */
void xt_line_cut(void);
/* Waits until some more has passed both ways: was the number in it, in clear? */
bool xt_line_shows(uint64_t number);

#endif
