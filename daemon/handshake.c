// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a TCP connection to an authenticated one: HELLO, AUTH, READY (see
 * message.h).  The step before is peer.c or listen.c, the step after peer.c
 * with the result.
 * Invariant: nothing but the bytes of the messages is read from the socket;
 * what follows belongs to the kernel.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"

/* Our own ELF header; the linker knows where it is. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* What is awaited next. */
enum handshake_state {
	HANDSHAKE_CONNECTION = 1, /* of the socket */
	HANDSHAKE_HELLO,
	HANDSHAKE_AUTH,
	HANDSHAKE_READY,
	HANDSHAKE_FLUSH, /* all is said; the rest must leave */
	HANDSHAKE_END, /* refused; the other side closes */
};

/**
 * struct handshake - one under way
 * @source: its socket
 * @timer:  ends it
 * @ops:    the owner's
 * @owner:  for @ops
 * @state:  what is awaited next
 * @role:   our role
 * @fabric: to be used
 * @mine:   the HELLO that we send
 * @theirs: the HELLO that came; its partid is the expected one before
 * @version: agreed
 * @in:     the message being received
 * @got:    bytes of it
 * @out:    messages to send
 * @length: bytes of them
 * @sent:   bytes that left
 * @reason: why we refused or were refused
 */
struct handshake {
	struct loop_source source;
	struct loop_timer timer;
	const struct handshake_ops *ops;
	void *owner;
	enum handshake_state state;
	enum handshake_role role;
	struct message_hello mine;
	struct message_hello theirs;
	uint32_t version;
	uint8_t in[MESSAGE_SIZE_MAX];
	size_t got;
	uint8_t out[3 * MESSAGE_SIZE_MAX];
	size_t length;
	size_t sent;
	char reason[REASON_SIZE];
};

static int read_boot_id(uint8_t *boot_id)
{
	unsigned int i, n = 0;
	char text[64];
	ssize_t size;
	int fd;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size < 0)
		return -1;
	text[size] = '\0';
	for (i = 0; n < XPMEM_BOOT_ID_LEN && text[i]; n++) {
		i += text[i] == '-';
		if (sscanf(text + i, "%2hhx", &boot_id[n]) != 1)
			return -1;
		i += 2;
	}
	return n == XPMEM_BOOT_ID_LEN ? 0 : -1;
}

/**
 * handshake_local_init - find out what this side is
 * @local:  filled in
 * @partid: this partition
 *
 * Return: 0, or -1 after logging why.
 */
int handshake_local_init(struct handshake_local *local, uint16_t partid)
{
	*local = (struct handshake_local){
		.partid = partid,
		.version_min = MESSAGE_VERSION_MIN,
		.version_max = MESSAGE_VERSION_MAX,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.machine = __ehdr_start.e_machine,
	};
	if (read_boot_id(local->boot_id)) {
		log_error("no boot id in /proc/sys/kernel/random; mount /proc");
		return -1;
	}
	return 0;
}

/**
 * handshake_destroy - break a handshake off
 * @hs: freed, its socket closed; its owner is not called
 */
void handshake_destroy(struct handshake *hs)
{
	loop_timer_cancel(&hs->timer);
	loop_remove(&hs->source);
	close(hs->source.fd);
	free(hs);
}

static void fail(struct handshake *hs, const char *reason)
{
	const struct handshake_ops *ops = hs->ops;
	uint16_t partid = hs->theirs.partid;
	void *owner = hs->owner;
	char copy[REASON_SIZE];

	reason_set(copy, "%s", reason);
	handshake_destroy(hs);
	ops->done(owner, partid, NULL, copy);
}

/*
 * Both nonces are fresh, so one honest side is enough to make an epoch that
 * was not used before.
 */
static uint64_t epoch_of(const struct message_hello *a,
			 const struct message_hello *b)
{
	uint64_t epoch = 0, word;
	unsigned int i;

	for (i = 0; i < MESSAGE_NONCE_LEN; i += sizeof(word)) {
		memcpy(&word, a->nonce + i, sizeof(word));
		epoch ^= le64toh(word);
		memcpy(&word, b->nonce + i, sizeof(word));
		epoch ^= le64toh(word);
	}
	return epoch ?: 1;
}

static void succeed(struct handshake *hs)
{
	const struct handshake_ops *ops = hs->ops;
	struct handshake_result result = {
		.fd = hs->source.fd,
		.partid = hs->theirs.partid,
		.version = hs->version,
		.page_size = hs->mine.page_size,
		.epoch = epoch_of(&hs->mine, &hs->theirs),
	};
	void *owner = hs->owner;

	memcpy(result.boot_id, hs->theirs.boot_id, sizeof(result.boot_id));
	loop_timer_cancel(&hs->timer);
	loop_remove(&hs->source);
	free(hs);
	ops->done(owner, result.partid, &result, NULL);
}

