// SPDX-License-Identifier: GPL-2.0-only
/* What auth.c makes of each answer that munge can give; munge is a mock. */
#include <munge.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "log.h"
#include "test.h"

munge_err_t __wrap_munge_encode(char **credential, munge_ctx_t ctx,
				const void *payload, int length);
munge_err_t __wrap_munge_decode(const char *credential, munge_ctx_t ctx,
				void **payload, int *length, uid_t *uid,
				gid_t *gid);

static struct {
	munge_err_t err;
	size_t credential;
	struct auth_payload payload;
	int length;
	uid_t uid;
} mock;

static char reason[REASON_SIZE];
static const uint8_t secret[AUTH_SECRET_LEN] = "told to one side only";
static uint8_t told[AUTH_SECRET_LEN];

munge_err_t __wrap_munge_encode(char **credential, munge_ctx_t ctx,
				const void *payload, int length)
{
	(void)ctx;
	if (mock.err != EMUNGE_SUCCESS)
		return mock.err;
	assert_int_equal(length, sizeof(mock.payload));
	memcpy(&mock.payload, payload, sizeof(mock.payload));
	*credential = calloc(1, mock.credential + 1);
	memset(*credential, 'c', mock.credential);
	return EMUNGE_SUCCESS;
}

/* As the real one: a payload comes even with a credential that is refused. */
munge_err_t __wrap_munge_decode(const char *credential, munge_ctx_t ctx,
				void **payload, int *length, uid_t *uid,
				gid_t *gid)
{
	(void)ctx;
	assert_non_null(credential);
	*payload = malloc(sizeof(mock.payload));
	memcpy(*payload, &mock.payload, sizeof(mock.payload));
	*length = mock.length;
	*uid = mock.uid;
	*gid = 0;
	return mock.err;
}

static int setup(void **state)
{
	(void)state;
	memset(&mock, 0, sizeof(mock));
	mock.credential = 8;
	mock.payload.claim.partid = 1;
	mock.length = sizeof(mock.payload);
	auth_init("", 0);
	return 0;
}

static void test_create(void **state)
{
	char credential[MESSAGE_CREDENTIAL_MAX + 1];
	struct auth_claim claim = { .label = AUTH_LABEL, .partid = 7 };

	(void)state;
	assert_int_equal(auth_create(&claim, secret, credential, reason), 0);
	assert_string_equal(credential, "cccccccc");
	assert_memory_equal(&mock.payload.claim, &claim, sizeof(claim));
	assert_memory_equal(mock.payload.secret, secret, sizeof(secret));
	mock.credential = MESSAGE_CREDENTIAL_MAX;
	assert_int_equal(auth_create(&claim, secret, credential, reason), 0);
	mock.credential++;
	assert_int_equal(auth_create(&claim, secret, credential, reason), -1);
	mock.err = EMUNGE_SOCKET;
	assert_int_equal(auth_create(&claim, secret, credential, reason), -1);
	assert_contains(reason, "start munged");
}

static void test_verify(void **state)
{
	const struct auth_claim claim = mock.payload.claim;

	(void)state;
	assert_int_equal(auth_verify(&claim, told, "c", reason), 0);
}

static void test_refused_by_munge(void **state)
{
	const munge_err_t errors[] = {
		EMUNGE_CRED_REPLAYED,	  EMUNGE_CRED_EXPIRED,
		EMUNGE_CRED_REWOUND,	  EMUNGE_CRED_INVALID,
		EMUNGE_CRED_UNAUTHORIZED, EMUNGE_SOCKET,
	};
	const struct auth_claim claim = mock.payload.claim;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		mock.err = errors[i];
		assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
		assert_contains(reason, "munge refuses its credential");
	}
}

static void test_other_uid(void **state)
{
	const struct auth_claim claim = mock.payload.claim;

	(void)state;
	mock.uid = 1000;
	assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
	assert_contains(reason, "of user 1000, not 0");
	auth_init("", 1000);
	assert_int_equal(auth_verify(&claim, told, "c", reason), 0);
	mock.uid = 0;
	assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
}

static void test_other_claim(void **state)
{
	struct auth_claim claim;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(claim); i++) {
		claim = mock.payload.claim;
		((uint8_t *)&claim)[i] ^= 1;
		assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
		assert_contains(reason, "for something else");
	}
	claim = mock.payload.claim;
	mock.length--;
	assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
	mock.length = 0;
	assert_int_equal(auth_verify(&claim, told, "c", reason), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_create, setup),
		cmocka_unit_test_setup(test_verify, setup),
		cmocka_unit_test_setup(test_refused_by_munge, setup),
		cmocka_unit_test_setup(test_other_uid, setup),
		cmocka_unit_test_setup(test_other_claim, setup),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
