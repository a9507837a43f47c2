// SPDX-License-Identifier: GPL-2.0-only
/* Vetting of received messages; see wire.h for their form. */
#include "wire.h"

/* Segments are shorter than the address space: no page index comes near this. */
#define INDEX_MAX (1ull << 52)

struct form {
	u32 size; /* bytes of the fixed part */
	u32 run; /* bytes per run, 0 if there are none */
};

static const struct form forms[] = {
	[XPMEM_WIRE_GET] = { sizeof(struct xpmem_wire_get), 0 },
	[XPMEM_WIRE_GET_REPLY] = { sizeof(struct xpmem_wire_get_reply), 0 },
	[XPMEM_WIRE_PUT] = { sizeof(struct xpmem_wire_put), 0 },
	[XPMEM_WIRE_FETCH] = { sizeof(struct xpmem_wire_fetch), 0 },
	[XPMEM_WIRE_GRANT] = { sizeof(struct xpmem_wire_grant),
			       sizeof(struct xpmem_wire_grant_run) },
	[XPMEM_WIRE_REVOKE] = { sizeof(struct xpmem_wire_revoke),
				sizeof(struct xpmem_wire_revoke_run) },
	[XPMEM_WIRE_ACK] = { sizeof(struct xpmem_wire_ack), 0 },
	[XPMEM_WIRE_PING] = { sizeof(struct xpmem_wire_ping), 0 },
	[XPMEM_WIRE_BYE] = { 0, 0 },
	[XPMEM_WIRE_LOOKUP] = { sizeof(struct xpmem_wire_lookup), 0 },
	[XPMEM_WIRE_LOOKUP_REPLY] = { sizeof(struct xpmem_wire_lookup_reply),
				      0 },
	[XPMEM_WIRE_TERMS] = { sizeof(struct xpmem_wire_terms), 0 },
	[XPMEM_WIRE_PONG] = { sizeof(struct xpmem_wire_ping), 0 },
};

#define NFORMS (sizeof(forms) / sizeof(forms[0]))

const char *xpmem_wire_check_header(const struct xpmem_wire_header *h,
				    u64 epoch)
{
	u16 type = le16_to_cpu(h->type);
	u32 length = le32_to_cpu(h->length);
	const struct form *form;

	if (!type)
		return "message of type zero";
	if (type >= NFORMS)
		return "message of unknown type";
	if (h->flags)
		return "message with unknown flags";
	if (le64_to_cpu(h->epoch) != epoch)
		return "message of another epoch";
	if ((type == XPMEM_WIRE_REVOKE) != !!h->seq)
		return "message with a wrong sequence number";
	form = &forms[type];
	if (length < form->size)
		return "message too short";
	if (!form->run)
		return length == form->size ? NULL : "message too long";
	if ((length - form->size) % form->run)
		return "message with part of a run";
	if ((length - form->size) / form->run > XPMEM_WIRE_PAGES)
		return "message with too many runs";
	return NULL;
}

static bool access_valid(__le32 access)
{
	u32 a = le32_to_cpu(access);

	return a == XPMEM_WIRE_READ ||
	       a == (XPMEM_WIRE_READ | XPMEM_WIRE_WRITE);
}

static bool pages_valid(u64 index, u32 count)
{
	return count && count <= XPMEM_WIRE_PAGES && index < INDEX_MAX;
}

static const char *check_get(const struct xpmem_wire_get *m)
{
	u32 i, n = le32_to_cpu(m->ngroups);

	if (!m->req || !m->segid)
		return "get with a zero id";
	if (!access_valid(m->access))
		return "get with unknown access";
	if (n > XPMEM_WIRE_GROUPS)
		return "get with too many groups";
	for (i = n; i < XPMEM_WIRE_GROUPS; i++)
		if (m->groups[i])
			return "get with groups beyond its count";
	return NULL;
}

static const char *check_get_reply(const struct xpmem_wire_get_reply *m)
{
	u32 status = le32_to_cpu(m->status);

	if (!m->req)
		return "get reply with a zero id";
	if (!status || status > XPMEM_WIRE_NOMEM)
		return "get reply with unknown status";
	if (status != XPMEM_WIRE_OK)
		return m->pages || m->access ?
			       "refusing get reply with a permit" :
			       NULL;
	if (!m->pages || le64_to_cpu(m->pages) > INDEX_MAX)
		return "get reply with an impossible size";
	return access_valid(m->access) ? NULL : "get reply with unknown access";
}

static const char *check_fetch(const struct xpmem_wire_fetch *m)
{
	u64 start = le64_to_cpu(m->start), target = le64_to_cpu(m->target);

	if (!m->req || !m->segid)
		return "fetch with a zero id";
	if (!pages_valid(start, le32_to_cpu(m->count)))
		return "fetch of an impossible range";
	if (target < start || target - start >= le32_to_cpu(m->count))
		return "fetch whose target is outside of its range";
	return access_valid(m->access) ? NULL : "fetch with unknown access";
}