/* Sends what there is to send.  Returns 0, or -1 with the reason set. */
static int flush(struct handshake *hs)
{
	ssize_t n;

	while (hs->sent < hs->length) {
		n = send(hs->source.fd, hs->out + hs->sent,
			 hs->length - hs->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return reason_set(hs->reason, "send: %s",
					  strerror(errno));
		if (n < 0)
			break;
		hs->sent += (size_t)n;
	}
	loop_change(&hs->source,
		    hs->sent < hs->length ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return 0;
}

static void send_hello(struct handshake *hs)
{
	hs->length += message_put_hello(hs->out + hs->length, &hs->mine);
}

static void send_ready(struct handshake *hs, enum message_status status,
		       const char *why)
{
	struct message_ready ready = { .status = status };

	memcpy(ready.reason, why, strnlen(why, MESSAGE_REASON_MAX));
	hs->length += message_put_ready(hs->out + hs->length, &ready);
}

/*
 * The other side learns the reason, which is set, and closes: were we first,
 * its bytes on the way would take the reason down with the connection.
 */
static void refuse(struct handshake *hs)
{
	char reason[REASON_SIZE];

	send_ready(hs, MESSAGE_STATUS_REFUSED, hs->reason);
	hs->state = HANDSHAKE_END;
	memcpy(reason, hs->reason, sizeof(reason));
	if (flush(hs))
		fail(hs, reason);
	else if (hs->sent == hs->length)
		shutdown(hs->source.fd, SHUT_WR);
}

static void make_claim(const struct handshake *hs, struct auth_claim *claim,
		       enum handshake_role role)
{
	const struct message_hello *from = &hs->mine, *to = &hs->theirs;
	const struct message_hello *connector, *acceptor;

	if (role != hs->role) {
		from = &hs->theirs;
		to = &hs->mine;
	}
	connector = role == HANDSHAKE_CONNECTOR ? from : to;
	acceptor = role == HANDSHAKE_CONNECTOR ? to : from;
	*claim = (struct auth_claim){
		.label = AUTH_LABEL,
		.role = htole16((uint16_t)role),
		.partid = htole16(from->partid),
		.peer = htole16(to->partid),
		.fabric = htole16(hs->mine.fabric),
		.version = htole32(hs->version),
		.page_size = htole32(hs->mine.page_size),
		.machine = htole16(hs->mine.machine),
	};
	claim->versions[0][0] = htole16(connector->version_min);
	claim->versions[0][1] = htole16(connector->version_max);
	claim->versions[1][0] = htole16(acceptor->version_min);
	claim->versions[1][1] = htole16(acceptor->version_max);
	memcpy(claim->nonces[0], connector->nonce, MESSAGE_NONCE_LEN);
	memcpy(claim->nonces[1], acceptor->nonce, MESSAGE_NONCE_LEN);
	memcpy(claim->boot_ids[0], connector->boot_id, XPMEM_BOOT_ID_LEN);
	memcpy(claim->boot_ids[1], acceptor->boot_id, XPMEM_BOOT_ID_LEN);
}

static int send_auth(struct handshake *hs)
{
	char credential[MESSAGE_CREDENTIAL_MAX + 1];
	struct auth_claim claim;

	make_claim(hs, &claim, hs->role);
	if (auth_create(&claim, credential, hs->reason))
		return -1;
	hs->length += message_put_auth(hs->out + hs->length, credential);
	return 0;
}

/* Names both partitions, so that it can be read in either's log. */
static int compare_hellos(struct handshake *hs)
{
	const struct message_hello *a = &hs->theirs, *b = &hs->mine;

	if (a->peer != b->partid)
		return reason_set(
			hs->reason,
			"partition %u takes partition %u for %u; correct its configuration",
			a->partid, b->partid, a->peer);
	if (a->page_size != b->page_size)
		return reason_set(
			hs->reason,
			"the page size of partition %u is %u bytes, of partition %u %u; use kernels with the same",
			a->partid, a->page_size, b->partid, b->page_size);
	if (a->machine != b->machine)
		return reason_set(
			hs->reason,
			"the architecture of partition %u is ELF machine %u, of partition %u %u; they cannot share memory",
			a->partid, a->machine, b->partid, b->machine);
	if (a->fabric != b->fabric)
		return reason_set(
			hs->reason,
			"the fabric of partition %u is %u, of partition %u %u; configure the same",
			a->partid, a->fabric, b->partid, b->fabric);
	hs->version = a->version_max < b->version_max ? a->version_max :
							b->version_max;
	if (hs->version < a->version_min || hs->version < b->version_min)
		return reason_set(
			hs->reason,
			"partition %u speaks versions %u to %u, partition %u %u to %u; update the older",
			a->partid, a->version_min, a->version_max, b->partid,
			b->version_min, b->version_max);
	if (!memcmp(a->nonce, b->nonce, sizeof(a->nonce)))
		return reason_set(hs->reason, "partition %u hears itself",
				  b->partid);
	return 0;
}

static int recv_hello(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);
	struct message_hello hello;
	int fabric;

	if (message_get_hello(payload, length, &hello, hs->reason))
		return -1;
	if (hs->role == HANDSHAKE_CONNECTOR &&
	    hello.partid != hs->theirs.partid)
		return reason_set(
			hs->reason,
			"partition %u answers at the address of partition %u; correct the configuration",
			hello.partid, hs->theirs.partid);
	hs->theirs = hello;
	if (hs->role == HANDSHAKE_ACCEPTOR) {
		fabric = hs->ops->expect(hs->owner, &hs->theirs, hs->reason);
		if (fabric < 0)
			return -1;
		hs->mine.peer = hs->theirs.partid;
		hs->mine.fabric = (uint16_t)fabric;
		send_hello(hs);
	}
	if (compare_hellos(hs) ||
	    (hs->role == HANDSHAKE_CONNECTOR && send_auth(hs)))
		return -1;
	hs->state = HANDSHAKE_AUTH;
	return 0;
}

static int recv_auth(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);
	char credential[MESSAGE_CREDENTIAL_MAX + 1];
	struct auth_claim claim;

	make_claim(hs, &claim,
		   hs->role == HANDSHAKE_CONNECTOR ? HANDSHAKE_ACCEPTOR :
						     HANDSHAKE_CONNECTOR);
	if (message_get_auth(payload, length, credential, hs->reason) ||
	    auth_verify(&claim, credential, hs->reason) ||
	    (hs->role == HANDSHAKE_ACCEPTOR && send_auth(hs)))
		return -1;
	send_ready(hs, MESSAGE_STATUS_READY, "");
	hs->state = HANDSHAKE_READY;
	return 0;
}

