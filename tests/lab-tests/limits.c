// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user may have, and how often it may fail: each limit is reached, the
 * next one is refused by its errno, and what is given back can be had again.
 */
#include "xt-lab.h"
#include "xt-raw.h"
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define USER 1000
#define PAGES 16
#define SIZE (PAGES * 4096UL)
#define PARAMETERS "/sys/module/xpmem/parameters/"

static void become_user(void)
{
	xt_need(!setgroups(0, NULL) && !setresgid(USER, USER, USER) &&
			!setresuid(USER, USER, USER),
		"become user %d", USER);
}

/* 0, or the errno of the write. */
static int write_limit(const char *name, const char *value)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	xt_need(fd >= 0, "open %s", path);
	if (write(fd, value, strlen(value)) < 0)
		err = errno;
	close(fd);
	return err;
}

static unsigned long read_limit(const char *name)
{
	unsigned long value;
	char path[128];
	FILE *in;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	in = fopen(path, "re");
	xt_need(in && fscanf(in, "%lu", &value) == 1, "read %s", path);
	fclose(in);
	return value;
}

/* Returns the value before. */
static unsigned long set_limit(const char *name, unsigned long value)
{
	unsigned long before = read_limit(name);
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	xt_need(!write_limit(name, text) && read_limit(name) == value,
		"set %s to %lu", name, value);
	return before;
}

/* What `xpmemctl users` says of a user; false if it does not name it. */
struct account {
	unsigned long segments, permits, exported, quarantine;
};

static bool account_of(unsigned int user, struct account *a)
{
	FILE *in = popen("xpmemctl users", "r");
	unsigned int uid;
	char line[256];
	bool found = false;

	memset(a, 0, sizeof(*a));
	xt_need(in != NULL, "xpmemctl users");
	while (fgets(line, sizeof(line), in)) {
		struct account b;

		if (sscanf(line, "%u %lu %lu %lu %lu", &uid, &b.segments,
			   &b.permits, &b.exported, &b.quarantine) == 5 &&
		    uid == user) {
			*a = b;
			found = true;
		}
	}
	xt_ok(!pclose(in), "xpmemctl users exits 0");
	return found;
}

static bool account(struct account *a)
{
	return account_of(USER, a);
}

static void rubbish(void)
{
	static const char *const names[] = { "max_segments", "max_permits",
					     "max_exported", "max_quarantine",
					     "failed_gets" };
	static const char *const values[] = { "x",  "-1",
					      " ",  "5 6",
					      "0x", "99999999999999999999999" };

	xt_case("rubbish");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned long before = read_limit(names[i]);

		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
			xt_ok(write_limit(names[i], values[j]) != 0,
			      "%s: \"%s\" is refused", names[i], values[j]);
		xt_ok(read_limit(names[i]) == before, "%s is still %lu",
		      names[i], before);
	}
}

static void too_many_segments(void *arg)
{
	xpmem_segid_t segid[3];
	char *mem;

	(void)arg;
	become_user();
	mem = xt_map(SIZE);
	for (int i = 0; i < 3; i++)
		segid[i] = xt_export(mem + i * xt_page, xt_page, 0600);
	errno = 0;
	xt_ok(xpmem_make(mem, xt_page, XPMEM_PERMIT_MODE, (void *)0600) == -1 &&
		      errno == EDQUOT,
	      "the fourth segment: EDQUOT (errno %d)", errno);
	xt_ok(!xpmem_remove(segid[1]), "one is removed");
	segid[1] = xt_export(mem, xt_page, 0600);
	xt_put("made", "1");
	xt_await("looked");
}

static void segments(void)
{
	long long refused = xt_stat("refused-limits");
	xpmem_segid_t segid[4];
	unsigned long before;
	struct account a;
	pid_t pid;
	void *mem;

	xt_case("segments");
	if (xt_me == XT_HOME) {
		before = set_limit("max_segments", 3);
		pid = xt_spawn(too_many_segments, NULL);
		xt_await("made");
		xt_ok(account(&a) && a.segments == 3 && !a.permits,
		      "it has three");
		mem = xt_map(SIZE);
		for (int i = 0; i < 4; i++)
			segid[i] = xt_export(mem, SIZE, 0600);
		for (int i = 0; i < 4; i++)
			xt_ok(!xpmem_remove(segid[i]), "root had four");
		xt_put("looked", "1");
		xt_ok(!xt_join(pid), "the user's process ends");
		xt_ok(xt_stat("refused-limits") == refused + 1,
		      "one refusal is counted");
		xt_nothing_left("after its end");
		xt_ok(!account(&a), "a user that has nothing is not listed");
		set_limit("max_segments", before);
		munmap(mem, SIZE);
	}
	xt_barrier("done");
}

#define SUBORDINATE 100000

