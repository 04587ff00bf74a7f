/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One series in memory: its canonical labels and its samples.
 *
 * Shape    a tail of raw samples in time order, and sealed chunks. A sample older than what is
 *          sealed
 *          goes to a second, late tail. Chunks of the two kinds may overlap in time; reading
 *          merges. Two samples of one time: the larger value stays, a stale mark loses.
 * Memory   nothing is allocated for a sample until a tail is full.
 * Threads  labels never change; samples are guarded by the series' own lock (head.h).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "store/chunk.h"
#include "store/store.h"

#define SERIES_TAIL_MAX 120u /* samples: half an hour at 15 s */

struct tail {
	struct sample *v;
	uint32_t n, cap;
};

struct series {
	_Atomic uint32_t refs; /* the head's and each scan's */
	uint64_t ref;          /* in the WAL; unique in the store's life */
	uint64_t segment;      /* of the WAL where it is registered; under the WAL's lock */
	uint32_t id;           /* in its tenant, dense */
	uint32_t n_labels;
	struct label *labels; /* canonical; one block with its bytes */
	pthread_mutex_t lock;
	struct tail tail, late;
	struct chunk **chunks;
	uint32_t n_chunks, chunks_cap;
	int64_t min_ms, max_ms; /* of all samples; min > max when there is none */
	int64_t sealed_max_ms;  /* newest sealed sample; what is older goes to the late tail */
	size_t bytes;           /* of memory, for the account */
};

struct series *series_new(const struct label *labels, uint32_t n_labels);
void series_ref(struct series *s);
void series_unref(struct series *s); /* NULL is fine */

/* Takes the lock. -ENOMEM. @ret_bytes gets the change of s->bytes. */
int series_append(struct series *s, const struct sample *v, uint32_t n, int64_t *ret_bytes);

/*
 * series_read() - the samples in [min_ms, max_ms], merged, into arrays that the caller keeps and
 * reuses.
 * Takes the lock. 0 or -ENOMEM.
 */
struct series_columns {
	int64_t *ts_ms;
	double *values;
	uint32_t n, cap;
	struct sample *scratch;
	size_t scratch_cap;
};
void series_columns_done(struct series_columns *c);
int series_read(struct series *s, int64_t min_ms, int64_t max_ms, struct series_columns *ret);

/* Is there a sample in the range? Exact to a chunk's own range. Takes the lock. */
bool series_overlaps(struct series *s, int64_t min_ms, int64_t max_ms);

/* Frees chunks whose samples are all older. Returns the bytes freed. Takes the lock. */
size_t series_drop_before(struct series *s, int64_t before_ms);

/*
 * Canonical form into @ret (borrowed slices, room for LABELS_MAX): sorted by name, no empty values.
 * Returns 0, or -EINVAL with the reason and a sentence.
 */
int series_canonical(const struct label *labels, uint32_t n, struct label *ret, uint32_t *ret_n,
                     enum store_refusal *ret_why, struct err *e);

/* Key order: the metric name first, then names and values bytewise. */
int series_cmp(const struct series *a, const struct series *b);
struct str series_label(const struct series *s, struct str name); /* empty when missing */
