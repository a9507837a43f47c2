// SPDX-License-Identifier: GPL-2.0-only
/*
 * What xpmemctl asks for.  The step before is control.c; the steps after are
 * the kernel, peer.c, fence.c and wait.c.
 * Invariant: a request is looked at whole before any of it is done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agree.h"
#include "client.h"
#include "fence.h"
#include "kernel.h"
#include "log.h"
#include "peer.h"
#include "quarantine.h"

#define WORDS_MAX 2048

static const struct config *config;
static int (*config_read)(char *reason);

/**
 * struct peer_sum - what the kernel says of a peer
 * @partid:     the peer
 * @quarantine: pages, of all its lost sessions
 * @lost:       there are such
 * @history:    of all its sessions
 */
struct peer_sum {
	uint16_t partid;
	uint64_t quarantine;
	bool lost;
	struct kernel_peer history;
};

static void sum_session(const struct kernel_session *session, void *arg)
{
	struct peer_sum *sum = arg;

	if (session->partid != sum->partid)
		return;
	sum->quarantine += session->quarantine;
	sum->lost |= session->state == XPMEM_SESSION_STATE_LOST;
}

static void find_history(const struct kernel_peer *peer, void *arg)
{
	struct peer_sum *sum = arg;

	if (peer->partid == sum->partid)
		sum->history = *peer;
}

static int say_peer_status(struct client *client, const struct peer *peer,
			   char *reason)
{
	struct peer_sum sum = { .partid = peer->config.partid };
	const struct kernel_peer *history = &sum.history;
	const char *state = peer_state_name(peer);

	if (kernel_session_each(sum_session, &sum, reason) ||
	    kernel_peer_each(find_history, &sum, reason))
		return -1;
	if (peer->state != PEER_UP && sum.lost)
		state = "lost";
	client_say(
		client,
		"peer\tpartid=%u\tstate=%s\tgranted=%llu\trevoked=%llu\tacked=%llu\tquarantine=%llu\twait-median-us=%llu\twait-p99-us=%llu\twait-max-us=%llu\tdeadlines-missed=%llu\tevictions=%llu\treason=%s\n",
		sum.partid, state, (unsigned long long)history->granted,
		(unsigned long long)history->revoked,
		(unsigned long long)history->acked,
		(unsigned long long)sum.quarantine,
		(unsigned long long)history->wait_median_us,
		(unsigned long long)history->wait_p99_us,
		(unsigned long long)history->wait_max_us,
		(unsigned long long)history->deadlines_missed,
		(unsigned long long)history->evictions,
		peer->state == PEER_UP ? "" : peer->reason);
	return 0;
}

static void cmd_status(struct client *client, char **words, unsigned int nwords)
{
	char reason[REASON_SIZE];
	struct kernel_stats stats;
	const struct peer *peer;

	(void)words;
	(void)nwords;
	if (kernel_stats_get(&stats, reason)) {
		client_answer(client, reason);
		return;
	}
	client_say(
		client,
		"partition\tpartid=%u\tkernel=%s\tsegments=%llu\texported=%llu\tquarantine=%llu\n",
		stats.partid, stats.mode,
		(unsigned long long)stats.value[XPMEM_A_STATS_SEGMENTS],
		(unsigned long long)stats.value[XPMEM_A_STATS_EXPORTED],
		(unsigned long long)stats.value[XPMEM_A_STATS_QUARANTINE]);
	for (peer = peer_first(); peer; peer = peer->next) {
		if (say_peer_status(client, peer, reason)) {
			client_answer(client, reason);
			return;
		}
	}
	client_answer(client, NULL);
}

static void cmd_peers(struct client *client, char **words, unsigned int nwords)
{
	const struct peer *peer;

	(void)words;
	(void)nwords;
	for (peer = peer_first(); peer; peer = peer->next) {
		const struct sockaddr_storage *addr =
			&peer->config.address.addr;
		const struct sockaddr_in *v4 = (const void *)addr;
		const struct sockaddr_in6 *v6 = (const void *)addr;
		bool is_v6 = addr->ss_family == AF_INET6;
		char text[INET6_ADDRSTRLEN] = "";

		inet_ntop(addr->ss_family,
			  is_v6 ? (const void *)&v6->sin6_addr :
				  (const void *)&v4->sin_addr,
			  text, sizeof(text));
		client_say(
			client,
			"peer\tpartid=%u\taddress=%s\tport=%u\tfabric=window\twindow=%s\tsecurity=%s\tuids=%u-%u\troot-squash=%s\n",
			peer->config.partid, text,
			ntohs(is_v6 ? v6->sin6_port : v4->sin_port),
			peer->config.window,
			agree_security_name(peer->config.security),
			peer->config.uid_min, peer->config.uid_max,
			peer->config.root_squash ? "yes" : "no");
	}
	client_answer(client, NULL);
}

