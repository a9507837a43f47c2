// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls as a libxpmem from elsewhere calls them: inside a container, or
 * linked statically into a program. Numbers and structures are written out
 * here, so that a change of include/xpmem.h that breaks them shows.
 *
 * usage: raw-ioctl
 *        raw-ioctl after-exec FD SEGID APID ADDRESS	by itself
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define NOPROC 2004

enum { VERSION = 0x7800, MAKE, REMOVE, GET, RELEASE, ATTACH, DETACH };

struct raw_make {
	uint64_t vaddr, size;
	int32_t permit_type, pad;
	uint64_t permit_value;
	int64_t segid;
};

struct raw_get {
	int64_t segid;
	int32_t flags, permit_type;
	uint64_t permit_value;
	int64_t apid;
};

struct raw_attach {
	int64_t apid, offset;
	uint64_t size, vaddr;
	int32_t fd, flags;
};

static const char *self;

/* Some libraries do not ask for close-on-exec. */
static int device(void)
{
	int fd = open("/dev/xpmem", O_RDWR);

	xt_need(fd >= 0, "open /dev/xpmem");
	return fd;
}

static int64_t raw_make(int fd, void *mem, size_t size)
{
	struct raw_make make = { (uintptr_t)mem, size, 1, 0, 0666, 0 };

	return ioctl(fd, MAKE, &make) ? -1 : make.segid;
}

static int64_t raw_get(int fd, int64_t segid)
{
	struct raw_get get = { segid, 2, 1, 0, 0 };

	return ioctl(fd, GET, &get) ? -1 : get.apid;
}

static char *raw_attach(int fd, int64_t apid, size_t size)
{
	/* The library passes its descriptor; nobody needs it. */
	struct raw_attach attach = { apid, 0, size, 0, fd, 0 };

	return ioctl(fd, ATTACH, &attach) ? NULL : (char *)attach.vaddr;
}

static int raw_id(int fd, unsigned int cmd, int64_t id)
{
	return ioctl(fd, cmd, &id);
}

static bool noproc(int result)
{
	return result == -1 && errno == NOPROC;
}

/* From the first call to the last. */
static void imports(void *arg)
{
	int64_t segid = *(int64_t *)arg, apid;
	int fd = device();
	char *at;

	xt_ok(ioctl(fd, VERSION, NULL) > 0, "VERSION");
	apid = raw_get(fd, segid);
	xt_ok(apid > 0, "GET");
	at = raw_attach(fd, apid, SIZE);
	xt_need(at != NULL, "ATTACH");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "it sees the bytes");
	xt_fill(at, SIZE, XT_ODD, 2);
	xt_ok(!raw_id(fd, DETACH, (uintptr_t)at), "DETACH");
	xt_ok(xt_load(at, NULL) == SIGSEGV, "then nothing is mapped");
	xt_ok(!raw_id(fd, RELEASE, apid), "RELEASE");
	xt_ok(raw_id(fd, RELEASE, apid) == -1, "RELEASE twice (errno %d)",
	      errno);
	close(fd);
}

static void whole_life(void)
{
	char *mem = xt_map(SIZE);
	int64_t segid;
	int fd;

	xt_case("whole life");
	fd = device();
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = raw_make(fd, mem, SIZE);
	xt_ok(segid > 0, "MAKE");
	xt_ok(!xt_join(xt_spawn(imports, &segid)), "the importer ends well");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "the exporter sees the stores");
	xt_ok(!raw_id(fd, REMOVE, segid), "REMOVE");
	xt_ok(raw_id(fd, REMOVE, segid) == -1, "REMOVE twice (errno %d)",
	      errno);
	xt_ok(raw_get(fd, segid) == -1 && errno == ENOENT,
	      "GET then: ENOENT (errno %d)", errno);
	close(fd);
	munmap(mem, SIZE);
}

struct handed {
	int fd;
	int64_t segid, apid;
	char *at;
	int sockets[2];
};

