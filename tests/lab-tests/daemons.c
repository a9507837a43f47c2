// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemons are not in the way: xpmemd and munged of p1 and p2 are killed and
 * started again.
 *
 * usage: daemons [KILLS]
 *
 * - killed under load: both sides store to memory of p1 all the time, while
 *   reclaim takes it from them; no store is lost, no access fails, no session
 *   ends, and what asks for a permit is answered by the kernels.
 * - no daemon, no session: gets fail by name, within a bound; they succeed once
 *   the daemon runs, and nobody has to do more than that.
 * - killed while they connect: a session comes all the same.
 */
#include "xt-lab.h"
#include "xt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define GROUP "daemons"
#define SIZE XT_MIB
#define MOVE_MS 120000 /* longest pass */
#define GET_MS 60000 /* bound of a get, and with it of a session's return */
#define CONNECTS 4

static int kills = 10;

/* Of this partition, shared with its child that stores. */
static struct shared {
	atomic_bool enough;
	_Atomic uint32_t pass;
} * shared;

static long long longest_get, longest_start;

static int other(void)
{
	return xt_me == XT_HOME ? 2 : XT_HOME;
}

static long long *longer(long long *longest, long long ms)
{
	if (ms > *longest)
		*longest = ms;
	return longest;
}

/* --- the load */

static void exporter(void *arg)
{
	uint32_t theirs;
	void *mem;

	(void)arg;
	xt_group_enter(GROUP);
	mem = xt_map(SIZE);
	xt_fill(mem, SIZE, XT_EVEN, 0);
	xt_fill(mem, SIZE, XT_ODD, 0);
	xt_put("segid", "%#llx", (long long)xt_export(mem, SIZE, 0666));
	xt_await("begin-storing");
	xt_ok(!xt_hammer(mem, SIZE, XT_EVEN, &shared->pass, &shared->enough),
	      "no store of p1 is lost");
	xt_put("passes-p1", "%u", shared->pass);
	theirs = xt_await_num("passes-p2");
	xt_ok(!xt_wrong(mem, SIZE, XT_ODD, theirs), "p1 sees p2's last stores");
	xt_await("left");
}

static void importer(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, SIZE);
	uint32_t theirs;

	(void)arg;
	xt_put("begin-storing", "1");
	xt_ok(!xt_hammer(at, SIZE, XT_ODD, &shared->pass, &shared->enough),
	      "no store of p2 is lost");
	xt_put("passes-p2", "%u", shared->pass);
	theirs = xt_await_num("passes-p1");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, theirs), "p2 sees p1's last stores");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
}

/* Whole passes, that began after now: nothing tells, so this looks. */
static bool moves_on(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	long long end = xt_ms() + MOVE_MS;
	uint32_t want = shared->pass + 2;

	while (shared->pass < want && xt_ms() < end)
		nanosleep(&pause, NULL);
	return shared->pass >= want;
}

/* 0 or errno; at most so many milliseconds are allowed for it. */
static int get(xpmem_segid_t segid)
{
	long long start = xt_ms();
	xpmem_apid_t apid;
	int error = 0;

	apid = xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	if (apid < 0)
		error = errno;
	else
		xt_need(!xpmem_release(apid), "xpmem_release");
	start = xt_ms() - start;
	if (start > *longer(&longest_get, start) || start > GET_MS)
		xt_fail("a get took %lld ms", start);
	return error;
}

/* --- killed under load */

struct round {
	const char *name; /* of the daemon; NULL: both */
	bool here, there;
};

static struct round round_number(int n)
{
	static const char *const names[] = { "xpmemd", "munged", NULL };
	const int who = n % 3; /* the one, the other, both */

	return (struct round){
		.name = names[n / 3 % 3],
		.here = who == 2 || who == xt_me - 1,
		.there = who == 2 || who == other() - 1,
	};
}

