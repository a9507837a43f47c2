// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who gets a permit, and what it permits: the same rule for a process of the
 * home and for one of another partition.
 */
#include "xt.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16 * 1024UL)
#define OWNER 1000
#define FRIEND 1001 /* in OWNER's group */
#define STRANGER 1002

/* What a caller asks of a segment, and whether it is due. */
struct asks {
	const char *who;
	uid_t uid;
	gid_t gid;
	int flags;
	bool due;
};

struct rule {
	const char *name;
	long mode;
	struct asks asks[6];
};

static const struct rule rules[] = {
	{ "mode 0600",
	  0600,
	  {
		  { "the owner, to write", OWNER, OWNER, XPMEM_RDWR, true },
		  { "the group, to read", FRIEND, OWNER, XPMEM_RDONLY, false },
		  { "a stranger, to read", STRANGER, STRANGER, XPMEM_RDONLY,
		    false },
		  { "a stranger, to write", STRANGER, STRANGER, XPMEM_RDWR,
		    false },
	  } },
	{ "mode 0640",
	  0640,
	  {
		  { "the owner, to write", OWNER, OWNER, XPMEM_RDWR, true },
		  { "the group, to read", FRIEND, OWNER, XPMEM_RDONLY, true },
		  { "the group, to write", FRIEND, OWNER, XPMEM_RDWR, false },
		  { "a stranger, to read", STRANGER, STRANGER, XPMEM_RDONLY,
		    false },
	  } },
	{ "mode 0664",
	  0664,
	  {
		  { "the group, to write", FRIEND, OWNER, XPMEM_RDWR, true },
		  { "a stranger, to read", STRANGER, STRANGER, XPMEM_RDONLY,
		    true },
		  { "a stranger, to write", STRANGER, STRANGER, XPMEM_RDWR,
		    false },
	  } },
	{ "mode 0440",
	  0440,
	  {
		  { "the owner, to read", OWNER, OWNER, XPMEM_RDONLY, true },
		  { "the owner, to write", OWNER, OWNER, XPMEM_RDWR, false },
	  } },
};

static void become(uid_t uid, gid_t gid)
{
	xt_need(!setgroups(0, NULL) && !setresgid(gid, gid, gid) &&
			!setresuid(uid, uid, uid),
		"become uid %d gid %d", uid, gid);
}

struct question {
	xpmem_segid_t segid;
	const struct asks *asks;
};

static void asking_child(void *arg)
{
	const struct question *q = arg;
	const struct asks *a = q->asks;
	xpmem_apid_t apid;

	become(a->uid, a->gid);
	errno = 0;
	apid = xpmem_get(q->segid, a->flags, XPMEM_PERMIT_MODE, NULL);
	if (a->due)
		xt_ok(apid > 0, "%s: permitted on p%d (errno %d)", a->who,
		      xt_me, errno);
	else
		xt_ok(apid == -1 && errno == EACCES,
		      "%s: refused with EACCES on p%d (%lld, errno %d)", a->who,
		      xt_me, (long long)apid, errno);
}

static void owning_child(void *arg)
{
	const struct rule *r = arg;
	void *mem;

	become(OWNER, OWNER);
	mem = xt_map(SIZE);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, r->mode));
	for (int id = 1; id <= xt_nodes; id++) {
		char key[32];

		snprintf(key, sizeof(key), "asked-%d", id);
		xt_await(key);
	}
}

static void apply(const struct rule *r)
{
	struct question q;
	char key[32];
	pid_t owner = 0;

	xt_case(r->name);
	if (xt_me == XT_HOME)
		owner = xt_spawn(owning_child, (void *)r);
	q.segid = xt_await_num("segid");
	for (q.asks = r->asks; q.asks->who; q.asks++)
		xt_ok(!xt_join(xt_spawn(asking_child, &q)), "%s: asked on p%d",
		      q.asks->who, xt_me);
	snprintf(key, sizeof(key), "asked-%d", xt_me);
	xt_put(key, "1");
	if (owner)
		xt_ok(!xt_join(owner), "the owner ends well");
	xt_barrier("done");
	xt_nothing_left("after the owner's end");
}

