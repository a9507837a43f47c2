// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every reachable state of one home and two importers around one page, with
 * the module's own state machines (entry, frame, peer) deciding.
 *
 *             home                     channels              importer (x2)
 *  exporter's kernel                                        program
 *   reclaim, let go,   +---------+                           touch, detach
 *   export again ----> |  entry  | -- GRANT BUSY REVOKE -->  +-------+
 *                      |         |    (in order of decision) | frame | mapped
 *      fetch service > |         | <- FETCH ACK PUT BYE ---  +-------+
 *      (any time later)+---------+
 *   administrator       ^ one by one, others go on between
 *    fence, open -----> peer (a slot per importer)          session alive?
 *
 * A connection may break at any time.  Each side then reads as much as it likes
 * of what was still under way to it, and notices at some time; what it sends
 * meanwhile goes nowhere.  An importer that has not noticed keeps the page
 * mapped.  A fence cuts it first.  A page that is granted counts as mapped.  The
 * end of a lease is a connection that the importer breaks and at once notices;
 * when it comes, in time, is the matter of test_lease.c.
 *
 * What is bounded: fetches of one importer under way, so that its touches and
 * detaches do not pile up without end, and the length of a channel.  A full
 * channel only delays a send, and nothing waits for a send, so a longer one
 * adds backlog and no decision.  One importer, --fetches 1, --channel 3 to 8:
 * 3140, 3768, 4250, 4370, 4530, 4562 states.  Two importers are explored with
 * one fetch each under way; an answer that comes after the next fetch was sent
 * takes two, and these are explored with one importer.
 *
 * Safety is checked in each state and at each step.  Liveness: steps are those
 * from outside, and those that happen by themselves; each of the latter lowers
 * a measure, and no state at rest has a revocation under way, so every wait
 * ends in every order of events, without any assumption of fairness.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model.h"
#include "tap.h"

#define NOWHERE UINT32_MAX

struct node {
	struct packed state;
	u32 parent;
	u8 kind;
	u8 i;
	u8 swapped; /* the importers changed places on the way from the parent */
	u8 depth;
};

struct search {
	const struct config *cfg;
	struct node *nodes;
	u32 n, room;
	u32 *table;
	u32 mask;
	u64 transitions, rests;
	const char *bad;
	u32 bad_at;
	struct step bad_step; /* not yet among the nodes, if bad_last is set */
	bool bad_last;
};

static const struct {
	const char *name;
	const char *what;
	u8 others;
	u8 fetches; /* as many as it takes, if not 0 */
} mutations[MUT_COUNT] = {
	[MUT_NONE] = { "none", "the rules as they are", 0, 0 },
	[MUT_ACK_ON_SENT] = { "ack-on-sent",
			      "a sent revoke counts as acknowledged", 0, 0 },
	[MUT_RELEASE_ON_LOSS] = { "release-on-loss",
				  "a lost session counts as let go", 0, 0 },
	[MUT_GRANT_WHILE_REVOKING] = { "grant-while-revoking",
				       "grants go on during a revocation", 0,
				       0 },
	[MUT_ACCEPT_STALE_GRANT] = { "accept-stale-grant",
				     "an importer takes grants that answer no open fetch",
				     0, 2 },
	[MUT_ACK_BEFORE_ZAP] = { "ack-before-zap",
				 "an importer acknowledges, then unmaps", 0,
				 0 },
	[MUT_OLD_ACK_COUNTS] = { "old-ack-counts",
				 "acknowledgements of older revokes count", 0,
				 0 },
	[MUT_FENCE_WITHOUT_CUT] = { "fence-without-cut",
				    "the administrator fences one who still reaches the page",
				    0, 0 },
	[MUT_SEND_REORDER] = { "send-reorder", "a revoke overtakes a grant", 0,
			       0 },
	[MUT_ACK_BY_NUMBER] = { "ack-by-number",
				"an acknowledgement counts for pages that its revoke did not name",
				1, 0 },
	[MUT_PUT_BEFORE_UNMAP] = { "put-before-unmap",
				   "a detach relies on the frame's state for what is unmapped",
				   0, 0 },
	[MUT_SERVE_WITHOUT_SESSION] = { "serve-without-session",
					"a fetch is served after its session has ended",
					0, 0 },
	[MUT_OPEN_BEFORE_WALK] = { "open-before-walk",
				   "a slot is given away before the entry has forgotten it",
				   0, 0 },
	[MUT_LOSE_LOST] = { "lose-lost",
			    "the entry is not told who else is lost", 0, 0 },
	[MUT_NO_ACK_WHEN_NOT_HELD] = { "no-ack-when-not-held",
				       "an importer acknowledges only what it holds",
				       0, 0 },
};

