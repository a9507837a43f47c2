// SPDX-License-Identifier: GPL-2.0-only
/* What can happen next in a world, by the rules of the module; see model.h. */
#include "model.h"

/* Revoke numbers begin here, so that they wrap in the middle of a run. */
#define SEQ_BASE 0xfffffffdu

static void push(struct channel *c, u8 msg)
{
	c->m[c->n++] = msg;
}

static u8 pop(struct channel *c)
{
	u8 msg = c->m[0];

	c->n--;
	memmove(c->m, c->m + 1, c->n);
	c->m[c->n] = 0;
	return msg;
}

static void clear(struct channel *c)
{
	memset(c, 0, sizeof(*c));
}

/* Without a connection a send succeeds and leads nowhere. */
static bool has_room(const struct config *cfg, const struct importer *p,
		     const struct channel *c)
{
	return !p->conn || c->n < cfg->channel;
}

static void send_up(struct importer *p, u8 msg)
{
	if (p->conn)
		push(&p->up, msg);
}

static void send_down(struct importer *p, u8 msg)
{
	if (p->conn && p->alive)
		push(&p->down, msg);
}

/* Nobody waits any more for the answers to this importer's fetches. */
static void close_fetches(struct importer *p)
{
	int k;

	for (k = 0; k < p->up.n; k++)
		if (MSG_TYPE(p->up.m[k]) == MSG_FETCH)
			p->up.m[k] = MSG(MSG_FETCH, 0);
	for (k = 0; k < p->down.n; k++)
		if (MSG_TYPE(p->down.m[k]) == MSG_GRANT ||
		    MSG_TYPE(p->down.m[k]) == MSG_BUSY)
			p->down.m[k] = MSG(MSG_TYPE(p->down.m[k]), 0);
	p->closed += p->open;
	p->open = 0;
}

unsigned int model_fetches(const struct importer *p)
{
	unsigned int k, n = p->open + p->closed;

	for (k = 0; k < p->up.n; k++)
		n += MSG_TYPE(p->up.m[k]) == MSG_FETCH;
	for (k = 0; k < p->down.n; k++)
		n += MSG_TYPE(p->down.m[k]) == MSG_GRANT ||
		     MSG_TYPE(p->down.m[k]) == MSG_BUSY;
	return n;
}

static unsigned int count_others(const struct importer *p)
{
	unsigned int k, n = p->revoking && p->other;

	for (k = 0; k < p->up.n; k++)
		n += MSG_TYPE(p->up.m[k]) == MSG_ACK_OTHER;
	for (k = 0; k < p->down.n; k++)
		n += MSG_TYPE(p->down.m[k]) == MSG_REVOKE_OTHER;
	return n;
}

u64 model_lost(const struct config *cfg, const struct world *w)
{
	u64 lost = 0;
	int i;

	for (i = 0; i < cfg->importers; i++)
		if (w->imp[i].peer == XPMEM_PEER_LOST)
			lost |= 1ull << i;
	return lost;
}

/* Hand an event to the real export entry. */
static unsigned int entry(const struct config *cfg, struct world *w,
			  enum xpmem_entry_event ev, int i, u8 seq,
			  struct outcome *out)
{
	struct xpmem_entry_arg arg = {
		.slots = ev == XPMEM_ENTRY_EV_REVOKE ? 0 : 1ull << i,
		.lost = model_lost(cfg, w),
		.seq = SEQ_BASE + seq,
	};
	unsigned int actions;

	if (cfg->mutation == MUT_LOSE_LOST)
		arg.lost = 0;
	w->entry.seq += SEQ_BASE;
	if (cfg->mutation == MUT_OLD_ACK_COUNTS && ev == XPMEM_ENTRY_EV_ACK)
		arg.seq = w->entry.seq;
	actions = xpmem_entry_event(&w->entry, ev, &arg);
	w->entry.seq -= SEQ_BASE;
	out->entry |= actions;
	return actions;
}

/* The importer's receiver ends the revoke it is at: unmap, then acknowledge. */
static bool zap(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (!p->revoking || !has_room(cfg, p, &p->up))
		return false;
	if (p->zapping)
		p->mapped = 0;
	if (p->other)
		send_up(p, MSG(MSG_ACK_OTHER, p->revoking));
	else if (cfg->mutation != MUT_ACK_BEFORE_ZAP)
		send_up(p, MSG(MSG_ACK, p->revoking));
	p->zapping = 0;
	p->other = 0;
	p->revoking = 0;
	return true;
}

static bool importer_recv(const struct config *cfg, struct world *w, int i,
			  struct outcome *out)
{
	struct importer *p = &w->imp[i];
	bool early = cfg->mutation == MUT_ACK_BEFORE_ZAP;
	u8 msg;

