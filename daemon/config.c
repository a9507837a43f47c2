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

__attribute__((format(printf, 3, 4))) static int
fail(struct parser *p, unsigned int line, const char *fmt, ...)
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

static int parse_number(struct parser *p, unsigned int word, unsigned long min,
			unsigned long max, unsigned long *value)
{
	const char *text = p->word[word];
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *value < min ||
	    *value > max)
		return fail(p, p->line,
			    "%s is \"%s\"; give a number from %lu to %lu",
			    p->word[0], text, min, max);
	return 0;
}

static int parse_text(struct parser *p, char *text, size_t size)
{
	size_t length = strlen(p->word[1]);

	if (!length || length >= size)
		return fail(p, p->line,
			    "%s has %zu characters; give 1 to %zu of them",
			    p->word[0], length, size - 1);
	memcpy(text, p->word[1], length + 1);
	return 0;
}

static int parse_path(struct parser *p, char *text, size_t size)
{
	if (p->word[1][0] != '/')
		return fail(p, p->line,
			    "%s is \"%s\"; give a path that starts with /",
			    p->word[0], p->word[1]);
	return parse_text(p, text, size);
}

static int parse_address(struct parser *p, struct config_address *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address->addr;
	unsigned long port;

	if (parse_number(p, 2, 1, 65535, &port))
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
		return fail(
			p, p->line,
			"\"%s\" is no address; give it in numbers, as 192.0.2.1 or 2001:db8::1",
			p->word[1]);
	}
	return 0;
}

static int set_partid(struct parser *p)
{
	unsigned long value;

	if (parse_number(p, 1, 1, XPMEM_PARTID_MAX, &value))
		return -1;
	p->config->partid = (uint16_t)value;
	return 0;
}

static int set_listen(struct parser *p)
{
	return parse_address(p, &p->config->listen);
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
		return fail(
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
			return fail(p, p->line,
				    "%s has \"%.64s\"; write KEY=VALUE",
				    p->word[0], word);
		if (!strncasecmp(word, "action=", 7) ||
		    !strncasecmp(word, "option=", 7))
			return fail(p, p->line, "%s has an action; remove it",
				    p->word[0]);
		if (length + strlen(word) + 2 > CONFIG_OPTIONS_SIZE)
			return fail(p, p->line,
				    "%s has over %d characters; shorten them",
				    p->word[0], CONFIG_OPTIONS_SIZE - 2);
		length += (size_t)sprintf(options + length, "%s\n", word);
	}
	return 0;
}

static int set_fence_auto(struct parser *p)
{
	p->config->fence_auto = !strcmp(p->word[1], "yes");
	if (!p->config->fence_auto && strcmp(p->word[1], "no"))
		return fail(p, p->line, "%s is \"%.64s\"; give yes or no",
			    p->word[0], p->word[1]);
	return 0;
}

static int set_fence_timeout(struct parser *p)
{
	unsigned long value;

	if (parse_number(p, 1, 1, 3600, &value))
		return -1;
	p->config->fence_timeout_ms = (uint32_t)value * 1000;
	return 0;
}

static int set_fence_delay(struct parser *p)
{
	unsigned long value;

	if (parse_number(p, 1, 0, 3600, &value))
		return -1;
	p->config->fence_delay_ms = (uint32_t)value * 1000;
	return 0;
}

static int set_ms(struct parser *p, uint32_t *ms)
{
	unsigned long value;

	if (parse_number(p, 1, 10, 600000, &value))
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

	if (parse_number(p, 1, 0, UINT32_MAX - 1, &value))
		return -1;
	p->config->auth_uid = (uid_t)value;
	return 0;
}

static int parse_security(struct parser *p, uint16_t *security)
{
	if (!strcmp(p->word[1], "tls"))
		*security = XPMEM_SECURITY_TLS;
	else if (!strcmp(p->word[1], "plain"))
		*security = XPMEM_SECURITY_PLAIN;
	else
		return fail(
			p, p->line,
			"security \"%s\" is not known; use \"tls\", or \"plain\" on both sides",
			p->word[1]);
	return 0;
}

static int set_security(struct parser *p)
{
	return parse_security(p, &p->config->security);
}

static int set_peer_security(struct parser *p)
{
	return parse_security(p, &p->peer->security);
}

static int set_peer_address(struct parser *p)
{
	return parse_address(p, &p->peer->address);
}

static int set_peer_fabric(struct parser *p)
{
	if (strcmp(p->word[1], "window"))
		return fail(p, p->line,
			    "fabric \"%s\" is not known; use \"window\"",
			    p->word[1]);
	p->peer->fabric = XPMEM_FABRIC_WINDOW;
	return 0;
}

static int set_peer_window(struct parser *p)
{
	unsigned int domain, bus, slot, function;
	const char *text = p->word[2];
	int end = 0;

	if (strcmp(p->word[1], "pci"))
		return fail(
			p, p->line,
			"window on \"%s\" is not known; use \"window pci ADDRESS\"",
			p->word[1]);
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
		   &end) != 4 ||
	    text[end] || text[strspn(text, "0123456789abcdefABCDEF:.")] ||
	    slot > 0x1f || function > 7)
		return fail(
			p, p->line,
			"\"%s\" is no PCI address; give it as lspci -D prints it, as 0000:00:05.0",
			text);
	snprintf(p->peer->window, sizeof(p->peer->window), "%04x:%02x:%02x.%x",
		 domain, bus, slot, function);
	return 0;
}

