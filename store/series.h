/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One series in memory.
 *
 * Shape     What every append touches is in two cache lines, and series that came one after the
 *           other are neighbours, so the series of one host are read and written straight on. The
 *           rest is behind a pointer: labels, chunks, samples that came late.
 * Order     Samples that are newer than all before have positions, counted from the first one that
 *           the series ever had; open ones are the last. A late sample stands by itself, unordered,
 *           in the order of its arrival, which is its position among the late ones.
 * Positions A flush writes the samples between two positions, a scan reads up to the position that
 * it
 *           found when it was opened. mark is the position at which the epoch began.
 * Threads   labels never change; samples are guarded by the series' own lock; mark, flushed and
 *           floor by who may change them (store/head.h).
 */

#include "store/chunk.h"
#include "store/columns.h"
#include "store/spin.h"
#include "store/store.h"

#define SERIES_TAIL 56u

/* Positions of one series: of samples in order, and of late ones. */
struct position {
	uint32_t n, n_late;
};

struct late_samples {
	struct sample *v;
	uint32_t n, cap;
	uint32_t n_dropped; /* position of v[0] */
	uint32_t mark, flushed, floor;
};

struct series_more {
	struct chunk **chunks;
	uint32_t n_chunks, chunks_cap;
	uint32_t
		n_dropped; /* position of the first sample of chunks[0], or of the first open one */
	uint8_t *open;     /* open samples that are not in the tail any more */
	uint16_t open_len, open_cap;
	uint16_t n_labels;
	struct late_samples *late; /* NULL = never any */
	uint32_t labels[];         /* numbers in the tenant's texts; the metric name first */
};

struct series {
	struct spin lock;
	uint8_t mode; /* of the open samples */
	uint8_t n_open;
	uint8_t tail_len;
	uint32_t number; /* of all series (store/head.h) */
	uint32_t chain;  /* of the log, in which it is registered; under the log's lock */
	uint32_t epoch;  /* of its last append */
	uint32_t n;      /* position behind the last sample */
	uint32_t mark, flushed, floor;
	struct chunk_state state;
	struct series_more *more;
	uint8_t tail[SERIES_TAIL]; /* the last open samples */
	uint32_t tenant;           /* its number */
	uint32_t id;               /* in the tenant */
};
_Static_assert(sizeof(struct series) == 128, "two cache lines");

/* Fills @s, whose memory is the caller's. -ENOMEM. *@bytes is raised by the memory that it took. */
int series_init(struct series *s, uint32_t tenant, const uint32_t *labels, uint32_t n_labels,
                int64_t *bytes);
void series_done(struct series *s, struct times_table *times); /* leaves more NULL */
size_t series_memory(const struct series *s); /* without samples, and without @s itself */

/* What a batch of appends carries from series to series. */
struct append_hint {
	struct times_table *table;
	int64_t bytes; /* raised by the memory that appends take */
	uint32_t epoch;
	/* The last column of timestamps that was closed: the next series has the same, mostly. */
	struct times *times;
	uint32_t n;
	int64_t ts_ms[CHUNK_SAMPLES_MAX];
};

void append_hint_done(struct append_hint *h);

/* Takes the lock. -ENOMEM: the sample is not there. */
int series_append(struct series *s, const struct sample *x, struct append_hint *hint);

/* Which samples of a series, and of when. */
struct series_range {
	struct position from, to; /* positions, to exclusive */
	int64_t min_ms, max_ms;
};

/*
 * series_read() - appends the samples of the range, in any order and not yet joined, behind the
 * first c->n. *@ret_sorted: they ascend. Takes the lock. 0 or -ENOMEM.
 */
int series_read(struct series *s, const struct series_range *range, struct columns *c,
                bool *ret_sorted);

/* Positions of a scan that begins now, or false when no sample is in the range. Takes the lock. */
bool series_snapshot(struct series *s, int64_t min_ms, int64_t max_ms, struct position *ret_from,
                     struct position *ret_to);

/* Positions that a flush of the epochs before @epoch writes. Takes the lock. */
void series_unflushed(struct series *s, uint32_t epoch, struct position *ret_from,
                      struct position *ret_to);
void series_set_flushed(struct series *s, const struct position *to);

/* From now on scans begin behind what is flushed. */
void series_raise_floor(struct series *s);
/* Frees what is before the floor; returns the bytes freed. Takes the lock. */
size_t series_drop(struct series *s, struct times_table *times);
/* No sample in memory, and no append since before @epoch. */
bool series_is_idle(const struct series *s, uint32_t epoch);
