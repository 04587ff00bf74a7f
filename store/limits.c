/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/limits.h"

#include "userspace/base/util.h"

#define SAMPLES_BURST_S 10u
#define HOUR_S          3600u
#define MICRO           1000000ull

static void bucket_set(struct bucket *b, uint64_t per_s_micro, uint64_t capacity)
{
	bool was_off = atomic_load(&b->per_s_micro) == 0;

	atomic_store(&b->per_s_micro, per_s_micro);
	atomic_store(&b->capacity, capacity);
	if (was_off || atomic_load(&b->level) > (int64_t)capacity)
		atomic_store(&b->level, (int64_t)capacity);
}

void limits_init(struct limits *l)
{
	limits_set(l, &(const struct store_limits){ 0 });
}

static uint32_t at_most(uint32_t wanted, uint32_t max)
{
	return wanted == 0 ? max : MIN(wanted, max);
}

void limits_set(struct limits *l, const struct store_limits *from)
{
	atomic_store(&l->retention_ms, from->retention_ms);
	atomic_store(&l->series_max, from->series_max);
	atomic_store(&l->labels_max, at_most(from->labels_max, LABELS_MAX));
	atomic_store(&l->name_bytes_max, at_most(from->label_name_bytes_max, LABEL_NAME_MAX));
	atomic_store(&l->value_bytes_max, at_most(from->label_value_bytes_max, LABEL_VALUE_MAX));
	bucket_set(&l->samples, from->samples_per_s_max * MICRO,
	           from->samples_per_s_max * SAMPLES_BURST_S);
	bucket_set(&l->new_series, from->new_series_per_hour_max * MICRO / HOUR_S,
	           from->new_series_per_hour_max);
}

struct store_limits limits_get(const struct limits *l)
{
	return (struct store_limits){
		.retention_ms = atomic_load(&l->retention_ms),
		.series_max = atomic_load(&l->series_max),
		.new_series_per_hour_max = atomic_load(&l->new_series.capacity),
		.samples_per_s_max = atomic_load(&l->samples.capacity) / SAMPLES_BURST_S,
		.labels_max = atomic_load(&l->labels_max),
		.label_name_bytes_max = atomic_load(&l->name_bytes_max),
		.label_value_bytes_max = atomic_load(&l->value_bytes_max),
	};
}

struct label_limits limits_of_labels(const struct limits *l)
{
	return (struct label_limits){ atomic_load(&l->labels_max), atomic_load(&l->name_bytes_max),
		                      atomic_load(&l->value_bytes_max) };
}

/* One of those who come together fills it; the others find it filled. */
static void fill(struct bucket *b, uint64_t mono_ns)
{
	uint64_t then = atomic_load(&b->filled_ns);
	double more = (double)(mono_ns - then) * 1e-15 * (double)atomic_load(&b->per_s_micro);
	int64_t capacity = (int64_t)atomic_load(&b->capacity), level;

	/* Below a whole one the time is left to gather. */
	if (mono_ns <= then || more < 1 ||
	    !atomic_compare_exchange_strong(&b->filled_ns, &then, mono_ns))
		return;
	more = MIN(more, (double)capacity);
	level = atomic_load(&b->level);
	while (!atomic_compare_exchange_weak(&b->level, &level,
	                                     MIN(capacity, level + (int64_t)more)))
		;
}

bool bucket_take(struct bucket *b, uint64_t n, uint64_t mono_ns)
{
	if (atomic_load_explicit(&b->per_s_micro, memory_order_relaxed) == 0)
		return true;
	fill(b, mono_ns);
	if (atomic_load(&b->level) <= 0)
		return false;
	atomic_fetch_sub(&b->level, (int64_t)n);
	return true;
}

uint64_t bucket_left(struct bucket *b, uint64_t mono_ns)
{
	if (atomic_load(&b->per_s_micro) == 0)
		return UINT64_MAX;
	fill(b, mono_ns);
	return (uint64_t)MAX((int64_t)atomic_load(&b->level), (int64_t)0);
}