	if (!p->alive || p->revoking || !p->down.n)
		return false;
	if (early && !has_room(cfg, p, &p->up))
		return false;
	msg = pop(&p->down);
	switch (MSG_TYPE(msg)) {
	case MSG_GRANT:
		if (MSG_ARG(msg) != OPEN &&
		    cfg->mutation != MUT_ACCEPT_STALE_GRANT)
			return true;
		out->frame = xpmem_frame_event(&p->phase, XPMEM_FRAME_EV_GRANT);
		if (out->frame & XPMEM_FRAME_STORE)
			p->mapped = 1;
		return true;
	case MSG_BUSY:
		if (MSG_ARG(msg) == OPEN)
			out->frame = xpmem_frame_event(&p->phase,
						       XPMEM_FRAME_EV_DENY);
		return true;
	case MSG_REVOKE:
		out->frame =
			xpmem_frame_event(&p->phase, XPMEM_FRAME_EV_REVOKE);
		p->zapping = !!(out->frame & XPMEM_FRAME_ZAP);
		if (cfg->mutation == MUT_NO_ACK_WHEN_NOT_HELD && !p->zapping)
			return true;
		if (out->frame & XPMEM_FRAME_ACK)
			p->revoking = MSG_ARG(msg);
		if (early)
			send_up(p, MSG(MSG_ACK, p->revoking));
		else if (!p->zapping && has_room(cfg, p, &p->up))
			zap(cfg, w, i);
		return true;
	case MSG_REVOKE_OTHER:
		p->revoking = MSG_ARG(msg);
		p->other = 1;
		return true;
	default:
		return false;
	}
}

static void end_session(const struct config *cfg, struct importer *p)
{
	p->conn = 0;
	clear(&p->up);
	if (cfg->mutation != MUT_SERVE_WITHOUT_SESSION) {
		p->open = 0;
		p->closed = 0;
	}
}

static bool home_recv(const struct config *cfg, struct world *w, int i,
		      struct outcome *out)
{
	struct importer *p = &w->imp[i];
	u8 msg;

	if (p->peer != XPMEM_PEER_UP || !p->up.n)
		return false;
	msg = pop(&p->up);
	switch (MSG_TYPE(msg)) {
	case MSG_ACK:
		entry(cfg, w, XPMEM_ENTRY_EV_ACK, i, MSG_ARG(msg), out);
		return true;
	case MSG_ACK_OTHER:
		if (cfg->mutation == MUT_ACK_BY_NUMBER)
			entry(cfg, w, XPMEM_ENTRY_EV_ACK, i, MSG_ARG(msg), out);
		return true;
	case MSG_PUT:
		entry(cfg, w, XPMEM_ENTRY_EV_PUT, i, 0, out);
		return true;
	case MSG_BYE:
		if (xpmem_peer_event(&p->peer, XPMEM_PEER_EV_BYE) &
		    XPMEM_PEER_RELEASE)
			p->walk = WALK_PUT;
		end_session(cfg, p);
		clear(&p->down);
		return true;
	default:
		return false;
	}
}

/* Decision and place in the channel are one step: both under one lock. */
static bool serve(const struct config *cfg, struct world *w, int i, u8 open,
		  struct outcome *out)
{
	struct importer *p = &w->imp[i];
	bool any = cfg->mutation == MUT_SERVE_WITHOUT_SESSION;
	u8 *n = open ? &p->open : &p->closed;
	unsigned int actions = XPMEM_ENTRY_BUSY;

	if (!*n || (p->peer != XPMEM_PEER_UP && !any) ||
	    !has_room(cfg, p, &p->down))
		return false;
	(*n)--;
	if (!w->gone)
		actions = entry(cfg, w, XPMEM_ENTRY_EV_GRANT, i, 0, out);
	if ((actions & XPMEM_ENTRY_BUSY) && !w->gone &&
	    cfg->mutation == MUT_GRANT_WHILE_REVOKING) {
		w->entry.importers |= 1ull << i;
		out->entry = 0;
		actions = XPMEM_ENTRY_SEND;
	}
	send_down(p,
		  MSG(actions & XPMEM_ENTRY_SEND ? MSG_GRANT : MSG_BUSY, open));
	return true;
}

static bool send_revoke(const struct config *cfg, struct world *w, int i,
			struct outcome *out)
{
	struct importer *p = &w->imp[i];

