// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration file: one directive a line, a block per peer.
 * Invariant: a configuration that was accepted is complete and consistent; the
 * first thing that is wrong is told as FILE:LINE: what, and what to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "configparse.h"

int parser_fail(struct parser *p, unsigned int line, const char *fmt, ...)
{
	va_list args;
	int n;

	n = snprintf(p->error, CONFIG_ERROR_SIZE, "%s:%u: ", p->path, line);
	if (n < 0 || n >= CONFIG_ERROR_SIZE)
		return -1;
	va_start(args, fmt);
	vsnprintf(p->error + n, CONFIG_ERROR_SIZE - (size_t)n, fmt, args);
	va_end(args);
	return -1;
}

int parser_number(struct parser *p, unsigned int word, unsigned long min,
		  unsigned long max, unsigned long *value)
{
	const char *text = p->word[word];
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *value < min ||
	    *value > max)
		return parser_fail(
			p, p->line,
			"%s is \"%s\"; give a number from %lu to %lu",
			p->word[0], text, min, max);
	return 0;
}

static int parse_text(struct parser *p, char *text, size_t size)
{
	size_t length = strlen(p->word[1]);

	if (!length || length >= size)
		return parser_fail(
			p, p->line,
			"%s has %zu characters; give 1 to %zu of them",
			p->word[0], length, size - 1);
	memcpy(text, p->word[1], length + 1);
	return 0;
}

static int parse_path(struct parser *p, char *text, size_t size)
{
	if (p->word[1][0] != '/')
		return parser_fail(
			p, p->line,
			"%s is \"%s\"; give a path that starts with /",
			p->word[0], p->word[1]);
	return parse_text(p, text, size);
}

