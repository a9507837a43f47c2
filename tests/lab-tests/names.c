// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of segments: found from every partition by whoever may, and by nobody
 * else; gone with the exporter, however it ends; kept while xpmemd is away. What
 * a partition does that does not answer is in rawsession.c.
 */
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
#define PER_USER 4096 /* names that a user may have on a partition */

static void become(uid_t uid, gid_t gid)
{
	xt_need(!setgroups(0, NULL) && !setresgid(gid, gid, gid) &&
			!setresuid(uid, uid, uid),
		"become uid %d gid %d", uid, gid);
}

/* As much of it as one line of TAP can show. */
static const char *shown(const char *name)
{
	static char text[80];
	size_t i = 0;

	if (!name)
		return "(null)";
	for (; name[i] && i < sizeof(text) - 1; i++)
		text[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
	text[i] = '\0';
	return text;
}

/* A lookup that ends so: 0, or the errno it fails with. */
static xpmem_segid_t looks_up(const char *name, int want)
{
	xpmem_segid_t segid;

	errno = 0;
	segid = xpmem_lookup(name);
	xt_ok(want ? segid == -1 && errno == want : segid > 0,
	      "p%d, user %d: \"%s\": %s (%#llx, errno %d)", xt_me, geteuid(),
	      shown(name), want ? strerrorname_np(want) : "found",
	      (long long)segid, errno);
	return segid;
}

static void finds(const char *name, xpmem_segid_t want)
{
	xpmem_segid_t segid = looks_up(name, 0);

	xt_ok(segid == want, "it is the right one (%#llx)", (long long)want);
}

static void publishes(const char *name, xpmem_segid_t segid, int want)
{
	int ret;

	errno = 0;
	ret = xpmem_publish(name, segid);
	xt_ok(want ? ret == -1 && errno == want : !ret,
	      "p%d, user %d publishes \"%s\": %s (errno %d)", xt_me, geteuid(),
	      shown(name), want ? strerrorname_np(want) : "published", errno);
}

/* --- from one end to the other */

static void everyone_finds(xpmem_segid_t segid)
{
	finds("grid/2", segid);
	finds("grid/2@1", segid);
	finds("0:grid/2", segid);
	finds("0:grid/2@1", segid);
	looks_up("grid/2@2", ENOENT);
	looks_up("1000:grid/2", ENOENT);
	looks_up("grid", ENOENT);
	looks_up("Grid/2", ENOENT);
	looks_up("grid/22", ENOENT);
	looks_up("grid/2@77", EHOSTUNREACH);
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(looks_up("grid/2", 0), XPMEM_RDWR);
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
		looks_up("grid/2", ENOENT);
		publishes("grid/2", segid, 0);
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
	looks_up("grid/2", ENOENT);
	xt_barrier("not-found");
	if (xt_me == XT_HOME) {
		publishes("another", segid, 0);
		xt_put("again", "1");
	}
	xt_await("again");
	finds("another", segid);
	xt_barrier("found-again");
	if (xt_me == XT_HOME) {
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	}
	xt_barrier("removed");
	looks_up("another", ENOENT);
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
	publishes(e->name, segid, 0);
	if (!strcmp(e->name, "same"))
		publishes(e->name, xt_export(xt_map(SIZE), SIZE, 0644), EEXIST);
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
	finds("private", xt_await_num("private"));
	finds("1000:private@1", xt_await_num("private"));
}

static void may_not(void)
{
	looks_up("private", EACCES);
	looks_up("1000:private@1", EACCES);
	looks_up("1002:private", ENOENT);
	looks_up("secret", EACCES);
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
	looks_up("private", ENOENT);
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
	finds("same", xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
	finds("1000:same", xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
	finds("same@1", xt_await_num("owner-1"));
	finds("same@2", xt_await_num("owner-2"));
	finds("1002:same", xt_await_num("stranger-1"));
	looks_up("1002:same@2", ENOENT);
	looks_up("1001:same", EACCES);
}

static void stranger_looks(void)
{
	finds("same", xt_await_num("stranger-1"));
	finds("same@2", xt_await_num("owner-2"));
	finds("0:same", xt_await_num("root-1"));
}

static void friend_looks(void)
{
	finds("same", xt_await_num("friend-2"));
	finds("same@1", xt_await_num("root-1"));
}

static void nobody_looks(void)
{
	finds("same", xt_await_num("root-1"));
	finds("same@2", xt_await_num("owner-2"));
	finds("1000:same", xt_await_num(xt_me == 2 ? "owner-2" : "owner-1"));
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
	looks_up("same", ENOENT);
	xt_nothing_left("at the end");
}

/* --- ways to end */

static void ends_by_exit(void *arg)
{
	publishes("mortal", xt_export(xt_map(SIZE), SIZE, 0666), 0);
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
	looks_up(name, ENOENT);
	xt_barrier(how);
}

static void exits(void)
{
	pid_t child = 0;

	xt_case("exit");
	if (xt_me == XT_HOME)
		child = xt_spawn(ends_by_exit, "published");
	xt_await("published");
	looks_up("mortal", 0);
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
	looks_up("mortal", 0);
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
		looks_up("mortal", 0);
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
		looks_up("mortal", ENOENT);
		segid = xt_export(xt_map(SIZE), SIZE, 0666);
		publishes("mortal", segid, 0);
		xt_put("segid", "%#llx", (long long)segid);
	}
	segid = xt_await_num("segid");
	finds("mortal", segid);
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
		finds(name, xt_await_num(name));
	}
}

static void restart(void)
{
	xpmem_segid_t segid;
	char name[32];

	xt_case("restart of xpmemd");
	snprintf(name, sizeof(name), "node-%d", xt_me);
	segid = xt_export(xt_map(SIZE), SIZE, 0666);
	publishes(name, segid, 0);
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

/* --- arguments */

static void bad_publish(xpmem_segid_t segid)
{
	static const char *const wrong[] = {
		NULL,	 "",	 " ",	 "a b",	 "a:b", "1:b",
		"a@1",	 "@",	 "a\tb", "a\nb", "a*",	"\xc3\xa9",
		"a\x7f", "\x01", "a,",	 "a\\b",
	};
	char longest[80];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		publishes(wrong[i], segid, EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[79] = '\0';
	publishes(longest, segid, ENAMETOOLONG);
	longest[64] = '\0';
	publishes(longest, segid, ENAMETOOLONG);
	publishes("good", 0, EINVAL);
	publishes("good", -1, EINVAL);
	publishes("good", INT64_MIN, EINVAL);
	publishes("good", INT64_MAX, ENOENT);
	publishes("good", segid ^ 1, ENOENT);
	longest[63] = '\0';
	publishes(longest, segid, 0);
	finds(longest, segid);
	publishes("good", segid, EBUSY);
	publishes(longest, segid, EBUSY);
	xt_ok(!xpmem_unpublish(longest), "xpmem_unpublish");
	looks_up("good", ENOENT);
}

static void bad_lookup(void)
{
	static const char *const wrong[] = {
		"",
		" ",
		":",
		"@",
		"a:",
		":a",
		"a@",
		"@1",
		"a:b",
		"-1:a",
		"+1:a",
		" 1:a",
		"1 :a",
		"0x1:a",
		"1:2:a",
		"1::a",
		"a@0",
		"a@-1",
		"a@32768",
		"a@1@2",
		"a@1:2",
		"a@x",
		"a@1 ",
		"4294967295:a",
		"4294967296:a",
		"18446744073709551616:a",
		"a@18446744073709551617",
		"1:@1",
		"a b",
		"\xff",
	};
	char longest[80];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		looks_up(wrong[i], EINVAL);
	errno = 0;
	xt_ok(xpmem_lookup(NULL) == -1 && errno == EINVAL, "NULL (errno %d)",
	      errno);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[64] = '\0';
	looks_up(longest, ENAMETOOLONG);
	longest[63] = '\0';
	looks_up(longest, ENOENT);
	looks_up("4294967294:a", ENOENT);
	looks_up("a@32767", EHOSTUNREACH);
}

static void bad_unpublish(void)
{
	static const char *const wrong[] = { NULL, "", "a:b", "a@1", "a b" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		xt_ok(xpmem_unpublish(wrong[i]) == -1 && errno == EINVAL,
		      "unpublish %zu: EINVAL (errno %d)", i, errno);
	}
}

/* What the library never asks. */
static void bad_ioctl(xpmem_segid_t segid)
{
	struct xpmem_cmd_publish publish = { .segid = segid };
	struct xpmem_cmd_lookup lookup = { .owner = XPMEM_ANYBODY };

	memset(publish.name, 'x', sizeof(publish.name));
	xt_ok(xpmem_ioctl(XPMEM_CMD_PUBLISH, &publish) == -1 && errno == EINVAL,
	      "publish: a name without an end (errno %d)", errno);
	memset(publish.name + 3, 0, sizeof(publish.name) - 3);
	publish.name[sizeof(publish.name) - 1] = 'x';
	xt_ok(xpmem_ioctl(XPMEM_CMD_PUBLISH, &publish) == -1 && errno == EINVAL,
	      "publish: something behind the end (errno %d)", errno);
	memcpy(lookup.name, publish.name, sizeof(lookup.name));
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == EINVAL,
	      "lookup: something behind the end (errno %d)", errno);
	xt_ok(xpmem_ioctl(XPMEM_CMD_UNPUBLISH, publish.name) == -1 &&
		      errno == EINVAL,
	      "unpublish: something behind the end (errno %d)", errno);
	lookup.name[sizeof(lookup.name) - 1] = '\0';
	lookup.partid = 32768;
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == EINVAL,
	      "lookup: partition 32768 (errno %d)", errno);
	lookup.partid = xt_me;
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == ENOENT &&
		      !lookup.segid,
	      "lookup: not found, nothing written (errno %d)", errno);
}

