// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bad network between p1, the home, and p2.
 *
 * usage: lossy [DEADLINE_MS [ROUNDS]]
 *
 * - loss of 0.1, 1 and 10 % each way, while both sides store to memory that reclaim
 *   takes from them: no store is lost, no session, and nothing is in quarantine.
 * - sessions that are closed and made again while one packet in ten is lost: an
 *   orderly end stays one.
 * - a link that is cut in one direction, for less than the deadline, again and
 *   again: as if nothing had been.
 * - cut in one direction for longer: p2's accesses end while it lasts, the home has
 *   its memory back, gets fail by name; afterwards there is a new session, by
 *   itself. What p2 may have reached stays in quarantine until it is off.
 */
#include "xt-lab.h"
#include "xt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROUP "lossy"
#define SIZE XT_MIB
#define PAGES 64
#define PATIENCE_MS 180000
#define RECLAIMED 256 /* pages acknowledged in a round */

static int deadline_ms = 10000, rounds = 3;

/* Of this partition, shared with its child that stores. */
static struct shared {
	atomic_bool enough;
	_Atomic uint32_t pass;
} * shared;

static int other(void)
{
	return xt_me == XT_HOME ? 2 : XT_HOME;
}

static void meet_at(const char *step, int n)
{
	char key[48];

	snprintf(key, sizeof(key), "%s-%d", step, n);
	xt_barrier(key);
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

static pid_t load_start(void)
{
	pid_t child;

	if (xt_me == XT_HOME)
		xt_group_create(GROUP);
	shared->enough = false;
	shared->pass = 0;
	child = xt_spawn(xt_me == XT_HOME ? exporter : importer, NULL);
	xt_await("begin-storing");
	return child;
}

static void load_end(pid_t child, const struct xt_look *before)
{
	struct xt_look after = xt_look(other());

	xt_ok(after.up && after.epoch == before->epoch,
	      "the session is the one of before");
	xt_ok(!after.lost && !after.quarantine &&
		      after.evictions == before->evictions,
	      "nobody was taken for lost");
	shared->enough = true;
	xt_ok(!xt_join(child), "who stored ends well");
	if (xt_me == XT_HOME)
		xt_group_destroy(GROUP);
	xt_barrier("done");
	xt_nothing_left("then");
}

/* Reclaim on p1, until so many pages were taken from p2. */
static bool press(void)
{
	long long goal = xt_count("acked") + RECLAIMED;
	long long end = xt_ms() + PATIENCE_MS;

	while (xt_count("acked") < goal) {
		if (xt_ms() > end)
			return false;
		xt_group_press(GROUP, SIZE / 4);
		xt_rest(5);
	}
	return true;
}

/* --- loss */

static void loss(const char *percent)
{
	struct xt_look before = xt_look(other());
	char name[32];
	pid_t child;

	snprintf(name, sizeof(name), "%s of packets lost", percent);
	xt_case(name);
	child = load_start();
	if (xt_me == XT_HOME) {
		long long start = xt_ms();

		xt_lab("net 1-2 loss=%s", percent);
		for (int n = 0; n < rounds; n++)
			xt_ok(press(), "%d pages are taken back", RECLAIMED);
		xt_lab("net 1-2 none");
		xt_note("%d rounds in %lld ms; longest wait so far %llu us",
			rounds, xt_ms() - start,
			(unsigned long long)xt_look(2).wait_max_us);
	}
	xt_barrier("pressed");
	xt_ok(shared->pass > 0, "p%d made %u passes", xt_me, shared->pass);
	load_end(child, &before);
}

/* --- sessions end and begin */

/* p2 has all of it mapped; until its touch is SIGBUS. */
static void hold_until_end(const char *key)
{
	xpmem_apid_t apid = xt_permit(xt_await_num(key), XPMEM_RDWR);
	char *at = xt_attach(apid, PAGES * xt_page);

	xt_fill(at, PAGES * xt_page, XT_ODD, 2);
	meet_at(key, 1);
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "p2's touch is SIGBUS then");
	xt_ok(!xpmem_release(apid), "xpmem_release");
}