static void kill_daemons(const char *name)
{
	if (!name || !strcmp(name, "xpmemd"))
		xt_daemon_kill("xpmemd");
	if (!name || !strcmp(name, "munged"))
		xt_daemon_kill("munged");
}

static void start_daemon(const char *name)
{
	long long start = xt_ms();

	xt_ok(xt_daemon_start(name), "%s starts again", name);
	longer(&longest_start, xt_ms() - start);
}

static void start_daemons(const char *name)
{
	if (!name || !strcmp(name, "munged"))
		start_daemon("munged");
	if (!name || !strcmp(name, "xpmemd"))
		start_daemon("xpmemd");
}

static void meet_at(const char *step, int n)
{
	char key[32];

	snprintf(key, sizeof(key), "%s-%d", step, n);
	xt_barrier(key);
}

/* Meanwhile on p1 reclaim takes memory that both store to. */
static void kill_round(int n, xpmem_segid_t segid)
{
	const struct round r = round_number(n);
	const char *name = r.name ? r.name : "both";
	long long acked = xt_count("acked");
	int error;

	if (r.here)
		kill_daemons(r.name);
	meet_at("killed", n);
	if (xt_me == XT_HOME)
		xt_group_press(GROUP, SIZE / 4);
	xt_ok(moves_on(), "%d: p%d goes on without %s of %s", n, xt_me, name,
	      r.here && r.there ? "both sides" :
	      r.here		? "its own" :
				  "the other's");
	error = get(segid);
	xt_ok(!error, "%d: a get is answered (errno %d)", n, error);
	if (xt_me == XT_HOME)
		xt_note("%lld pages acknowledged meanwhile",
			xt_count("acked") - acked);
	meet_at("checked", n);
	if (r.here)
		start_daemons(r.name);
	xt_ok(xt_daemon_up(GET_MS), "%d: xpmemd of p%d knows the sessions", n,
	      xt_me);
	meet_at("back", n);
}

static void under_load(void)
{
	struct xt_look before = xt_look(other()), after;
	long long acked = xt_count("acked");
	xpmem_segid_t mine, theirs;
	void *mem = xt_map(xt_page);
	pid_t child;

	xt_case("killed under load");
	if (xt_me == XT_HOME)
		xt_group_create(GROUP);
	shared->enough = false;
	shared->pass = 0;
	child = xt_spawn(xt_me == XT_HOME ? exporter : importer, NULL);
	mine = xt_export(mem, xt_page, 0666);
	xt_put(xt_me == XT_HOME ? "p1" : "p2", "%#llx", (long long)mine);
	theirs = xt_await_num(xt_me == XT_HOME ? "p2" : "p1");
	xt_await("begin-storing");
	for (int n = 0; n < kills; n++)
		kill_round(n, theirs);
	after = xt_look(other());
	xt_ok(after.up && after.epoch == before.epoch && !after.lost,
	      "the session is the one of before");
	shared->enough = true;
	xt_ok(!xt_join(child), "who stored ends well");
	if (xt_me == XT_HOME) {
		acked = xt_count("acked") - acked;
		xt_ok(acked > 0, "%lld pages were taken back under the stores",
		      acked);
		xt_group_destroy(GROUP);
	}
	xt_ok(!xpmem_remove(mine), "xpmem_remove");
	munmap(mem, xt_page);
	xt_note("%d kills: %u passes; longest get %lld ms, longest start %lld ms",
		kills, shared->pass, longest_get, longest_start);
	xt_barrier("done");
	xt_nothing_left("then");
}

/* --- no daemon, no session */

static bool status_says(const char *words)
{
	FILE *out = popen("xpmemctl status", "re");
	char line[1024];
	bool found = false;

	xt_need(out != NULL, "xpmemctl status");
	while (fgets(line, sizeof(line), out)) {
		if (strstr(line, words))
			found = true;
		line[strcspn(line, "\n")] = '\0';
		xt_note("%.400s", line);
	}
	xt_need(!pclose(out), "xpmemctl status");
	return found;
}