static void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p) {
		fprintf(stderr, "explore: out of memory\n");
		exit(2);
	}
	return p;
}

static u32 hash(const struct packed *p)
{
	u64 h = 0x9e3779b97f4a7c15ull;
	unsigned int k;

	for (k = 0; k < sizeof(p->w) / sizeof(p->w[0]); k++) {
		h = (h ^ p->w[k]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return (u32)h;
}

static void rehash(struct search *s, u32 size)
{
	u32 k, at;

	s->table = xrealloc(s->table, size * sizeof(*s->table));
	memset(s->table, 0xff, size * sizeof(*s->table));
	s->mask = size - 1;
	for (k = 0; k < s->n; k++) {
		at = hash(&s->nodes[k].state) & s->mask;
		while (s->table[at] != NOWHERE)
			at = (at + 1) & s->mask;
		s->table[at] = k;
	}
}

/* Return: whether @node is new; then it has been added. */
static bool add(struct search *s, const struct node *node)
{
	u32 at;

	if (s->n >= (s->mask + 1) / 2)
		rehash(s, 2 * (s->mask + 1));
	at = hash(&node->state) & s->mask;
	for (; s->table[at] != NOWHERE; at = (at + 1) & s->mask)
		if (!memcmp(&s->nodes[s->table[at]].state, &node->state,
			    sizeof(node->state)))
			return false;
	if (s->n == s->room) {
		s->room *= 2;
		s->nodes = xrealloc(s->nodes, s->room * sizeof(*s->nodes));
	}
	s->table[at] = s->n;
	s->nodes[s->n++] = *node;
	return true;
}

/* Return: false when a violation was found. */
static bool expand(struct search *s, u32 k)
{
	struct node node = { .parent = k };
	struct world from, to;
	struct outcome out;
	bool rest = true;

	unpack(&s->nodes[k].state, &from);
	node.depth = s->nodes[k].depth + 1;
	for (node.kind = 0; node.kind < STEP_COUNT; node.kind++)
		for (node.i = 0; node.i < IMPORTERS; node.i++) {
			struct step step = { node.kind, node.i };

			if (!model_step(s->cfg, &from, step, &to, &out))
				continue;
			s->transitions++;
			rest = rest && node.kind > STEP_LAST_FAIR;
			s->bad = check_step(s->cfg, &from, step, &to, &out);
			if (!s->bad)
				s->bad = check_state(s->cfg, &to);
			if (s->bad) {
				s->bad_at = k;
				s->bad_step = step;
				s->bad_last = true;
				return false;
			}
			node.swapped = pack_canonical(s->cfg, &to, &node.state);
			add(s, &node);
		}
	s->rests += rest;
	s->bad = rest ? check_rest(s->cfg, &from) : NULL;
	s->bad_at = k;
	return !s->bad;
}

static void search(struct search *s, const struct config *cfg)
{
	struct node first = { .parent = NOWHERE };
	struct world w;
	u32 k;

	memset(s, 0, sizeof(*s));
	s->cfg = cfg;
	s->room = 1024;
	s->nodes = xrealloc(NULL, s->room * sizeof(*s->nodes));
	rehash(s, 4096);
	model_init(cfg, &w);
	pack_canonical(cfg, &w, &first.state);
	add(s, &first);
	for (k = 0; k < s->n && expand(s, k); k++)
		;
}

static void release(struct search *s)
{
	free(s->nodes);
	free(s->table);
}

static void print_trace(const struct search *s)
{
	unsigned int n = 0, swapped = 0, depth = s->nodes[s->bad_at].depth;
	u32 *path = xrealloc(NULL, (depth + 1) * sizeof(*path));
	struct world from, to;
	struct outcome out;
	struct step step;
	u32 k;

	for (k = s->bad_at; k != NOWHERE; k = s->nodes[k].parent)
		path[s->nodes[k].depth] = k;
	trace_head(s->cfg);
	for (n = 0; n < depth; n++) {
		const struct node *next = &s->nodes[path[n + 1]];

		unpack(&s->nodes[path[n]].state, &from);
		step = (struct step){ next->kind, next->i };
		model_step(s->cfg, &from, step, &to, &out);
		trace_step(s->cfg, n + 1, &from, step, &to, swapped);
		swapped ^= next->swapped;
	}
	if (s->bad_last) {
		unpack(&s->nodes[s->bad_at].state, &from);
		model_step(s->cfg, &from, s->bad_step, &to, &out);
		trace_step(s->cfg, n + 1, &from, s->bad_step, &to, swapped);
	}
	printf("#      VIOLATION: %s\n", s->bad);
	free(path);
}

/* Return: whether the result is the wanted one. */
static bool run(const struct config *cfg)
{
	bool wanted = cfg->mutation != MUT_NONE, ok;
	struct timespec t0, t1;
	struct search s;
	double secs;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	search(&s, cfg);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	secs = (double)(t1.tv_sec - t0.tv_sec) +
	       (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
	ok = tap_ok(!!s.bad == wanted, "explore, %s",
		    mutations[cfg->mutation].what);
	printf("# %s: %u importer(s), channel %u, fetches %u, others %u: %u states, %llu transitions, depth %u, %llu at rest, %.1f s\n",
	       mutations[cfg->mutation].name, cfg->importers, cfg->channel,
	       cfg->fetches, cfg->others, s.n,
	       (unsigned long long)s.transitions, s.nodes[s.n - 1].depth,
	       (unsigned long long)s.rests, secs);
	if (s.bad)
		print_trace(&s);
	release(&s);
	return ok;
}

static int run_all(const struct config *clean)
{
	struct config cfg = *clean;
	int m;

	run(&cfg);
	cfg = (struct config){
		.importers = 1, .channel = 5, .fetches = 2, .others = 1
	};
	run(&cfg);
	for (m = MUT_NONE + 1; m < MUT_COUNT; m++) {
		cfg = *clean;
		cfg.mutation = m;
		cfg.others = mutations[m].others;
		if (mutations[m].fetches)
			cfg.fetches = mutations[m].fetches;
		run(&cfg);
	}
	return tap_done();
}

static int usage(void)
{
	int m;

	fprintf(stderr,
		"usage: explore [--all] [--importers 1|2] [--channel 1..%d] [--fetches N] [--others N] [--mutate NAME]\nmutations:\n",
		CHANNEL_MAX);
	for (m = MUT_NONE + 1; m < MUT_COUNT; m++)
		fprintf(stderr, "  %-22s %s\n", mutations[m].name,
			mutations[m].what);
	return 2;
}

static enum mutation find_mutation(const char *name)
{
	int m;

	for (m = 0; m < MUT_COUNT; m++)
		if (!strcmp(mutations[m].name, name))
			return m;
	return MUT_COUNT;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "importers", required_argument, NULL, 'i' },
		{ "channel", required_argument, NULL, 'c' },
		{ "fetches", required_argument, NULL, 'f' },
		{ "others", required_argument, NULL, 'o' },
		{ "mutate", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	struct config cfg = { .importers = 2, .channel = 2, .fetches = 1 };
	bool all = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a')
			all = true;
		else if (c == 'i')
			cfg.importers = atoi(optarg);
		else if (c == 'c')
			cfg.channel = atoi(optarg);
		else if (c == 'f')
			cfg.fetches = atoi(optarg);
		else if (c == 'o')
			cfg.others = atoi(optarg);
		else if (c == 'm')
			cfg.mutation = find_mutation(optarg);
		else
			return usage();
	}
	if (cfg.mutation == MUT_COUNT || cfg.importers < 1 ||
	    cfg.importers > IMPORTERS || cfg.channel < 1 ||
	    cfg.channel > CHANNEL_MAX || cfg.fetches > 7 || optind < argc)
		return usage();
	if (all)
		return run_all(&cfg);
	run(&cfg);
	return tap_done();
}