	if (p->peer != XPMEM_PEER_UP || !(w->entry.unsent & (1ull << i)) ||
	    !has_room(cfg, p, &p->down))
		return false;
	send_down(p, MSG(MSG_REVOKE, w->seq));
	if (cfg->mutation == MUT_SEND_REORDER && p->down.n > 1) {
		memmove(p->down.m + 1, p->down.m, p->down.n - 1);
		p->down.m[0] = MSG(MSG_REVOKE, w->seq);
	}
	entry(cfg, w, XPMEM_ENTRY_EV_SENT, i, 0, out);
	if (cfg->mutation == MUT_ACK_ON_SENT)
		entry(cfg, w, XPMEM_ENTRY_EV_ACK, i, w->seq, out);
	return true;
}

/* Each side reads what had arrived for it, as far as it likes, then notices. */
static bool home_loss(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (p->conn || p->peer != XPMEM_PEER_UP)
		return false;
	if (xpmem_peer_event(&p->peer, XPMEM_PEER_EV_LOSS) & XPMEM_PEER_KEEP)
		p->walk = WALK_LOST;
	end_session(cfg, p);
	return true;
}

static void importer_stop(struct importer *p)
{
	xpmem_frame_event(&p->phase, XPMEM_FRAME_EV_DROP);
	close_fetches(p);
	clear(&p->down);
	p->mapped = 0;
	p->revoking = 0;
	p->other = 0;
	p->zapping = 0;
	p->alive = 0;
}

static bool importer_loss(struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (p->conn || !p->alive)
		return false;
	importer_stop(p);
	return true;
}

/* Peers change first, entries learn of it one by one, others go on between. */
static bool walk(const struct config *cfg, struct world *w, int i,
		 struct outcome *out)
{
	static const enum xpmem_entry_event events[] = {
		[WALK_LOST] = XPMEM_ENTRY_EV_LOST,
		[WALK_PUT] = XPMEM_ENTRY_EV_PUT,
		[WALK_FENCED] = XPMEM_ENTRY_EV_FENCED,
	};
	struct importer *p = &w->imp[i];
	enum xpmem_entry_event ev;

	if (!p->walk)
		return false;
	ev = events[p->walk];
	if (cfg->mutation == MUT_RELEASE_ON_LOSS && p->walk == WALK_LOST)
		ev = XPMEM_ENTRY_EV_PUT;
	p->walk = WALK_NONE;
	entry(cfg, w, ev, i, 0, out);
	return true;
}

static bool touch(const struct config *cfg, struct world *w, int i,
		  struct outcome *out)
{
	struct importer *p = &w->imp[i];

	if (!p->alive || !has_room(cfg, p, &p->up) ||
	    model_fetches(p) >= cfg->fetches)
		return false;
	out->frame = xpmem_frame_event(&p->phase, XPMEM_FRAME_EV_WANT);
	if (out->frame & XPMEM_FRAME_FETCH)
		send_up(p, MSG(MSG_FETCH, OPEN));
	return true;
}

/* The last detach: the mappings are gone, whatever the core knows of them. */
static bool detach(const struct config *cfg, struct world *w, int i,
		   struct outcome *out)
{
	struct importer *p = &w->imp[i];
	u8 was = p->phase;

	if (!p->alive || !has_room(cfg, p, &p->up))
		return false;
	/* A second PUT right behind the first would say nothing new. */
	if (!was && !p->mapped && p->up.n &&
	    MSG_TYPE(p->up.m[p->up.n - 1]) == MSG_PUT)
		return false;
	out->frame = xpmem_frame_event(&p->phase, XPMEM_FRAME_EV_DROP);
	close_fetches(p);
	if (cfg->mutation != MUT_PUT_BEFORE_UNMAP ||
	    (out->frame & XPMEM_FRAME_ZAP))
		p->mapped = 0;
	send_up(p, MSG(MSG_PUT, 0));
	return true;
}

static bool bye(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (!p->alive || p->phase != XPMEM_FRAME_NONE || p->mapped ||
	    !has_room(cfg, p, &p->up))
		return false;
	importer_stop(p);
	send_up(p, MSG(MSG_BYE, 0));
	return true;
}

static bool fence(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (p->peer != XPMEM_PEER_LOST || p->walk)
		return false;
	if (cfg->mutation != MUT_FENCE_WITHOUT_CUT)
		importer_stop(p);
	if (xpmem_peer_event(&p->peer, XPMEM_PEER_EV_FENCE) &
	    XPMEM_PEER_RELEASE)
		p->walk = WALK_FENCED;
	return true;
}

static bool open_session(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (p->alive || p->conn ||
	    (p->walk && cfg->mutation != MUT_OPEN_BEFORE_WALK))
		return false;
	if (!(xpmem_peer_event(&p->peer, XPMEM_PEER_EV_OPEN) &
	      XPMEM_PEER_START))
		return false;
	p->conn = 1;
	p->alive = 1;
	return true;
}

