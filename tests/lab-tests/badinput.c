// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl with arguments that are wrong: a named error, nothing left
 * behind. The numbers and structures are those of include/xpmem.h.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE (16 * 1024UL)
#define KERNEL 0xffff888000000000ULL
#define BEYOND 0xfffffffffff000ULL /* no process has this page, nor the next */

static int fd;
static char *mem; /* exported */
static char *unmapped; /* an address without a mapping */
static char *plain; /* mapped, and no attachment */
static xpmem_segid_t segid; /* of mem, on p1 */
static xpmem_apid_t apid; /* of this process */

/* -1 and this errno, else the check fails. */
static void wrong(unsigned long cmd, void *arg, int want, const char *what)
{
	int ret;

	errno = 0;
	ret = ioctl(fd, cmd, arg);
	xt_ok(ret == -1 && errno == want, "%s: %s (%d, errno %d)", what,
	      strerrorname_np(want), ret, errno);
}

static void bad_make(void)
{
	static const struct {
		const char *what;
		struct xpmem_cmd_make cmd;
	} cases[] = {
		{ "make: no size", { 0, 0, 1, 0600, 0 } },
		{ "make: address inside a page", { 8, 4096, 1, 0600, 0 } },
		{ "make: end beyond all addresses",
		  { -4096ULL, 8192, 1, 0600, 0 } },
		{ "make: size that overflows",
		  { 4096, SIZE_MAX - 4096, 1, 0600, 0 } },
		{ "make: address of the kernel", { KERNEL, 4096, 1, 0600, 0 } },
		{ "make: end beyond the process",
		  { BEYOND - 4096, 8192, 1, 0600, 0 } },
		{ "make: permit type 0", { 0, 4096, 0, 0600, 0 } },
		{ "make: permit type 2", { 0, 4096, 2, 0600, 0 } },
		{ "make: mode above 0777", { 0, 4096, 1, 01600, 0 } },
		{ "make: mode of 64 bits", { 0, 4096, 1, ~0ULL, 0 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xpmem_cmd_make cmd = cases[i].cmd;

		wrong(XPMEM_CMD_MAKE, &cmd, EINVAL, cases[i].what);
		xt_ok(cmd.segid == 0, "%s: writes nothing", cases[i].what);
	}
}

static void bad_get(void)
{
	const struct {
		const char *what;
		struct xpmem_cmd_get cmd;
		int want;
	} cases[] = {
		{ "get: segid 0", { 0, XPMEM_RDWR, 1, 0, 0 }, EINVAL },
		{ "get: segid -1", { -1, XPMEM_RDWR, 1, 0, 0 }, EINVAL },
		{ "get: smallest segid",
		  { INT64_MIN, XPMEM_RDWR, 1, 0, 0 },
		  EINVAL },
		{ "get: no flags", { segid, 0, 1, 0, 0 }, EINVAL },
		{ "get: both flags", { segid, 3, 1, 0, 0 }, EINVAL },
		{ "get: unknown flags",
		  { segid, 0x40 | XPMEM_RDWR, 1, 0, 0 },
		  EINVAL },
		{ "get: permit type 0", { segid, XPMEM_RDWR, 0, 0, 0 }, EINVAL },
		{ "get: nothing but a partition",
		  { 1LL << 48, XPMEM_RDWR, 1, 0, 0 },
		  ENOENT },
		{ "get: largest segid",
		  { INT64_MAX, XPMEM_RDWR, 1, 0, 0 },
		  EHOSTUNREACH },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xpmem_cmd_get cmd = cases[i].cmd;

		wrong(XPMEM_CMD_GET, &cmd, cases[i].want, cases[i].what);
		xt_ok(cmd.apid == 0, "%s: writes nothing", cases[i].what);
	}
}

static void bad_attach(void)
{
	const uint64_t taken = (uintptr_t)plain;
	const struct {
		const char *what;
		struct xpmem_cmd_attach cmd;
		int want;
	} cases[] = {
		{ "attach: apid 0", { 0, 0, 4096, 0, 0, 0 }, EINVAL },
		{ "attach: apid -1", { -1, 0, 4096, 0, 0, 0 }, EINVAL },
		{ "attach: unknown apid",
		  { apid + 12345, 0, 4096, 0, 0, 0 },
		  ENOENT },
		{ "attach: no size", { apid, 0, 0, 0, 0, 0 }, EINVAL },
		{ "attach: past the end",
		  { apid, 0, SIZE + 1, 0, 0, 0 },
		  EINVAL },
		{ "attach: starts at the end",
		  { apid, SIZE, 1, 0, 0, 0 },
		  EINVAL },
		{ "attach: negative offset",
		  { apid, -4096, 4096, 0, 0, 0 },
		  EINVAL },
		{ "attach: largest size",
		  { apid, 0, SIZE_MAX, 0, 0, 0 },
		  EINVAL },
		{ "attach: sum that overflows",
		  { apid, 4096, SIZE_MAX - 4095, 0, 0, 0 },
		  EINVAL },
		{ "attach: largest offset",
		  { apid, LONG_MAX, 4096, 0, 0, 0 },
		  EINVAL },
		{ "attach: wanted address inside a page",
		  { apid, 0, 4096, taken + 8, 0, 0 },
		  EINVAL },
		{ "attach: wanted address in use",
		  { apid, 0, 4096, taken, 0, 0 },
		  EINVAL },
		{ "attach: wanted address of the kernel",
		  { apid, 0, 4096, KERNEL, 0, 0 },
		  EINVAL },
		{ "attach: unknown flags",
		  { apid, 0, 4096, 0, 0, 0x40 },
		  EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xpmem_cmd_attach cmd = cases[i].cmd;

		wrong(XPMEM_CMD_ATTACH, &cmd, cases[i].want, cases[i].what);
		xt_ok(cmd.vaddr == cases[i].cmd.vaddr, "%s: writes nothing",
		      cases[i].what);
	}
	xt_ok(!memcmp(plain, "plain", 6), "what was mapped there stays");
}

static void bad_ends(void)
{
	static const struct {
		const char *what;
		long long id;
		int want;
	} cases[] = {
		{ "id 0", 0, EINVAL },
		{ "id -1", -1, EINVAL },
		{ "smallest id", INT64_MIN, EINVAL },
		{ "unknown id", 12345, ENOENT },
		{ "largest id", INT64_MAX, ENOENT },
	};
	struct xpmem_cmd_detach detach = { .vaddr = (uintptr_t)plain };
	char what[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xpmem_cmd_remove remove = { cases[i].id };
		struct xpmem_cmd_release release = { cases[i].id };

		snprintf(what, sizeof(what), "remove: %s", cases[i].what);
		wrong(XPMEM_CMD_REMOVE, &remove, cases[i].want, what);
		snprintf(what, sizeof(what), "release: %s", cases[i].what);
		wrong(XPMEM_CMD_RELEASE, &release, cases[i].want, what);
	}
	wrong(XPMEM_CMD_DETACH, &detach, EINVAL, "detach: no attachment");
	xt_ok(!memcmp(plain, "plain", 6), "what was mapped there stays");
	detach.vaddr = (uintptr_t)unmapped;
	xt_ok(!ioctl(fd, XPMEM_CMD_DETACH, &detach), "detach: no mapping is 0");
	detach.vaddr = KERNEL;
	xt_ok(!ioctl(fd, XPMEM_CMD_DETACH, &detach),
	      "detach: an address of the kernel is no mapping");
}

/* Where the structure should be, there is none. */
static void bad_pointers(void)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} cmds[] = {
		{ "make", XPMEM_CMD_MAKE },
		{ "remove", XPMEM_CMD_REMOVE },
		{ "get", XPMEM_CMD_GET },
		{ "release", XPMEM_CMD_RELEASE },
		{ "attach", XPMEM_CMD_ATTACH },
		{ "detach", XPMEM_CMD_DETACH },
		{ "publish", XPMEM_CMD_PUBLISH },
		{ "unpublish", XPMEM_CMD_UNPUBLISH },
		{ "lookup", XPMEM_CMD_LOOKUP },
	};
	const struct {
		const char *what;
		void *at;
	} places[] = {
		{ "null", NULL },
		{ "unmapped", unmapped },
		{ "of the kernel", (void *)KERNEL },
		{ "half unmapped", unmapped - 4 },
	};
	char what[64];

	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		for (size_t j = 0; j < sizeof(places) / sizeof(places[0]);
		     j++) {
			snprintf(what, sizeof(what), "%s: pointer %s",
				 cmds[i].name, places[j].what);
			wrong(cmds[i].cmd, places[j].at, EFAULT, what);
		}
	}
}

