/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMD_TLS_H
#define XPMEMD_TLS_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_PSK_LEN 32

/* What tls_step() waits for. */
enum tls_want {
	TLS_DONE = 0,
	TLS_WANT_READ = 1,
	TLS_WANT_WRITE = 2,
};

struct tls;

int tls_init(char *reason);
void tls_exit(void);
struct tls *tls_create(int fd, bool client, const uint8_t psk[TLS_PSK_LEN],
		       char *reason);
int tls_step(struct tls *tls, char *reason);
int tls_install(struct tls *tls, char *reason);
void tls_destroy(struct tls *tls);

#endif
