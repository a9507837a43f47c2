// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: memory control groups.
 */
#include "xt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS "/sys/fs/cgroup"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	int error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, len) != len)
		error = errno;
	close(fd);
	return error;
}

static const char *path_of(const char *group, const char *file)
{
	static char path[160];

	snprintf(path, sizeof(path), GROUPS "/%s/%s", group, file);
	return path;
}

void xt_group_create(const char *group)
{
	write_file(GROUPS "/cgroup.subtree_control", "+memory");
	xt_need(!mkdir(path_of(group, ""), 0755) || errno == EEXIST,
		"create the group %s", group);
	xt_need(!access(path_of(group, "memory.reclaim"), W_OK),
		"the group %s has memory.reclaim", group);
}

void xt_group_enter(const char *group)
{
	int error = write_file(path_of(group, "cgroup.procs"), "0");

	errno = error;
	xt_need(!error, "enter the group %s", group);
}

/*
 * Busy until the last process is reaped in full: this polls the only thing
 * that tells it.
 */
void xt_group_destroy(const char *group)
{
	long long end = xt_ms() + 10000;

	while (rmdir(path_of(group, "")) && errno == EBUSY && xt_ms() < end)
		usleep(20000);
}

static long long read_key(const char *path, const char *key)
{
	FILE *in = fopen(path, "re");
	char name[64];
	long long value, found = -1;

	xt_need(in != NULL, "open %s", path);
	if (!key) {
		if (fscanf(in, "%lld", &value) == 1)
			found = value;
	} else {
		while (fscanf(in, "%63s %lld", name, &value) == 2)
			if (!strcmp(name, key))
				found = value;
	}
	fclose(in);
	xt_need(found >= 0, "read %s of %s", key ? key : "the value", path);
	return found;
}

long long xt_group_read(const char *group, const char *file)
{
	return read_key(path_of(group, file), NULL);
}

long long xt_group_stat(const char *group, const char *key)
{
	return read_key(path_of(group, "memory.stat"), key);
}

void xt_group_set(const char *group, const char *file, const char *text)
{
	int error = write_file(path_of(group, file), text);

	errno = error;
	xt_need(!error, "write %s to %s", text, file);
}

long long xt_group_stolen(const char *group)
{
	return xt_group_stat(group, "pgsteal");
}

long long xt_vmstat(const char *name)
{
	FILE *in = fopen("/proc/vmstat", "re");
	long long value, found = -1;
	char key[64];

	xt_need(in != NULL, "open /proc/vmstat");
	while (fscanf(in, "%63s %lld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	fclose(in);
	return found;
}

bool xt_lru_gen(bool on)
{
	return !write_file("/sys/kernel/mm/lru_gen/enabled", on ? "y" : "n");
}

long long xt_group_read_key(const char *group, const char *file,
			    const char *key)
{
	return read_key(path_of(group, file), key);
}

/*
 * Pages written to and read from the swap disk of the partition, by the disk's
 * own count: sectors are the third and the seventh number.
 */
static long long swap_pages(int field)
{
	long long numbers[7];
	FILE *in = fopen("/proc/swaps", "re");
	char disk[64], path[96];

	xt_need(in != NULL && fscanf(in, "%*[^\n] /dev/%63s", disk) == 1,
		"a swap disk in /proc/swaps");
	fclose(in);
	snprintf(path, sizeof(path), "/sys/block/%s/stat", disk);
	in = fopen(path, "re");
	xt_need(in != NULL, "open %s", path);
	for (int i = 0; i < 7; i++)
		xt_need(fscanf(in, "%lld", &numbers[i]) == 1, "read %s", path);
	fclose(in);
	return numbers[field] / (long long)(xt_page / 512);
}

long long xt_swapped_out(void)
{
	return swap_pages(6);
}

long long xt_swapped_in(void)
{
	return swap_pages(2);
}

int xt_group_press(const char *group, long long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", bytes);
	return write_file(path_of(group, "memory.reclaim"), text);
}

long long xt_group_reclaim(const char *group, long long bytes, int ms)
{
	long long before = xt_group_read(group, "memory.current");
	long long end = xt_ms() + ms, left;
	int error;

	/* Less than a page is asked for in vain. */
	bytes = (bytes + xt_page - 1) / xt_page * xt_page;
	for (;;) {
		left = bytes -
		       (before - xt_group_read(group, "memory.current"));
		if (left <= 0 || xt_ms() > end)
			return bytes - left;
		/* EAGAIN: less than asked for; what was freed counts. */
		error = xt_group_press(group, left);
		errno = error;
		xt_need(!error || error == EAGAIN, "reclaim %lld bytes", left);
	}
}

bool xt_group_press_all(const char *group, long long bytes, int tries)
{
	long long start = xt_group_stolen(group), left;
	int error;

	/* Less than a page is asked for in vain. */
	bytes = (bytes + xt_page - 1) / xt_page * xt_page;
	left = bytes;
	while (left > 0 && tries--) {
		error = xt_group_press(group, left);
		errno = error;
		xt_need(!error || error == EAGAIN, "reclaim %lld bytes", left);
		left = bytes -
		       (xt_group_stolen(group) - start) * (long long)xt_page;
	}
	return left <= 0;
}
