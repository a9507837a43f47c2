// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that another process of the same partition has attached, touched and
 * stored to goes to swap when it is reclaimed from outside, frame by frame,
 * and returns with every byte.
 *
 * usage: local-reclaim [MIB]
 */
#include "xt.h"

#include <stdlib.h>
#include <sys/mman.h>

#define GROUP "exporter"
#define LIMIT_MS 240000

static size_t size;

static void exporter(void *arg)
{
	const bool *huge = arg;
	void *mem;

	xt_group_enter(GROUP);
	mem = *huge ? xt_map_huge(size) : xt_map(size);
	xt_fill(mem, size, XT_EVEN, 1);
	if (*huge)
		xt_ok(xt_huge_bytes(mem) >= size / 2,
		      "%zu of %zu MiB are huge pages",
		      xt_huge_bytes(mem) / XT_MIB, size / XT_MIB);
	xt_put("segid", "%lld", (long long)xt_export(mem, size, 0666));
	xt_await("reclaimed");
	xt_ok(!xt_wrong(mem, size, XT_EVEN, 1), "the exporter's bytes return");
	xt_ok(!xt_wrong(mem, size, XT_ODD, 2), "so do the importer's");
	xt_put("read", "1");
	xt_await("stored-again");
	xt_ok(!xt_wrong(mem, size, XT_ODD, 3), "the exporter sees later ones");
}

static void importer(struct xt_import *imp)
{
	xt_ok(!xt_wrong(imp->at, size, XT_EVEN, 1), "it sees the bytes");
	xt_fill(imp->at, size, XT_ODD, 2);
	xt_put("stored", "1");
	xt_await("reclaimed");
	/* Both sides fault the pages in, at the same time. */
	xt_ok(!xt_wrong(imp->at, size, XT_ODD, 2), "its stores return");
	xt_ok(!xt_wrong(imp->at, size, XT_EVEN, 1),
	      "the exporter's bytes return for it");
	xt_await("read");
	xt_fill(imp->at, size, XT_ODD, 3);
	xt_put("stored-again", "1");
}

static void reclaim(const char *name, bool huge)
{
	long long freed, start, swapped;
	pid_t exports, imports;
	xpmem_segid_t segid;

	xt_case(name);
	xt_group_create(GROUP);
	exports = xt_spawn(exporter, &huge);
	segid = xt_await_num("segid");
	imports = xt_import_start(importer, segid, size, NULL);
	xt_await("stored");
	start = xt_ms();
	swapped = xt_swapped_out();
	freed = xt_group_reclaim(GROUP, size / 1000 * 992, LIMIT_MS);
	xt_note("%s: %zu MiB: %.2f %% of the frames freed in %lld ms, %lld pages swapped",
		name, size / XT_MIB, 100.0 * freed / size, xt_ms() - start,
		xt_swapped_out() - swapped);
	xt_ok(freed >= (long long)(size / 100 * 99),
	      "%.2f %% of the frames are freed, 99 are asked for",
	      100.0 * freed / size);
	xt_put("reclaimed", "1");
	xt_ok(!xt_join(exports), "the exporter ends well");
	xt_ok(!xt_join(imports), "the importer ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("then");
}

int main(int argc, char **argv)
{
	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * XT_MIB;
	xt_start("local-reclaim");
	reclaim("4 KiB pages", false);
	reclaim("huge pages", true);
	return xt_finish();
}
