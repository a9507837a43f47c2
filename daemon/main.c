// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemd: brings partitions together.  It finds and authenticates the peers,
 * hands the connections to the kernel, and answers xpmemctl.
 * Invariant: no byte of an exported page and no revocation passes through it;
 * it may end and start again, with the same configuration, while everything
 * stays attached.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "control.h"
#include "fence.h"
#include "handshake.h"
#include "kernel.h"
#include "ktls.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "peer.h"
#include "quarantine.h"
#include "tls.h"

static char config_path[PATH_MAX] = CONFIG_FILE;
static struct config config;
static struct handshake_local local;
static struct loop_source signals = { .fd = -1 };

static const char help[] =
	"Usage: xpmemd [OPTION]...\n"
	"Bring this partition together with its peers.\n"
	"\n"
	"  -c, --config FILE    configuration (default " CONFIG_FILE ")\n"
	"  -f, --foreground     stay in the foreground, log to stderr\n"
	"      --check-config   only read the configuration; exit 1 if it is wrong\n"
	"      --help           this text\n"
	"      --version        version\n"
	"\n"
	"SIGHUP reads the configuration again; SIGTERM ends the daemon and leaves the\n"
	"sessions to the kernel.  See xpmemd(8).\n";

struct options {
	bool foreground;
	bool check;
};

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:f", longs, NULL)) >= 0) {
		switch (c) {
		case 'c':
			/* Absolute: a daemon's directory is the root. */
			if (!realpath(optarg, config_path)) {
				fprintf(stderr,
					"xpmemd: %s: %s; correct the path\n",
					optarg, strerror(errno));
				return 2;
			}
			break;
		case 'f':
			options->foreground = true;
			break;
		case 'C':
			options->check = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("xpmemd " XPMEM_RELEASE);
			return 0;
		default:
			fputs("Try xpmemd --help.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xpmemd: \"%s\" is no option; try --help\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

static int load_config(struct config *into)
{
	char error[CONFIG_ERROR_SIZE];

	if (!config_load(into, config_path, error))
		return 0;
	log_error("%s", error);
	return -1;
}

/*
 * Reclaim may be waiting for a session that only we can bring back: we must
 * not wait for reclaim.
 */
static void stay_in_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		log_warning(
			"cannot lock memory: %m; give CAP_IPC_LOCK, else sessions come up late when memory is short");
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_warning(
			"cannot become an I/O flusher: %m; give CAP_SYS_RESOURCE");
}

/* The module that is loaded must be for this partition. */
static int check_module(void)
{
	char reason[REASON_SIZE];
	struct kernel_stats stats;

	if (kernel_init(reason)) {
		log_error("%s", reason);
		return -1;
	}
	if (kernel_stats_get(&stats, reason)) {
		log_error("the module does not answer: %s; run as root",
			  reason);
		goto exit_kernel;
	}
	if (stats.partid != config.partid) {
		log_error(
			"the module is loaded for partition %u, the configuration is for %u; load it again: modprobe -r xpmem; modprobe xpmem partid=%u",
			stats.partid, config.partid, config.partid);
		goto exit_kernel;
	}
	return 0;

exit_kernel:
	kernel_exit();
	return -1;
}

/*
 * What cannot work is said now, and not by the first session.  Who wants no TLS
 * needs nothing for it.
 */
static int check_tls(const struct config *wanted, char *reason)
{
	char why[REASON_SIZE];
	size_t i = 0;

	while (i < wanted->npeers &&
	       wanted->peers[i].security != XPMEM_SECURITY_TLS)
		i++;
	if (i == wanted->npeers || (!tls_init(why) && !ktls_probe(why)))
		return 0;
	return reason_set(
		reason,
		"no TLS: %s; use \"security plain\" here and there if nobody else is on the line",
		why);
}

/* Returns 0, or -1 with the reason set, and logged. */
static int reload(char *reason)
{
	char error[CONFIG_ERROR_SIZE];
	struct config next, old = config;
	int ret = -1;

	notify("RELOADING=1");
	if (config_load(&next, config_path, error)) {
		reason_set(reason, "%s", error);
		goto done;
	}
	if (next.partid != config.partid ||
	    memcmp(&next.listen, &config.listen, sizeof(next.listen)) ||
	    strcmp(next.control, config.control)) {
		reason_set(
			reason,
			"partid, listen and control change only with a restart; restart xpmemd or correct them");
		config_free(&next);
		goto done;
	}
	if (check_tls(&next, reason)) {
		config_free(&next);
		goto done;
	}
	config = next;
	auth_init(config.munge_socket, config.auth_uid);
	control_reload(&config);
	peer_reload(&config);
	quarantine_reload(&config);
	config_free(&old);
	log_info("configuration read again: %zu peers", config.npeers);
	ret = 0;
done:
	if (ret)
		log_error("the configuration stays as it was: %s", reason);
	notify("READY=1");
	return ret;
}

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;
	char reason[REASON_SIZE];

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload(reason);
	else
		loop_stop();
}