int parser_address(struct parser *p, struct config_address *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address->addr;
	unsigned long port;

	if (parser_number(p, 2, 1, 65535, &port))
		return -1;
	if (inet_pton(AF_INET, p->word[1], &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		address->length = sizeof(*v4);
	} else if (inet_pton(AF_INET6, p->word[1], &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		address->length = sizeof(*v6);
	} else {
		return parser_fail(
			p, p->line,
			"\"%s\" is no address; give it in numbers, as 192.0.2.1 or 2001:db8::1",
			p->word[1]);
	}
	return 0;
}

static int set_partid(struct parser *p)
{
	unsigned long value;

	if (parser_number(p, 1, 1, XPMEM_PARTID_MAX, &value))
		return -1;
	p->config->partid = (uint16_t)value;
	return 0;
}

static int set_listen(struct parser *p)
{
	return parser_address(p, &p->config->listen);
}

static int set_control(struct parser *p)
{
	return parse_path(p, p->config->control, sizeof(p->config->control));
}

static int set_munge_socket(struct parser *p)
{
	return parse_path(p, p->config->munge_socket,
			  sizeof(p->config->munge_socket));
}

static int set_fence_command(struct parser *p)
{
	char *command = p->config->fence_command;

	if (parse_path(p, command, sizeof(p->config->fence_command)))
		return -1;
	if (access(command, X_OK))
		return parser_fail(
			p, p->line,
			"fence-command %s cannot be run (%s); install it or correct the path",
			command, strerror(errno));
	return 0;
}

/* Lines of a fence agent's input; what xpmemd asks for is not the file's. */
static int set_fence_options(struct parser *p)
{
	char *options = p->peer ? p->peer->fence_options :
				  p->config->fence_options;
	size_t length = 0, i;

	for (i = 1; i < p->nwords; i++) {
		const char *word = p->word[i], *equals = strchr(word, '=');

		if (!equals || equals == word)
			return parser_fail(p, p->line,
					   "%s has \"%.64s\"; write KEY=VALUE",
					   p->word[0], word);
		if (!strncasecmp(word, "action=", 7) ||
		    !strncasecmp(word, "option=", 7))
			return parser_fail(p, p->line,
					   "%s has an action; remove it",
					   p->word[0]);
		if (length + strlen(word) + 2 > CONFIG_OPTIONS_SIZE)
			return parser_fail(
				p, p->line,
				"%s has over %d characters; shorten them",
				p->word[0], CONFIG_OPTIONS_SIZE - 2);
		length += (size_t)sprintf(options + length, "%s\n", word);
	}
	return 0;
}

int parser_yes_no(struct parser *p, bool *value)
{
	*value = !strcmp(p->word[1], "yes");
	if (!*value && strcmp(p->word[1], "no"))
		return parser_fail(p, p->line,
				   "%s is \"%.64s\"; give yes or no",
				   p->word[0], p->word[1]);
	return 0;
}

static int set_fence_auto(struct parser *p)
{
	return parser_yes_no(p, &p->config->fence_auto);
}

static int set_fence_timeout(struct parser *p)
{
	unsigned long value;

	if (parser_number(p, 1, 1, 3600, &value))
		return -1;
	p->config->fence_timeout_ms = (uint32_t)value * 1000;
	return 0;
}

static int set_fence_delay(struct parser *p)
{
	unsigned long value;

	if (parser_number(p, 1, 0, 3600, &value))
		return -1;
	p->config->fence_delay_ms = (uint32_t)value * 1000;
	return 0;
}

static int set_ms(struct parser *p, uint32_t *ms)
{
	unsigned long value;

	if (parser_number(p, 1, 10, 600000, &value))
		return -1;
	*ms = (uint32_t)value;
	return 0;
}

static int set_heartbeat(struct parser *p)
{
	return set_ms(p, &p->config->heartbeat_ms);
}

static int set_deadline(struct parser *p)
{
	return set_ms(p, &p->config->deadline_ms);
}

static int set_auth_uid(struct parser *p)
{
	unsigned long value;

	if (parser_number(p, 1, 0, UINT32_MAX - 1, &value))
		return -1;
	p->config->auth_uid = (uid_t)value;
	return 0;
}

int parser_security(struct parser *p, uint16_t *security)
{
	if (!strcmp(p->word[1], "tls"))
		*security = XPMEM_SECURITY_TLS;
	else if (!strcmp(p->word[1], "plain"))
		*security = XPMEM_SECURITY_PLAIN;
	else
		return parser_fail(
			p, p->line,
			"security \"%s\" is not known; use \"tls\", or \"plain\" on both sides",
			p->word[1]);
	return 0;
}

static int set_security(struct parser *p)
{
	return parser_security(p, &p->config->security);
}

/* @words is 0 where any number may follow, one at least. */
struct directive {
	const char *name;
	const char *usage;
	unsigned int words;
	bool in_peer;
	int (*set)(struct parser *p);
};

static const struct directive directives[] = {
	{ "partid", "partid ID", 2, false, set_partid },
	{ "listen", "listen ADDRESS PORT", 3, false, set_listen },
	{ "control", "control PATH", 2, false, set_control },
	{ "heartbeat", "heartbeat MILLISECONDS", 2, false, set_heartbeat },
	{ "deadline", "deadline MILLISECONDS", 2, false, set_deadline },
	{ "fence-command", "fence-command PATH", 2, false, set_fence_command },
	{ "fence-options", "fence-options KEY=VALUE...", 0, false,
	  set_fence_options },
	{ "fence-auto", "fence-auto yes|no", 2, false, set_fence_auto },
	{ "fence-delay", "fence-delay SECONDS", 2, false, set_fence_delay },
	{ "fence-timeout", "fence-timeout SECONDS", 2, false,
	  set_fence_timeout },
	{ "munge-socket", "munge-socket PATH", 2, false, set_munge_socket },
	{ "auth-uid", "auth-uid UID", 2, false, set_auth_uid },
	{ "security", "security tls|plain", 2, false, set_security },
	{ "address", "address ADDRESS PORT", 3, true, config_peer_address },
	{ "fabric", "fabric window", 2, true, config_peer_fabric },
	{ "window", "window pci ADDRESS", 3, true, config_peer_window },
	{ "uids", "uids FIRST-LAST", 2, true, config_peer_uids },
	{ "root-squash", "root-squash yes|no", 2, true,
	  config_peer_root_squash },
	{ "fence-options", "fence-options KEY=VALUE...", 0, true,
	  set_fence_options },
	{ "security", "security tls|plain", 2, true, config_peer_security },
};

#define NDIRECTIVES (sizeof(directives) / sizeof(directives[0]))

static int parse_directive(struct parser *p)
{
	unsigned int *seen = p->peer ? &p->seen_peer : &p->seen;
	const struct directive *d;
	unsigned int i;

	for (i = 0; i < NDIRECTIVES; i++) {
		d = &directives[i];
		if (d->in_peer == !!p->peer && !strcmp(d->name, p->word[0]))
			break;
	}
	if (i == NDIRECTIVES)
		return parser_fail(p, p->line,
				   "\"%s\" is not known %s; see xpmemd.conf(5)",
				   p->word[0], p->peer ? "in a peer" : "here");
	if (d->words ? p->nwords != d->words : p->nwords < 2)
		return parser_fail(p, p->line, "%s has %u values; write \"%s\"",
				   d->name, p->nwords - 1, d->usage);
	if (*seen & 1u << i)
		return parser_fail(p, p->line,
				   "%s is given twice; remove one of them",
				   d->name);
	*seen |= 1u << i;
	return d->set(p);
}

static int parse_words(struct parser *p)
{
	if (!p->nwords)
		return 0;
	if (!strcmp(p->word[0], "}")) {
		if (!p->peer)
			return parser_fail(p, p->line,
					   "\"}\" ends nothing; remove it");
		if (p->nwords > 1)
			return parser_fail(
				p, p->line,
				"\"%s\" follows \"}\"; put it on its own line",
				p->word[1]);
		return config_peer_end(p);
	}
	if (!strcmp(p->word[0], "peer")) {
		if (p->peer)
			return parser_fail(
				p, p->line,
				"peer in a peer; end the block of line %u with \"}\"",
				p->peer->line);
		if (p->nwords != 3)
			return parser_fail(
				p, p->line,
				"peer has %u values; write \"peer ID {\"",
				p->nwords - 1);
		return config_peer_start(p);
	}
	return parse_directive(p);
}

/* Splits a line in place; a word in quotes may have blanks and be empty. */
static int split_line(struct parser *p, char *at)
{
	char *end;

	p->nwords = 0;
	for (;;) {
		at += strspn(at, " \t\r");
		if (!*at || *at == '#')
			return 0;
		if (p->nwords == WORDS_MAX)
			return parser_fail(
				p, p->line,
				"too many words; see xpmemd.conf(5)");
		if (*at == '"') {
			end = strchr(++at, '"');
			if (!end)
				return parser_fail(
					p, p->line,
					"a quoted word has no end; add \"");
			p->word[p->nwords++] = at;
		} else {
			end = at + strcspn(at, " \t\r#");
			p->word[p->nwords++] = at;
			if (*end == '#') {
				*end = '\0';
				return 0;
			}
		}
		at = *end ? end + 1 : end;
		*end = '\0';
	}
}

/* What stands behind the peers counts for them, too. */
static void default_security(struct config *config)
{
	size_t i;

	for (i = 0; i < config->npeers; i++) {
		if (!config->peers[i].security)
			config->peers[i].security = config->security;
	}
}

static int check_config(struct parser *p)
{
	const struct config *config = p->config;
	size_t i;

	if (p->peer)
		return parser_fail(
			p, p->line,
			"the block of peer %u, line %u, has no end; add \"}\"",
			p->peer->partid, p->peer->line);
	if (!config->partid)
		return parser_fail(p, p->line, "no partid; add \"partid ID\"");
	if (!config->listen.length)
		return parser_fail(p, p->line,
				   "no listen; add \"listen ADDRESS PORT\"");
	if (config->deadline_ms < 3 * config->heartbeat_ms)
		return parser_fail(
			p, p->line,
			"deadline %u ms is under three heartbeats of %u ms; raise it, or lower heartbeat",
			config->deadline_ms, config->heartbeat_ms);
	if (config->fence_auto && !*config->fence_command)
		return parser_fail(
			p, p->line,
			"fence-auto without a fence-command; add it");
	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == config->partid)
			return parser_fail(
				p, config->peers[i].line,
				"peer %u is this partition; remove its block",
				config->partid);
	}
	return 0;
}

/**
 * config_parse - read a configuration from memory
 * @config: filled in; config_free() it after success
 * @path:   name of the file, for messages
 * @text:   the file, ended by a zero; changed
 * @error:  CONFIG_ERROR_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1 with @error set and @config empty.
 */
int config_parse(struct config *config, const char *path, char *text,
		 char *error)
{
	struct parser p = { .config = config, .path = path, .error = error };
	char *line;

	*config = (struct config){
		.control = CONFIG_CONTROL,
		.heartbeat_ms = 500,
		.deadline_ms = 10000,
		.fence_timeout_ms = 60000,
		.security = XPMEM_SECURITY_TLS,
	};
	while ((line = strsep(&text, "\n"))) {
		if (text || *line || !p.line)
			p.line++;
		if (split_line(&p, line) || parse_words(&p))
			goto free_config;
	}
	default_security(config);
	if (!check_config(&p))
		return 0;

free_config:
	config_free(config);
	return -1;
}

/**
 * config_free - give up what a configuration holds
 * @config: emptied
 */
void config_free(struct config *config)
{
	free(config->peers);
	*config = (struct config){};
}