/* Returns 1 when the other side refused us: then there is nothing to say. */
static int recv_ready(struct handshake *hs, uint32_t length)
{
	const uint8_t *payload = hs->in + sizeof(struct message_wire_header);
	struct message_ready ready;

	if (message_get_ready(payload, length, &ready, hs->reason))
		return -1;
	if (ready.status == MESSAGE_STATUS_REFUSED) {
		reason_set(hs->reason, "refused by the other side: %s",
			   ready.reason);
		return 1;
	}
	if (hs->state != HANDSHAKE_READY)
		return reason_set(hs->reason, "READY came too early");
	hs->state = HANDSHAKE_FLUSH;
	return 0;
}

/* Returns 0, 1 when refused by the other side, or -1 with the reason set. */
static int recv_message(struct handshake *hs, enum message_type type,
			uint32_t length)
{
	if (type == MESSAGE_READY)
		return recv_ready(hs, length);
	if (type == MESSAGE_HELLO && hs->state == HANDSHAKE_HELLO)
		return recv_hello(hs, length);
	if (type == MESSAGE_AUTH && hs->state == HANDSHAKE_AUTH)
		return recv_auth(hs, length);
	return reason_set(hs->reason, "message %u came out of turn", type);
}

/*
 * Reads up to @want bytes of the present message.  Returns 1 when they are
 * there, 0 when more must come, -1 with the reason set when none will.
 */
