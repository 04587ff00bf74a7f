/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Reads one histogram of waits out of what a source collects, bucket by bucket. */

#include "tests/bpf/source_test.h"

#include <math.h>

#include "bpf/wait_bounds.h"
#include "userspace/base/num.h"
#include "userspace/host/histogram.h"

struct waits {
	enum series_id bucket_id;
	const char *label, *value;           /* the histogram's own */
	uint64_t buckets[WAIT_BOUNDS_N + 1]; /* not cumulative */
	uint64_t count, sum_ns;
	int n_samples;
};

static inline uint32_t bucket_of_le(struct str le)
{
	for (uint32_t i = 0; i <= WAIT_BOUNDS_N; i++) {
		if (str_eqc(le, wait_bounds.le_texts[i]))
			return i;
	}
	fail_msg("le=\"%.*s\"", (int)le.len, le.p);
	return 0;
}

static inline int take_sample(void *ctx, enum series_id id, const struct label *labels,
                              uint32_t n_labels, const struct sample *sample)
{
	struct waits *w = ctx;
	struct str le = STR("");
	bool match = id >= w->bucket_id && id <= w->bucket_id + 2;

	for (uint32_t i = 1; i < n_labels && match; i++) {
		if (str_eqc(labels[i].name, "le"))
			le = labels[i].value;
		else if (str_eqc(labels[i].name, w->label))
			match = str_eqc(labels[i].value, w->value);
	}
	if (!match)
		return 0;
	w->n_samples++;
	if (id == w->bucket_id)
		w->buckets[bucket_of_le(le)] = (uint64_t)sample->value;
	else if (id == w->bucket_id + 1)
		w->sum_ns = (uint64_t)llround(sample->value * 1e9);
	else
		w->count = (uint64_t)sample->value;
	return 0;
}

/* The histogram with @label=@value, which is there once and agrees with itself. */
static inline struct waits read_waits(const struct source_ops *ops, struct source *src,
                                      enum series_id bucket_id, const char *label,
                                      const char *value)
{
	struct waits w = { .bucket_id = bucket_id, .label = label, .value = value };
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 10000));
	assert_int_equal(0, ops->collect(src, 1000, b, NULL));
	assert_int_equal(0, batch_each(b, false, take_sample, &w));
	batch_free(b);
	assert_int_equal(WAIT_BOUNDS_N + 3, w.n_samples);
	assert_int_equal(w.count, w.buckets[WAIT_BOUNDS_N]);
	for (uint32_t i = WAIT_BOUNDS_N; i > 0; i--) {
		assert_true(w.buckets[i] >= w.buckets[i - 1]);
		w.buckets[i] -= w.buckets[i - 1];
	}
	return w;
}

/* What came between two readings. */
static inline struct waits waits_since(struct waits now, const struct waits *before)
{
	for (uint32_t i = 0; i <= WAIT_BOUNDS_N; i++)
		now.buckets[i] -= before->buckets[i];
	now.count -= before->count;
	now.sum_ns -= before->sum_ns;
	return now;
}
