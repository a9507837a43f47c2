// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process may do with an attachment as with any other mapping, and what
 * it may not: munmap of parts, mprotect, mremap, madvise, mlock, system calls
 * that read or write it, core dumps, /proc.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define HALF (SIZE / 2)

static bool none(const char *at, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += xt_page)
		if (xt_load(at + i, NULL) != SIGSEGV)
			return false;
	return true;
}

static bool all(const char *at, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += xt_page) {
		uint64_t value;

		if (xt_load(at + i, &value) ||
		    value != xt_word(1, i / sizeof(value)))
			return false;
	}
	return true;
}

static void unmaps(struct xt_import *imp)
{
	char *a = imp->at, *b, *c;

	xt_ok(!munmap(a, xt_page) && none(a, 0, xt_page) &&
		      all(a, xt_page, SIZE),
	      "munmap of the head");
	xt_ok(!munmap(a + SIZE - xt_page, xt_page) &&
		      none(a, SIZE - xt_page, SIZE) &&
		      all(a, xt_page, SIZE - xt_page),
	      "munmap of the tail");
	xt_ok(!munmap(a + HALF, xt_page) && none(a, HALF, HALF + xt_page) &&
		      all(a, xt_page, HALF) &&
		      all(a, HALF + xt_page, SIZE - xt_page),
	      "munmap of a page in the middle");
	xt_ok(!xpmem_detach(a + xt_page) && none(a, 0, SIZE),
	      "detach of one piece detaches all pieces");
	/* Untouched, and across two attachments. */
	b = xt_attach(imp->apid, SIZE);
	c = xt_attach(imp->apid, SIZE);
	if (b > c) {
		a = b;
		b = c;
		c = a;
	}
	if (c == b + SIZE)
		xt_ok(!munmap(b + HALF, SIZE) && all(b, 0, HALF) &&
			      none(b, HALF, SIZE + HALF) && all(c, HALF, SIZE),
		      "munmap across two attachments");
	else
		xt_skip("munmap across two attachments", "neighbours");
	xt_ok(!munmap(b, HALF) && !munmap(c, SIZE), "munmap of what is left");
	xt_ok(xt_stat_is("attachments", 0, 5000), "no attachment is left");
}

