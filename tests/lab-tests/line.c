// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody on the line between two partitions. The configuration of p1 is
 * changed so that its xpmemd reaches p2 through a process of ours, which
 * alters, drops, repeats and exchanges what passes, in the handshake and in the
 * session: the session is lost, the next one comes up, and bytes are right. Then
 * both want no TLS, one after the other.
 *
 *	p1: xpmemd, module ---- the line (on p1) ---- p2: xpmemd, module
 */
#include "xt-line.h"
#include "xt-netlink.h"
#include "xt.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define CONFIG "/etc/xpmem/xpmemd.conf"
#define ADDRESS "address 10.77.0.2 7760"
#define PEER_PORT 7760
#define PAGES 8
#define ROUNDS 40 /* of a latency */

static struct xt_nl events;
static char original[4096];
static uint16_t line_port;

static pid_t daemon_pid(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	char path[300], name[32];
	pid_t pid = 0;
	FILE *in;

	xt_need(dir != NULL, "open /proc");
	while (!pid && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		in = fopen(path, "re");
		if (!in)
			continue;
		if (fgets(name, sizeof(name), in) && !strcmp(name, "xpmemd\n"))
			pid = atoi(entry->d_name);
		fclose(in);
	}
	closedir(dir);
	xt_need(pid > 0, "xpmemd runs");
	return pid;
}

static void read_config(void)
{
	FILE *in = fopen(CONFIG, "re");
	size_t length;

	xt_need(in != NULL, "open " CONFIG);
	length = fread(original, 1, sizeof(original) - 1, in);
	original[length] = '\0';
	fclose(in);
}

/* The original, with another way to p2, without TLS, or both. */
static void reload(bool through_line, bool plain)
{
	const char *at = strstr(original, ADDRESS);
	FILE *out = fopen(CONFIG, "we");

	xt_need(out != NULL, "write " CONFIG);
	if (plain)
		fprintf(out, "security plain\n");
	if (through_line) {
		xt_need(at != NULL, "\"" ADDRESS "\" in " CONFIG);
		fprintf(out, "%.*saddress 127.0.0.1 %u%s", (int)(at - original),
			original, line_port, at + strlen(ADDRESS));
	} else {
		fputs(original, out);
	}
	xt_need(!fclose(out), "write " CONFIG);
	xt_need(!kill(daemon_pid(), SIGHUP), "SIGHUP");
}

/* p2 does what p1 tells it; each order has its number. */
static int orders;

static void __attribute__((format(printf, 1, 2))) order(const char *fmt, ...)
{
	char key[32], text[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(key, sizeof(key), "order-%d", ++orders);
	xt_put(key, "%s", text);
}

static void order_done(void)
{
	char key[32];

	snprintf(key, sizeof(key), "done-%d", orders);
	xt_await(key);
}

/* New memory of p1, and what p2 makes of it. */
static void exchange(const char *after)
{
	const size_t size = PAGES * xt_page;
	char *mem = xt_map(size);
	xpmem_segid_t segid;

	xt_fill(mem, size, XT_EVEN, orders);
	segid = xt_export(mem, size, 0666);
	order("exchange %#llx %d", (long long)segid, orders);
	order_done();
	xt_ok(!xt_wrong(mem, size, XT_ODD, orders), "%s: p1 sees p2's bytes",
	      after);
	xt_ok(!xpmem_remove(segid), "%s: xpmem_remove", after);
	munmap(mem, size);
}

static void do_exchange(const char *text)
{
	const size_t size = PAGES * xt_page;
	xpmem_apid_t apid;
	long long segid;
	int seed;
	void *at;

	xt_need(sscanf(text, "%lli %d", &segid, &seed) == 2, "an order");
	xt_need(!system("xpmemctl wait-up 1 --timeout 120"), "a session");
	apid = xt_permit(segid, XPMEM_RDWR);
	at = xt_attach(apid, size);
	xt_ok(!xt_wrong(at, size, XT_EVEN, seed), "p2 sees p1's bytes");
	xt_fill(at, size, XT_ODD, seed + 1);
	xt_need(!xpmem_detach(at) && !xpmem_release(apid), "detach");
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return x < y ? -1 : x > y;
}

/* The least says more than the median while the host does other things. */
static void tell(const char *session, const char *what, long long *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	xt_note("%s: a %s of one page takes %lld us at least, %lld in the median of %d",
		session, what, values[0], values[ROUNDS / 2], ROUNDS);
}

static void latency(const char *what)
{
	volatile char *mem = xt_map(xt_page);
	long long took[ROUNDS], start;
	xpmem_segid_t segid;
	char key[48];

	mem[0] = 1;
	segid = xt_export((void *)mem, xt_page, 0666);
	order("latency %#llx %s", (long long)segid, what);
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(key, sizeof(key), "touched-%s-%d", what, i);
		xt_await(key);
		start = now_us();
		xt_need(!madvise((void *)mem, xt_page, MADV_DONTNEED),
			"madvise");
		took[i] = now_us() - start;
		mem[0] = 1;
		snprintf(key, sizeof(key), "taken-%s-%d", what, i);
		xt_put(key, "1");
	}
	order_done();
	tell(what, "revoke", took);
	xt_ok(!xpmem_remove(segid), "latency: xpmem_remove");
	munmap((void *)mem, xt_page);
}

