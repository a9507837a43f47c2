// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of 1 GiB of hugetlbfs, attached on the exporter's own partition: by
 * entries of 2 MiB in the importer's page table.
 */
#include "xt.h"

#include <signal.h>
#include <sys/mman.h>

#define GIGANTIC (1024 * XT_MIB)
#define HUGE (GIGANTIC / (2 * XT_MIB))
#define POOL "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"
#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB (30 << 26)
#endif
/* A word here and there: all of it would take minutes. */
#define STRIDE (61 * 4096UL + 8)

static int pool(void)
{
	FILE *f = fopen(POOL, "re");
	int got = 0;

	if (!f)
		return 0;
	xt_need(fscanf(f, "%d", &got) == 1, "read %s", POOL);
	fclose(f);
	return got;
}

static void fill(char *mem, uint32_t seed)
{
	for (size_t i = 0; i < GIGANTIC; i += STRIDE)
		*(uint64_t *)(mem + i) = xt_word(seed, i);
}

static size_t wrong(const char *at, size_t from, uint32_t seed)
{
	size_t bad = 0;

	for (size_t i = 0; i < GIGANTIC; i += STRIDE)
		if (i >= from)
			bad += *(uint64_t *)(at + i - from) != xt_word(seed, i);
	return bad;
}

static void importer(void *arg)
{
	xpmem_apid_t apid = xt_permit(*(xpmem_segid_t *)arg, XPMEM_RDWR);
	struct xpmem_addr inside = { .apid = apid, .offset = 4096 };
	long long faults = xt_stat("faults-local");
	long long huge = xt_stat("faults-huge");
	char *at = xt_attach(apid, GIGANTIC), *small;

	xt_ok(!wrong(at, 0, 1), "the importer sees the exporter's words");
	faults = xt_stat("faults-local") - faults;
	huge = xt_stat("faults-huge") - huge;
	xt_ok(faults == (long long)HUGE && huge == (long long)HUGE,
	      "by entries of 2 MiB (%lld faults, %lld huge)", faults, huge);
	fill(at, 2);
	small = xpmem_attach(inside, GIGANTIC - 8192, NULL);
	xt_need(small != (void *)-1, "attach a part of it");
	xt_ok((uintptr_t)small % (2 * XT_MIB) == 4096, "it lies as it should");
	xt_ok(*(uint64_t *)(small + 123 * STRIDE - 4096) ==
		      xt_word(2, 123 * STRIDE),
	      "so it does through an attachment of a part");
	faults = xt_stat("faults-huge");
	xt_ok(*(uint64_t *)(small + 777 * STRIDE - 4096) ==
			      xt_word(2, 777 * STRIDE) &&
		      xt_stat("faults-huge") == faults + 1,
	      "by entries of 2 MiB, too");
	xt_put("stored", "1");
	xt_await("gone");
	xt_ok(xt_load(at, NULL) == SIGBUS &&
		      xt_load(small + 123 * STRIDE - 4096, NULL) == SIGBUS,
	      "what the exporter unmapped is gone");
}

int main(void)
{
	xpmem_segid_t segid;
	pid_t child;
	char *mem;

	xt_start("gigantic");
	xt_case("1 GiB page");
	if (!pool()) {
		xt_skip("attach", "a huge page of 1 GiB, reserved at boot");
		return xt_finish();
	}
	mem = mmap(NULL, GIGANTIC, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_1GB, -1,
		   0);
	xt_need(mem != MAP_FAILED, "mmap of a 1 GiB page");
	fill(mem, 1);
	segid = xt_export(mem, GIGANTIC, 0600);
	child = xt_spawn(importer, &segid);
	xt_await("stored");
	xt_ok(!wrong(mem, 0, 2), "the exporter sees the importer's words");
	munmap(mem, GIGANTIC);
	xt_put("gone", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(!xpmem_remove(segid), "xpmem_remove");
	xt_ok(pool(), "the page comes back");
	xt_nothing_left("at the end");
	return xt_finish();
}
