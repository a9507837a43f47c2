// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the partitions meet: p1 keeps named values, everyone may put and
 * await them. A line a request:
 *
 *	hello TOPIC ID leader|child	-> "topic TOPIC"
 *	put KEY VALUE
 *	get KEY				-> "value VALUE", once there is one
 *	bye				   the end of this connection is no failure
 *	fail				   this partition has failed
 *
 * Once a partition has failed, each get without a value is answered "gone ID".
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7417
#define MAX_PEERS 64
#define LINE 512

struct peer {
	int fd;
	int id; /* 0 until its hello */
	bool leader;
	bool leaving; /* said bye */
	char waits[LINE]; /* key it awaits, or "" */
	char in[LINE];
	size_t fill;
};

struct value {
	struct value *next;
	char *key;
	char *text;
};

static struct peer peers[MAX_PEERS];
static struct value *values;
static int gone; /* a partition that failed or ended without bye */
static int door; /* where p1 listens, -1 when it ended */
static const char *topic;

/* What this process holds as a client. */
static FILE *to_p1, *from_p1;
static char case_name[64] = "start";
static char my_topic[64];

static void tell(struct peer *p, const char *what, const char *text)
{
	char out[LINE + 16];
	int len = snprintf(out, sizeof(out), "%s %s\n", what, text);

	/* An answer is short and asked for: it always fits. */
	if (send(p->fd, out, len, MSG_NOSIGNAL) != len)
		shutdown(p->fd, SHUT_RDWR);
}

static const char *find(const char *key)
{
	for (struct value *v = values; v; v = v->next)
		if (!strcmp(v->key, key))
			return v->text;
	return NULL;
}

static void answer(struct peer *p)
{
	const char *text;
	char id[16];

	if (!p->waits[0])
		return;
	text = find(p->waits);
	if (text) {
		tell(p, "value", text);
	} else if (gone) {
		snprintf(id, sizeof(id), "%d", gone);
		tell(p, "gone", id);
	} else {
		return;
	}
	p->waits[0] = '\0';
}

static void answer_all(void)
{
	for (int i = 0; i < MAX_PEERS; i++)
		if (peers[i].id)
			answer(&peers[i]);
}

static void keep(const char *key, const char *text)
{
	struct value *v = malloc(sizeof(*v));

	if (!v)
		_exit(2);
	v->key = strdup(key);
	v->text = strdup(text);
	v->next = values;
	values = v;
	answer_all();
}

static void lose(int id)
{
	if (!gone)
		gone = id;
	answer_all();
}

static void hello(struct peer *p, const char *text)
{
	char name[64], role[16];
	int id;

	if (sscanf(text, "%63s %d %15s", name, &id, role) != 3)
		return;
	tell(p, "topic", topic);
	/* The program before or after this one: it tries again. */
	if (strcmp(name, topic))
		return;
	p->id = id;
	p->leader = !strcmp(role, "leader");
}

static void request(struct peer *p, char *text)
{
	char *rest = strchr(text, ' ');

	if (!strcmp(text, "bye")) {
		p->leaving = true;
		return;
	}
	if (!strcmp(text, "fail")) {
		lose(p->id);
		return;
	}
	if (!rest)
		return;
	*rest++ = '\0';
	if (!strcmp(text, "hello")) {
		hello(p, rest);
	} else if (!strcmp(text, "get")) {
		snprintf(p->waits, sizeof(p->waits), "%s", rest);
		answer(p);
	} else if (!strcmp(text, "put")) {
		char *value = strchr(rest, ' ');

		if (!value)
			return;
		*value++ = '\0';
		keep(rest, value);
	}
}

static void hang_up(struct peer *p)
{
	close(p->fd);
	if (p->leader && !p->leaving)
		lose(p->id);
	if (p->leader && p->id == XT_HOME) {
		close(door); /* the next program will want the port */
		door = -1;
	}
	memset(p, 0, sizeof(*p));
	p->fd = -1;
}

static void listen_to(struct peer *p)
{
	ssize_t got = recv(p->fd, p->in + p->fill, sizeof(p->in) - p->fill, 0);
	char *end;

	if (got <= 0) {
		hang_up(p);
		return;
	}
	p->fill += got;
	while ((end = memchr(p->in, '\n', p->fill))) {
		size_t used = end + 1 - p->in;

		*end = '\0';
		request(p, p->in);
		p->fill -= used;
		memmove(p->in, p->in + used, p->fill);
	}
	if (p->fill == sizeof(p->in))
		hang_up(p);
}

