// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: faults, see xt-lab.h.
 */
#include "xt-lab.h"
#include "xt-netlink.h"
#include "xt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#define PORT "/dev/virtio-ports/xpmem.ctl"
#define PORT_LOCK "/run/lab/ctl.lock"
#define CONFIG "/etc/xpmem/xpmemd.conf"
#define COUNTERS "/sys/class/misc/xpmem/xpmem/"
#define TRACE "/sys/kernel/tracing/instances/xt"
#define END_MS 120000 /* longest deadline of a test, and more */
#define XT_NODES_MAX 8
#define DAEMONS "/sys/fs/cgroup/lab/cgroup.procs"

void xt_rest(int ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000,
					.tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

/* --- the lab */

/*
 * A request is "TOKEN WORD...", its answer "TOKEN JSON". What a killed caller left
 * in the port has another token.
 */
static void read_answer(int port, const char *token, char *answer, size_t size)
{
	const size_t length = strlen(token);
	size_t got = 0;
	ssize_t n;

	do {
		got = 0;
		do {
			n = read(port, answer + got, 1);
			xt_need(n == 1, "an answer of the lab");
		} while (answer[got++] != '\n' && got < size);
		answer[got - 1] = '\0';
	} while (strncmp(answer, token, length) || answer[length] != ' ');
}

void xt_lab(const char *fmt, ...)
{
	static unsigned int count;
	char line[160], answer[1024], token[32];
	int lock, port, start, len;
	va_list args;

	snprintf(token, sizeof(token), "xt%d.%u", getpid(), count++);
	start = snprintf(line, sizeof(line), "\n%s ", token);
	va_start(args, fmt);
	len = start +
	      vsnprintf(line + start, sizeof(line) - start - 1, fmt, args);
	va_end(args);
	xt_need(len < (int)sizeof(line) - 1, "a short request");
	line[len] = '\n';
	lock = open(PORT_LOCK, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	xt_need(lock >= 0 && !flock(lock, LOCK_EX), "lock %s", PORT_LOCK);
	port = open(PORT, O_RDWR | O_CLOEXEC);
	xt_need(port >= 0, "open %s", PORT);
	xt_need(write(port, line, len + 1) == len + 1, "write to %s", PORT);
	read_answer(port, token, answer, sizeof(answer));
	close(port);
	close(lock);
	line[len] = '\0';
	xt_need(strstr(answer, "\"ok\": true") != NULL, "lab ctl %s: %s",
		line + start, answer);
}

/* --- events beside the network */

static const char *flag_path(const char *fmt, va_list args)
{
	static char path[256];
	const char *share = getenv("XPMEM_SHARE");
	int len;

	xt_need(share != NULL, "XPMEM_SHARE is set");
	len = snprintf(path, sizeof(path), "%s/", share);
	vsnprintf(path + len, sizeof(path) - len, fmt, args);
	return path;
}

void xt_flag(const char *fmt, ...)
{
	const char *path;
	va_list args;
	int fd;

	va_start(args, fmt);
	path = flag_path(fmt, args);
	va_end(args);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	xt_need(fd >= 0, "create %s", path);
	close(fd);
}

static bool flagged(const char *path)
{
	return !access(path, F_OK);
}

bool xt_flagged(const char *fmt, ...)
{
	va_list args;
	bool there;

	va_start(args, fmt);
	there = flagged(flag_path(fmt, args));
	va_end(args);
	return there;
}

bool xt_flag_await(int ms, const char *fmt, ...)
{
	long long end = xt_ms() + ms;
	const char *path;
	va_list args;

	va_start(args, fmt);
	path = flag_path(fmt, args);
	va_end(args);
	while (!flagged(path)) {
		if (xt_ms() > end) {
			xt_note("no %s after %d ms", strrchr(path, '/') + 1,
				ms);
			return false;
		}
		xt_rest(5);
	}
	return true;
}

/* --- the module's trace, in an instance of our own */

static void trace_write(const char *file, const char *text)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), TRACE "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	xt_need(fd >= 0 && write(fd, text, strlen(text)) > 0, "write %s to %s",
		text, path);
	close(fd);
}

