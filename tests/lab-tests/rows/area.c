// SPDX-License-Identifier: GPL-2.0-only
/*
 * Areas: their memory, their words, and the process that owns each of them.
 *
 * Round n of a side's words: 1 the exporter's first, 2 the first of the other
 * side, 3 and 4 what they store after the operation.
 */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPERATE_MS 60000
#define WORDS (PAGE / sizeof(uint64_t))

size_t area_count(void)
{
	return 2 * (file_count + range_count + reclaim_count + rare_count);
}

/* Those of rare.c come last: the last of them are not choosy. */
static const struct row *row_of(size_t index)
{
	if (index < file_count)
		return &file_rows[index];
	index -= file_count;
	if (index < range_count)
		return &range_rows[index];
	index -= range_count;
	return index < reclaim_count ? &reclaim_rows[index] :
				       &rare_rows[index - reclaim_count];
}

void area_init(struct area *a, size_t index, uint32_t pass)
{
	memset(a, 0, sizeof(*a));
	a->row = row_of(index / 2);
	a->write = index % 2;
	a->seed = (pass * 256 + index) * 8;
	a->size = 16 * PAGE;
	if (a->row->memory == MEM_HUGE || a->row->memory == MEM_FILE_HUGE)
		a->size = HUGE;
	a->fd = -1;
	snprintf(a->name, sizeof(a->name), "%s, %s", a->row->name,
		 a->write ? "read-write" : "read-only");
	if (a->row->flags & ROW_GROUP)
		snprintf(a->group, sizeof(a->group), "rows-%zu", index);
}

bool area_can_store(const struct area *a)
{
	return a->write && !(a->row->flags & ROW_READS);
}

size_t area_from(const struct area *a)
{
	return a->outcome == DONE && a->row->sees != KEPT ? a->row->from :
							    a->size;
}

size_t area_to(const struct area *a)
{
	return a->outcome == DONE && a->row->sees != KEPT ? a->row->to :
							    a->size;
}

static uint64_t word(const struct area *a, int round, size_t index)
{
	if (a->row->flags & ROW_ALIKE)
		index %= WORDS;
	return xt_word(a->seed + round, index);
}

/* One page of area_wrong(). */
static size_t page_wrong(const struct area *a, const char *at,
			 enum xt_side side, int round, size_t from, size_t to)
{
	const volatile uint64_t *words = (const volatile void *)at;
	size_t wrong = 0;
	uint64_t got;
	int sig = xt_load(at + from, NULL);

	if (sig) {
		xt_note("%s: page %zu: signal %d", a->name, from / PAGE, sig);
		return WORDS;
	}
	for (size_t i = from / 8; i < to / 8; i++) {
		if (i % 2 != side)
			continue;
		got = words[i];
		if (got != word(a, round, i) && !wrong++)
			xt_note("%s: page %zu word %zu: %#llx instead of %#llx",
				a->name, i / WORDS, i % WORDS,
				(unsigned long long)got,
				(unsigned long long)word(a, round, i));
	}
	return wrong;
}

static size_t page_end(size_t at, size_t to)
{
	size_t end = (at | (PAGE - 1)) + 1;

	return end < to ? end : to;
}

size_t area_wrong(const struct area *a, const char *at, enum xt_side side,
		  int round, size_t from, size_t to)
{
	size_t wrong = 0;

	for (; from < to && !wrong; from = page_end(from, to))
		wrong = page_wrong(a, at, side, round, from,
				   page_end(from, to));
	return wrong;
}

size_t area_nonzero(const char *at, size_t from, size_t to)
{
	size_t found = 0;

	for (; from < to && !found; from = page_end(from, to))
		found = xt_load(at + from, NULL) ?
				WORDS :
				xt_nonzero(at + from,
					   page_end(from, to) - from);
	return found;
}

bool area_store(const struct area *a, char *at, enum xt_side side, int round,
		size_t from, size_t to)
{
	volatile uint64_t *words = (volatile void *)at;

	for (; from < to; from = page_end(from, to)) {
		size_t first = from / 8 + ((from / 8) % 2 != side);

		if (xt_store(at + first * 8, word(a, round, first)))
			return false;
		for (size_t i = first; i < page_end(from, to) / 8; i += 2)
			words[i] = word(a, round, i);
	}
	return true;
}

/* So many bytes at an address that a huge page can have. */
static char *map_aligned(int fd)
{
	char *room = mmap(NULL, 2 * HUGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)room + HUGE - 1) & -HUGE), *mem;

	xt_need(room != MAP_FAILED, "room for a huge page");
	mem = mmap(at, HUGE, PROT_READ | PROT_WRITE,
		   MAP_FIXED |
			   (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
		   fd, 0);
	xt_need(mem == at, "mmap of a huge page's room");
	return mem;
}

