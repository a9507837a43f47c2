// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names that are none, and names in numbers: each wrong argument has its error,
 * a user has so many and no more, and threads that publish, look up and remove
 * see nothing strange.
 */
#include "xt-name.h"
#include "xt.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16 * 1024UL)
#define PER_USER 4096 /* names that a user may have on a partition */

static void bad_publish(xpmem_segid_t segid)
{
	static const char *const wrong[] = {
		NULL,	 "",	 " ",	 "a b",	 "a:b", "1:b",
		"a@1",	 "@",	 "a\tb", "a\nb", "a*",	"\xc3\xa9",
		"a\x7f", "\x01", "a,",	 "a\\b",
	};
	char longest[80];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		xt_name_publishes(wrong[i], segid, EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[79] = '\0';
	xt_name_publishes(longest, segid, ENAMETOOLONG);
	longest[64] = '\0';
	xt_name_publishes(longest, segid, ENAMETOOLONG);
	xt_name_publishes("good", 0, EINVAL);
	xt_name_publishes("good", -1, EINVAL);
	xt_name_publishes("good", INT64_MIN, EINVAL);
	xt_name_publishes("good", INT64_MAX, ENOENT);
	xt_name_publishes("good", segid ^ 1, ENOENT);
	longest[63] = '\0';
	xt_name_publishes(longest, segid, 0);
	xt_name_finds(longest, segid);
	xt_name_publishes("good", segid, EBUSY);
	xt_name_publishes(longest, segid, EBUSY);
	xt_ok(!xpmem_unpublish(longest), "xpmem_unpublish");
	xt_name_looks_up("good", ENOENT);
}

static void bad_lookup(void)
{
	static const char *const wrong[] = {
		"",
		" ",
		":",
		"@",
		"a:",
		":a",
		"a@",
		"@1",
		"a:b",
		"-1:a",
		"+1:a",
		" 1:a",
		"1 :a",
		"0x1:a",
		"1:2:a",
		"1::a",
		"a@0",
		"a@-1",
		"a@32768",
		"a@1@2",
		"a@1:2",
		"a@x",
		"a@1 ",
		"4294967295:a",
		"4294967296:a",
		"18446744073709551616:a",
		"a@18446744073709551617",
		"1:@1",
		"a b",
		"\xff",
	};
	char longest[80];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		xt_name_looks_up(wrong[i], EINVAL);
	errno = 0;
	xt_ok(xpmem_lookup(NULL) == -1 && errno == EINVAL, "NULL (errno %d)",
	      errno);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[64] = '\0';
	xt_name_looks_up(longest, ENAMETOOLONG);
	longest[63] = '\0';
	xt_name_looks_up(longest, ENOENT);
	xt_name_looks_up("4294967294:a", ENOENT);
	xt_name_looks_up("a@32767", EHOSTUNREACH);
}

static void bad_unpublish(void)
{
	static const char *const wrong[] = { NULL, "", "a:b", "a@1", "a b" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		xt_ok(xpmem_unpublish(wrong[i]) == -1 && errno == EINVAL,
		      "unpublish %zu: EINVAL (errno %d)", i, errno);
	}
}

/* What the library never asks. */
static void bad_ioctl(xpmem_segid_t segid)
{
	struct xpmem_cmd_publish publish = { .segid = segid };
	struct xpmem_cmd_lookup lookup = { .owner = XPMEM_ANYBODY };

	memset(publish.name, 'x', sizeof(publish.name));
	xt_ok(xpmem_ioctl(XPMEM_CMD_PUBLISH, &publish) == -1 && errno == EINVAL,
	      "publish: a name without an end (errno %d)", errno);
	memset(publish.name + 3, 0, sizeof(publish.name) - 3);
	publish.name[sizeof(publish.name) - 1] = 'x';
	xt_ok(xpmem_ioctl(XPMEM_CMD_PUBLISH, &publish) == -1 && errno == EINVAL,
	      "publish: something behind the end (errno %d)", errno);
	memcpy(lookup.name, publish.name, sizeof(lookup.name));
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == EINVAL,
	      "lookup: something behind the end (errno %d)", errno);
	xt_ok(xpmem_ioctl(XPMEM_CMD_UNPUBLISH, publish.name) == -1 &&
		      errno == EINVAL,
	      "unpublish: something behind the end (errno %d)", errno);
	lookup.name[sizeof(lookup.name) - 1] = '\0';
	lookup.partid = 32768;
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == EINVAL,
	      "lookup: partition 32768 (errno %d)", errno);
	lookup.partid = xt_me;
	xt_ok(xpmem_ioctl(XPMEM_CMD_LOOKUP, &lookup) == -1 && errno == ENOENT &&
		      !lookup.segid,
	      "lookup: not found, nothing written (errno %d)", errno);
}

