/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What is counted for one owner under one proxy_id. Plain numbers that only grow; the gauge
 * of concurrency is found out anew for every collection.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/proxy.h"
#include "userspace/host/histogram.h"

struct batch;
struct accounts;
struct owner;

#define SERVERNAMES_MAX 64  /* of one app: a wildcard has any number of them */
#define SERVERNAME_CAP  128 /* a longer one is cut */

/* Label proxy_id: flips when the proxy is started anew. */
enum proxy_colour {
	PROXY_BLUE,
	PROXY_GREEN,
	PROXY_COLOURS
};

extern const char *const proxy_colour_names[PROXY_COLOURS];

struct status_count {
	uint16_t status; /* 0: there was an answer that could not be read */
	uint64_t n;
};

struct http_account {
	struct status_count *statuses; /* ascending */
	size_t n_statuses, statuses_cap;
	struct histogram time;
};

struct servername {
	char text[SERVERNAME_CAP];
	uint64_t n_errors; /* of handshakes */
};

/* How often a limit was reached, from one look to the next. */
struct limit_count {
	uint64_t n;
	bool is_reached;
};

struct account {
	uint64_t connects, disconnects, in_bytes, out_bytes;
	uint64_t connect_fails[PROXY_FAILS];
	struct histogram connect;       /* app: SYN to established */
	struct histogram handshake;     /* edge */
	struct http_account http;       /* without health checks */
	struct http_account checks;     /* health checks */
	struct servername *servernames; /* edge; the first one is "unknown" */
	size_t n_servernames, servernames_cap;
	uint64_t errors;      /* edge: handshakes that failed, requests without a whole answer */
	uint64_t concurrency; /* app: at the last look */
	struct limit_count soft_limit, hard_limit;
};

/* The owner's account of that colour, made when there is none; NULL: no memory. */
struct account *account_of(struct owner *w, enum proxy_colour colour);

/*
 * @n answers that are alike; @buckets says how long they took, or is NULL when that is not known.
 * Out of memory they are not counted.
 */
void account_answers(struct http_account *h, uint16_t status, uint64_t n, uint64_t sum_ns,
                     const uint64_t *buckets);

/*
 * The number of a name that clients ask for, from 1 on; past SERVERNAMES_MAX and without memory it
 * is that of "unknown".
 */
uint16_t account_servername(struct account *a, const char *name);
void account_handshake_failed(struct account *a, uint16_t servername);

void accounts_free(struct accounts *a); /* NULL is fine */

/* What is found out anew by the next look. */
void accounts_reset_gauges(struct owner *w);
/* When the look has found it out. */
void accounts_note_limits(struct owner *w);

/*
 * Adds the series of all the owner's accounts to @out, which has begun it. Returns what batch_add()
 * does.
 */
int accounts_emit(const struct owner *w, struct batch *out);
