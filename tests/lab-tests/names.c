// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of segments: found from every partition by whoever may, and by nobody
 * else; gone with the exporter, however it ends; kept while xpmemd is away.
 * Arguments and numbers are in manynames.c, a partition that does not answer in
 * rawsession.c.
 */
#include "xt-name.h"
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SIZE (16 * 1024UL)
#define OWNER 1000
#define FRIEND 1001 /* in OWNER's group */
#define STRANGER 1002

static void become(uid_t uid, gid_t gid)
{
	xt_need(!setgroups(0, NULL) && !setresgid(gid, gid, gid) &&
			!setresuid(uid, uid, uid),
		"become uid %d gid %d", uid, gid);
}

/* --- from one end to the other */

static void everyone_finds(xpmem_segid_t segid)
{
	xt_name_finds("grid/2", segid);
	xt_name_finds("grid/2@1", segid);
	xt_name_finds("0:grid/2", segid);
	xt_name_finds("0:grid/2@1", segid);
	xt_name_looks_up("grid/2@2", ENOENT);
	xt_name_looks_up("1000:grid/2", ENOENT);
	xt_name_looks_up("grid", ENOENT);
	xt_name_looks_up("Grid/2", ENOENT);
	xt_name_looks_up("grid/22", ENOENT);
	xt_name_looks_up("grid/2@77", EHOSTUNREACH);
}

static void importer(void)
{
	xpmem_apid_t apid =
		xt_permit(xt_name_looks_up("grid/2", 0), XPMEM_RDWR);
	char *at = xt_attach(apid, SIZE);

	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_fill(at, SIZE, XT_ODD, 2);
	xt_put("stored", "1");
	xt_await("unpublished");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "without the name, too");
	xt_ok(!xpmem_detach(at) && !xpmem_release(apid), "detach, release");
}

static void lists(const char *what, bool there)
{
	char command[256];

	snprintf(
		command, sizeof(command),
		"xpmemctl names | grep -q '^%s ' && xpmemctl --json names | grep -q '\"name\": \"%s\"'",
		what, what);
	xt_ok(!system(command) == there, "xpmemctl names: %s is%s there", what,
	      there ? "" : " not");
}

static void whole_life(void)
{
	xpmem_segid_t segid;
	char *mem = NULL;

	xt_case("whole life");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		segid = xt_export(mem, SIZE, 0600);
		xt_name_looks_up("grid/2", ENOENT);
		xt_name_publishes("grid/2", segid, 0);
		xt_ok(xt_stat("names") == 1, "it is counted");
		lists("grid/2", true);
		xt_put("segid", "%#llx", (long long)segid);
	}
	segid = xt_await_num("segid");
	everyone_finds(segid);
	xt_barrier("found");
	if (xt_me == XT_HOME) {
		xt_await("stored");
		xt_ok(!xt_wrong(mem, SIZE, XT_ODD, 2), "p1 sees p2's bytes");
		xt_ok(!xpmem_unpublish("grid/2"), "xpmem_unpublish");
		xt_ok(xpmem_unpublish("grid/2") == -1 && errno == ENOENT,
		      "twice is ENOENT (errno %d)", errno);
		lists("grid/2", false);
		xt_put("unpublished", "1");
	} else if (xt_me == 2) {
		importer();
	}
	xt_await("unpublished");
	xt_name_looks_up("grid/2", ENOENT);
	xt_barrier("not-found");
	if (xt_me == XT_HOME) {
		xt_name_publishes("another", segid, 0);
		xt_put("again", "1");
	}
	xt_await("again");
	xt_name_finds("another", segid);
	xt_barrier("found-again");
	if (xt_me == XT_HOME) {
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	}
	xt_barrier("removed");
	xt_name_looks_up("another", ENOENT);
	xt_ok(xt_stat("lookups") > 0, "lookups are counted");
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- who may, and whose is meant */

struct user {
	uid_t uid;
	gid_t gid;
	void (*fn)(void);
};

static void user_child(void *arg)
{
	const struct user *user = arg;

	become(user->uid, user->gid);
	user->fn();
}

static void as_user(uid_t uid, gid_t gid, void (*fn)(void))
{
	struct user user = { uid, gid, fn };

	xt_ok(!xt_join(xt_spawn(user_child, &user)), "user %d ends well", uid);
}

/* Publishes as this user, until all have looked. */
struct exporter {
	const char *name;
	uid_t uid, gid;
	long mode;
	const char *key; /* the segid is put there */
};

