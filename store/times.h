/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Columns of timestamps in memory, each there once: all series of one scrape share theirs.
 *
 * Shape    up to CHUNK_SAMPLES_MAX ascending times, encoded as on disk (store/intcol.h).
 * Life     counted references; the last one takes the column out of the table.
 * Threads  the table has a lock of its own, the last of all; a column is immutable.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct times {
	_Atomic uint32_t refs;
	uint32_t n;
	uint64_t hash;
	uint64_t serial;    /* no other column ever has it */
	struct times *next; /* of its slot; under the table's lock */
	int64_t min_ms, max_ms;
	uint32_t bytes;
	uint8_t data[];
};

struct times_table {
	pthread_mutex_t lock;
	struct times **slots;
	size_t n, cap;
	uint64_t n_made;
	_Atomic int64_t bytes;
};

int times_table_init(struct times_table *t); /* -ENOMEM */
void times_table_done(struct times_table *t);

/* A reference to the column @ts_ms[0..n). NULL when out of memory. */
struct times *times_get(struct times_table *t, const int64_t *ts_ms, uint32_t n);
void times_unref(struct times_table *t, struct times *x);

/* Fills @ret[0..x->n). Cannot fail: the bytes are our own. */
void times_decode(const struct times *x, int64_t *ret);
