// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: generic netlink by hand.
 */
#include "xt-netlink.h"
#include "xt.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define EVENT_MS 60000

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static struct nlmsghdr *header(struct xt_nl *nl)
{
	return (struct nlmsghdr *)nl->buf;
}

void xt_nl_begin(struct xt_nl *nl, int cmd, int flags)
{
	static uint32_t seq;
	struct nlmsghdr *h = header(nl);
	struct genlmsghdr *g = NLMSG_DATA(h);

	memset(nl->buf, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	h->nlmsg_type = nl->family;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = ++seq;
	g->cmd = cmd;
	g->version = 1;
	nl->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

void xt_nl_put(struct xt_nl *nl, int type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = NLA_HDRLEN + len, .nla_type = type };

	xt_need(nl->len + NLA_HDRLEN + NLA_ALIGN(len) <= sizeof(nl->buf),
		"room for the attribute");
	memset(nl->buf + nl->len, 0, NLA_HDRLEN + NLA_ALIGN(len));
	memcpy(nl->buf + nl->len, &attr, sizeof(attr));
	memcpy(nl->buf + nl->len + NLA_HDRLEN, data, len);
	nl->len += NLA_HDRLEN + NLA_ALIGN(len);
}

/* What the kernel says about an error comes behind it, as an attribute. */
static void keep_message(struct xt_nl *nl, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	const char *at = (const char *)(e + 1), *end;

	nl->message[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		at += e->msg.nlmsg_len - sizeof(e->msg);
	end = (const char *)h + h->nlmsg_len;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (attr->nla_type == NLMSGERR_ATTR_MSG)
			snprintf(nl->message, sizeof(nl->message), "%s",
				 (const char *)xt_nl_data(attr));
		at += NLA_ALIGN(attr->nla_len);
	}
}

/* The last answer with attributes stays in buf. */
int xt_nl_call(struct xt_nl *nl, int *replies)
{
	char in[16384];
	int count = 0;

	header(nl)->nlmsg_len = nl->len;
	xt_need(send(nl->fd, nl->buf, nl->len, 0) == (ssize_t)nl->len,
		"send a request");
	for (;;) {
		ssize_t got = recv(nl->fd, in, sizeof(in), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)in;

		xt_need(got > 0, "an answer to the request");
		for (; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type == NLMSG_ERROR) {
				keep_message(nl, h);
				if (replies)
					*replies = count;
				return -((struct nlmsgerr *)NLMSG_DATA(h))
						->error;
			}
			if (h->nlmsg_type == NLMSG_DONE) {
				if (replies)
					*replies = count;
				return -*(int *)NLMSG_DATA(h);
			}
			count++;
			nl->len = h->nlmsg_len;
			xt_need(nl->len <= sizeof(nl->buf), "a short answer");
			memcpy(nl->buf, h, nl->len);
			if (nl->each)
				nl->each(nl, nl->arg);
		}
	}
}

const struct nlattr *xt_nl_attr(const struct xt_nl *nl, int type)
{
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN;

	while (at + NLA_HDRLEN <= nl->len) {
		const struct nlattr *attr = (const void *)(nl->buf + at);

		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

/* The family has one multicast group: the first nest in the first nest. */
static uint32_t first_group(const struct nlattr *groups)
{
	const char *end = (const char *)groups + groups->nla_len;
	const char *at = (const char *)groups + 2 * NLA_HDRLEN;

	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (attr->nla_type == CTRL_ATTR_MCAST_GRP_ID)
			return *(const uint32_t *)xt_nl_data(attr);
		at += NLA_ALIGN(attr->nla_len);
	}
	return 0;
}

void xt_nl_open(struct xt_nl *nl)
{
	const struct nlattr *attr;
	int on = 1;

	memset(nl, 0, sizeof(*nl));
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	xt_need(nl->fd >= 0, "a netlink socket");
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	nl->family = GENL_ID_CTRL;
	xt_nl_begin(nl, CTRL_CMD_GETFAMILY, 0);
	xt_nl_put(nl, CTRL_ATTR_FAMILY_NAME, XPMEM_FAMILY_NAME,
		  sizeof(XPMEM_FAMILY_NAME));
	xt_need(!xt_nl_call(nl, NULL), "the family %s", XPMEM_FAMILY_NAME);
	attr = xt_nl_attr(nl, CTRL_ATTR_MCAST_GROUPS);
	xt_need(attr != NULL, "its multicast group");
	nl->events = first_group(attr);
	attr = xt_nl_attr(nl, CTRL_ATTR_FAMILY_ID);
	nl->family = *(const uint16_t *)xt_nl_data(attr);
}

void xt_nl_close(struct xt_nl *nl)
{
	close(nl->fd);
}

void xt_nl_listen(struct xt_nl *nl)
{
	xt_need(!setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			    &nl->events, sizeof(nl->events)),
		"listen");
}

const struct nlattr *xt_nl_event(struct xt_nl *nl, int ms)
{
	struct pollfd ready = { nl->fd, POLLIN, 0 };
	ssize_t got;

	if (poll(&ready, 1, ms) <= 0)
		return NULL;
	got = recv(nl->fd, nl->buf, sizeof(nl->buf), 0);
	xt_need(got > 0, "an event");
	nl->len = got;
	return xt_nl_attr(nl, XPMEM_A_STATE);
}

