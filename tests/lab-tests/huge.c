// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages of the exporter, transparent and of hugetlbfs, attached on its own
 * partition: right bytes whatever the alignment, and whatever splits them.
 */
#include "xt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2 * XT_MIB)
#define SIZE (3 * HUGE)
#define FAILED ((void *)-1)

/* Word i of the segment is xt_word(seed, i), on both sides of it. */
static void fill(void *mem, uint32_t seed)
{
	xt_fill(mem, SIZE, XT_EVEN, seed);
	xt_fill(mem, SIZE, XT_ODD, seed);
}

/* A word of each page from one offset to another; faster than all of them. */
static size_t wrong(const char *at, size_t from, size_t to, uint32_t seed)
{
	size_t bad = 0;
	uint64_t value;

	for (size_t i = from; i < to; i += xt_page) {
		size_t word = i / 8 + i / xt_page % 512;

		bad += xt_load(at + word * 8, &value) ||
		       value != xt_word(seed, word);
	}
	return bad;
}

/* The kernel may have no huge page to give. */
static bool huge(const char *mem)
{
	size_t bytes = xt_huge_bytes(mem);

	if (bytes == SIZE)
		return true;
	xt_skip("huge pages behind the segment", "free huge pages");
	return false;
}

/* --- contents and alignment */

struct view {
	size_t shift; /* from a place of equal alignment */
	size_t offset, size;
};

static char *attach_at(xpmem_apid_t apid, const struct view *v)
{
	struct xpmem_addr addr = { .apid = apid, .offset = v->offset };
	char *room = xt_map(v->size + 2 * HUGE);
	char *want = (char *)(((uintptr_t)room + HUGE - 1) & -HUGE) +
		     v->offset % HUGE + v->shift;
	char *at;

	munmap(room, v->size + 2 * HUGE);
	at = xpmem_attach(addr, v->size, want);
	xt_need(at == want, "attach %zu bytes at %p", v->size, want);
	return at;
}

/* Before 6.12 an entry for a huge page could not say that it is nobody's. */
static bool maps_huge(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	xt_need(!uname(&name) &&
			sscanf(name.release, "%u.%u", &major, &minor) == 2,
		"uname");
	return major > 6 || (major == 6 && minor >= 12);
}

static void looks_at_views(struct xt_import *imp)
{
	static const struct view views[] = {
		{ 0, 0, SIZE },		  { 4096, 0, SIZE },
		{ HUGE / 2, 0, SIZE },	  { 0, HUGE / 2, HUGE },
		{ 0, HUGE, HUGE },	  { 8192, HUGE / 2, 2 * HUGE },
		{ 0, HUGE - 4096, 8192 },
	};

	long long huge = xt_stat("faults-huge");

	xt_ok(!wrong(imp->at, 0, SIZE, 1), "where the kernel puts it");
	huge = xt_stat("faults-huge") - huge;
	if (imp->arg && !maps_huge())
		xt_skip("one fault for each huge page", "Linux 6.12");
	else if (imp->arg)
		xt_ok(huge == SIZE / HUGE,
		      "one fault for each huge page (%lld huge ones)", huge);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		const struct view *v = &views[i];
		char *at = attach_at(imp->apid, v);

		xt_ok(!wrong(at - v->offset, v->offset, v->offset + v->size, 1),
		      "%zu KiB at %zu KiB, %zu bytes out of line",
		      v->size / 1024, v->offset / 1024, v->shift);
		xt_ok(!xt_store(at + 8, xt_word(1, v->offset / 8 + 1)) &&
			      !wrong(at - v->offset, v->offset,
				     v->offset + v->size, 1),
		      "a store there");
		xt_ok(!munmap(at + v->size / 2 / 4096 * 4096, 4096) &&
			      !xt_load(at, NULL),
		      "munmap of a page of it");
		xt_ok(!xpmem_detach(at), "detach");
	}
	xt_ok(!wrong(imp->at, 0, SIZE, 1), "the first one is as it was");
}

static void contents(const char *name, char *mem)
{
	xpmem_segid_t segid;

	xt_case(name);
	fill(mem, 1);
	if (!strstr(name, "transparent") || huge(mem)) {
		segid = xt_export(mem, SIZE, 0666);
		xt_import(looks_at_views, segid, SIZE,
			  strstr(name, "huge") ? mem : NULL);
		xt_ok(!xt_stat("exported"), "no page has an export entry");
		xt_ok(!xpmem_remove(segid), "xpmem_remove");
	}
	munmap(mem, SIZE);
}

/* --- changes in the midst of a huge page, under attachments */

