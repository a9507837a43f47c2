// SPDX-License-Identifier: GPL-2.0-only
/*
 * What two daemons must agree on before their kernels talk, what each proves
 * to the other, and what both know then: an epoch and a key.
 * Invariant: whatever was agreed on is part of both credentials and of the key,
 * so nobody between the two can change any of it.
 */
#include <endian.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/random.h>

#include "agree.h"
#include "log.h"

#define KEY_LABEL "xpmem session key\n\n"

static enum handshake_role other(enum handshake_role role)
{
	return role == HANDSHAKE_CONNECTOR ? HANDSHAKE_ACCEPTOR :
					     HANDSHAKE_CONNECTOR;
}

static uint8_t *secret_of(struct agreement *agreement, enum handshake_role role)
{
	return agreement->secrets[role == HANDSHAKE_ACCEPTOR];
}

/* What the side with this role claims. */
static void make_claim(const struct agreement *agreement,
		       enum handshake_role role, struct auth_claim *claim)
{
	const struct message_hello *mine = &agreement->mine;
	const struct message_hello *from = mine, *to = &agreement->theirs;
	const struct message_hello *connector, *acceptor;

	if (role != agreement->role) {
		from = &agreement->theirs;
		to = mine;
	}
	connector = role == HANDSHAKE_CONNECTOR ? from : to;
	acceptor = role == HANDSHAKE_CONNECTOR ? to : from;
	*claim = (struct auth_claim){
		.label = AUTH_LABEL,
		.role = htole16((uint16_t)role),
		.partid = htole16(from->partid),
		.peer = htole16(to->partid),
		.fabric = htole16(mine->fabric),
		.version = htole32(agreement->version),
		.page_size = htole32(mine->page_size),
		.machine = htole16(mine->machine),
		.security = htole16(mine->security),
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

/**
 * agree_security_name - as the configuration has it
 * @security: enum xpmem_security
 *
 * Return: a constant string.
 */
const char *agree_security_name(uint16_t security)
{
	switch ((enum xpmem_security)security) {
	case XPMEM_SECURITY_TLS:
		return "tls";
	case XPMEM_SECURITY_PLAIN:
		return "plain";
	}
	return "unknown";
}

/* Names both partitions, so that it can be read in either's log. */
static int compare_machines(const struct message_hello *a,
			    const struct message_hello *b, char *reason)
{
	if (a->peer != b->partid)
		return reason_set(
			reason,
			"partition %u takes partition %u for %u; correct its configuration",
			a->partid, b->partid, a->peer);
	if (a->page_size != b->page_size)
		return reason_set(
			reason,
			"the page size of partition %u is %u bytes, of partition %u %u; use kernels with the same",
			a->partid, a->page_size, b->partid, b->page_size);
	if (a->machine != b->machine)
		return reason_set(
			reason,
			"the architecture of partition %u is ELF machine %u, of partition %u %u; they cannot share memory; remove the peer",
			a->partid, a->machine, b->partid, b->machine);
	if (a->fabric != b->fabric)
		return reason_set(
			reason,
			"the fabric of partition %u is %u, of partition %u %u; configure the same",
			a->partid, a->fabric, b->partid, b->fabric);
	if (a->security != b->security)
		return reason_set(
			reason,
			"the security of partition %u is %s, of partition %u %s; configure the same",
			a->partid, agree_security_name(a->security), b->partid,
			agree_security_name(b->security));
	return 0;
}

/**
 * agree_hellos - do the two HELLOs go together?
 * @agreement: both are there; its version is filled in
 * @reason:    REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int agree_hellos(struct agreement *agreement, char *reason)
{
	const struct message_hello *a = &agreement->theirs;
	const struct message_hello *b = &agreement->mine;

	if (compare_machines(a, b, reason))
		return -1;
	agreement->version = a->version_max < b->version_max ? a->version_max :
							       b->version_max;
	if (agreement->version < a->version_min ||
	    agreement->version < b->version_min)
		return reason_set(
			reason,
			"partition %u speaks versions %u to %u, partition %u %u to %u; update the older",
			a->partid, a->version_min, a->version_max, b->partid,
			b->version_min, b->version_max);
	if (!memcmp(a->nonce, b->nonce, sizeof(a->nonce)))
		return reason_set(
			reason,
			"partition %u hears itself; correct the address of its peers",
			b->partid);
	return 0;
}

/**
 * agree_prove - have our credential made
 * @agreement:  after agree_hellos(); gets our secret
 * @credential: MESSAGE_CREDENTIAL_MAX + 1 bytes, filled in before @done
 * @done:       called once, later, unless prove_destroy() comes first
 * @owner:      passed to @done
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Return: the caller's to prove_destroy() until @done; or NULL.
 */
struct prove *agree_prove(struct agreement *agreement, char *credential,
			  prove_done_t done, void *owner, char *reason)
{
	uint8_t *secret = secret_of(agreement, agreement->role);
	struct auth_claim claim;

	if (getrandom(secret, AUTH_SECRET_LEN, 0) != AUTH_SECRET_LEN) {
		reason_set(reason,
			   "no random bytes for a secret; see getrandom(2)");
		return NULL;
	}
	make_claim(agreement, agreement->role, &claim);
	return prove_create(&claim, secret, credential, done, owner, reason);
}

/**
 * agree_verify - is this the other side's credential?
 * @agreement:  after agree_hellos(); gets its secret before @done
 * @credential: ended by a zero; must stay as it is until @done
 * @done:       as of agree_prove()
 * @owner:      as of agree_prove()
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * Return: as agree_prove().
 */
struct prove *agree_verify(struct agreement *agreement, char *credential,
			   prove_done_t done, void *owner, char *reason)
{
	enum handshake_role role = other(agreement->role);
	struct auth_claim claim;

	make_claim(agreement, role, &claim);
	return prove_verify(&claim, secret_of(agreement, role), credential,
			    done, owner, reason);
}

/**
 * agree_epoch - what names the session
 * @agreement: complete
 *
 * Both nonces are fresh, so one honest side is enough to make an epoch that
 * was not used before.
 *
 * Return: the same on both sides, never 0.
 */
uint64_t agree_epoch(const struct agreement *agreement)
{
	uint64_t epoch = 0, word;
	unsigned int i;

	for (i = 0; i < MESSAGE_NONCE_LEN; i += sizeof(word)) {
		memcpy(&word, agreement->mine.nonce + i, sizeof(word));
		epoch ^= le64toh(word);
		memcpy(&word, agreement->theirs.nonce + i, sizeof(word));
		epoch ^= le64toh(word);
	}
	return epoch ?: 1;
}

/* What the key is for: the label, then both claims. */
struct key_info {
	char label[20];
	struct auth_claim claims[2];
};

_Static_assert(sizeof(KEY_LABEL) == sizeof(((struct key_info *)0)->label) &&
		       sizeof(struct key_info) ==
			       20 + 2 * sizeof(struct auth_claim),
	       "no padding: both sides make the same bytes");

/**
 * agree_psk - the key that only the two sides know
 * @agreement: complete: both secrets are known
 * @psk:       filled in; the caller wipes it
 * @reason:    REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int agree_psk(const struct agreement *agreement, uint8_t psk[TLS_PSK_LEN],
	      char *reason)
{
	uint8_t prk[TLS_PSK_LEN];
	struct key_info info = { .label = KEY_LABEL };
	gnutls_datum_t salt = { (void *)KEY_LABEL, sizeof(KEY_LABEL) };
	gnutls_datum_t text = { (void *)&info, sizeof(info) };
	gnutls_datum_t key = { (void *)agreement->secrets,
			       sizeof(agreement->secrets) };
	int err;

	make_claim(agreement, HANDSHAKE_CONNECTOR, &info.claims[0]);
	make_claim(agreement, HANDSHAKE_ACCEPTOR, &info.claims[1]);
	err = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &salt, prk);
	if (!err) {
		key = (gnutls_datum_t){ prk, sizeof(prk) };
		err = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &text, psk,
					 TLS_PSK_LEN);
	}
	explicit_bzero(prk, sizeof(prk));
	if (err)
		return reason_set(
			reason,
			"no key for TLS: %s; see the configuration of GnuTLS",
			gnutls_strerror(err));
	return 0;
}
