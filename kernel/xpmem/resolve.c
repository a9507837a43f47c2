// SPDX-License-Identifier: GPL-2.0-only
/*
 * lookup: which segment has a name, on this partition or on another?  All
 * partitions with a session are asked at once; each answers from its own table,
 * for the caller's credentials.
 *
 * Before: name.c.  Next: permit.c.  Invariant: no answer is kept; what is found
 * lived when its home answered.
 */
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "xpmem.h"

/* One partition that is asked; in session->requests while @req is not 0. */
struct question {
	struct xpmem_session *session; /* a reference */
	struct xpmem_request request;
	u32 req;
};

/**
 * struct answer - the best one so far
 * @caller: who asks
 * @status: of all answers; 0: somebody did not answer, and nobody has it
 * @match:  with XPMEM_WIRE_OK
 */
struct answer {
	struct xpmem_caller caller;
	u32 status;
	struct xpmem_match match;
};

static unsigned int partid_of(u64 segid)
{
	return segid >> XPMEM_SEGID_SHIFT;
}

/* Between two users' segments the rank decides, then the partition. */
static bool better(const struct answer *answer, const struct xpmem_match *match)
{
	kuid_t caller = answer->caller.uid;
	unsigned int a = xpmem_name_rank(match->uid, caller);
	unsigned int b = xpmem_name_rank(answer->match.uid, caller);

	if (a != b)
		return a < b;
	if (partid_of(answer->match.segid) == xpmem_partid)
		return false;
	return partid_of(match->segid) == xpmem_partid ||
	       match->segid < answer->match.segid;
}

/* OK before ACCES before no answer before NOENT. */
static void answer_add(struct answer *answer, u32 status,
		       const struct xpmem_match *match)
{
	if (status == XPMEM_WIRE_OK) {
		if (answer->status != XPMEM_WIRE_OK || better(answer, match))
			answer->match = *match;
		answer->status = status;
	} else if (answer->status == XPMEM_WIRE_NOENT ||
		   (!answer->status && status == XPMEM_WIRE_ACCES)) {
		answer->status = status;
	}
}

static int answer_error(const struct answer *answer)
{
	switch (answer->status) {
	case XPMEM_WIRE_OK:
		return 0;
	case XPMEM_WIRE_NOENT:
		return -ENOENT;
	case XPMEM_WIRE_ACCES:
		return -EACCES;
	}
	return -EHOSTUNREACH;
}

static struct xpmem_message *question_message(const struct xpmem_query *query,
					      u32 req)
{
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_LOOKUP, sizeof(struct xpmem_wire_lookup),
		GFP_KERNEL_ACCOUNT);
	struct xpmem_wire_lookup *body;

	if (!message)
		return NULL;
	body = xpmem_message_payload(message);
	body->req = cpu_to_le64(req);
	body->ngroups = xpmem_caller_tell(&body->uid, &body->gid, body->groups);
	body->owner = cpu_to_le32(from_kuid(&init_user_ns, query->owner));
	memcpy(body->name, query->text, sizeof(body->name));
	return message;
}

static int question_send(struct question *q, const struct xpmem_query *query)
{
	struct xpmem_message *message;
	u32 req;
	int err;

	q->request.reply = XPMEM_WIRE_LOOKUP_REPLY;
	q->request.owner = query->owner;
	err = xpmem_request_add(q->session, &q->request, &req);
	if (err)
		return err;
	q->req = req;
	message = question_message(query, req);
	if (!message)
		return -ENOMEM;
	/* Of a session that has ended nobody completes it. */
	if (!xpmem_socket_send(q->session, message))
		complete(&q->request.done);
	return 0;
}

/* Killable; a partition has its session's deadline to answer in. */
static int question_wait(struct question *q, unsigned long start)
{
	unsigned long end = start + msecs_to_jiffies(q->session->deadline_ms);
	long left = end - jiffies;

	left = wait_for_completion_killable_timeout(&q->request.done,
						    max(left, 0l));
	return left < 0 ? -EINTR : 0;
}

/* References to all sessions that are up, or to the one with @partid. */
static unsigned int questions_find(struct question *q, u16 partid)
{
	struct xpmem_session *session;
	unsigned int slot, n = 0;

	spin_lock(&xpmem_home.lock);
	for (slot = 0; slot < XPMEM_SLOTS; slot++) {
		session = xpmem_home.sessions[slot];
		if (!session || session->phase != XPMEM_PEER_UP ||
		    session->closing || (partid && session->partid != partid))
			continue;
		kref_get(&session->ref);
		q[n++].session = session;
	}
	spin_unlock(&xpmem_home.lock);
	return n;
}

static void question_end(struct question *q)
{
	/* Under the array's lock: nobody is about to complete it. */
	if (q->req)
		xa_erase(&q->session->requests, q->req);
	xpmem_session_put(q->session);
}

static int ask_others(const struct xpmem_query *query, u16 partid,
		      struct answer *answer)
{
	struct question *q =
		kvcalloc(XPMEM_SLOTS, sizeof(*q), GFP_KERNEL_ACCOUNT);
	unsigned long start = jiffies;
	unsigned int i, n;
	int err = 0;

