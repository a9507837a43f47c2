// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions over TLS, with keys that the test chooses: which sockets the module
 * takes, and what it makes of records that are no messages, or that somebody
 * altered, dropped, repeated or exchanged on the line. Each partition is its
 * own peer:
 *
 *	kernel's end (TLS) ------------------- our end (TLS)
 *	kernel's end (TLS) ---- the line: us ---- writer (TLS), has the same keys
 */
#include "xt-raw.h"
#include "xt.h"

#include <endian.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/xpmem_netlink.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum { ALERT = 21, HANDSHAKE, DATA };

#define RECORD_HEADER 5
#define RECORD_MAX 256
/* Encrypted terms, and pings: header, payload, the type of the record, the tag. */
#define TERMS_RECORD (RECORD_HEADER + 24 + 16 + 1 + 16)

struct record {
	size_t length;
	uint8_t bytes[RECORD_MAX];
};

static struct xt_raw raw;

/* One key in each direction. */
static const char *const to_kernel = "what the kernel decrypts";
static const char *const from_kernel = "what the kernel encrypts";

static int attach_tls(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
}

static int set_key(int fd, int direction, uint16_t version, const char *key)
{
	struct tls12_crypto_info_chacha20_poly1305 info = {
		.info = { version, TLS_CIPHER_CHACHA20_POLY1305 },
	};

	memcpy(info.key, key, strlen(key));
	return setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
}

static void set_keys(int fd, const char *send_key, const char *recv_key)
{
	xt_need(!attach_tls(fd) &&
			!set_key(fd, TLS_TX, TLS_1_3_VERSION, send_key) &&
			!set_key(fd, TLS_RX, TLS_1_3_VERSION, recv_key),
		"TLS on a socket");
}

/* Gives the kernel a session over TLS. */
static void open_session(bool we_have_tls)
{
	int ends[2], error;

	xt_tcp_pair(ends);
	set_keys(ends[0], from_kernel, to_kernel);
	if (we_have_tls)
		set_keys(ends[1], to_kernel, from_kernel);
	raw.params.fd = ends[0];
	raw.params.epoch++;
	error = xt_session_add(&raw.nl, &raw.params);
	xt_need(!error, "session-add: errno %d: %s", error, raw.nl.message);
	close(ends[0]);
	raw.fd = ends[1];
}

static void refused(int fd, uint32_t security, const char *what,
		    const char *want)
{
	struct xt_session s = raw.params;
	int error;

	s.fd = fd;
	s.security = security;
	error = xt_session_add(&raw.nl, &s);
	xt_ok(error == EPROTO && strstr(raw.nl.message, want),
	      "session-add: %s: errno %d: %s", what, error, raw.nl.message);
}

static void other_cipher(int fd)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
	};

	if (attach_tls(fd) ||
	    setsockopt(fd, SOL_TLS, TLS_TX, &info, sizeof(info)) ||
	    setsockopt(fd, SOL_TLS, TLS_RX, &info, sizeof(info)))
		xt_skip("a socket with AES-GCM", "AES-GCM in this kernel");
	else
		refused(fd, XPMEM_SECURITY_TLS, "AES-GCM",
			"not version 1.3 with ChaCha20-Poly1305");
}

static void which_sockets(void)
{
	int ends[2];

	xt_case("which sockets");
	xt_tcp_pair(ends);
	refused(ends[0], XPMEM_SECURITY_TLS, "plain, said to be TLS",
		"said to have TLS, and has none");
	xt_need(!attach_tls(ends[0]), "TLS on a socket");
	refused(ends[0], XPMEM_SECURITY_TLS, "no keys", "in both directions");
	refused(ends[0], XPMEM_SECURITY_PLAIN, "no keys, said to be plain",
		"said to be plain, and is not");
	set_key(ends[0], TLS_TX, TLS_1_3_VERSION, from_kernel);
	refused(ends[0], XPMEM_SECURITY_TLS, "a key to send only",
		"in both directions");
	set_key(ends[0], TLS_RX, TLS_1_3_VERSION, to_kernel);
	refused(ends[0], XPMEM_SECURITY_PLAIN, "TLS, said to be plain",
		"said to be plain, and is not");
	xt_need(!attach_tls(ends[1]), "TLS on a socket");
	set_key(ends[1], TLS_TX, TLS_1_2_VERSION, from_kernel);
	set_key(ends[1], TLS_RX, TLS_1_2_VERSION, to_kernel);
	refused(ends[1], XPMEM_SECURITY_TLS, "TLS 1.2",
		"not version 1.3 with ChaCha20-Poly1305");
	close(ends[0]);
	close(ends[1]);
	xt_tcp_pair(ends);
	other_cipher(ends[0]);
	close(ends[0]);
	close(ends[1]);
}