static void do_latency(const char *text)
{
	long long took[ROUNDS], segid, start;
	char key[48], what[16];
	volatile char *at;
	xpmem_apid_t apid;

	xt_need(sscanf(text, "%lli %15s", &segid, what) == 2, "an order");
	xt_need(!system("xpmemctl wait-up 1 --timeout 120"), "a session");
	apid = xt_permit(segid, XPMEM_RDWR);
	at = xt_attach(apid, xt_page);
	for (int i = 0; i < ROUNDS; i++) {
		start = now_us();
		xt_need(at[0] == 1, "p1's byte");
		took[i] = now_us() - start;
		snprintf(key, sizeof(key), "touched-%s-%d", what, i);
		xt_put(key, "1");
		snprintf(key, sizeof(key), "taken-%s-%d", what, i);
		xt_await(key);
	}
	tell(what, "fetch", took);
	xt_need(!xpmem_detach((void *)at) && !xpmem_release(apid), "detach");
}

static void follow_orders(void)
{
	const char *text;
	char key[32];

	for (;;) {
		snprintf(key, sizeof(key), "order-%d", ++orders);
		text = xt_await(key);
		if (!strcmp(text, "end"))
			return;
		if (!strncmp(text, "exchange ", 9))
			do_exchange(text + 9);
		else if (!strncmp(text, "latency ", 8))
			do_latency(text + 8);
		else
			reload(false, !strcmp(text, "plain"));
		snprintf(key, sizeof(key), "done-%d", orders);
		xt_put(key, "1");
	}
}

static void in_session(void)
{
	static const struct {
		enum xt_fault fault;
		int from;
		size_t offset;
	} cases[] = {
		{ XT_ALTER, 0, 20 },	 { XT_ALTER, 1, 4 },
		{ XT_ALTER, 1, 53 },	 { XT_DROP, 1, 0 },
		{ XT_REPEAT, 0, 40 },	 { XT_CUT, 1, 17 },
		{ XT_DROP_ALL, 1, 0 },	 { XT_REPEAT_ALL, 1, 0 },
		{ XT_REPEAT_ALL, 0, 0 }, { XT_EXCHANGE_ALL, 1, 0 },
	};
	char what[96];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(what, sizeof(what), "%s, byte %zu of p%d",
			 xt_fault_name(cases[i].fault), cases[i].offset,
			 cases[i].from + 1);
		xt_line_fault(cases[i].fault, cases[i].from, cases[i].offset,
			      false);
		xt_ok(true, "%s: lost, \"%s\"", what,
		      xt_session_end(&events, 2));
		xt_session_begin(&events, 2);
		exchange(what);
	}
}

/* Not the very last bytes: then p1 has a session already, and loses it. */
static void in_handshake(void)
{
	static const struct {
		enum xt_fault fault;
		int from;
		size_t offset;
	} cases[] = {
		{ XT_ALTER, 0, 60 },	  { XT_ALTER, 1, 300 },
		{ XT_REPEAT_ALL, 0, 90 }, { XT_ALTER, 1, 600 },
		{ XT_CUT, 0, 600 },
	};
	char what[96];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(what, sizeof(what), "handshake: %s, byte %zu of p%d",
			 xt_fault_name(cases[i].fault), cases[i].offset,
			 cases[i].from + 1);
		xt_line_fault(cases[i].fault, cases[i].from, cases[i].offset,
			      true);
		xt_line_cut();
		xt_session_end(&events, 2);
		xt_session_begin(&events, 2);
		xt_ok(xt_line_done(), "%s: done", what);
		exchange(what);
	}
}

/* The epoch of the session that is up: it is in each message. */
static uint64_t epoch_up(void)
{
	const struct nlattr *attr = xt_nl_attr(&events, XPMEM_A_EPOCH);

	return *(const uint64_t *)xt_nl_data(attr);
}

/* Nothing tells that it was tried in vain: this looks, every 100 ms. */
static bool status_says(const char *want)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	long long end = xt_ms() + 120000;
	char text[4096];

	do {
		FILE *in = popen("xpmemctl status", "re");
		size_t n;

		xt_need(in != NULL, "xpmemctl status");
		n = fread(text, 1, sizeof(text) - 1, in);
		text[n] = '\0';
		pclose(in);
		if (strstr(text, want))
			return true;
		nanosleep(&pause, NULL);
	} while (xt_ms() < end);
	return false;
}

static void without_tls(void)
{
	reload(true, true);
	xt_session_end(&events, 2);
	xt_ok(status_says(
		      "the security of partition 2 is tls, of partition 1 plain"),
	      "only p1 wants no TLS: refused, and xpmemctl status says why");
	order("plain");
	order_done();
	xt_session_begin(&events, 2);
	xt_ok(xt_line_shows(epoch_up()),
	      "without TLS the line shows the epoch");
	exchange("without TLS");
	reload(true, false);
	xt_session_end(&events, 2);
	xt_ok(status_says(
		      "the security of partition 2 is plain, of partition 1 tls"),
	      "only p2 wants no TLS: refused, and xpmemctl status says why");
	reload(false, true);
	xt_session_begin(&events, 2);
	latency("plain");
}

static void drive(void)
{
	xt_nl_open(&events);
	xt_nl_listen(&events);
	line_port = xt_line_open("10.77.0.2", PEER_PORT);
	exchange("directly");
	reload(true, false);
	xt_session_end(&events, 2);
	xt_session_begin(&events, 2);
	xt_ok(!xt_line_shows(epoch_up()), "with TLS the line does not show it");
	exchange("through the line");
	in_session();
	in_handshake();
	without_tls();
	order("tls");
	order_done();
	reload(false, false);
	xt_session_begin(&events, 2);
	exchange("directly again");
	/* Right after the other one: by now both have run before. */
	latency("tls");
	order("end");
}

int main(void)
{
	xt_start("line");
	read_config();
	xt_case("line");
	if (xt_me == XT_HOME)
		drive();
	else if (xt_me == 2)
		follow_orders();
	xt_nothing_left("at the end");
	return xt_finish();
}
