/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * TLS of the server: its certificate, which can be replaced while it serves, and what clients show.
 *
 * Clients   With an authority the server asks for a certificate; whether one is needed is decided
 *           for each request (struct request, client_is_certified).
 * Replacing New connections get the new certificate; those that are being made keep theirs. Old
 *           certificates stay in memory until tls_free(): they are few.
 * One       The library hands its callback nothing to tell servers apart by, so a process has one
 *           struct tls at a time.
 * Threads   tls_reload(): the main thread; the rest any.
 */

#include <stdbool.h>

#include "userspace/base/err.h"

struct tls;

struct tls_conf {
	const char *cert, *key; /* PEM files; the chain with the server's certificate first */
	const char *client_ca;  /* PEM file of authorities; "" = clients are not asked */
};

/* -EINVAL and errors of reading, with @e naming the file. */
int tls_open(struct tls **ret, const struct tls_conf *conf, struct err *e);
void tls_free(struct tls *t); /* NULL is fine; after the server */

/* Reads the certificate and key again; on failure the old ones stay. */
int tls_reload(struct tls *t, struct err *e);

/* PEM text of the authorities, or NULL. */
const char *tls_client_ca(const struct tls *t);

/* Has the client shown a certificate that an authority of ours has signed? A gnutls_session_t. */
bool tls_client_is_certified(void *session);

/* TLS 1.2 and 1.3. */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* For the library: a gnutls_certificate_retrieve_function3. */
void *tls_retrieve_function(void);
