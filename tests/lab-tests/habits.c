// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Open MPI, UCX, MPICH and others rely on though nobody documents it: a
 * case for each habit, named after it. On one partition: the importers are
 * children of the exporter.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define FAILED ((void *)-1)

/* 1. They pass NULL, 0600 or 0666, whatever the segment's mode is. */
static void any_value(void *arg)
{
	static const unsigned long values[] = {
		0, 0600, 0666, 0777, 01777, ~0UL
	};
	const struct xt_export *ex = arg;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		xpmem_apid_t apid = xpmem_get(ex->segid, XPMEM_RDWR,
					      XPMEM_PERMIT_MODE,
					      (void *)values[i]);
		void *at;

		xt_need(apid > 0, "xpmem_get with the value %#lo", values[i]);
		at = xt_attach(apid, SIZE);
		xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1),
		      "the value %#lo permits as any other", values[i]);
		xt_ok(!xt_store(at + sizeof(uint64_t), 7), "and to store");
		xt_ok(!xpmem_release(apid), "xpmem_release");
	}
}

static void permit_value(void)
{
	struct xt_export ex = { .mem = xt_map(SIZE), .size = SIZE };

	xt_case("permit value of get is ignored");
	xt_fill(ex.mem, SIZE, XT_EVEN, 1);
	ex.segid = xt_export(ex.mem, SIZE, 0600);
	xt_ok(!xt_join(xt_spawn(any_value, &ex)), "the importer ends well");
	xt_export_end(&ex);
}

/* 2. They attach from the lowest to the highest address that they heard of. */
static void over_holes(struct xt_import *imp)
{
	char *hole = imp->at + SIZE / 2;

	xt_ok(!xt_wrong(imp->at, SIZE / 2, XT_EVEN, 1),
	      "what is before the hole is there");
	xt_ok(xt_load(hole, NULL) == SIGBUS, "a load in the hole is SIGBUS");
	xt_ok(xt_store(hole + xt_page - 8, 1) == SIGBUS,
	      "a store in the hole is SIGBUS");
	xt_ok(!xt_load(hole + xt_page, NULL), "what is after it is there");
	xt_ok(!xpmem_detach(hole), "detaching at the hole");
}

static void holes(void)
{
	struct xt_export ex;

	xt_case("attaching across holes succeeds");
	ex = xt_export_new(SIZE);
	munmap(ex.mem + SIZE / 2, xt_page);
	xt_import(over_holes, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* 3. Open MPI rounds up to 8 MiB, and down to a page when that fails. */
static void too_far(struct xt_import *imp)
{
	struct xpmem_addr addr = { .apid = imp->apid,
				   .offset = SIZE - xt_page };
	char *at;

	errno = 0;
	at = xpmem_attach(addr, 8 * XT_MIB, NULL);
	xt_ok(at == FAILED && errno == EINVAL, "8 MiB: -1 (%p, errno %d)", at,
	      errno);
	errno = 0;
	at = xpmem_attach(addr, xt_page + 1, NULL);
	xt_ok(at == FAILED && errno == EINVAL, "a byte: -1 (%p, errno %d)", at,
	      errno);
	at = xpmem_attach(addr, xt_page, NULL);
	xt_ok(at != FAILED && !memcmp(at, imp->at + SIZE - xt_page, xt_page),
	      "the smaller attachment is there");
	addr.offset = SIZE;
	xt_ok(xpmem_attach(addr, xt_page, NULL) == FAILED,
	      "at the limit: -1 (errno %d)", errno);
}

/* The same with a segment of everything, whose limit is the last address. */
static void too_far_up(void *arg)
{
	const struct xt_export *ex = arg;
	struct xpmem_addr addr = {
		.apid = xt_permit(ex->segid, XPMEM_RDWR),
		.offset = 1L << 47,
	};
	char *at;

	/* Processors with five levels of page tables have nine bits more. */
	if (xpmem_attach(addr, xt_page, NULL) != FAILED)
		addr.offset = 1L << 56;
	addr.offset -= 16 * xt_page;
	errno = 0;
	at = xpmem_attach(addr, 8 * XT_MIB, NULL);
	xt_ok(at == FAILED && errno == EINVAL,
	      "past the last address: -1 (%p, errno %d)", at, errno);
	at = xpmem_attach(addr, xt_page, NULL);
	xt_ok(at != FAILED && xt_load(at, NULL) == SIGBUS,
	      "up to it: an attachment of a hole");
	addr.offset = (uintptr_t)ex->mem & ~(8 * XT_MIB - 1);
	at = xpmem_attach(addr, 16 * XT_MIB, NULL);
	xt_ok(at != FAILED && !xt_wrong(at + ((uintptr_t)ex->mem - addr.offset),
					SIZE, XT_EVEN, 1),
	      "8 MiB around the exporter's bytes");
}

static void past_limit(void)
{
	struct xt_export ex, all;

	xt_case("attaching past the limit fails cleanly");
	ex = xt_export_new(SIZE);
	xt_import(too_far, ex.segid, SIZE, NULL);
	all = ex;
	all.segid = xpmem_make(NULL, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
			       (void *)0666);
	xt_need(all.segid > 0, "xpmem_make of everything");
	xt_ok(!xt_join(xt_spawn(too_far_up, &all)), "the importer ends well");
	xt_ok(!xpmem_remove(all.segid), "xpmem_remove");
	xt_export_end(&ex);
}

/* 4. No client invalidates its cache of attachments. */
static void looks_again(struct xt_import *imp)
{
	char step[16], seen[16];

	for (int i = 1; i <= 3; i++) {
		snprintf(step, sizeof(step), "mapped-%d", i);
		snprintf(seen, sizeof(seen), "seen-%d", i);
		xt_await(step);
		xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, i),
		      "the old attachment shows the pages of round %d", i);
		xt_fill(imp->at, SIZE, XT_ODD, 10 + i);
		xt_put(seen, "1");
	}
}