static int fill(struct handshake *hs, size_t want)
{
	ssize_t n;

	while (hs->got < want) {
		n = recv(hs->source.fd, hs->in + hs->got, want - hs->got, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return reason_set(hs->reason, "receive: %s",
					  strerror(errno));
		if (!n)
			return reason_set(
				hs->reason,
				"the other side closed the connection");
		hs->got += (size_t)n;
	}
	return 1;
}

/* Receives and handles one message; frees the handshake when it ends it. */
static void receive(struct handshake *hs)
{
	const size_t header = sizeof(struct message_wire_header);
	enum message_type type;
	uint32_t length;
	int ret;

	ret = fill(hs, header);
	if (ret < 0)
		fail(hs, hs->reason);
	if (ret <= 0)
		return;
	if (message_get_header(hs->in, &type, &length, hs->reason)) {
		refuse(hs);
		return;
	}
	ret = fill(hs, header + length);
	if (ret < 0)
		fail(hs, hs->reason);
	if (ret <= 0)
		return;
	hs->got = 0;
	ret = recv_message(hs, type, length);
	if (ret > 0) {
		fail(hs, hs->reason);
	} else if (ret < 0) {
		refuse(hs);
	} else if (flush(hs)) {
		fail(hs, hs->reason);
	} else if (hs->state == HANDSHAKE_FLUSH && hs->sent == hs->length) {
		succeed(hs);
	}
}

/* After a refusal: whatever comes is thrown away until the other side closes. */
static void drain(struct handshake *hs)
{
	ssize_t n = recv(hs->source.fd, hs->in, sizeof(hs->in), 0);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		fail(hs, hs->reason);
}

static void connected(struct handshake *hs)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(hs->source.fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	if (err) {
		reason_set(hs->reason, "connect: %s", strerror(err));
		fail(hs, hs->reason);
		return;
	}
	send_hello(hs);
	hs->state = HANDSHAKE_HELLO;
	if (flush(hs))
		fail(hs, hs->reason);
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct handshake *hs = container_of(source, struct handshake, source);

	if (hs->state == HANDSHAKE_CONNECTION) {
		connected(hs);
		return;
	}
	if (events & EPOLLOUT) {
		if (flush(hs)) {
			fail(hs, hs->reason);
			return;
		}
		if (hs->sent == hs->length && hs->state == HANDSHAKE_FLUSH) {
			succeed(hs);
			return;
		}
		if (hs->sent == hs->length && hs->state == HANDSHAKE_END)
			shutdown(source->fd, SHUT_WR);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ||
	    hs->state == HANDSHAKE_FLUSH)
		return;
	if (hs->state == HANDSHAKE_END)
		drain(hs);
	else
		receive(hs);
}

static void timeout(struct loop_timer *timer)
{
	struct handshake *hs = container_of(timer, struct handshake, timer);

	fail(hs, hs->state == HANDSHAKE_END ? hs->reason :
					      "no answer within 10 seconds");
}

static struct handshake *handshake_create(const struct handshake_local *local,
					  int fd,
					  const struct handshake_ops *ops,
					  void *owner)
{
	struct handshake *hs = calloc(1, sizeof(*hs));

	if (!hs) {
		log_error("no memory for a handshake");
		return NULL;
	}
	hs->source = (struct loop_source){ .fd = fd, .ready = ready };
	hs->timer.fire = timeout;
	hs->ops = ops;
	hs->owner = owner;
	hs->mine = (struct message_hello){
		.version_min = local->version_min,
		.version_max = local->version_max,
		.page_size = local->page_size,
		.machine = local->machine,
		.partid = local->partid,
	};
	memcpy(hs->mine.boot_id, local->boot_id, sizeof(hs->mine.boot_id));
	if (getrandom(hs->mine.nonce, MESSAGE_NONCE_LEN, 0) !=
		    MESSAGE_NONCE_LEN ||
	    loop_add(&hs->source, EPOLLOUT)) {
		log_error("a handshake cannot start: %m");
		free(hs);
		return NULL;
	}
	loop_timer_set(&hs->timer, HANDSHAKE_TIMEOUT_MS);
	return hs;
}

/**
 * handshake_connect - start a handshake as the connector
 * @local:  this side; stays the caller's
 * @fd:     non-blocking socket, connected or about to be
 * @partid: the partition that must answer
 * @fabric: to be used with it
 * @ops:    called later, never from here
 * @owner:  passed to @ops
 *
 * Return: the handshake, which owns @fd; or NULL after logging why, and @fd is
 * still the caller's.
 */
struct handshake *handshake_connect(const struct handshake_local *local, int fd,
				    uint16_t partid, uint16_t fabric,
				    const struct handshake_ops *ops,
				    void *owner)
{
	struct handshake *hs = handshake_create(local, fd, ops, owner);

	if (!hs)
		return NULL;
	hs->role = HANDSHAKE_CONNECTOR;
	hs->state = HANDSHAKE_CONNECTION;
	hs->mine.peer = partid;
	hs->mine.fabric = fabric;
	hs->theirs.partid = partid;
	return hs;
}

/**
 * handshake_accept - start a handshake as the acceptor
 * @local: this side; stays the caller's
 * @fd:    non-blocking, connected socket
 * @ops:   called later, never from here
 * @owner: passed to @ops
 *
 * Return: the handshake, which owns @fd; or NULL after logging why, and @fd is
 * still the caller's.
 */
struct handshake *handshake_accept(const struct handshake_local *local, int fd,
				   const struct handshake_ops *ops, void *owner)
{
	struct handshake *hs = handshake_create(local, fd, ops, owner);

	if (!hs)
		return NULL;
	hs->role = HANDSHAKE_ACCEPTOR;
	hs->state = HANDSHAKE_HELLO;
	loop_change(&hs->source, EPOLLIN);
	return hs;
}
