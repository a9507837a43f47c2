// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that the other side is root of a machine that has the same munge key,
 * and means this very handshake.
 * Invariant: a credential is good for one direction of one handshake, once.
 */
#include <munge.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "log.h"

/*
 * Seconds that the clocks of two partitions may differ: a machine that was paused
 * comes back with an old one.  munge has no more.  That a credential is fresh is
 * told by the nonce of whoever verifies it, not by its age.
 */
#define AUTH_TTL 3600

static const char *auth_socket;
static uid_t auth_uid;

/**
 * auth_init - choose munged and whom to believe
 * @socket: path of munged's socket, or "" for its default; stays the caller's
 * @uid:    user that a peer's xpmemd runs as, here and there
 */
void auth_init(const char *socket, uid_t uid)
{
	auth_socket = *socket ? socket : NULL;
	auth_uid = uid;
}

static munge_ctx_t auth_context(char *reason)
{
	munge_ctx_t ctx = munge_ctx_create();

	if (!ctx) {
		reason_set(reason, "no memory for a munge context; free some");
		return NULL;
	}
	if ((auth_socket &&
	     munge_ctx_set(ctx, MUNGE_OPT_SOCKET, auth_socket)) ||
	    munge_ctx_set(ctx, MUNGE_OPT_CIPHER_TYPE, MUNGE_CIPHER_AES256) ||
	    munge_ctx_set(ctx, MUNGE_OPT_MAC_TYPE, MUNGE_MAC_SHA256) ||
	    munge_ctx_set(ctx, MUNGE_OPT_TTL, AUTH_TTL) ||
	    munge_ctx_set(ctx, MUNGE_OPT_UID_RESTRICTION, auth_uid)) {
		reason_set(reason,
			   "munge takes no options: %s; update libmunge",
			   munge_ctx_strerror(ctx));
		munge_ctx_destroy(ctx);
		return NULL;
	}
	return ctx;
}

static const char *advice(munge_err_t err)
{
	switch (err) {
	case EMUNGE_SOCKET:
		return "; start munged";
	case EMUNGE_CRED_INVALID:
		return "; use the same munge key on both partitions";
	case EMUNGE_CRED_EXPIRED:
	case EMUNGE_CRED_REWOUND:
		return "; set the clocks of both partitions";
	default:
		return "; see the log of munged";
	}
}

/**
 * auth_create - have a credential made
 * @claim:      what it is for
 * @secret:     told to the other side
 * @credential: filled in, ended by a zero
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Blocks while the local munged works, normally well under a millisecond.
 *
 * Return: 0 or -1.
 */
int auth_create(const struct auth_claim *claim,
		const uint8_t secret[AUTH_SECRET_LEN],
		char credential[MESSAGE_CREDENTIAL_MAX + 1], char *reason)
{
	struct auth_payload payload = { .claim = *claim };
	munge_ctx_t ctx = auth_context(reason);
	char *made = NULL;
	munge_err_t err;
	size_t length;
	int ret = -1;

	if (!ctx)
		return -1;
	memcpy(payload.secret, secret, sizeof(payload.secret));
	err = munge_encode(&made, ctx, &payload, sizeof(payload));
	explicit_bzero(&payload, sizeof(payload));
	if (err != EMUNGE_SUCCESS) {
		reason_set(reason, "munge makes no credential: %s%s",
			   munge_ctx_strerror(ctx), advice(err));
		goto destroy_context;
	}
	length = strlen(made);
	if (length > MESSAGE_CREDENTIAL_MAX) {
		reason_set(
			reason,
			"munge made a credential of %zu bytes, over %d; update munge",
			length, MESSAGE_CREDENTIAL_MAX);
		goto destroy_context;
	}
	memcpy(credential, made, length + 1);
	ret = 0;

destroy_context:
	free(made);
	munge_ctx_destroy(ctx);
	return ret;
}

/**
 * auth_verify - is this the credential that the other side owes us?
 * @claim:      what it must be for
 * @secret:     filled in
 * @credential: ended by a zero
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Blocks while the local munged works.  munged remembers the credential: the
 * same one fails the next time.
 *
 * Return: 0 or -1.
 */
int auth_verify(const struct auth_claim *claim, uint8_t secret[AUTH_SECRET_LEN],
		const char *credential, char *reason)
{
	munge_ctx_t ctx = auth_context(reason);
	struct auth_payload *payload = NULL;
	munge_err_t err;
	int length = 0, ret = -1;
	uid_t uid = (uid_t)-1;
	gid_t gid;

	if (!ctx)
		return -1;
	err = munge_decode(credential, ctx, (void **)&payload, &length, &uid,
			   &gid);
	if (err != EMUNGE_SUCCESS)
		reason_set(reason, "munge refuses its credential: %s%s",
			   munge_ctx_strerror(ctx), advice(err));
	else if (uid != auth_uid)
		reason_set(
			reason,
			"its credential is of user %u, not %u; run xpmemd as the same user on both, or correct \"auth-uid\"",
			uid, auth_uid);
	else if (length != (int)sizeof(*payload) ||
		 memcmp(&payload->claim, claim, sizeof(*claim)))
		reason_set(
			reason,
			"its credential is for something else; find who alters the connection");
	else
		ret = 0;
	if (!ret)
		memcpy(secret, payload->secret, AUTH_SECRET_LEN);
	if (payload)
		explicit_bzero(payload, (size_t)length);
	free(payload);
	munge_ctx_destroy(ctx);
	return ret;
}