static void remapped(void)
{
	struct xt_export ex;
	char step[16], seen[16];
	pid_t child;

	xt_case("after unmap and remap an old attachment shows the new pages");
	ex = xt_export_new(SIZE);
	child = xt_import_start(looks_again, ex.segid, SIZE, NULL);
	for (int i = 1; i <= 3; i++) {
		/* The third time in one step, and shared memory. */
		if (i == 2)
			munmap(ex.mem, SIZE);
		if (i > 1)
			xt_need(mmap(ex.mem, SIZE, PROT_READ | PROT_WRITE,
				     MAP_ANONYMOUS | MAP_FIXED |
					     (i == 2 ? MAP_PRIVATE :
						       MAP_SHARED),
				     -1, 0) == ex.mem,
				"mmap at the same address");
		xt_fill(ex.mem, SIZE, XT_EVEN, i);
		snprintf(step, sizeof(step), "mapped-%d", i);
		snprintf(seen, sizeof(seen), "seen-%d", i);
		xt_put(step, "1");
		xt_await(seen);
		xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 10 + i),
		      "the exporter sees the stores of round %d", i);
	}
	xt_ok(!xt_join(child), "the importer ends well");
	xt_export_end(&ex);
}

/* 5. Registration caches detach what they find, or what is gone already. */
static void detaches(struct xt_import *imp)
{
	static const size_t inside[] = { 0,	  1, 4095, 4096, SIZE / 2 + 123,
					 SIZE - 1 };
	struct xpmem_addr addr = { .apid = imp->apid };

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		char *at = xt_attach(imp->apid, SIZE);

		xt_load(at, NULL);
		xt_ok(!xpmem_detach(at + inside[i]), "detach at byte %zu",
		      inside[i]);
		xt_ok(xt_load(at, NULL) == SIGSEGV &&
			      xt_load(at + SIZE - 8, NULL) == SIGSEGV,
		      "all of it is gone");
		xt_ok(!xpmem_detach(at + inside[i]), "again: 0");
	}
	/* The address that was returned, for an offset inside a page. */
	addr.offset = xt_page + 100;
	imp->arg = xpmem_attach(addr, xt_page, NULL);
	xt_ok(imp->arg != FAILED && !xpmem_detach(imp->arg),
	      "detach of the address that was returned");
	xt_ok(!xt_load(imp->at, NULL), "another attachment is still there");
	xt_ok(!xpmem_detach(imp->at) && !xpmem_detach(imp->at),
	      "twice is 0 twice");
	xt_ok(!xpmem_detach(NULL), "detach of NULL is 0");
}