/* Another process' segment: neither to be named nor to lose its name. */
static void thief(void *arg)
{
	publishes("stolen", *(xpmem_segid_t *)arg, ENOENT);
	xt_ok(xpmem_unpublish("mine") == -1 && errno == ENOENT,
	      "it cannot unpublish (errno %d)", errno);
	looks_up("mine", 0);
}

static void arguments(void)
{
	xpmem_segid_t segid = xt_export(xt_map(SIZE), SIZE, 0666);
	xpmem_segid_t other = xt_export(xt_map(SIZE), SIZE, 0666);

	xt_case("arguments");
	bad_publish(segid);
	bad_lookup();
	bad_unpublish();
	bad_ioctl(segid);
	publishes("mine", other, 0);
	xt_ok(!xt_join(xt_spawn(thief, &segid)), "another process tried");
	xt_ok(!xpmem_remove(segid) && !xpmem_remove(other), "xpmem_remove");
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- many */

static void limit(void)
{
	static xpmem_segid_t segids[PER_USER + 1];
	char *mem, name[32];
	int ok = 0;

	xt_case("limit");
	if (xt_me == XT_HOME) {
		mem = xt_map(xt_page);
		for (int i = 0; i <= PER_USER; i++) {
			segids[i] = xt_export(mem, xt_page, 0600);
			snprintf(name, sizeof(name), "many/%d", i);
			if (i < PER_USER)
				ok += !xpmem_publish(name, segids[i]);
		}
		xt_ok(ok == PER_USER, "%d names", ok);
		publishes("too-many", segids[PER_USER], EDQUOT);
		finds("many/77", segids[77]);
		xt_ok(!xpmem_unpublish("many/77"), "one less");
		publishes("not-too-many", segids[PER_USER], 0);
		xt_ok(xt_stat("names") == PER_USER, "all are counted");
		for (int i = 0; i <= PER_USER; i++)
			ok -= !xpmem_remove(segids[i]);
		xt_ok(ok == -1, "all are removed");
		munmap(mem, xt_page);
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

#define THREADS 4
#define TURNS 200

/* Names come and go while others look: only what may happen does. */
static void *crowd_thread(void *arg)
{
	void *mem = xt_map(xt_page);
	long strange = 0;
	char name[32];

	for (int i = 0; i < TURNS; i++) {
		xpmem_segid_t segid = xt_export(mem, xt_page, 0666), found;

		snprintf(name, sizeof(name), "crowd/%d", i % 3);
		if (xpmem_publish(name, segid))
			strange += errno != EEXIST;
		snprintf(name, sizeof(name), "crowd/%d", (i + 1) % 3);
		found = xpmem_lookup(name);
		strange += found == -1 ? errno != ENOENT : found >> 48 < 1;
		if (i % 2)
			xpmem_unpublish(name);
		strange += xpmem_remove(segid) != 0;
	}
	munmap(mem, xt_page);
	*(long *)arg = strange;
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[THREADS];
	long strange[THREADS], sum = 0;

	xt_case("crowd");
	for (int i = 0; i < THREADS; i++)
		xt_need(!pthread_create(&threads[i], NULL, crowd_thread,
					&strange[i]),
			"a thread");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += strange[i];
	}
	xt_ok(!sum, "%d turns, %ld strange results", THREADS * TURNS, sum);
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
	arguments();
	limit();
	crowd();
	return xt_finish();
}