/**
 * request_parse_id - read a partition's id
 * @word:   the text
 * @id:     filled in
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int request_parse_id(const char *word, uint16_t *id, char *reason)
{
	unsigned long value;
	char *end;

	value = strtoul(word, &end, 10);
	if (*word < '0' || *word > '9' || *end || !value ||
	    value > XPMEM_PARTID_MAX)
		return reason_set(reason,
				  "\"%.32s\" is no partition id; give 1 to %u",
				  word, XPMEM_PARTID_MAX);
	*id = (uint16_t)value;
	return 0;
}

/* An epoch as xpmemctl quarantine prints it. */
static int parse_epoch(const char *word, uint64_t *epoch, char *reason)
{
	char *end;

	errno = 0;
	*epoch = strtoull(word, &end, 0);
	if (*word < '0' || *word > '9' || *end || errno || !*epoch)
		return reason_set(
			reason,
			"\"%.32s\" is no epoch; see xpmemctl quarantine", word);
	return 0;
}

static void fence_done(void *owner, uint16_t partid, uint64_t released,
		       const char *reason)
{
	struct client *client = owner;

	if (reason)
		quarantine_failed(partid, reason);
	quarantine_look();
	if (!client)
		return;
	if (!reason)
		client_say(client, "fence\tpartid=%u\treleased=%llu\n", partid,
			   (unsigned long long)released);
	client_answer(client, reason);
}

static void cmd_fence(struct client *client, char **words, unsigned int nwords)
{
	char reason[REASON_SIZE];
	uint64_t epoch = 0;
	uint16_t id;

	if (request_parse_id(words[1], &id, reason) ||
	    (nwords > 2 && parse_epoch(words[2], &epoch, reason)) ||
	    fence_start(config, id, epoch, fence_done, client, reason))
		client_answer(client, reason);
}

static void say_quarantine(const struct quarantine_line *line, void *arg)
{
	time_t since = time(NULL) - (time_t)(line->lost_ms / 1000);
	char when[32] = "?";
	struct tm tm;

	if (gmtime_r(&since, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	client_say(
		arg,
		"quarantine\tpartid=%u\tepoch=%#llx\tpages=%llu\tsince=%s\tfence=%s\tfailed=%u\tfailure=%s\tdo=%s\n",
		line->partid, (unsigned long long)line->epoch,
		(unsigned long long)line->pages, when, line->fence,
		line->attempts, line->failure, line->advice);
}

static void cmd_quarantine(struct client *client, char **words,
			   unsigned int nwords)
{
	char reason[REASON_SIZE];
	int err;

	(void)words;
	(void)nwords;
	err = quarantine_each(say_quarantine, client, reason);
	client_answer(client, err ? reason : NULL);
}

static void cmd_reload(struct client *client, char **words, unsigned int nwords)
{
	char reason[REASON_SIZE];

	(void)words;
	(void)nwords;
	client_answer(client, config_read(reason) ? reason : NULL);
}

static void cmd_wait_up(struct client *client, char **words,
			unsigned int nwords)
{
	wait_start(client, CLIENT_WAIT_UP, words, nwords);
}

static void cmd_wait_lost(struct client *client, char **words,
			  unsigned int nwords)
{
	wait_start(client, CLIENT_WAIT_LOST, words, nwords);
}

static const struct {
	const char *name;
	unsigned int min, max;
	void (*run)(struct client *client, char **words, unsigned int nwords);
} commands[] = {
	{ "status", 1, 1, cmd_status },
	{ "peers", 1, 1, cmd_peers },
	{ "quarantine", 1, 1, cmd_quarantine },
	{ "fence", 2, 3, cmd_fence },
	{ "reload", 1, 1, cmd_reload },
	{ "wait-up", 2, WORDS_MAX, cmd_wait_up },
	{ "wait-lost", 3, 3, cmd_wait_lost },
};

/**
 * request_handle - carry a request out, or say what is wrong with it
 * @client: whose; answered now or later
 * @line:   the request, changed
 */
void request_handle(struct client *client, char *line)
{
	char *words[WORDS_MAX], *word;
	unsigned int nwords = 0, i;

	while ((word = strsep(&line, " ")) && nwords < WORDS_MAX) {
		if (*word)
			words[nwords++] = word;
	}
	for (i = 0; nwords && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(words[0], commands[i].name))
			continue;
		if (nwords < commands[i].min || nwords > commands[i].max)
			break;
		commands[i].run(client, words, nwords);
		return;
	}
	client_answer(client,
		      "unknown request; use an xpmemctl of this version");
}

/**
 * request_init - be ready for requests
 * @conf:   must outlive the last request or be replaced by request_reload()
 * @reload: as of control_init()
 */
void request_init(const struct config *conf, int (*reload)(char *reason))
{
	config = conf;
	config_read = reload;
}

/**
 * request_reload - use another configuration from now on
 * @conf: takes the place of the one before
 */
void request_reload(const struct config *conf)
{
	config = conf;
}
