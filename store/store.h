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
 *               float64 values are kept bit-exact, stale marks too; an ordinary NaN is not
 *               stored. Two samples of one series and time: the larger value wins, a stale mark
 *               loses to any number.
 * Durability    store_append() returns after the batch is on disk (fdatasync; wal_sync ALWAYS) or
 *               handed to the kernel (INTERVAL). What it has acknowledged survives kill -9, and
 *               with ALWAYS a power cut.
 * Threads       Every function may be called from any thread, except open and close. A scan sees
 *               one moment (snapshot).
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
	uint64_t disk_reserve_bytes;  /* merges leave so much free space */
	/*
	 * No threads: flushes, merges and retention happen when store_maintain() is called. For
	 * tests and for tools.
	 */
	bool is_manual;
	/* Replay progress, for the log and systemd: called now and then; may be NULL. */
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes);
	void *progress_ctx;
};

/* -EBUSY another process has it; -EPROTO a newer format; -EBADMSG, -EIO, -ENOSPC, -ENOMEM. */
int store_open(struct store **ret, const struct store_conf *conf, struct err *e);
void store_close(struct store *s); /* flushes and syncs; NULL is fine */

bool store_org_is_valid(struct str org);

/* ---- writing --------------------------------------------------------------------------------- */

enum store_refusal {
	STORE_REFUSED_TOO_OLD, /* before the retention */
	STORE_REFUSED_TOO_NEW, /* more than 2 days ahead */
	STORE_REFUSED_NO_NAME, /* no metric name */
	STORE_REFUSED_LABELS,  /* too many, too long, duplicate or empty names */
	STORE_REFUSED_UTF8,
	STORE_REFUSED_NAN,        /* ordinary NaN: nothing to keep, not an error of the client */
	STORE_REFUSED_ORG,        /* of an organisation that the writer may not write to */
	STORE_REFUSED_SERIES,     /* the organisation has as many series as it may have */
	STORE_REFUSED_NEW_SERIES, /* too many new ones within an hour */
	STORE_REFUSED_RATE,       /* too many samples a second: the only one to try again later */
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
 *   -EIO, -ENOSPC, -ENOMEM  nothing was acknowledged; the caller must report failure,
 *            and a part of the batch may be found after a restart
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

/* ---- reading --------------------------------------------------------------------------------- */

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
 * latter is how a token's scope gets in, and query text cannot empty it. No sets = every series.
 */
struct store_select {
	struct str org;
	const struct store_match_set *sets;
	size_t n_sets;
	struct store_match_set enforced;
	int64_t min_ms, max_ms;        /* inclusive */
	uint64_t deadline_mono_ns;     /* 0 = none; past it calls return -ECANCELED */
	const _Atomic bool *cancelled; /* NULL = never; when true, the same */
	uint64_t series_max;           /* 0 = none; above it -ENOSPC */
	uint64_t samples_max;          /* decoded by one scan; 0 = none; above it -ENOSPC */
};

struct store_scan;

/*
 * store_scan_open() - fixes what is read: the series, in key order (metric name, then the other
 * labels, bytewise), and the samples that they have at this moment: all of a batch that was
 * appended, or nothing of it. Returns 0 or -EINVAL (bad regular expression, with @e), -ENOSPC,
 * -ECANCELED, -ENOMEM.
 */
int store_scan_open(struct store *s, const struct store_select *sel, struct store_scan **ret,
                    struct err *e);
void store_scan_close(struct store_scan *scan);

/* How many series there are; some may turn out to have no sample in range. */
size_t store_scan_n(const struct store_scan *scan);

/*
 * Labels are numbered within a scan: equal numbers are equal labels, and equal names have equal
 * pointers. Of a series the metric name comes first, the others sorted by name. All is valid until
 * the scan is closed; any thread.
 */
const uint32_t *store_scan_label_ids(const struct store_scan *scan, size_t i, uint32_t *ret_n);
const struct label *store_scan_label(const struct store_scan *scan, uint32_t id);
uint32_t store_scan_n_labels(const struct store_scan *scan); /* ids are below */
/* The labels of series @i, sorted by name, into @ret (room for LABELS_MAX). Returns how many. */
uint32_t store_scan_labels(const struct store_scan *scan, size_t i, struct label *ret);

/* One series with its samples in [min_ms, max_ms]. */
struct store_series {
	const struct label *labels; /* sorted by name; only from store_scan_next() */
	uint32_t n_labels;
	uint32_t n; /* samples, ascending time, no duplicates */
	/*
	 * Both aligned to 32 bytes with room for 4 elements behind, valid until the reader's next
	 * read. Values may be written to. A series with the same times as the one read before has
	 * the same pointer, and its content has not changed.
	 */
	const int64_t *ts_ms;
	double *values;
};

/*
 * Reads samples of a scan; one for each thread, any number of them. Series are best read in
 * ascending order.
 */
struct store_reader;
int store_reader_new(struct store_scan *scan, struct store_reader **ret); /* -ENOMEM */
void store_reader_free(struct store_reader *r);                           /* NULL is fine */
/* @ret->n may be 0. 0, -ENOSPC (samples_max), -ECANCELED, -ENOMEM, -EIO. */
int store_reader_read(struct store_reader *r, size_t i, struct store_series *ret);

/* The next series with samples: 0, 1 at the end, or as store_reader_read(). One owner. */
int store_scan_next(struct store_scan *scan, struct store_series *ret);

/*
 * What could not be read, because it is damaged, is left out. A sentence about the first of it, for
 * the result's warnings, and how many there were; NULL when all is well.
 */
const char *store_scan_warning(struct store_scan *scan, uint64_t *ret_n);

/* What a scan took so far. */
struct store_scan_cost {
	uint64_t series, blocks, pages, page_bytes, samples;
};
void store_scan_cost(struct store_scan *scan, struct store_scan_cost *ret);

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

/* ---- organisations --------------------------------------------------------------------------- */

/* What one organisation may do; 0 everywhere = what the store allows to all. */
struct store_limits {
	int64_t retention_ms;
	uint64_t series_max; /* in memory: those with samples in the last hours */
	uint64_t new_series_per_hour_max;
	uint64_t samples_per_s_max; /* on average over ten seconds */
	uint32_t labels_max, label_name_bytes_max, label_value_bytes_max;
};

/* At any time; holds for what comes, and until the store is closed. -EINVAL no slug, -ENOMEM. */
int store_set_limits(struct store *s, struct str org, const struct store_limits *limits);

struct store_org_stats {
	uint64_t series, labels; /* in memory */
	uint64_t accepted, refused[STORE_REFUSED_N];
	struct store_limits limits;
	uint64_t samples_left, new_series_left; /* of the rates; UINT64_MAX without a limit */
};
typedef int (*store_org_f)(void *ctx, struct str org, const struct store_org_stats *stats);
int store_orgs_each(struct store *s, store_org_f fn, void *ctx);

/* ---- deleting -------------------------------------------------------------------------------- */

/*
 * store_delete() - all samples in [min_ms, max_ms] that the selected series have now; of @sel only
 * the organisation, the matchers, the range and the deadline count. They are hidden at once and for
 * good, and leave the disk within hours. What is written later, whatever its time, is not deleted.
 *
 * @ret_series: how many series had something in the range. 0, -EINVAL (no slug, bad expression),
 * -EAGAIN with @e (try again later), -ECANCELED, -EIO, -ENOSPC, -ENOMEM: all is as it was.
 * Cost: a flush.
 */
int store_delete(struct store *s, const struct store_select *sel, uint64_t *ret_series,
                 struct err *e);

/* ---- snapshots ------------------------------------------------------------------------------- */

#define STORE_SNAPSHOT_NAME_MAX 40u

/*
 * A snapshot is a folder DIR/snapshots/NAME with all samples that were acknowledged before it was
 * begun. It is a store by itself: it can be copied, or opened where it is. It takes no space until
 * blocks of this store are replaced.
 *
 * store_snapshot_create() - makes one; @ret_name has STORE_SNAPSHOT_NAME_MAX bytes. -EIO, -ENOSPC,
 * -ENOMEM with @e, or -EXDEV, -EPERM where the file system has no hard links. Cost: a flush, and
 * then two files a block.
 */
int store_snapshot_create(struct store *s, char *ret_name, struct err *e);

/* Calls @fn with each name, in any order; its negative result stops. */
int store_snapshots_each(struct store *s, store_text_f fn, void *ctx);

/* -ENOENT with @e when there is none of this name, whatever @name is. */
int store_snapshot_delete(struct store *s, struct str name, struct err *e);

/* ---- about itself ---------------------------------------------------------------------------- */

struct store_stats {
	uint64_t orgs, series, samples; /* in memory; samples that no block has */
	uint64_t memory_bytes;
	uint64_t wal_bytes, wal_segments, wal_syncs, wal_errors;
	uint64_t appends, accepted, refused[STORE_REFUSED_N];
	uint64_t replayed_records, replay_bad_records, replay_cut_bytes;
	uint64_t replay_ms;
	uint64_t blocks, block_bytes, block_samples, bad_pages;
	uint64_t flushes, flush_errors, flushed_samples;
	uint64_t merges, merge_errors, merged_samples;
	uint64_t merges_put_off; /* for want of free space */
	uint64_t expired_blocks; /* removed, older than all retentions */
	uint64_t written_bytes;  /* of blocks, since the start */
};

void store_stats(struct store *s, struct store_stats *ret);

/* Writes all that is only in memory and the log to blocks. 0, -EIO, -ENOSPC, -ENOMEM. */
int store_flush(struct store *s);

/*
 * Flushes, and merges all blocks as if their time were over: for backups of little size, and before
 * a machine is retired. Takes its time. As store_flush(), and -EBADMSG for a damaged block,
 * -ECANCELED when the store is being closed.
 */
int store_merge(struct store *s);

/* What the store's threads do, once: for manual stores. */
void store_maintain(struct store *s);

/* ---- files that no store has open ------------------------------------------------------------ */

struct store_check {
	uint64_t blocks, series, labels, samples; /* that were looked at */
	uint64_t wal_segments, wal_frames, bytes;
	uint64_t faults;
};

/* One fault: file, place and what is wrong, as a sentence. */
typedef void (*store_fault_f)(void *ctx, const char *sentence);

/*
 * store_verify() - looks at every checksum and at what must go together, and changes nothing. 0:
 * all was looked at, and @ret says what was found. -ENOENT no store, -EBUSY in use, -EBADMSG and
 * -EPROTO a MANIFEST that cannot be read, -ENOMEM, all with @e.
 */
int store_verify(const char *dir, store_fault_f fn, void *ctx, struct store_check *ret,
                 struct err *e);

/* What is there, as a text. As store_verify(); a store that is in use may be looked at, too. */
int store_dump(const char *dir, struct buf *out, struct err *e);
