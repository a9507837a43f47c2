// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS 1.3 between two daemons that have authenticated each other: both know a
 * key, so there are no certificates.  The step before is agree.c, which makes
 * that key, the step after ktls.c, to which the keys of the connection go.
 * Invariant: no byte behind the TLS handshake is read from the socket, and
 * nothing but handshake messages is sent: the first record that is encrypted
 * with the connection's keys is the kernel's, in both directions.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ktls.h"
#include "log.h"
#include "tls.h"

/*
 * One cipher: the kernel has no key update, and only this one needs none,
 * however long a session lasts.  One key exchange: it keeps what was recorded
 * secret when munge's key is lost later.
 */
#define PRIORITY                                                \
	"NONE:+VERS-TLS1.3:+CHACHA20-POLY1305:+AEAD:+ECDHE-PSK" \
	":+GROUP-X25519:+SIGN-EDDSA-ED25519:%DISABLE_TLS13_COMPAT_MODE"
#define IDENTITY "xpmem"

/**
 * struct tls - one handshake
 * @session: GnuTLS'
 * @client:  credentials of the connector; NULL at the acceptor
 * @server:  and the other way round
 * @fd:      the socket; the caller's
 * @psk:     the key
 */
struct tls {
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client;
	gnutls_psk_server_credentials_t server;
	int fd;
	uint8_t psk[TLS_PSK_LEN];
};

static gnutls_priority_t priority;

/**
 * tls_init - before any handshake; more than once changes nothing
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0 or -1.
 */
int tls_init(char *reason)
{
	int err = 0;

	if (!priority)
		err = gnutls_priority_init(&priority, PRIORITY, NULL);
	if (!err)
		return 0;
	priority = NULL;
	return reason_set(
		reason,
		"GnuTLS does not allow TLS 1.3 with ChaCha20-Poly1305 and X25519 (%s); see its configuration",
		gnutls_strerror(err));
}

/**
 * tls_exit - give up what tls_init() took, if it was called
 */
void tls_exit(void)
{
	if (priority)
		gnutls_priority_deinit(priority);
	priority = NULL;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *data, size_t size)
{
	return recv(((struct tls *)arg)->fd, data, size, 0);
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t size)
{
	return send(((struct tls *)arg)->fd, data, size, MSG_NOSIGNAL);
}

/* Of the acceptor: the key of a client; there is one. */
static int find_key(gnutls_session_t session, const gnutls_datum_t *name,
		    gnutls_datum_t *key)
{
	const struct tls *tls = gnutls_session_get_ptr(session);

	if (name->size != strlen(IDENTITY) ||
	    memcmp(name->data, IDENTITY, name->size))
		return -1;
	key->data = gnutls_malloc(TLS_PSK_LEN);
	if (!key->data)
		return -1;
	memcpy(key->data, tls->psk, TLS_PSK_LEN);
	key->size = TLS_PSK_LEN;
	return 0;
}

static int set_client(struct tls *tls)
{
	const gnutls_datum_t name = { (void *)IDENTITY, strlen(IDENTITY) };
	const gnutls_datum_t key = { tls->psk, TLS_PSK_LEN };
	int err = gnutls_psk_allocate_client_credentials(&tls->client);

	if (!err)
		err = gnutls_psk_set_client_credentials2(
			tls->client, &name, &key, GNUTLS_PSK_KEY_RAW);
	return err   ?:
		       gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK,
					      tls->client);
}

static int set_server(struct tls *tls)
{
	int err = gnutls_psk_allocate_server_credentials(&tls->server);

	if (err)
		return err;
	gnutls_psk_set_server_credentials_function2(tls->server, find_key);
	return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK,
				      tls->server);
}

/* A ticket would be the first record that the kernel sees. */
static int set_up(struct tls *tls, bool client)
{
	int err = gnutls_init(&tls->session,
			      (client ? GNUTLS_CLIENT : GNUTLS_SERVER) |
				      GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS |
				      GNUTLS_NO_AUTO_REKEY);

	if (!err)
		err = gnutls_priority_set(tls->session, priority);
	if (err)
		return err;
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_ptr(tls->session, tls);
	/* Ours, and so GnuTLS gives no keys to the kernel by itself. */
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_push_function(tls->session, push);
	return client ? set_client(tls) : set_server(tls);
}

/**
 * tls_create - start a handshake
 * @fd:     non-blocking; stays the caller's
 * @client: we speak first
 * @psk:    the key; copied
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: the handshake, the caller's to tls_destroy(); or NULL.
 */