static void welcome(void)
{
	int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < MAX_PEERS; i++) {
		if (peers[i].fd < 0) {
			peers[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static bool anybody(void)
{
	for (int i = 0; i < MAX_PEERS; i++)
		if (peers[i].fd >= 0)
			return true;
	return false;
}

/* Runs in a child of p1's leader, until that one and all others have ended. */
static void serve(void)
{
	struct pollfd fds[MAX_PEERS + 1];

	for (int i = 0; i < MAX_PEERS; i++)
		peers[i].fd = -1;
	while (door >= 0 || anybody()) {
		fds[MAX_PEERS] = (struct pollfd){ door, POLLIN, 0 };
		for (int i = 0; i < MAX_PEERS; i++)
			fds[i] = (struct pollfd){ peers[i].fd, POLLIN, 0 };
		if (poll(fds, MAX_PEERS + 1, -1) < 0)
			continue;
		for (int i = 0; i < MAX_PEERS; i++)
			if (peers[i].fd >= 0 && fds[i].revents)
				listen_to(&peers[i]);
		if (door >= 0 && fds[MAX_PEERS].revents)
			welcome();
	}
	_exit(0);
}

/* The program before this one may have ended before its server did. */
static void open_door(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	long long end = xt_ms() + XT_MEET_MS;
	bool bound;
	int on = 1;

	door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	for (;;) {
		bound = !bind(door, (struct sockaddr *)&any, sizeof(any));
		if (bound || errno != EADDRINUSE || xt_ms() > end)
			break;
		nanosleep(&pause, NULL);
	}
	xt_need(bound && !listen(door, MAX_PEERS), "listen on port %d", PORT);
}

static int call_p1(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct hostent *host = gethostbyname("p1");

	if (!host || fd < 0)
		return fd;
	memcpy(&to.sin_addr, host->h_addr_list[0], sizeof(to.sin_addr));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

/* True when p1 runs the same program by now. */
static bool greet(int fd, const char *role)
{
	char text[LINE], want[LINE];
	struct timeval limit = { .tv_sec = 10 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	to_p1 = fdopen(fd, "w");
	from_p1 = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 0), "r");
	if (!to_p1 || !from_p1)
		return false;
	setlinebuf(to_p1);
	fprintf(to_p1, "hello %s %d %s\n", my_topic, xt_me, role);
	snprintf(want, sizeof(want), "topic %s\n", my_topic);
	if (fgets(text, sizeof(text), from_p1) && !strcmp(text, want))
		return true;
	fclose(to_p1);
	fclose(from_p1);
	return false;
}

/*
 * Nothing announces that p1 listens: partitions start at different moments.
 * So connecting is tried again, every 50 ms.
 */
static void meet(const char *role)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct timeval limit = { .tv_sec = XT_WAIT_MS / 1000 };
	long long end = xt_ms() + XT_MEET_MS;
	int fd;

	for (;;) {
		fd = call_p1();
		if (fd >= 0 && greet(fd, role))
			break;
		if (xt_ms() > end) {
			printf("Bail out! p1 does not answer\n");
			exit(2);
		}
		nanosleep(&pause, NULL);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

void xt_meet_init(const char *name)
{
	snprintf(my_topic, sizeof(my_topic), "%s", name);
	topic = my_topic;
	if (xt_me == XT_HOME) {
		pid_t pid;

		open_door();
		pid = fork();
		xt_need(pid >= 0, "fork");
		if (!pid)
			serve();
		close(door);
	}
	meet("leader");
}

/* The parent's stdio buffers are empty: lines are flushed as they are put. */
void xt_meet_again(void)
{
	fclose(to_p1);
	fclose(from_p1);
	meet("child");
}

void xt_leave(void)
{
	fprintf(to_p1, "bye\n");
}

void xt_meet_fail(void)
{
	if (to_p1)
		fprintf(to_p1, "fail\n");
}

void xt_meet_fini(void)
{
	xt_leave();
	fclose(to_p1);
	fclose(from_p1);
}

void xt_meet_case(const char *name)
{
	snprintf(case_name, sizeof(case_name), "%s", name);
	for (char *c = case_name; *c; c++)
		if (*c == ' ')
			*c = '-';
}

void xt_put(const char *key, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(to_p1, "put %s/%s %s\n", case_name, key, text);
}

/* A debugger's stop ends a read that has a time limit. */
static bool answered(char *text)
{
	while (!fgets(text, LINE, from_p1)) {
		if (!ferror(from_p1) || errno != EINTR)
			return false;
		clearerr(from_p1);
	}
	return true;
}

const char *xt_await(const char *key)
{
	static char texts[16][LINE];
	static unsigned int turn;
	char *text = texts[turn++ % 16];
	int gone_id;

	fprintf(to_p1, "get %s/%s\n", case_name, key);
	xt_need(answered(text), "waiting for '%s' of the other side", key);
	if (sscanf(text, "gone %d", &gone_id) == 1)
		xt_need(false, "waiting for '%s': partition %d has ended", key,
			gone_id);
	text[strcspn(text, "\n")] = '\0';
	xt_need(!strncmp(text, "value ", 6), "answer to '%s'", key);
	return text + 6;
}

long long xt_await_num(const char *key)
{
	return strtoll(xt_await(key), NULL, 0);
}

/* Each leader once per case and name. */
void xt_barrier(const char *name)
{
	char key[96];

	snprintf(key, sizeof(key), "%s.%d", name, xt_me);
	xt_put(key, "here");
	for (int id = 1; id <= xt_nodes; id++) {
		snprintf(key, sizeof(key), "%s.%d", name, id);
		xt_await(key);
	}
}
