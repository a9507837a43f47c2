// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom a partition may speak for, what counts when a process becomes somebody
 * else between get and attach, and what ends with an exporter that hides.
 */
#include "xt-lab.h"
#include "xt-raw.h"
#include "xt.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define USER 1000
#define OTHER 1001
#define PAGES 16
#define SIZE (PAGES * 4096UL)
#define CONFIG "/etc/xpmem/xpmemd.conf"
#define MS 30000

static int get_errno(xpmem_segid_t segid, int flags)
{
	xpmem_apid_t apid;

	errno = 0;
	apid = xpmem_get(segid, flags, XPMEM_PERMIT_MODE, NULL);
	if (apid == -1)
		return errno;
	xpmem_release(apid);
	return 0;
}

/* --- what the home does with ids that another partition tells: by hand */

/* The status of a get in a session by hand. */
static unsigned int ask(struct xt_raw *raw, xpmem_segid_t segid, uint32_t uid,
			uint32_t gid, int group)
{
	struct {
		uint64_t req, segid;
		uint32_t uid, gid, access, ngroups, groups[16];
	} get = {
		5, segid, uid, gid, 1, group >= 0, { group >= 0 ? group : 0 }
	};
	uint64_t answer[16] = { 0 };

	_Static_assert(sizeof(get) == 96, "as on the wire");
	xt_raw_send(raw, GET, &get, sizeof(get));
	if (xt_raw_receive(raw, answer, sizeof(answer)) != GET_REPLY)
		return 0;
	return (uint32_t)answer[2];
}

static void end(struct xt_raw *raw)
{
	xt_raw_send(raw, BYE, NULL, 0);
	xt_raw_ends(raw, "bye", "closed by the other");
}

static void squash(struct xt_raw *raw)
{
	void *mem = xt_map(xt_page);
	xpmem_segid_t mine = xt_export(mem, xt_page, 0600);
	xpmem_segid_t group = xt_export(mem, xt_page, 0640);
	xpmem_segid_t all = xt_export(mem, xt_page, 0604);

	xt_case("squash");
	raw->params.root_squash = 1;
	xt_raw_open(raw);
	xt_ok(ask(raw, mine, 0, 0, -1) == ACCES, "its root is not root here");
	xt_ok(ask(raw, all, 0, 0, -1) == OK, "but anybody");
	xt_ok(ask(raw, group, USER, 0, -1) == ACCES, "nor is root's group");
	xt_ok(ask(raw, group, USER, USER, 0) == ACCES, "nor as one of several");
	xt_ok(ask(raw, group, 0, USER, 0) == ACCES, "nor its root's groups");
	end(raw);
	raw->params.root_squash = 0;
	xt_raw_open(raw);
	xt_ok(ask(raw, mine, 0, 0, -1) == OK, "where it is said, root is root");
	xt_ok(ask(raw, group, USER, 0, -1) == OK, "and its group is");
	xt_ok(ask(raw, group, USER, USER, 0) == OK, "also as one of several");
	xt_ok(ask(raw, mine, USER, USER, -1) == ACCES, "a user is not");
	end(raw);
	xt_ok(!xpmem_remove(mine) && !xpmem_remove(group) && !xpmem_remove(all),
	      "xpmem_remove");
	munmap(mem, xt_page);
}

static void ranges(struct xt_raw *raw)
{
	static const struct {
		uint32_t uid;
		unsigned int status;
	} asks[] = {
		{ 1, ACCES },
		{ USER - 1, ACCES },
		{ USER, OK },
		{ OTHER, OK },
		{ OTHER + 1, ACCES },
		{ 65534, ACCES },
		{ ~0u, ACCES },
		{ ~0u - 1, ACCES },
		{ USER | 1u << 31, ACCES },
	};
	void *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0666);

	xt_case("ranges");
	raw->params.uid_min = USER;
	raw->params.uid_max = OTHER;
	xt_raw_open(raw);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		xt_ok(ask(raw, segid, asks[i].uid, USER, -1) == asks[i].status,
		      "uid %u is %s", asks[i].uid,
		      asks[i].status == OK ? "permitted" : "refused");
	end(raw);
	raw->params.uid_min = 1;
	raw->params.uid_max = 65535;
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, xt_page);
}

