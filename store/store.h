/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The embedded time-series engine, and all that others may know of it.
 *
 * Organisation  The first key of everything: a slug, [a-z0-9][a-z0-9_-]{0,62}. No call crosses
 *               it.
 * Series        A set of labels with a metric name. Stored in canonical form: sorted by name, no
 *               empty values, no duplicates, UTF-8.
 * Samples       Any int64 milliseconds within [now - retention, now + 2 d], in any order. All
 *               float64
 *               values are kept bit-exact, stale marks too; an ordinary NaN is not stored. Two
 *               samples
 *               of one series and time: the larger value wins, a stale mark loses to any number.
 * Durability    store_append() returns after the batch is on disk (fdatasync; wal_sync ALWAYS) or
 *               handed to the kernel (INTERVAL). What it has acknowledged survives kill -9, and
 *               with
 *               ALWAYS a power cut.
 * Threads       Every function may be called from any thread, except open and close. A scan has
 *               one
 *               owner and sees one moment (snapshot).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

#define STORE_FUTURE_MS_MAX (2ll * 86400 * 1000)

struct store;

enum store_wal_sync {
	STORE_SYNC_ALWAYS,
	STORE_SYNC_INTERVAL
};

struct store_conf {
	const char *dir; /* created when missing */
	int64_t retention_ms;
	enum store_wal_sync wal_sync;
	int64_t wal_sync_interval_ms; /* for INTERVAL */
	uint64_t memory_max_bytes;    /* of the head; above it appends get -EAGAIN; 0 = no limit */
	/* Replay progress, for the log and systemd: called now and then; may be NULL. */
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes);
	void *progress_ctx;
};

/* -EBUSY another process has it; -EPROTO a newer format; -EBADMSG, -EIO, -ENOSPC, -ENOMEM. */
int store_open(struct store **ret, const struct store_conf *conf, struct err *e);
void store_close(struct store *s); /* flushes and syncs; NULL is fine */

bool store_org_is_valid(struct str org);

/*
 * ---- writing
 * -----------------------------------------------------------------------------------
 */

enum store_refusal {
	STORE_REFUSED_TOO_OLD, /* before the retention */
	STORE_REFUSED_TOO_NEW, /* more than 2 days ahead */
	STORE_REFUSED_NO_NAME, /* no metric name */
	STORE_REFUSED_LABELS,  /* too many, too long, duplicate or empty names */
	STORE_REFUSED_UTF8,
	STORE_REFUSED_NAN, /* ordinary NaN: nothing to keep, not an error of the client */
	STORE_REFUSED_ORG, /* of an organisation that the writer may not write to */
	STORE_REFUSED_N,
};

struct store_append_result {
	uint64_t accepted;                 /* samples */
	uint64_t refused[STORE_REFUSED_N]; /* samples, by reason */
	struct err first;                  /* sentence about the first refused series, if any */
};

const char *store_refusal_name(enum store_refusal why); /* label value: too_old, … */

/*
 * store_append() - appends @n series to @org, all or nothing but for refused samples, which are
 * counted and named in @ret.
 *
 * Returns 0 when every sample not refused is durable and visible to the next scan, or
 *   -EINVAL  @org is not a valid slug
 *   -EAGAIN  memory limit; nothing was taken, try again later
 *   -EIO, -ENOSPC, -ENOMEM  nothing was acknowledged; the caller must report failure, and a part
 *   of
 *            the batch may be found after a restart
 * Cost: one hash and one probe for each known series; blocks for the group commit.
 */
int store_append(struct store *s, struct str org, const struct series_in *series, size_t n,
                 struct store_append_result *ret);

#define STORE_RESOLVE_LABELS (LABELS_MAX + 8u) /* more than a series may have: to say so */

struct store_resolver {
	struct str scope; /* within one scope the same bytes always mean the same series */
	/*
	 * Reads @key into @labels (room for STORE_RESOLVE_LABELS), which may borrow from it, and
	 * says whose series that is. -EINVAL with @e when it is no label set, -EPERM with @e when
	 * it is of an organisation that is out of reach.
	 */
	int (*resolve)(void *ctx, struct str key, struct label *labels, uint32_t *ret_n,
	               struct str *ret_org, struct err *e);
	void *ctx;
};

