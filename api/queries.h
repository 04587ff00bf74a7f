/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The queries that run, and those that ran: each organisation's last QUERIES_KEPT that took a
 * millisecond or more. An organisation's own queries push out only its own.
 *
 * Limits   Texts are kept to QUERY_TEXT_KEPT bytes, all memory of past queries together to
 *          QUERIES_BYTES_MAX; beyond it an organisation's newest takes the place of its oldest.
 * Threads  Any.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"

#define QUERIES_KEPT      256u
#define QUERY_TEXT_KEPT   2048u
#define QUERIES_BYTES_MAX ((size_t)128 << 20)
#define QUERY_MIN_KEPT_NS 1000000u

struct queries;

struct query_run { /* one that runs; its texts are borrowed until queries_end() */
	struct str org, who, client, text;
	int64_t start_ms, end_ms, step_ms;
	uint64_t id, begin_mono_ns;
	struct query_run *prev, *next;
};

struct query_cost {
	uint64_t took_ns, series, samples, memory_bytes;
};

int queries_new(struct queries **ret); /* -ENOMEM */
void queries_free(struct queries *q);  /* NULL is fine */

void queries_begin(struct queries *q, struct query_run *run);
/* Forgets the run, and keeps what it cost. */
void queries_end(struct queries *q, struct query_run *run, const struct query_cost *cost);

/* Those that run now, the oldest first; the lock is held meanwhile. */
typedef void (*query_run_f)(void *ctx, const struct query_run *run);
void queries_each(struct queries *q, query_run_f fn, void *ctx);

struct query_past {
	struct str who, text;
	uint64_t text_hash; /* of the whole text */
	int64_t range_s;    /* 0 = instant */
	uint64_t end_mono_ns, took_ns, memory_bytes;
};

/* The kept ones of an organisation, in no order; the lock is held meanwhile. */
typedef void (*query_past_f)(void *ctx, const struct query_past *past);
void queries_past(struct queries *q, struct str org, query_past_f fn, void *ctx);
