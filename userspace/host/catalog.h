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

#include <stdint.h>

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