static int signals_init(void)
{
	sigset_t set;

	/* Whoever started us may be gone; fence.c waits for children. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals.ready = signal_ready;
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals.fd < 0) {
		log_error("signalfd: %m; free memory or raise LimitNOFILE");
		return -1;
	}
	if (!loop_add(&signals, EPOLLIN))
		return 0;
	close(signals.fd);
	return -1;
}

static void signals_exit(void)
{
	loop_remove(&signals);
	close(signals.fd);
}

static void peers_changed(void)
{
	control_peers_changed();
	quarantine_news();
}

/* All is well: whoever started us may go on.  @parent is -1 or a pipe. */
static void started(int parent)
{
	if (parent >= 0)
		log_init("xpmemd", true);
	log_info("partition %u, %zu peers", config.partid, config.npeers);
	notify("READY=1");
	if (parent < 0)
		return;
	if (write(parent, "", 1) != 1)
		log_warning(
			"nobody waits for the start: %m; see who started xpmemd");
	close(parent);
	dup2(STDIN_FILENO, STDERR_FILENO);
}

static int serve(int parent)
{
	char reason[REASON_SIZE];
	int ret = -1;

	stay_in_memory();
	if (handshake_local_init(&local, config.partid))
		return -1;
	auth_init(config.munge_socket, config.auth_uid);
	if (check_tls(&config, reason)) {
		log_error("%s", reason);
		goto exit_tls;
	}
	if (check_module())
		goto exit_tls;
	if (loop_init())
		goto exit_kernel;
	if (signals_init())
		goto exit_loop;
	if (listen_init(&config.listen, &local))
		goto exit_signals;
	if (control_init(&config, reload))
		goto exit_listen;
	quarantine_init(&config);
	if (peer_init(&config, &local, peers_changed))
		goto exit_control;
	quarantine_look();
	started(parent);
	ret = loop_run();
	log_info("ending; the kernel keeps its sessions");
	notify("STOPPING=1");
	peer_exit();
exit_control:
	fence_exit();
	quarantine_exit();
	control_exit();
exit_listen:
	listen_exit();
exit_signals:
	signals_exit();
exit_loop:
	loop_exit();
exit_kernel:
	kernel_exit();
exit_tls:
	tls_exit();
	return ret;
}

/* In the parent: exits as the child says. */
static void wait_for_child(int fd)
{
	char byte;
	ssize_t n;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	_exit(n == 1 ? 0 : 1);
}

/* Returns, in the child, the pipe to the parent; or -1. */
static int daemonise(void)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		log_error("pipe: %m; free memory or raise LimitNOFILE");
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		log_error("fork: %m; free memory or raise TasksMax");
		return -1;
	}
	if (pid) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	setsid();
	if (chdir("/"))
		log_warning("chdir to /: %m; see who mounted it");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	return fds[1];
}

int main(int argc, char **argv)
{
	struct options options = {};
	int parent = -1, ret;

	ret = parse_options(argc, argv, &options);
	if (ret >= 0)
		return ret;
	log_init("xpmemd", false);
	if (load_config(&config))
		return 1;
	if (options.check) {
		ret = 0;
		goto free_config;
	}
	if (!options.foreground) {
		parent = daemonise();
		if (parent < 0) {
			config_free(&config);
			return 1;
		}
	}
	ret = serve(parent);
free_config:
	config_free(&config);
	log_exit();
	return ret ? 1 : 0;
}