/* Any window will do: what is in it is never used. */
static void find_window(char *name, size_t size)
{
	const char *devices = "/sys/bus/pci/devices";
	DIR *dir = opendir(devices);
	struct dirent *entry;
	char path[320], text[16];
	FILE *in;

	xt_need(dir != NULL, "open %s", devices);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s/device", devices,
			 entry->d_name);
		in = fopen(path, "re");
		if (!in)
			continue;
		if (fgets(text, sizeof(text), in) && !strcmp(text, "0x1110\n"))
			snprintf(name, size, "%.30s", entry->d_name);
		fclose(in);
	}
	closedir(dir);
	xt_need(name[0], "a window");
}

void xt_session_good(struct xt_session *s)
{
	memset(s, 0, sizeof(*s));
	s->partid = 200 + xt_me;
	s->epoch = 0x1122334455667788ULL;
	s->version = 3;
	s->page_size = xt_page;
	s->fabric = XPMEM_FABRIC_WINDOW;
	find_window(s->window, sizeof(s->window));
	memset(s->boot_id, 0x42, sizeof(s->boot_id));
	s->heartbeat_ms = 1000;
	s->deadline_ms = 30000;
	s->security = XPMEM_SECURITY_PLAIN;
	s->uid_min = 1;
	s->uid_max = 65535;
	s->root_squash = 0;
}

struct xt_attr xt_session_attr(const struct xt_session *s, int i)
{
	const struct xt_attr attrs[XT_SESSION_ATTRS] = {
		{ XPMEM_A_PARTID, &s->partid, sizeof(s->partid) },
		{ XPMEM_A_FD, &s->fd, sizeof(s->fd) },
		{ XPMEM_A_EPOCH, &s->epoch, sizeof(s->epoch) },
		{ XPMEM_A_VERSION, &s->version, sizeof(s->version) },
		{ XPMEM_A_PAGE_SIZE, &s->page_size, sizeof(s->page_size) },
		{ XPMEM_A_FABRIC, &s->fabric, sizeof(s->fabric) },
		{ XPMEM_A_WINDOW, s->window, strlen(s->window) + 1 },
		{ XPMEM_A_BOOT_ID, s->boot_id, sizeof(s->boot_id) },
		{ XPMEM_A_HEARTBEAT_MS, &s->heartbeat_ms,
		  sizeof(s->heartbeat_ms) },
		{ XPMEM_A_DEADLINE_MS, &s->deadline_ms,
		  sizeof(s->deadline_ms) },
		{ XPMEM_A_SECURITY, &s->security, sizeof(s->security) },
		{ XPMEM_A_UID_MIN, &s->uid_min, sizeof(s->uid_min) },
		{ XPMEM_A_UID_MAX, &s->uid_max, sizeof(s->uid_max) },
		{ XPMEM_A_ROOT_SQUASH, &s->root_squash,
		  sizeof(s->root_squash) },
	};

	return attrs[i];
}

int xt_session_add(struct xt_nl *nl, const struct xt_session *s)
{
	xt_nl_begin(nl, XPMEM_CMD_SESSION_ADD, 0);
	for (int i = 0; i < XT_SESSION_ATTRS; i++) {
		struct xt_attr a = xt_session_attr(s, i);

		xt_nl_put(nl, a.type, a.data, a.len);
	}
	return xt_nl_call(nl, NULL);
}

/* The next event of a session with that partition that says so. */
static void await_state(struct xt_nl *events, uint16_t partid, uint32_t want)
{
	const struct nlattr *state, *from;

	do {
		state = xt_nl_event(events, EVENT_MS);
		xt_need(state != NULL, "an event of the session");
		from = xt_nl_attr(events, XPMEM_A_PARTID);
	} while (*(const uint16_t *)xt_nl_data(from) != partid ||
		 *(const uint32_t *)xt_nl_data(state) != want);
}

const char *xt_session_end(struct xt_nl *events, uint16_t partid)
{
	static char text[XPMEM_REASON_MAX + 1];
	const struct nlattr *attr;

	await_state(events, partid, XPMEM_SESSION_STATE_LOST);
	attr = xt_nl_attr(events, XPMEM_A_REASON);
	snprintf(text, sizeof(text), "%s",
		 attr ? (const char *)xt_nl_data(attr) : "");
	return text;
}

void xt_session_closing(struct xt_nl *events, uint16_t partid)
{
	await_state(events, partid, XPMEM_SESSION_STATE_CLOSING);
}

void xt_session_begin(struct xt_nl *events, uint16_t partid)
{
	await_state(events, partid, XPMEM_SESSION_STATE_UP);
}

void xt_tcp_pair(int ends[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	xt_need(!bind(door, (struct sockaddr *)&at, sizeof(at)) &&
			!listen(door, 1) &&
			!getsockname(door, (struct sockaddr *)&at, &len) &&
			!connect(ends[0], (struct sockaddr *)&at, len),
		"connect");
	ends[1] = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	xt_need(ends[1] >= 0, "accept");
	close(door);
}
