// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that another partition has attached, touched and stored to goes to
 * swap when the home wants it back, and returns with every byte.
 *
 * usage: reclaim [MIB]
 *
 * p1: the exporter, in a group of its own, and the leader that reclaims from
 * that group. p2: the importer.
 */
#include "xt.h"

#include <stdlib.h>
#include <sys/mman.h>

#define GROUP "exporter"
#define LIMIT_MS 120000

struct variant {
	const char *name;
	bool huge; /* huge pages behind the segment */
	bool local; /* a local importer besides the remote one */
};

static size_t size;

static void exporter(void *arg)
{
	const struct variant *v = arg;
	void *mem;

	xt_group_enter(GROUP);
	mem = v->huge ? xt_map_huge(size) : xt_map(size);
	xt_fill(mem, size, XT_EVEN, 1);
	if (v->huge)
		xt_ok(xt_huge_bytes(mem) >= size / 2,
		      "%zu of %zu MiB are huge pages",
		      xt_huge_bytes(mem) / XT_MIB, size / XT_MIB);
	xt_put("segid", "%#llx", (long long)xt_export(mem, size, 0666));
	xt_await("stored");
	xt_ok(!xt_wrong(mem, size, XT_ODD, 2), "p1 sees p2's bytes");
	xt_put("seen", "1");
	xt_await("read");
	xt_ok(!xt_wrong(mem, size, XT_EVEN, 1), "p1's bytes survive on p1");
	xt_ok(!xt_wrong(mem, size, XT_ODD, 3), "p1 sees p2's later bytes");
	xt_put("read-by-p1", "1");
	xt_await("left");
}

/* Touches everything for writing, without changing it. */
static void local_importer(void *arg)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, size);

	(void)arg;
	xt_fill(at, size, XT_EVEN, 1);
	xt_put("touched-locally", "1");
	xt_await("reclaimed");
	xt_ok(!xt_wrong(at, size, XT_EVEN, 1),
	      "p1's bytes survive for the local importer");
	xt_await("left");
	xt_ok(!xpmem_release(apid), "xpmem_release by the local importer");
}

static void press(const struct variant *v)
{
	long long exported = xt_stat("exported"), revoked = xt_stat("revoked");
	long long acked = xt_stat("acked"), swapped = xt_swapped_out();
	long long start = xt_ms(), freed;

	/* A huge page is one exported folio or 512 exported pages: both. */
	xt_ok(exported > 0, "%lld pages are exported before", exported);
	freed = xt_group_reclaim(GROUP, size / 100 * 96, LIMIT_MS);
	xt_note("%s: %zu MiB: %.1f %% of the frames freed in %lld ms", v->name,
		size / XT_MIB, 100.0 * freed / size, xt_ms() - start);
	xt_note("exported %lld -> %lld, revoked %lld, acked %lld, swapped %lld",
		exported, xt_stat("exported"), xt_stat("revoked") - revoked,
		xt_stat("acked") - acked, xt_swapped_out() - swapped);
	xt_ok(freed >= (long long)(size / 100 * 95),
	      "%.1f %% of the frames are freed, 95 are asked for",
	      100.0 * freed / size);
	xt_ok(xt_stat("exported") * 20 <= exported,
	      "at most 5 %% of the pages stay exported");
}

static void home(const struct variant *v)
{
	pid_t exports, imports = 0;

	xt_group_create(GROUP);
	exports = xt_spawn(exporter, (void *)v);
	if (v->local) {
		imports = xt_spawn(local_importer, NULL);
		xt_await("touched-locally");
	}
	xt_await("seen");
	press(v);
	xt_put("reclaimed", "1");
	xt_ok(!xt_join(exports), "the exporter ends well");
	if (v->local)
		xt_ok(!xt_join(imports), "the local importer ends well");
	xt_group_destroy(GROUP);
	xt_nothing_left("at the end");
}

static void importer(void)
{
	xpmem_apid_t apid = xt_permit(xt_await_num("segid"), XPMEM_RDWR);
	void *at = xt_attach(apid, size);

	xt_ok(!xt_wrong(at, size, XT_EVEN, 1), "p2 sees p1's bytes");
	xt_fill(at, size, XT_ODD, 2);
	xt_put("stored", "1");
	xt_await("reclaimed");
	xt_ok(!xt_wrong(at, size, XT_ODD, 2), "p2's stores survive");
	xt_ok(!xt_wrong(at, size, XT_EVEN, 1), "p1's bytes survive for p2");
	xt_fill(at, size, XT_ODD, 3);
	xt_put("read", "1");
	xt_await("read-by-p1");
	xt_ok(!xpmem_detach(at), "xpmem_detach");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_put("left", "1");
	xt_nothing_left("at the end");
}

int main(int argc, char **argv)
{
	static const struct variant variants[] = {
		{ "4 KiB pages", false, false },
		{ "huge pages", true, false },
		{ "a local importer too", false, true },
	};

	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * XT_MIB;
	xt_start("reclaim");
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		xt_case(variants[i].name);
		if (xt_me == XT_HOME)
			home(&variants[i]);
		else if (xt_me == 2)
			importer();
	}
	return xt_finish();
}
