// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: exporters and importers on one partition.
 */
#include "xt.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

struct start {
	xt_importer fn;
	struct xt_import imp;
};

static void importer(void *arg)
{
	struct start *start = arg;
	struct xt_import *imp = &start->imp;

	imp->apid = xt_permit(imp->segid, imp->flags);
	imp->at = xt_attach(imp->apid, imp->size);
	start->fn(imp);
	if (imp->apid)
		xt_ok(!xpmem_release(imp->apid), "xpmem_release");
}

static pid_t start(xt_importer fn, xpmem_segid_t segid, size_t size, int flags,
		   void *arg)
{
	struct start start = {
		fn,
		{ segid, size, flags, arg, 0, NULL },
	};

	return xt_spawn(importer, &start);
}

pid_t xt_import_start(xt_importer fn, xpmem_segid_t segid, size_t size,
		      void *arg)
{
	return start(fn, segid, size, XPMEM_RDWR, arg);
}

pid_t xt_import_start_only(xt_importer fn, xpmem_segid_t segid, size_t size,
			   void *arg)
{
	return start(fn, segid, size, XPMEM_RDONLY, arg);
}

void xt_import(xt_importer fn, xpmem_segid_t segid, size_t size, void *arg)
{
	xt_ok(!xt_join(xt_import_start(fn, segid, size, arg)),
	      "the importer ends well");
}

void xt_import_only(xt_importer fn, xpmem_segid_t segid, size_t size, void *arg)
{
	xt_ok(!xt_join(xt_import_start_only(fn, segid, size, arg)),
	      "the importer that may only read ends well");
}

struct xt_export xt_export_new(size_t size)
{
	struct xt_export ex = { .mem = xt_map(size), .size = size };

	xt_fill(ex.mem, size, XT_EVEN, 1);
	ex.segid = xt_export(ex.mem, size, 0666);
	return ex;
}

void xt_export_end(struct xt_export *ex)
{
	xt_ok(!xpmem_remove(ex->segid), "xpmem_remove");
	munmap(ex->mem, ex->size);
}

bool xt_maps_line(const void *at, char *line, size_t size)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t start, end;
	bool found = false;

	xt_need(maps != NULL, "open /proc/self/maps");
	while (!found && fgets(line, size, maps))
		found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start,
			       &end) == 2 &&
			start <= (uintptr_t)at && (uintptr_t)at < end;
	fclose(maps);
	line[strcspn(line, "\n")] = '\0';
	return found;
}
