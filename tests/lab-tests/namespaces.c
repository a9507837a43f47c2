// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers: exporter and importer in PID and user namespaces of their own. A
 * segid means the same everywhere; who may is decided by what users are
 * outside of every namespace.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define OWNER 1000
#define STRANGER 1001

/* --- PID namespaces */

struct inside {
	int flags;
	void (*fn)(void *arg);
	void *arg;
};

/* The first child is the first process of the new PID namespace. */
static void enter(void *arg)
{
	struct inside *in = arg;

	xt_need(!unshare(in->flags), "unshare(%#x)", in->flags);
	xt_ok(!xt_join(xt_spawn(in->fn, in->arg)), "the namespace ends well");
}

static void exports(void *arg)
{
	struct xt_export ex = xt_export_new(SIZE);

	xt_note("%s exporter is process %d", (char *)arg, getpid());
	xt_put("segid", "%lld", (long long)ex.segid);
	xt_await("stored");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 2), "the stores arrived");
	xt_export_end(&ex);
}

static void imports(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, SIZE);

	xt_note("%s importer is process %d", (char *)arg, getpid());
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the bytes are right");
	xt_fill(at, SIZE, XT_ODD, 2);
	xt_put("stored", "1");
	xt_ok(!xpmem_detach(at) && !xpmem_release(apid), "detach, release");
}

static void across(const char *name, int exporters, int importers)
{
	struct inside exporter = { exporters, exports, "the" };
	struct inside importer = { importers, imports, "the" };
	pid_t one, two;

	xt_case(name);
	one = exporters ? xt_spawn(enter, &exporter) : xt_spawn(exports, "the");
	two = importers ? xt_spawn(enter, &importer) : xt_spawn(imports, "the");
	xt_ok(!xt_join(one), "the exporter ends well");
	xt_ok(!xt_join(two), "the importer ends well");
}

/* The whole namespace dies with its first process. */
static void is_killed(void *arg)
{
	struct xt_export ex = xt_export_new(SIZE);

	(void)arg;
	xt_put("segid", "%lld", (long long)ex.segid);
	xt_await("killed meanwhile");
}

static void first_process(void *arg)
{
	xt_spawn(is_killed, arg);
	xt_await("attached");
}

static void container_ends(void)
{
	struct inside in = { CLONE_NEWPID, first_process, NULL };
	xpmem_apid_t apid;
	pid_t child;
	char *at;

	xt_case("a container with an exporter ends");
	child = xt_spawn(enter, &in);
	apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the bytes are right");
	xt_put("attached", "1");
	xt_ok(!xt_join(child), "it ends");
	xt_ok(xt_load(at, NULL) != 0, "then a touch is a signal");
	xt_ok(!xpmem_detach(at) && !xpmem_release(apid), "detach, release");
}

/* --- user namespaces */

static void become(uid_t id)
{
	xt_need(!setgroups(0, NULL) && !setresgid(id, id, id) &&
			!setresuid(id, id, id),
		"become user %d", id);
}

static void map_id(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	xt_need(fd >= 0 &&
			write(fd, text, strlen(text)) == (ssize_t)strlen(text),
		"write %s to %s", text, path);
	close(fd);
}

/* A namespace in which the caller, @outside, is @inside. */
static void call_oneself(uid_t inside, uid_t outside)
{
	char text[32];

	/* Who changed its user is not dumpable: its files in /proc are root's. */
	xt_need(!prctl(PR_SET_DUMPABLE, 1), "be dumpable");
	xt_need(!unshare(CLONE_NEWUSER), "a new user namespace");
	snprintf(text, sizeof(text), "%u %u 1", inside, outside);
	map_id("/proc/self/setgroups", "deny");
	map_id("/proc/self/uid_map", text);
	map_id("/proc/self/gid_map", text);
	xt_need(geteuid() == inside && getegid() == inside, "be user %u inside",
		inside);
}

