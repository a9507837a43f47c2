// SPDX-License-Identifier: GPL-2.0-only
/*
 * The administrator's interface with wrong requests: each attribute missing,
 * doubled, of a wrong length, out of range; sockets that are none. A named
 * error each, and nothing changes.
 */
#include "xt-netlink.h"
#include "xt.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

static const char *const attr_names[XT_SESSION_ATTRS] = {
	"partid",   "fd",      "epoch",	  "version",	  "page-size",
	"fabric",   "window",  "boot-id", "heartbeat-ms", "deadline-ms",
	"security", "uid-min", "uid-max", "root-squash",
};

static struct xt_nl nl;
static struct xt_session good;
static int ends[2];

static void refused(int error, const char *what)
{
	xt_ok(error && nl.message[0], "%s: refused (errno %d: %s)", what, error,
	      nl.message);
}

/* How an attribute is spoilt. */
enum spoil { MISSING, DOUBLED, SHORT, LONG };

static void put_spoilt(struct xt_attr a, enum spoil how)
{
	char data[128] = "";

	memcpy(data, a.data, a.len);
	switch (how) {
	case MISSING:
		break;
	case DOUBLED:
		xt_nl_put(&nl, a.type, data, a.len);
		xt_nl_put(&nl, a.type, data, a.len);
		break;
	case SHORT:
		/* A string is too short when its end is missing. */
		xt_nl_put(&nl, a.type, data, a.len - 1);
		break;
	case LONG:
		memset(data + a.len - 1, 'x', sizeof(data) - a.len);
		xt_nl_put(&nl, a.type, data, 100);
		break;
	}
}

static void spoilt_attributes(void)
{
	static const char *const names[] = { "missing", "doubled", "short",
					     "long" };
	char what[64];

	for (int i = 0; i < XT_SESSION_ATTRS; i++) {
		for (enum spoil how = MISSING; how <= LONG; how++) {
			xt_nl_begin(&nl, XPMEM_CMD_SESSION_ADD, 0);
			for (int j = 0; j < XT_SESSION_ATTRS; j++) {
				struct xt_attr a = xt_session_attr(&good, j);

				if (j == i)
					put_spoilt(a, how);
				else
					xt_nl_put(&nl, a.type, a.data, a.len);
			}
			snprintf(what, sizeof(what), "session-add: %s %s",
				 attr_names[i], names[how]);
			refused(xt_nl_call(&nl, NULL), what);
		}
	}
}

