// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which ranges can be exported and attached: everything, holes, parts of
 * pages, ranges that overlap, one's own, wanted addresses.
 */
#include "xt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define FAILED ((void *)-1)

#define SHOWN 16 /* bytes of a string that are compared */

static char *attach(xpmem_apid_t apid, uint64_t offset, size_t size, void *want)
{
	struct xpmem_addr addr = { .apid = apid, .offset = offset };

	return xpmem_attach(addr, size, want);
}

/* Shows one byte string of the exporter's, wherever it lies, also in the last page. */
static bool shows(xpmem_apid_t apid, const char *text)
{
	uint64_t at = (uintptr_t)text, start = at & -xt_page;
	char *shown = attach(apid, start, at - start + SHOWN, NULL);
	bool same;

	if (shown == FAILED)
		return false;
	same = !strncmp(shown + (at - start), text, SHOWN);
	return !xpmem_detach(shown) && same;
}

static char in_data[32] = "in the data";
static char in_bss[32];

struct places {
	xpmem_segid_t segid;
	char *stack, *heap, *mapped;
};

/* A child has the same text at the same addresses: what it compares with. */
static void looks_everywhere(void *arg)
{
	const struct places *p = arg;
	xpmem_apid_t apid = xt_permit(p->segid, XPMEM_RDWR);
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
	char *at;

	xt_ok(shows(apid, in_data), "its data");
	xt_ok(shows(apid, in_bss), "its bss");
	xt_ok(shows(apid, p->stack), "its stack");
	xt_ok(shows(apid, p->heap), "its heap");
	xt_ok(shows(apid, p->mapped), "its mappings");
	at = attach(apid, (uintptr_t)&looks_everywhere & -xt_page, xt_page,
		    NULL);
	xt_ok(at != FAILED && !xt_load(at, NULL), "its code");
	xt_ok(xt_store(at, 0) == SIGBUS, "which cannot be stored to");
	at = attach(apid, vdso - 4 * xt_page, 4 * xt_page, NULL);
	xt_ok(at != FAILED && xt_load(at, NULL) == SIGBUS,
	      "the kernel's pages before the vdso are not shown");
	at = attach(apid, 0, xt_page, NULL);
	xt_ok(at != FAILED && xt_load(at, NULL) == SIGBUS, "address 0: a hole");
}

static void looks_widely(void *arg)
{
	const struct places *p = arg;
	xpmem_apid_t apid = xt_permit(p->segid, XPMEM_RDWR);
	const size_t wide = 64UL << 30;
	/* Mappings may begin so near to it that no 32 GiB are left. */
	const uint64_t last = (1UL << 47) - xt_page - wide;
	uint64_t at = (uintptr_t)p->mapped, start;
	char *shown;

	start = at > wide / 2 ? (at - wide / 2) & -xt_page : 0;
	start = start < last ? start : last;
	shown = attach(apid, start, wide, NULL);
	xt_need(shown != FAILED, "attach 64 GiB around the mappings");
	xt_ok(!strcmp(shown + (at - start), p->mapped), "64 GiB with holes");
	xt_ok(!xpmem_detach(shown), "detach of them");
	start = (uintptr_t)in_data & -(1UL << 45);
	shown = attach(apid, start, 1UL << 45, NULL);
	xt_ok(shown != FAILED &&
		      !strcmp(shown + ((uintptr_t)in_data - start), in_data),
	      "32 TiB with holes");
	xt_ok(shown != FAILED && !xpmem_detach(shown), "detach of them");
	errno = 0;
	xt_ok(attach(apid, 0, (1UL << 47) - xt_page, NULL) == FAILED &&
		      errno == ENOMEM,
	      "no room for all of it: ENOMEM (errno %d)", errno);
}

static void whole_space(void)
{
	char on_stack[32] = "on the stack";
	struct places p = { .stack = on_stack, .heap = malloc(1000) };

	xt_case("whole address space");
	p.mapped = xt_map(SIZE);
	strcpy(in_bss, "in the bss");
	strcpy(p.heap, "in the heap");
	strcpy(p.mapped, "mapped");
	p.segid = xpmem_make(NULL, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
			     (void *)0666);
	xt_need(p.segid > 0, "make (0, XPMEM_MAXADDR_SIZE)");
	xt_ok(!xt_join(xt_spawn(looks_everywhere, &p)), "everything is there");
	xt_ok(!xt_join(xt_spawn(looks_widely, &p)), "wide attachments");
	xt_ok(!xpmem_remove(p.segid), "xpmem_remove");
	p.segid = xpmem_make(p.mapped, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
			     (void *)0666);
	xt_ok(p.segid > 0, "make from some address to the last");
	xt_ok(!xpmem_remove(p.segid), "xpmem_remove");
	free(p.heap);
	munmap(p.mapped, SIZE);
}