/* The arguments are right, the answer cannot be written: nothing may stay. */
static void unwritable(void)
{
	char *page = xt_map(xt_page);
	struct xpmem_cmd_make make = { (uintptr_t)plain, 4096, 1, 0600, 0 };
	struct xpmem_cmd_get get = { segid, XPMEM_RDWR, 1, 0, 0 };
	struct xpmem_cmd_attach attach = { apid, 0, 4096, 0, 0, 0 };
	struct xpmem_cmd_lookup lookup = { "badinput", XPMEM_ANYBODY, xt_me,
					   0 };
	xpmem_segid_t named = xt_export(plain, xt_page, 0600);
	long long segments = xt_stat("segments"), permits = xt_stat("permits");
	long long attachments = xt_stat("attachments");

	memcpy(page, &make, sizeof(make));
	memcpy(page + 512, &get, sizeof(get));
	memcpy(page + 1024, &attach, sizeof(attach));
	memcpy(page + 1536, &lookup, sizeof(lookup));
	xt_ok(!xpmem_publish("badinput", named), "a name to look up");
	mprotect(page, xt_page, PROT_READ);
	wrong(XPMEM_CMD_MAKE, page, EFAULT, "make: read-only structure");
	wrong(XPMEM_CMD_GET, page + 512, EFAULT, "get: read-only structure");
	wrong(XPMEM_CMD_ATTACH, page + 1024, EFAULT,
	      "attach: read-only structure");
	wrong(XPMEM_CMD_LOOKUP, page + 1536, EFAULT,
	      "lookup: read-only structure");
	xt_ok(xt_stat_is("segments", segments, 5000), "no segment is left");
	xt_ok(xt_stat_is("permits", permits, 5000), "no permit is left");
	xt_ok(xt_stat_is("attachments", attachments, 5000),
	      "no attachment is left");
	xt_ok(!xpmem_remove(named), "xpmem_remove");
	munmap(page, xt_page);
}

