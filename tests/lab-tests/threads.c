// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many threads at once: some attach, touch, detach and unmap, in one process
 * or several, while the exporter's threads unmap, remap, drop and protect.
 *
 * usage: threads [ROUNDS]
 *
 * Word i of the segment is xt_word(1, i), or 0 where the exporter dropped the
 * page a moment ago; anything else is somebody else's page.
 */
#include "xt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 128
#define SIZE (PAGES * 4096UL)
#define THREADS 6
#define WORDS (SIZE / sizeof(uint64_t))

static int rounds;

/* Each thread draws its own numbers; no clock decides anything. */
static size_t draw(uint64_t *seed, size_t below)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 33) % below;
}

struct work {
	struct xt_import *imp;
	uint64_t seed;
	size_t seen, zero, holes, wrong; /* words looked at */
};

static void look(struct work *w, const char *at, size_t page)
{
	size_t i = page * (xt_page / 8) + draw(&w->seed, xt_page / 8);
	uint64_t value;
	int sig = xt_load(at + i * 8, &value);

	if (sig == SIGBUS)
		w->holes++;
	else if (!sig && !value)
		w->zero++;
	else if (!sig && value == xt_word(1, i))
		w->seen++;
	else
		w->wrong++;
}

static void *attaches(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < rounds; i++) {
		size_t first = draw(&w->seed, PAGES);
		size_t count = 1 + draw(&w->seed, PAGES - first);
		struct xpmem_addr addr = { .apid = w->imp->apid,
					   .offset = first * xt_page };
		char *at = xpmem_attach(addr, count * xt_page, NULL);

		if (at == (void *)-1) {
			w->wrong++;
			break;
		}
		for (int j = 0; j < 16; j++)
			look(w, at - first * xt_page,
			     first + draw(&w->seed, count));
		/* Not all of it: another thread may be at @at by the detach. */
		if (i % 3 == 1 && count > 1)
			munmap(at + count / 2 * xt_page, xt_page);
		if (i % 3 == 2)
			munmap(at, count * xt_page);
		else if (xpmem_detach(at) && i % 3 == 0)
			w->wrong++;
	}
	return NULL;
}

/* The attachment that all threads share. */
static void *touches(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < rounds * 16; i++) {
		size_t page = draw(&w->seed, PAGES);
		size_t last = page * (xt_page / 8) + xt_page / 8 - 1;
		int sig;

		look(w, w->imp->at, page);
		/* Stores what belongs there: a dropped page gets one word. */
		sig = xt_store(w->imp->at + last * 8, xt_word(1, last));
		w->wrong += sig && sig != SIGBUS;
	}
	return NULL;
}

static void run(struct xt_import *imp, void *(*const fns[])(void *), size_t n)
{
	struct work work[THREADS] = {}, sum = {};
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		work[i].imp = imp;
		work[i].seed = getpid() * 100 + i;
		xt_need(!pthread_create(&threads[i], NULL, fns[i % n],
					&work[i]),
			"pthread_create");
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum.seen += work[i].seen;
		sum.zero += work[i].zero;
		sum.holes += work[i].holes;
		sum.wrong += work[i].wrong;
	}
	xt_ok(!sum.wrong && sum.seen,
	      "%zu words right, %zu dropped, %zu in holes, %zu wrong", sum.seen,
	      sum.zero, sum.holes, sum.wrong);
}

static void works(struct xt_import *imp)
{
	static void *(*const fns[])(void *) = { attaches, touches };
	const char *key = imp->arg;

	xt_put(key, "1");
	run(imp, fns, 2);
}

/* First touch: every thread touches every page, each in its own order. */
static void *all_pages(void *arg)
{
	struct work *w = arg;
	size_t start = draw(&w->seed, PAGES);

	for (size_t i = 0; i < PAGES; i++)
		look(w, w->imp->at, (start + i * 77) % PAGES);
	return NULL;
}

static void first_touch(struct xt_import *imp)
{
	static void *(*const fns[])(void *) = { all_pages };

	for (int i = 0; i < rounds / 8 + 1; i++) {
		xpmem_detach(imp->at);
		imp->at = xt_attach(imp->apid, SIZE);
		run(imp, fns, 1);
	}
}

/* --- the exporter's side */

struct changes {
	char *mem;
	atomic_bool stop;
	atomic_size_t turns;
};

static void fill(char *page, size_t index)
{
	volatile uint64_t *words = (uint64_t *)page;

	for (size_t i = 0; i < xt_page / 8; i++)
		words[i] = xt_word(1, index * (xt_page / 8) + i);
}