static char *offer(const char *key, xpmem_segid_t *segid)
{
	char *mem = xt_map(PAGES * xt_page);

	xt_fill(mem, PAGES * xt_page, XT_EVEN, 1);
	*segid = xt_export(mem, PAGES * xt_page, 0666);
	xt_put(key, "%#llx", (long long)*segid);
	return mem;
}

static void close_once(int n)
{
	struct xt_look old = xt_look(other());
	xpmem_segid_t segid = 0;
	char key[32], *mem = NULL;
	int error, who = 1 + n % 2;

	snprintf(key, sizeof(key), "closing-%d", n);
	if (xt_me == XT_HOME) {
		mem = offer(key, &segid);
		meet_at(key, 1);
	} else if (who == 2) {
		/* Its own end of the session is what ends its touches. */
		xpmem_apid_t apid = xt_permit(xt_await_num(key), XPMEM_RDWR);
		char *at = xt_attach(apid, PAGES * xt_page);

		xt_fill(at, PAGES * xt_page, XT_ODD, 2);
		meet_at(key, 1);
		xt_ok(!xt_session_finish(XT_HOME), "p2 closes the session");
		xt_ok(xt_load(at, NULL) == SIGBUS, "its touch is SIGBUS");
		xt_ok(!xpmem_release(apid), "xpmem_release");
	} else {
		hold_until_end(key);
	}
	if (xt_me == XT_HOME && who == XT_HOME) {
		error = xt_session_finish(2);
		xt_ok(!error, "p1 closes the session (errno %d)", error);
	}
	xt_ok(xt_look_up(other(), old.epoch, PATIENCE_MS),
	      "there is a new session");
	xt_ok(!xt_count("quarantine"), "nothing is in quarantine");
	if (mem) {
		xt_ok(!xt_wrong(mem, PAGES * xt_page, XT_ODD, 2),
		      "p1 sees p2's stores");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
		munmap(mem, PAGES * xt_page);
	}
	meet_at(key, 2);
}

static void closes(void)
{
	xt_case("sessions closed under loss");
	if (xt_me == XT_HOME)
		xt_lab("net 1-2 loss=10%%");
	for (int n = 0; n < 2 * rounds; n++)
		close_once(n);
	if (xt_me == XT_HOME)
		xt_lab("net 1-2 none");
	xt_barrier("done");
	xt_nothing_left("then");
}

/* --- short cuts */

static void short_cuts(void)
{
	static const char *const ways[] = { "1:2", "2:1", "1-2" };
	struct xt_look before = xt_look(other());
	pid_t child;

	xt_case("short cuts");
	child = load_start();
	for (int n = 0; n < 2 * rounds && xt_me == XT_HOME; n++) {
		/* After a cut TCP may wait as long again before it tries anew. */
		const int step = n < rounds ? rounds : n - rounds + 1;
		const int ms = (long long)deadline_ms / 3 * step / rounds;

		xt_lab("cut %s", ways[n % 3]);
		/* What is tested is that time. */
		xt_rest(ms);
		xt_lab("heal %s", ways[n % 3]);
		xt_ok(press(), "after %d ms without %s all goes on", ms,
		      ways[n % 3]);
	}
	xt_barrier("healed");
	load_end(child, &before);
}

/* --- long ones */