/* --- the same from the configuration of p1, for a p2 that is real */

/*
 * All lines stay, but those about users, in place of which comes @policy. @away: the
 * daemon learns of it when it starts again, and has a session from before.
 */
static void configure(const char *policy, bool away)
{
	FILE *in = fopen(CONFIG, "re"), *out = fopen(CONFIG ".new", "we");
	char line[256];

	xt_need(in && out, "open %s", CONFIG);
	while (fgets(line, sizeof(line), in)) {
		const char *word = line + strspn(line, " \t");

		if (!strncmp(word, "root-squash", 11) ||
		    !strncmp(word, "uids", 4))
			continue;
		fputs(line, out);
		if (!strncmp(word, "fabric", 6))
			fputs(policy, out);
	}
	fclose(in);
	xt_need(!fclose(out) && !rename(CONFIG ".new", CONFIG), "write %s",
		CONFIG);
	if (away) {
		xt_daemon_kill("xpmemd");
		xt_need(xt_daemon_start("xpmemd"), "xpmemd starts");
	} else {
		xt_need(!system("xpmemctl reload"), "xpmemctl reload");
	}
	xt_need(xt_daemon_up(MS), "the session is up");
}

struct asker {
	uid_t uid;
	xpmem_segid_t segid;
	int want;
};

static void ask_as(void *arg)
{
	const struct asker *a = arg;
	int err;

	xt_need(!setgroups(0, NULL) && !setresgid(a->uid, a->uid, a->uid) &&
			!setresuid(a->uid, a->uid, a->uid),
		"become user %u", a->uid);
	err = get_errno(a->segid, XPMEM_RDONLY);
	xt_ok(err == a->want, "p2's uid %u gets %s (errno %d)", a->uid,
	      a->want ? "EACCES" : "a permit", err);
}

static void asks_as(uid_t uid, xpmem_segid_t segid, int want)
{
	struct asker a = { uid, segid, want };

	xt_ok(!xt_join(xt_spawn(ask_as, &a)), "uid %u asked", uid);
}

