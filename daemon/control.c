// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket that xpmemctl talks to (see control.h).
 * Invariant: only root is answered, and every request gets exactly one "ok" or
 * "error".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "fence.h"
#include "kernel.h"
#include "log.h"
#include "loop.h"
#include "peer.h"

#define CLIENTS_MAX 64
#define WORDS_MAX 2048

/* What a client waits for. */
enum client_wait {
	CLIENT_WAIT_NONE,
	CLIENT_WAIT_UP,
	CLIENT_WAIT_LOST,
};

/**
 * struct client - a connection of xpmemctl
 * @next:    any order
 * @source:  its socket
 * @timer:   ends a wait
 * @wait:    what for
 * @ids:     whom for
 * @nids:    how many; 0 with CLIENT_WAIT_UP: all peers
 * @request: the line so far
 * @got:     bytes of it
 * @answer:  being sent, once @ended
 * @length:  bytes of it
 * @sent:    bytes that left
 * @ended:   the answer is complete
 */
struct client {
	struct client *next;
	struct loop_source source;
	struct loop_timer timer;
	enum client_wait wait;
	uint16_t *ids;
	unsigned int nids;
	char request[CONTROL_REQUEST_MAX];
	size_t got;
	char *answer;
	size_t length;
	size_t sent;
	bool ended;
};

static const struct config *config;
static struct loop_source source = { .fd = -1 };
static struct client *clients;
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

static void client_destroy(struct client *client)
{
	struct client **at = &clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	fence_forget(client);
	loop_timer_cancel(&client->timer);
	loop_remove(&client->source);
	close(client->source.fd);
	free(client->ids);
	free(client->answer);
	free(client);
}

/* Appends to the answer.  What does not fit in memory ends the connection. */
__attribute__((format(printf, 2, 3))) static void say(struct client *client,
						      const char *fmt, ...)
{
	char *text, *all;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	all = realloc(client->answer, client->length + (size_t)n);
	if (all) {
		memcpy(all + client->length, text, (size_t)n);
		client->answer = all;
		client->length += (size_t)n;
	}
	free(text);
}

static void client_send(struct client *client)
{
	ssize_t n;

	while (client->sent < client->length) {
		n = send(client->source.fd, client->answer + client->sent,
			 client->length - client->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		client->sent += (size_t)n;
	}
	client_destroy(client);
}

/* Ends the request; @reason is NULL on success.  Sent from the loop. */
static void answer(struct client *client, const char *reason)
{
	if (reason)
		say(client, "error\t%s\n", reason);
	else
		say(client, "ok\n");
	client->ended = true;
	client->wait = CLIENT_WAIT_NONE;
	loop_timer_cancel(&client->timer);
	loop_change(&client->source, EPOLLOUT);
}

struct peer_sum {
	uint16_t partid;
	struct kernel_session sum;
};

/* A peer has one session that is up at most, and any number that were lost. */
static void sum_session(const struct kernel_session *session, void *arg)
{
	struct kernel_session *sum = &((struct peer_sum *)arg)->sum;

	if (session->partid != ((struct peer_sum *)arg)->partid)
		return;
	sum->granted += session->granted;
	sum->revoked += session->revoked;
	sum->acked += session->acked;
	sum->quarantine += session->quarantine;
	sum->deadlines_missed += session->deadlines_missed;
	if (session->wait_max_us > sum->wait_max_us)
		sum->wait_max_us = session->wait_max_us;
	if (!sum->wait_median_us || session->state == XPMEM_SESSION_STATE_UP)
		sum->wait_median_us = session->wait_median_us;
	if (session->state == XPMEM_SESSION_STATE_LOST)
		sum->state = XPMEM_SESSION_STATE_LOST;
}

static int say_peer_status(struct client *client, const struct peer *peer,
			   char *reason)
{
	struct peer_sum of = { .partid = peer->config.partid };
	const struct kernel_session *sum = &of.sum;
	const char *state = peer_state_name(peer);

	if (kernel_session_each(sum_session, &of, reason))
		return -1;
	if (peer->state != PEER_UP && sum->state == XPMEM_SESSION_STATE_LOST)
		state = "lost";
	say(client,
	    "peer\tpartid=%u\tstate=%s\tgranted=%llu\trevoked=%llu\tacked=%llu\tquarantine=%llu\twait-median-us=%llu\twait-max-us=%llu\tdeadlines-missed=%llu\treason=%s\n",
	    of.partid, state, (unsigned long long)sum->granted,
	    (unsigned long long)sum->revoked, (unsigned long long)sum->acked,
	    (unsigned long long)sum->quarantine,
	    (unsigned long long)sum->wait_median_us,
	    (unsigned long long)sum->wait_max_us,
	    (unsigned long long)sum->deadlines_missed,
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
		answer(client, reason);
		return;
	}
	say(client,
	    "partition\tpartid=%u\tkernel=%s\tsegments=%llu\texported=%llu\tquarantine=%llu\n",
	    stats.partid, stats.mode,
	    (unsigned long long)stats.value[XPMEM_A_STATS_SEGMENTS],
	    (unsigned long long)stats.value[XPMEM_A_STATS_EXPORTED],
	    (unsigned long long)stats.value[XPMEM_A_STATS_QUARANTINE]);
	for (peer = peer_first(); peer; peer = peer->next) {
		if (say_peer_status(client, peer, reason)) {
			answer(client, reason);
			return;
		}
	}
	answer(client, NULL);
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
		say(client,
		    "peer\tpartid=%u\taddress=%s\tport=%u\tfabric=window\twindow=%s\n",
		    peer->config.partid, text,
		    ntohs(is_v6 ? v6->sin6_port : v4->sin_port),
		    peer->config.window);
	}
	answer(client, NULL);
}