static void unknown_commands(void)
{
	char what[64];

	for (unsigned int nr = 7; nr < 12; nr++) {
		snprintf(what, sizeof(what), "ioctl %u", nr);
		wrong(_IO('x', nr), plain, ENOTTY, what);
	}
	wrong(_IO('x', 0x3f), plain, ENOTTY, "ioctl 0x3f");
	wrong(_IO('x', 0x43), plain, ENOTTY, "ioctl 0x43");
	wrong(_IO('x', 255), plain, ENOTTY, "ioctl 255");
	wrong(_IOWR('x', 1, struct xpmem_cmd_make), plain, ENOTTY,
	      "make with a size in its number");
	wrong(_IO('y', 1), plain, ENOTTY, "ioctl of another letter");
	wrong(0, plain, ENOTTY, "ioctl 0");
	errno = 0;
	xt_ok(mmap(NULL, xt_page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
		      errno,
	      "mmap of the device is refused (errno %d)", errno);
	errno = 0;
	xt_ok(read(fd, plain, 1) == -1 && errno, "so is read (errno %d)",
	      errno);
}

/* The descriptor of a parent is of another address space. */
static void inherited(void *arg)
{
	struct xpmem_cmd_make make = { (uintptr_t)plain, 4096, 1, 0600, 0 };
	struct xpmem_cmd_remove remove = { segid };
	struct xpmem_cmd_get get = { segid, XPMEM_RDWR, 1, 0, 0 };
	struct xpmem_cmd_release release = { apid };
	struct xpmem_cmd_attach attach = { apid, 0, 4096, 0, 0, 0 };
	const struct {
		const char *name;
		unsigned long cmd;
		void *arg;
	} cmds[] = {
		{ "make", XPMEM_CMD_MAKE, &make },
		{ "remove", XPMEM_CMD_REMOVE, &remove },
		{ "get", XPMEM_CMD_GET, &get },
		{ "release", XPMEM_CMD_RELEASE, &release },
		{ "attach", XPMEM_CMD_ATTACH, &attach },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		int ret;

		errno = 0;
		ret = ioctl(fd, cmds[i].cmd, cmds[i].arg);
		xt_ok(ret == -1 && errno == XPMEM_ERRNO_NOPROC,
		      "%s after fork: 2004 (%d, errno %d)", cmds[i].name, ret,
		      errno);
	}
	xt_ok(xpmem_make(plain, 4096, 1, (void *)0600) > 0,
	      "the library opens the device again");
}

/* Ids that were valid once, and those of another process. */
static void stale_child(void *arg)
{
	struct xpmem_cmd_remove remove = { segid };
	struct xpmem_cmd_release release = { apid };

	(void)arg;
	fd = open(XPMEM_DEV_PATH, O_RDWR | O_CLOEXEC);
	xt_need(fd >= 0, "open the device");
	wrong(XPMEM_CMD_REMOVE, &remove, ENOENT, "remove: of another process");
	wrong(XPMEM_CMD_RELEASE, &release, ENOENT,
	      "release: of another process");
}

static void stale(void)
{
	struct xpmem_cmd_make make = { (uintptr_t)plain, 4096, 1, 0600, 0 };
	struct xpmem_cmd_get get = { segid, XPMEM_RDWR, 1, 0, 0 };
	struct xpmem_cmd_remove remove;
	struct xpmem_cmd_release release;
	struct xpmem_cmd_attach attach = { .size = 4096 };

	xt_need(!ioctl(fd, XPMEM_CMD_MAKE, &make), "make");
	remove.segid = make.segid;
	xt_ok(!ioctl(fd, XPMEM_CMD_REMOVE, &remove), "remove");
	wrong(XPMEM_CMD_REMOVE, &remove, ENOENT, "remove: twice");
	xt_need(!ioctl(fd, XPMEM_CMD_GET, &get), "get");
	release.apid = get.apid;
	xt_ok(!ioctl(fd, XPMEM_CMD_RELEASE, &release), "release");
	wrong(XPMEM_CMD_RELEASE, &release, ENOENT, "release: twice");
	attach.apid = get.apid;
	wrong(XPMEM_CMD_ATTACH, &attach, ENOENT, "attach: released permit");
	xt_ok(!xt_join(xt_spawn(stale_child, NULL)), "another process tried");
}

static void prepare(void)
{
	struct xpmem_cmd_get get = { .flags = XPMEM_RDWR, .permit_type = 1 };
	struct xpmem_cmd_make make = { .size = SIZE,
				       .permit_type = 1,
				       .permit_value = 0666 };

	fd = open(XPMEM_DEV_PATH, O_RDWR | O_CLOEXEC);
	xt_need(fd >= 0, "open the device");
	xt_ok(ioctl(fd, XPMEM_CMD_VERSION, 0) == xpmem_version() &&
		      xpmem_version() > 0,
	      "version %#x", xpmem_version());
	plain = xt_map(xt_page * 2);
	strcpy(plain, "plain");
	unmapped = plain + xt_page;
	munmap(unmapped, xt_page);
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		make.vaddr = (uintptr_t)mem;
		xt_need(!ioctl(fd, XPMEM_CMD_MAKE, &make), "make");
		xt_put("segid", "%#llx", (long long)make.segid);
	}
	get.segid = segid = xt_await_num("segid");
	xt_need(!ioctl(fd, XPMEM_CMD_GET, &get), "get");
	apid = get.apid;
}

static void finish(void)
{
	struct xpmem_cmd_release release = { apid };
	struct xpmem_cmd_remove remove = { segid };

	xt_ok(!ioctl(fd, XPMEM_CMD_RELEASE, &release), "release at the end");
	if (xt_me == XT_HOME) {
		xt_barrier("released");
		xt_ok(!ioctl(fd, XPMEM_CMD_REMOVE, &remove),
		      "remove at the end");
	} else {
		xt_barrier("released");
	}
	close(fd);
}

/* All of it on each partition: segid is local to p1, remote to the others. */
int main(void)
{
	xt_start("badinput");
	xt_case("bad input");
	prepare();
	bad_make();
	bad_get();
	bad_attach();
	bad_ends();
	bad_pointers();
	unwritable();
	unknown_commands();
	stale();
	xt_ok(!xt_join(xt_spawn(inherited, NULL)), "a child tried");
	finish();
	xt_barrier("done");
	xt_nothing_left("at the end");
	return xt_finish();
}