/*
 * store_append_keyed() - as store_append(), for writers that send the same bytes again and again:
 * what they mean is asked only when they are new.
 */
int store_append_keyed(struct store *s, const struct store_resolver *by,
                       const struct series_keyed *v, size_t n, struct store_append_result *ret);

/*
 * ---- reading
 * -----------------------------------------------------------------------------------
 */

enum store_match_op {
	STORE_EQ,
	STORE_NE,
	STORE_RE,
	STORE_NRE
};

/* A missing label equals the empty value. Regular expressions are RE2, anchored at both ends. */
struct store_matcher {
	enum store_match_op op;
	struct str name, value;
};

/* All matchers of a set must hold (AND). */
struct store_match_set {
	const struct store_matcher *v;
	size_t n;
};

/*
 * What to read. A series is in when any of @sets holds (OR) and all of @enforced hold: the
 * latter is
 * how a token's scope gets in, and it is never empty-able by query text. No sets = every series.
 */
struct store_select {
	struct str org;
	const struct store_match_set *sets;
	size_t n_sets;
	struct store_match_set enforced;
	int64_t min_ms, max_ms;    /* inclusive */
	uint64_t deadline_mono_ns; /* 0 = none; past it calls return -ECANCELED */
	uint64_t series_max;       /* 0 = none; above it -ENOSPC */
	uint64_t samples_max;      /* decoded by one scan; 0 = none; above it -ENOSPC */
};

struct store_scan;

/* One series with its samples in [min_ms, max_ms]; everything is valid until the next call. */
struct store_series {
	const struct label *labels; /* sorted by name */
	uint32_t n_labels;
	uint32_t n; /* samples, > 0, ascending time, no duplicates */
	const int64_t *ts_ms;
	const double *values;
};

/*
 * store_scan_open() - fixes a snapshot and finds the series, in key order (labels bytewise,
 * metric name
 * first). Returns 0 or -EINVAL (bad regular expression, with @e), -ENOSPC, -ECANCELED, -ENOMEM.
 */
int store_scan_open(struct store *s, const struct store_select *sel, struct store_scan **ret,
                    struct err *e);
size_t store_scan_series_max(const struct store_scan *scan); /* upper bound of what will come */
int store_scan_next(struct store_scan *scan,
                    struct store_series *ret); /* 0 item, 1 end, < 0 error */
void store_scan_close(struct store_scan *scan);

/*
 * Splits what is left of the scan for parallel reading: index i of n scans reads its own share
 * of the
 * series (contiguous in key order). Not after the first store_scan_next().
 */
int store_scan_split(struct store_scan *scan, unsigned n, struct store_scan **ret_parts);

/* Calls @fn for each series with a sample in range, in key order; its negative result stops. */
typedef int (*store_labels_f)(void *ctx, const struct label *labels, uint32_t n_labels);
int store_series_each(struct store *s, const struct store_select *sel, store_labels_f fn, void *ctx,
                      struct err *e);

/*
 * Distinct label names, or values of one label, in bytewise order. Same errors as
 * store_scan_open().
 */
typedef int (*store_text_f)(void *ctx, struct str text);
int store_label_names(struct store *s, const struct store_select *sel, store_text_f fn, void *ctx,
                      struct err *e);
int store_label_values(struct store *s, const struct store_select *sel, struct str label,
                       store_text_f fn, void *ctx, struct err *e);

/*
 * ---- about itself
 * ------------------------------------------------------------------------------
 */

struct store_stats {
	uint64_t orgs, series, samples; /* in the head */
	uint64_t memory_bytes;
	uint64_t wal_bytes, wal_segments, wal_syncs, wal_errors;
	uint64_t appends, accepted, refused[STORE_REFUSED_N];
	uint64_t replayed_records, replay_bad_records, replay_cut_bytes;
	uint64_t replay_ms;
};

void store_stats(struct store *s, struct store_stats *ret);
