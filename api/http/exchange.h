/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to the server: one request on its way, and the server that it is in. */

#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "api/http/fair_queue.h"
#include "api/http/http.h"
#include "api/http/pack.h"
#include "api/http/watch.h"
#include "userspace/base/beat.h"

struct http;

struct worker {
	pthread_t thread;
	struct http *h;
	struct fair_queue *lane;
	struct beat beat; /* of one request, or of one piece of an answer */
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_conf conf;
	struct http_ops ops;
	struct fair_queue *lanes[LANE_N];
	struct worker *workers;
	unsigned n_workers;
	struct watch *watch;
	_Atomic bool stopping;      /* new requests are refused */
	_Atomic uint64_t in_flight; /* handed to a worker, or being answered */
	_Atomic uint64_t body_bytes;
	_Atomic uint64_t received_bytes, sent_bytes;
	_Atomic uint64_t refused_busy, refused_large, refused_slow, cancelled;
};

struct exchange {
	struct http *h;
	struct MHD_Connection *conn;
	struct request req;
	struct response resp;
	enum {
		AT_HEADERS,
		AT_BODY,
		AT_REFUSED, /* the answer is ready, the body is read and dropped first */
		AT_WORK,    /* with a worker, or waiting for one */
		AT_ANSWER
	} at;
	uint64_t body_seen_bytes; /* dropped ones included */
	uint64_t body_held_bytes; /* counted in h->body_bytes */
	bool in_flight;

	struct fair_item item;
	bool admitted; /* popped: it must leave its lane */
	struct watch_ticket ticket;

	size_t sent; /* of resp.body */
	bool stream_ended, failed;
	struct packer *packer; /* NULL = the answer is sent as it is */
	struct buf plain;      /* a piece of the stream, to be packed */
};

/* What a worker does with it, the connection being suspended: serves it, or makes more of it. */
void exchange_work(struct exchange *x);
/* Hands the connection back to its network thread. @x may be gone afterwards. */
void exchange_resume(struct exchange *x);

/* Callbacks of the library; @ctx is the struct http. */
void *exchange_on_uri(void *ctx, const char *uri, struct MHD_Connection *conn);
enum MHD_Result exchange_on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *bytes, void **con_cls);
void exchange_on_completed(void *ctx, struct MHD_Connection *conn, void **con_cls,
                           enum MHD_RequestTerminationCode code);
void exchange_on_connection(void *ctx, struct MHD_Connection *conn, void **conn_ctx,
                            enum MHD_ConnectionNotificationCode code);