static int parse_id(const char *word, uint16_t *id, char *reason)
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

static void fence_done(void *owner, uint16_t partid, uint64_t released,
		       const char *reason)
{
	struct client *client = owner;

	if (!client)
		return;
	if (!reason)
		say(client, "fence\tpartid=%u\treleased=%llu\n", partid,
		    (unsigned long long)released);
	answer(client, reason);
}

struct fence_check {
	uint16_t partid;
	bool lost;
	bool up;
};

static void check_session(const struct kernel_session *session, void *arg)
{
	struct fence_check *check = arg;

	if (session->partid != check->partid)
		return;
	check->lost |= session->state == XPMEM_SESSION_STATE_LOST;
	check->up |= session->state == XPMEM_SESSION_STATE_UP;
}

/*
 * A fence command may turn a machine off: not for nothing, and not one that
 * came back.  The administrator's own word ends nothing.
 */
static int fence_allowed(uint16_t id, char *reason)
{
	struct fence_check check = { .partid = id };

	if (kernel_session_each(check_session, &check, reason))
		return -1;
	if (check.lost && check.up && *config->fence_command)
		return reason_set(
			reason,
			"partition %u is up again, and the fence command would end it; shut it down, or remove fence-command if it was reset since it was lost",
			id);
	if (check.lost)
		return 0;
	if (check.up)
		return reason_set(
			reason,
			"the session of partition %u is up; fence only what is lost",
			id);
	return reason_set(
		reason,
		"nothing of partition %u is lost; there is nothing to fence",
		id);
}

static void cmd_fence(struct client *client, char **words, unsigned int nwords)
{
	char reason[REASON_SIZE];
	uint16_t id;

	(void)nwords;
	if (parse_id(words[1], &id, reason) || fence_allowed(id, reason) ||
	    fence_start(config->fence_command, id, fence_done, client, reason))
		answer(client, reason);
}

static bool is_up(uint16_t id)
{
	const struct peer *peer = peer_find(id);

	return peer && peer->state == PEER_UP;
}

/*
 * Lists in @missing, "" when the wait is over, the partitions that are not as
 * they should be.
 */
static void find_missing(const struct client *client, char *missing)
{
	const struct peer *peer;
	size_t length = 0;
	unsigned int i;

	missing[0] = '\0';
	if (client->wait == CLIENT_WAIT_UP && !client->nids) {
		for (peer = peer_first(); peer; peer = peer->next) {
			if (peer->state != PEER_UP && length < REASON_SIZE / 2)
				length += (size_t)sprintf(missing + length,
							  " %u",
							  peer->config.partid);
		}
	}
	for (i = 0; i < client->nids; i++) {
		if (is_up(client->ids[i]) != (client->wait == CLIENT_WAIT_UP) &&
		    length < REASON_SIZE / 2)
			length += (size_t)sprintf(missing + length, " %u",
						  client->ids[i]);
	}
}

static void wait_timeout(struct loop_timer *timer)
{
	struct client *client = container_of(timer, struct client, timer);
	char missing[REASON_SIZE], reason[REASON_SIZE];

	find_missing(client, missing);
	reason_set(
		reason,
		client->wait == CLIENT_WAIT_UP ?
			"not up in time: partition%.200s; see xpmemctl status" :
			"still up: partition%.200s",
		missing);
	answer(client, reason);
}

/**
 * control_peers_changed - a session came up or was lost: who waited for it?
 */
void control_peers_changed(void)
{
	char missing[REASON_SIZE];
	struct client *client;

	for (client = clients; client; client = client->next) {
		if (client->wait == CLIENT_WAIT_NONE)
			continue;
		find_missing(client, missing);
		if (!*missing)
			answer(client, NULL);
	}
}

static void start_wait(struct client *client, enum client_wait wait,
		       char **words, unsigned int nwords)
{
	char reason[REASON_SIZE], *end;
	unsigned long ms = strtoul(words[1], &end, 10);
	unsigned int i;

	if (*end || ms > 1000ul * 1000 * 1000) {
		answer(client, "the time-out is no number of milliseconds");
		return;
	}
	client->nids = nwords - 2;
	client->ids = calloc(client->nids + 1, sizeof(*client->ids));
	if (!client->ids) {
		client->nids = 0;
		answer(client, "no memory");
		return;
	}
	for (i = 0; i < client->nids; i++) {
		if (parse_id(words[i + 2], &client->ids[i], reason)) {
			answer(client, reason);
			return;
		}
		if (!peer_find(client->ids[i])) {
			reason_set(
				reason,
				"partition %u is no peer; see xpmemctl peers",
				client->ids[i]);
			answer(client, reason);
			return;
		}
	}
	client->wait = wait;
	find_missing(client, reason);
	if (!*reason)
		answer(client, NULL);
	else if (ms)
		loop_timer_set(&client->timer, (unsigned int)ms);
}

