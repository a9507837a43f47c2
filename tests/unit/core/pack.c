// SPDX-License-Identifier: GPL-2.0-only
/*
 * Worlds that differ in nothing become the same 56 bytes: revoke numbers are
 * ranks, and the importers are alike, so their order is left out.
 */
#include "model.h"

static u8 rank(u16 used, u8 seq)
{
	return seq ? (u8)__builtin_popcount(used & ((2u << seq) - 1)) : 0;
}

static void mark(u16 *used, const struct channel *c)
{
	int k;

	for (k = 0; k < c->n; k++)
		if (MSG_TYPE(c->m[k]) == MSG_REVOKE ||
		    MSG_TYPE(c->m[k]) == MSG_ACK ||
		    MSG_TYPE(c->m[k]) == MSG_REVOKE_OTHER ||
		    MSG_TYPE(c->m[k]) == MSG_ACK_OTHER)
			*used |= 1u << MSG_ARG(c->m[k]);
}

static void rerank(u16 used, struct channel *c)
{
	int k;

	for (k = 0; k < c->n; k++)
		if (MSG_TYPE(c->m[k]) == MSG_REVOKE ||
		    MSG_TYPE(c->m[k]) == MSG_ACK ||
		    MSG_TYPE(c->m[k]) == MSG_REVOKE_OTHER ||
		    MSG_TYPE(c->m[k]) == MSG_ACK_OTHER)
			c->m[k] = MSG(MSG_TYPE(c->m[k]),
				      rank(used, MSG_ARG(c->m[k])));
}

/*
 * Revoke numbers only grow, and only their order is ever looked at: those in
 * use are renumbered 1, 2, … and the number of states stays finite.
 */
void renumber(struct world *w)
{
	u16 used = 1u << w->seq;
	int i;

	assert(w->seq < 16); /* or it would not fit a message */
	if (w->entry.phase != XPMEM_ENTRY_REVOKING)
		w->entry.seq = 0;
	used |= 1u << w->entry.seq;
	for (i = 0; i < IMPORTERS; i++) {
		used |= 1u << w->imp[i].revoking;
		mark(&used, &w->imp[i].up);
		mark(&used, &w->imp[i].down);
	}
	used &= ~1u;
	w->seq = rank(used, w->seq);
	w->entry.seq = rank(used, w->entry.seq);
	for (i = 0; i < IMPORTERS; i++) {
		w->imp[i].revoking = rank(used, w->imp[i].revoking);
		rerank(used, &w->imp[i].up);
		rerank(used, &w->imp[i].down);
	}
}

static u64 pack_channel(const struct channel *c)
{
	u64 v = 0;
	int k;

	for (k = 0; k < c->n; k++)
		v |= (u64)c->m[k] << (8 * k);
	return v;
}

static void unpack_channel(u64 v, struct channel *c)
{
	int k;

	memset(c, 0, sizeof(*c));
	for (k = 0; k < CHANNEL_MAX && (v >> (8 * k) & 0xff); k++)
		c->m[c->n++] = v >> (8 * k) & 0xff;
}

static void put(u64 *v, unsigned int width, u8 value)
{
	*v = *v << width | (value & ((1u << width) - 1));
}

static u8 get(u64 *v, unsigned int width)
{
	u8 value = *v & ((1u << width) - 1);

	*v >>= width;
	return value;
}

static void pack_importer(const struct importer *p, u64 *w)
{
	u64 a = 0, b = 0;

	put(&a, 2, p->peer);
	put(&a, 2, p->walk);
	put(&a, 1, p->conn);
	put(&a, 1, p->alive);
	put(&a, 2, p->phase);
	put(&a, 1, p->mapped);
	put(&a, 4, p->revoking);
	put(&a, 1, p->other);
	put(&a, 1, p->zapping);
	put(&b, 4, p->open);
	put(&b, 4, p->closed);
	w[0] = a << 16 | b;
	w[1] = pack_channel(&p->down);
	w[2] = pack_channel(&p->up);
}

static void unpack_importer(const u64 *w, struct importer *p)
{
	u64 a = w[0] >> 16, b = w[0];

	p->zapping = get(&a, 1);
	p->other = get(&a, 1);
	p->revoking = get(&a, 4);
	p->mapped = get(&a, 1);
	p->phase = get(&a, 2);
	p->alive = get(&a, 1);
	p->conn = get(&a, 1);
	p->walk = get(&a, 2);
	p->peer = get(&a, 2);
	p->closed = get(&b, 4);
	p->open = get(&b, 4);
	unpack_channel(w[1], &p->down);
	unpack_channel(w[2], &p->up);
}

static u64 pack_home(const struct world *w, bool swap)
{
	u64 v = 0, importers = w->entry.importers, unsent = w->entry.unsent;

	if (swap) {
		importers = (importers & 1) << 1 | (importers >> 1 & 1);
		unsent = (unsent & 1) << 1 | (unsent >> 1 & 1);
	}
	put(&v, 2, importers);
	put(&v, 2, unsent);
	put(&v, 2, w->entry.phase);
	put(&v, 4, w->entry.seq);
	put(&v, 4, w->seq);
	put(&v, 1, w->gone);
	return v;
}

void pack(const struct world *w, struct packed *p)
{
	int i;

	for (i = 0; i < IMPORTERS; i++)
		pack_importer(&w->imp[i], &p->w[3 * i]);
	p->w[3 * IMPORTERS] = pack_home(w, false);
}

/* Return: whether the importers changed places. */
bool pack_canonical(const struct config *cfg, const struct world *w,
		    struct packed *p)
{
	struct packed q;

	pack(w, p);
	if (cfg->importers < 2)
		return false;
	memcpy(&q.w[0], &p->w[3], 24);
	memcpy(&q.w[3], &p->w[0], 24);
	q.w[6] = pack_home(w, true);
	if (memcmp(p, &q, sizeof(q)) <= 0)
		return false;
	*p = q;
	return true;
}

void unpack(const struct packed *p, struct world *w)
{
	u64 v = p->w[3 * IMPORTERS];
	int i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < IMPORTERS; i++)
		unpack_importer(&p->w[3 * i], &w->imp[i]);
	w->gone = get(&v, 1);
	w->seq = get(&v, 4);
	w->entry.seq = get(&v, 4);
	w->entry.phase = get(&v, 2);
	w->entry.unsent = get(&v, 2);
	w->entry.importers = get(&v, 2);
}
