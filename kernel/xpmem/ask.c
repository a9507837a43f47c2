// SPDX-License-Identifier: GPL-2.0-only
/*
 * get, across partitions: the importer's kernel asks, the home's kernel applies
 * the segment's mode to the caller's credentials.
 *
 * Before: permit.c.  Invariant: a fetch is served only for a segment that the
 * session was given here.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "xpmem.h"

static struct xpmem_message *ask_message(u64 segid, bool write, u32 req)
{
	struct xpmem_message *message = xpmem_message_alloc(
		XPMEM_WIRE_GET, sizeof(struct xpmem_wire_get),
		GFP_KERNEL_ACCOUNT);
	struct xpmem_wire_get *body;

	if (!message)
		return NULL;
	body = xpmem_message_payload(message);
	body->req = cpu_to_le64(req);
	body->segid = cpu_to_le64(segid);
	body->access =
		cpu_to_le32(XPMEM_WIRE_READ | (write ? XPMEM_WIRE_WRITE : 0));
	body->ngroups = xpmem_caller_tell(&body->uid, &body->gid, body->groups);
	return message;
}

/**
 * xpmem_request_add - a question is about to be sent
 * @session: to whom
 * @request: has its ->reply; the caller erases it from session->requests before
 *           it goes away
 * @req:     filled in with its number
 *
 * Context: process; may sleep.
 * Return: 0 or -ENOMEM.
 */
int xpmem_request_add(struct xpmem_session *session,
		      struct xpmem_request *request, u32 *req)
{
	int err;

	init_completion(&request->done);
	err = xa_alloc_cyclic(&session->requests, req, request,
			      XA_LIMIT(1, U32_MAX), &session->request_next,
			      GFP_KERNEL);
	return min(err, 0);
}

/**
 * xpmem_request_take_locked - find what a reply is for; it gets no other
 * @session: the session
 * @req:     the number that the reply repeats
 * @reply:   its type
 *
 * Context: session->requests is locked; so until the caller has completed it.
 * Return: the request, or NULL: nobody waits for such a reply any more.
 */
struct xpmem_request *xpmem_request_take_locked(struct xpmem_session *session,
						__le64 req,
						enum xpmem_wire_type reply)
{
	unsigned long index = le64_to_cpu(req);
	struct xpmem_request *request = xa_load(&session->requests, index);

	lockdep_assert_held(&session->requests.xa_lock);
	if (!request || request->reply != reply)
		return NULL;
	__xa_erase(&session->requests, index);
	return request;
}

static int ask_error(const struct xpmem_request *request)
{
	switch (request->status) {
	case XPMEM_WIRE_OK:
		return 0;
	case XPMEM_WIRE_NOENT:
		return -ENOENT;
	case XPMEM_WIRE_ACCES:
		return -EACCES;
	case XPMEM_WIRE_BUSY:
		return -EAGAIN;
	case XPMEM_WIRE_NOMEM:
		return -ENOMEM;
	case 0:
		return -EHOSTUNREACH;
	}
	return -EPROTO;
}

/**
 * xpmem_session_ask - ask a segment's home for a permit
 * @session: to its home
 * @segid:   the segment
 * @write:   read-write, not just read
 * @pages:   filled in: its length
 *
 * The first XPMEM_WIRE_GROUPS supplementary groups of the caller are told.
 *
 * Context: process; waits, killable, until the home answers or the session
 * ends.
 * Return: 0, -ENOENT, -EACCES, -EHOSTUNREACH, -EAGAIN, -ENOMEM, -EINTR.
 */
int xpmem_session_ask(struct xpmem_session *session, u64 segid, bool write,
		      u64 *pages)
{
	struct xpmem_request request = { .reply = XPMEM_WIRE_GET_REPLY };
	struct xpmem_message *message;
	bool sent;
	u32 req;
	int err;

	err = xpmem_request_add(session, &request, &req);
	if (err)
		return err;
	message = ask_message(segid, write, req);
	if (!message) {
		err = -ENOMEM;
		goto erase;
	}
	sent = xpmem_socket_send(session, message);
	err = sent ? wait_for_completion_killable(&request.done) :
		     -EHOSTUNREACH;
	if (err == -ERESTARTSYS)
		err = -EINTR;
	if (!err)
		err = ask_error(&request);
	*pages = request.pages;
erase:
	/* Under the array's lock: nobody is about to complete it. */
	xa_erase(&session->requests, req);
	return err;
}