static void detach(void)
{
	struct xt_export ex;

	xt_case("detach takes any address inside, 0 if nothing is mapped");
	ex = xt_export_new(SIZE);
	xt_import(detaches, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* 6. Release without detach; exit without release. */
static void releases(struct xt_import *imp)
{
	xpmem_apid_t other = xt_permit(imp->segid, XPMEM_RDWR);
	char *mine[4], *its[4];

	for (int i = 0; i < 4; i++) {
		mine[i] = xt_attach(imp->apid, SIZE);
		its[i] = xt_attach(other, SIZE);
		xt_load(mine[i], NULL);
		xt_load(its[i], NULL);
	}
	xt_ok(!xpmem_release(imp->apid), "release of one permit");
	imp->apid = 0;
	xt_ok(xt_load(imp->at, NULL) == SIGSEGV,
	      "its first attachment is gone");
	for (int i = 0; i < 4; i++) {
		xt_ok(xt_load(mine[i], NULL) == SIGSEGV, "and number %d", i);
		xt_ok(!xt_wrong(its[i], SIZE, XT_EVEN, 1),
		      "the other permit's number %d stays", i);
	}
}

static void exits(struct xt_import *imp)
{
	xt_load(xt_attach(imp->apid, SIZE), NULL);
	imp->apid = 0;
}

static void release(void)
{
	struct xt_export ex;

	xt_case("release detaches all, exit cleans up");
	ex = xt_export_new(SIZE);
	xt_import(releases, ex.segid, SIZE, NULL);
	xt_ok(xt_stat_is("permits", 0, 5000), "exit released the other permit");
	xt_ok(xt_stat_is("attachments", 0, 5000), "and detached the others");
	xt_import(exits, ex.segid, SIZE, NULL);
	xt_ok(xt_stat_is("permits", 0, 5000) &&
		      xt_stat_is("attachments", 0, 5000),
	      "so does exit without any call");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the exporter keeps all");
	xt_export_end(&ex);
}

/* 7. They print it. */
static void tells(long long result, int want, const char *what)
{
	int error = errno;

	xt_ok(result == -1 && error == want, "%s: %s (%lld, errno %d)", what,
	      strerrorname_np(want), result, error);
	errno = 0;
}

static void failing_calls(struct xt_import *imp)
{
	struct xpmem_addr none = { .apid = imp->apid ^ 1 };
	struct xpmem_addr negative = { .apid = imp->apid, .offset = -4096 };
	struct xpmem_addr good = { .apid = imp->apid };
	const int mode = XPMEM_PERMIT_MODE;
	void *plain = xt_map(xt_page);

	errno = 0;
	tells(xpmem_make(plain + 1, 4096, mode, NULL), EINVAL,
	      "make unaligned");
	tells(xpmem_make(plain, 0, mode, NULL), EINVAL, "make of nothing");
	tells(xpmem_make(plain, 4096, 9, NULL), EINVAL, "make of type 9");
	tells(xpmem_make(plain, 4096, mode, (void *)010000), EINVAL,
	      "make with a wrong mode");
	tells(xpmem_remove(-1), EINVAL, "remove of -1");
	tells(xpmem_remove(imp->segid), ENOENT, "remove of another's");
	tells(xpmem_get(-1, XPMEM_RDWR, mode, NULL), EINVAL, "get of -1");
	tells(xpmem_get(imp->segid ^ 1, XPMEM_RDWR, mode, NULL), ENOENT,
	      "get of none");
	tells(xpmem_get(imp->segid, 0, mode, NULL), EINVAL, "get of nothing");
	tells(xpmem_release(imp->apid ^ 1), ENOENT, "release of none");
	tells((intptr_t)xpmem_attach(none, 4096, NULL), ENOENT,
	      "attach without permit");
	tells((intptr_t)xpmem_attach(negative, 4096, NULL), EINVAL,
	      "attach before the start");
	tells((intptr_t)xpmem_attach(good, 0, NULL), EINVAL,
	      "attach of nothing");
	tells((intptr_t)xpmem_attach(good, SIZE + 1, NULL), EINVAL,
	      "attach of too much");
	tells(xpmem_detach(plain), EINVAL, "detach of something else");
	tells(xpmem_ioctl(_IO('x', 99), plain), ENOTTY, "no such ioctl");
}

/* A stranger: his mode does not allow it. */
static void stranger(void *arg)
{
	xpmem_segid_t segid = *(xpmem_segid_t *)arg;

	xt_need(!setgroups(0, NULL) && !setresgid(77, 77, 77) &&
			!setresuid(77, 77, 77),
		"become uid 77");
	errno = 0;
	tells(xpmem_get(segid, XPMEM_RDONLY, XPMEM_PERMIT_MODE, NULL), EACCES,
	      "get by a stranger");
}

/* The library has to open the device again in a child, and cannot. */
static void without_device(void *arg)
{
	xpmem_segid_t segid = *(xpmem_segid_t *)arg;

	xt_need(!unshare(CLONE_NEWNS) &&
			!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
			!mount("none", "/dev", "tmpfs", 0, NULL),
		"a /dev without the device");
	errno = 0;
	tells(xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL), ENOENT,
	      "get without a device");
	tells(xpmem_make(NULL, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE, NULL),
	      ENOENT, "make without a device");
}

static void nosy(void *arg)
{
	xt_need(!setresuid(77, 77, 77), "become uid 77");
	errno = 0;
	tells(xpmem_make(arg, 4096, XPMEM_PERMIT_MODE, NULL), EACCES,
	      "make where the device may not be opened");
}

/* A library that has not opened the device yet: its first call fails. */
static void meaningful_errno(void)
{
	struct xt_export ex;

	xt_case("errno is meaningful after every failure");
	ex = xt_export_new(SIZE);
	xt_import(failing_calls, ex.segid, SIZE, NULL);
	xt_ok(!xpmem_remove(ex.segid), "xpmem_remove");
	ex.segid = xt_export(ex.mem, SIZE, 0600);
	xt_ok(!xt_join(xt_spawn(stranger, &ex.segid)), "a stranger asked");
	xt_need(!chmod("/dev/xpmem", 0600), "chmod of the device");
	xt_ok(!xt_join(xt_spawn(nosy, ex.mem)), "an ordinary user tried");
	xt_need(!chmod("/dev/xpmem", 0666), "chmod of the device");
	xt_ok(!xt_join(xt_spawn(without_device, &ex.segid)), "a child tried");
	xt_export_end(&ex);
}

/* 8. Fork, with a library that holds the parent's descriptor. */
static int descriptor(void)
{
	char path[32], to[32];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, to, sizeof(to) - 1);
		if (len < 0)
			continue;
		to[len] = '\0';
		if (!strcmp(to, XPMEM_DEV_PATH))
			return fd;
	}
	xt_fail("the library's descriptor");
}

