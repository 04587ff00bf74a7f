/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Requests of one HTTP/2 connection, put together from its frames as the kernel side tells of
 * them: header fields of both directions, resets, and ends of streams.
 *
 * A request begins with the client's header fields and ends with the last frame of the answer, with
 * a reset by either side, or with the connection. What the client sent before we looked has no
 * beginning; such an answer counts and has no time.
 *
 * Bounded  HTTP2_STREAMS_MAX at once and HTTP2_BLOCK_MAX bytes of header fields for each direction.
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/proxy.h"
#include "userspace/base/str.h"

#define HTTP2_STREAMS_MAX 4096u
#define HTTP2_BLOCK_MAX   65536u

struct http2;

struct http2_asked { /* what the client says of a request; empty: nothing */
	char authority[128], path[64], agent[64];
};

struct http2_request {
	uint64_t begun_ns; /* 0: not seen */
	uint64_t end_ns;
	uint32_t tag;    /* as asked() gave it */
	uint16_t status; /* 0: no answer, or one that we could not read */
	bool is_cut;     /* it was ended before its answer was */
	bool is_unread;  /* there was an answer */
	bool by_client;  /* the client cut it */
};

struct http2_listener {
	/* A request begins: a number of the caller's that is kept with it. */
	uint32_t (*asked)(void *ctx, const struct http2_asked *asked);
	void (*ended)(void *ctx, const struct http2_request *request);
	void *ctx;
};

/*
 * @reads_requests: the client's header fields are looked into. @is_whole: we have seen the
 * connection from its first byte. -ENOMEM.
 */
int http2_new(struct http2 **ret, bool reads_requests, bool is_whole);
void http2_free(struct http2 *h); /* NULL is fine; ends nothing */

void http2_fields(struct http2 *h, const struct proxy_bytes_rec *rec,
                  const struct http2_listener *l);
void http2_frame(struct http2 *h, const struct proxy_rec *rec, const struct http2_listener *l);
/* The connection ends, and with it what is in flight. */
void http2_end(struct http2 *h, uint64_t at_ns, bool by_client, const struct http2_listener *l);

uint32_t http2_n_in_flight(const struct http2 *h);
uint32_t http2_n_lost(const struct http2 *h); /* requests that could not be followed */
