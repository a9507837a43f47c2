/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_KTLS_H
#define XPMEMD_KTLS_H

#include <stdint.h>

#define KTLS_KEY_LEN 32
#define KTLS_IV_LEN 12
#define KTLS_SEQ_LEN 8

/**
 * struct ktls_keys - one direction of a TLS 1.3 connection with
 * ChaCha20-Poly1305
 * @key: of the cipher
 * @iv:  mixed with the record's number to make its nonce
 * @seq: number of the next record, big-endian
 */
struct ktls_keys {
	uint8_t key[KTLS_KEY_LEN];
	uint8_t iv[KTLS_IV_LEN];
	uint8_t seq[KTLS_SEQ_LEN];
};

int ktls_probe(char *reason);
int ktls_install(int fd, const struct ktls_keys *send,
		 const struct ktls_keys *receive, char *reason);

#endif
