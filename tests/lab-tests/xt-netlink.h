/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generic netlink by hand: requests that no library would send.
 */
#ifndef XT_NETLINK_H
#define XT_NETLINK_H

#include <stddef.h>
#include <stdint.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

struct xt_nl {
	int fd;
	uint16_t family;
	uint32_t events; /* multicast group */
	char message[128]; /* what the kernel said about the last error */
	size_t len; /* of what is in buf */
	/* NULL, or told of each answer, which is in buf. */
	void (*each)(const struct xt_nl *nl, void *arg);
	void *arg;
	char buf[8192];
};

/* Finds the family of the module, or the test ends. */
void xt_nl_open(struct xt_nl *nl);
void xt_nl_close(struct xt_nl *nl);
void xt_nl_begin(struct xt_nl *nl, int cmd, int flags);
void xt_nl_put(struct xt_nl *nl, int type, const void *data, size_t len);
/* 0, or the errno of the kernel's answer. A dump's answers are counted. */
int xt_nl_call(struct xt_nl *nl, int *replies);
/* Wants events from now on; then waits for one; its attributes are in buf. */
void xt_nl_listen(struct xt_nl *nl);
const struct nlattr *xt_nl_event(struct xt_nl *nl, int ms);
/* The attribute in a message with attributes at buf, or NULL. */
const struct nlattr *xt_nl_attr(const struct xt_nl *nl, int type);

static inline const void *xt_nl_data(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

/* What a good XPMEM_CMD_SESSION_ADD has. */
struct xt_session {
	uint16_t partid;
	uint32_t fd;
	uint64_t epoch;
	uint32_t version;
	uint32_t page_size;
	uint32_t fabric;
	char window[32];
	uint8_t boot_id[16];
	uint32_t heartbeat_ms;
	uint32_t deadline_ms;
	uint32_t security;
	uint32_t uid_min;
	uint32_t uid_max;
	uint32_t root_squash;
};

#define XT_SESSION_ATTRS 14

/* Attribute @i of a session: its type, data and length. */
struct xt_attr {
	int type;
	const void *data;
	size_t len;
};

/*
 * A good one, plain, to a partition that does not exist, which may speak for all
 * users and for root; fd is not set.
 */
void xt_session_good(struct xt_session *s);
struct xt_attr xt_session_attr(const struct xt_session *s, int i);
int xt_session_add(struct xt_nl *nl, const struct xt_session *s);
/* Waits until a session has ended, and returns the reason: a static string. */
const char *xt_session_end(struct xt_nl *events, uint16_t partid);
/* Waits until the lease of one is over, which goes on for those it exports to. */
void xt_session_closing(struct xt_nl *events, uint16_t partid);
/* Waits until a session with a partition is up. */
void xt_session_begin(struct xt_nl *events, uint16_t partid);
/* Two ends of a TCP connection within this partition. */
void xt_tcp_pair(int ends[2]);

#endif