/* A reason changes when the next attempt fails: this looks again. */
static bool status_comes_to_say(const char *words)
{
	const struct timespec pause = { .tv_nsec = 500000000 };
	long long end = xt_ms() + GET_MS;

	while (!status_says(words)) {
		if (xt_ms() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static void fails_by_name(xpmem_segid_t segid)
{
	int error = get(segid);

	xt_ok(error == EHOSTUNREACH,
	      "a get fails: there is no way to the partition (errno %d)",
	      error);
}

/* p2's is the daemon that is missing; p1 ends the session, and would connect. */
static void without(const char *name, xpmem_segid_t segid)
{
	struct xt_look old = xt_look(other());
	int error;

	if (xt_me == 2)
		xt_daemon_kill(name);
	meet_at(name, 1);
	if (xt_me == XT_HOME) {
		error = xt_session_finish(2);
		xt_ok(!error, "the session is closed (errno %d)", error);
	}
	meet_at(name, 2);
	xt_ok(xt_look_lost(other(), old.epoch, GET_MS), "it has ended");
	fails_by_name(segid);
	if (xt_me == XT_HOME && !strcmp(name, "munged"))
		xt_ok(status_comes_to_say("start munged"),
		      "p1's xpmemctl says what to start");
	else if (xt_me == XT_HOME)
		xt_ok(status_comes_to_say("connect"),
		      "p1's xpmemctl says what fails");
	fails_by_name(segid);
	meet_at(name, 3);
	if (xt_me == 2)
		start_daemon(name);
	xt_ok(xt_look_up(other(), old.epoch, GET_MS),
	      "with %s there is a new session", name);
	meet_at(name, 4);
	error = get(segid);
	xt_ok(!error, "and gets are answered (errno %d)", error);
	meet_at(name, 5);
}

static void no_session(void)
{
	void *mem = xt_map(xt_page);
	xpmem_segid_t mine, theirs;

	xt_case("no daemon, no session");
	mine = xt_export(mem, xt_page, 0666);
	xt_put(xt_me == XT_HOME ? "p1" : "p2", "%#llx", (long long)mine);
	theirs = xt_await_num(xt_me == XT_HOME ? "p2" : "p1");
	without("xpmemd", theirs);
	without("munged", theirs);
	xt_ok(!xpmem_remove(mine), "xpmem_remove");
	munmap(mem, xt_page);
	xt_barrier("done");
	xt_nothing_left("then");
}

/* --- killed while they connect */

static void while_connecting(void)
{
	int rounds = kills < CONNECTS ? kills : CONNECTS + kills / 10;

	xt_case("killed while they connect");
	for (int n = 0; n < rounds; n++) {
		struct xt_look old = xt_look(other());

		meet_at("looked", n);
		if (xt_me == XT_HOME)
			xt_ok(!xt_session_finish(2), "%d: closed", n);
		xt_look_lost(other(), old.epoch, GET_MS);
		/* Now they connect; each a little further than in the round before. */
		for (int i = 0; i < n * 4; i++)
			xt_count("segments");
		if (n % 2 == xt_me - 1) {
			xt_daemon_kill("xpmemd");
			start_daemon("xpmemd");
		}
		xt_ok(xt_look_up(other(), old.epoch, GET_MS),
		      "%d: a new session comes", n);
		meet_at("connected", n);
		xt_ok(xt_daemon_up(GET_MS), "%d: xpmemd of p%d knows it", n,
		      xt_me);
		meet_at("known", n);
	}
	xt_nothing_left("then");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		kills = atoi(argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_start("daemons");
	if (xt_nodes != 2 || kills < 1) {
		xt_skip("everything", "a run with --nodes 2, and kills");
		return xt_finish();
	}
	under_load();
	no_session();
	while_connecting();
	return xt_finish();
}