static const char *check_grant(const struct xpmem_wire_grant *m, u32 nruns)
{
	u32 i, status = le32_to_cpu(m->status), pages = 0;
	u64 next = 0;

	if (!m->req || !m->segid)
		return "grant with a zero id";
	if (!status || status > XPMEM_WIRE_NOMEM)
		return "grant with unknown status";
	if (le32_to_cpu(m->nruns) != nruns)
		return "grant with a wrong run count";
	if ((status == XPMEM_WIRE_OK) != !!nruns)
		return "grant whose status and runs disagree";
	if (m->reserved || (m->retry_ms && status != XPMEM_WIRE_BUSY))
		return "grant with unknown fields";
	for (i = 0; i < nruns; i++) {
		const struct xpmem_wire_grant_run *r = &m->runs[i];
		u64 index = le64_to_cpu(r->index);
		u32 count = le32_to_cpu(r->count);

		if (!pages_valid(index, count) || index < next ||
		    le64_to_cpu(r->frame) >= INDEX_MAX)
			return "grant of an impossible range";
		if (!access_valid(r->access))
			return "grant with unknown access";
		next = index + count;
		pages += count;
	}
	return pages <= XPMEM_WIRE_PAGES ? NULL : "grant of too many pages";
}

static const char *check_revoke(const struct xpmem_wire_revoke *m, u32 nruns)
{
	u32 i;

	if (!nruns || le32_to_cpu(m->nruns) != nruns)
		return "revoke with a wrong run count";
	if (m->reserved)
		return "revoke with unknown fields";
	for (i = 0; i < nruns; i++) {
		const struct xpmem_wire_revoke_run *r = &m->runs[i];

		if (!r->segid || r->reserved)
			return "revoke with unknown fields";
		if (!pages_valid(le64_to_cpu(r->index), le32_to_cpu(r->count)))
			return "revoke of an impossible range";
	}
	return NULL;
}

static bool name_char_valid(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
	       c == '+' || c == '/';
}

bool xpmem_wire_name_valid(const char *name)
{
	u32 i, n = 0;

	while (n < XPMEM_WIRE_NAME && name_char_valid(name[n]))
		n++;
	if (!n || n == XPMEM_WIRE_NAME)
		return false;
	for (i = n; i < XPMEM_WIRE_NAME; i++)
		if (name[i])
			return false;
	return true;
}

static const char *check_lookup(const struct xpmem_wire_lookup *m)
{
	u32 i, n = le32_to_cpu(m->ngroups);

	if (!m->req)
		return "lookup with a zero id";
	if (n > XPMEM_WIRE_GROUPS)
		return "lookup with too many groups";
	for (i = n; i < XPMEM_WIRE_GROUPS; i++)
		if (m->groups[i])
			return "lookup with groups beyond its count";
	return xpmem_wire_name_valid(m->name) ? NULL :
						"lookup of an impossible name";
}

static const char *check_lookup_reply(const struct xpmem_wire_lookup_reply *m)
{
	u32 status = le32_to_cpu(m->status);
	u64 segid = le64_to_cpu(m->segid);

	if (!m->req)
		return "lookup reply with a zero id";
	if (status != XPMEM_WIRE_OK && status != XPMEM_WIRE_NOENT &&
	    status != XPMEM_WIRE_ACCES)
		return "lookup reply with unknown status";
	if (status != XPMEM_WIRE_OK)
		return segid || m->uid ?
			       "refusing lookup reply with a segment" :
			       NULL;
	return segid && !(segid >> 63) ?
		       NULL :
		       "lookup reply with an impossible segment";
}

static const char *check_ping(const struct xpmem_wire_ping *m)
{
	if (!m->count)
		return "ping with a zero count";
	return m->sent ? NULL : "ping without a time";
}

static const char *check_terms(const struct xpmem_wire_terms *m)
{
	if (!m->heartbeat_ms || !m->deadline_ms || !m->lease_ms)
		return "terms of zero";
	return m->reserved ? "terms with unknown fields" : NULL;
}

const char *xpmem_wire_check_payload(const struct xpmem_wire_header *h,
				     const void *payload)
{
	u16 type = le16_to_cpu(h->type);
	const struct form *form = &forms[type];
	u32 nruns = 0;

	if (form->run)
		nruns = (le32_to_cpu(h->length) - form->size) / form->run;
	switch ((enum xpmem_wire_type)type) {
	case XPMEM_WIRE_GET:
		return check_get(payload);
	case XPMEM_WIRE_GET_REPLY:
		return check_get_reply(payload);
	case XPMEM_WIRE_PUT:
		return ((const struct xpmem_wire_put *)payload)->segid ?
			       NULL :
			       "put with a zero id";
	case XPMEM_WIRE_FETCH:
		return check_fetch(payload);
	case XPMEM_WIRE_GRANT:
		return check_grant(payload, nruns);
	case XPMEM_WIRE_REVOKE:
		return check_revoke(payload, nruns);
	case XPMEM_WIRE_ACK:
		return ((const struct xpmem_wire_ack *)payload)->seq ?
			       NULL :
			       "acknowledgement of nothing";
	case XPMEM_WIRE_PING:
	case XPMEM_WIRE_PONG:
		return check_ping(payload);
	case XPMEM_WIRE_BYE:
		return NULL;
	case XPMEM_WIRE_LOOKUP:
		return check_lookup(payload);
	case XPMEM_WIRE_LOOKUP_REPLY:
		return check_lookup_reply(payload);
	case XPMEM_WIRE_TERMS:
		return check_terms(payload);
	}
	return "message of unknown type";
}