struct parent {
	struct xt_import *imp;
	int fd;
};

static void child_of_importer(void *arg)
{
	struct parent *parent = arg;
	struct xpmem_cmd_get get = { parent->imp->segid, XPMEM_RDWR,
				     XPMEM_PERMIT_MODE, 0, 0 };
	xpmem_apid_t apid;
	int ret;

	xt_ok(xt_load(parent->imp->at, NULL) == SIGSEGV,
	      "a child has no attachment");
	errno = 0;
	ret = ioctl(parent->fd, XPMEM_CMD_GET, &get);
	xt_ok(ret == -1 && errno == XPMEM_ERRNO_NOPROC && errno == 2004,
	      "the inherited descriptor fails with 2004 (%d, errno %d)", ret,
	      errno);
	xt_ok(xpmem_release(parent->imp->apid) == -1,
	      "a child has no permit (errno %d)", errno);
	apid = xt_permit(parent->imp->segid, XPMEM_RDWR);
	xt_ok(!xt_wrong(xt_attach(apid, SIZE), SIZE, XT_EVEN, 1),
	      "the library opens the device again, and attaches");
	xt_ok(fcntl(descriptor(), F_GETFD) == FD_CLOEXEC,
	      "the descriptor that it opened is close-on-exec");
	execl("/bin/sh", "sh", "-c", "! ls -l /proc/$$/fd | grep -q xpmem",
	      NULL);
	xt_fail("exec of a shell");
}

static void forks(struct xt_import *imp)
{
	struct parent parent = { imp, descriptor() };

	xt_ok(fcntl(parent.fd, F_GETFD) == FD_CLOEXEC,
	      "the first descriptor is close-on-exec");
	xt_ok(!xt_join(xt_spawn(child_of_importer, &parent)),
	      "a program that the child runs has no descriptor");
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the parent keeps all");
}

