// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket that xpmemctl talks to (see control.h).  The step after is
 * request.c.
 * Invariant: only root is answered, and every request gets exactly one "ok" or
 * "error".
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "control.h"
#include "fence.h"
#include "log.h"

#define CLIENTS_MAX 64

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

/**
 * client_say - append to the answer
 * @client: whose
 * @fmt:    as printf(3); whole lines
 *
 * What does not fit in memory is left out.
 */
void client_say(struct client *client, const char *fmt, ...)
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

/**
 * client_answer - end a request; the answer is sent from the loop
 * @client: whose
 * @reason: why it failed; NULL if it did not
 */
void client_answer(struct client *client, const char *reason)
{
	if (reason)
		client_say(client, "error\t%s\n", reason);
	else
		client_say(client, "ok\n");
	client->ended = true;
	client->wait = CLIENT_WAIT_NONE;
	loop_timer_cancel(&client->timer);
	loop_change(&client->source, EPOLLOUT);
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
		request_handle(client, client->request);
	} else if (client->got == sizeof(client->request)) {
		loop_change(&client->source, EPOLLRDHUP);
		client_answer(client,
			      "the request is too long; name fewer partitions");
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
 * @conf:   must outlive control_exit() or be replaced by control_reload()
 * @reload: reads the configuration again, and calls control_reload(); returns
 *          0, or -1 with the reason filled in (REASON_SIZE bytes)
 *
 * Return: 0, or -1 after logging why.
 */
int control_init(const struct config *conf, int (*reload)(char *reason))
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	request_init(conf, reload);
	strcpy(path, conf->control);
	strcpy(addr.sun_path, path);
	make_directory(path);
	if (remove_stale(&addr))
		return -1;
	source.ready = ready;
	source.fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (source.fd < 0) {
		log_error(
			"no socket for xpmemctl: %m; free memory or raise LimitNOFILE");
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
	request_reload(conf);
}

/**
 * control_peers_changed - a session came up or was lost: who waited for it?
 */
void control_peers_changed(void)
{
	struct client *client, *next;

	for (client = clients; client; client = next) {
		next = client->next;
		wait_check(client);
	}
}