static void cmd_wait_up(struct client *client, char **words,
			unsigned int nwords)
{
	start_wait(client, CLIENT_WAIT_UP, words, nwords);
}

static void cmd_wait_lost(struct client *client, char **words,
			  unsigned int nwords)
{
	start_wait(client, CLIENT_WAIT_LOST, words, nwords);
}

static const struct {
	const char *name;
	unsigned int min, max;
	void (*run)(struct client *client, char **words, unsigned int nwords);
} commands[] = {
	{ "status", 1, 1, cmd_status },
	{ "peers", 1, 1, cmd_peers },
	{ "fence", 2, 2, cmd_fence },
	{ "wait-up", 2, WORDS_MAX, cmd_wait_up },
	{ "wait-lost", 3, 3, cmd_wait_lost },
};

static void handle(struct client *client)
{
	char *words[WORDS_MAX], *line = client->request, *word;
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
	answer(client, "unknown request; use an xpmemctl of this version");
}

static void client_recv(struct client *client)
{
	char *end;
	ssize_t n;

	n = recv(client->source.fd, client->request + client->got,
		 sizeof(client->request) - client->got, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_destroy(client);
		return;
	}
	client->got += (size_t)n;
	end = memchr(client->request, '\n', client->got);
	if (end) {
		*end = '\0';
		/* From here on only its end is of interest. */
		loop_change(&client->source, EPOLLRDHUP);
		handle(client);
	} else if (client->got == sizeof(client->request)) {
		loop_change(&client->source, EPOLLRDHUP);
		answer(client, "the request is too long");
	}
}

static void client_ready(struct loop_source *src, uint32_t events)
{
	struct client *client = container_of(src, struct client, source);

	if (client->ended)
		client_send(client);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		client_destroy(client);
	else
		client_recv(client);
}

static bool is_root(int fd)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t length = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) &&
	       (!cred.uid || cred.uid == geteuid());
}

static void ready(struct loop_source *src, uint32_t events)
{
	struct client *client;
	unsigned int n = 0;
	int fd;

	(void)events;
	fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	for (client = clients; client; client = client->next)
		n++;
	client = n < CLIENTS_MAX && is_root(fd) ? calloc(1, sizeof(*client)) :
						  NULL;
	if (!client)
		goto close_fd;
	client->source =
		(struct loop_source){ .fd = fd, .ready = client_ready };
	client->timer.fire = wait_timeout;
	if (loop_add(&client->source, EPOLLIN))
		goto free_client;
	client->next = clients;
	clients = client;
	return;

free_client:
	free(client);
close_fd:
	close(fd);
}

/*
 * A socket that nobody listens to was left behind by a daemon that died.  What
 * is no socket is somebody's file: it stays, and bind(2) fails.
 */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat stat;
	int fd, used;

	if (lstat(addr->sun_path, &stat) || !S_ISSOCK(stat.st_mode))
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	used = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	close(fd);
	if (used) {
		log_error("%s: another xpmemd runs; end it first",
			  addr->sun_path);
		return -1;
	}
	unlink(addr->sun_path);
	return 0;
}

static void make_directory(const char *file)
{
	char directory[sizeof(path)];
	char *slash;

	strcpy(directory, file);
	slash = strrchr(directory, '/');
	if (slash && slash != directory) {
		*slash = '\0';
		mkdir(directory, 0755);
	}
}

/**
 * control_init - listen for xpmemctl
 * @conf: must outlive control_exit() or be replaced by control_reload()
 *
 * Return: 0, or -1 after logging why.
 */
int control_init(const struct config *conf)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	config = conf;
	strcpy(path, conf->control);
	strcpy(addr.sun_path, path);
	make_directory(path);
	if (remove_stale(&addr))
		return -1;
	source.ready = ready;
	source.fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (source.fd < 0) {
		log_error("socket: %m");
		return -1;
	}
	mask = umask(0177);
	err = bind(source.fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (err || listen(source.fd, CLIENTS_MAX)) {
		log_error("cannot listen on %s: %m; correct \"control\"", path);
		goto close_fd;
	}
	if (!loop_add(&source, EPOLLIN))
		return 0;
	unlink(path);
close_fd:
	close(source.fd);
	return -1;
}

/**
 * control_exit - end all requests and stop listening
 */
void control_exit(void)
{
	while (clients)
		client_destroy(clients);
	loop_remove(&source);
	close(source.fd);
	unlink(path);
}

/**
 * control_reload - use another configuration from now on
 * @conf: takes the place of the one before
 */
void control_reload(const struct config *conf)
{
	config = conf;
}
