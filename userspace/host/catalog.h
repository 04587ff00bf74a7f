/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Every series that the daemon can produce: one row of catalog.def each. A source names a row and
 * gives a number in the kernel's unit; name, exported unit, TYPE, HELP and labels follow from the
 * row.
 *
 * catalog.def: SERIES(id, "name", TYPE, scale, "source", "extra labels", "help")
 *   scale         exported = kernel value * scale, the one place where units are converted
 *   extra labels  comma-separated, besides app, region, host, instance; "" for none
 *
 *              HISTOGRAM(id, "name_seconds", "source", "extra labels", "help"), of nanoseconds:
 *              three series, id_BUCKET with the further label le in front, id_SUM and id_COUNT;
 *              batch_add_histogram() fills them from a struct histogram
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"

#define SERIES_EXTRA_MAX        4 /* extra labels of one row */
#define SERIES_STANDARD_N       4 /* app, host, instance, region */
#define SERIES_PREFIX           "fly_"
#define SERIES_PREFIX_BYTES_MAX 32

enum series_type {
	SERIES_COUNTER,
	SERIES_GAUGE,
	SERIES_HISTOGRAM
};

/* What of a histogram a row is; everything else is whole. */
enum series_part {
	SERIES_WHOLE,
	SERIES_BUCKET,
	SERIES_SUM,
	SERIES_COUNT
};

enum series_id {
#define SERIES(id, name, type, scale, source, labels, help) id,
#define HISTOGRAM(id, name, source, labels, help)           id##_BUCKET, id##_SUM, id##_COUNT,
#include "userspace/host/catalog.def"
#undef SERIES
#undef HISTOGRAM
	SERIES_N,
};

struct series_row {
	const char *name, *source, *labels, *help;
	enum series_type type;
	enum series_part part;
	double scale;
};

extern const struct series_row catalog[SERIES_N];

const char *series_type_name(enum series_type type); /* "counter", "gauge", "histogram" */

/*
 * What follows from a row, worked out once: the exported name, the extra labels apart, and the
 * order of all labels by name, as remote write wants them.
 */
struct series_layout {
	struct str name;
	struct str extra[SERIES_EXTRA_MAX];
	uint32_t n_extra;
	/* Indexes into the standard labels (< SERIES_STANDARD_N) and behind them the extra ones. */
	uint8_t order[SERIES_STANDARD_N + SERIES_EXTRA_MAX];
	double divisor; /* of a row with scale < 1: dividing by 1e7 rounds once, 1e-7 twice */
};

/* Threads: any. Cost: a table look-up after the first call. */
const struct series_layout *catalog_layout(enum series_id id);
struct str catalog_standard_label(uint32_t i); /* i < SERIES_STANDARD_N */
/* The name that TYPE and HELP go by: of a histogram's parts, what they have in common. */
struct str catalog_family(enum series_id id);

/* Good as the start of every metric name: letters, digits and _, at most 32. */
bool catalog_is_prefix(const char *prefix);

/*
 * Replaces the "fly_" that catalogue names begin with. -EINVAL when
 * @prefix is not good for that. Threads: before any batch is made, not while one is in use.
 */
int catalog_set_prefix(const char *prefix);
