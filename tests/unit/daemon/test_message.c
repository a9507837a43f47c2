// SPDX-License-Identifier: GPL-2.0-only
/* The codec: what is sent is what is read, and nothing else is read. */
#include <endian.h>
#include <string.h>

#include "log.h"
#include "message.h"
#include "test.h"

#define HEADER sizeof(struct message_wire_header)

static uint8_t buffer[MESSAGE_SIZE_MAX];
static char reason[REASON_SIZE];

static const struct message_hello good = {
	.version_min = 1,
	.version_max = 2,
	.page_size = 4096,
	.machine = 62,
	.fabric = XPMEM_FABRIC_WINDOW,
	.partid = 1,
	.peer = 32767,
	.security = XPMEM_SECURITY_TLS,
	.boot_id = { 1, 2, 3 },
	.nonce = { 4, 5, 6 },
};

static void test_hello(void **state)
{
	enum message_type type;
	struct message_hello hello;
	uint32_t length;

	(void)state;
	assert_int_equal(message_put_hello(buffer, &good), HEADER + 72);
	assert_int_equal(message_get_header(buffer, &type, &length, reason), 0);
	assert_int_equal(type, MESSAGE_HELLO);
	assert_int_equal(
		message_get_hello(buffer + HEADER, length, &hello, reason), 0);
	assert_memory_equal(&hello, &good, sizeof(good));
}

/* Each byte of a HELLO that must not be 0 or not be 1, and what is said. */
static const struct {
	size_t offset, size;
	uint8_t value;
	const char *reason;
} bad_hellos[] = {
	{ 0, 4, 0, "no xpmemd" },
	{ 4, 2, 0, "versions 0 to 2" },
	{ 6, 2, 0, "versions 1 to 0" },
	{ 8, 4, 0, "page size" },
	{ 12, 2, 0, "machine" },
	{ 14, 2, 0, "fabric 0" },
	{ 16, 2, 0, "of partition 0" },
	{ 16, 2, 0xff, "of partition 65535" },
	{ 18, 2, 0, "for partition 0" },
	{ 18, 2, 0x80, "for partition 32896" },
	{ 20, 2, 0, "unknown security 0; update" },
	{ 20, 2, 3, "unknown security 771" },
	{ 22, 2, 1, "unknown flags" },
};

static void test_bad_hello(void **state)
{
	struct message_hello hello;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad_hellos) / sizeof(bad_hellos[0]); i++) {
		message_put_hello(buffer, &good);
		memset(buffer + HEADER + bad_hellos[i].offset,
		       bad_hellos[i].value, bad_hellos[i].size);
		assert_int_equal(message_get_hello(buffer + HEADER, 72, &hello,
						   reason),
				 -1);
		assert_contains(reason, bad_hellos[i].reason);
		assert_advises(reason);
	}
	for (i = 0; i < 72; i++)
		assert_int_equal(message_get_hello(buffer + HEADER, i, &hello,
						   reason),
				 -1);
	memset(buffer, 0, sizeof(buffer));
	assert_int_equal(message_get_hello(buffer, 72, &hello, reason), -1);
}

static const struct {
	uint32_t length;
	uint16_t type, zero;
	const char *reason;
} bad_headers[] = {
	{ 0, 0, 0, "unknown type 0" },
	{ 72, 4, 0, "unknown type 4" },
	{ 72, 0xffff, 0, "unknown type 65535" },
	{ 72, MESSAGE_HELLO, 1, "unknown flags" },
	{ 71, MESSAGE_HELLO, 0, "with 71 bytes" },
	{ 73, MESSAGE_HELLO, 0, "with 73 bytes" },
	{ 0, MESSAGE_AUTH, 0, "with 0 bytes" },
	{ MESSAGE_CREDENTIAL_MAX + 1, MESSAGE_AUTH, 0, "with 4097 bytes" },
	{ 0xffffffff, MESSAGE_AUTH, 0, "with 4294967295 bytes" },
	{ 3, MESSAGE_READY, 0, "with 3 bytes" },
	{ 260, MESSAGE_READY, 0, "with 260 bytes" },
};

static void test_bad_header(void **state)
{
	struct message_wire_header wire;
	enum message_type type;
	uint32_t length;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++) {
		wire.length = htole32(bad_headers[i].length);
		wire.type = htole16(bad_headers[i].type);
		wire.zero = htole16(bad_headers[i].zero);
		assert_int_equal(message_get_header((uint8_t *)&wire, &type,
						    &length, reason),
				 -1);
		assert_contains(reason, bad_headers[i].reason);
		assert_advises(reason);
	}
}

static void test_auth(void **state)
{
	char credential[MESSAGE_CREDENTIAL_MAX + 1];

	(void)state;
	assert_int_equal(message_put_auth(buffer, "MUNGE:x:"), HEADER + 8);
	assert_int_equal(
		message_get_auth(buffer + HEADER, 8, credential, reason), 0);
	assert_string_equal(credential, "MUNGE:x:");
	assert_int_equal(
		message_get_auth(buffer + HEADER, 0, credential, reason), -1);
	assert_int_equal(message_get_auth(buffer + HEADER,
					  MESSAGE_CREDENTIAL_MAX + 1,
					  credential, reason),
			 -1);
	buffer[HEADER + 3] = '\0';
	assert_int_equal(
		message_get_auth(buffer + HEADER, 8, credential, reason), -1);
}

static void test_ready(void **state)
{
	struct message_ready ready = { .status = MESSAGE_STATUS_REFUSED };
	size_t size;

	(void)state;
	memset(ready.reason, 'r', MESSAGE_REASON_MAX);
	ready.reason[0] = '\033';
	size = message_put_ready(buffer, &ready);
	assert_int_equal(size, HEADER + 4 + MESSAGE_REASON_MAX);
	assert_int_equal(message_get_ready(buffer + HEADER,
					   (uint32_t)(size - HEADER), &ready,
					   reason),
			 0);
	assert_int_equal(ready.reason[0], '?');
	assert_int_equal(strlen(ready.reason), MESSAGE_REASON_MAX);
	assert_int_equal(message_get_ready(buffer + HEADER, 3, &ready, reason),
			 -1);
	assert_int_equal(
		message_get_ready(buffer + HEADER, 260, &ready, reason), -1);
	memset(buffer, 0, sizeof(buffer));
	assert_int_equal(message_get_ready(buffer, 4, &ready, reason), -1);
	buffer[0] = 3;
	assert_int_equal(message_get_ready(buffer, 4, &ready, reason), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_bad_hello),
		cmocka_unit_test(test_bad_header),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_ready),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