static void gets_fail(xpmem_segid_t segid)
{
	long long start = xt_ms();
	xpmem_apid_t apid =
		xpmem_get(segid, XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	int error = errno;

	xt_ok(apid == -1 && error == EHOSTUNREACH,
	      "p%d's get fails by name (errno %d), after %lld ms", xt_me, error,
	      xt_ms() - start);
}

/* Neither side's bytes have to reach the other for any of it. */
static void cut_home(const char *way, int n)
{
	struct xt_look old = xt_look(2);
	xpmem_segid_t segid;
	char *mem = offer("held", &segid);
	long long start;

	/* Not over the link: what it still carries is lost with it. */
	xt_need(xt_flag_await(PATIENCE_MS, "lossy-held-%d", n), "p2 has it");
	xt_lab("cut %s", way);
	xt_flag("lossy-cut-%d", n);
	start = xt_ms();
	munmap(mem, PAGES * xt_page / 2);
	start = xt_ms() - start;
	xt_ok(start < 2 * deadline_ms + 10000,
	      "the home waited %lld ms for its memory", start);
	xt_ok(xt_look_lost(2, old.epoch, PATIENCE_MS), "p2 is lost");
	gets_fail(2ULL << 48 | 1);
	xt_need(xt_flag_await(PATIENCE_MS, "lossy-ended-%d", n),
		"p2's accesses end while it lasts");
	xt_lab("heal %s", way);
	xt_flag("lossy-healed-%d", n);
	xt_ok(xt_look_up(2, old.epoch, PATIENCE_MS),
	      "there is a new session, by itself");
	xt_barrier("up");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem + PAGES * xt_page / 2, PAGES * xt_page / 2);
}

static void cut_importer(int n)
{
	struct xt_look old = xt_look(XT_HOME);
	xpmem_segid_t segid = xt_await_num("held");
	xpmem_apid_t apid = xt_permit(segid, XPMEM_RDWR);
	char *at = xt_attach(apid, PAGES * xt_page);

	xt_fill(at, PAGES * xt_page, XT_ODD, 2);
	xt_flag("lossy-held-%d", n);
	xt_need(xt_flag_await(PATIENCE_MS, "lossy-cut-%d", n), "p1 cuts");
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "p2's touch is SIGBUS then");
	xt_ok(xt_touch_ends(at + (PAGES - 1) * xt_page, PATIENCE_MS),
	      "and so is every other");
	gets_fail(segid);
	xt_flag("lossy-ended-%d", n);
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_need(xt_flag_await(PATIENCE_MS, "lossy-healed-%d", n), "p1 heals");
	xt_ok(xt_look_up(XT_HOME, old.epoch, PATIENCE_MS),
	      "there is a new session, by itself");
	apid = xt_permit(segid, XPMEM_RDWR);
	at = xt_attach(apid, PAGES * xt_page);
	xt_ok(*(uint64_t *)(at + PAGES * xt_page / 2) ==
		      xt_word(1, PAGES * xt_page / 2 / sizeof(uint64_t)),
	      "a new attachment shows what the home still has");
	xt_ok(xt_load(at, NULL) == SIGBUS, "and only that");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_barrier("up");
}

static void long_cut(const char *way, int n)
{
	char name[48];

	snprintf(name, sizeof(name), "long cut %s", way);
	xt_case(name);
	if (xt_me == XT_HOME)
		cut_home(way, n);
	else
		cut_importer(n);
}

/* p2 can reach nothing any more: only then is it all over. */
static int over(void)
{
	xt_case("no power");
	if (xt_me != XT_HOME) {
		int status = xt_part();

		xt_leave();
		xt_flag("lossy-parted");
		/* A failure has been told; the power goes. */
		xt_await("never");
		return status;
	}
	xt_leave();
	xt_ok(xt_count("quarantine") == 3 * PAGES,
	      "%lld pages are in quarantine: those of %d long cuts",
	      xt_count("quarantine"), 3);
	xt_need(xt_flag_await(PATIENCE_MS, "lossy-parted"), "p2 has parted");
	xt_lab("poweroff 2");
	xt_ok(xt_look_lost(2, xt_look(2).epoch, PATIENCE_MS), "p2 is lost");
	xt_ok(!system("xpmemctl fence 2"), "xpmemctl fence 2");
	xt_nothing_left("then");
	return xt_part();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		deadline_ms = atoi(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xt_start("lossy");
	if (xt_nodes != 2 || deadline_ms < 2000 || rounds < 1) {
		xt_skip("everything", "two partitions, a deadline of 2 s");
		return xt_finish();
	}
	xt_case("times");
	xt_daemon_new_times(deadline_ms / 20, deadline_ms);
	loss("0.1%");
	loss("1%");
	loss("10%");
	closes();
	short_cuts();
	long_cut("2:1", 1);
	long_cut("1:2", 2);
	long_cut("1-2", 3);
	return over();
}