static bool revoke_other(const struct config *cfg, struct world *w, int i)
{
	struct importer *p = &w->imp[i];

	if (p->peer != XPMEM_PEER_UP || !p->conn || !p->alive ||
	    p->down.n >= cfg->channel || count_others(p) >= cfg->others)
		return false;
	send_down(p, MSG(MSG_REVOKE_OTHER, ++w->seq));
	return true;
}

static bool break_connection(struct world *w, int i)
{
	if (!w->imp[i].conn)
		return false;
	w->imp[i].conn = 0;
	return true;
}

static bool let_go(struct world *w)
{
	/* After a revocation that has ended; a kept frame is in quarantine. */
	if (w->gone || (w->entry.phase != XPMEM_ENTRY_FREE &&
			w->entry.phase != XPMEM_ENTRY_ORPHANED))
		return false;
	w->gone = 1;
	return true;
}

static bool export_again(struct world *w)
{
	if (!w->gone || w->entry.phase != XPMEM_ENTRY_FREE)
		return false;
	memset(&w->entry, 0, sizeof(w->entry));
	w->gone = 0;
	return true;
}

static bool apply(const struct config *cfg, struct world *w, struct step s,
		  struct outcome *out)
{
	switch ((enum step_kind)s.kind) {
	case STEP_IMPORTER_RECV:
		return importer_recv(cfg, w, s.i, out);
	case STEP_ZAP:
		return zap(cfg, w, s.i);
	case STEP_HOME_RECV:
		return home_recv(cfg, w, s.i, out);
	case STEP_SERVE_OPEN:
		return serve(cfg, w, s.i, OPEN, out);
	case STEP_SERVE_CLOSED:
		return serve(cfg, w, s.i, 0, out);
	case STEP_SEND_REVOKE:
		return send_revoke(cfg, w, s.i, out);
	case STEP_HOME_LOSS:
		return home_loss(cfg, w, s.i);
	case STEP_IMPORTER_LOSS:
		return importer_loss(w, s.i);
	case STEP_WALK:
		return walk(cfg, w, s.i, out);
	case STEP_TOUCH:
		return touch(cfg, w, s.i, out);
	case STEP_DETACH:
		return detach(cfg, w, s.i, out);
	case STEP_BYE:
		return bye(cfg, w, s.i);
	case STEP_BREAK:
		return break_connection(w, s.i);
	case STEP_FENCE:
		return fence(cfg, w, s.i);
	case STEP_OPEN:
		return open_session(cfg, w, s.i);
	case STEP_REVOKE_OTHER:
		return revoke_other(cfg, w, s.i);
	case STEP_RECLAIM:
		if (w->gone)
			return false;
		entry(cfg, w, XPMEM_ENTRY_EV_REVOKE, 0, ++w->seq, out);
		return true;
	case STEP_LET_GO:
		return let_go(w);
	case STEP_EXPORT:
		return export_again(w);
	case STEP_COUNT:
		break;
	}
	return false;
}

/*
 * What commutes with everything else is done at once, which spares states: the
 * home takes a fetch off the channel (it is served at any later time), and an
 * importer ignores an answer that nobody waits for.
 */
static void hurry(const struct config *cfg, struct importer *p)
{
	while (p->peer == XPMEM_PEER_UP && p->up.n &&
	       MSG_TYPE(p->up.m[0]) == MSG_FETCH) {
		if (MSG_ARG(pop(&p->up)) == OPEN)
			p->open++;
		else
			p->closed++;
	}
	while (p->alive && !p->revoking && p->down.n &&
	       (p->down.m[0] == MSG(MSG_GRANT, 0) ||
		p->down.m[0] == MSG(MSG_BUSY, 0)) &&
	       cfg->mutation != MUT_ACCEPT_STALE_GRANT)
		pop(&p->down);
}

/* Return: whether the step is possible; @to and @out are filled if it is. */
bool model_step(const struct config *cfg, const struct world *from,
		struct step s, struct world *to, struct outcome *out)
{
	int i;

	if (s.kind < STEP_RECLAIM ? s.i >= cfg->importers : s.i)
		return false;
	*to = *from;
	out->entry = 0;
	out->frame = 0;
	if (!apply(cfg, to, s, out))
		return false;
	for (i = 0; i < cfg->importers; i++)
		hurry(cfg, &to->imp[i]);
	renumber(to);
	return true;
}

void model_init(const struct config *cfg, struct world *w)
{
	int i;

	memset(w, 0, sizeof(*w));
	w->seq = 1;
	for (i = 0; i < cfg->importers; i++)
		open_session(cfg, w, i);
}
