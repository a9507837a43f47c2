/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_CONFIG_H
#define XPMEMD_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include <linux/xpmem_netlink.h>

#define CONFIG_FILE "/etc/xpmem/xpmemd.conf"
#define CONFIG_CONTROL "/run/xpmem/xpmemd.sock"
#define CONFIG_ERROR_SIZE 512
#define CONFIG_OPTIONS_SIZE 1024
/* What a peer may speak for unless its block says otherwise: Debian's users. */
#define CONFIG_UID_MIN 1000u
#define CONFIG_UID_MAX 60000u
/* The largest there is: the next one is nobody's. */
#define CONFIG_UID_LAST 4294967294u

/**
 * struct config_address - where to listen or to connect to
 * @addr:   an IPv4 or IPv6 address with its port
 * @length: of @addr; 0 when not given
 */
struct config_address {
	struct sockaddr_storage addr;
	socklen_t length;
};

/**
 * struct config_peer - one other partition
 * @partid:  its id
 * @address: of its xpmemd
 * @fabric:  enum xpmem_fabric; 0 when not given
 * @window:  PCI address of the device that shows its memory
 * @security: enum xpmem_security
 * @uid_min: first user that it may speak for
 * @uid_max: last one
 * @root_squash: its root is nobody here
 * @line:    where its block starts
 * @fence_options: what the fence command must know of it: lines KEY=VALUE
 */
struct config_peer {
	uint16_t partid;
	struct config_address address;
	uint32_t fabric;
	char window[XPMEM_WINDOW_MAX + 1];
	uint16_t security;
	uint32_t uid_min;
	uint32_t uid_max;
	bool root_squash;
	unsigned int line;
	char fence_options[CONFIG_OPTIONS_SIZE];
};

/**
 * struct config - what the file says
 * @partid:        this partition
 * @listen:        where peers connect to
 * @control:       path of the socket for xpmemctl
 * @munge_socket:  path of munged's socket; empty for its default
 * @fence_command: program that fences a partition; empty for none
 * @fence_options: what it must know of every partition: lines KEY=VALUE
 * @fence_auto:    run it when a partition is lost, without being asked
 * @fence_delay_ms: before that, the partition may come back
 * @fence_timeout_ms: that one run of it may take
 * @heartbeat_ms:  between heartbeats
 * @deadline_ms:   that a revoke may take
 * @auth_uid:      user that a peer's xpmemd runs as
 * @security:      enum xpmem_security of peers that do not say otherwise
 * @peers:         array; freed by config_free()
 * @npeers:        its length
 */
struct config {
	uint16_t partid;
	struct config_address listen;
	char control[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char munge_socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char fence_command[256];
	char fence_options[CONFIG_OPTIONS_SIZE];
	bool fence_auto;
	uint32_t fence_delay_ms;
	uint32_t fence_timeout_ms;
	uint32_t heartbeat_ms;
	uint32_t deadline_ms;
	uid_t auth_uid;
	uint16_t security;
	struct config_peer *peers;
	size_t npeers;
};

int config_load(struct config *config, const char *path, char *error);
int config_parse(struct config *config, const char *path, char *text,
		 char *error);
void config_free(struct config *config);

#endif
