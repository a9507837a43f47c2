/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_KERNEL_H
#define XPMEMD_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/xpmem_netlink.h>

#include "log.h"

/**
 * struct kernel_session_params - a session to begin; see session-add in
 * kernel/xpmem/netlink.yaml
 */
struct kernel_session_params {
	uint16_t partid;
	int fd;
	uint64_t epoch;
	uint32_t version;
	uint32_t page_size;
	uint32_t fabric;
	const char *window;
	const uint8_t *boot_id;
	uint32_t heartbeat_ms;
	uint32_t deadline_ms;
	uint32_t security;
	uint32_t uid_min;
	uint32_t uid_max;
	uint32_t root_squash;
};

/**
 * struct kernel_session - what the module says of a session; see session-get.
 * In an event only the first three and the reason are set.
 * What it began with is as of struct kernel_session_params; @address is the other
 * end of its connection.
 */
struct kernel_session {
	uint16_t partid;
	uint32_t state;
	uint64_t epoch;
	uint64_t quarantine;
	uint64_t lost_ms;
	char reason[XPMEM_REASON_MAX + 1];
	uint32_t security;
	uint32_t uid_min;
	uint32_t uid_max;
	uint32_t root_squash;
	char window[XPMEM_WINDOW_MAX + 1];
	struct sockaddr_storage address;
	socklen_t address_length;
};

/**
 * struct kernel_peer - what a partition did in all its sessions; see peer-get
 */
struct kernel_peer {
	uint16_t partid;
	uint64_t sessions;
	uint64_t evictions;
	uint64_t deadlines_missed;
	uint64_t granted;
	uint64_t revoked;
	uint64_t acked;
	uint64_t wait_median_us;
	uint64_t wait_p99_us;
	uint64_t wait_max_us;
};

/**
 * struct kernel_segment - see segment-get; without a name that is ""
 */
struct kernel_segment {
	uint64_t segid;
	uint64_t size;
	uint64_t exported;
	uint32_t pid;
	uint32_t uid;
	uint32_t mode;
	uint32_t permits;
	uint32_t attachments;
	char name[XPMEM_NAME_MAX + 1];
};

/**
 * struct kernel_user - what a user has on this partition; see user-get
 */
struct kernel_user {
	uint32_t uid;
	uint64_t segments;
	uint64_t permits;
	uint64_t exported;
	uint64_t quarantine;
};

/**
 * struct kernel_stats - see stats-get
 * @partid: of this partition
 * @mode:   "rmap" or "range"
 * @value:  counters, as kernel_stat_names[] names them
 */
struct kernel_stats {
	uint16_t partid;
	char mode[16];
	uint64_t value[XPMEM_A_STATS_MAX + 1];
};

/* By XPMEM_A_STATS_*; NULL where that is no counter. */
extern const char *const kernel_stat_names[XPMEM_A_STATS_MAX + 1];

/*
 * All return 0 or a negative errno with the reason filled in (REASON_SIZE
 * bytes).  All block while the module works on the request; it waits for no
 * other partition meanwhile.
 */
int kernel_init(char *reason);
void kernel_exit(void);
int kernel_session_add(const struct kernel_session_params *params,
		       char *reason);
int kernel_session_del(uint16_t partid, char *reason);
int kernel_session_each(void (*each)(const struct kernel_session *session,
				     void *arg),
			void *arg, char *reason);
int kernel_peer_each(void (*each)(const struct kernel_peer *peer, void *arg),
		     void *arg, char *reason);
int kernel_segment_each(void (*each)(const struct kernel_segment *segment,
				     void *arg),
			void *arg, char *reason);
int kernel_user_each(void (*each)(const struct kernel_user *user, void *arg),
		     void *arg, char *reason);
int kernel_stats_get(struct kernel_stats *stats, char *reason);
int kernel_fence(uint16_t partid, uint64_t epoch, uint64_t *released,
		 char *reason);

/* Between kernel.c and events.c. */
struct nl_sock;
struct nlattr;
int kernel_socket_open(struct nl_sock **opened, char *reason);
void kernel_session_parse(struct nlattr **attrs,
			  struct kernel_session *session);

/**
 * struct kernel_events_ops - what to do about news
 * @session: a session changed
 * @missed:  news were lost: look at all sessions
 */
struct kernel_events_ops {
	void (*session)(const struct kernel_session *session);
	void (*missed)(void);
};

int kernel_events_init(const struct kernel_events_ops *ops, char *reason);
void kernel_events_exit(void);

#endif
