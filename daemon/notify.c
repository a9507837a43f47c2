// SPDX-License-Identifier: GPL-2.0-only
/* Tells the service manager, if there is one, how far we are. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"

/**
 * notify - tell the service manager something
 * @state: lines of its protocol, see sd_notify(3)
 *
 * Does nothing when the environment names no socket.
 */
void notify(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	socklen_t length;
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return;
	strcpy(addr.sun_path, path);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			     strlen(path));
	/* A name in the abstract namespace. */
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL,
			     (struct sockaddr *)&addr, length) < 0)
		log_warning("cannot notify %s: %m; see who set NOTIFY_SOCKET",
			    path);
	if (fd >= 0)
		close(fd);
}
