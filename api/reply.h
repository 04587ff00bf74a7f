/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The answers that all handlers share. Every error is JSON, in Prometheus' words:
 * {"status":"error","errorType":"bad_data","error":"a sentence"}
 */

#include "api/http/http.h"

enum reply_error {
	REPLY_BAD_DATA,        /* 400 */
	REPLY_NO_TOKEN,        /* 401, with a challenge */
	REPLY_FORBIDDEN,       /* 403 */
	REPLY_NOT_FOUND,       /* 404 */
	REPLY_METHOD,          /* 405 */
	REPLY_TOO_LARGE,       /* 413 */
	REPLY_UNSUPPORTED,     /* 415 */
	REPLY_EXECUTION,       /* 422 */
	REPLY_TOO_MANY,        /* 429, with Retry-After */
	REPLY_CANCELED,        /* 499: nobody reads it */
	REPLY_INTERNAL,        /* 500 */
	REPLY_NOT_IMPLEMENTED, /* 501 */
	REPLY_UNAVAILABLE,     /* 503, with Retry-After */
	REPLY_TIMEOUT,         /* 503 */
	REPLY_N,
};

#define REPLY_JSON "application/json"
#define REPLY_TEXT "text/plain; charset=utf-8"

/* Replaces whatever @resp held. Each returns the HTTP status, for "return reply_error(…);". */
int reply_error(struct response *resp, enum reply_error kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int reply_text(struct response *resp, const char *text);
int reply_json(struct response *resp); /* 200; the caller has written resp->body */
int reply_empty(struct response *resp, int status);

/* The kind whose status is @status; REPLY_INTERNAL when there is none. */
enum reply_error reply_kind_of(int status);

/*
 * What a failed call of the engine or the store means to a client: -EINVAL is a request that
 * cannot be carried out, -ENOSPC a limit, -ECANCELED the deadline, -EAGAIN try later; anything
 * else is ours.
 */
int reply_engine_error(struct response *resp, int code, const struct err *e);

/* The same while arguments are read, where -EINVAL is a bad request. */
int reply_args_error(struct response *resp, int code, const struct err *e);