/* Holes that come and go while there is an attachment. */
static void looks_at_holes(struct xt_import *imp)
{
	size_t last = SIZE - xt_page;

	xt_ok(xt_load(imp->at, NULL) == SIGBUS &&
		      xt_load(imp->at + last, NULL) == SIGBUS,
	      "holes at both ends");
	xt_ok(!xt_load(imp->at + xt_page, NULL), "a page in between");
	xt_put("seen", "1");
	xt_await("filled");
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 3), "the holes are filled");
	xt_put("seen-filled", "1");
	xt_await("protected");
	xt_ok(xt_load(imp->at, NULL) == SIGBUS,
	      "what the exporter may not read is a hole");
	xt_ok(!xt_load(imp->at + last, NULL), "the rest is not");
}

static void holes(void)
{
	struct xt_export ex;
	pid_t child;

	xt_case("holes");
	ex = xt_export_new(SIZE);
	munmap(ex.mem, xt_page);
	munmap(ex.mem + SIZE - xt_page, xt_page);
	child = xt_import_start(looks_at_holes, ex.segid, SIZE, NULL);
	xt_await("seen");
	xt_need(mmap(ex.mem, SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == ex.mem,
		"mmap over all of it");
	xt_fill(ex.mem, SIZE, XT_EVEN, 3);
	xt_put("filled", "1");
	xt_await("seen-filled");
	mprotect(ex.mem, xt_page, PROT_NONE);
	xt_put("protected", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_export_end(&ex);

	/* Nothing is mapped there yet when the segment is made. */
	ex.mem = xt_map(SIZE);
	munmap(ex.mem, SIZE);
	ex.segid = xt_export(ex.mem, SIZE, 0666);
	xt_ok(!xpmem_remove(ex.segid), "a segment that is one hole");
}

/* make wants whole pages, as everywhere; attach takes what it is given. */
static void unaligned_attach(struct xt_import *imp)
{
	static const struct {
		size_t offset, size;
	} parts[] = {
		{ 0, 1 },	 { 0, 4097 },	      { 8, 8 },
		{ 8, 4096 },	 { 4096, 100 },	      { 4095, 2 },
		{ 12345, 9999 }, { SIZE - 1, 1 },     { SIZE - 4097, 4097 },
		{ 1, SIZE - 1 }, { SIZE - 100, 100 },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char *at =
			attach(imp->apid, parts[i].offset, parts[i].size, NULL);

		xt_ok(at != FAILED && !memcmp(at, imp->at + parts[i].offset,
					      parts[i].size),
		      "%zu bytes at %zu", parts[i].size, parts[i].offset);
		xt_ok(((uintptr_t)at - parts[i].offset) % xt_page == 0,
		      "at the same place of a page");
		xt_ok(!xpmem_detach(at) &&
			      xt_load((void *)((uintptr_t)at & -xt_page),
				      NULL) == SIGSEGV,
		      "detach of the address that was returned");
	}
	errno = 0;
	xt_ok(attach(imp->apid, SIZE - 100, 101, NULL) == FAILED &&
		      errno == EINVAL,
	      "one byte too many: EINVAL (errno %d)", errno);
}

static void unaligned(void)
{
	static const struct {
		size_t skip, size;
	} refused[] = { { 1, 4096 },
			{ 0, 4095 },
			{ 0, 4097 },
			{ 2048, 2048 },
			{ 8, SIZE - 8 } };
	struct xt_export ex;

	xt_case("parts of pages");
	ex = xt_export_new(SIZE);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		errno = 0;
		xt_ok(xpmem_make(ex.mem + refused[i].skip, refused[i].size,
				 XPMEM_PERMIT_MODE, (void *)0666) == -1 &&
			      errno == EINVAL,
		      "make of %zu bytes at %zu: EINVAL (errno %d)",
		      refused[i].size, refused[i].skip, errno);
	}
	xt_import(unaligned_attach, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* Two segments, the second half of one being the first of the other. */
static void overlaps(void *arg)
{
	const xpmem_segid_t *segids = arg;
	xpmem_apid_t one = xt_permit(segids[0], XPMEM_RDWR);
	xpmem_apid_t two = xt_permit(segids[1], XPMEM_RDONLY);
	char *a = xt_attach(one, SIZE), *b = xt_attach(two, SIZE);
	char *c = attach(one, SIZE / 4, SIZE / 2, NULL);
	uint64_t value;

	xt_ok(c != FAILED, "attachments of one segment overlap");
	for (size_t i = 0; i < SIZE / 2; i += xt_page)
		xt_store(a + SIZE / 2 + i, i + 1);
	xt_ok(!xt_load(b + xt_page, &value) && value == xt_page + 1,
	      "a store through one shows through the other segment");
	xt_ok(!xt_load(c + SIZE / 4, &value) && value == 1,
	      "and through the other attachment");
	xt_ok(xt_store(b, 0) == SIGSEGV,
	      "read-only stays read-only beside read-write");
	xt_ok(!xpmem_detach(c) && !xt_load(a + SIZE / 2, &value) && value == 1,
	      "detach of one leaves the other");
	xt_put("attached", "1");
	xt_await("removed");
	xt_ok(xt_load(a + SIZE / 2, NULL) == SIGBUS, "the removed one is gone");
	xt_ok(!xt_load(b, &value) && value == 1, "the other is not");
	xt_put("seen", "1");
	xt_await("unmapped");
	xt_ok(xt_load(b, NULL) == SIGBUS, "what was unmapped is gone");
	xt_ok(!xt_load(b + SIZE / 2, NULL), "the rest is not");
}

static void overlapping(void)
{
	char *mem = xt_map(SIZE + SIZE / 2);
	xpmem_segid_t segids[2];
	pid_t child;

	xt_case("overlapping segments and attachments");
	segids[0] = xt_export(mem, SIZE, 0666);
	segids[1] = xt_export(mem + SIZE / 2, SIZE, 0666);
	memset(mem, 0, SIZE + SIZE / 2);
	child = xt_spawn(overlaps, segids);
	xt_await("attached");
	xt_ok(!xpmem_remove(segids[0]), "remove one of two");
	xt_put("removed", "1");
	xt_await("seen");
	munmap(mem + SIZE / 2, SIZE / 2);
	xt_put("unmapped", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(!xpmem_remove(segids[1]), "remove the other");
	munmap(mem, SIZE + SIZE / 2);
}

/* Exporter and importer are one: its notifier zaps its own attachments. */
static void own(void)
{
	struct xt_export ex;
	xpmem_apid_t apid;
	uint64_t value;
	char *at;

	xt_case("a process attaches its own segment");
	ex = xt_export_new(SIZE);
	apid = xt_permit(ex.segid, XPMEM_RDWR);
	at = xt_attach(apid, SIZE);
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "it sees its bytes");
	xt_fill(at, SIZE, XT_ODD, 2);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 2), "and its stores");
	xt_ok(!madvise(ex.mem, SIZE, MADV_DONTNEED) && !xt_nonzero(at, SIZE),
	      "zeros after MADV_DONTNEED");
	xt_ok(!xt_store(at, 5) && !xt_load(ex.mem, &value) && value == 5,
	      "a store to such a page");
	munmap(ex.mem, xt_page);
	xt_ok(xt_load(at, NULL) == SIGBUS, "SIGBUS after munmap");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_export_end(&ex);
	/* Everything, the attachments themselves included. */
	ex.segid = xpmem_make(NULL, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
			      (void *)0666);
	apid = xt_permit(ex.segid, XPMEM_RDWR);
	ex.mem = xt_map(SIZE);
	xt_fill(ex.mem, SIZE, XT_EVEN, 3);
	at = attach(apid, (uintptr_t)ex.mem, SIZE, NULL);
	xt_ok(at != FAILED && !xt_wrong(at, SIZE, XT_EVEN, 3),
	      "the same within a segment of everything");
	at = attach(apid, (uintptr_t)at, SIZE, NULL);
	xt_ok(at != FAILED && xt_load(at, NULL) == SIGBUS,
	      "an attachment of an attachment shows nothing");
	xt_ok(!xpmem_release(apid), "xpmem_release");
	xt_export_end(&ex);
}

/* No client asks for an address; ours never takes away what is there. */
static void wants(struct xt_import *imp)
{
	char *room = xt_map(4 * SIZE), *at;

	memset(room, 'x', 4 * SIZE);
	munmap(room + SIZE, SIZE);
	at = attach(imp->apid, 0, SIZE, room + SIZE);
	xt_ok(at == room + SIZE && !xt_wrong(at, SIZE, XT_EVEN, 1),
	      "at a wanted address that is free");
	errno = 0;
	xt_ok(attach(imp->apid, 0, SIZE, at) == FAILED && errno == EINVAL,
	      "over an attachment: EINVAL (errno %d)", errno);
	errno = 0;
	xt_ok(attach(imp->apid, 0, SIZE, room) == FAILED && errno == EINVAL,
	      "over other memory: EINVAL (errno %d)", errno);
	xt_ok(room[0] == 'x' && room[SIZE - 1] == 'x', "which keeps its bytes");
	xt_ok(!xpmem_detach(at), "detach");
	errno = 0;
	xt_ok(attach(imp->apid, 0, 2 * SIZE, room + SIZE) == FAILED &&
		      errno == EINVAL,
	      "partly over other memory: EINVAL (errno %d)", errno);
	xt_ok(attach(imp->apid, 100, SIZE - 100, room + SIZE) ==
		      room + SIZE + 100,
	      "an offset inside a page at a wanted address");
	munmap(room, 4 * SIZE);
}

static void wanted(void)
{
	struct xt_export ex;

	xt_case("wanted addresses");
	ex = xt_export_new(SIZE);
	xt_import(wants, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

int main(void)
{
	xt_start("ranges");
	whole_space();
	holes();
	unaligned();
	overlapping();
	own();
	wanted();
	xt_nothing_left("at the end");
	return xt_finish();
}
