// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: the other side, a process that exports or imports as it is told
 * over a socket, one request after the other, and sleeps in between.
 */
#include "flow.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2 * MIB)

enum verb { EXPORT, WITHDRAW, TOUCH, SUM, ATTACH, DETACH, LISTEN, PLAY };

struct request {
	enum verb verb;
	int fd; /* a descriptor that was open when the peer was started */
	struct exported what;
	struct game game;
};

struct answer {
	uint64_t sum;
	uint16_t port;
	struct exported what;
};

/* What the peer itself has. */
static struct exported mine;
static void *memory, *reserved;
static size_t reserved_size;
static void *attached;
static xpmem_apid_t apid;
static struct flow flow;
static int door; /* where the importer connects, for messages by TCP */

static void map_anonymous(enum kind kind, size_t size)
{
	int extra = kind == RESERVED ? MAP_NORESERVE : 0;

	reserved_size = size + HUGE;
	reserved = mmap(NULL, reserved_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | extra, -1, 0);
	need(reserved != MAP_FAILED, "mmap of %zu bytes: %s", size,
	     strerror(errno));
	memory = (void *)(((uintptr_t)reserved + HUGE - 1) & ~(HUGE - 1));
	/* Without THP in the kernel either fails, and huge_bytes() tells. */
	madvise(reserved, reserved_size,
		kind == HUGE_PAGES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void serve_export(const struct request *request)
{
	mine = request->what;
	if (mine.kind == SHARED_FILE) {
		reserved_size = mine.size;
		memory = reserved = map_file(request->fd, mine.size);
	} else {
		map_anonymous(mine.kind, mine.size);
	}
	if (mine.kind != RESERVED)
		fill(memory, mine.size);
	mine.at = (uintptr_t)memory;
	mine.huge = huge_bytes(memory);
	if (mine.kind == SHARED_FILE)
		return;
	mine.segid =
		xpmem_make(memory, mine.size, XPMEM_PERMIT_MODE, (void *)0600);
	need(mine.segid != -1, "xpmem_make: %s", strerror(errno));
}

static void serve_withdraw(void)
{
	if (mine.kind != SHARED_FILE)
		need(!xpmem_remove(mine.segid), "xpmem_remove: %s",
		     strerror(errno));
	unmap(reserved, reserved_size);
}

static void serve_attach(const struct exported *what)
{
	apid = permit(what);
	attached = attach(apid, 0, what->size);
	touch_write(attached, what->size);
}

static void serve_detach(void)
{
	detach(attached);
	need(!xpmem_release(apid), "xpmem_release: %s", strerror(errno));
}

/* Both boxes are there by now. */
static struct flow *my_flow(void)
{
	if (!flow.lanes[0].mine)
		flow_init(&flow, memory, attached, false);
	return &flow;
}

static void serve(const struct request *request, struct answer *answer)
{
	switch (request->verb) {
	case EXPORT:
		serve_export(request);
		break;
	case WITHDRAW:
		serve_withdraw();
		break;
	case TOUCH:
		touch_write(memory, mine.size);
		break;
	case SUM:
		answer->sum = touch_read(memory, mine.size);
		break;
	case ATTACH:
		serve_attach(&request->what);
		break;
	case DETACH:
		serve_detach();
		break;
	case LISTEN:
		answer->port = host_listen(&door);
		break;
	case PLAY:
		flow_prepare(my_flow(), &request->game);
		break;
	}
	answer->what = mine;
}

/* What the other side waits for the answer to begin with. */
static bool afterwards(const struct request *request)
{
	switch (request->verb) {
	case LISTEN:
		for (int i = 0; i < MOST_PAIRS; i++)
			my_flow()->lanes[i].fd = host_accept(door);
		return true;
	case PLAY:
		flow_play(&flow, &request->game);
		flow_verify(&flow, &request->game);
		return true;
	case EXPORT:
	case WITHDRAW:
	case TOUCH:
	case SUM:
	case ATTACH:
	case DETACH:
		break;
	}
	return false;
}

void peer_serve(int fd)
{
	struct request request;

	pin(other_cpu());
	while (receive_all(fd, &request, sizeof(request))) {
		struct answer answer = {};

		serve(&request, &answer);
		send_all(fd, &answer, sizeof(answer));
		if (afterwards(&request))
			send_all(fd, &answer, sizeof(answer));
	}
	_exit(0);
}

struct peer peer_start(void)
{
	struct peer peer;
	int ends[2];

	need(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends),
	     "socketpair: %s", strerror(errno));
	peer.pid = fork();
	need(peer.pid >= 0, "fork: %s", strerror(errno));
	if (!peer.pid) {
		close(ends[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer_serve(ends[1]);
	}
	close(ends[1]);
	peer.fd = ends[0];
	return peer;
}

void peer_end(struct peer *peer)
{
	int status;

	close(peer->fd);
	if (!peer->pid)
		return;
	need(waitpid(peer->pid, &status, 0) == peer->pid && !status,
	     "the other side ended with status %#x", status);
}

static void await_answer(struct peer *peer, struct answer *answer)
{
	need(receive_all(peer->fd, answer, sizeof(*answer)),
	     "the other side ended; it says why");
}

static struct answer ask(struct peer *peer, const struct request *request)
{
	struct answer answer;

	send_all(peer->fd, request, sizeof(*request));
	await_answer(peer, &answer);
	return answer;
}

static struct answer tell(struct peer *peer, enum verb verb)
{
	struct request request = { .verb = verb };

	return ask(peer, &request);
}

struct exported peer_export(struct peer *peer, enum kind kind, size_t size,
			    int fd)
{
	struct request request = {
		.verb = EXPORT,
		.fd = fd,
		.what = { .kind = kind, .size = size },
	};

	return ask(peer, &request).what;
}

void peer_withdraw(struct peer *peer)
{
	tell(peer, WITHDRAW);
}

void peer_touch(struct peer *peer)
{
	tell(peer, TOUCH);
}

uint64_t peer_sum(struct peer *peer)
{
	return tell(peer, SUM).sum;
}

void peer_attach(struct peer *peer, const struct exported *exported)
{
	struct request request = { .verb = ATTACH, .what = *exported };

	ask(peer, &request);
}

void peer_detach(struct peer *peer)
{
	tell(peer, DETACH);
}

void peer_connect(struct peer *peer, int *fds, int count)
{
	struct answer answer = tell(peer, LISTEN);

	for (int i = 0; i < count; i++)
		fds[i] = host_connect(answer.port);
	await_answer(peer, &answer);
}

uint64_t peer_play(struct peer *peer, struct flow *mine,
		   const struct game *game)
{
	struct request request = { .verb = PLAY, .game = *game };
	struct answer answer;
	uint64_t took;

	flow_prepare(mine, game);
	ask(peer, &request);
	took = flow_play(mine, game);
	await_answer(peer, &answer);
	flow_verify(mine, game);
	return took;
}
