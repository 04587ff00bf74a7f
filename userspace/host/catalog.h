/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Every series that the daemon can produce: one row of catalog.def each. A source names a row
 * and gives
 * a number in the kernel's unit; name, exported unit, TYPE, HELP and labels follow from the row.
 *
 * catalog.def: SERIES(id, "name", TYPE, scale, "source", "extra labels", "help")
 *   scale         exported = kernel value * scale, the one place where units are converted
 *   extra labels  comma-separated, besides app, region, host, instance; "" for none
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
	SERIES_GAUGE
};

enum series_id {
#define SERIES(id, name, type, scale, source, labels, help) id,
#include "userspace/host/catalog.def"
#undef SERIES
	SERIES_N,
};

struct series_row {
	const char *name, *source, *labels, *help;
	enum series_type type;
	double scale;
};

extern const struct series_row catalog[SERIES_N];

const char *series_type_name(enum series_type type); /* "counter", "gauge" */

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

/* Good as the start of every metric name: letters, digits and _, at most 32. */
bool catalog_is_prefix(const char *prefix);

/*
 * Replaces the "fly_" that catalogue names begin with. -EINVAL when
 * @prefix is not good for that. Threads: before any batch is made, not while one is in use.
 */
int catalog_set_prefix(const char *prefix);
