// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a libxpmem that was built elsewhere does to our module: the ioctls of
 * /dev/xpmem with numbers and layouts written down here anew, as binaries of
 * other builds have them. Includes nothing of this repository's xpmem and is
 * linked statically, so that it runs in an empty container. TAP.
 *
 * abi                  every call, also as libraries in use make it
 * abi export COMMAND   exports memory, runs COMMAND with the segment's name as
 *                      its last argument, and looks at what it left there
 * abi import SEGID     the other half: run by COMMAND, perhaps in a container
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"

/* The interface. The numbers carry no size: _IO('x', n), on every machine. */
enum {
	VERSION = 'x' << 8,
	MAKE,
	REMOVE,
	GET,
	RELEASE,
	ATTACH,
	DETACH,
	FORK_BEGIN, /* of old libraries; long without a meaning */
};

#define DEVICE "/dev/xpmem"
#define NOPROC 2004
#define RDONLY 1
#define RDWR 2
#define MODE 1

struct make {
	uint64_t vaddr;
	uint64_t size;
	int32_t permit_type;
	uint32_t hole;
	uint64_t permit_value;
	int64_t segid;
};

struct get {
	int64_t segid;
	int32_t flags;
	int32_t permit_type;
	uint64_t permit_value;
	int64_t apid;
};

struct attach {
	int64_t apid;
	int64_t offset;
	uint64_t size;
	uint64_t vaddr;
	int32_t fd;
	int32_t flags;
};

static int checks, failures;
static size_t page;

static bool ok(bool cond, const char *what)
{
	int error = errno;

	printf("%sok %d - abi: %s\n", cond ? "" : "not ", ++checks, what);
	if (!cond) {
		printf("# errno %d (%s)\n", error, strerror(error));
		failures++;
	}
	fflush(stdout);
	errno = 0;
	return cond;
}

static int plan(void)
{
	printf("1..%d\n", checks);
	return failures != 0;
}