static void exporting_child(void *arg)
{
	const struct exporter *e = arg;
	xpmem_segid_t segid;

	become(e->uid, e->gid);
	segid = xt_export(xt_map(SIZE), SIZE, e->mode);
	xt_name_publishes(e->name, segid, 0);
	if (!strcmp(e->name, "same"))
		xt_name_publishes(e->name, xt_export(xt_map(SIZE), SIZE, 0644),
				  EEXIST);
	xt_put(e->key, "%#llx", (long long)segid);
	for (int id = 1; id <= xt_nodes; id++) {
		char key[32];

		snprintf(key, sizeof(key), "looked-%d", id);
		xt_await(key);
	}
}

static void all_looked(void)
{
	char key[32];

	snprintf(key, sizeof(key), "looked-%d", xt_me);
	xt_put(key, "1");
}

static void may(void)
{
	xt_name_finds("private", xt_await_num("private"));
	xt_name_finds("1000:private@1", xt_await_num("private"));
}

static void may_not(void)
{
	xt_name_looks_up("private", EACCES);
	xt_name_looks_up("1000:private@1", EACCES);
	xt_name_looks_up("1002:private", ENOENT);
	xt_name_looks_up("secret", EACCES);
}

static void who_may(void)
{
	struct exporter private = { "private", OWNER, OWNER, 0640, "private" };
	struct exporter secret = { "secret", OWNER, OWNER, 0222, "secret" };
	pid_t one = 0, two = 0;

	xt_case("who may");
	if (xt_me == XT_HOME) {
		one = xt_spawn(exporting_child, &private);
		two = xt_spawn(exporting_child, &secret);
	}
	xt_await("private");
	xt_await("secret");
	as_user(OWNER, OWNER, may);
	as_user(FRIEND, OWNER, may);
	as_user(STRANGER, STRANGER, may_not);
	may();
	all_looked();
	if (xt_me == XT_HOME)
		xt_ok(!xt_join(one) && !xt_join(two), "they end well");
	xt_barrier("done");
	xt_name_looks_up("private", ENOENT);
	xt_nothing_left("at the end");
}

static const struct exporter same[] = {
	/* On p1: */
	{ "same", OWNER, OWNER, 0644, "owner-1" },
	{ "same", STRANGER, STRANGER, 0644, "stranger-1" },
	{ "same", 0, 0, 0644, "root-1" },
	/* And on p2: */
	{ "same", OWNER, OWNER, 0644, "owner-2" },
	{ "same", FRIEND, OWNER, 0600, "friend-2" },
};