struct who {
	const char *name;
	uid_t outside;
	int inside; /* -1: no namespace of its own */
	bool may;
};

static void asks(void *arg)
{
	const struct who *who = arg;
	xpmem_segid_t segid = xt_await_num("segid");
	xpmem_apid_t apid;
	char *at;

	if (who->outside)
		become(who->outside);
	if (who->inside >= 0)
		call_oneself(who->inside, who->outside);
	errno = 0;
	apid = xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	if (!who->may) {
		xt_ok(apid == -1 && errno == EACCES,
		      "%s: EACCES (%lld, errno %d)", who->name, (long long)apid,
		      errno);
		return;
	}
	xt_need(apid > 0, "%s: a permit", who->name);
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "%s: may, and sees the bytes",
	      who->name);
}

static void owner(void *arg)
{
	const int *inside = arg;
	struct xt_export ex = { .mem = xt_map(SIZE), .size = SIZE };

	become(OWNER);
	if (*inside >= 0)
		call_oneself(*inside, OWNER);
	xt_fill(ex.mem, SIZE, XT_EVEN, 1);
	ex.segid = xt_export(ex.mem, SIZE, 0600);
	xt_put("segid", "%lld", (long long)ex.segid);
	xt_await("asked");
	xt_export_end(&ex);
}

static void users(const char *name, int inside)
{
	static const struct who list[] = {
		{ "the owner", OWNER, -1, true },
		{ "the owner, root inside", OWNER, 0, true },
		{ "the owner, somebody else inside", OWNER, 5, true },
		{ "a stranger", STRANGER, -1, false },
		{ "a stranger, root inside", STRANGER, 0, false },
		{ "a stranger, the owner's number inside", STRANGER, OWNER,
		  false },
		{ "root", 0, -1, true },
	};
	pid_t child;

	xt_case(name);
	child = xt_spawn(owner, &inside);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		xt_ok(!xt_join(xt_spawn(asks, (void *)&list[i])), "%s asked",
		      list[i].name);
	xt_put("asked", "1");
	xt_ok(!xt_join(child), "the owner ends well");
}

/* Root inside of a namespace has no rights outside of it. */
static void root_inside(void *arg)
{
	xpmem_segid_t segid = *(xpmem_segid_t *)arg;

	become(STRANGER);
	call_oneself(0, STRANGER);
	errno = 0;
	xt_ok(xpmem_get(segid, XPMEM_RDONLY, XPMEM_PERMIT_MODE, NULL) == -1 &&
		      errno == EACCES,
	      "root of a namespace is refused the real root's (errno %d)",
	      errno);
}

static void real_root(void)
{
	struct xt_export ex = { .mem = xt_map(SIZE), .size = SIZE };

	xt_case("segment of the real root");
	ex.segid = xt_export(ex.mem, SIZE, 0600);
	xt_ok(!xt_join(xt_spawn(root_inside, &ex.segid)), "it was tried");
	xt_export_end(&ex);
}

static bool has(const char *kind)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	if (!access(path, F_OK))
		return true;
	xt_skip(kind, "this kernel has no such namespaces");
	return false;
}

int main(void)
{
	xt_start("namespaces");
	if (has("pid")) {
		across("exporter in a PID namespace", CLONE_NEWPID, 0);
		across("importer in a PID namespace", 0, CLONE_NEWPID);
		across("each in a PID namespace", CLONE_NEWPID, CLONE_NEWPID);
		across("each in a PID and a mount namespace",
		       CLONE_NEWPID | CLONE_NEWNS, CLONE_NEWPID | CLONE_NEWNS);
		container_ends();
	}
	if (has("user")) {
		users("owner outside", -1);
		users("owner in a user namespace, as root", 0);
		users("owner in a user namespace, as a stranger", STRANGER);
		real_root();
	}
	xt_nothing_left("at the end");
	return xt_finish();
}