static void die(const char *what)
{
	printf("Bail out! abi: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int device(void)
{
	int fd = open(DEVICE, O_RDWR);

	if (fd < 0)
		die(DEVICE);
	return fd;
}

static unsigned char *map(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	return mem;
}

static int64_t make(int fd, const void *mem, size_t size, unsigned int mode)
{
	/* what a library leaves uninitialised is whatever was on its stack */
	struct make args = {
		.vaddr = (uintptr_t)mem,
		.size = size,
		.permit_type = MODE,
		.hole = 0xdeadbeef,
		.permit_value = mode,
		.segid = 0x5555555555555555,
	};

	return ioctl(fd, MAKE, &args) ? -1 : args.segid;
}

static int64_t get(int fd, int64_t segid, int flags, uint64_t value)
{
	struct get args = {
		.segid = segid,
		.flags = flags,
		.permit_type = MODE,
		.permit_value = value,
		.apid = 0x5555555555555555,
	};

	return ioctl(fd, GET, &args) ? -1 : args.apid;
}

/* Hands over its own descriptor, as libraries in use do. */
static unsigned char *attach(int fd, int64_t apid, int64_t offset, size_t size)
{
	struct attach args = {
		.apid = apid,
		.offset = offset,
		.size = size,
		.fd = fd,
	};

	if (ioctl(fd, ATTACH, &args))
		return NULL;
	return (unsigned char *)(uintptr_t)args.vaddr;
}

static int with_id(int fd, int command, int64_t id)
{
	return ioctl(fd, command, &id);
}

static int detach(int fd, const void *at)
{
	return with_id(fd, DETACH, (intptr_t)at);
}

static bool fails(int result, int error)
{
	return result == -1 && errno == error;
}

/* A child: has nothing of its parent's, gets it all by itself. */
static void child(int inherited, int64_t segid, size_t size)
{
	unsigned char *at;
	int64_t apid;
	int fd;

	ok(fails(with_id(inherited, RELEASE, 1), NOPROC),
	   "an inherited descriptor is refused with errno 2004");
	fd = device();
	apid = get(fd, segid, RDWR, 0666);
	ok(apid > 0, "a permit, with a permit value that means nothing");
	at = attach(fd, apid, 0, size);
	ok(at, "an attachment");
	if (!at)
		return;
	ok(!bytes_wrong(at, size, 1), "every byte of the exporter is there");
	bytes_fill(at, size, 2);
	ok(!detach(fd, at + size / 2 + 1), "detached by an address inside");
	ok(!detach(fd, at), "detached again, where nothing is mapped");
	at = attach(fd, apid, page + 100, 1000);
	ok(at && (uintptr_t)at % page == 100, "an unaligned offset");
	ok(at && *at == bytes_at(2, page + 100), "it shows that byte");
	ok(!with_id(fd, RELEASE, apid), "released, with its attachment");
}

static void run_child(int fd, int64_t segid, size_t size)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		child(fd, segid, size);
		fflush(stdout);
		_exit(checks | (failures ? 128 : 0));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		die("the child was killed");
	checks = WEXITSTATUS(status) & 127;
	failures += WEXITSTATUS(status) >> 7;
}

static void whole_space(int fd)
{
	int64_t segid = make(fd, NULL, (size_t)-1, 0600);
	unsigned char *mine = map(2 * page), *at;
	int64_t apid;

	ok(segid > 0, "a segment of the whole address space");
	apid = get(fd, segid, RDWR, 0);
	bytes_fill(mine, page, 3);
	at = attach(fd, apid, (intptr_t)mine, page);
	ok(at && !bytes_wrong(at, page, 3), "its offsets are addresses");
	ok(!attach(fd, apid, 1L << 60, page) && errno == EINVAL,
	   "an attachment past its end: EINVAL");
	ok(!with_id(fd, REMOVE, segid), "removed under its attachment");
	ok(!detach(fd, at) && !with_id(fd, RELEASE, apid),
	   "detached and released after that");
}

static void errors(int fd)
{
	struct make none = { .size = page, .permit_type = 7 };

	ok(fails(ioctl(fd, MAKE, &none), EINVAL), "an unknown permit: EINVAL");
	ok(fails(ioctl(fd, MAKE, (void *)8), EFAULT), "a bad pointer: EFAULT");
	ok(fails(ioctl(fd, FORK_BEGIN, 0), ENOTTY), "an old ioctl: ENOTTY");
	ok(fails(with_id(fd, REMOVE, -1), EINVAL), "to remove -1: EINVAL");
	ok(fails(with_id(fd, RELEASE, -1), EINVAL), "to release -1: EINVAL");
	ok(fails(detach(fd, &none), EINVAL),
	   "to detach what is no attachment: EINVAL");
}

static int all_calls(void)
{
	size_t size = 64 * page;
	unsigned char *mem = map(size);
	int fd = device();
	int64_t segid;

	ok(ioctl(fd, VERSION, 0) > 0, "a version");
	bytes_fill(mem, size, 1);
	segid = make(fd, mem, size, 0600);
	ok(segid > 0, "a segment");
	run_child(fd, segid, size);
	ok(!bytes_wrong(mem, size, 2), "every byte of the importer is here");
	ok(!with_id(fd, REMOVE, segid), "the segment is removed");
	ok(fails(with_id(fd, REMOVE, segid), ENOENT), "and then gone: ENOENT");
	ok(get(fd, segid, RDONLY, 0) == -1 && errno == ENOENT,
	   "a permit for what is gone: ENOENT");
	whole_space(fd);
	errors(fd);
	return plan();
}

static int export(char **command)
{
	char segid[32], *argv[32];
	size_t size = 16 * page;
	unsigned char *mem = map(size);
	int fd = device(), count = 0, status;
	pid_t pid;

	bytes_fill(mem, size, 10);
	snprintf(segid, sizeof(segid), "%lld",
		 (long long)make(fd, mem, size, 0600));
	while (command[count] && count < 30)
		argv[count] = command[count], count++;
	argv[count++] = segid;
	argv[count] = NULL;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execvp(argv[0], argv);
		die(argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid || status) {
		printf("# the importer's wait status is %#x\n", status);
		return 1;
	}
	return bytes_wrong(mem, size, 11) != 0;
}

static int import(int64_t segid)
{
	size_t size = 16 * page;
	int fd = device();
	int64_t apid = get(fd, segid, RDWR, 0);
	unsigned char *at;

	if (apid < 0)
		die("get");
	at = attach(fd, apid, 0, size);
	if (!at)
		die("attach");
	if (bytes_wrong(at, size, 10))
		return 1;
	bytes_fill(at, size, 11);
	return detach(fd, at) || with_id(fd, RELEASE, apid);
}

int main(int argc, char **argv)
{
	page = sysconf(_SC_PAGESIZE);
	if (argc == 1)
		return all_calls();
	if (argc > 2 && !strcmp(argv[1], "export"))
		return export(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "import"))
		return import(strtoll(argv[2], NULL, 0));
	fprintf(stderr, "usage: abi [export COMMAND... | import SEGID]\n");
	return 2;
}
