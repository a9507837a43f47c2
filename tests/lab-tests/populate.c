// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of an attachment before they are touched: by a flag of attach, by
 * MADV_POPULATE_READ and _WRITE, and MADV_WILLNEED. What was populated is
 * touched without a fault.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (4 * XT_MIB)
#define HALF (SIZE / 2)
#define FAILED ((void *)-1)
#define SERIES "a kernel with the mm series"

/*
 * MADV_POPULATE_* of an attachment takes the mm series: without, Linux refuses
 * it for mappings that have no struct pages of their own.
 */
static bool populates;

/* The shared flag: these tests attach with it or not. */
static char *attach(const struct xt_import *imp, size_t offset, size_t size,
		    int flags)
{
	struct xpmem_addr addr = { .apid = imp->apid, .offset = offset };
	char *at = xpmem_attach_flags(addr, size, NULL, flags);

	xt_need(at != FAILED, "attach %zu bytes, flags %d", size, flags);
	return at;
}

/* Faults that touching all pages causes; the module counts them. */
static long long faults(char *at, size_t size, bool store)
{
	long long before = xt_stat("faults-local");
	uint64_t value;

	for (size_t i = 0; i < size; i += xt_page)
		if (store ? xt_store(at + i + 8, xt_word(1, i / 8 + 1)) :
			    xt_load(at + i, &value) ||
				    value != xt_word(1, i / 8))
			xt_fail("touch of page %zu", i / xt_page);
	return xt_stat("faults-local") - before;
}

static int advise(char *at, size_t size, int advice)
{
	errno = 0;
	return madvise(at, size, advice) ? errno : 0;
}

static void by_flag(struct xt_import *imp)
{
	long long n;
	char *at;

	xt_put("attached", "1");
	xt_await("resident");
	at = attach(imp, 0, SIZE, 0);
	n = faults(at, SIZE, false);
	xt_ok(n > 0, "without the flag there are %lld faults", n);
	at = attach(imp, 0, SIZE, XPMEM_ATTACH_POPULATE);
	n = faults(at, SIZE, false);
	xt_ok(n == 0, "with it there are %lld to load", n);
	n = faults(at, SIZE, true);
	xt_ok(n == 0, "and %lld to store", n);
	at = attach(imp, 12345, 100, XPMEM_ATTACH_POPULATE);
	xt_ok(!memcmp(at, imp->at + 12345, 100), "a part of a page");
	errno = 0;
	at = xpmem_attach_flags((struct xpmem_addr){ imp->apid, 0 }, SIZE, NULL,
				0x40);
	xt_ok(at == FAILED && errno == EINVAL, "unknown flags: EINVAL");
}

static void by_populate(struct xt_import *imp)
{
	long long n;
	char *at;

	xt_put("attached", "1");
	xt_await("resident");
	at = attach(imp, 0, SIZE, 0);
	xt_ok(!advise(at, SIZE, MADV_POPULATE_READ), "MADV_POPULATE_READ");
	n = faults(at, SIZE, false);
	xt_ok(n == 0, "then %lld faults to load", n);
	at = attach(imp, 0, SIZE, 0);
	xt_ok(!advise(at, SIZE, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE");
	n = faults(at, SIZE, true);
	xt_ok(n == 0, "then %lld faults to store", n);
	at = attach(imp, 0, SIZE, 0);
	xt_ok(!advise(at + HALF, xt_page, MADV_POPULATE_WRITE), "of one page");
	n = faults(at + HALF, 8, true);
	xt_ok(n == 0, "then %lld faults to store to it", n);
}

static void by_advice(struct xt_import *imp)
{
	long long n;
	char *at;

	xt_put("attached", "1");
	xt_await("resident");
	at = attach(imp, 0, SIZE, 0);
	if (!populates)
		xt_ok(advise(at, SIZE, MADV_POPULATE_READ) == EINVAL,
		      "MADV_POPULATE_READ is refused here");
	xt_ok(!advise(at, SIZE, MADV_WILLNEED), "MADV_WILLNEED");
	n = faults(at, SIZE, false);
	xt_ok(n == 0, "then %lld faults to load", n);
}

/*
 * A fork makes the exporter's pages copy-on-write: it has to store to them once
 * more before they can be given writable at no cost.
 */
static void present(const char *name, xt_importer fn)
{
	struct xt_export ex;
	pid_t child;

	xt_case(name);
	ex = xt_export_new(SIZE);
	child = xt_import_start(fn, ex.segid, SIZE, NULL);
	xt_await("attached");
	xt_fill(ex.mem, SIZE, XT_EVEN, 1);
	xt_put("resident", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the exporter's bytes stay");
	xt_export_end(&ex);
}

/* --- what the exporter does not have in memory now */

static void absent_read(struct xt_import *imp)
{
	xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_READ),
	      "MADV_POPULATE_READ (errno %d)", errno);
	xt_ok(faults(imp->at, SIZE, false) == 0, "no fault then");
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the bytes are right");
}

static void absent_write(struct xt_import *imp)
{
	xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_WRITE),
	      "MADV_POPULATE_WRITE (errno %d)", errno);
	xt_ok(faults(imp->at, SIZE, true) == 0, "no fault then");
	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the bytes are right");
}

