// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer's block of the configuration file.
 * Before: config.c, which calls this line by line.  Invariant: a block that ended
 * says all that a session needs, and nothing that another one says, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "configparse.h"

int config_peer_security(struct parser *p)
{
	return parser_security(p, &p->peer->security);
}

int config_peer_address(struct parser *p)
{
	return parser_address(p, &p->peer->address);
}

int config_peer_fabric(struct parser *p)
{
	if (strcmp(p->word[1], "window"))
		return parser_fail(p, p->line,
				   "fabric \"%s\" is not known; use \"window\"",
				   p->word[1]);
	p->peer->fabric = XPMEM_FABRIC_WINDOW;
	return 0;
}

int config_peer_window(struct parser *p)
{
	unsigned int domain, bus, slot, function;
	const char *text = p->word[2];
	int end = 0;

	if (strcmp(p->word[1], "pci"))
		return parser_fail(
			p, p->line,
			"window on \"%s\" is not known; use \"window pci ADDRESS\"",
			p->word[1]);
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
		   &end) != 4 ||
	    text[end] || text[strspn(text, "0123456789abcdefABCDEF:.")] ||
	    slot > 0x1f || function > 7)
		return parser_fail(
			p, p->line,
			"\"%s\" is no PCI address; give it as lspci -D prints it, as 0000:00:05.0",
			text);
	snprintf(p->peer->window, sizeof(p->peer->window), "%04x:%02x:%02x.%x",
		 domain, bus, slot, function);
	return 0;
}

/* Root is not one of them: root-squash decides about that. */
int config_peer_uids(struct parser *p)
{
	const char *text = p->word[1];
	unsigned long first, last;
	int end = 0;

	if (sscanf(text, "%lu-%lu%n", &first, &last, &end) != 2 || text[end] ||
	    text[strspn(text, "0123456789-")] || strlen(text) > 21 || !first ||
	    first > last || last > CONFIG_UID_LAST)
		return parser_fail(
			p, p->line,
			"uids is \"%.64s\"; give FIRST-LAST, from 1 to %u",
			text, CONFIG_UID_LAST);
	p->peer->uid_min = (uint32_t)first;
	p->peer->uid_max = (uint32_t)last;
	return 0;
}

int config_peer_root_squash(struct parser *p)
{
	return parser_yes_no(p, &p->peer->root_squash);
}

int config_peer_start(struct parser *p)
{
	struct config *config = p->config;
	struct config_peer *peers;
	unsigned long partid;
	size_t i;

	if (strcmp(p->word[2], "{"))
		return parser_fail(
			p, p->line,
			"\"%s\" follows the peer's id; start its block with \"{\"",
			p->word[2]);
	if (parser_number(p, 1, 1, XPMEM_PARTID_MAX, &partid))
		return -1;
	for (i = 0; i < config->npeers; i++) {
		if (config->peers[i].partid == partid)
			return parser_fail(
				p, p->line,
				"peer %lu is in line %u already; remove one of them",
				partid, config->peers[i].line);
	}
	peers = reallocarray(config->peers, config->npeers + 1, sizeof(*peers));
	if (!peers)
		return parser_fail(p, p->line, "no memory; free some");
	config->peers = peers;
	p->peer = &peers[config->npeers++];
	*p->peer = (struct config_peer){
		.partid = (uint16_t)partid,
		.line = p->line,
		.uid_min = CONFIG_UID_MIN,
		.uid_max = CONFIG_UID_MAX,
		.root_squash = true,
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
			return parser_fail(
				p, peer->line,
				"peer %u has the window %s of peer %u; give each its own",
				peer->partid, peer->window, other->partid);
		if (other->address.length == peer->address.length &&
		    !memcmp(&other->address.addr, &peer->address.addr,
			    peer->address.length))
			return parser_fail(
				p, peer->line,
				"peer %u has the address and port of peer %u; give each its own",
				peer->partid, other->partid);
	}
	return 0;
}

int config_peer_end(struct parser *p)
{
	const struct config_peer *peer = p->peer;

	if (!peer->address.length)
		return parser_fail(
			p, peer->line,
			"peer %u has no address; add \"address ADDRESS PORT\"",
			peer->partid);
	if (!peer->fabric)
		return parser_fail(
			p, peer->line,
			"peer %u has no fabric; add \"fabric window\"",
			peer->partid);
	if (!peer->window[0])
		return parser_fail(
			p, peer->line,
			"peer %u has no window; add \"window pci ADDRESS\"",
			peer->partid);
	if (check_unique(p))
		return -1;
	p->peer = NULL;
	return 0;
}
