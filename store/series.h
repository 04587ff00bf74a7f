/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One series in memory: its labels, interned in the index, and its recent samples.
 *
 * Shape    sealed chunks and an open one, in time order; samples that came later than newer ones
 *          stand by themselves, unordered, until somebody reads. Two samples of one time: the
 *          larger value stays, a stale mark loses.
 * Epochs   Each chunk and each late sample belongs to the epoch of the head in which it came. A
 *          reader names the epochs it wants, so a flush and a scan each see exactly their part.
 * Threads  labels never change; samples are guarded by the series' own lock.
 */

#include "store/chunk.h"
#include "store/index.h"
#include "store/spin.h"
#include "store/store.h"

struct late_sample {
	struct sample sample;
	uint32_t epoch;
};

struct series {
	struct spin lock;
	uint8_t mode;    /* of the next chunk */
	uint8_t name_at; /* index of the metric name in labels[] */
	uint16_t n_labels;
	uint32_t id;      /* in its tenant, dense */
	uint64_t ref;     /* in the WAL; unique in the store's life */
	uint64_t segment; /* of the WAL where it is registered; under the WAL's lock */
	struct tenant *tenant;
	struct chunk *open;
	struct chunk_state state; /* of the open chunk */
	struct chunk **sealed;
	uint32_t n_sealed, sealed_cap;
	uint32_t n_late, late_cap;
	struct late_sample *late;
	int64_t newest_ms;            /* of the chunks */
	_Atomic uint32_t refs;        /* the head's and each scan's */
	struct index_value *labels[]; /* sorted by name */
};

/* @labels as index_add() gave them. NULL when out of memory. */
struct series *series_new(struct index_value *const *labels, uint32_t n_labels);
size_t series_memory(const struct series *s); /* without samples */
void series_ref(struct series *s);
void series_unref(struct series *s); /* NULL is fine */

/* Takes the lock. -ENOMEM. *@bytes is raised by the memory that it took. */
int series_append(struct series *s, const struct sample *x, uint32_t epoch, int64_t *bytes);

/* Epochs @from to @to, inclusive. */
struct epochs {
	uint32_t from, to;
};

struct series_columns {
	int64_t *ts_ms;
	double *values;
	size_t n, cap;
	struct sample *scratch;
	size_t scratch_cap;
};
void series_columns_done(struct series_columns *c);
int series_columns_reserve(struct series_columns *c, size_t n); /* -ENOMEM */

/*
 * series_read() - appends the samples in [min_ms, max_ms] of these epochs, merged and ascending,
 * behind the first c->n, which it neither reads nor changes. Takes the lock. 0 or -ENOMEM.
 */
int series_read(struct series *s, struct epochs epochs, int64_t min_ms, int64_t max_ms,
                struct series_columns *c);

/* Is there a sample in the range? Exact to a chunk's own range. Takes the lock. */
bool series_overlaps(struct series *s, struct epochs epochs, int64_t min_ms, int64_t max_ms);

/* Frees what belongs to epochs up to @epoch. Returns the bytes freed. Takes the lock. */
size_t series_drop(struct series *s, uint32_t epoch);

/*
 * Sorts what stands behind the first @from and joins equal times; -ENOMEM. For parts that were
 * appended one after another and may overlap.
 */
int series_columns_merge(struct series_columns *c, size_t from);

/*
 * Canonical form into @ret (borrowed slices, room for LABELS_MAX): sorted by name, no empty values.
 * Returns 0, or -EINVAL with the reason and a sentence.
 */
int series_canonical(const struct label *labels, uint32_t n, struct label *ret, uint32_t *ret_n,
                     enum store_refusal *ret_why, struct err *e);

/* Key order: the metric name first, then names and values bytewise. */
int series_cmp_labels(const struct label *a, uint32_t n_a, const struct label *b, uint32_t n_b);
int series_cmp(const struct series *a, const struct series *b);
/* Fills @ret (room for LABELS_MAX) with borrowed slices; returns how many. */
uint32_t series_labels(const struct series *s, struct label *ret);
