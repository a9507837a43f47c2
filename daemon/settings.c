// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a session depends on of its peer's configuration.  Used by peer.c.
 * Invariant: when a peer has changed, a daemon that runs, and compares two
 * configurations, and one that starts, and compares the configuration with what the
 * kernel says, find the same.
 */
#include <netinet/in.h>
#include <string.h>

#include "settings.h"

/**
 * settings_connects - does this side connect?
 * @self: this partition
 * @peer: the other one
 *
 * The other side does not use its peer's address: its sessions come from any.
 *
 * Return: true for the lower of two partitions.
 */
bool settings_connects(uint16_t self, const struct config_peer *peer)
{
	return self < peer->partid;
}

static bool same_address(const struct config_address *a, const void *addr,
			 socklen_t length)
{
	return a->length == length && !memcmp(&a->addr, addr, length);
}

/**
 * settings_same - may a session of the one go on as one of the other?
 * @self: this partition
 * @a:    a peer
 * @b:    another time
 *
 * Return: true or false.
 */
bool settings_same(uint16_t self, const struct config_peer *a,
		   const struct config_peer *b)
{
	if (settings_connects(self, a) &&
	    !same_address(&a->address, &b->address.addr, b->address.length))
		return false;
	return a->partid == b->partid && a->fabric == b->fabric &&
	       a->security == b->security && a->uid_min == b->uid_min &&
	       a->uid_max == b->uid_max && a->root_squash == b->root_squash &&
	       !strcmp(a->window, b->window);
}

/*
 * A socket that was connected to "any" address says which one it got: that it was
 * that one is believed.
 */
static bool is_any(const struct config_address *address)
{
	const struct sockaddr_in6 *v6 =
		(const struct sockaddr_in6 *)&address->addr;
	const struct sockaddr_in *v4 =
		(const struct sockaddr_in *)&address->addr;

	return address->addr.ss_family == AF_INET6 ?
		       IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) :
		       v4->sin_addr.s_addr == INADDR_ANY;
}

/**
 * settings_match - did a session begin as the configuration says now?
 * @self:    this partition
 * @peer:    the other one
 * @session: what the kernel says; an older module does not say all of it
 *
 * Return: true or false.
 */
bool settings_match(uint16_t self, const struct config_peer *peer,
		    const struct kernel_session *session)
{
	if (settings_connects(self, peer) && session->address_length &&
	    !is_any(&peer->address) &&
	    !same_address(&peer->address, &session->address,
			  session->address_length))
		return false;
	if (session->window[0] && strcmp(session->window, peer->window))
		return false;
	return !session->security ||
	       (session->security == peer->security &&
		session->uid_min == peer->uid_min &&
		session->uid_max == peer->uid_max &&
		session->root_squash == peer->root_squash);
}