static void absent_flag(struct xt_import *imp)
{
	char *at = attach(imp, 0, SIZE, XPMEM_ATTACH_POPULATE);

	xt_ok(faults(at, SIZE, false) == 0, "no fault after attach");
	xt_ok(!xt_wrong(at, SIZE, XT_EVEN, 1), "the bytes are right");
}

static void absent(const char *name, xt_importer fn)
{
	struct xt_export ex;
	size_t out = 0;

	xt_case(name);
	ex = xt_export_new(SIZE);
	xt_need(!madvise(ex.mem, SIZE, MADV_PAGEOUT), "MADV_PAGEOUT");
	for (size_t i = 0; i < SIZE; i += xt_page)
		out += !xt_frame(ex.mem + i);
	xt_ok(out > 0, "%zu pages are swapped out", out);
	xt_import(fn, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* Huge entries of the page table, populated when they are there already. */
static void huge_again(struct xt_import *imp)
{
	long long huge = xt_stat("faults-huge");

	xt_ok(!xt_wrong(imp->at, SIZE, XT_EVEN, 1), "the bytes are right");
	huge = xt_stat("faults-huge") - huge;
	xt_ok(huge > 0, "%lld huge pages are mapped", huge);
	xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_READ), "read (errno %d)",
	      errno);
	xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_WRITE), "write (errno %d)",
	      errno);
	xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_WRITE), "again (errno %d)",
	      errno);
	xt_ok(faults(imp->at, SIZE, true) == 0, "no fault then");
}

static void huge(void)
{
	struct xt_export ex = { .mem = xt_map_huge(SIZE), .size = SIZE };

	xt_case("huge pages");
	xt_fill(ex.mem, SIZE, XT_EVEN, 1);
	if (xt_huge_bytes(ex.mem) != SIZE) {
		xt_skip("huge pages are populated", "free huge pages");
		munmap(ex.mem, SIZE);
		return;
	}
	ex.segid = xt_export(ex.mem, SIZE, 0666);
	xt_import(huge_again, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

/* Nobody ever touched it: populating makes pages for the exporter. */
static void nothing_yet(struct xt_import *imp)
{
	xt_ok(!advise(imp->at, HALF, MADV_POPULATE_READ), "read");
	xt_ok(!xt_nonzero(imp->at, HALF), "zeros");
	xt_ok(!advise(imp->at, HALF, MADV_POPULATE_WRITE),
	      "write, over what was populated for reading");
	xt_ok(!advise(imp->at + HALF, HALF, MADV_POPULATE_WRITE), "write");
	xt_fill(imp->at, SIZE, XT_ODD, 2);
}

static void untouched(void)
{
	struct xt_export ex = { .mem = xt_map(SIZE), .size = SIZE };

	xt_case("memory that was never touched");
	ex.segid = xt_export(ex.mem, SIZE, 0666);
	xt_import(nothing_yet, ex.segid, SIZE, NULL);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 2), "the stores arrived");
	xt_export_end(&ex);
}

