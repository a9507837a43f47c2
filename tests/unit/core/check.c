// SPDX-License-Identifier: GPL-2.0-only
/* What must hold in every state, after every step, and at rest. */
#include "model.h"

static u64 bits(u64 slots, bool has, int i)
{
	return has ? slots | 1ull << i : slots;
}

/* Will a grant that is on its way be taken? */
static bool grant_coming(const struct importer *p)
{
	int k;

	for (k = 0; p->alive && k < p->down.n; k++)
		if (p->down.m[k] == MSG(MSG_GRANT, OPEN))
			return true;
	return false;
}

const char *check_state(const struct config *cfg, const struct world *w)
{
	u64 reach = 0, coming = 0, lost = 0, walking = 0, known = 0;
	const struct xpmem_entry_state *e = &w->entry;
	int i;

	for (i = 0; i < cfg->importers; i++) {
		const struct importer *p = &w->imp[i];

		reach = bits(reach, p->mapped || p->phase == XPMEM_FRAME_HELD,
			     i);
		coming = bits(coming, grant_coming(p), i);
		lost = bits(lost, p->peer == XPMEM_PEER_LOST, i);
		walking = bits(walking, p->walk, i);
		known = bits(known, p->peer != XPMEM_PEER_NONE || p->walk, i);
	}
	if (reach && w->gone && e->phase == XPMEM_ENTRY_FREE)
		return "an importer reaches a frame that has been reused";
	if (reach & ~e->importers)
		return "an importer reaches a page that the home took back";
	if (coming & ~e->importers)
		return "a grant is on its way that the home does not remember";
	if (e->unsent & ~e->importers)
		return "a revoke is to be sent to one who is no importer";
	if ((e->phase == XPMEM_ENTRY_FREE) != !e->importers)
		return "free without being without importers";
	if (e->phase == XPMEM_ENTRY_ORPHANED &&
	    (e->importers & ~(lost | walking)))
		return "orphaned although a living importer may reach the page";
	if (e->phase != XPMEM_ENTRY_REVOKING && (e->unsent & ~walking))
		return "a revoke is to be sent outside of a revocation";
	if (e->importers & ~known)
		return "an importer is remembered that has no session";
	return NULL;
}

static const char *check_actions(const struct xpmem_entry_state *was,
				 struct step s,
				 const struct xpmem_entry_state *is,
				 unsigned int actions)
{
	bool released = was->importers && !is->importers;
	bool began = was->phase != is->phase &&
		     is->phase == XPMEM_ENTRY_REVOKING;
	bool ended = was->phase == XPMEM_ENTRY_REVOKING &&
		     was->phase != is->phase;

	if (!!(actions & XPMEM_ENTRY_RELEASE) != released)
		return released ?
			       "nobody reaches the page, but it is not released" :
			       "released while reached, or for a second time";
	/* A revocation that has only lost importers ends where it begins. */
	if (s.kind == STEP_RECLAIM && was->phase == XPMEM_ENTRY_GRANTED)
		ended = is->phase != XPMEM_ENTRY_REVOKING;
	if (!!(actions & XPMEM_ENTRY_WAKE) != ended)
		return ended ? "a revocation ended and nobody was woken" :
			       "woken before the revocation ended";
	if (!!(actions & XPMEM_ENTRY_KICK) != (began && is->unsent))
		return "the sender is not kicked when it has to be";
	if ((actions & XPMEM_ENTRY_STALE) &&
	    (was->importers != is->importers || was->unsent != is->unsent ||
	     was->phase != is->phase))
		return "a stale event changed the entry";
	return NULL;
}

/*
 * Each step that happens by itself brings the world nearer to rest: whatever
 * their order, there are only so many of them before the next event from
 * outside.  With check_rest() this means that every wait ends.
 */
static unsigned int distance(const struct config *cfg, const struct world *w)
{
	static const u8 cost[16] = {
		[MSG_FETCH] = 5,  [MSG_GRANT] = 1,	  [MSG_BUSY] = 1,
		[MSG_REVOKE] = 4, [MSG_ACK] = 1,	  [MSG_PUT] = 1,
		[MSG_BYE] = 3,	  [MSG_REVOKE_OTHER] = 4, [MSG_ACK_OTHER] = 1,
	};
	unsigned int d = 0;
	int i, k;

	for (i = 0; i < cfg->importers; i++) {
		const struct importer *p = &w->imp[i];

		for (k = 0; k < p->up.n; k++)
			d += cost[MSG_TYPE(p->up.m[k])];
		for (k = 0; k < p->down.n; k++)
			d += cost[MSG_TYPE(p->down.m[k])];
		d += 4 * (p->open + p->closed) + 2 * !!p->revoking;
		d += 5 * !!(w->entry.unsent & (1ull << i)) + !!p->walk;
		d += !p->conn && p->peer == XPMEM_PEER_UP ? 2 : 0;
		d += !p->conn && p->alive ? 1 : 0;
	}
	return d;
}

const char *check_step(const struct config *cfg, const struct world *from,
		       struct step s, const struct world *to,
		       const struct outcome *out)
{
	u64 left = from->entry.importers & ~to->entry.importers;
	const char *bad;

	if (s.kind != STEP_EXPORT) {
		bad = check_actions(&from->entry, s, &to->entry, out->entry);
		if (bad)
			return bad;
	}
	if (left & model_lost(cfg, from))
		return "a lost importer was forgotten before it was fenced";
	if (s.kind <= STEP_LAST_FAIR &&
	    distance(cfg, to) >= distance(cfg, from))
		return "a step by itself leads no nearer to rest";
	return NULL;
}

/* For worlds in which nothing more happens by itself. */
const char *check_rest(const struct config *cfg, const struct world *w)
{
	int i;

	if (w->entry.phase == XPMEM_ENTRY_REVOKING)
		return "a revocation never ends";
	for (i = 0; i < cfg->importers; i++)
		if (w->imp[i].revoking || w->imp[i].walk ||
		    model_fetches(&w->imp[i]) ||
		    (w->imp[i].alive && w->imp[i].down.n))
			return "something is under way and never arrives";
	return NULL;
}
