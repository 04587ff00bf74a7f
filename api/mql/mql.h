/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * MetricsQL: text and a store in, series out. Knows no HTTP and no tokens: the organisation and
 * the
 * enforced filters come in as data and go into the plan, never into the text.
 *
 * Reference of behaviour: VictoriaMetrics 1.145 (the design pages' 58 traps; tests/mql).
 * Threads: a query has one owner; any number of queries run at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/mql/describe.h"
#include "store/store.h"
#include "userspace/base/arena.h"
#include "userspace/base/err.h"

struct pool;

struct mql_limits {
	size_t text_bytes_max;        /* of the query; default 16 KiB */
	uint64_t points_max;          /* per series of a range query; 30,000 */
	uint64_t subquery_points_max; /* 100,000 */
	uint64_t series_max;          /* read by one selector */
	uint64_t samples_max;         /* read by one query; 1e9 */
	size_t memory_bytes_max;      /* of all that a query holds at a time */
};

extern const struct mql_limits mql_limits_default;

#define MQL_ROUND_OFF 100

enum mql_dialect {
	MQL_METRICSQL,
	MQL_PROMQL /* as Prometheus 3 has it; see mql_type */
};

struct mql_query {
	struct str text;
	enum mql_dialect dialect;
	struct str org;
	struct store_match_set enforced; /* AND-ed to every selector */
	const struct store_match_set
		*extra; /* extra_filters[]: OR of sets, AND-ed to every selector */
	size_t n_extra;
	bool instant;             /* then only @start_ms counts */
	int64_t start_ms, end_ms; /* as asked */
	int64_t step_ms;     /* > 0; instant: the step argument, or 0 for the default (5 min) */
	int64_t now_ms;      /* injected, so that a query can be replayed */
	int64_t lookback_ms; /* max_lookback; 0 = not set */
	int64_t latency_offset_ms; /* 30 s by default */
	bool nocache;              /* no result may come from a cache; no alignment of the range */
	bool no_pushdown;          /* see pushdown.h; for tests */
	bool trace;                /* say what was done; see mql_result */
	int round_digits; /* rounds results; below 0 to tens, hundreds …; MQL_ROUND_OFF = off */
	uint64_t deadline_mono_ns;       /* 0 = none */
	const _Atomic bool *cancelled;   /* becomes true when nobody waits any more; NULL = never */
	const struct mql_limits *limits; /* NULL = default */
	struct pool *pool; /* whose threads help; NULL = none. The answer does not depend on it */
};

enum mql_type {
	MQL_VECTOR,
	MQL_MATRIX,
	MQL_SCALAR, /* PromQL only: one series without labels */
	MQL_STRING  /* PromQL only: mql_result.text, and a series for its time */
};

struct mql_series {
	const struct label *labels; /* __name__ first if any, then sorted; values UTF-8 */
	uint32_t n_labels;
	uint32_t n; /* > 0 */
	bool gaps;  /* a NaN is no point; else it is one: the stale mark of a raw sample */
	const int64_t *ts_ms; /* series of one range share it */
	const double *values;
};

struct mql_result {
	enum mql_type type;
	const struct mql_series *series; /* in answer order */
	size_t n_series;
	struct str text; /* MQL_STRING */
	uint64_t series_fetched, samples_read;
	struct str warning; /* a sentence about stored data that is left out as damaged, or "" */
	struct str trace;   /* {"duration_msec":..,"message":..,"children":[..]}, or "" */
	struct arena arena; /* owns all of the above */
};

/*
 * mql_eval() - runs a query. @ret is filled only on success and freed by mql_result_done().
 *
 * Returns 0, or with @e (a sentence; e->pos = byte of the query for syntax errors)
 *   -EINVAL     the query is wrong (syntax, unknown function, arity, types, matching)
 *   -ENOSPC     a limit (points, series, samples, memory): the sentence names it and its value
 *   -ECANCELED  the deadline passed, or the query was cancelled
 *   -ENOMEM, -EIO, -EBADMSG
 */
int mql_eval(struct store *s, const struct mql_query *q, struct mql_result *ret, struct err *e);
void mql_result_done(struct mql_result *r);

/*
 * mql_parse_selector() - a lone series selector (match[] and extra_filters[] arguments) into
 * match
 * sets that live in @arena. -EINVAL with @e when it is anything else.
 */
int mql_parse_selector(struct str text, struct arena *arena,
                       const struct store_match_set **ret_sets, size_t *ret_n, struct err *e);

/* Canonical text of a query on one line: what parses prints, and reads back equal. */
int mql_format(struct str text, struct buf *out, struct err *e);

/* The same with its WITH templates as they are, on several lines where one would be too long. */
int mql_prettify(struct str text, struct buf *out, struct err *e);

/* The query as it is evaluated: templates and constants worked out, filters where they count. */
int mql_expand(struct str text, struct buf *out, struct err *e);

/*
 * A raw-duration argument ("5m", "1h30m", "1.5", "5i" refused): seconds or units to
 * milliseconds.
 */
int mql_parse_duration_ms(struct str text, int64_t *ret_ms);

/* Calls @fn for each metric name that a selector of the query asks for by =. -EINVAL, -ENOMEM. */
typedef void (*mql_name_f)(void *ctx, struct str name);
int mql_names(struct str text, mql_name_f fn, void *ctx);
