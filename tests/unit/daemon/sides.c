// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two ends for handshakes in one loop: face to face, or with an attacker
 * between them; munge is real.
 *
 *	one (connector, partition 1) ---- socketpair ---- two (acceptor, 2)
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "fake_ktls.h"
#include "loop.h"
#include "sides.h"
#include "test.h"
#include "tls.h"

struct side side_one, side_two;
/* Whether two takes one for a peer. */
bool sides_know;
int side_fds[2];

static int expect(void *owner, const struct message_hello *hello,
		  struct handshake_terms *terms, char *reason)
{
	*terms = ((struct side *)owner)->terms;
	if (sides_know)
		return 0;
	return reason_set(reason, "partition %u is no peer; add it",
			  hello->partid);
}

static void done(void *owner, uint16_t partid,
		 const struct handshake_result *result, const char *reason)
{
	struct side *side = owner;

	assert_false(side->done);
	side->done = true;
	side->partid = partid;
	side->ok = !!result;
	if (result)
		side->result = *result;
	else
		reason_set(side->reason, "%s", reason);
	if (!result)
		assert_advises(reason);
}

const struct handshake_ops side_ops = { .expect = expect, .done = done };

/**
 * sides_setup - a test's set-up
 * @state: unused
 *
 * Return: 0.
 */
int sides_setup(void **state)
{
	const struct handshake_local local = {
		.version_min = 1,
		.version_max = 3,
		.page_size = 4096,
		.machine = 62,
	};

	(void)state;
	memset(&side_one, 0, sizeof(side_one));
	memset(&side_two, 0, sizeof(side_two));
	side_one.local = side_two.local = local;
	side_one.terms = side_two.terms = (struct handshake_terms){
		.fabric = XPMEM_FABRIC_WINDOW,
		.security = XPMEM_SECURITY_TLS,
	};
	side_one.local.partid = 1;
	side_two.local.partid = 2;
	memset(side_one.local.boot_id, 1, sizeof(side_one.local.boot_id));
	memset(side_two.local.boot_id, 2, sizeof(side_two.local.boot_id));
	sides_know = true;
	fake_ktls_reset();
	assert_int_equal(tls_init(side_one.reason), 0);
	auth_init(munged_socket(), geteuid());
	assert_int_equal(loop_init(), 0);
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  0, side_fds);
}

/**
 * sides_teardown - a test's tear-down
 * @state: unused
 *
 * Return: 0.
 */
int sides_teardown(void **state)
{
	(void)state;
	if (side_one.ok)
		close(side_one.result.fd);
	if (side_two.ok)
		close(side_two.result.fd);
	tls_exit();
	loop_exit();
	return 0;
}

/**
 * sides_run - a handshake of both, to its end
 * @partid: the partition that one takes two for
 */
void sides_run(uint16_t partid)
{
	if (!*munged_socket())
		skip();
	assert_non_null(handshake_connect(&side_one.local, side_fds[0], partid,
					  &side_one.terms, &side_ops,
					  &side_one));
	assert_non_null(handshake_accept(&side_two.local, side_fds[1],
					 &side_ops, &side_two));
	while (!side_one.done || !side_two.done)
		assert_int_equal(loop_step(), 0);
}

/**
 * side_run - the rest of a handshake that must fail
 * @victim: whose
 */
void side_run(struct side *victim)
{
	while (!victim->done)
		assert_int_equal(loop_step(), 0);
	assert_false(victim->ok);
}

/**
 * side_hear - receive one message as an attacker
 * @fd:    the attacker's end
 * @bytes: filled in
 *
 * Return: its size.
 */
size_t side_hear(int fd, uint8_t bytes[MESSAGE_SIZE_MAX])
{
	size_t got = 0, want = sizeof(struct message_wire_header);
	char why[REASON_SIZE];
	enum message_type type;
	uint32_t length;
	ssize_t n;

	while (got < want) {
		n = read(fd, bytes + got, want - got);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_int_equal(loop_step(), 0);
			continue;
		}
		assert_true(n > 0);
		got += (size_t)n;
		if (got != sizeof(struct message_wire_header))
			continue;
		assert_int_equal(message_get_header(bytes, &type, &length, why),
				 0);
		want += length;
	}
	return got;
}