static char *map_file(struct area *a, size_t size)
{
	char *mem;

	a->fd = memfd_create("xpmem-rows", MFD_CLOEXEC);
	xt_need(a->fd >= 0 && !ftruncate(a->fd, size), "memfd");
	if (size == HUGE)
		return map_aligned(a->fd);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	xt_need(mem != MAP_FAILED, "mmap of a memfd");
	return mem;
}

/* False, with ->missing, if there is no such memory. */
static bool map_area(struct area *a)
{
	switch (a->row->memory) {
	case MEM_ANON:
		a->mem = xt_map(a->size);
		break;
	case MEM_ANON_ROOM:
		a->mem = map_aligned(-1);
		madvise(a->mem, HUGE, MADV_NOHUGEPAGE);
		memset(a->mem, 1, HUGE);
		break;
	case MEM_HUGE:
		a->mem = xt_map_huge(HUGE);
		break;
	case MEM_FILE:
		a->mem = map_file(a, a->size);
		break;
	case MEM_FILE_ROOM:
		a->mem = map_file(a, HUGE);
		memset(a->mem, 1, HUGE);
		break;
	case MEM_FILE_HUGE:
		a->mem = map_file(a, HUGE);
		madvise(a->mem, HUGE, MADV_HUGEPAGE);
		break;
	case MEM_CODE:
		rare_map_code(a);
		break;
	case MEM_REMOTE:
		if (rare_map_remote(a))
			break;
		lacks(a, "CONFIG_NUMA_BALANCING and a second node");
		return false;
	case MEM_MOVABLE:
		if (rare_map_movable(a))
			break;
		lacks(a, "a block of memory that can go offline");
		return false;
	}
	return true;
}

/* Where importers only read, the exporter stores their side's words as well. */
static bool set_up(struct area *a)
{
	if (a->group[0])
		xt_group_enter(a->group);
	if (!map_area(a))
		return false;
	xt_need(area_store(a, a->mem, XT_EVEN, 1, 0, a->size), "first words");
	if (!a->write)
		area_store(a, a->mem, XT_ODD, 2, 0, a->size);
	if (a->size == HUGE && !area_compound(a->mem)) {
		lacks(a, a->row->memory == MEM_HUGE ?
				 "a free huge page" :
				 "huge pages of memory files");
		return false;
	}
	if (a->row->memory == MEM_CODE && !a->write)
		rare_protect_code(a);
	a->segid = xt_export(a->mem, a->size, a->write ? 0666 : 0444);
	return true;
}

/*
 * Nothing tells when a refused folio is free: the operation is tried again
 * every 10 ms, as a caller would.
 */
static void operate(struct area *a, bool once)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	long long start = xt_ms(), revoked = counter("revoked");

	if (!a->tries++)
		area_frames(a->mem, a->size / PAGE, a->frames);
	a->again = a->tries > 1;
	for (;;) {
		a->outcome = a->row->op(a);
		a->took_ms = xt_ms() - start;
		if (a->outcome != NOT_YET || once || a->took_ms > OPERATE_MS)
			break;
		nanosleep(&pause, NULL);
	}
	a->revoked = counter("revoked") - revoked;
}

/* The round of what importers stored last, if the pages stayed. */
static int last_round(const struct area *a)
{
	return area_can_store(a) ? 4 : 2;
}

/* They store between the attempts. */
int area_round(const struct area *a)
{
	return a->again ? last_round(a) : 2;
}

static void check_kept(const struct area *a, size_t from, size_t to)
{
	xt_ok(!area_wrong(a, a->mem, XT_EVEN, 1, from, to),
	      "%s: the exporter keeps its words", a->name);
	xt_ok(!area_wrong(a, a->mem, XT_ODD, last_round(a), from, to),
	      "%s: the exporter has the importer's words", a->name);
	if (!(a->row->flags & ROW_FIXED))
		xt_ok(area_store(a, a->mem, XT_EVEN, 3, from, to),
		      "%s: the exporter stores", a->name);
}

/* New pages; importers stored to them only if they came before they did. */
static void check_new(const struct area *a, size_t from, size_t to)
{
	if (area_can_store(a) && !a->again)
		xt_ok(!area_wrong(a, a->mem, XT_ODD, 4, from, to),
		      "%s: the exporter has the words for the new pages",
		      a->name);
	else
		xt_ok(!area_nonzero(a->mem, from, to),
		      "%s: the exporter has zeros", a->name);
	xt_ok(area_store(a, a->mem, XT_EVEN, 3, from, to),
	      "%s: the exporter stores to the new pages", a->name);
}

