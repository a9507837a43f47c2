/* SPDX-License-Identifier: GPL-2.0-only */
/* Between config.c and configpeer.c. */
#ifndef XPMEMD_CONFIGPARSE_H
#define XPMEMD_CONFIGPARSE_H

#include "config.h"

#define WORDS_MAX 32

/**
 * struct parser - where the parser is
 * @config: being filled
 * @path:   for messages
 * @line:   present line, from 1
 * @word:   words of the present line
 * @nwords: how many
 * @peer:   the block that the line is in; NULL outside
 * @seen:   bit per directive seen, outside and inside the present block
 * @error:  CONFIG_ERROR_SIZE bytes for the message
 */
struct parser {
	struct config *config;
	const char *path;
	unsigned int line;
	char *word[WORDS_MAX];
	unsigned int nwords;
	struct config_peer *peer;
	unsigned int seen;
	unsigned int seen_peer;
	char *error;
};

/*
 * All return 0, or -1 after they told what is wrong with the present line.  A word
 * is named by its place in the line.
 */
__attribute__((format(printf, 3, 4))) int
parser_fail(struct parser *p, unsigned int line, const char *fmt, ...);
int parser_number(struct parser *p, unsigned int word, unsigned long min,
		  unsigned long max, unsigned long *value);
int parser_address(struct parser *p, struct config_address *address);
int parser_security(struct parser *p, uint16_t *security);
int parser_yes_no(struct parser *p, bool *value);

int config_peer_start(struct parser *p);
int config_peer_end(struct parser *p);
int config_peer_address(struct parser *p);
int config_peer_fabric(struct parser *p);
int config_peer_window(struct parser *p);
int config_peer_uids(struct parser *p);
int config_peer_root_squash(struct parser *p);
int config_peer_security(struct parser *p);

#endif