/* Another process' segment: neither to be named nor to lose its name. */
static void thief(void *arg)
{
	xt_name_publishes("stolen", *(xpmem_segid_t *)arg, ENOENT);
	xt_ok(xpmem_unpublish("mine") == -1 && errno == ENOENT,
	      "it cannot unpublish (errno %d)", errno);
	xt_name_looks_up("mine", 0);
}

/* A process may take its name back, whoever it is by then. */
static void another_user(void *unused)
{
	xpmem_segid_t segid = xt_export(xt_map(SIZE), SIZE, 0666);
	char name[32];

	(void)unused;
	xt_name_publishes("moved", segid, 0);
	xt_need(!seteuid(1000), "seteuid");
	xt_ok(!xpmem_unpublish("moved"), "unpublish, as another user");
	snprintf(name, sizeof(name), "moved@%d", xt_me);
	xt_name_looks_up(name, ENOENT);
}

static void arguments(void)
{
	xpmem_segid_t segid = xt_export(xt_map(SIZE), SIZE, 0666);
	xpmem_segid_t other = xt_export(xt_map(SIZE), SIZE, 0666);

	xt_case("arguments");
	bad_publish(segid);
	bad_lookup();
	bad_unpublish();
	bad_ioctl(segid);
	xt_name_publishes("mine", other, 0);
	xt_ok(!xt_join(xt_spawn(thief, &segid)), "another process tried");
	xt_ok(!xt_join(xt_spawn(another_user, NULL)), "another user did");
	xt_ok(!xpmem_remove(segid) && !xpmem_remove(other), "xpmem_remove");
	xt_barrier("done");
	xt_nothing_left("at the end");
}

/* --- many */

static void limit(void)
{
	static xpmem_segid_t segids[PER_USER + 1];
	char *mem, name[32];
	int ok = 0;

	xt_case("limit");
	if (xt_me == XT_HOME) {
		mem = xt_map(xt_page);
		for (int i = 0; i <= PER_USER; i++) {
			segids[i] = xt_export(mem, xt_page, 0600);
			snprintf(name, sizeof(name), "many/%d", i);
			if (i < PER_USER)
				ok += !xpmem_publish(name, segids[i]);
		}
		xt_ok(ok == PER_USER, "%d names", ok);
		xt_name_publishes("too-many", segids[PER_USER], EDQUOT);
		xt_name_finds("many/77", segids[77]);
		xt_ok(!xpmem_unpublish("many/77"), "one less");
		xt_name_publishes("not-too-many", segids[PER_USER], 0);
		xt_ok(xt_stat("names") == PER_USER, "all are counted");
		for (int i = 0; i <= PER_USER; i++)
			ok -= !xpmem_remove(segids[i]);
		xt_ok(ok == -1, "all are removed");
		munmap(mem, xt_page);
	}
	xt_barrier("done");
	xt_nothing_left("at the end");
}

#define THREADS 4
#define TURNS 200

/* Names come and go while others look: only what may happen does. */
static void *crowd_thread(void *arg)
{
	void *mem = xt_map(xt_page);
	long strange = 0;
	char name[32];

	for (int i = 0; i < TURNS; i++) {
		xpmem_segid_t segid = xt_export(mem, xt_page, 0666), found;

		snprintf(name, sizeof(name), "crowd/%d", i % 3);
		if (xpmem_publish(name, segid))
			strange += errno != EEXIST;
		snprintf(name, sizeof(name), "crowd/%d", (i + 1) % 3);
		found = xpmem_lookup(name);
		strange += found == -1 ? errno != ENOENT : found >> 48 < 1;
		if (i % 2)
			xpmem_unpublish(name);
		strange += xpmem_remove(segid) != 0;
	}
	munmap(mem, xt_page);
	*(long *)arg = strange;
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[THREADS];
	long strange[THREADS], sum = 0;

	xt_case("crowd");
	for (int i = 0; i < THREADS; i++)
		xt_need(!pthread_create(&threads[i], NULL, crowd_thread,
					&strange[i]),
			"a thread");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += strange[i];
	}
	xt_ok(!sum, "%d turns, %ld strange results", THREADS * TURNS, sum);
	xt_barrier("done");
	xt_nothing_left("at the end");
}

int main(void)
{
	xt_start("manynames");
	arguments();
	limit();
	crowd();
	return xt_finish();
}
