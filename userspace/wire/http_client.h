/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A thin layer over libcurl: one connection's worth of POSTs, kept alive between them. Redirects
 * are never followed, only http and https are spoken, the answer's body is bounded. Proxies are
 * those of the environment (http_proxy, https_proxy, no_proxy).
 *
 * Threads  One owner for each client. http_client_global_init() once, before any thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

#define HTTP_REPLY_BYTES_MAX ((size_t)64 << 10)

struct http_client;

/* Files in PEM; NULL or "" means the system's authorities, and no certificate of our own. */
struct http_tls {
	const char *ca_file, *cert_file, *key_file;
	bool no_verify;
};

struct http_request {
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	struct str body;
	int64_t timeout_ms;         /* of the whole exchange; 0 = none */
	const struct http_tls *tls; /* may be NULL */
	const char *wanted;         /* name of a header of the answer; may be NULL */
};

struct http_reply {
	int status;            /* of HTTP */
	int64_t retry_after_s; /* from now, dates too; -1 = the server did not say, or said 0 */
	struct buf body;       /* at most HTTP_REPLY_BYTES_MAX, the rest is dropped */
	char wanted[64];       /* value of that header, cut; "" = it is not there */
};

int http_client_global_init(void);
int http_client_new(struct http_client **ret);
void http_client_free(struct http_client *c); /* NULL is fine */

/*
 * http_post() - sends and waits for the whole answer.
 *
 * Returns 0 whatever the status is (@ret is filled; http_reply_done() frees), or with @e
 *   -EINVAL      the URL is not one, or a header is not one line
 *   -ETIMEDOUT, -ECONNREFUSED, -EIO  no answer came; the sentence is libcurl's
 *   -ECANCELED   @stop became nonzero (looked at about once a second; may be NULL)
 *   -ENOMEM
 */
int http_post(struct http_client *c, const struct http_request *req, const _Atomic int *stop,
              struct http_reply *ret, struct err *e);
void http_reply_done(struct http_reply *r);