/* Each segment is made by another user of a namespace, all of them one account's. */
static void be_many(void *arg)
{
	xpmem_segid_t segid;
	void *mem;

	if (*(const bool *)arg)
		become_user();
	xt_need(!unshare(CLONE_NEWUSER), "a new user namespace");
	xt_put("unshared", "%d", getpid());
	xt_await("mapped");
	mem = xt_map(SIZE);
	for (int i = 0; i < 4; i++) {
		xt_need(!setresuid(i + 1, i + 1, i + 1), "be user %d inside",
			i + 1);
		errno = 0;
		segid = xpmem_make(mem, xt_page, XPMEM_PERMIT_MODE,
				   (void *)0600);
		if (i < 3)
			xt_ok(segid != -1, "user %d makes one (errno %d)",
			      SUBORDINATE + i + 1, errno);
		else
			xt_ok(segid == -1 && errno == EDQUOT,
			      "user %d: EDQUOT (errno %d)", SUBORDINATE + i + 1,
			      errno);
	}
	xt_put("made", "1");
	xt_await("looked");
}

/* Users of a user's namespace, or of one that root made as for a container. */
static void subordinates(const char *name, bool of_user, unsigned int charged)
{
	unsigned long before;
	struct account a;
	char text[64];
	FILE *map;
	pid_t pid;

	xt_case(name);
	if (xt_me == XT_HOME) {
		before = set_limit("max_segments", 3);
		pid = xt_spawn(be_many, &of_user);
		snprintf(text, sizeof(text), "/proc/%lld/uid_map",
			 xt_await_num("unshared"));
		map = fopen(text, "we");
		xt_need(map && fprintf(map, "0 %d 10", SUBORDINATE) > 0 &&
				!fclose(map),
			"map users of the namespace");
		xt_put("mapped", "1");
		xt_await("made");
		xt_ok(account_of(charged, &a) && a.segments == 3,
		      "user %u has three segments", charged);
		for (int i = 1; i <= 4; i++)
			xt_ok(!account_of(SUBORDINATE + i, &a),
			      "user %d has no account", SUBORDINATE + i);
		xt_put("looked", "1");
		xt_ok(!xt_join(pid), "its process ends");
		set_limit("max_segments", before);
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

static void too_many_permits(void *arg)
{
	const xpmem_segid_t *segid = arg;
	xpmem_apid_t apid[2];
	char *at;

	become_user();
	for (int i = 0; i < 2; i++)
		apid[i] = xt_permit(*segid, XPMEM_RDWR);
	errno = 0;
	xt_ok(xpmem_get(*segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL) == -1 &&
		      errno == EDQUOT,
	      "the third permit on p%d: EDQUOT (errno %d)", xt_me, errno);
	at = xt_attach(apid[0], SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the first is good");
	xt_ok(!xpmem_release(apid[0]), "it is released");
	apid[0] = xt_permit(*segid, XPMEM_RDWR);
	xt_ok(!xpmem_release(apid[0]) && !xpmem_release(apid[1]),
	      "another can be had then");
}

/* Of the home's user, and of one of another partition, each in its own place. */
static void permits(void)
{
	long long refused = xt_stat("refused-limits");
	unsigned long before = set_limit("max_permits", 2);
	xpmem_segid_t segid;
	void *mem = NULL;

	xt_case("permits");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	}
	segid = xt_await_num("segid");
	xt_ok(!xt_join(xt_spawn(too_many_permits, &segid)), "a user tried");
	xt_ok(xt_stat("refused-limits") == refused + 1,
	      "one refusal is counted");
	set_limit("max_permits", before);
	xt_barrier("tried");
	if (xt_me == XT_HOME) {
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* The exporter: a user's process that waits until all is done. */
static void exporter(void *arg)
{
	void *mem;

	(void)arg;
	become_user();
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_await("end");
}

static int loads(char *at)
{
	int good = 0;

	for (int i = 0; i < PAGES; i++)
		good += !xt_load(at + i * xt_page, NULL);
	return good;
}

static void touch_too_many(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	char *at = xt_attach(apid, SIZE);

	xt_await("ready");
	xt_ok(loads(at) == 5, "p2 reads five pages, the others are SIGBUS");
	xt_put("full", "1");
	xt_await("looked");
	xt_ok(!xpmem_detach(at), "p2 lets go");
	xt_put("left", "1");
	xt_await("free");
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_load(at + SIZE - xt_page, NULL),
	      "then another page can be had");
	xt_put("again", "1");
	xt_await("raised");
	xt_ok(loads(at) == PAGES, "and all, when the limit is raised");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("end", "1");
}

static void exported(void)
{
	long long refused = xt_stat("refused-limits");
	unsigned long before;
	struct account a;
	pid_t pid;

	xt_case("exported");
	if (xt_me == XT_HOME) {
		before = set_limit("max_exported", 5);
		pid = xt_spawn(exporter, NULL);
		xt_put("ready", "1");
		xt_await("full");
		xt_ok(account(&a) && a.exported == 5, "five are exported");
		xt_ok(xt_stat("refused-limits") >= refused + PAGES - 5,
		      "what was refused is counted");
		xt_put("looked", "1");
		xt_await("left");
		xt_ok(xt_stat_is("exported", 0, 20000), "none is any more");
		xt_put("free", "1");
		xt_await("again");
		set_limit("max_exported", before);
		xt_put("raised", "1");
		xt_ok(!xt_join(pid), "the exporter ends");
	} else if (xt_me == 2) {
		touch_too_many();
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* A session by hand that holds a page of a segment, and is lost. */
static void lose_a_page(struct xt_raw *raw, xpmem_segid_t segid)
{
	uint64_t fetch[5] = { 6, segid, 0, 0, 3ULL << 32 | 1 };
	uint64_t get[12] = { 5, segid, (uint64_t)USER << 32 | USER, 3 };
	uint64_t answer[64] = { 0 };

	xt_raw_start(raw);
	xt_raw_open(raw);
	xt_raw_send(raw, GET, get, sizeof(get));
	xt_ok(xt_raw_receive(raw, answer, sizeof(answer)) == GET_REPLY &&
		      (uint32_t)answer[2] == OK,
	      "a get of a partition that will be lost");
	xt_raw_send(raw, FETCH, fetch, sizeof(fetch));
	xt_ok(xt_raw_receive(raw, answer, sizeof(answer)) == GRANT &&
		      (uint32_t)answer[2] == OK,
	      "and a page");
	shutdown(raw->fd, SHUT_RDWR);
	xt_raw_ends(raw, "it is lost", "connection lost");
}

static int fence(struct xt_raw *raw)
{
	xt_nl_begin(&raw->nl, XPMEM_CMD_FENCE, 0);
	xt_nl_put(&raw->nl, XPMEM_A_PARTID, &raw->params.partid,
		  sizeof(raw->params.partid));
	xt_nl_put(&raw->nl, XPMEM_A_EPOCH, &raw->params.epoch,
		  sizeof(raw->params.epoch));
	return xt_nl_call(&raw->nl, NULL);
}

static void fill_quarantine(void)
{
	unsigned long before = set_limit("max_quarantine", 1);
	pid_t pid = xt_spawn(exporter, NULL);
	struct xt_raw raw;
	struct account a;

	lose_a_page(&raw, xt_await_num("segid"));
	xt_ok(account(&a) && a.quarantine == 1 && a.exported == 1,
	      "the user has a page in quarantine");
	xt_put("full", "1");
	xt_await("touched");
	xt_ok(!fence(&raw), "fence");
	xt_ok(account(&a) && !a.quarantine && !a.exported,
	      "nothing is in quarantine");
	xt_put("fenced", "1");
	xt_ok(!xt_join(pid), "the exporter ends");
	set_limit("max_quarantine", before);
	xt_nl_close(&raw.nl);
	xt_nl_close(&raw.events);
}

static void quarantine(void)
{
	xpmem_apid_t apid;
	char *at;

	xt_case("quarantine");
	if (xt_me == XT_HOME) {
		fill_quarantine();
	} else if (xt_me == 2) {
		apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		at = xt_attach(apid, SIZE);
		xt_await("full");
		xt_ok(xt_load(at + xt_page, NULL) == SIGBUS,
		      "no other page is exported");
		xt_put("touched", "1");
		xt_await("fenced");
		xt_ok(loads(at) == PAGES, "after the fence all are");
		xt_ok(!xpmem_release(apid), "xpmem_release");
		xt_put("end", "1");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

static int get_errno(xpmem_segid_t segid)
{
	xpmem_apid_t apid;

	errno = 0;
	apid = xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	if (apid == -1)
		return errno;
	xpmem_release(apid);
	return 0;
}

/* Gets of what does not exist, at most 1000, until one is not even looked at. */
static void guess(void *arg)
{
	const xpmem_segid_t *segid = arg;
	int none = 0, err;

	become_user();
	xt_ok(!get_errno(*segid), "the segment can be had on p%d", xt_me);
	do
		err = get_errno(*segid ^ (1 + none));
	while (err == ENOENT && ++none < 1000);
	xt_ok(err == EAGAIN && none >= 5,
	      "after %d gets that failed on p%d: EAGAIN (errno %d)", none,
	      xt_me, err);
	xt_ok(xt_until(!get_errno(*segid), 20000),
	      "later the segment can be had again");
}

/* At home, and from p2, where much more may fail: the home sees to it itself. */
static void guesses(void)
{
	unsigned long before =
		set_limit("failed_gets", xt_me == XT_HOME ? 5 : 10000);
	long long throttled = xt_stat("throttled-gets");
	xpmem_segid_t segid;
	void *mem = NULL;

	xt_case("guesses");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	}
	segid = xt_await_num("segid");
	xt_ok(!xt_join(xt_spawn(guess, &segid)), "a user guessed");
	for (int i = 1; i <= 100 && xt_me == XT_HOME; i++)
		if (get_errno(segid ^ i) != ENOENT)
			xt_fail("root's guess %d", i);
	xt_barrier("guessed");
	if (xt_me == XT_HOME) {
		xt_ok(xt_stat("throttled-gets") >= throttled + 2,
		      "gets that were not looked at are counted");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	}
	set_limit("failed_gets", before);
	xt_barrier("done");
	xt_nothing_left("at the end");
}

int main(void)
{
	xt_start("limits");
	rubbish();
	segments();
	subordinates("subordinate users", true, USER);
	subordinates("a container's users", false, SUBORDINATE);
	permits();
	exported();
	quarantine();
	guesses();
	return xt_finish();
}
