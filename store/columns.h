/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Decoded samples of one series: times and values, side by side. They are gathered from several
 * places and then, where those overlap, put in order.
 */

#include "store/chunk.h"
#include "userspace/base/sample.h"

#define COLUMNS_SLACK 8u /* elements behind the last one, for whoever works on vectors */

struct columns {
	int64_t *ts_ms; /* both aligned to 32 bytes */
	double *values;
	size_t n, cap;
	struct sample *scratch;
	size_t scratch_cap;
	/* The last column of timestamps of the head that was decoded. */
	uint64_t times_serial;
	int64_t times[CHUNK_SAMPLES_MAX];
};

void columns_done(struct columns *c);
int columns_reserve(struct columns *c, size_t n); /* room for @n in all; -ENOMEM */

/*
 * columns_join() - sorts what stands behind the first @from and joins equal times: the larger value
 * stays, a stale mark loses. -ENOMEM. Linear when there is nothing to do.
 */
int columns_join(struct columns *c, size_t from);