/* What a session begins with: what the kernel keeps to. */
static size_t terms(void *to)
{
	struct xt_raw_header h = xt_raw_header(&raw, TERMS, 16);
	uint32_t payload[4] = {
		htole32(raw.params.heartbeat_ms),
		htole32(raw.params.deadline_ms),
		htole32(raw.params.deadline_ms - raw.params.heartbeat_ms),
	};

	memcpy(to, &h, sizeof(h));
	memcpy((char *)to + sizeof(h), payload, sizeof(payload));
	return sizeof(h) + sizeof(payload);
}

static void put_terms(void)
{
	char bytes[RECORD_MAX];

	xt_raw_put(&raw, bytes, terms(bytes));
}

static void messages_pass(void)
{
	uint64_t get[12] = { 5, (uint64_t)xt_me << 48 | 0x123456, 0, 3 };
	uint64_t answer[32];

	xt_case("messages pass");
	open_session(true);
	put_terms();
	xt_raw_send(&raw, GET, get, sizeof(get));
	xt_ok(xt_raw_receive(&raw, answer, sizeof(answer)) == GET_REPLY &&
		      answer[0] == 5,
	      "a get is answered");
	xt_raw_send(&raw, BYE, NULL, 0);
	xt_raw_ends(&raw, "bye", "closed by the other");
}

static void read_record(int fd, struct record *record)
{
	xt_need(recv(fd, record->bytes, RECORD_HEADER, MSG_WAITALL) ==
			RECORD_HEADER,
		"the header of a record");
	record->length =
		RECORD_HEADER + record->bytes[3] * 256 + record->bytes[4];
	xt_need(record->length <= RECORD_MAX, "a record of %zu bytes",
		record->length);
	xt_need(recv(fd, record->bytes + RECORD_HEADER,
		     record->length - RECORD_HEADER,
		     MSG_WAITALL) == (ssize_t)(record->length - RECORD_HEADER),
		"a record");
}

static void is_encrypted(void)
{
	const uint64_t epoch = htole64(raw.params.epoch + 1);
	struct record record;

	xt_case("is encrypted");
	open_session(false);
	read_record(raw.fd, &record);
	xt_ok(record.bytes[0] == DATA && record.length == TERMS_RECORD,
	      "what comes first is a record of %zu bytes", record.length);
	xt_ok(!memmem(record.bytes, record.length, &epoch, sizeof(epoch)),
	      "the epoch cannot be read in it");
	close(raw.fd);
	xt_ok(true, "nothing but a connection: ended, \"%s\"",
	      xt_raw_reason(&raw));
}

static void put_record(uint8_t type, const void *data, size_t length)
{
	char control[CMSG_SPACE(1)] = "";
	struct iovec part = { (void *)data, length };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = type;
	xt_need(sendmsg(raw.fd, &msg, MSG_NOSIGNAL) == (ssize_t)length,
		"send a record of type %d", type);
}

static void other_records(void)
{
	static const struct {
		const char *what, *want;
		uint8_t type;
		size_t length;
		const char *bytes;
	} cases[] = {
		{ "close_notify", "alert: close notify", ALERT, 2, "\1\0" },
		{ "alert 10", "alert: unexpected", ALERT, 2, "\2\12" },
		{ "alert 20", "alert: bad record MAC", ALERT, 2, "\2\24" },
		{ "alert 80", "alert: internal error", ALERT, 2, "\2\120" },
		{ "alert 255", "TLS alert", ALERT, 2, "\2\377" },
		{ "half an alert", "without a desc", ALERT, 1, "\1" },
		{ "a long alert", "alert: close", ALERT, 9, "\1\0abcdefg" },
		{ "key update", "key update", HANDSHAKE, 5, "\30\0\0\1\0" },
		{ "ticket", "session ticket", HANDSHAKE, 5, "\4\0\0\1\0" },
		{ "a hello", "handshake message", HANDSHAKE, 5, "\1\0\0\1\0" },
		{ "type 20", "of unknown type", 20, 1, "\1" },
		{ "type 24", "of unknown type", 24, 3, "\1\0\0" },
		{ "type 255", "of unknown type", 255, 40,
		  "0123456789012345678901234567890123456789" },
	};
	char bytes[RECORD_MAX];

	xt_case("other records");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_session(true);
		put_record(cases[i].type, cases[i].bytes, cases[i].length);
		xt_raw_ends(&raw, cases[i].what, cases[i].want);
	}
	open_session(true);
	terms(bytes);
	xt_raw_put(&raw, bytes, 10);
	put_record(ALERT, "\1\0", 2);
	xt_raw_ends(&raw, "close_notify within a header",
		    "alert: close notify");
	open_session(true);
	terms(bytes);
	xt_raw_put(&raw, bytes, 28);
	put_record(HANDSHAKE, "\30\0\0\1\0", 5);
	xt_raw_ends(&raw, "key update within a payload", "key update");
	open_session(true);
	for (size_t i = 0, n = terms(bytes); i < n; i++)
		xt_raw_put(&raw, bytes + i, 1);
	xt_raw_send(&raw, BYE, NULL, 0);
	xt_raw_ends(&raw, "a record for each byte, and bye",
		    "closed by the other");
}

