// SPDX-License-Identifier: GPL-2.0-only
/*
 * More users whose segments are fetched from than there are numbers by which
 * export entries know whose they are: the next one is told no, until another has
 * no segment any more.
 */
#include "xt-raw.h"
#include "xt.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NUMBERS 65535
#define FIRST 100000 /* user */
#define LAST (FIRST + NUMBERS)
#define BATCH 32 /* fetches at a time; the home serves 64 */
#define NOTHING_THERE 4 /* XPMEM_WIRE_FAULT */

static xpmem_segid_t *segids; /* of users FIRST to LAST; seen by the child, too */

static void make_as(unsigned int user, void *mem)
{
	xt_need(!seteuid(user), "become user %u", user);
	segids[user - FIRST] = xt_export(mem, xt_page, 0666);
	xt_need(!seteuid(0), "become root");
}

/* Nothing is mapped where the segments are, but for the last one. */
static void exporter(void *arg)
{
	char *mem = xt_map(2 * xt_page);

	(void)arg;
	xt_fill(mem, 2 * xt_page, XT_EVEN, 1);
	xt_need(!munmap(mem, xt_page), "munmap");
	for (unsigned int user = FIRST; user < LAST; user++)
		make_as(user, mem);
	make_as(LAST, mem + xt_page);
	xt_put("made", "1");
	xt_await("full");
	xt_ok(!xpmem_remove(segids[1]), "the second user removes its segment");
	xt_put("removed", "1");
	xt_await("end");
}

static size_t put_message(const struct xt_raw *raw, char *at, int type,
			  const void *payload, uint32_t length)
{
	struct xt_raw_header h = xt_raw_header(raw, type, length);

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), payload, length);
	return sizeof(h) + length;
}

/* A get and a fetch of each; how many fetches were answered with @want. */
static unsigned int fetch(struct xt_raw *raw, const xpmem_segid_t *segid,
			  unsigned int count, unsigned int want)
{
	char batch[BATCH * 256];
	uint64_t answer[64];
	unsigned int answers = 0, good = 0;
	size_t len = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t get[12] = { 1, segid[i], 1000ULL << 32 | 1000, 1 };
		uint64_t want_page[5] = { 1, segid[i], 0, 0, 1ULL << 32 | 1 };

		len += put_message(raw, batch + len, GET, get, sizeof(get));
		len += put_message(raw, batch + len, FETCH, want_page,
				   sizeof(want_page));
	}
	xt_raw_put(raw, batch, len);
	while (answers < 2 * count) {
		int type = xt_raw_receive(raw, answer, sizeof(answer));

		xt_need(type == GET_REPLY || type == GRANT, "an answer (%d)",
			type);
		answers++;
		if (type == GET_REPLY)
			xt_need((uint32_t)answer[2] == OK, "a get");
		else
			good += (uint32_t)answer[2] == want;
	}
	return good;
}

static void fetch_all(struct xt_raw *raw)
{
	unsigned int good = 0, count;

	for (unsigned int i = 0; i < NUMBERS; i += count) {
		count = NUMBERS - i < BATCH ? NUMBERS - i : BATCH;
		good += fetch(raw, segids + i, count, NOTHING_THERE);
	}
	xt_ok(good == NUMBERS, "%u of %d users have a number", good, NUMBERS);
}

static void numbers(void)
{
	long long refused = xt_stat("refused-limits");
	struct xt_raw raw;
	pid_t pid;

	segids = mmap(NULL, (NUMBERS + 1) * sizeof(*segids),
		      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	xt_need(segids != MAP_FAILED, "memory shared with a child");
	pid = xt_spawn(exporter, NULL);
	xt_await("made");
	xt_note("%d segments after %lld ms", NUMBERS + 1, xt_ms());
	xt_raw_start(&raw);
	xt_raw_open(&raw);
	fetch_all(&raw);
	xt_note("and fetches after %lld ms", xt_ms());
	xt_ok(fetch(&raw, segids + NUMBERS, 1, ACCES) == 1 &&
		      xt_stat("refused-limits") == refused + 1,
	      "one more has none: refused, and counted");
	xt_ok(xt_logged("uid 165535: no more pages are exported",
			"those of 65535 other users are"),
	      "the log says whose, and why");
	xt_ok(fetch(&raw, segids, 1, NOTHING_THERE) == 1,
	      "who has one is not refused");
	xt_put("full", "1");
	xt_await("removed");
	xt_ok(fetch(&raw, segids + NUMBERS, 1, OK) == 1,
	      "it has that one's number then, and its page is exported");
	xt_raw_send(&raw, BYE, NULL, 0);
	xt_raw_ends(&raw, "bye", "closed by the other");
	xt_put("end", "1");
	xt_ok(!xt_join(pid), "the exporter ends");
	munmap(segids, (NUMBERS + 1) * sizeof(*segids));
	xt_nl_close(&raw.nl);
	xt_nl_close(&raw.events);
}

int main(void)
{
	xt_start("manyusers");
	xt_case("numbers");
	if (xt_me == XT_HOME)
		numbers();
	xt_barrier("done");
	xt_nothing_left("at the end");
	return xt_finish();
}