static void owner_looks(void)
{
	xt_name_finds("same", xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
	xt_name_finds("1000:same",
		      xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
	xt_name_finds("same@1", xt_await_num("owner-1"));
	xt_name_finds("same@2", xt_await_num("owner-2"));
	xt_name_finds("1002:same", xt_await_num("stranger-1"));
	xt_name_looks_up("1002:same@2", ENOENT);
	xt_name_looks_up("1001:same", EACCES);
}

static void stranger_looks(void)
{
	xt_name_finds("same", xt_await_num("stranger-1"));
	xt_name_finds("same@2", xt_await_num("owner-2"));
	xt_name_finds("0:same", xt_await_num("root-1"));
}

static void friend_looks(void)
{
	xt_name_finds("same", xt_await_num("friend-2"));
	xt_name_finds("same@1", xt_await_num("root-1"));
}

static void nobody_looks(void)
{
	xt_name_finds("same", xt_await_num("root-1"));
	xt_name_finds("same@2", xt_await_num("owner-2"));
	xt_name_finds("1000:same",
		      xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
}

static void several(void)
{
	const size_t count = sizeof(same) / sizeof(same[0]);
	pid_t child[5] = { 0 };

	xt_case("one name, several segments");
	for (size_t i = 0; i < count; i++)
		if (xt_me == (i < 3 ? XT_HOME : 2))
			child[i] = xt_spawn(exporting_child, (void *)&same[i]);
	for (size_t i = 0; i < count; i++)
		xt_await(same[i].key);
	as_user(OWNER, OWNER, owner_looks);
	as_user(STRANGER, STRANGER, stranger_looks);
	as_user(FRIEND, FRIEND, friend_looks);
	as_user(65534, 65534, nobody_looks);
	all_looked();
	for (size_t i = 0; i < count; i++)
		xt_ok(!child[i] || !xt_join(child[i]), "%s ends well",
		      same[i].key);
	xt_barrier("done");
	xt_name_looks_up("same", ENOENT);
	xt_nothing_left("at the end");
}

/* --- ways to end */

static void ends_by_exit(void *arg)
{
	xt_name_publishes("mortal", xt_export(xt_map(SIZE), SIZE, 0666), 0);
	xt_put(arg, "1");
	xt_await("over");
}

static void ends_by_exec(void *arg)
{
	ends_by_exit(arg);
	/* Lives until p1 has looked; has nothing of its own. */
	execlp("cat", "cat", NULL);
	xt_need(false, "exec cat");
}

/* It leaves a child that has its descriptor of the device. */
static void lingers(void *arg)
{
	prctl(PR_SET_PDEATHSIG, 0);
	xt_put("lingering", "1");
	xt_await(arg);
}

static void ends_with_child(void *arg)
{
	ends_by_exit(arg);
	xt_spawn(lingers, "looked");
	xt_await("lingering");
}

static void gone(const char *how, const char *name)
{
	xt_put("gone", "1");
	xt_name_looks_up(name, ENOENT);
	xt_barrier(how);
}

static void exits(void)
{
	pid_t child = 0;

	xt_case("exit");
	if (xt_me == XT_HOME)
		child = xt_spawn(ends_by_exit, "published");
	xt_await("published");
	xt_name_looks_up("mortal", 0);
	xt_barrier("found");
	xt_put("over", "1");
	if (xt_me == XT_HOME) {
		xt_ok(!xt_join(child), "it exits");
		xt_put("gone", "1");
	}
	xt_await("gone");
	gone("not-found", "mortal");
	xt_nothing_left("after exit");
}

static void is_killed(void)
{
	pid_t child = 0;

	xt_case("kill");
	if (xt_me == XT_HOME)
		child = xt_spawn(ends_by_exit, "published");
	xt_await("published");
	xt_name_looks_up("mortal", 0);
	xt_barrier("found");
	if (xt_me == XT_HOME) {
		xt_kill(child);
		xt_put("gone", "1");
	}
	xt_await("gone");
	gone("not-found", "mortal");
	xt_nothing_left("after a kill");
}

static void execs(void)
{
	int in[2], told[2];
	pid_t child = 0;
	char c;

	xt_case("exec");
	if (xt_me == XT_HOME) {
		xt_need(!pipe(in) && !pipe2(told, O_CLOEXEC), "pipes");
		dup2(in[0], 0);
		fcntl(in[1], F_SETFD, FD_CLOEXEC);
		child = xt_spawn(ends_by_exec, "published");
		close(told[1]);
		xt_await("published");
		xt_name_looks_up("mortal", 0);
		xt_put("over", "1");
		/* Its end of the pipe is closed by exec, and not before. */
		xt_ok(read(told[0], &c, 1) == 0, "it has another program");
		xt_put("gone", "1");
	}
	xt_await("gone");
	gone("not-found", "mortal");
	if (xt_me == XT_HOME) {
		xt_nothing_left("while the program runs");
		close(in[1]);
		close(told[0]);
		close(in[0]);
		xt_ok(!xt_join(child), "the program ends well");
	}
}

/* The name is free at once, although the descriptor is not closed. */
static void successor(void)
{
	pid_t child;
	xpmem_segid_t segid;

	xt_case("exit, with a child that keeps the descriptor");
	if (xt_me == XT_HOME) {
		child = xt_spawn(ends_with_child, "published");
		xt_await("published");
		xt_put("over", "1");
		xt_ok(!xt_join(child), "it exits");
		xt_name_looks_up("mortal", ENOENT);
		segid = xt_export(xt_map(SIZE), SIZE, 0666);
		xt_name_publishes("mortal", segid, 0);
		xt_put("segid", "%#llx", (long long)segid);
	}
	segid = xt_await_num("segid");
	xt_name_finds("mortal", segid);
	xt_barrier("found");
	if (xt_me == XT_HOME) {
		xt_put("looked", "1");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- xpmemd is away, and comes back */

/* Each partition's segment is called after it. */
static void finds_all(void)
{
	char name[32];

	for (int id = 1; id <= xt_nodes; id++) {
		snprintf(name, sizeof(name), "node-%d", id);
		xt_name_finds(name, xt_await_num(name));
	}
}

static void restart(void)
{
	xpmem_segid_t segid;
	char name[32];

	xt_case("restart of xpmemd");
	snprintf(name, sizeof(name), "node-%d", xt_me);
	segid = xt_export(xt_map(SIZE), SIZE, 0666);
	xt_name_publishes(name, segid, 0);
	xt_put(name, "%#llx", (long long)segid);
	xt_barrier("published");
	xt_ok(!system("pid=$(pidof xpmemd) && kill $pid && tail --pid=$pid -s 0.05 -f /dev/null"),
	      "xpmemd ends");
	xt_barrier("ended");
	finds_all();
	lists(name, true);
	/* It belongs to the lab, not to this test. */
	xt_ok(!system("xpmemd && pidof xpmemd >/sys/fs/cgroup/lab/cgroup.procs && xpmemctl --timeout 60 wait-up"),
	      "it starts again, and the sessions are up");
	xt_barrier("started");
	finds_all();
	xt_barrier("found");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	xt_barrier("done");
	xt_nothing_left("at the end");
}

int main(void)
{
	xt_start("names");
	whole_life();
	who_may();
	several();
	exits();
	is_killed();
	execs();
	successor();
	restart();
	return xt_finish();
}