struct tls *tls_create(int fd, bool client, const uint8_t psk[TLS_PSK_LEN],
		       char *reason)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int err = GNUTLS_E_MEMORY_ERROR;

	if (tls) {
		tls->fd = fd;
		memcpy(tls->psk, psk, TLS_PSK_LEN);
		err = set_up(tls, client);
	}
	if (!err)
		return tls;
	reason_set(reason,
		   "TLS cannot start: %s; see the configuration of GnuTLS",
		   gnutls_strerror(err));
	tls_destroy(tls);
	return NULL;
}

/* Whatever GnuTLS accepts: it is this, or there is no session. */
static int check(const struct tls *tls, char *reason)
{
	gnutls_session_t session = tls->session;

	if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3 &&
	    gnutls_cipher_get(session) == GNUTLS_CIPHER_CHACHA20_POLY1305 &&
	    gnutls_kx_get(session) == GNUTLS_KX_ECDHE_PSK &&
	    gnutls_auth_get_type(session) == GNUTLS_CRD_PSK &&
	    !gnutls_record_check_pending(session))
		return TLS_DONE;
	return reason_set(
		reason,
		"TLS: the two sides agreed on %s, %s, %s; update the older xpmemd",
		gnutls_protocol_get_name(gnutls_protocol_get_version(session)),
		gnutls_cipher_get_name(gnutls_cipher_get(session)),
		gnutls_kx_get_name(gnutls_kx_get(session)));
}

/**
 * tls_step - go on with a handshake
 * @tls:    the handshake
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: enum tls_want, or -1; the other side was told then, if it can be.
 */
int tls_step(struct tls *tls, char *reason)
{
	int err = gnutls_handshake(tls->session);

	switch (err) {
	case GNUTLS_E_SUCCESS:
		return check(tls, reason);
	case GNUTLS_E_AGAIN:
	case GNUTLS_E_INTERRUPTED:
		return gnutls_record_get_direction(tls->session) ?
			       TLS_WANT_WRITE :
			       TLS_WANT_READ;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_WARNING_ALERT_RECEIVED:
		return reason_set(
			reason,
			"TLS: refused by the other side: %s; see the log there",
			gnutls_alert_get_name(gnutls_alert_get(tls->session)));
	default:
		gnutls_alert_send_appropriate(tls->session, err);
		return reason_set(
			reason,
			"TLS: %s; find who alters or cuts the connection",
			gnutls_strerror(err));
	}
}

static int get_keys(const struct tls *tls, bool receive, struct ktls_keys *keys)
{
	gnutls_datum_t key, iv;
	int err = gnutls_record_get_state(tls->session, receive, NULL, &iv,
					  &key, keys->seq);

	if (err)
		return err;
	if (key.size != KTLS_KEY_LEN || iv.size != KTLS_IV_LEN)
		return GNUTLS_E_INTERNAL_ERROR;
	memcpy(keys->key, key.data, KTLS_KEY_LEN);
	memcpy(keys->iv, iv.data, KTLS_IV_LEN);
	return 0;
}

/**
 * tls_install - give the keys to the kernel
 * @tls:    tls_step() has returned TLS_DONE
 * @reason: REASON_SIZE bytes, filled in on failure
 *
 * Return: 0, or -1: then the connection is of no use any more.
 */
int tls_install(struct tls *tls, char *reason)
{
	struct ktls_keys send, receive;
	int ret, err = get_keys(tls, false, &send);

	if (!err)
		err = get_keys(tls, true, &receive);
	if (err)
		ret = reason_set(reason, "TLS: no keys: %s; update GnuTLS",
				 gnutls_strerror(err));
	else
		ret = ktls_install(tls->fd, &send, &receive, reason);
	explicit_bzero(&send, sizeof(send));
	explicit_bzero(&receive, sizeof(receive));
	return ret;
}

/**
 * tls_destroy - forget a handshake
 * @tls: freed; may be NULL
 */
void tls_destroy(struct tls *tls)
{
	if (!tls)
		return;
	if (tls->session)
		gnutls_deinit(tls->session);
	if (tls->client)
		gnutls_psk_free_client_credentials(tls->client);
	if (tls->server)
		gnutls_psk_free_server_credentials(tls->server);
	explicit_bzero(tls, sizeof(*tls));
	free(tls);
}
