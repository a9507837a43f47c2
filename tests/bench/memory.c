// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: mapping and touching memory, each call checked.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_file(size_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	need(fd >= 0 && !ftruncate(fd, size), "a memory file: %s",
	     strerror(errno));
	return fd;
}

void *map_file(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	need(at != MAP_FAILED, "map a memory file: %s", strerror(errno));
	return at;
}

void unmap(void *at, size_t size)
{
	need(!munmap(at, size), "munmap: %s", strerror(errno));
}

xpmem_apid_t permit(const struct exported *exported)
{
	xpmem_apid_t apid = xpmem_get(exported->segid, XPMEM_RDWR,
				      XPMEM_PERMIT_MODE, (void *)0600);

	need(apid != -1, "xpmem_get: %s", strerror(errno));
	return apid;
}

void *attach(xpmem_apid_t apid, size_t offset, size_t size)
{
	struct xpmem_addr addr = { .apid = apid, .offset = offset };
	void *at = xpmem_attach(addr, size, NULL);

	need(at != (void *)-1, "xpmem_attach of %zu bytes: %s", size,
	     strerror(errno));
	return at;
}

void detach(void *at)
{
	need(!xpmem_detach(at), "xpmem_detach: %s", strerror(errno));
}

static unsigned char byte_of(size_t page)
{
	return page * 7 + 1;
}

void fill(void *at, size_t size)
{
	unsigned char *bytes = at;

	for (size_t i = 0; i < size / page_size; i++)
		bytes[i * page_size] = byte_of(i);
}

uint64_t fill_sum(size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size / page_size; i++)
		sum += byte_of(i);
	return sum;
}

/* The same bytes again: what was read before is right after. */
void touch_write(void *at, size_t size)
{
	volatile unsigned char *bytes = at;
	size_t page = page_size;
	unsigned char value = byte_of(0);

	for (size_t i = 0; i < size; i += page, value += 7)
		bytes[i] = value;
}

uint64_t touch_read(const void *at, size_t size)
{
	const volatile unsigned char *bytes = at;
	size_t page = page_size;
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i += page)
		sum += bytes[i];
	return sum;
}

size_t huge_bytes(const void *at)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	size_t kib, found = 0;
	bool here = false;
	char text[256];

	if (!smaps)
		return 0;
	while (fgets(text, sizeof(text), smaps)) {
		if (sscanf(text, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)at >= from &&
			       (unsigned long)at < to;
		else if (here && sscanf(text, "AnonHugePages: %zu", &kib) == 1)
			found = kib * KIB;
	}
	fclose(smaps);
	return found;
}

void *own_memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(at != MAP_FAILED, "mmap of %zu bytes: %s", size, strerror(errno));
	madvise(at, size, MADV_NOHUGEPAGE);
	fill(at, size);
	return at;
}