static void configured(void)
{
	xpmem_segid_t mine, all;
	void *mem;
	int err = 0;
	bool good;

	xt_case("configured");
	if (xt_me == XT_HOME) {
		mem = xt_map(xt_page);
		configure("    uids 1001-1001\n", true);
		mine = xt_export(mem, xt_page, 0600);
		all = xt_export(mem, xt_page, 0666);
		xt_put("mine", "%#llx", (long long)mine);
		xt_put("all", "%#llx", (long long)all);
		xt_await("asked");
		configure("    uids 1-65535\n    root-squash no\n", false);
		xt_put("back", "1");
		xt_await("root");
		xt_ok(!xpmem_remove(mine) && !xpmem_remove(all),
		      "xpmem_remove");
		munmap(mem, xt_page);
	} else if (xt_me == 2) {
		mine = xt_await_num("mine");
		all = xt_await_num("all");
		good = xt_until((err = get_errno(all, XPMEM_RDONLY)) !=
					EHOSTUNREACH,
				MS);
		xt_ok(good && !err, "p2's root reads what all may (errno %d)",
		      err);
		err = get_errno(mine, XPMEM_RDONLY);
		xt_ok(err == EACCES, "and nothing else (errno %d)", err);
		asks_as(USER, all, EACCES);
		asks_as(OTHER, all, 0);
		xt_put("asked", "1");
		xt_await("back");
		good = xt_until((err = get_errno(mine, XPMEM_RDONLY)) !=
					EHOSTUNREACH,
				MS);
		xt_ok(good && !err, "without squash it is root (errno %d)",
		      err);
		asks_as(USER, all, 0);
		xt_put("root", "1");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- what p1's xpmemd does when its configuration changed while it was away */

/* Of the text, the block of p2 alone; @end is behind it. */
static char *block_of_2(char *text, char **end)
{
	char *block = strstr(text, "peer 2 {");

	xt_need(block && strstr(block, "}\n"), "peer 2 in %s", CONFIG);
	*end = strstr(block, "}\n") + 2;
	return block;
}

static void read_conf(char *text, size_t size)
{
	FILE *in = fopen(CONFIG, "re");
	size_t n;

	xt_need(in != NULL, "open %s", CONFIG);
	n = fread(text, 1, size - 1, in);
	xt_need(n > 0 && n < size - 1 && !fclose(in), "read %s", CONFIG);
	text[n] = '\0';
}

static void restart_as(const char *text)
{
	FILE *out = fopen(CONFIG ".new", "we");

	xt_need(out && fputs(text, out) >= 0 && !fclose(out) &&
			!rename(CONFIG ".new", CONFIG),
		"write %s", CONFIG);
	xt_daemon_kill("xpmemd");
	xt_need(xt_daemon_start("xpmemd"), "xpmemd starts");
}

static bool status_says(const char *words)
{
	char command[128];

	snprintf(command, sizeof(command), "xpmemctl status | grep -q '%s'",
		 words);
	return !system(command);
}

/* From within p2's block on, @from becomes @to: p1's xpmemd then says @words. */
static void changed(const char *text, const char *from, const char *to,
		    const char *words)
{
	uint64_t before = xt_look(2).epoch;
	char other[8192], *block, *end, *at;
	size_t rest;

	strcpy(other, text);
	block = block_of_2(other, &end);
	at = strstr(block, from);
	xt_need(at && at < end, "%s in %s", from, CONFIG);
	at += strlen(from);
	rest = strcspn(at, "\n");
	memmove(at + strlen(to), at + rest, strlen(at + rest) + 1);
	memcpy(at, to, strlen(to));
	restart_as(other);
	xt_ok(xt_look_lost(2, before, MS), "%s%s: the session ends", from, to);
	xt_ok(xt_until(status_says(words), MS), "then: %s", words);
	restart_as(text);
	xt_ok(xt_look_up(2, before, MS) && xt_daemon_up(MS),
	      "as before: there is a new one");
}

static void removed(const char *text)
{
	uint64_t before = xt_look(2).epoch;
	char other[8192], *block, *end;

	strcpy(other, text);
	block = block_of_2(other, &end);
	memmove(block, end, strlen(end) + 1);
	restart_as(other);
	xt_ok(xt_look_lost(2, before, MS), "removed: the session ends");
	xt_ok(!xt_look(2).lost, "in order: nothing is in quarantine");
	xt_put("removed", "1");
	xt_await("let-go");
	restart_as(text);
	xt_ok(xt_look_up(2, before, MS) && xt_daemon_up(MS),
	      "a peer again: there is a new session");
}

static void restarting(void)
{
	uint64_t other = xt_nodes > 2 ? xt_look(3).epoch : 0, before;
	void *mem = xt_map(xt_page);
	xpmem_segid_t segid = xt_export(mem, xt_page, 0666);
	char text[8192];

	read_conf(text, sizeof(text) - 64);
	before = xt_look(2).epoch;
	xt_put("segid", "%#llx", (long long)segid);
	xt_await("attached");
	restart_as(text);
	xt_ok(xt_daemon_up(MS) && xt_look(2).epoch == before,
	      "unchanged: the session goes on");
	xt_put("unchanged", "1");
	xt_await("read");
	removed(text);
	xt_put("back", "1");
	xt_await("got");
	changed(text, "    address 10.77.0.2", " 7761", "Connection refused");
	changed(text, "    window pci", " 0000:00:1f.7", "no PCI device");
	if (xt_nodes > 2)
		xt_ok(xt_look(3).epoch == other,
		      "p3's session was not disturbed");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, xt_page);
}

static void restarted_from(void)
{
	xpmem_segid_t segid = xt_await_num("segid");
	xpmem_apid_t apid = xt_permit(segid, XPMEM_RDWR);
	void *at = xt_attach(apid, xt_page);
	int err;
	bool good;

	xt_ok(!xt_load(at, NULL), "p2 reads it");
	xt_put("attached", "1");
	xt_await("unchanged");
	xt_ok(!xt_load(at, NULL) && !get_errno(segid, XPMEM_RDONLY),
	      "p2 reads it still, and gets permits");
	xt_put("read", "1");
	xt_await("removed");
	xt_ok(xt_touch_ends(at, MS), "what p2 has mapped ends");
	good = xt_until((err = get_errno(segid, XPMEM_RDONLY)) == EHOSTUNREACH,
			MS);
	xt_ok(good, "and p2 gets no permit (errno %d)", err);
	xt_put("let-go", "1");
	xt_await("back");
	good = xt_until(!(err = get_errno(segid, XPMEM_RDONLY)), MS);
	xt_ok(good, "p2 gets a permit again (errno %d)", err);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("got", "1");
}

static void restarts(void)
{
	xt_case("restarts");
	if (xt_me == XT_HOME)
		restarting();
	else if (xt_me == 2)
		restarted_from();
	xt_barrier("done");
	xt_ok(xt_daemon_up(MS), "all sessions are up");
	xt_nothing_left("at the end");
}

/* --- who a process is when it attaches */

static void be(uid_t uid)
{
	xt_need(!setresuid(-1, uid, -1), "effective uid %u", uid);
}

static int attach_errno(xpmem_apid_t apid)
{
	struct xpmem_addr addr = { .apid = apid };
	void *at;

	errno = 0;
	at = xpmem_attach(addr, SIZE, NULL);
	if (at == (void *)-1)
		return errno;
	xt_ok(!xt_load(at, NULL) && !xpmem_detach(at), "it is mapped");
	return 0;
}

static void attach_as(void *arg)
{
	const xpmem_segid_t *segid = arg;
	xpmem_apid_t apid;
	int err;

	be(USER);
	apid = xt_permit(*segid, XPMEM_RDWR);
	err = attach_errno(apid);
	xt_ok(!err, "p%d: the owner attaches (errno %d)", xt_me, err);
	be(0);
	be(OTHER);
	err = attach_errno(apid);
	xt_ok(err == EACCES, "as another user it cannot (errno %d)", err);
	be(0);
	be(USER);
	err = attach_errno(apid);
	xt_ok(!err, "as the owner it can again (errno %d)", err);
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static void owner(void *arg)
{
	char key[32];
	void *mem;

	(void)arg;
	xt_need(!setgroups(0, NULL) && !setresgid(USER, USER, USER) &&
			!setresuid(USER, USER, USER),
		"become user %u", USER);
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0600));
	for (int id = 1; id <= xt_nodes; id++) {
		snprintf(key, sizeof(key), "attached-%d", id);
		xt_await(key);
	}
}