static void check(const struct area *a)
{
	size_t from = area_from(a), to = area_to(a);

	if (from)
		check_kept(a, 0, from);
	if (to < a->size)
		check_kept(a, to, a->size);
	if (from < to && a->row->sees == ZEROS)
		check_new(a, from, to);
	if (from < to && a->moved)
		xt_ok(!area_wrong(a, a->moved - from, XT_EVEN, 1, from, to) &&
			      !area_wrong(a, a->moved - from, XT_ODD,
					  area_round(a), from, to),
		      "%s: the words have moved with the pages", a->name);
}

static void serve(struct area *a, int sock)
{
	char order;

	while (read(sock, &order, 1) == 1 && order != ORDER_END) {
		if (order == ORDER_CHECK)
			check(a);
		else
			operate(a, order == ORDER_TRY);
		if (write(sock, &order, 1) != 1)
			break;
	}
}

static void own(struct area *a, int sock)
{
	char answer = set_up(a) ? 'y' : 'n';

	if (write(sock, &answer, 1) == 1 && answer == 'y')
		serve(a, sock);
	_exit(0);
}

bool area_start(struct area *a)
{
	int socks[2];
	char answer;
	pid_t pid;

	xt_need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks),
		"socketpair");
	if (a->group[0])
		xt_group_create(a->group);
	fflush(NULL);
	pid = fork();
	xt_need(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(socks[0]);
		own(a, socks[1]);
	}
	close(socks[1]);
	a->pid = pid; /* shared: the child must not store its zero */
	a->sock = socks[0];
	xt_need(read(a->sock, &answer, 1) == 1, "%s: set-up", a->name);
	return answer == 'y';
}

void area_tell(struct area *a, char order)
{
	xt_need(write(a->sock, &order, 1) == 1, "%s: order %c", a->name, order);
}

/* The end of a process that must end is its answer. */
bool area_answers(struct area *a, int ms)
{
	struct pollfd answer = { .fd = a->sock, .events = POLLIN };
	char order;

	if (poll(&answer, 1, ms) != 1)
		return false;
	if (read(a->sock, &order, 1) == 1)
		return true;
	if (!(a->row->flags & ROW_ENDS))
		return false;
	a->outcome = DONE;
	return true;
}

bool area_ends(struct area *a)
{
	int status;

	if (!(a->row->flags & ROW_ENDS) || a->outcome != DONE)
		area_tell(a, ORDER_END);
	while (waitpid(a->pid, &status, 0) < 0)
		xt_need(errno == EINTR, "waitpid");
	close(a->sock);
	if (a->group[0])
		xt_group_destroy(a->group);
	return !status || (a->row->flags & ROW_ENDS);
}

void area_frames(const char *mem, size_t pages, uint64_t *frames)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t bytes = pages * sizeof(*frames);

	xt_need(pread(fd, frames, bytes, (uintptr_t)mem / PAGE * 8) ==
			(ssize_t)bytes,
		"read pagemap");
	close(fd);
	for (size_t i = 0; i < pages; i++)
		frames[i] = frames[i] >> 63 ? frames[i] & ((1ULL << 55) - 1) :
					      0;
}

size_t area_resident(const struct area *a)
{
	size_t pages = a->size / PAGE, found = 0;
	uint64_t frames[512];

	area_frames(a->mem, pages, frames);
	for (size_t i = 0; i < pages; i++)
		found += frames[i] != 0;
	return found;
}

/* Is the page there part of a large folio? */
bool area_compound(const char *at)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags = 0, frame = xt_frame(at);

	xt_need(frame && pread(fd, &flags, 8, frame * 8) == 8,
		"read kpageflags");
	close(fd);
	return flags & (1 << 15 | 1 << 16);
}

/* As xt_stat(), without a process: some of ours have no memory for one. */
long long counter(const char *name)
{
	char path[96];
	long long value;
	FILE *in;

	snprintf(path, sizeof(path), "/sys/class/misc/xpmem/xpmem/%s", name);
	in = fopen(path, "re");
	xt_need(in && fscanf(in, "%lld", &value) == 1, "read %s", path);
	fclose(in);
	return value;
}

enum outcome lacks(struct area *a, const char *what)
{
	a->missing = what;
	return MISSING;
}

enum outcome done_if(bool done)
{
	return done ? DONE : NOT_YET;
}

void hear_signal(int sig)
{
	(void)sig;
}