int xt_trace_open(const char *event)
{
	char file[96];
	int fd;

	xt_need(!mkdir(TRACE, 0700), "make %s", TRACE);
	snprintf(file, sizeof(file), "events/xpmem/%s/enable", event);
	trace_write(file, "1");
	fd = open(TRACE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	xt_need(fd >= 0, "open %s/trace_pipe", TRACE);
	return fd;
}

bool xt_trace_await(int trace, int ms)
{
	struct pollfd ready = { .fd = trace, .events = POLLIN };
	char lines[4096];

	if (poll(&ready, 1, ms) <= 0)
		return false;
	while (read(trace, lines, sizeof(lines)) > 0)
		;
	return true;
}

void xt_trace_close(int trace)
{
	close(trace);
	xt_need(!rmdir(TRACE), "remove %s", TRACE);
}

/* --- the daemons */

static bool is_named(pid_t pid, const char *name)
{
	char path[64], comm[32] = "";
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	in = fopen(path, "re");
	if (!in)
		return false;
	if (!fgets(comm, sizeof(comm), in))
		comm[0] = '\0';
	fclose(in);
	comm[strcspn(comm, "\n")] = '\0';
	return !strcmp(comm, name);
}

/* A process that somebody else waits for. */
static void kill_stranger(pid_t pid)
{
	struct pollfd ends = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	if (ends.fd < 0 && errno == ESRCH)
		return;
	xt_need(ends.fd >= 0, "pidfd_open of %d", pid);
	kill(pid, SIGKILL);
	xt_need(poll(&ends, 1, XT_DEATH_MS) == 1, "process %d dies", pid);
	close(ends.fd);
}

void xt_daemon_kill(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int killed = 0;

	xt_need(proc != NULL, "open /proc");
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || !is_named(pid, name))
			continue;
		kill_stranger(pid);
		killed++;
	}
	closedir(proc);
	xt_need(killed > 0, "%s ran until it was killed", name);
}

/* As guest-init does it; in its group, so that the tear-down knows it. */
static void run_daemon(const char *name)
{
	int fd = open(DAEMONS, O_WRONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || null < 0 || write(fd, "0", 1) != 1)
		_exit(126);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!strcmp(name, "munged"))
		execlp("setpriv", "setpriv", "--reuid", "munge", "--regid",
		       "munge", "--clear-groups", "/usr/sbin/munged",
		       "--key-file", "/run/munge/munge.key", NULL);
	else
		execlp(name, name, NULL);
	_exit(127);
}

/* The daemon goes to the background when it is ready: its parent's end tells. */
bool xt_daemon_start(const char *name)
{
	pid_t pid = fork();
	int status;

	xt_need(pid >= 0, "fork");
	if (!pid)
		run_daemon(name);
	while (waitpid(pid, &status, 0) < 0)
		xt_need(errno == EINTR, "waitpid");
	if (status)
		xt_note("%s: wait status %#x", name, status);
	return !status;
}

bool xt_daemon_up(int ms)
{
	char command[80];

	snprintf(command, sizeof(command), "xpmemctl wait-up --timeout %d.%03d",
		 ms / 1000, ms % 1000);
	return !system(command);
}

/* What the file said of them before goes. */
static void set_times(int heartbeat_ms, int deadline_ms)
{
	FILE *in = fopen(CONFIG, "re"), *out = fopen(CONFIG ".new", "we");
	char line[256];

	xt_need(in && out, "open %s", CONFIG);
	while (fgets(line, sizeof(line), in))
		if (strncmp(line, "heartbeat", 9) &&
		    strncmp(line, "deadline", 8))
			fputs(line, out);
	fprintf(out, "heartbeat %d\ndeadline %d\n", heartbeat_ms, deadline_ms);
	fclose(in);
	xt_need(!fclose(out) && !rename(CONFIG ".new", CONFIG), "write %s",
		CONFIG);
	xt_daemon_kill("xpmemd");
	xt_need(xt_daemon_start("xpmemd"), "xpmemd starts with %s", CONFIG);
}

/* --- the module */

long long xt_count(const char *name)
{
	long long value = -1;
	char path[96];
	FILE *in;

	snprintf(path, sizeof(path), COUNTERS "%s", name);
	in = fopen(path, "re");
	xt_need(in && fscanf(in, "%lld", &value) == 1, "read %s", path);
	fclose(in);
	return value;
}

bool xt_count_over(const char *name, long long least, int ms)
{
	long long end = xt_ms() + ms, value;

	while ((value = xt_count(name)) < least) {
		if (xt_ms() > end) {
			xt_note("%s is %lld after %d ms, not %lld", name, value,
				ms, least);
			return false;
		}
		xt_rest(2);
	}
	return true;
}

struct looking {
	uint16_t partid;
	struct xt_look look;
};

