// SPDX-License-Identifier: GPL-2.0-only
/* Terms and leases; see lease.h. */
#include "lease.h"
#include "wire.h"

#define NS_PER_MS 1000000ull

static u32 lesser(u32 a, u32 b)
{
	return a < b ? a : b;
}

void xpmem_terms_init(struct xpmem_terms *terms, u32 heartbeat, u32 deadline)
{
	terms->heartbeat = heartbeat;
	terms->deadline = deadline;
	terms->lease = deadline > heartbeat ? deadline - heartbeat : 0;
}

const char *xpmem_terms_check(const struct xpmem_terms *terms)
{
	if (terms->heartbeat < XPMEM_TERMS_MIN_MS)
		return "terms with a heartbeat below 10 ms";
	if (terms->deadline > XPMEM_TERMS_MAX_MS)
		return "terms with a deadline above 600000 ms";
	if (terms->deadline / XPMEM_TERMS_HEARTBEATS < terms->heartbeat)
		return "terms with a deadline below three heartbeats";
	if (terms->lease < terms->heartbeat)
		return "terms with a lease below one heartbeat";
	if (terms->lease > terms->deadline - terms->heartbeat)
		return "terms with a lease that ends less than a heartbeat before the deadline";
	return NULL;
}

void xpmem_terms_stricter(struct xpmem_terms *terms,
			  const struct xpmem_terms *other)
{
	terms->heartbeat = lesser(terms->heartbeat, other->heartbeat);
	terms->deadline = lesser(terms->deadline, other->deadline);
	terms->lease = lesser(terms->lease, other->lease);
}

void xpmem_lease_start(struct xpmem_lease *lease,
		       const struct xpmem_terms *terms, u64 now)
{
	memset(lease, 0, sizeof(*lease));
	lease->terms = *terms;
	lease->since = now;
}

const char *xpmem_lease_terms(struct xpmem_lease *lease,
			      const struct xpmem_wire_terms *msg)
{
	struct xpmem_terms terms = {
		.heartbeat = le32_to_cpu(msg->heartbeat_ms),
		.deadline = le32_to_cpu(msg->deadline_ms),
		.lease = le32_to_cpu(msg->lease_ms),
	};
	const char *wrong = xpmem_terms_check(&terms);

	if (wrong)
		return wrong;
	if (lease->agreed)
		return "terms given twice";
	lease->agreed = true;
	xpmem_terms_stricter(&lease->terms, &terms);
	return NULL;
}

void xpmem_lease_ping(struct xpmem_lease *lease, u64 now,
		      struct xpmem_wire_ping *msg)
{
	lease->pinged = now;
	msg->count = cpu_to_le64(++lease->pings);
	msg->sent = cpu_to_le64(now);
}

const char *xpmem_lease_pong(struct xpmem_lease *lease, u64 now,
			     const struct xpmem_wire_ping *msg)
{
	u64 count = le64_to_cpu(msg->count), sent = le64_to_cpu(msg->sent);

	if (count > lease->pings)
		return "pong of a ping that was not sent";
	if (count <= lease->pongs)
		return "pong of a ping that was answered";
	/* A stamp that the home made up must not make the lease longer. */
	if (sent < lease->since || sent > lease->pinged ||
	    (count == lease->pings && sent != lease->pinged))
		return "pong with another time than its ping";
	if (!xpmem_lease_left(lease, now))
		return NULL;
	lease->pongs = count;
	lease->since = sent;
	return NULL;
}

u64 xpmem_lease_left(struct xpmem_lease *lease, u64 now)
{
	u64 length = lease->terms.lease * NS_PER_MS;
	u64 passed = now > lease->since ? now - lease->since : 0;

	if (passed >= length)
		lease->ended = true;
	return lease->ended ? 0 : length - passed;
}
