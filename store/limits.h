/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What one organisation may write, and how much of it is used.
 *
 * Rates    are buckets that fill steadily: samples hold ten seconds, new series one hour.
 * Threads  atomics: changed at any time, looked at by every append. Racing appends may pass a limit
 *          by what they bring at once.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/labels.h"

struct bucket {
	_Atomic uint64_t per_s_micro; /* how fast it fills, in millionths; 0 = no limit */
	_Atomic uint64_t capacity;
	_Atomic int64_t level;      /* may be below 0: what was taken on credit */
	_Atomic uint64_t filled_ns; /* CLOCK_MONOTONIC */
};

struct limits {
	_Atomic int64_t retention_ms; /* 0 = that of the store */
	_Atomic uint64_t series_max;  /* 0 = none */
	_Atomic uint32_t labels_max, name_bytes_max, value_bytes_max;
	struct bucket samples, new_series;
	_Atomic uint64_t accepted, refused[STORE_REFUSED_N];
};

void limits_init(struct limits *l);
void limits_set(struct limits *l, const struct store_limits *from);
struct store_limits limits_get(const struct limits *l);
struct label_limits limits_of_labels(const struct limits *l);

/* Takes @n when there is anything left, if need be on credit. */
bool bucket_take(struct bucket *b, uint64_t n, uint64_t mono_ns);
/* What is left; UINT64_MAX without a limit. */
uint64_t bucket_left(struct bucket *b, uint64_t mono_ns);
