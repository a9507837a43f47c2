// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: peers on another partition. `bench --serve` there waits for a
 * bench, whose first connection says that it lives; each further one is a peer
 * in a process of its own.
 */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7418
#define PATIENCE 60 /* seconds until the other side serves */

void send_all(int fd, const void *at, size_t size)
{
	const char *bytes = at;

	while (size) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		need(sent > 0 || errno == EINTR, "the other side is gone: %s",
		     strerror(errno));
		if (sent > 0) {
			bytes += sent;
			size -= sent;
		}
	}
}

bool receive_all(int fd, void *at, size_t size)
{
	char *bytes = at;

	while (size) {
		ssize_t got = recv(fd, bytes, size, MSG_WAITALL);

		if (!got || (got < 0 && errno != EINTR))
			return false;
		if (got > 0) {
			bytes += got;
			size -= got;
		}
	}
	return true;
}

static void no_delay(int fd)
{
	int on = 1;

	need(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
	     "TCP_NODELAY: %s", strerror(errno));
}

/* Both IP versions, at a given port or, 0, at one that is free. */
static int listen_at(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port) };
	struct sockaddr_in old = { .sin_family = AF_INET,
				   .sin_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	bool six = fd >= 0;

	if (!six)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(fd >= 0, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(!bind(fd, six ? (void *)&any : (void *)&old,
		   six ? sizeof(any) : sizeof(old)) &&
		     !listen(fd, 16),
	     "listen at port %u: %s", port, strerror(errno));
	return fd;
}

uint16_t host_listen(int *fd)
{
	struct sockaddr_in6 name; /* sin_port is at the same place */
	socklen_t size = sizeof(name);

	*fd = listen_at(0);
	need(!getsockname(*fd, (void *)&name, &size), "getsockname: %s",
	     strerror(errno));
	return ntohs(name.sin6_port);
}

static int try_connect(const struct addrinfo *to)
{
	int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC,
			to->ai_protocol);

	if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen)) {
		int why = errno;

		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

/* Nothing tells when the other partition starts to listen: hence the look. */
int host_connect(uint16_t port)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *to;
	uint64_t start = now();
	char service[8];
	int fd, why;

	snprintf(service, sizeof(service), "%u", port);
	why = getaddrinfo(options.host, service, &hints, &to);
	need(!why, "--host %s: %s", options.host, gai_strerror(why));
	while ((fd = try_connect(to)) < 0 && errno == ECONNREFUSED &&
	       now() - start < PATIENCE * 1000000000ULL)
		nanosleep(&moment, NULL);
	need(fd >= 0, "%s, port %s: %s (is bench --serve running there?)",
	     options.host, service, strerror(errno));
	freeaddrinfo(to);
	no_delay(fd);
	return fd;
}

int host_begin(void)
{
	return host_connect(PORT);
}

struct peer peer_start_there(void)
{
	return (struct peer){ .fd = host_connect(PORT) };
}

int host_accept(int door)
{
	int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);

	need(fd >= 0, "accept: %s", strerror(errno));
	no_delay(fd);
	return fd;
}

static void serve_one(int door)
{
	int fd = host_accept(door);
	pid_t pid = fork();

	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		close(door);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer_serve(fd);
	}
	close(fd);
}

/* The bench says nothing on its first connection; it is its end that counts. */
void host_serve(void)
{
	struct pollfd of[2] = { { .events = POLLIN }, { .events = POLLIN } };

	signal(SIGCHLD, SIG_IGN);
	of[0].fd = listen_at(PORT);
	of[1].fd = host_accept(of[0].fd);
	do {
		if (of[0].revents)
			serve_one(of[0].fd);
		if (poll(of, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
	} while (!of[1].revents);
}
