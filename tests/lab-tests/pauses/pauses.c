// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer is paused, or loses power, at every step of the protocol.
 *
 * usage: pauses [DEADLINE_MS [ROUNDS [1]]]
 *
 * In a round each victim is brought to a state of its own and stopped there: links
 * that are cut in one direction hold the message that the state is about. Pauses
 * are of 1 s, of somewhat less and somewhat more than the deadline, and of ten
 * deadlines, in turns. In the last round the victims lose power. Two states have two
 * meanings, which alternate from round to round; with 1 they begin with the second,
 * so that two runs have each state with each pause. Always:
 *
 * - what the home waits for, it waits for at most the deadline;
 * - a pause shorter than that costs no session and no page;
 * - after a longer one what the victim may reach is in quarantine. The victim
 *   stores on as soon as it runs again, and none of that is in memory that was
 *   given out meanwhile;
 * - then it comes back, without an administrator;
 * - who has nothing to do with it, on p1 and p2, notices nothing.
 */
#include "pauses.h"

#include <stdlib.h>

int deadline_ms = 6000;

const char *const state_names[STATES] = {
	"no grant", "fetch", "granted", "revoke", "ack", "put", "closing",
};

enum state state_of(int id)
{
	return id == BYSTANDER ? NONE : FETCH + (id - FIRST) % (STATES - 1);
}

static struct kind kind_of(int round, int rounds)
{
	const struct kind kinds[] = {
		{ "1 s", 1000, false },
		{ "less than the deadline", deadline_ms * 6 / 10, false },
		{ "more than the deadline", deadline_ms * 3 / 2, true },
		{ "ten deadlines", deadline_ms * 10, true },
		{ "no power", 0, true },
	};

	return kinds[round == rounds ? 4 : round % 4];
}

int main(int argc, char **argv)
{
	int rounds = 4, other_way = 0;
	char name[64];

	if (argc > 1)
		deadline_ms = atoi(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	if (argc > 3)
		other_way = atoi(argv[3]);
	xt_start("pauses");
	if (xt_nodes < FIRST || deadline_ms < 2000) {
		xt_skip("everything", "3 partitions, and a deadline of 2 s");
		return xt_finish();
	}
	xt_case("times");
	xt_daemon_new_times(heartbeat(), deadline_ms);
	if (xt_me == XT_HOME)
		home_init();
	else
		victim_init();
	for (int n = 0; n <= rounds; n++) {
		struct round r = { .number = n,
				   .kind = kind_of(n, rounds),
				   .other_way = (n / 4 + n + other_way) % 2 };

		snprintf(name, sizeof(name), "%d, %s", n + 1, r.kind.name);
		xt_case(name);
		if (xt_me == XT_HOME)
			home_round(&r);
		else
			victim_round(&r);
	}
	if (xt_me == XT_HOME)
		home_end();
	return xt_part();
}