	if (!q)
		return -ENOMEM;
	n = questions_find(q, partid);
	if (partid && !n)
		err = -EHOSTUNREACH;
	for (i = 0; i < n && !err; i++)
		err = question_send(&q[i], query);
	for (i = 0; i < n && !err; i++)
		err = question_wait(&q[i], start);
	for (i = 0; i < n; i++)
		question_end(&q[i]);
	/* Only now: none of them changes any more. */
	for (i = 0; i < n && !err; i++)
		answer_add(answer, q[i].request.status, &q[i].request.match);
	kvfree(q);
	return err;
}

/**
 * xpmem_name_resolve - which segment has a name?
 * @query:  the name
 * @partid: on this partition only; 0: on any
 * @segid:  filled in
 *
 * Of several that the caller may read: the caller's own before root's before
 * others'; then this partition's before the lowest partid's.
 *
 * Context: process; waits, killable, for other partitions, for each at most its
 * session's deadline.
 * Return: 0; -ENOENT; -EACCES: the caller may read none that has it;
 * -EHOSTUNREACH: no session to @partid, or a partition did not answer and no
 * other has it; -ENOMEM, -EINTR.
 */
int xpmem_name_resolve(const struct xpmem_query *query, u16 partid, u64 *segid)
{
	struct answer answer = { .status = XPMEM_WIRE_NOENT };
	struct xpmem_match match = {};
	bool done = false;
	int err = 0;

	xpmem_count(lookups);
	xpmem_caller_local(&answer.caller);
	if (!partid || partid == xpmem_partid) {
		answer_add(&answer,
			   xpmem_name_find(query, &answer.caller, &match),
			   &match);
		/* There is none better. */
		done = answer.status == XPMEM_WIRE_OK &&
		       !xpmem_name_rank(match.uid, answer.caller.uid);
	}
	if (!done && partid != xpmem_partid)
		err = ask_others(query, partid, &answer);
	if (!err)
		err = answer_error(&answer);
	*segid = answer.match.segid;
	return err;
}

static struct xpmem_message *found_message(const struct xpmem_session *session)
{
	if (xpmem_socket_crowded(session))
		return NULL;
	return xpmem_message_alloc(
		XPMEM_WIRE_LOOKUP_REPLY, sizeof(struct xpmem_wire_lookup_reply),
		GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);
}

/**
 * xpmem_session_lookup_recv - another partition looks a name up
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * If there is no memory to answer with, or answers are not read, there is no
 * answer: nothing depends on it, and the other side waits no longer than its
 * deadline.
 *
 * Context: the session's receiver.
 */
void xpmem_session_lookup_recv(struct xpmem_session *session,
			       const struct xpmem_wire_lookup *msg)
{
	struct xpmem_wire_lookup_reply *body;
	struct xpmem_message *message = found_message(session);
	struct xpmem_match match = {};
	struct xpmem_caller caller;
	struct xpmem_query query;
	u32 status = XPMEM_WIRE_NOENT;

	if (!message)
		return;
	memcpy(query.text, msg->name, sizeof(query.text));
	/* XPMEM_WIRE_ANYBODY is what is no user's. */
	query.owner = make_kuid(&init_user_ns, le32_to_cpu(msg->owner));
	if (xpmem_caller_remote(&caller, &session->policy, msg->uid, msg->gid,
				msg->groups, msg->ngroups))
		status = xpmem_name_find(&query, &caller, &match);
	body = xpmem_message_payload(message);
	body->req = msg->req;
	body->status = cpu_to_le32(status);
	if (status == XPMEM_WIRE_OK) {
		body->segid = cpu_to_le64(match.segid);
		body->uid = cpu_to_le32(from_kuid(&init_user_ns, match.uid));
	}
	xpmem_socket_send(session, message);
}

/**
 * xpmem_session_found_recv - another partition has looked a name up for us
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Context: the session's receiver.
 * Return: NULL, or what is wrong with the answer.
 */
const char *xpmem_session_found_recv(struct xpmem_session *session,
				     const struct xpmem_wire_lookup_reply *msg)
{
	kuid_t uid = make_kuid(&init_user_ns, le32_to_cpu(msg->uid));
	u64 segid = le64_to_cpu(msg->segid);
	struct xpmem_request *request;
	const char *wrong = NULL;

	if (segid && partid_of(segid) != session->partid)
		return "lookup reply with a segment of another partition";
	xa_lock(&session->requests);
	request = xpmem_request_take_locked(session, msg->req,
					    XPMEM_WIRE_LOOKUP_REPLY);
	if (request && segid && uid_valid(request->owner) &&
	    !uid_eq(uid, request->owner)) {
		wrong = "lookup reply with a segment of another user";
	} else if (request) {
		request->status = le32_to_cpu(msg->status);
		request->match.segid = segid;
		request->match.uid = uid;
	}
	if (request)
		complete(&request->done);
	xa_unlock(&session->requests);
	return wrong;
}
