// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: memory whose words tell where they belong, and
 * accesses that may raise a signal.
 */
#include "xt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Of each thread: the signal of an access comes to the one that made it. */
static _Thread_local sigjmp_buf back;
static _Thread_local volatile sig_atomic_t armed;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (armed) {
		armed = 0;
		siglongjmp(back, sig);
	}
	xt_fail("signal %d at %p", sig, info->si_addr);
}

void xt_mem_init(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

int xt_load(const void *at, uint64_t *value)
{
	int sig = sigsetjmp(back, 1);
	uint64_t got;

	if (sig)
		return sig;
	armed = 1;
	got = *(const volatile uint64_t *)at;
	armed = 0;
	if (value)
		*value = got;
	return 0;
}

int xt_store(void *at, uint64_t value)
{
	int sig = sigsetjmp(back, 1);

	if (sig)
		return sig;
	armed = 1;
	*(volatile uint64_t *)at = value;
	armed = 0;
	return 0;
}

/* A page in the wrong place, or of another round, has no right word. */
uint64_t xt_word(uint32_t seed, size_t index)
{
	uint64_t x = (index + 1) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x + ((uint64_t)seed << 32) + seed;
}

void xt_fill(void *mem, size_t size, enum xt_side side, uint32_t seed)
{
	volatile uint64_t *words = mem;

	for (size_t i = side; i < size / sizeof(*words); i += 2)
		words[i] = xt_word(seed, i);
}

size_t xt_wrong(const void *mem, size_t size, enum xt_side side, uint32_t seed)
{
	const volatile uint64_t *words = mem;
	size_t wrong = 0;

	for (size_t i = side; i < size / sizeof(*words); i += 2) {
		uint64_t got = words[i];

		if (got == xt_word(seed, i))
			continue;
		if (!wrong++)
			xt_note("page %zu word %zu: %#" PRIx64
				" instead of %#" PRIx64,
				i * sizeof(*words) / xt_page,
				i % (xt_page / sizeof(*words)), got,
				xt_word(seed, i));
	}
	return wrong;
}

size_t xt_nonzero(const void *mem, size_t size)
{
	const volatile uint64_t *words = mem;
	size_t found = 0;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		found += words[i] != 0;
	return found;
}

void *xt_map(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	xt_need(mem != MAP_FAILED, "mmap of %zu bytes", size);
	madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

void *xt_map_huge(size_t size)
{
	const size_t huge = 2 * XT_MIB;
	char *mem = mmap(NULL, size + huge, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t head;

	xt_need(mem != MAP_FAILED, "mmap of %zu bytes", size + huge);
	head = -(uintptr_t)mem & (huge - 1);
	if (head)
		munmap(mem, head);
	munmap(mem + head + size, huge - head);
	xt_need(!madvise(mem + head, size, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	return mem + head;
}

size_t xt_huge_bytes(const void *mem)
{
	uintptr_t start, end, at = (uintptr_t)mem;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	size_t kib, found = 0;
	char text[256];
	bool here = false;

	xt_need(smaps != NULL, "open /proc/self/smaps");
	while (fgets(text, sizeof(text), smaps)) {
		if (sscanf(text, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) ==
		    2)
			here = start <= at && at < end;
		else if (here && sscanf(text, "AnonHugePages: %zu", &kib) == 1)
			found = kib * 1024;
	}
	fclose(smaps);
	return found;
}

void xt_frames(const void *at, uint64_t *frames, size_t n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const ssize_t len = n * sizeof(*frames);

	if (pread(fd, frames, len, (uintptr_t)at / xt_page * sizeof(*frames)) !=
	    len)
		memset(frames, 0, len);
	close(fd);
	for (size_t i = 0; i < n; i++)
		frames[i] = frames[i] >> 63 ? frames[i] & ((1ULL << 55) - 1) :
					      0;
}

uint64_t xt_frame(const void *at)
{
	uint64_t frame;

	xt_frames(at, &frame, 1);
	return frame;
}

bool xt_touch_ends(void *at, int patience_ms)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	long long end = xt_ms() + patience_ms;

	while (xt_ms() < end) {
		if (xt_load(at, NULL) == SIGBUS)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}
