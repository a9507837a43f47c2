// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test programs of the lab: a thread that uses memory all the time, and a network
 * that takes its time.
 */
#include "xt.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define TOUCH_MS 300000 /* longest pass */

/* The seed of what is stored is the number of the pass: see xt_touch_start(). */
static void *touch(void *arg)
{
	struct xt_toucher *t = arg;

	for (;;) {
		for (size_t page = 0; page < t->size / xt_page; page++) {
			volatile uint64_t *word =
				(void *)(t->mem + page * xt_page);

			if (t->stop)
				return NULL;
			if (t->wanted && !t->wanted(page))
				continue;
			if (t->store)
				*word = xt_word(1, page * xt_page / 8);
			else
				(void)*word;
		}
		t->passes++;
	}
}

void xt_touch_start(struct xt_toucher *t)
{
	t->passes = 0;
	t->stop = false;
	xt_need(!pthread_create(&t->thread, NULL, touch, t), "make a thread");
}

/* Nothing tells that a pass is over: this looks every 2 ms. */
void xt_touch_pass(struct xt_toucher *t)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	long long end = xt_ms() + TOUCH_MS;
	long want = t->passes + 2; /* one may have begun already */

	while (t->passes < want) {
		xt_need(xt_ms() < end, "touch every page in %d ms", TOUCH_MS);
		nanosleep(&pause, NULL);
	}
}

void xt_touch_stop(struct xt_toucher *t)
{
	t->stop = true;
	pthread_join(t->thread, NULL);
}

size_t xt_hammer(void *mem, size_t size, enum xt_side side,
		 _Atomic uint32_t *pass, const atomic_bool *enough)
{
	volatile uint64_t *words = mem;
	size_t lost = 0;

	for (*pass = 1; !*enough; ++*pass) {
		for (size_t i = side; i < size / sizeof(*words); i += 2) {
			uint64_t got = words[i];

			if (got != xt_word(*pass - 1, i) && !lost++)
				xt_note("pass %u, page %zu: %#llx", *pass,
					i * sizeof(*words) / xt_page,
					(unsigned long long)got);
			words[i] = xt_word(*pass, i);
		}
	}
	--*pass;
	return lost;
}

void xt_delay(int ms)
{
	char text[160];

	for (int id = 1; id <= xt_nodes; id++) {
		if (id == xt_me)
			continue;
		snprintf(
			text, sizeof(text),
			ms ? "tc qdisc replace dev lan%d root netem delay %dms" :
			     "tc qdisc del dev lan%d root",
			id, ms);
		xt_need(!system(text), "%s", text);
	}
}