/**
 * xpmem_session_reply_recv - a home answered
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Context: the session's receiver.
 */
void xpmem_session_reply_recv(struct xpmem_session *session,
			      const struct xpmem_wire_get_reply *msg)
{
	struct xpmem_request *request;

	xa_lock(&session->requests);
	request = xpmem_request_take_locked(session, msg->req,
					    XPMEM_WIRE_GET_REPLY);
	if (request) {
		request->status = le32_to_cpu(msg->status);
		request->access = le32_to_cpu(msg->access);
		request->pages = le64_to_cpu(msg->pages);
		complete(&request->done);
	}
	xa_unlock(&session->requests);
}

static int permit_slot(struct xpmem_session *session, struct xpmem_segment *seg,
		       bool write)
{
	unsigned long word;
	void *old;
	int err = 0;

	spin_lock(&xpmem_home.lock);
	old = xa_load(&seg->remote, session->slot);
	word = old ? xa_to_value(old) : 0;
	word |= XPMEM_REMOTE_READ | (write ? XPMEM_REMOTE_WRITE : 0);
	if (session->phase == XPMEM_PEER_UP)
		err = xa_err(xa_store(&seg->remote, session->slot,
				      xa_mk_value(word),
				      GFP_NOWAIT | __GFP_NOWARN));
	spin_unlock(&xpmem_home.lock);
	return err;
}

static u32 permit_give(struct xpmem_session *session,
		       const struct xpmem_wire_get *msg,
		       const struct xpmem_caller *caller, u64 *pages)
{
	bool write = le32_to_cpu(msg->access) & XPMEM_WIRE_WRITE;
	struct xpmem_segment *seg = xpmem_segment_get(le64_to_cpu(msg->segid));
	u32 status = XPMEM_WIRE_OK;

	if (!seg)
		return XPMEM_WIRE_NOENT;
	if (xpmem_segment_over(seg))
		status = XPMEM_WIRE_NOENT;
	else if (!xpmem_segment_allows(seg, caller, write))
		status = XPMEM_WIRE_ACCES;
	else if (permit_slot(session, seg, write))
		status = XPMEM_WIRE_NOMEM;
	else
		*pages = seg->pages;
	xpmem_segment_put(seg);
	return status;
}

/* Of a user of the other side so many may fail as of one here. */
static u32 permit_try(struct xpmem_session *session,
		      const struct xpmem_wire_get *msg, u64 *pages)
{
	struct xpmem_failures *failures = &session->history->failures;
	struct xpmem_caller caller;
	u32 status;

	/* A stranger learns nothing, and fills no place of a user's. */
	if (!xpmem_caller_remote(&caller, &session->policy, msg->uid, msg->gid,
				 msg->groups, msg->ngroups))
		return XPMEM_WIRE_ACCES;
	if (!xpmem_user_may_get(failures, caller.uid))
		return XPMEM_WIRE_BUSY;
	status = permit_give(session, msg, &caller, pages);
	if (status == XPMEM_WIRE_NOENT || status == XPMEM_WIRE_ACCES)
		xpmem_user_failed(failures, caller.uid);
	return status;
}

/**
 * xpmem_session_get_recv - another partition asks for a permit
 * @session: the session
 * @msg:     checked by xpmem_wire_check_payload()
 *
 * Context: the session's receiver.
 */
void xpmem_session_get_recv(struct xpmem_session *session,
			    const struct xpmem_wire_get *msg)
{
	struct xpmem_wire_get_reply *body;
	struct xpmem_message *message;
	u64 pages = 0;
	u32 status;

	if (xpmem_socket_crowded(session)) {
		xpmem_session_fail(session, "more gets than answers were read");
		return;
	}
	message = xpmem_message_alloc(XPMEM_WIRE_GET_REPLY,
				      sizeof(struct xpmem_wire_get_reply),
				      GFP_NOWAIT | __GFP_NOWARN);
	if (!message) {
		xpmem_session_fail(session, "out of memory");
		return;
	}
	status = permit_try(session, msg, &pages);
	if (status != XPMEM_WIRE_OK)
		xpmem_count(refused_gets);
	body = xpmem_message_payload(message);
	body->req = msg->req;
	body->pages = cpu_to_le64(pages);
	body->status = cpu_to_le32(status);
	body->access = status == XPMEM_WIRE_OK ? msg->access : 0;
	xpmem_socket_send(session, message);
}