static void all_fail(const struct handed *h, const char *how)
{
	static char page[4096];
	struct raw_attach attach = { h->apid, 0, 4096, 0, 0, 0 };

	xt_ok(ioctl(h->fd, VERSION, NULL) > 0, "%s: VERSION works", how);
	xt_ok(noproc(raw_make(h->fd, page, 4096)), "%s: MAKE is 2004", how);
	xt_ok(noproc(raw_get(h->fd, h->segid)), "%s: GET is 2004", how);
	xt_ok(noproc(ioctl(h->fd, ATTACH, &attach)), "%s: ATTACH is 2004", how);
	xt_ok(noproc(raw_id(h->fd, DETACH, (uintptr_t)page)),
	      "%s: DETACH is 2004", how);
	xt_ok(noproc(raw_id(h->fd, RELEASE, h->apid)), "%s: RELEASE is 2004",
	      how);
	xt_ok(noproc(raw_id(h->fd, REMOVE, h->segid)), "%s: REMOVE is 2004",
	      how);
}

static void inherits(void *arg)
{
	struct handed *h = arg;

	all_fail(h, "after fork");
	xt_ok(xt_load(h->at, NULL) == SIGSEGV, "no attachment after fork");
	/* What such a library does then, and it closes nothing. */
	h->fd = device();
	xt_ok(raw_get(h->fd, h->segid) > 0, "another descriptor works");
}

static void receives(void *arg)
{
	struct handed *h = arg;
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = space,
			      .msg_controllen = sizeof(space) };

	close(h->fd);
	xt_need(recvmsg(h->sockets[1], &msg, 0) == 1 && CMSG_FIRSTHDR(&msg),
		"receive the descriptor");
	memcpy(&h->fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(h->fd));
	all_fail(h, "over a socket");
}

static void send_descriptor(const struct handed *h)
{
	char byte = 'x', space[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = space,
			      .msg_controllen = sizeof(space) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &h->fd, sizeof(int));
	xt_need(sendmsg(h->sockets[0], &msg, 0) == 1, "send the descriptor");
}

/* Another program, in the process that had all of it: no xt_start() here. */
static int after_exec(char **words)
{
	struct handed h = { .fd = atoi(words[0]),
			    .segid = strtoll(words[1], NULL, 0),
			    .apid = strtoll(words[2], NULL, 0) };
	struct raw_attach attach = { h.apid, 0, 4096, 0, 0, 0 };
	unsigned char there;
	void *at = (void *)strtoull(words[3], NULL, 0);
	int fd = open("/dev/xpmem", O_RDWR);

	if (!noproc(raw_make(h.fd, attach.apid ? &h : NULL, 4096)) ||
	    !noproc(ioctl(h.fd, ATTACH, &attach)) ||
	    !noproc(raw_id(h.fd, RELEASE, h.apid)))
		return 3;
	if (mincore(at, 4096, &there) != -1 || errno != ENOMEM)
		return 4;
	if (raw_get(fd, h.segid) != -1 || errno != ENOENT)
		return 5;
	if (raw_id(fd, RELEASE, h.apid) != -1)
		return 6;
	return 0;
}

static void everything(struct handed *h)
{
	void *mem = xt_map(SIZE);

	h->fd = device();
	xt_fill(mem, SIZE, XT_EVEN, 1);
	h->segid = raw_make(h->fd, mem, SIZE);
	h->apid = raw_get(h->fd, h->segid);
	h->at = raw_attach(h->fd, h->apid, SIZE);
	xt_need(h->at && !xt_wrong(h->at, SIZE, XT_EVEN, 1),
		"a process attaches its own segment");
}

static void execs(void *arg)
{
	char fd[16], segid[32], apid[32], at[32];
	struct handed *h = arg;

	everything(h);
	snprintf(fd, sizeof(fd), "%d", h->fd);
	snprintf(segid, sizeof(segid), "%lld", (long long)h->segid);
	snprintf(apid, sizeof(apid), "%lld", (long long)h->apid);
	snprintf(at, sizeof(at), "%p", h->at);
	execl(self, self, "after-exec", fd, segid, apid, at, NULL);
	xt_fail("exec of %s", self);
}