static void attaching(void)
{
	xpmem_segid_t segid;
	char key[32];
	pid_t pid = 0;

	xt_case("attach");
	if (xt_me == XT_HOME)
		pid = xt_spawn(owner, NULL);
	segid = xt_await_num("segid");
	xt_ok(!xt_join(xt_spawn(attach_as, &segid)), "tried on p%d", xt_me);
	snprintf(key, sizeof(key), "attached-%d", xt_me);
	xt_put(key, "1");
	if (pid)
		xt_ok(!xt_join(pid), "the owner ends");
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- exporters that hide */

enum way { BY_PRCTL, BY_SETUID };

static void hide(enum way how)
{
	if (how == BY_PRCTL)
		xt_need(!prctl(PR_SET_DUMPABLE, 0), "PR_SET_DUMPABLE 0");
	else
		xt_need(!setresuid(USER, USER, USER), "become user %u", USER);
	xt_ok(!prctl(PR_GET_DUMPABLE), "the exporter is not dumpable");
}

static void hiding(void *arg)
{
	const enum way how = *(const enum way *)arg;
	xpmem_segid_t segid;
	char key[32];
	void *mem = xt_map(SIZE);

	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_need(prctl(PR_GET_DUMPABLE) == 1, "dumpable at first");
	segid = xt_export(mem, SIZE, 0666);
	xt_put("segid", "%#llx", (long long)segid);
	for (int id = 1; id <= xt_nodes; id++) {
		snprintf(key, sizeof(key), "seen-%d", id);
		xt_await(key);
	}
	hide(how);
	xt_put("hidden", "1");
	xt_await("gone");
	xt_need(!prctl(PR_SET_DUMPABLE, 1), "PR_SET_DUMPABLE 1");
	errno = 0;
	xt_ok(get_errno(segid, XPMEM_RDONLY) == ENOENT,
	      "dumpable again: the segment does not come back");
	xt_ok(!xpmem_remove(segid), "it can be removed all the same");
	segid = xt_export(mem, SIZE, 0666);
	xt_ok(!get_errno(segid, XPMEM_RDONLY) && !xpmem_remove(segid),
	      "a new one can be made");
}

static void see(xpmem_segid_t segid)
{
	xpmem_apid_t apid = xt_permit(segid, XPMEM_RDWR);
	char *at = xt_attach(apid, SIZE), key[32];
	int err;

	xt_ok(!xt_load(at, NULL), "p%d reads it", xt_me);
	snprintf(key, sizeof(key), "seen-%d", xt_me);
	xt_put(key, "1");
	xt_await("hidden");
	err = get_errno(segid, XPMEM_RDONLY);
	xt_ok(err == ENOENT, "p%d gets no permit any more (errno %d)", xt_me,
	      err);
	xt_ok(xt_touch_ends(at, MS), "what p%d has mapped ends", xt_me);
	xt_ok(xt_load(at + SIZE - xt_page, NULL) == SIGBUS,
	      "no other page either");
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static void hidden(const char *name, enum way how)
{
	pid_t pid = 0;

	xt_case(name);
	if (xt_me == XT_HOME)
		pid = xt_spawn(hiding, &how);
	see(xt_await_num("segid"));
	xt_barrier("ended");
	if (pid) {
		xt_ok(xt_stat_is("exported", 0, MS), "nothing is exported");
		xt_put("gone", "1");
		xt_ok(!xt_join(pid), "the exporter ends");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- the daemon's own socket */

static void ask_daemon(void *arg)
{
	(void)arg;
	xt_ok(!system("xpmemctl peers >/dev/null 2>&1"), "root may ask it");
	xt_need(!setresgid(USER, USER, USER) && !setresuid(USER, USER, USER),
		"become user %u", USER);
	xt_ok(system("xpmemctl peers >/dev/null 2>&1") == 1 << 8,
	      "a user is not told of the peers");
	xt_ok(system("xpmemctl users >/dev/null 2>&1") == 1 << 8,
	      "nor of the users");
}

static void steering(void)
{
	xt_case("steering");
	xt_ok(!xt_join(xt_spawn(ask_daemon, NULL)), "a user asked");
	xt_barrier("done");
}

int main(void)
{
	struct xt_raw raw;

	xt_start("policy");
	xt_raw_start(&raw);
	squash(&raw);
	ranges(&raw);
	configured();
	restarts();
	attaching();
	steering();
	hidden("hides by prctl", BY_PRCTL);
	hidden("hides by setuid", BY_SETUID);
	return xt_finish();
}
