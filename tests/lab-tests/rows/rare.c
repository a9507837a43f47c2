// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of the hook table that need something of the machine: a second node, a device
 * with memory of its own, a probe, a block of memory that can go. The last ones move
 * whatever is in their way, so also pages of other rows: nothing comes after them.
 */
#include "rows.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define PAGES 16
#define BALANCE_MS 2000 /* of hint faults, in one attempt */
#define OFFLINE_S 2
#define INT3 0xcc

static int block = -1; /* of memory, on node 1, movable */
static char block_state[96];

void rare_prepare(void)
{
	xt_balance_soon();
	block = xt_block_find(block_state, sizeof(block_state));
}

/* --- nodes ----------------------------------------------------------------- */

/* To a CPU of the node; false if it has none. */
static bool pin_to(unsigned int node)
{
	cpu_set_t cpus;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			return false;
		if (xt_node() == node)
			return true;
	}
	return false;
}

/* On node 1. */
static char *map_there(size_t size)
{
	char *mem = xt_map(size);

	memset(mem, 1, size);
	xt_move_to(mem, PAGES, 1);
	return mem;
}

bool rare_map_movable(struct area *a)
{
	if (block < 0)
		return false;
	a->mem = map_there(a->size);
	xt_need(xt_count_in_block(a->mem, PAGES, block) == PAGES,
		"%s: all pages are in block %d", a->name, block);
	return true;
}

bool rare_map_remote(struct area *a)
{
	if (access(XT_NODE1, F_OK) || access(XT_BALANCING, W_OK) || !pin_to(0))
		return false;
	a->mem = map_there(a->size);
	return true;
}

/* What moves is the kernel's choice. */
static enum outcome compact(struct area *a)
{
	if (!xt_write_text("/proc/sys/vm/compact_memory", "1"))
		return lacks(a, "CONFIG_COMPACTION");
	return DONE;
}

/* A signal ends it: more than one, as another one's offlining is waited for first. */
static bool offline_in_time(void)
{
	struct sigaction action = { .sa_handler = hear_signal }, usual;
	struct itimerval limit = { { OFFLINE_S, 0 }, { OFFLINE_S, 0 } };
	struct itimerval never = {};
	bool gone;

	sigaction(SIGALRM, &action, &usual);
	setitimer(ITIMER_REAL, &limit, NULL);
	gone = xt_write_text(block_state, "offline");
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &usual, NULL);
	if (gone)
		xt_need(xt_write_text(block_state, "online_movable"),
			"block %d comes back", block);
	return gone;
}

/* Both areas' pages go with the first one's order: the other one finds none there. */
static enum outcome offline(struct area *a)
{
	size_t there = xt_count_in_block(a->mem, PAGES, block);
	long long revoked = counter("revoked");

	if (!a->state++ && !a->write)
		xt_ok(there == PAGES, "%s: all pages are in block %d", a->name,
		      block);
	if (!offline_in_time() || xt_count_in_block(a->mem, PAGES, block))
		return NOT_YET;
	if (there)
		xt_ok(counter("revoked") > revoked,
		      "%s: %lld pages were revoked", a->name,
		      counter("revoked") - revoked);
	return DONE;
}

/*
 * The pages follow the process to its node. A scan takes the entries away, and a touch
 * moves the page, if nobody outside uses it.
 */
static enum outcome balance(struct area *a)
{
	long long end = xt_ms() + BALANCE_MS;

	xt_write_text(XT_BALANCING, "1");
	while (xt_count_on(a->mem, PAGES, 0) < PAGES / 2 && xt_ms() < end)
		for (size_t i = 0; i < PAGES; i++)
			(void)*(volatile char *)(a->mem + i * PAGE);
	xt_write_text(XT_BALANCING, "0");
	return done_if(xt_count_on(a->mem, PAGES, 0) >= PAGES / 2);
}

/* --- a device ---------------------------------------------------------------- */

/* It is closed by exit, after the memory is gone: what it has is its own till then. */
static enum outcome give(struct area *a, unsigned long request)
{
	static char copy[PAGES * PAGE];

	if (a->fd < 0)
		a->fd = xt_hmm_open();
	if (a->fd < 0)
		return lacks(a, "test_hmm.ko (CONFIG_TEST_HMM)");
	if (!xt_hmm_take(a->fd, request, a->mem, copy, PAGES))
		return NOT_YET;
	xt_ok(!area_wrong(a, copy, XT_EVEN, 1, 0, a->size) &&
		      !area_wrong(a, copy, XT_ODD, area_round(a), 0, a->size),
	      "%s: the device has all words", a->name);
	return DONE;
}

static enum outcome migrate_vma(struct area *a)
{
	return give(a, XT_HMM_MIGRATE_TO_DEV);
}

static enum outcome use_alone(struct area *a)
{
	return give(a, XT_HMM_EXCLUSIVE);
}

/* --- a probe ----------------------------------------------------------------- */

/*
 * Private pages over a file with the same words: what a probe replaces it puts back
 * from the file.
 */
void rare_map_code(struct area *a)
{
	char *words;

	a->fd = memfd_create("xpmem-code", MFD_CLOEXEC);
	xt_need(a->fd >= 0 && !ftruncate(a->fd, a->size), "memfd");
	words = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
		     0);
	a->mem = mmap(NULL, a->size, PROT_READ | PROT_WRITE | PROT_EXEC,
		      MAP_PRIVATE, a->fd, 0);
	xt_need(words != MAP_FAILED && a->mem != MAP_FAILED, "mmap of a memfd");
	area_store(a, words, XT_EVEN, 1, 0, a->size);
	munmap(words, a->size);
}

void rare_protect_code(const struct area *a)
{
	xt_need(!mprotect(a->mem, a->size, PROT_READ | PROT_EXEC), "mprotect");
}

/* At a byte that an instruction can begin with: not each of our words is one. */
static int probe(const struct area *a, uint64_t *at)
{
	char path[64];
	int event = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), a->fd);
	for (*at = 0; *at < PAGE; *at += 16) {
		event = xt_probe(path, *at);
		if (event >= 0 || errno == ENODEV)
			break;
	}
	return event;
}

/*
 * Set, and taken away again. The kernel does not probe what is mapped for writing, so
 * from importers that store it is mprotect() that takes the pages back.
 */
static enum outcome set_probe(struct area *a)
{
	uint64_t at;
	int event;

	if (a->write)
		rare_protect_code(a);
	event = probe(a, &at);
	if (event < 0 && errno == ENODEV)
		return lacks(a, "CONFIG_UPROBE_EVENTS");
	xt_need(event >= 0, "%s: set a probe", a->name);
	xt_ok((unsigned char)a->mem[at] == INT3, "%s: there is a breakpoint",
	      a->name);
	close(event);
	return DONE;
}

const struct row rare_rows[] = {
	{ "migrate_vma", MEM_ANON, migrate_vma, .sees = KEPT },
	{ "device-exclusive access", MEM_ANON, use_alone, .sees = KEPT },
	{ "uprobe", MEM_CODE, set_probe, .sees = KEPT,
	  .flags = ROW_READS | ROW_FIXED },
	{ "NUMA scan and hint faults", MEM_REMOTE, balance, .sees = KEPT },
	{ "offlining", MEM_MOVABLE, offline, .sees = KEPT,
	  .flags = ROW_LEAVES },
	{ "compaction", MEM_ANON, compact, .sees = KEPT, .flags = ROW_LEAVES },
};

const size_t rare_count = sizeof(rare_rows) / sizeof(rare_rows[0]);
