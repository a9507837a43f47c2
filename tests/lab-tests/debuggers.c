// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debuggers and profilers look at attachments, and store to them, as they do
 * with other memory: ptrace, /proc/PID/mem, process_vm_readv, gdb.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 1024UL)
#define HALF (SIZE / 2)
#define WORDS (SIZE / sizeof(uint64_t))

/* Touches one half; the debugger sees both. Stops until it is let go. */
static void is_debugged(struct xt_import *imp)
{
	xt_ok(!xt_wrong(imp->at, HALF, XT_EVEN, 1), "the importer looks");
	xt_put("at", "%p", imp->at);
	xt_await("debugged");
}

static uint64_t *begin(struct xt_export *ex, int flags, pid_t *child)
{
	*ex = xt_export_new(SIZE);
	xt_fill(ex->mem, SIZE, XT_ODD, 1);
	*child = flags == XPMEM_RDWR ?
			 xt_import_start(is_debugged, ex->segid, SIZE, NULL) :
			 xt_import_start_only(is_debugged, ex->segid, SIZE,
					      NULL);
	return (uint64_t *)strtoull(xt_await("at"), NULL, 0);
}

static void end(struct xt_export *ex, pid_t child)
{
	xt_put("debugged", "1");
	xt_ok(!xt_join(child), "the importer ends well");
	xt_export_end(ex);
}

static void stop(pid_t pid)
{
	int status;

	xt_need(!ptrace(PTRACE_SEIZE, pid, NULL, NULL) &&
			!ptrace(PTRACE_INTERRUPT, pid, NULL, NULL),
		"stop the importer");
	xt_need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status),
		"it stops");
}

static bool peek(pid_t pid, const uint64_t *at, uint64_t *value)
{
	errno = 0;
	*value = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
	return !errno;
}

static size_t peeks_wrong(pid_t pid, const uint64_t *at, size_t step)
{
	size_t wrong = 0;
	uint64_t value;

	for (size_t i = 0; i < WORDS; i += step)
		wrong += !peek(pid, at + i, &value) || value != xt_word(1, i);
	return wrong;
}

/* Words of pages that the importer did not touch, and of those it did. */
static void by_ptrace(void)
{
	struct xt_export ex;
	uint64_t *at, value, *mem;
	pid_t child;

	xt_case("ptrace");
	at = begin(&ex, XPMEM_RDWR, &child);
	mem = (uint64_t *)ex.mem;
	stop(child);
	xt_ok(!peeks_wrong(child, at, 61), "PEEKDATA gives the right words");
	xt_ok(!ptrace(PTRACE_POKEDATA, child, at + 5, 55) && mem[5] == 55,
	      "POKEDATA where the importer looked reaches the exporter");
	xt_ok(!ptrace(PTRACE_POKEDATA, child, at + WORDS - 3, 77) &&
		      mem[WORDS - 3] == 77,
	      "POKEDATA where it did not");
	xt_ok(peek(child, at + 5, &value) && value == 55, "PEEKDATA shows it");
	munmap(ex.mem + HALF, xt_page);
	xt_ok(!peek(child, at + HALF / 8, &value) && errno == EIO,
	      "PEEKDATA in a hole: EIO (errno %d)", errno);
	errno = 0;
	xt_ok(ptrace(PTRACE_POKEDATA, child, at + HALF / 8, 1) == -1 &&
		      errno == EIO,
	      "POKEDATA in a hole: EIO (errno %d)", errno);
	xt_ok(peek(child, at + HALF / 8 + 512, &value),
	      "behind the hole it works");
	xt_ok(!madvise(ex.mem, xt_page, MADV_DONTNEED) &&
		      peek(child, at, &value) && !value,
	      "zero when the exporter dropped the page");
	xt_ok(!mprotect(ex.mem, xt_page, PROT_READ) &&
		      ptrace(PTRACE_POKEDATA, child, at, 1) == -1,
	      "POKEDATA where the exporter may not store fails");
	xt_ok(!xpmem_remove(ex.segid), "xpmem_remove");
	xt_ok(!peek(child, at, &value) && errno == EIO,
	      "PEEKDATA of a removed segment: EIO (errno %d)", errno);
	xt_need(!ptrace(PTRACE_DETACH, child, NULL, NULL), "PTRACE_DETACH");
	ex.segid = xt_export(ex.mem, SIZE, 0666);
	end(&ex, child);
}