/* --- what cannot be had */

static void over_a_hole(struct xt_import *imp)
{
	char *at;
	int error, wanted = populates ? EFAULT : EINVAL;

	error = advise(imp->at, SIZE, MADV_POPULATE_READ);
	xt_ok(error == wanted, "MADV_POPULATE_READ is refused (errno %d)",
	      error);
	error = advise(imp->at, SIZE, MADV_POPULATE_WRITE);
	xt_ok(error == wanted, "MADV_POPULATE_WRITE is refused (errno %d)",
	      error);
	error = advise(imp->at, SIZE, MADV_WILLNEED);
	xt_ok(!error, "MADV_WILLNEED succeeds (errno %d)", error);
	at = attach(imp, 0, SIZE, XPMEM_ATTACH_POPULATE);
	xt_ok(xt_load(at + HALF, NULL) == SIGBUS && !xt_load(at, NULL) &&
		      !xt_load(at + HALF + xt_page, NULL),
	      "attach with the flag succeeds; only the hole is SIGBUS");
	if (populates) {
		error = advise(imp->at, HALF, MADV_POPULATE_WRITE);
		xt_ok(!error, "up to the hole it succeeds (errno %d)", error);
	}
}

static void hole(void)
{
	struct xt_export ex;

	xt_case("a hole");
	ex = xt_export_new(SIZE);
	munmap(ex.mem + HALF, xt_page);
	xt_import(over_a_hole, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

static void may_read(struct xt_import *imp)
{
	char *at = attach(imp, 0, SIZE, XPMEM_ATTACH_POPULATE);
	int error;

	xt_ok(faults(at, SIZE, false) == 0, "the flag: no fault to load");
	xt_ok(xt_store(at, 1) == SIGSEGV, "a store is SIGSEGV");
	if (populates)
		xt_ok(!advise(imp->at, SIZE, MADV_POPULATE_READ),
		      "MADV_POPULATE_READ");
	error = advise(imp->at, SIZE, MADV_POPULATE_WRITE);
	xt_ok(error == EINVAL || error == EFAULT,
	      "MADV_POPULATE_WRITE is refused (errno %d)", error);
}

static void reader(void)
{
	struct xt_export ex;

	xt_case("a permit to read");
	ex = xt_export_new(SIZE);
	xt_import_only(may_read, ex.segid, SIZE, NULL);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the bytes stay");
	xt_export_end(&ex);
}

static void after_the_end(struct xt_import *imp)
{
	int error;

	xt_put("attached", "1");
	xt_await("removed");
	error = advise(imp->at, SIZE, MADV_POPULATE_READ);
	xt_ok(error == (populates ? EFAULT : EINVAL),
	      "MADV_POPULATE_READ is refused (errno %d)", error);
	error = advise(imp->at, SIZE, MADV_WILLNEED);
	xt_ok(!error, "MADV_WILLNEED (errno %d)", error);
}

static void removed(void)
{
	struct xt_export ex;
	pid_t child;

	xt_case("a removed segment");
	ex = xt_export_new(SIZE);
	child = xt_import_start(after_the_end, ex.segid, SIZE, NULL);
	xt_await("attached");
	xt_ok(!xpmem_remove(ex.segid), "xpmem_remove");
	xt_put("removed", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	munmap(ex.mem, SIZE);
}

int main(void)
{
	xt_start("populate");
	populates = xt_series();
	present("flag of attach", by_flag);
	present("MADV_WILLNEED", by_advice);
	if (populates) {
		present("MADV_POPULATE_*", by_populate);
		absent("swapped out, MADV_POPULATE_READ", absent_read);
		absent("swapped out, MADV_POPULATE_WRITE", absent_write);
		untouched();
		huge();
	} else {
		xt_skip("MADV_POPULATE_READ and _WRITE succeed", SERIES);
	}
	absent("swapped out, flag of attach", absent_flag);
	hole();
	reader();
	removed();
	xt_nothing_left("at the end");
	return xt_finish();
}
