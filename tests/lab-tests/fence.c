// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quarantine and fencing. p1 exports, p2 and p3 import.
 *
 *	p2 is paused: p1's xpmemd fences it by itself; its agent fails at first
 *	p3 is not heard any more, and comes back: nothing of its old session is
 *	released, and the new one starts from nothing
 *	p3 is cut off for good: fenced, with what it held before
 *
 * And p1's configuration is changed meanwhile: peers go and come while others
 * are not disturbed.
 */
#include "xt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGES 64
#define SIZE (PAGES * 4096UL)
#define PATIENCE_MS 300000
#define CONFIG "/etc/xpmem/xpmemd.conf"
#define AGENT "/run/fence-agent"
#define POWER "/run/fence-power" /* the agent works once that exists */

/* Of p1: what comes before its peers, and where p3 is said to be. */
struct conf {
	const char *head;
	int port_of_3; /* 0: p3 is no peer */
};

static bool run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static bool run(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return !system(command);
}

static void lab_ctl(const char *words)
{
	xt_ok(run("%s ctl %s", XT_LAB, words), "lab ctl %s", words);
}

/* What xpmemctl prints, as JSON on one line. */
static const char *ctl(const char *command)
{
	static char text[8192];
	char line[256];
	size_t n = 0, got;
	FILE *out;

	snprintf(line, sizeof(line), "xpmemctl --json %s 2>&1", command);
	out = popen(line, "re");
	xt_need(out != NULL, "popen");
	while ((got = fread(text + n, 1, sizeof(text) - 1 - n, out)) > 0)
		n += got;
	pclose(out);
	text[n] = '\0';
	return text;
}