static void fills_holes(struct xt_import *imp)
{
	char *b, *c;

	/* Another attachment, of the same permit, takes the place of a part. */
	b = xt_attach(imp->apid, SIZE);
	munmap(b + HALF, 2 * xt_page);
	c = xpmem_attach((struct xpmem_addr){ imp->apid, 0 }, 2 * xt_page,
			 b + HALF);
	xt_ok(c == b + HALF && all(c, 0, 2 * xt_page),
	      "attach in the hole of another attachment");
	xt_ok(!xpmem_detach(b) && none(b, 0, HALF) &&
		      none(b, HALF + 2 * xt_page, SIZE) &&
		      all(c, 0, 2 * xt_page),
	      "detach of that one leaves it alone");
	b = xpmem_attach((struct xpmem_addr){ imp->apid, 2 * xt_page },
			 2 * xt_page, c + 2 * xt_page);
	xt_ok(b == c + 2 * xt_page && all(c, 0, 4 * xt_page),
	      "attach what follows, right behind it");
	xt_ok(!xpmem_detach(c) && none(c, 0, 2 * xt_page) &&
		      !xt_load(b, NULL) && !xt_load(b + xt_page, NULL),
	      "neighbours do not become one");
	xt_ok(!xpmem_detach(b + xt_page) && none(b, 0, 2 * xt_page),
	      "detach of the neighbour");
	/* A mapping of another kind takes the place of a part. */
	b = xt_attach(imp->apid, SIZE);
	c = mmap(b + HALF, xt_page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	xt_ok(c == b + HALF && !xt_nonzero(c, xt_page) && all(b, 0, HALF),
	      "MAP_FIXED over a part");
	errno = 0;
	xt_ok(xpmem_detach(c) == -1 && errno == EINVAL,
	      "which is no attachment then (errno %d)", errno);
	xt_ok(!xpmem_detach(b) && !xt_nonzero(c, xt_page) && none(b, 0, HALF) &&
		      none(b, HALF + xt_page, SIZE),
	      "and stays when the rest is detached");
	munmap(c, xt_page);
}

static void protects(struct xt_import *imp)
{
	char *a = imp->at;

	xt_ok(!mprotect(a + HALF, xt_page, PROT_READ), "mprotect to read");
	xt_ok(xt_store(a + HALF, 1) == SIGSEGV && all(a, 0, SIZE),
	      "then a store is SIGSEGV, a load is not");
	xt_ok(!xt_store(a + HALF - 8, 1) &&
		      !xt_store(a + HALF + xt_page + 8, 1),
	      "the neighbours can be stored to");
	xt_ok(!mprotect(a, xt_page, PROT_NONE), "mprotect to nothing");
	xt_ok(none(a, 0, xt_page) && all(a, xt_page, SIZE),
	      "then a load is SIGSEGV");
	xt_ok(!mprotect(a, SIZE, PROT_READ | PROT_WRITE) && all(a, 0, SIZE) &&
		      !xt_store(a + 8, 1) && !xt_store(a + HALF + 8, 1),
	      "mprotect back");
	errno = 0;
	xt_ok(mprotect(a, SIZE, PROT_READ | PROT_EXEC) == -1 && errno == EACCES,
	      "never executable (errno %d)", errno);
	xt_ok(!mprotect(a + xt_page, 2 * xt_page, PROT_READ) &&
		      !xpmem_detach(a) && none(a, 0, SIZE),
	      "detach of one that was split");
}

static void remap_refused(char *at, size_t from, size_t to, int flags,
			  void *where, const char *what)
{
	void *moved;

	errno = 0;
	moved = mremap(at, from, to, flags, where);
	xt_ok(moved == MAP_FAILED && (errno == EINVAL || errno == EFAULT),
	      "%s is refused (%p, errno %d: %s)", what, moved, errno,
	      strerrorname_np(errno));
}

static void remaps(struct xt_import *imp)
{
	char *a = imp->at, *room = xt_map(4 * SIZE);
	const int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
	uint64_t value;
	int ret;

	remap_refused(a, SIZE, 2 * SIZE, 0, NULL, "growing");
	remap_refused(a, SIZE, 2 * SIZE, MREMAP_MAYMOVE, NULL,
		      "growing elsewhere");
	remap_refused(a, SIZE, SIZE, fixed, room, "moving");
	remap_refused(a, HALF, HALF, fixed, room, "moving a part");
	remap_refused(a, 0, SIZE, MREMAP_MAYMOVE, NULL, "doubling");
	remap_refused(a, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL,
		      "moving without unmapping");
	xt_ok(all(a, 0, SIZE), "it is where and what it was");
	xt_ok(mremap(a, SIZE, HALF, 0) == a && all(a, 0, HALF) &&
		      none(a, HALF, SIZE),
	      "shrinking is munmap of the tail");
	/* An old way to attach other pages there: refused, or right. */
	ret = remap_file_pages(a, HALF, 0, 2, 0);
	xt_ok(!xt_load(a + xt_page, &value) &&
		      value == xt_word(1, (ret ? 1 : 3) * xt_page / 8),
	      "remap_file_pages (%d) shows the right page", ret);
	xt_ok(!xpmem_detach(a), "detach");
	munmap(room, 4 * SIZE);
}

/* Whatever the kernel says to it, bytes and privacy stay. */
static void advises(struct xt_import *imp)
{
	static const struct {
		int advice;
		const char *name;
	} list[] = {
		{ MADV_NORMAL, "NORMAL" },
		{ MADV_RANDOM, "RANDOM" },
		{ MADV_SEQUENTIAL, "SEQUENTIAL" },
		{ MADV_DONTNEED, "DONTNEED" },
		{ MADV_DONTNEED_LOCKED, "DONTNEED_LOCKED" },
		{ MADV_FREE, "FREE" },
		{ MADV_REMOVE, "REMOVE" },
		{ MADV_COLD, "COLD" },
		{ MADV_PAGEOUT, "PAGEOUT" },
		{ MADV_MERGEABLE, "MERGEABLE" },
		{ MADV_UNMERGEABLE, "UNMERGEABLE" },
		{ MADV_HUGEPAGE, "HUGEPAGE" },
		{ MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ 25, "COLLAPSE" },
		{ MADV_WIPEONFORK, "WIPEONFORK" },
		{ MADV_KEEPONFORK, "KEEPONFORK" },
		{ MADV_DONTFORK, "DONTFORK" },
		{ MADV_DOFORK, "DOFORK" },
		{ MADV_DONTDUMP, "DONTDUMP" },
		{ MADV_DODUMP, "DODUMP" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int ret, error;

		xt_fill(imp->at, SIZE, XT_ODD, i);
		errno = 0;
		ret = madvise(imp->at, SIZE, list[i].advice);
		error = errno;
		xt_ok(!xt_wrong(imp->at, SIZE, XT_ODD, i) &&
			      all(imp->at, 0, SIZE),
		      "after MADV_%s (%d, %s) the bytes are right",
		      list[i].name, ret, error ? strerrorname_np(error) : "0");
	}
	xt_put("last", "%zu", sizeof(list) / sizeof(list[0]) - 1);
}

static void forks_then(struct xt_import *imp)
{
	pid_t child;
	int status;

	madvise(imp->at, SIZE, MADV_DOFORK);
	xt_load(imp->at, NULL);
	child = fork();
	xt_need(child >= 0, "fork");
	if (!child)
		_exit(xt_load(imp->at, NULL) == SIGSEGV ? 0 : 1);
	xt_need(waitpid(child, &status, 0) == child, "waitpid");
	xt_ok(!status, "MADV_DOFORK gives a child nothing");
	xt_ok(all(imp->at, 0, SIZE), "the parent keeps it");
}

static void locks(struct xt_import *imp)
{
	char *b;
	int ret;

	ret = mlock(imp->at, SIZE);
	xt_ok(all(imp->at, 0, SIZE), "mlock (%d): the bytes are right", ret);
	ret = munlock(imp->at, SIZE);
	xt_ok(all(imp->at, 0, SIZE), "munlock (%d): the bytes are right", ret);
	xt_ok(!mlockall(MCL_CURRENT | MCL_FUTURE), "mlockall");
	b = xt_attach(imp->apid, SIZE);
	xt_ok(all(b, 0, SIZE), "attach under mlockall(MCL_FUTURE)");
	xt_ok(!xpmem_detach(b) && none(b, 0, SIZE), "and detach");
	xt_ok(!munlockall() && all(imp->at, 0, SIZE), "munlockall");
	ret = msync(imp->at, SIZE, MS_SYNC);
	xt_ok(all(imp->at, 0, SIZE), "msync (%d): the bytes are right", ret);
}

/* The kernel itself touches it: faults that it can take care of, and a hole. */
static void is_buffer(struct xt_import *imp)
{
	static char copy[SIZE];
	char *b = xt_attach(imp->apid, SIZE);
	int fd = memfd_create("copy", MFD_CLOEXEC);

	xt_need(fd >= 0, "memfd_create");
	xt_ok(pwrite(fd, b, SIZE, 0) == SIZE &&
		      pread(fd, copy, SIZE, 0) == SIZE,
	      "write(2) from an untouched attachment");
	xt_ok(!xt_wrong(copy, SIZE, XT_EVEN, 1), "gives the right bytes");
	xt_fill(copy, SIZE, XT_ODD, 7);
	xpmem_detach(b);
	b = xt_attach(imp->apid, SIZE);
	xt_ok(pwrite(fd, copy, SIZE, 0) == SIZE &&
		      pread(fd, b, SIZE, 0) == SIZE,
	      "read(2) into an untouched attachment");
	xt_ok(!xt_wrong(b, SIZE, XT_ODD, 7), "stores the right bytes");
	xt_put("read", "1");
	xt_await("hole");
	errno = 0;
	xt_ok(pwrite(fd, b + HALF, xt_page, 0) == -1 && errno == EFAULT,
	      "write(2) from a hole is EFAULT (errno %d)", errno);
	errno = 0;
	xt_ok(pread(fd, b + HALF, xt_page, 0) == -1 && errno == EFAULT,
	      "read(2) into a hole is EFAULT (errno %d)", errno);
	close(fd);
}

static void buffers(void)
{
	struct xt_export ex;
	pid_t child;

	xt_case("buffer of system calls");
	ex = xt_export_new(SIZE);
	child = xt_import_start(is_buffer, ex.segid, SIZE, NULL);
	xt_await("read");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 7), "the exporter sees them");
	munmap(ex.mem + HALF, xt_page);
	xt_put("hole", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_export_end(&ex);
}

/* --- core dumps */

#define CORE "/tmp/core-of-importer"
#define MARK 64

/* Never whole in the memory of who looks for it, or dumps core. */
static void mark(char *text, unsigned int key)
{
	for (int i = 0; i < MARK; i++)
		text[i] = 'a' + (key = key * 1103515245 + 12345) / 65536 % 26;
}

static bool core_has(unsigned int key)
{
	int fd = open(CORE, O_RDONLY | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	char text[MARK], *core;
	bool found;

	xt_need(fd >= 0 && size > 0, "a core of %lld bytes", (long long)size);
	core = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	xt_need(core != MAP_FAILED, "map the core");
	close(fd);
	mark(text, key);
	found = memmem(core, size, text, MARK);
	munmap(core, size);
	return found;
}

static void marked_exporter(void *arg)
{
	struct xt_export ex = { .mem = xt_map(SIZE), .size = SIZE };

	(void)arg;
	for (size_t i = 0; i < SIZE; i += xt_page)
		mark(ex.mem + i, 1);
	ex.segid = xt_export(ex.mem, SIZE, 0666);
	xt_put("segid", "%lld", (long long)ex.segid);
	xt_await("dumped");
	xt_export_end(&ex);
}

static void dumps(struct xt_import *imp)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char *own = xt_map(xt_page), word[2];

	mark(own, 2);
	for (size_t i = 0; i < SIZE; i += xt_page)
		memcpy(word, imp->at + i, 2);
	/* It should not help to ask for it. */
	madvise(imp->at, SIZE, MADV_DODUMP);
	xt_need(!setrlimit(RLIMIT_CORE, &unlimited), "setrlimit");
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	xt_need(out && fputs(text, out) >= 0 && !fclose(out), "write %s", path);
}

static void core_dump(void)
{
	xpmem_segid_t segid;
	pid_t child;
	int status;

	xt_case("core dump");
	write_file("/proc/sys/kernel/core_pattern", CORE);
	write_file("/proc/sys/kernel/core_uses_pid", "0");
	write_file("/proc/self/coredump_filter", "0xff");
	child = xt_spawn(marked_exporter, NULL);
	segid = xt_await_num("segid");
	status = xt_join(xt_import_start(dumps, segid, SIZE, NULL));
	xt_ok(WIFSIGNALED(status) && WCOREDUMP(status), "core dumped");
	xt_put("dumped", "1");
	xt_ok(core_has(2), "the core has the importer's memory");
	xt_ok(!core_has(1), "and not that of the attachment");
	unlink(CORE);
	xt_ok(!xt_join(child), "the exporter ends well");
}

/* --- /proc */

static bool smaps_says(const char *at, const char *field, size_t *kib)
{
	FILE *in = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	char text[256], name[64];
	bool here = false, found = false;

	xt_need(in != NULL, "open /proc/self/smaps");
	while (!found && fgets(text, sizeof(text), in)) {
		if (sscanf(text, "%lx-%lx ", &start, &end) == 2)
			here = start == (unsigned long)at;
		else if (here && sscanf(text, "%63[^:]: %zu", name, kib) == 2)
			found = !strcmp(name, field);
	}
	fclose(in);
	return found;
}

static void is_shown(struct xt_import *imp)
{
	unsigned char there[SIZE / 4096];
	size_t kib = 1;
	char line[256], name[64];
	bool shown;
	int fd;

	xt_ok(all(imp->at, 0, SIZE), "it is touched");
	shown = xt_maps_line(imp->at, line, sizeof(line));
	xt_ok(shown && strstr(line, " rw-s "), "/proc/self/maps: %s", line);
	snprintf(name, sizeof(name), " xpmem:[%#llx]", (long long)imp->segid);
	xt_ok(strstr(line, name) && !strstr(line, "(deleted)"),
	      "the name in it says xpmem, and which segment");
	shown = smaps_says(imp->at, "Size", &kib);
	xt_ok(shown && kib == SIZE / 1024, "smaps: Size is %zu KiB", kib);
	shown = smaps_says(imp->at, "Pss", &kib);
	xt_ok(shown && kib == 0,
	      "smaps: the exporter's pages are not counted twice (Pss %zu)",
	      kib);
	xt_ok(!mincore(imp->at, SIZE, there), "mincore");
	fd = open("/proc/self/numa_maps", O_RDONLY | O_CLOEXEC);
	xt_ok(fd >= 0 && read(fd, line, sizeof(line)) > 0, "numa_maps");
	close(fd);
	xt_frame(imp->at);
	xt_ok(all(imp->at, 0, SIZE), "nothing of that did harm");
}

static void simple(const char *name, xt_importer fn)
{
	struct xt_export ex;

	xt_case(name);
	ex = xt_export_new(SIZE);
	xt_import(fn, ex.segid, SIZE, NULL);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the exporter's bytes stay");
	xt_export_end(&ex);
}

static void advice(void)
{
	struct xt_export ex;

	xt_case("madvise");
	ex = xt_export_new(SIZE);
	xt_import(advises, ex.segid, SIZE, NULL);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_EVEN, 1), "the exporter's bytes stay");
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, xt_await_num("last")),
	      "the last stores arrived");
	xt_import(forks_then, ex.segid, SIZE, NULL);
	xt_export_end(&ex);
}

int main(void)
{
	xt_start("vma-ops");
	simple("munmap of parts", unmaps);
	simple("other mappings in holes", fills_holes);
	simple("mprotect", protects);
	simple("mremap", remaps);
	advice();
	simple("mlock and msync", locks);
	buffers();
	core_dump();
	simple("proc", is_shown);
	xt_nothing_left("at the end");
	return xt_finish();
}