/* A permit to read holds for the debugger, too: FOLL_FORCE does not help. */
static void read_only(void)
{
	struct xt_export ex;
	uint64_t *at;
	pid_t child;

	xt_case("ptrace with a permit to read");
	at = begin(&ex, XPMEM_RDONLY, &child);
	stop(child);
	xt_ok(!peeks_wrong(child, at, 509), "PEEKDATA gives the right words");
	errno = 0;
	xt_ok(ptrace(PTRACE_POKEDATA, child, at + 5, 55) == -1 && errno == EIO,
	      "POKEDATA fails with EIO (errno %d)", errno);
	xt_ok(!xt_wrong(ex.mem, SIZE, XT_ODD, 1), "the exporter's bytes stay");
	xt_need(!ptrace(PTRACE_DETACH, child, NULL, NULL), "PTRACE_DETACH");
	end(&ex, child);
}

static void by_proc_mem(void)
{
	static char copy[SIZE];
	struct xt_export ex;
	uint64_t *at, word = 99;
	char path[32];
	pid_t child;
	ssize_t got;
	int fd;

	xt_case("/proc/PID/mem");
	at = begin(&ex, XPMEM_RDWR, &child);
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	fd = open(path, O_RDWR | O_CLOEXEC);
	xt_need(fd >= 0, "open %s", path);
	got = pread(fd, copy, SIZE, (uintptr_t)at);
	xt_ok(got == SIZE && !memcmp(copy, ex.mem, SIZE),
	      "all of it in one read (%zd)", got);
	got = pread(fd, copy, 5000, (uintptr_t)at + 4000);
	xt_ok(got == 5000 && !memcmp(copy, ex.mem + 4000, 5000),
	      "across pages (%zd)", got);
	got = pwrite(fd, &word, sizeof(word), (uintptr_t)(at + 3));
	xt_ok(got == sizeof(word) && ((uint64_t *)ex.mem)[3] == 99,
	      "a write reaches the exporter (%zd)", got);
	munmap(ex.mem + HALF, xt_page);
	got = pread(fd, copy, SIZE, (uintptr_t)at);
	xt_ok(got == (ssize_t)HALF, "a read ends at a hole (%zd)", got);
	errno = 0;
	got = pread(fd, copy, 8, (uintptr_t)at + HALF);
	xt_ok(got == -1 && errno == EIO, "and fails in it: EIO (%zd)", got);
	close(fd);
	end(&ex, child);
}

/* It wants pages to hold on to: refused, or right, but never wrong. */
static void by_vm_readv(void)
{
	static char copy[SIZE];
	struct iovec local = { copy, SIZE }, remote = { NULL, SIZE };
	struct xt_export ex;
	pid_t child;
	ssize_t got;
	int error;

	xt_case("process_vm_readv");
	remote.iov_base = begin(&ex, XPMEM_RDWR, &child);
	errno = 0;
	got = process_vm_readv(child, &local, 1, &remote, 1, 0);
	error = errno;
	xt_ok((got == -1 && error == EFAULT) ||
		      (got == SIZE && !memcmp(copy, ex.mem, SIZE)),
	      "EFAULT or the right bytes (%zd, errno %d)", got, error);
	end(&ex, child);
}

static bool gdb_says(const char *line, const char *text)
{
	return line && strstr(line, text);
}

static void by_gdb(void)
{
	char command[512], text[512], seen[8192] = "", want[64];
	struct xt_export ex;
	uint64_t *at;
	pid_t child;
	FILE *gdb;

	xt_case("gdb");
	if (system("command -v gdb >/dev/null")) {
		xt_skip("gdb reads an attachment", "gdb");
		return;
	}
	at = begin(&ex, XPMEM_RDWR, &child);
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -p %d -ex 'x/8gx %p' -ex 'x/2gx %p' "
		 "-ex 'set {unsigned long}%p = 0x1234567' -ex 'x/gx %p' 2>&1",
		 child, at, at + WORDS - 2, at + 1, at + 1);
	gdb = popen(command, "re");
	xt_need(gdb != NULL, "start gdb");
	while (fgets(text, sizeof(text), gdb))
		if (strlen(seen) + strlen(text) < sizeof(seen))
			strcat(seen, text);
	xt_ok(!pclose(gdb), "gdb ends well");
	for (size_t i = 0; i < 8; i++) {
		snprintf(want, sizeof(want), "0x%016" PRIx64, xt_word(1, i));
		xt_ok(gdb_says(seen, want), "gdb shows word %zu", i);
	}
	snprintf(want, sizeof(want), "0x%016" PRIx64, xt_word(1, WORDS - 1));
	xt_ok(gdb_says(seen, want), "gdb shows the last word");
	xt_ok(gdb_says(seen, "0x0000000001234567") &&
		      ((uint64_t *)ex.mem)[1] == 0x1234567,
	      "gdb stores a word, and the exporter sees it");
	end(&ex, child);
}

int main(void)
{
	xt_start("debuggers");
	by_ptrace();
	read_only();
	by_proc_mem();
	by_vm_readv();
	by_gdb();
	xt_nothing_left("at the end");
	return xt_finish();
}