/* Nothing tells a program what xpmemd is about: it asks again, every 100 ms. */
static bool says(const char *command, const char *what)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	long long end = xt_ms() + PATIENCE_MS;

	while (!strstr(ctl(command), what)) {
		if (xt_ms() > end) {
			xt_note("xpmemctl %s: %s", command, ctl(command));
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

static void write_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
	ssize_t length = strlen(text);

	xt_need(fd >= 0 && write(fd, text, length) == length, "write %s", path);
	close(fd);
}

/* The peers are those that the lab wrote into the file. */
static char *lab_conf;

static void read_conf(void)
{
	FILE *in = fopen(CONFIG, "re");
	size_t n;

	lab_conf = calloc(1, 8192);
	xt_need(in && lab_conf, "read " CONFIG);
	n = fread(lab_conf, 1, 8191, in);
	xt_need(n > 0 && strstr(lab_conf, "peer 3 {"), "peer 3 in " CONFIG);
	fclose(in);
}

static void write_conf(const struct conf *conf)
{
	char text[16384], *three;
	int n;

	n = snprintf(text, sizeof(text), "%s%s", conf->head, lab_conf);
	three = strstr(text, "peer 3 {");
	if (!conf->port_of_3)
		*three = '\0';
	else if (conf->port_of_3 != 7760)
		memcpy(strstr(three, " 7760"), " 7761", 5);
	xt_need(n < (int)sizeof(text), "a short configuration");
	write_file(CONFIG, 0644, text);
}

static bool reload(const char *head, int port_of_3)
{
	write_conf(&(struct conf){ head, port_of_3 });
	return run("xpmemctl reload");
}

#define BY_HAND ""
#define AUTO \
	"fence-command " AGENT "\nfence-options a=1 \"b=2 3\"\nfence-auto yes\n"

/* Peers that go, change and come; p2 has its attachment all the time. */
static void live_reload(void)
{
	xt_ok(!reload("nonsense 1\n", 7760),
	      "a wrong configuration is refused");
	xt_ok(run("xpmemctl wait-up --timeout 1 2 3"), "and changes nothing");
	xt_ok(reload(BY_HAND, 0), "p3 is no peer any more");
	xt_ok(!strstr(ctl("peers"), "\"partid\": 3"), "xpmemctl peers");
	/* In good order: what p3 held is not lost, but taken back. */
	xt_await("ended-3");
	xt_ok(xt_stat("quarantine") == 0, "nothing is in quarantine");
	xt_ok(reload(BY_HAND, 7761), "p3 is elsewhere");
	xt_ok(says("status", "Connection refused"), "where nobody listens");
	xt_ok(reload(BY_HAND, 7760), "p3 is back");
	xt_ok(run("xpmemctl wait-up --timeout 120 3"), "with a session");
	xt_put("reloaded", "1");
	xt_await("undisturbed-2");
}

/* p2 stops to answer, and the first attempt to power it off fails. */
static void automatic(void)
{
	write_file(AGENT, 0755,
		   "#!/bin/sh\n"
		   "[ -e " POWER " ] || { echo no such outlet >&2; exit 1; }\n"
		   "exec " XT_LAB "-fence-agent\n");
	xt_ok(reload(AUTO, 7760), "fencing is automatic from now on");
	xt_ok(run("xpmemctl wait-up --timeout 1 2 3"), "nobody was disturbed");
	lab_ctl("pause 2");
	xt_ok(xt_stat_is("quarantine", PAGES, PATIENCE_MS),
	      "what p2 may reach is in quarantine");
	xt_ok(says("quarantine", "no such outlet"), "the fence command fails");
	xt_note("%s", ctl("quarantine"));
	xt_ok(says("quarantine", "\"fence\": \"retry\""), "and is tried again");
	xt_ok(!run("xpmemctl fence 2 0x1234"),
	      "a fence of another epoch fails");
	xt_ok(xt_stat("quarantine") == PAGES, "and releases nothing");
	xt_ok(says("status", "\"evictions\": 1"), "p2 was evicted once");
	write_file(POWER, 0644, "");
	xt_ok(xt_stat_is("quarantine", 0, PATIENCE_MS),
	      "the next attempt lets the pages go");
	xt_ok(run(XT_LAB " ctl status | grep -qx 'partition 2 off'"),
	      "p2 is off");
	xt_ok(!strcmp(ctl("quarantine"), "[]\n"), "nothing is listed any more");
}

static const char *epoch_of(const char *list)
{
	static char epoch[32];
	const char *at = strstr(list, "\"epoch\": \"0x");

	xt_need(at && sscanf(at, "\"epoch\": \"%31[0-9a-fx]", epoch) == 1,
		"an epoch in %s", list);
	return epoch;
}

/* p1 does not hear p3 any more, for longer than the deadline. */
static void comes_back(void)
{
	char epoch[32];

	xt_ok(reload(BY_HAND, 7760), "fencing is not automatic any more");
	lab_ctl("cut 3:1");
	xt_ok(xt_stat_is("quarantine", PAGES, PATIENCE_MS),
	      "what p3 held is in quarantine");
	xt_ok(says("quarantine", "\"fence\": \"by-hand\""),
	      "for somebody to fence");
	snprintf(epoch, sizeof(epoch), "%s", epoch_of(ctl("quarantine")));
	lab_ctl("heal 3:1");
	xt_ok(run("xpmemctl wait-up --timeout 120 3"), "p3 comes back");
	xt_ok(says("quarantine", "\"fence\": \"up-again\""), "it is alive");
	xt_ok(!run("xpmemctl fence 3 %s", epoch), "so it is not fenced");
	xt_ok(xt_stat("quarantine") == PAGES, "and the pages stay");
	xt_put("back", "1");
	xt_await("again-3");
	xt_ok(xt_stat("quarantine") == PAGES,
	      "what the new session has is not");
}

/* Then it is cut off for good. */
static void lost_twice(void)
{
	xt_await("parted-3");
	lab_ctl("cut 3");
	xt_ok(xt_stat_over("quarantine", PAGES + 1, PATIENCE_MS),
	      "what both sessions held is in quarantine");
	xt_note("%s", ctl("quarantine"));
	xt_ok(reload(AUTO, 7760), "fencing is automatic again");
	xt_ok(xt_stat_is("quarantine", 0, PATIENCE_MS), "both are let go");
	xt_ok(run(XT_LAB " ctl status | grep -qx 'partition 3 off'"),
	      "p3 is off");
}

/* A segment for p2 and one for p3: each holds all of its own. */
static void home(void)
{
	xpmem_segid_t two, three;
	char *mem = xt_map(2 * SIZE);

	read_conf();
	xt_fill(mem, SIZE, XT_EVEN, 1);
	xt_fill(mem + SIZE, SIZE, XT_EVEN, 1);
	two = xt_export(mem, SIZE, 0666);
	three = xt_export(mem + SIZE, SIZE, 0666);
	xt_put("segid-2", "%#llx", (long long)two);
	xt_put("segid-3", "%#llx", (long long)three);
	xt_await("attached-2");
	xt_await("attached-3");
	live_reload();
	xt_await("reattached-3");
	xt_await("parted-2");
	automatic();
	comes_back();
	lost_twice();
	xt_ok(!xpmem_remove(two) && !xpmem_remove(three), "xpmem_remove");
	xt_nothing_left("on p1");
}

static void *attach_all(const char *segid, xpmem_apid_t *apid)
{
	char *at;

	*apid = xt_permit(xt_await_num(segid), XPMEM_RDWR);
	at = xt_attach(*apid, SIZE);
	/* Every page, written: all of them are exported to us. */
	xt_fill(at, SIZE, XT_ODD, 2);
	return at;
}

static void second(void)
{
	xpmem_apid_t apid;
	void *at = attach_all("segid-2", &apid);

	xt_put("attached-2", "1");
	xt_await("reloaded");
	xt_ok(!xt_wrong(at, SIZE, XT_ODD, 2) &&
		      xt_store(at, xt_word(1, 0)) == 0,
	      "p2 was not disturbed");
	xt_put("undisturbed-2", "1");
	xt_leave();
}

static void third(void)
{
	xpmem_apid_t apid;
	void *at = attach_all("segid-3", &apid);

	xt_put("attached-3", "1");
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "the session is closed");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("ended-3", "1");
	xt_await("reloaded");
	xt_ok(run("xpmemctl wait-up --timeout 120 1"), "a session again");
	at = attach_all("segid-3", &apid);
	xt_put("reattached-3", "1");
	xt_await("back");
	xt_ok(xt_touch_ends(at, PATIENCE_MS), "what was lost stays lost");
	xt_ok(xpmem_attach((struct xpmem_addr){ .apid = apid }, SIZE, NULL) ==
			      (void *)-1 ||
		      xt_touch_ends(at, 1000),
	      "its permit gives nothing");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_ok(run("xpmemctl wait-up --timeout 120 1"), "a new session");
	at = attach_all("segid-3", &apid);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the new one has the bytes");
	xt_put("again-3", "1");
	xt_leave();
}

int main(void)
{
	char key[16];

	xt_start("fence");
	xt_case("fence");
	if (xt_nodes != 3) {
		xt_skip("everything", "a run with --nodes 3");
		return xt_finish();
	}
	if (xt_me == 1) {
		home();
		return xt_part();
	}
	if (xt_me == 2)
		second();
	else
		third();
	/* The plan first: there is no end after the power is gone. */
	xt_part();
	snprintf(key, sizeof(key), "parted-%d", xt_me);
	xt_put(key, "1");
	xt_await("the power is gone");
	return 1;
}
