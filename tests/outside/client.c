// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as a stranger would write it: nothing of this repository but the
 * installed header and library. Each partition but the first adds its id to a
 * counter in the first one's memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xpmem.h>

#define SIZE 65536
#define FOREVER (120 * 50)

static void die(const char *what)
{
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* 9p tells nobody that a file appeared: this looks, every 20 ms. */
static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void path_of(char *path, size_t size, const char *suffix)
{
	snprintf(path, size, "%s/segid%s", getenv("XPMEM_SHARE"), suffix);
}

static void publish(xpmem_segid_t segid)
{
	char temporary[256], path[256];
	FILE *out;

	path_of(temporary, sizeof(temporary), ".new");
	path_of(path, sizeof(path), "");
	out = fopen(temporary, "w");
	if (!out || fprintf(out, "%lld\n", (long long)segid) < 0 ||
	    fclose(out) || rename(temporary, path))
		die("publish the segid");
}

static xpmem_segid_t learn(void)
{
	long long segid;
	char path[256];
	FILE *in;

	path_of(path, sizeof(path), "");
	for (int i = 0; i < FOREVER; i++, pause_briefly()) {
		in = fopen(path, "r");
		if (!in)
			continue;
		if (fscanf(in, "%lld", &segid) != 1)
			die("read the segid");
		fclose(in);
		return segid;
	}
	errno = ETIMEDOUT;
	die("wait for the segid");
	return -1;
}

static int export_it(int wanted)
{
	long *counter = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	xpmem_segid_t segid;

	if (counter == MAP_FAILED)
		die("mmap");
	segid = xpmem_make(counter, SIZE, XPMEM_PERMIT_MODE, (void *)0600);
	if (segid == -1)
		die("xpmem_make");
	publish(segid);
	for (int i = 0; i < FOREVER; i++, pause_briefly())
		if (__atomic_load_n(counter, __ATOMIC_ACQUIRE) == wanted)
			return xpmem_remove(segid) ? 1 : 0;
	errno = ETIMEDOUT;
	die("wait for the others");
	return 1;
}

static int import_it(int id)
{
	struct xpmem_addr addr = { .offset = 0 };
	long *counter;

	addr.apid = xpmem_get(learn(), XPMEM_RDWR, XPMEM_PERMIT_MODE, NULL);
	if (addr.apid == -1)
		die("xpmem_get");
	counter = xpmem_attach(addr, SIZE, NULL);
	if (counter == (void *)-1)
		die("xpmem_attach");
	__atomic_add_fetch(counter, id, __ATOMIC_RELEASE);
	return xpmem_detach(counter) || xpmem_release(addr.apid);
}

int main(void)
{
	int id = atoi(getenv("XPMEM_PARTID"));
	int nodes = atoi(getenv("XPMEM_NODES"));

	return id == 1 ? export_it(nodes * (nodes + 1) / 2 - 1) : import_it(id);
}
