/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_TEST_H
#define XPMEMD_TEST_H

/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* munged.c: a munged of our own, with a key of its own. */
int munged_start(void **state);
int munged_stop(void **state);
const char *munged_socket(void);

/* fence_script.c: fence commands of our own. */
int fence_script_setup(void **state);
int fence_script_teardown(void **state);
void fence_script_have(char *path, size_t size, const char *script);
int fence_script_calls(void);
const char *fence_script_input(void);

/* scratch.c: a directory of our own, and programs that run in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
void scratch_write(const char *name, const char *text);
int scratch_run(const char *command);
const char *scratch_said(void);

#define assert_contains(text, part)                                         \
	do {                                                                \
		if (!strstr(text, part))                                    \
			fail_msg("\"%s\" does not say \"%s\"", text, part); \
	} while (0)

/* Behind what happened, "; " and what to do: each message is like that. */
#define assert_advises(text)                                    \
	do {                                                    \
		const char *at_ = strstr(text, "; ");           \
		if (!at_ || strspn(at_ + 2, LETTERS) < 2)       \
			fail_msg("\"%s\" has no action", text); \
	} while (0)
#define LETTERS "abcdefghijklmnopqrstuvwxyz"

#endif