static void forking(void)
{
	struct xt_export ex;

	xt_case("a child has nothing, 2004 makes the library reopen");
	ex = xt_export_new(SIZE);
	xt_import(forks, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* 9. One container per rank, and --ipc=host. */
static void exports_as_first(void *arg)
{
	struct xt_export ex = xt_export_new(SIZE);

	(void)arg;
	xt_ok(getpid() == 1, "the exporter is process 1 of its namespace");
	xt_put("segid", "%#llx", (long long)ex.segid);
	xt_await("seen");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 2), "it sees the stores");
	xt_export_end(&ex);
}

static void in_new_namespace(void *arg)
{
	xt_need(!unshare(CLONE_NEWPID), "a new PID namespace");
	xt_ok(!xt_join(xt_spawn(exports_as_first, arg)), "its exporter ends");
}

static void sees(struct xt_import *imp)
{
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1),
	      "the importer sees the bytes of another PID namespace");
	xt_fill(imp->at, SIZE, XT_ODD, 2);
}

static void pid_namespaces(void)
{
	pid_t child;

	xt_case("segids are valid across PID namespaces");
	child = xt_spawn(in_new_namespace, NULL);
	xt_import(sees, xt_await_num("segid"), SIZE, NULL);
	xt_put("seen", "1");
	xt_ok(!xt_join(child), "the namespace ends well");
}

/* 10. The peers ignore it. */
static void reads_only(struct xt_import *imp)
{
	char line[256];

	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "loads are right");
	xt_ok(xt_store(imp->at, 0) == SIGSEGV, "a store is SIGSEGV");
	errno = 0;
	xt_ok(mprotect(imp->at, SIZE, PROT_READ | PROT_WRITE) == -1 &&
		      errno == EACCES,
	      "mprotect is refused (errno %d)", errno);
	xt_ok(xt_maps_line(imp->at, line, sizeof(line)) &&
		      strstr(line, " r--s "),
	      "/proc/self/maps: %s", line);
}

static void read_only(void)
{
	struct xt_export ex;

	xt_case("a read-only permit attaches read-only");
	ex = xt_export_new(SIZE);
	xt_import_only(reads_only, ex.segid, SIZE, NULL);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the bytes stay");
	xt_export_end(&ex);
}

/* 11. Ranks that finalize in any order. */
static void exporter(void *arg)
{
	(void)arg;
	xt_put("segid", "%#llx", (long long)xt_export_new(SIZE).segid);
	xt_await("killed meanwhile");
}

static void outlives(struct xt_import *imp)
{
	char *second = xt_attach(imp->apid, SIZE);
	char *third = xt_attach(imp->apid, SIZE);

	xt_load(second, NULL);
	xt_store(imp->at, 1);
	xt_put("touched", "1");
	xt_await("gone");
	xt_ok(!xpmem_detach(second), "detach of what was touched");
	xt_ok(!xpmem_detach(third), "detach of what was not");
	xt_ok(xt_load(imp->at, NULL) == SIGBUS, "a touch is SIGBUS");
	xt_ok(!munmap(imp->at, xt_page), "munmap of a part");
	xt_ok(!xpmem_release(imp->apid), "release of the rest");
	imp->apid = 0;
}

static void just_exits(struct xt_import *imp)
{
	xt_store(imp->at, 1);
	xt_put("touched-2", "1");
	xt_await("gone");
	imp->apid = 0;
}

static void after_the_end(void)
{
	xpmem_segid_t segid;
	pid_t child, first, second;

	xt_case("detach and release never fault");
	child = xt_spawn(exporter, NULL);
	segid = xt_await_num("segid");
	first = xt_import_start(outlives, segid, SIZE, NULL);
	second = xt_import_start(just_exits, segid, SIZE, NULL);
	xt_await("touched");
	xt_await("touched-2");
	xt_ok(xt_dies(child), "the exporter dies");
	xt_put("gone", "1");
	xt_ok(!xt_join(first), "who detaches and releases ends well");
	xt_ok(!xt_join(second), "so does who only exits");
}

int main(void)
{
	xt_start("habits");
	permit_value();
	holes();
	past_limit();
	remapped();
	detach();
	release();
	meaningful_errno();
	forking();
	pid_namespaces();
	read_only();
	after_the_end();
	xt_nothing_left("at the end");
	return xt_finish();
}
