/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Many GETs at a time from servers that nobody vouches for, on one thread: libcurl's multi
 * interface over epoll. Connections are kept alive between fetches.
 *
 * A server harms its own fetch only: http to the address in the URL and nothing else (no redirect
 * is followed, no proxy, cookie or netrc is used), a time limit for all of it, a limit of header
 * bytes; the body goes to the caller piece by piece, gzip unpacked, and ends when the caller says
 * so.
 *
 * Threads  One owner, but for fetcher_wake(). http_client_global_init() once, before.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"

#define FETCH_HEADER_BYTES_MAX ((size_t)64 << 10)

struct fetcher;
struct fetch;

struct fetch_request {
	const char *url;            /* http://, with an IP address */
	const char *const *headers; /* "Name: value", NULL-terminated; borrowed until the end */
	int64_t timeout_ms;
};

/*
 * What a fetch meets, in this order. A negative result ends it, and is what done() gets. No
 * function of the fetcher may be called from head() and data(); from done() fetcher_start() may.
 */
struct fetch_ops {
	int (*head)(void *ctx, int status, const char *content_type); /* "" = not said */
	int (*data)(void *ctx, struct str piece);
	/*
	 * The end: 0 for a whole answer, else a negative errno, with a sentence: what a callback
	 * returned, -ETIMEDOUT, -ECONNREFUSED, -EFBIG (headers), -EBADMSG (no HTTP, bad gzip),
	 * -EIO. The fetch is gone.
	 */
	void (*done)(void *ctx, int r, const char *why);
};

int fetcher_new(struct fetcher **ret);
void fetcher_free(struct fetcher *f); /* cancels what is under way; NULL is fine */

/* 0 and a handle that lives until done(). -ENOMEM, -EINVAL. */
int fetcher_start(struct fetcher *f, const struct fetch_request *req, const struct fetch_ops *ops,
                  void *ctx, struct fetch **ret);
/* Ends it without done(). */
void fetcher_cancel(struct fetcher *f, struct fetch *one);

/* Waits at most until @until_mono_ns for something to happen, and handles it. */
void fetcher_run(struct fetcher *f, uint64_t until_mono_ns);
void fetcher_wake(struct fetcher *f); /* ends a wait of fetcher_run(); any thread */