/* One member of a good session is changed. */
#define WRONG(member, value)                                    \
	do {                                                    \
		struct xt_session s = good;                     \
                                                                \
		s.member = (value);                             \
		refused(xt_session_add(&nl, &s),                \
			"session-add: " #member " is " #value); \
	} while (0)

static void wrong_values(void)
{
	struct xt_session s;

	WRONG(partid, 0);
	WRONG(partid, 32768);
	WRONG(partid, 65535);
	WRONG(partid, xt_me);
	WRONG(epoch, 0);
	WRONG(version, 0);
	WRONG(version, 99);
	WRONG(page_size, 0);
	WRONG(page_size, 65536);
	WRONG(fabric, 0);
	WRONG(fabric, 2);
	WRONG(heartbeat_ms, 0);
	WRONG(heartbeat_ms, 9);
	WRONG(heartbeat_ms, 10001);
	WRONG(heartbeat_ms, 31000);
	WRONG(deadline_ms, 0);
	WRONG(deadline_ms, 2999);
	WRONG(deadline_ms, 600001);
	WRONG(deadline_ms, 0xffffffff);
	WRONG(security, 0);
	WRONG(security, 3);
	WRONG(uid_min, 0);
	WRONG(uid_min, 65536);
	WRONG(uid_max, 0);
	WRONG(uid_max, 0xffffffff);
	WRONG(root_squash, 2);

	s = good;
	strcpy(s.window, "0000:00:1f.7");
	refused(xt_session_add(&nl, &s), "session-add: no such window");
	strcpy(s.window, "");
	refused(xt_session_add(&nl, &s), "session-add: empty window");
	strcpy(s.window, "../../etc/passwd");
	refused(xt_session_add(&nl, &s), "session-add: window is a path");
	strcpy(s.window, "0000:00:02.0");
	refused(xt_session_add(&nl, &s), "session-add: another device");
}

static void wrong_sockets(void)
{
	struct xt_session s = good;
	int pair[2];

	WRONG(fd, 0xffffffff);
	WRONG(fd, 12345);
	WRONG(fd, STDOUT_FILENO);
	WRONG(security, XPMEM_SECURITY_TLS);
	s.fd = socket(AF_INET, SOCK_DGRAM, 0);
	refused(xt_session_add(&nl, &s), "session-add: a UDP socket");
	close(s.fd);
	s.fd = socket(AF_INET, SOCK_STREAM, 0);
	refused(xt_session_add(&nl, &s), "session-add: not connected");
	xt_need(!listen(s.fd, 1), "listen");
	refused(xt_session_add(&nl, &s), "session-add: a listening socket");
	close(s.fd);
	xt_need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	s.fd = pair[0];
	refused(xt_session_add(&nl, &s), "session-add: a unix socket");
	close(pair[0]);
	close(pair[1]);
	s.fd = nl.fd;
	refused(xt_session_add(&nl, &s), "session-add: the netlink socket");
}

/* After a refusal the connection is still the caller's. */
static void still_ours(void)
{
	char text[6] = "";

	xt_ok(write(ends[0], "hello", 6) == 6 &&
		      recv(ends[1], text, 6, MSG_WAITALL) == 6 &&
		      !strcmp(text, "hello"),
	      "the connection is still ours");
}

static void partid_only(int cmd, const char *name)
{
	uint16_t partid = good.partid, zero = 0, large = 40000;
	char what[64];

	snprintf(what, sizeof(what), "%s: without a partition", name);
	xt_nl_begin(&nl, cmd, 0);
	refused(xt_nl_call(&nl, NULL), what);
	snprintf(what, sizeof(what), "%s: partition twice", name);
	xt_nl_begin(&nl, cmd, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
	refused(xt_nl_call(&nl, NULL), what);
	snprintf(what, sizeof(what), "%s: partition 0", name);
	xt_nl_begin(&nl, cmd, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &zero, sizeof(zero));
	refused(xt_nl_call(&nl, NULL), what);
	snprintf(what, sizeof(what), "%s: partition 40000", name);
	xt_nl_begin(&nl, cmd, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &large, sizeof(large));
	refused(xt_nl_call(&nl, NULL), what);
	snprintf(what, sizeof(what), "%s: an attribute of another operation",
		 name);
	xt_nl_begin(&nl, cmd, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
	xt_nl_put(&nl, XPMEM_A_EPOCH, &good.epoch, sizeof(good.epoch));
	refused(xt_nl_call(&nl, NULL), what);
	snprintf(what, sizeof(what), "%s: unknown partition", name);
	xt_nl_begin(&nl, cmd, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
	xt_ok(xt_nl_call(&nl, NULL) == ENOENT, "%s: ENOENT", what);
}

static void put_epoch(uint64_t epoch)
{
	xt_nl_put(&nl, XPMEM_A_EPOCH, &epoch, sizeof(epoch));
}

static void begin_fence(uint16_t partid)
{
	xt_nl_begin(&nl, XPMEM_CMD_FENCE, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
}

/* A fence names a partition and an epoch. */
static void wrong_fences(void)
{
	uint16_t peer = xt_me % xt_nodes + 1;

	begin_fence(good.partid);
	refused(xt_nl_call(&nl, NULL), "fence: without an epoch");
	xt_nl_begin(&nl, XPMEM_CMD_FENCE, 0);
	put_epoch(1);
	refused(xt_nl_call(&nl, NULL), "fence: without a partition");
	begin_fence(good.partid);
	put_epoch(0);
	refused(xt_nl_call(&nl, NULL), "fence: epoch 0");
	begin_fence(good.partid);
	put_epoch(1);
	put_epoch(1);
	refused(xt_nl_call(&nl, NULL), "fence: epoch twice");
	begin_fence(good.partid);
	xt_nl_put(&nl, XPMEM_A_EPOCH, &good.epoch, 4);
	refused(xt_nl_call(&nl, NULL), "fence: an epoch of 4 bytes");
	begin_fence(0);
	put_epoch(1);
	refused(xt_nl_call(&nl, NULL), "fence: partition 0");
	begin_fence(40000);
	put_epoch(1);
	refused(xt_nl_call(&nl, NULL), "fence: partition 40000");
	begin_fence(good.partid);
	put_epoch(1);
	xt_nl_put(&nl, XPMEM_A_FD, &good.fd, sizeof(good.fd));
	refused(xt_nl_call(&nl, NULL),
		"fence: an attribute of another operation");
	begin_fence(good.partid);
	put_epoch(1);
	xt_ok(xt_nl_call(&nl, NULL) == ENOENT,
	      "fence: unknown partition: ENOENT");
	begin_fence(peer);
	put_epoch(1);
	xt_ok(xt_nl_call(&nl, NULL) == ENOENT,
	      "fence: another epoch than the session's: ENOENT");
}

static void wrong_requests(void)
{
	struct nlattr attr = { .nla_len = 200, .nla_type = XPMEM_A_PARTID };
	uint32_t data = 1;

	partid_only(XPMEM_CMD_SESSION_DEL, "session-del");
	wrong_fences();
	for (int cmd = 0; cmd < 256; cmd += 15) {
		if (cmd > 0 && cmd <= XPMEM_CMD_MAX)
			continue;
		xt_nl_begin(&nl, cmd, 0);
		xt_ok(xt_nl_call(&nl, NULL) == EOPNOTSUPP,
		      "operation %d: EOPNOTSUPP", cmd);
	}
	xt_nl_begin(&nl, XPMEM_CMD_STATS_GET, 0);
	xt_nl_put(&nl, 200, &data, sizeof(data));
	refused(xt_nl_call(&nl, NULL), "stats-get: unknown attribute");
	xt_nl_begin(&nl, XPMEM_CMD_SESSION_GET, NLM_F_DUMP);
	xt_nl_put(&nl, 200, &data, sizeof(data));
	refused(xt_nl_call(&nl, NULL), "session-get: unknown attribute");
	xt_nl_begin(&nl, XPMEM_CMD_PEER_GET, NLM_F_DUMP);
	xt_nl_put(&nl, 200, &data, sizeof(data));
	refused(xt_nl_call(&nl, NULL), "peer-get: unknown attribute");
	xt_nl_begin(&nl, XPMEM_CMD_USER_GET, NLM_F_DUMP);
	xt_nl_put(&nl, 200, &data, sizeof(data));
	refused(xt_nl_call(&nl, NULL), "user-get: unknown attribute");
	xt_nl_begin(&nl, XPMEM_CMD_FENCE, 0);
	memcpy(nl.buf + nl.len, &attr, sizeof(attr));
	nl.len += sizeof(attr);
	refused(xt_nl_call(&nl, NULL), "fence: attribute beyond the message");
}

static void stranger(void *arg)
{
	static const int cmds[] = {
		XPMEM_CMD_SESSION_ADD,
		XPMEM_CMD_SESSION_DEL,
		XPMEM_CMD_STATS_GET,
		XPMEM_CMD_FENCE,
	};
	static const int dumps[] = {
		XPMEM_CMD_SESSION_GET,
		XPMEM_CMD_SEGMENT_GET,
		XPMEM_CMD_PEER_GET,
		XPMEM_CMD_USER_GET,
	};

	(void)arg;
	xt_need(!setresgid(1000, 1000, 1000) && !setresuid(1000, 1000, 1000),
		"become uid 1000");
	xt_nl_open(&nl);
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		xt_nl_begin(&nl, cmds[i], 0);
		xt_ok(xt_nl_call(&nl, NULL) == EPERM,
		      "uid 1000, operation %d: EPERM", cmds[i]);
	}
	for (size_t i = 0; i < sizeof(dumps) / sizeof(dumps[0]); i++) {
		xt_nl_begin(&nl, dumps[i], NLM_F_DUMP);
		xt_ok(xt_nl_call(&nl, NULL) == EPERM,
		      "uid 1000, dump %d: EPERM", dumps[i]);
	}
}

static int sessions(void)
{
	int count = 0;

	xt_nl_begin(&nl, XPMEM_CMD_SESSION_GET, NLM_F_DUMP);
	xt_ok(!xt_nl_call(&nl, &count), "list the sessions");
	return count;
}

int main(void)
{
	xt_start("netlink");
	xt_case("netlink");
	xt_nl_open(&nl);
	xt_session_good(&good);
	xt_tcp_pair(ends);
	good.fd = ends[0];
	xt_ok(sessions() == xt_nodes - 1, "%d sessions before", xt_nodes - 1);
	spoilt_attributes();
	wrong_values();
	wrong_sockets();
	wrong_requests();
	still_ours();
	xt_ok(!xt_join(xt_spawn(stranger, NULL)), "a stranger tried");
	xt_ok(sessions() == xt_nodes - 1, "%d sessions after", xt_nodes - 1);
	xt_nothing_left("at the end");
	return xt_finish();
}