/*
 * What the other side would send: terms, pings, and a last message.  What
 * happens to them is ours.
 */
static void make_records(struct record *records, size_t n, const char *key,
			 int last)
{
	const uint64_t ping[2] = { htole64(1), htole64(1) };
	char bytes[RECORD_MAX];
	int ends[2];

	xt_tcp_pair(ends);
	set_keys(ends[0], key, from_kernel);
	for (size_t i = 0; i < n; i++) {
		int type = i + 1 < n ? PING : last;
		struct xt_raw_header h;
		size_t length;

		if (i == 0) {
			length = terms(bytes);
		} else {
			h = xt_raw_header(&raw, type, type == BYE ? 0 : 16);
			memcpy(bytes, &h, sizeof(h));
			memcpy(bytes + sizeof(h), ping, sizeof(ping));
			length = sizeof(h) + le32toh(h.length);
		}
		xt_need(send(ends[0], bytes, length, 0) == (ssize_t)length,
			"make a record");
		read_record(ends[1], &records[i]);
	}
	close(ends[0]);
	close(ends[1]);
}

static void play_record(const struct record *record)
{
	xt_raw_put(&raw, record->bytes, record->length);
}

/*
 * Terms with one bit changed, and bye.  The type outside of a record, byte 0,
 * is the same for all, and Linux does not look at it: the one that counts is
 * encrypted.  Byte 3 makes it longer than what comes.
 */
static void altered(void)
{
	size_t detected = 0;

	xt_case("altered");
	for (size_t i = 0; i < TERMS_RECORD; i++) {
		const char *want = "a TLS record was altered", *why;
		struct record records[2];

		if (i == 0)
			want = "closed by the other";
		if (i == 3)
			want = "connection lost";
		open_session(false);
		make_records(records, 2, to_kernel, BYE);
		records[0].bytes[i] ^= 1;
		play_record(&records[0]);
		play_record(&records[1]);
		shutdown(raw.fd, SHUT_WR);
		why = xt_raw_reason(&raw);
		detected += !!strstr(why, want);
		if (!strstr(why, want))
			xt_note("byte %zu: \"%s\"", i, why);
		close(raw.fd);
	}
	xt_ok(detected == TERMS_RECORD,
	      "a record with one bit changed: %zu of %d bytes as they should",
	      detected, TERMS_RECORD);
}

/* Plays records in an order: digits; "x" is one with another key. */
static void play(const char *what, const char *order, const char *want)
{
	struct record records[4], other;

	open_session(false);
	make_records(records, 4, to_kernel, PING);
	make_records(&other, 1, "another key", PING);
	for (; *order; order++)
		play_record(*order == 'x' ? &other : &records[*order - '0']);
	shutdown(raw.fd, SHUT_WR);
	xt_raw_ends(&raw, what, want);
}

static void play_bytes(const char *what, const void *bytes, size_t length,
		       const char *want)
{
	open_session(false);
	xt_raw_put(&raw, bytes, length);
	shutdown(raw.fd, SHUT_WR);
	xt_raw_ends(&raw, what, want);
}

static void on_the_line(void)
{
	const char *named = "altered, lost or repeated";
	struct record record;
	char bytes[RECORD_MAX];

	xt_case("on the line");
	play("four records in order, then the end", "0123", "connection lost");
	play("one repeated", "00", named);
	play("one repeated later", "0120", named);
	play("the first lost", "1", named);
	play("one lost", "013", named);
	play("two exchanged", "021", named);
	play("one with another key", "0x", named);
	open_session(false);
	make_records(&record, 1, to_kernel, TERMS);
	xt_raw_put(&raw, record.bytes, record.length - 1);
	shutdown(raw.fd, SHUT_WR);
	xt_raw_ends(&raw, "a record without its last byte", "connection lost");
	play_bytes("messages that are not encrypted", bytes, terms(bytes),
		   named);
	play_bytes("a record of 65535 bytes", "\27\3\3\377\377", 5, named);
	play_bytes("a record of no bytes", "\27\3\3\0\0", 5, named);
}

int main(void)
{
	int ends[2];

	xt_start("tls");
	xt_raw_start(&raw);
	raw.params.security = XPMEM_SECURITY_TLS;
	xt_tcp_pair(ends);
	xt_need(!attach_tls(ends[0]), "this kernel has TLS");
	close(ends[0]);
	close(ends[1]);
	which_sockets();
	messages_pass();
	is_encrypted();
	other_records();
	altered();
	on_the_line();
	xt_nothing_left("at the end");
	return xt_finish();
}