/* Each thread owns every THREADSth page, so that fill() finds it mapped. */
struct changer {
	struct changes *changes;
	size_t mine;
};

static void *changes_pages(void *arg)
{
	struct changer *c = arg;
	uint64_t seed = c->mine;

	while (!c->changes->stop) {
		size_t index = draw(&seed, PAGES / 2) * 2 + c->mine;
		char *page = c->changes->mem + index * xt_page;

		switch (draw(&seed, 4)) {
		case 0:
			munmap(page, xt_page);
			/* In between there may be nothing, never another. */
			mmap(page, xt_page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 1:
			madvise(page, xt_page, MADV_DONTNEED);
			break;
		case 2:
			mprotect(page, xt_page, PROT_READ);
			mprotect(page, xt_page, PROT_READ | PROT_WRITE);
			break;
		case 3:
			madvise(page, xt_page, MADV_PAGEOUT);
			break;
		}
		fill(page, index);
		c->changes->turns++;
	}
	return NULL;
}

static void storm(const char *name, int importers)
{
	static char *const keys[] = { "ready-0", "ready-1" };
	struct changes changes = {};
	struct changer changers[2] = { { &changes, 0 }, { &changes, 1 } };
	pthread_t threads[2];
	xpmem_segid_t segid;
	pid_t children[2];

	xt_case(name);
	changes.mem = xt_map(SIZE);
	for (size_t i = 0; i < PAGES; i++)
		fill(changes.mem + i * xt_page, i);
	segid = xt_export(changes.mem, SIZE, 0666);
	for (int i = 0; i < importers; i++)
		children[i] = xt_import_start(works, segid, SIZE, keys[i]);
	for (int i = 0; i < importers; i++)
		xt_await(keys[i]);
	for (int i = 0; i < 2; i++)
		xt_need(!pthread_create(&threads[i], NULL, changes_pages,
					&changers[i]),
			"pthread_create");
	for (int i = 0; i < importers; i++)
		xt_ok(!xt_join(children[i]), "an importer ends well");
	changes.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	xt_ok(changes.turns > 0, "the exporter changed %zu pages meanwhile",
	      (size_t)changes.turns);
	xt_ok(!xt_wrong(changes.mem, SIZE, XT_EVEN, 1) &&
		      !xt_wrong(changes.mem, SIZE, XT_ODD, 1),
	      "its bytes are right");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(changes.mem, SIZE);
	xt_nothing_left("then");
}

static void quiet(void)
{
	struct xt_export ex;

	xt_case("first touch by many threads");
	ex = xt_export_new(SIZE);
	xt_fill(ex.mem, SIZE, XT_ODD, 1);
	xt_import(first_touch, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* --- permits and segments */

struct names {
	xpmem_segid_t segid;
	atomic_size_t failed;
};

static void *gets(void *arg)
{
	struct names *names = arg;
	char *mem = xt_map(xt_page);

	for (int i = 0; i < rounds; i++) {
		xpmem_segid_t own = xpmem_make(mem, xt_page, XPMEM_PERMIT_MODE,
					       (void *)0600);
		xpmem_apid_t one = xpmem_get(names->segid, XPMEM_RDWR,
					     XPMEM_PERMIT_MODE, NULL);
		xpmem_apid_t two =
			xpmem_get(own, XPMEM_RDONLY, XPMEM_PERMIT_MODE, NULL);

		names->failed += own <= 0 || one <= 0 || two <= 0;
		xt_load(xt_attach(one, xt_page), NULL);
		xt_load(xt_attach(two, xt_page), NULL);
		if (i % 2)
			names->failed += xpmem_release(two) != 0;
		names->failed += xpmem_remove(own) != 0;
		names->failed += xpmem_release(one) != 0;
		if (i % 2 == 0)
			names->failed += xpmem_release(two) != 0;
	}
	munmap(mem, xt_page);
	return NULL;
}

static void many_names(void)
{
	struct names names = {};
	pthread_t threads[THREADS];
	struct xt_export ex;

	xt_case("segments and permits by many threads");
	ex = xt_export_new(SIZE);
	names.segid = ex.segid;
	for (int i = 0; i < THREADS; i++)
		xt_need(!pthread_create(&threads[i], NULL, gets, &names),
			"pthread_create");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	xt_ok(!names.failed, "%zu calls failed", (size_t)names.failed);
	xt_export_end(&ex);
}

int main(int argc, char **argv)
{
	rounds = argc > 1 ? atoi(argv[1]) : 100;
	xt_start("threads");
	quiet();
	storm("one importer in a storm", 1);
	storm("two importers in a storm", 2);
	many_names();
	xt_nothing_left("at the end");
	return xt_finish();
}
