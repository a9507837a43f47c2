// SPDX-License-Identifier: GPL-2.0-only
/*
 * A local attachment costs no memory per page beyond page tables: 256 MiB that
 * are resident already are attached and touched, and the kernel's own counters
 * are compared before and after.
 *
 * usage: footprint [MIB]
 */
#include "xt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 5
/* Of the kernel's other doings, and of what one attachment costs at any size. */
#define SLACK_KIB 256

static size_t size;

enum { FREE, SLAB, TABLES, COUNT };

struct kib {
	long long of[COUNT];
};

/* Pages on lists of processors are free, too: refreshing counts them in. */
static struct kib measure(void)
{
	static const char *const names[] = { "MemFree:", "Slab:",
					     "PageTables:" };
	struct kib kib = {};
	char name[32];
	long long value;
	FILE *f;

	f = fopen("/proc/sys/vm/drop_caches", "we");
	xt_need(f && fputs("3\n", f) > 0 && !fclose(f), "drop caches");
	f = fopen("/proc/sys/vm/stat_refresh", "re");
	xt_need(f != NULL, "open stat_refresh");
	while (fgetc(f) != EOF)
		;
	fclose(f);
	f = fopen("/proc/meminfo", "re");
	xt_need(f != NULL, "open /proc/meminfo");
	while (fscanf(f, "%31s %lld%*[^\n]", name, &value) == 2)
		for (int i = 0; i < COUNT; i++)
			if (!strcmp(name, names[i]))
				kib.of[i] = value;
	fclose(f);
	return kib;
}

static size_t touch(const char *at)
{
	size_t wrong = 0;
	uint64_t value;

	for (size_t i = 0; i < size; i += xt_page)
		wrong += xt_load(at + i, &value) ||
			 value != xt_word(1, i / sizeof(value));
	return wrong;
}

/* What it needs it needs in every round; what others do varies. */
static void grows(struct xt_import *imp)
{
	struct kib least = { { 1 << 30, 1 << 30, 1 << 30 } }, before, after;
	size_t wrong = 0;

	xpmem_detach(imp->at);
	for (int round = 0; round < ROUNDS; round++) {
		before = measure();
		imp->at = xt_attach(imp->apid, size);
		wrong += touch(imp->at);
		after = measure();
		after.of[FREE] = before.of[FREE] - after.of[FREE];
		after.of[SLAB] -= before.of[SLAB];
		after.of[TABLES] -= before.of[TABLES];
		for (int i = 0; i < COUNT; i++)
			if (after.of[i] < least.of[i])
				least.of[i] = after.of[i];
		xt_note("round %d: used %lld, slab %lld, tables %lld KiB",
			round, after.of[FREE], after.of[SLAB],
			after.of[TABLES]);
		if (round < ROUNDS - 1)
			xpmem_detach(imp->at);
	}
	xt_ok(!wrong, "every page was seen");
	xt_put("slab", "%lld", least.of[SLAB]);
	xt_put("tables", "%lld", least.of[TABLES]);
	xt_put("used", "%lld", least.of[FREE]);
}

static void compare(const char *name, void *mem)
{
	const long long tables = size / (2 * XT_MIB) * (xt_page / 1024);
	const size_t pages = size / xt_page;
	xpmem_segid_t segid;
	long long used;

	xt_case(name);
	xt_fill(mem, size, XT_EVEN, 1);
	segid = xt_export(mem, size, 0666);
	xt_import(grows, segid, size, NULL);
	xt_ok(xt_await_num("tables") <= tables + 64,
	      "%lld KiB of page tables for %zu pages, at most one entry each",
	      xt_await_num("tables"), pages);
	xt_ok(xt_await_num("slab") <= SLACK_KIB,
	      "%lld KiB of slab: %.2f bytes a page", xt_await_num("slab"),
	      1024.0 * xt_await_num("slab") / pages);
	used = xt_await_num("used") - xt_await_num("tables");
	xt_ok(used <= 2 * SLACK_KIB,
	      "%lld KiB of other memory: %.2f bytes a page", used,
	      1024.0 * used / pages);
	xt_ok(!xt_stat("exported"), "no page has an export entry");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	munmap(mem, size);
}

int main(int argc, char **argv)
{
	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) * XT_MIB;
	xt_start("footprint");
	compare("4 KiB pages", xt_map(size));
	compare("huge pages", xt_map_huge(size));
	xt_nothing_left("at the end");
	return xt_finish();
}