static uint64_t number(const struct xt_nl *nl, int type)
{
	const struct nlattr *attr = xt_nl_attr(nl, type);
	uint64_t value = 0;

	if (attr)
		memcpy(&value, xt_nl_data(attr), attr->nla_len - NLA_HDRLEN);
	return value;
}

static void look_at_session(const struct xt_nl *nl, void *arg)
{
	struct looking *l = arg;

	if (number(nl, XPMEM_A_PARTID) != l->partid)
		return;
	if (number(nl, XPMEM_A_STATE) == XPMEM_SESSION_STATE_LOST) {
		l->look.lost++;
		l->look.quarantine += number(nl, XPMEM_A_QUARANTINE);
		return;
	}
	l->look.up = true;
	l->look.epoch = number(nl, XPMEM_A_EPOCH);
}

static void look_at_peer(const struct xt_nl *nl, void *arg)
{
	struct looking *l = arg;

	if (number(nl, XPMEM_A_PARTID) != l->partid)
		return;
	l->look.sessions = number(nl, XPMEM_A_SESSIONS);
	l->look.evictions = number(nl, XPMEM_A_EVICTIONS);
	l->look.missed = number(nl, XPMEM_A_DEADLINES_MISSED);
	l->look.granted = number(nl, XPMEM_A_GRANTED);
	l->look.wait_p99_us = number(nl, XPMEM_A_WAIT_P99_US);
	l->look.wait_max_us = number(nl, XPMEM_A_WAIT_MAX_US);
}

static void list(struct looking *l, int cmd,
		 void (*each)(const struct xt_nl *nl, void *arg))
{
	struct xt_nl nl;

	xt_nl_open(&nl);
	nl.each = each;
	nl.arg = l;
	xt_nl_begin(&nl, cmd, NLM_F_DUMP);
	xt_need(!xt_nl_call(&nl, NULL), "list sessions and peers");
	xt_nl_close(&nl);
}

struct xt_look xt_look(uint16_t partid)
{
	struct looking l = { .partid = partid };

	list(&l, XPMEM_CMD_SESSION_GET, look_at_session);
	list(&l, XPMEM_CMD_PEER_GET, look_at_peer);
	return l.look;
}

/* Nothing tells a test: these look every 20 ms. */
bool xt_look_up(uint16_t partid, uint64_t epoch, int ms)
{
	long long end = xt_ms() + ms;
	struct xt_look look;

	do {
		look = xt_look(partid);
		if (look.up && look.epoch != epoch)
			return true;
		xt_rest(20);
	} while (xt_ms() < end);
	xt_note("no new session with p%d after %d ms", partid, ms);
	return false;
}

bool xt_look_lost(uint16_t partid, uint64_t epoch, int ms)
{
	long long end = xt_ms() + ms;
	struct xt_look look;

	do {
		look = xt_look(partid);
		if (!look.up || look.epoch != epoch)
			return true;
		xt_rest(20);
	} while (xt_ms() < end);
	xt_note("the session with p%d is up after %d ms", partid, ms);
	return false;
}

int xt_session_close(uint16_t partid)
{
	struct xt_nl nl;
	int error;

	xt_nl_open(&nl);
	xt_nl_begin(&nl, XPMEM_CMD_SESSION_DEL, 0);
	xt_nl_put(&nl, XPMEM_A_PARTID, &partid, sizeof(partid));
	error = xt_nl_call(&nl, NULL);
	xt_nl_close(&nl);
	return error;
}

int xt_session_finish(uint16_t partid)
{
	struct xt_look old = xt_look(partid);
	int error = xt_session_close(partid);

	if (!error && !xt_look_lost(partid, old.epoch, END_MS))
		error = ETIMEDOUT;
	return error;
}

/* Sessions keep the times that they began with. */
void xt_daemon_new_times(int heartbeat_ms, int deadline_ms)
{
	struct xt_look old[XT_NODES_MAX + 1];

	set_times(heartbeat_ms, deadline_ms);
	xt_barrier("times-set");
	for (int id = 1; id <= xt_nodes; id++)
		old[id] = xt_look(id);
	xt_barrier("sessions-seen");
	for (int id = xt_me + 1; id <= xt_nodes; id++)
		xt_need(!xt_session_finish(id), "close the session with p%d",
			id);
	for (int id = 1; id <= xt_nodes; id++)
		if (id != xt_me)
			xt_need(xt_look_up(id, old[id].epoch, END_MS),
				"a new session with p%d", id);
	xt_need(xt_daemon_up(END_MS), "all sessions are up");
	xt_barrier("sessions-new");
}