/* What importers find between @from and @to then; elsewhere: what was there. */
enum found { SAME, ZEROS, HOLE, READ_ONLY, NEW_WORDS };

struct change {
	const char *name;
	void (*change)(char *mem, const struct change *c);
	size_t from, to;
	enum found found;
	bool hugetlb; /* also possible there, where pages cannot be split */
};

static bool as_found(char *at, const struct change *c)
{
	uint64_t value;

	switch (c->found) {
	case SAME:
		return !wrong(at, c->from, c->to, 1);
	case NEW_WORDS:
		return !wrong(at, c->from, c->to, 3);
	case READ_ONLY:
		return !wrong(at, c->from, c->to, 1) &&
		       xt_store(at + c->from, 1) == SIGBUS &&
		       xt_store(at + c->to - 8, 1) == SIGBUS;
	case ZEROS:
		for (size_t i = c->from; i < c->to; i += xt_page)
			if (xt_load(at + i, &value) || value)
				return false;
		return true;
	case HOLE:
		for (size_t i = c->from; i < c->to; i += xt_page)
			if (xt_load(at + i, NULL) != SIGBUS ||
			    xt_store(at + i, 1) != SIGBUS)
				return false;
		return true;
	}
	return false;
}

static void watches(struct xt_import *imp)
{
	static const struct view shifted = { 4096, 0, SIZE };
	static const struct view aligned = { 0, 0, SIZE };
	const struct change *c = imp->arg;
	char *views[2] = { attach_at(imp->apid, &aligned),
			   attach_at(imp->apid, &shifted) };

	for (int i = 0; i < 2; i++)
		xt_ok(!wrong(views[i], 0, SIZE, 1), "before");
	xt_put("watching", "1");
	xt_await("changed");
	for (int i = 0; i < 2; i++) {
		xt_ok(as_found(views[i], c), "%s: what was changed",
		      i ? "out of line" : "in line");
		xt_ok(!wrong(views[i], 0, c->from, 1) &&
			      !wrong(views[i], c->to, SIZE, 1),
		      "what was not");
	}
	/* Right beside the change, through one; seen through the other. */
	xt_ok(!xt_store(views[0] + c->from - 8, 42) &&
		      !xt_load(views[1] + c->from - 8, &(uint64_t){ 0 }),
	      "a store beside it");
}

static void changed(const struct change *c, char *mem, bool transparent)
{
	xpmem_segid_t segid;
	pid_t child;

	xt_case(c->name);
	fill(mem, 1);
	if (transparent && !huge(mem)) {
		munmap(mem, SIZE);
		return;
	}
	segid = xt_export(mem, SIZE, 0666);
	child = xt_import_start(watches, segid, SIZE, (void *)c);
	xt_await("watching");
	c->change(mem, c);
	xt_put("changed", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(*(uint64_t *)(mem + c->from - 8) == 42,
	      "the exporter sees its store");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, SIZE);
}

static void drops(char *mem, const struct change *c)
{
	xt_ok(!madvise(mem + c->from, c->to - c->from, MADV_DONTNEED),
	      "MADV_DONTNEED");
}

static void unmaps(char *mem, const struct change *c)
{
	xt_ok(!munmap(mem + c->from, c->to - c->from), "munmap");
}

static void protects(char *mem, const struct change *c)
{
	xt_ok(!mprotect(mem + c->from, c->to - c->from,
			c->found == HOLE ? PROT_NONE : PROT_READ),
	      "mprotect");
}

static void moves_away(char *mem, const struct change *c)
{
	size_t size = c->to - c->from;
	char *there = xt_map(size);

	xt_ok(mremap(mem + c->from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		     there) == there &&
		      *(uint64_t *)there == xt_word(1, c->from / 8),
	      "mremap");
	munmap(there, size);
}

/* Other pages take the place; with whole huge pages, a huge one does. */
static void moves_in(char *mem, const struct change *c)
{
	size_t size = c->to - c->from;
	char *there = size % HUGE ? xt_map(size) : xt_map_huge(size);

	for (size_t i = 0; i < size / 8; i++)
		((uint64_t *)there)[i] = xt_word(3, c->from / 8 + i);
	xt_ok(mremap(there, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		     mem + c->from) == mem + c->from,
	      "mremap");
}

static void stores_again(char *mem, const struct change *c)
{
	for (size_t i = c->from / 8; i < c->to / 8; i++)
		((volatile uint64_t *)mem)[i] = xt_word(3, i);
}