static int start_peer(struct parser *p)
{
	struct config *config = p->config;
	struct config_peer *peers;
	unsigned long partid;
	size_t i;

	if (strcmp(p->word[2], "{"))
		return fail(
			p, p->line,
			"\"%s\" follows the peer's id; start its block with \"{\"",
			p->word[2]);
	if (parse_number(p, 1, 1, XPMEM_PARTID_MAX, &partid))
		return -1;
	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == partid)
			return fail(
				p, p->line,
				"peer %lu is in line %u already; remove one of them",
				partid, config->peers[i].line);
	}
	peers = reallocarray(config->peers, config->npeers + 1, sizeof(*peers));
	if (!peers)
		return fail(p, p->line, "no memory; free some");
	config->peers = peers;
	p->peer = &peers[config->npeers++];
	*p->peer = (struct config_peer){
		.partid = (uint16_t)partid,
		.line = p->line,
	};
	p->seen_peer = 0;
	return 0;
}

/* Through one window, two partitions' frame numbers mean the same memory. */
static int check_unique(struct parser *p)
{
	const struct config_peer *peer = p->peer, *other;

	for (other = p->config->peers; other != peer; other++) {
		if (!strcmp(other->window, peer->window))
			return fail(
				p, peer->line,
				"peer %u has the window %s of peer %u; give each its own",
				peer->partid, peer->window, other->partid);
		if (other->address.length == peer->address.length &&
		    !memcmp(&other->address.addr, &peer->address.addr,
			    peer->address.length))
			return fail(
				p, peer->line,
				"peer %u has the address and port of peer %u; give each its own",
				peer->partid, other->partid);
	}
	return 0;
}

static int end_peer(struct parser *p)
{
	const struct config_peer *peer = p->peer;

	if (!peer->address.length)
		return fail(
			p, peer->line,
			"peer %u has no address; add \"address ADDRESS PORT\"",
			peer->partid);
	if (!peer->fabric)
		return fail(p, peer->line,
			    "peer %u has no fabric; add \"fabric window\"",
			    peer->partid);
	if (!peer->window[0])
		return fail(p, peer->line,
			    "peer %u has no window; add \"window pci ADDRESS\"",
			    peer->partid);
	if (check_unique(p))
		return -1;
	p->peer = NULL;
	return 0;
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
	{ "address", "address ADDRESS PORT", 3, true, set_peer_address },
	{ "fabric", "fabric window", 2, true, set_peer_fabric },
	{ "window", "window pci ADDRESS", 3, true, set_peer_window },
	{ "fence-options", "fence-options KEY=VALUE...", 0, true,
	  set_fence_options },
	{ "security", "security tls|plain", 2, true, set_peer_security },
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
		return fail(p, p->line,
			    "\"%s\" is not known %s; see xpmemd.conf(5)",
			    p->word[0], p->peer ? "in a peer" : "here");
	if (d->words ? p->nwords != d->words : p->nwords < 2)
		return fail(p, p->line, "%s has %u values; write \"%s\"",
			    d->name, p->nwords - 1, d->usage);
	if (*seen & 1u << i)
		return fail(p, p->line, "%s is given twice; remove one of them",
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
			return fail(p, p->line,
				    "\"}\" ends nothing; remove it");
		if (p->nwords > 1)
			return fail(
				p, p->line,
				"\"%s\" follows \"}\"; put it on its own line",
				p->word[1]);
		return end_peer(p);
	}
	if (!strcmp(p->word[0], "peer")) {
		if (p->peer)
			return fail(
				p, p->line,
				"peer in a peer; end the block of line %u with \"}\"",
				p->peer->line);
		if (p->nwords != 3)
			return fail(p, p->line,
				    "peer has %u values; write \"peer ID {\"",
				    p->nwords - 1);
		return start_peer(p);
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
			return fail(p, p->line,
				    "too many words; see xpmemd.conf(5)");
		if (*at == '"') {
			end = strchr(++at, '"');
			if (!end)
				return fail(p, p->line,
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
		return fail(
			p, p->line,
			"the block of peer %u, line %u, has no end; add \"}\"",
			p->peer->partid, p->peer->line);
	if (!config->partid)
		return fail(p, p->line, "no partid; add \"partid ID\"");
	if (!config->listen.length)
		return fail(p, p->line,
			    "no listen; add \"listen ADDRESS PORT\"");
	if (config->deadline_ms < 3 * config->heartbeat_ms)
		return fail(
			p, p->line,
			"deadline %u ms is under three heartbeats of %u ms; raise it, or lower heartbeat",
			config->deadline_ms, config->heartbeat_ms);
	if (config->fence_auto && !*config->fence_command)
		return fail(p, p->line,
			    "fence-auto without a fence-command; add it");
	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == config->partid)
			return fail(
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
