/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One partition that does not keep to the protocol, in several files: see
 * rawsession.c.
 */
#ifndef RAWSESSION_H
#define RAWSESSION_H

#include "xt-raw.h"

extern struct xt_raw raw;

/* rawsession.c: one session at a time. */
void message(int type, const void *payload, uint32_t length);
int receive(void *payload, size_t size);
void open_session(void);
void ends_with(const char *what, const char *want);

/* wrong.c */
void wrong_headers(void);
void wrong_payloads(void);
void wrong_terms(void);
void noise(void);

/* questions.c */
void lookups(void);
void floods(void);
void heartbeats(void);

#endif