/* The child keeps the old words, the exporter and its importers get new. */
static void copies(char *mem, const struct change *c)
{
	int pipes[2], status;
	char byte = 'x';
	pid_t child;

	xt_need(!pipe(pipes), "pipe");
	child = fork();
	xt_need(child >= 0, "fork");
	if (!child) {
		close(pipes[1]);
		while (read(pipes[0], &byte, 1) < 0)
			;
		_exit(wrong(mem, 0, SIZE, 1) ? 1 : 0);
	}
	close(pipes[0]);
	stores_again(mem, c);
	xt_need(write(pipes[1], &byte, 1) == 1, "tell the child");
	close(pipes[1]);
	xt_ok(waitpid(child, &status, 0) == child && !status,
	      "a forked child keeps the old words");
}

static void pages_out(char *mem, const struct change *c)
{
	(void)c;
	xt_ok(!madvise(mem, SIZE, MADV_PAGEOUT), "MADV_PAGEOUT");
}

static void collapses(char *mem, const struct change *c)
{
	madvise(mem + c->from, c->to - c->from, MADV_DONTNEED);
	for (size_t i = c->from / 8; i < c->to / 8; i++)
		((volatile uint64_t *)mem)[i] = xt_word(1, i);
	xt_ok(!madvise(mem, SIZE, 25 /* MADV_COLLAPSE */), "MADV_COLLAPSE");
	xt_note("%zu KiB are huge pages again", xt_huge_bytes(mem) / 1024);
}

#define MIDDLE (HUGE + 64 * 1024), (HUGE + 192 * 1024)
#define WHOLE HUGE, (2 * HUGE)
static const struct change list[] = {
	{ "MADV_DONTNEED of a part", drops, MIDDLE, ZEROS, false },
	{ "MADV_DONTNEED of a whole page", drops, WHOLE, ZEROS, true },
	{ "munmap of a part", unmaps, MIDDLE, HOLE, false },
	{ "munmap of a whole page", unmaps, WHOLE, HOLE, true },
	{ "mprotect of a part to read", protects, MIDDLE, READ_ONLY, false },
	{ "mprotect of a whole page to read", protects, WHOLE, READ_ONLY,
	  true },
	{ "mprotect of a part to nothing", protects, MIDDLE, HOLE, false },
	{ "mprotect of a whole page to nothing", protects, WHOLE, HOLE, true },
	{ "mremap of a part", moves_away, MIDDLE, HOLE, false },
	{ "mremap of a whole page", moves_away, WHOLE, HOLE, false },
	{ "mremap of small pages into it", moves_in, MIDDLE, NEW_WORDS, false },
	{ "mremap of a huge page into it", moves_in, WHOLE, NEW_WORDS, false },
	{ "stores by the exporter", stores_again, MIDDLE, NEW_WORDS, true },
	{ "fork and stores to a part", copies, MIDDLE, NEW_WORDS, false },
	{ "fork and stores to all of a page", copies, WHOLE, NEW_WORDS, false },
	{ "reclaim", pages_out, WHOLE, SAME, false },
	{ "split and collapse", collapses, MIDDLE, SAME, false },
};

/* --- hugetlbfs */

static int reserve(int pages)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "we");
	int got = 0;

	xt_need(f && fprintf(f, "%d\n", pages) > 0 && !fclose(f),
		"write nr_hugepages");
	f = fopen("/proc/sys/vm/nr_hugepages", "re");
	xt_need(f && fscanf(f, "%d", &got) == 1, "read nr_hugepages");
	fclose(f);
	return got;
}

static char *map_hugetlb(int flags)
{
	char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);

	xt_need(mem != MAP_FAILED, "mmap of huge pages");
	return mem;
}

static void hugetlb(void)
{
	char name[64];

	if (reserve(8) < 8) {
		xt_case("hugetlb");
		xt_skip("contents and changes", "free huge pages");
		reserve(0);
		return;
	}
	contents("hugetlb, private", map_hugetlb(MAP_PRIVATE));
	contents("hugetlb, shared", map_hugetlb(MAP_SHARED));
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct change c = list[i];

		if (!c.hugetlb)
			continue;
		snprintf(name, sizeof(name), "hugetlb, %s", c.name);
		c.name = name;
		changed(&c, map_hugetlb(MAP_PRIVATE), false);
	}
	xt_ok(!reserve(0), "every huge page comes back");
}

int main(void)
{
	xt_start("huge");
	contents("transparent huge pages", xt_map_huge(SIZE));
	contents("small pages", xt_map(SIZE));
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		changed(&list[i], xt_map_huge(SIZE), true);
	xt_nothing_left("before hugetlb");
	hugetlb();
	xt_nothing_left("at the end");
	return xt_finish();
}
