// SPDX-License-Identifier: GPL-2.0-only
/* Test programs of the lab: somebody on the line (xt-line.h). */
#include "xt-line.h"
#include "xt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK 8 /* pieces that pass while one looks into them */

static const char *const names[] = {
	"none",
	"a bit is altered",
	"a byte is lost",
	"a byte is repeated",
	"the line is cut",
	"a piece is lost",
	"a piece is repeated",
	"two pieces are exchanged",
};

const char *xt_fault_name(enum xt_fault fault)
{
	return names[fault];
}

/* @fault waits for the byte @at of direction @from; then there is none. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int door;
	struct sockaddr_in to;
	int ends[2]; /* who called, who was called; -1: no connection */
	size_t passed[2];
	unsigned long pieces;
	enum xt_fault fault;
	int from;
	size_t at;
	bool fresh;
	char held[65536]; /* of XT_EXCHANGE_ALL */
	size_t holding;
	uint64_t needle; /* looked for in what passes, unless 0 */
	bool found;
} line = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.ends = { -1, -1 },
};

static void forward(int to, const char *data, size_t length)
{
	/* A side that has closed hears no more. */
	if (length && send(to, data, length, MSG_NOSIGNAL) < 0)
		xt_note("the line: send: %s", strerror(errno));
}

static void cut(void)
{
	for (int i = 0; i < 2; i++)
		if (line.ends[i] >= 0)
			shutdown(line.ends[i], SHUT_RDWR);
}

/* Does the fault to byte @at of a piece. */
static void spoil(int to, char *data, size_t length, size_t at)
{
	switch (line.fault) {
	case XT_NO_FAULT:
		break;
	case XT_ALTER:
		data[at] ^= 1;
		forward(to, data, length);
		break;
	case XT_DROP:
		forward(to, data, at);
		forward(to, data + at + 1, length - at - 1);
		break;
	case XT_REPEAT:
		forward(to, data, at + 1);
		forward(to, data + at, length - at);
		break;
	case XT_CUT:
		forward(to, data, at);
		cut();
		break;
	case XT_DROP_ALL:
		break;
	case XT_REPEAT_ALL:
		forward(to, data, length);
		forward(to, data, length);
		break;
	case XT_EXCHANGE_ALL:
		memcpy(line.held, data, length);
		line.holding = length;
		return;
	}
	line.fault = XT_NO_FAULT;
}

/* What is held back goes behind the next piece of its direction. */
static void pass_piece(int from, char *data, size_t length)
{
	int to = line.ends[!from];
	size_t at = line.passed[from];

	line.passed[from] += length;
	line.pieces++;
	if (line.needle &&
	    memmem(data, length, &line.needle, sizeof(line.needle)))
		line.found = true;
	if (line.holding && from == line.from) {
		forward(to, data, length);
		forward(to, line.held, line.holding);
		line.holding = 0;
		line.fault = XT_NO_FAULT;
	} else if (line.fault && !line.fresh && !line.holding &&
		   from == line.from && line.at >= at &&
		   line.at < at + length) {
		spoil(to, data, length, line.at - at);
	} else {
		forward(to, data, length);
	}
}

static void hang_up(void)
{
	for (int i = 0; i < 2; i++) {
		close(line.ends[i]);
		line.ends[i] = -1;
	}
	line.holding = 0;
}

static void take_call(void)
{
	line.ends[0] = accept4(line.door, NULL, NULL, SOCK_CLOEXEC);
	line.ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(line.ends[1], (struct sockaddr *)&line.to, sizeof(line.to)))
		hang_up();
	line.passed[0] = line.passed[1] = 0;
	line.fresh = false;
}

/* One connection at a time: the next one waits until this has ended. */
static void *run_line(void *arg)
{
	static char data[65536];

	for (;;) {
		struct pollfd fds[3] = {
			{ line.ends[0], POLLIN, 0 },
			{ line.ends[1], POLLIN, 0 },
			{ line.ends[0] < 0 ? line.door : -1, POLLIN, 0 },
		};

		if (poll(fds, 3, -1) < 0)
			continue;
		pthread_mutex_lock(&line.lock);
		if (fds[2].revents)
			take_call();
		for (int i = 0; i < 2; i++) {
			ssize_t n = 1;

			if (line.ends[i] < 0 || !fds[i].revents)
				continue;
			n = recv(line.ends[i], data, sizeof(data), 0);
			if (n > 0)
				pass_piece(i, data, n);
			else
				hang_up();
		}
		pthread_cond_broadcast(&line.changed);
		pthread_mutex_unlock(&line.lock);
	}
	return arg;
}

uint16_t xt_line_open(const char *address, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);
	pthread_t thread;

	line.to.sin_family = AF_INET;
	line.to.sin_port = htons(port);
	inet_pton(AF_INET, address, &line.to.sin_addr);
	line.door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	xt_need(!bind(line.door, (struct sockaddr *)&at, sizeof(at)) &&
			!listen(line.door, 4) &&
			!getsockname(line.door, (struct sockaddr *)&at,
				     &length),
		"listen");
	xt_need(!pthread_create(&thread, NULL, run_line, NULL), "a thread");
	return ntohs(at.sin_port);
}

void xt_line_fault(enum xt_fault fault, int from, size_t at, bool fresh)
{
	pthread_mutex_lock(&line.lock);
	line.from = from;
	line.at = at + (fresh ? 0 : line.passed[from]);
	line.fresh = fresh;
	line.fault = fault;
	pthread_mutex_unlock(&line.lock);
}

bool xt_line_done(void)
{
	bool done;

	pthread_mutex_lock(&line.lock);
	done = !line.fault;
	pthread_mutex_unlock(&line.lock);
	return done;
}

void xt_line_cut(void)
{
	pthread_mutex_lock(&line.lock);
	cut();
	pthread_mutex_unlock(&line.lock);
}

bool xt_line_shows(uint64_t number)
{
	unsigned long end;
	bool found;

	pthread_mutex_lock(&line.lock);
	line.found = false;
	line.needle = number;
	end = line.pieces + LOOK;
	while (line.pieces < end)
		pthread_cond_wait(&line.changed, &line.lock);
	line.needle = 0;
	found = line.found;
	pthread_mutex_unlock(&line.lock);
	return found;
}