static void look_only(xpmem_segid_t segid)
{
	xpmem_apid_t apid = xt_permit(segid, XPMEM_RDONLY);
	char *at = xt_attach(apid, SIZE);

	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "p%d reads the bytes", xt_me);
	xt_ok(xt_store(at, 0) == SIGSEGV, "its store is SIGSEGV");
	xt_ok(xt_store(at + SIZE - 8, 0) == SIGSEGV, "anywhere");
	xt_ok(mprotect(at, SIZE, PROT_READ | PROT_WRITE) == -1 &&
		      errno == EACCES,
	      "mprotect does not help (errno %d)", errno);
	xt_ok(mprotect(at, SIZE, PROT_READ | PROT_EXEC) == -1 &&
		      errno == EACCES,
	      "nor makes it executable (errno %d)", errno);
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static void looking_child(void *arg)
{
	look_only(*(xpmem_segid_t *)arg);
}

static void read_only(void)
{
	xpmem_segid_t segid;
	void *mem;

	xt_case("read only");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		xt_fill(mem, SIZE, XT_EVEN, 1);
		segid = xt_export(mem, SIZE, 0666);
		xt_put("segid", "%#llx", (long long)segid);
		xt_ok(!xt_join(xt_spawn(looking_child, &segid)),
		      "a local importer looked");
		xt_await("looked");
		xt_ok(!xt_wrong(mem, SIZE, XT_EVEN, 1), "p1's bytes stay");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, SIZE);
	} else if (xt_me == 2) {
		look_only(xt_await_num("segid"));
		xt_put("looked", "1");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

static void no_such(xpmem_segid_t segid, int want, const char *what)
{
	xpmem_apid_t apid;

	errno = 0;
	apid = xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	xt_ok(apid == -1 && errno == want, "%s: %s (%lld, errno %d)", what,
	      strerrorname_np(want), (long long)apid, errno);
}

static void forged(void)
{
	long long refused = xt_stat("refused-gets");
	xpmem_segid_t segid, stale;
	void *mem;

	xt_case("forged and stale");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		stale = xt_export(mem, SIZE, 0666);
		xt_ok(!xpmem_remove(stale), "xpmem_remove");
		segid = xt_export(mem, SIZE, 0666);
		xt_ok(segid != stale, "a segid is not used again");
		xt_ok(segid >> 48 == XT_HOME, "a segid names its home");
		xt_ok(segid > 0 && stale > 0, "a segid is positive");
		xt_put("stale", "%#llx", (long long)stale);
		xt_put("segid", "%#llx", (long long)segid);
	}
	segid = xt_await_num("segid");
	stale = xt_await_num("stale");
	no_such(stale, ENOENT, "a segment that was removed");
	no_such(segid ^ 1, ENOENT, "the next segid");
	no_such(segid ^ (1LL << 47), ENOENT, "another segid");
	no_such((segid & ((1LL << 48) - 1)) | (77LL << 48), EHOSTUNREACH,
		"a partition that does not exist");
	xt_barrier("asked");
	if (xt_me == XT_HOME) {
		xt_ok(xt_stat("refused-gets") > refused,
		      "refused gets are counted");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

struct stolen {
	xpmem_apid_t apid;
};

static void thief(void *arg)
{
	struct xpmem_addr addr = { .apid = ((struct stolen *)arg)->apid };
	void *at;

	errno = 0;
	at = xpmem_attach(addr, xt_page, NULL);
	xt_ok(at == (void *)-1 && errno == ENOENT,
	      "another process cannot attach it (errno %d)", errno);
	errno = 0;
	xt_ok(xpmem_release(addr.apid) == -1 && errno == ENOENT,
	      "nor release it (errno %d)", errno);
}

/* A permit is the right of one process. */
static void foreign(void)
{
	struct stolen stolen;
	xpmem_segid_t segid;
	void *mem;

	xt_case("permit of another process");
	if (xt_me == XT_HOME) {
		mem = xt_map(SIZE);
		segid = xt_export(mem, SIZE, 0666);
		xt_put("segid", "%#llx", (long long)segid);
		xt_await("tried");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
	} else if (xt_me == 2) {
		stolen.apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
		xt_ok(!xt_join(xt_spawn(thief, &stolen)), "it was tried");
		xt_load(xt_attach(stolen.apid, SIZE), NULL);
		xt_ok(!xpmem_release(stolen.apid), "its owner can");
		xt_put("tried", "1");
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

int main(void)
{
	xt_start("permit");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		apply(&rules[i]);
	read_only();
	forged();
	foreign();
	return xt_finish();
}