/* A descriptor is of one address space, however another one comes to it. */
static void other_hands(void)
{
	struct handed h = {};
	pid_t child;

	xt_case("a descriptor in other hands");
	everything(&h);
	xt_need(!socketpair(AF_UNIX, SOCK_STREAM, 0, h.sockets), "socketpair");
	xt_ok(!xt_join(xt_spawn(inherits, &h)), "a child tried");
	child = xt_spawn(receives, &h);
	send_descriptor(&h);
	xt_ok(!xt_join(child), "a stranger tried");
	xt_ok(!xt_wrong(h.at, SIZE, XT_EVEN, 1), "the owner keeps all");
	close(h.fd);
	close(h.sockets[0]);
	close(h.sockets[1]);
	xt_nothing_left("after close");
	xt_ok(xt_load(h.at, NULL) == SIGSEGV || xt_load(h.at, NULL) == SIGBUS,
	      "close takes the attachment away");
	xt_ok(!xt_join(xt_spawn(execs, &h)), "another program tried");
	xt_nothing_left("after exec");
}

/* Outlives the parent, and holds the parent's descriptor. */
static void lingers(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, 0);
	xt_put("lingering", "1");
	xt_await("looked");
}

static void leaves_a_child(void *arg)
{
	struct handed h;

	everything(&h);
	xt_put("segid", "%lld", (long long)h.segid);
	xt_spawn(lingers, arg);
	xt_await("lingering");
	xt_await("attached");
}

static void sees_the_end(void)
{
	int64_t segid, apid;
	pid_t child;
	char *at;
	int fd;

	xt_case("exit, with a child that keeps the descriptor");
	child = xt_spawn(leaves_a_child, NULL);
	segid = xt_await_num("segid");
	/* Not before: the children would have this one, too. */
	fd = device();
	apid = raw_get(fd, segid);
	at = raw_attach(fd, apid, SIZE);
	xt_ok(at && !xt_wrong(at, SIZE, XT_EVEN, 1), "it can be attached");
	xt_put("attached", "1");
	xt_ok(!xt_join(child), "the parent exits");
	xt_ok(xt_load(at, NULL) == SIGBUS, "its memory is gone");
	xt_ok(raw_get(fd, segid) == -1 && errno == ENOENT,
	      "so is its segment (errno %d)", errno);
	close(fd);
	xt_nothing_left("while the child lives");
	xt_put("looked", "1");
}

/* Two copies of the library in one process, each with its descriptor. */
static void two_descriptors(void)
{
	char *mem = xt_map(SIZE), *at;
	int64_t segid, apid;
	int one, two;

	xt_case("two descriptors of one process");
	one = device();
	two = device();
	xt_fill(mem, SIZE, XT_EVEN, 1);
	segid = raw_make(one, mem, SIZE);
	apid = raw_get(one, segid);
	at = raw_attach(two, apid, SIZE);
	xt_ok(at && !xt_wrong(at, SIZE, XT_EVEN, 1),
	      "ATTACH with the permit of the other");
	xt_ok(!raw_id(two, DETACH, (uintptr_t)at), "DETACH");
	xt_ok(!raw_id(two, RELEASE, apid), "RELEASE (errno %d)", errno);
	xt_ok(!raw_id(two, REMOVE, segid), "REMOVE (errno %d)", errno);
	close(one);
	close(two);
	munmap(mem, SIZE);
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "after-exec"))
		return after_exec(argv + 2);
	self = "/proc/self/exe";
	xt_start("raw-ioctl");
	whole_life();
	other_hands();
	sees_the_end();
	xt_nothing_left("when the child has ended");
	two_descriptors();
	xt_nothing_left("at the end");
	return xt_finish();
}
