/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Comma-separated values as samples. A format says what the columns are, in any order:
 *
 *	2:metric:NAME    the value of a sample of that metric; several give several samples
 *	1:time:unix_s    when: unix_s, unix_ms, unix_ns or rfc3339; without it: now
 *	3:label:NAME     a label of all of them
 *
 * Columns that are not named are read over. A cell in quotes may hold commas, and quotes as two.
 */

#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

#define CSV_COLUMNS_MAX 1024u

enum csv_kind {
	CSV_SKIP,
	CSV_TIME,
	CSV_LABEL,
	CSV_METRIC
};

struct csv_column {
	enum csv_kind kind;
	struct str name;                                 /* of the label or metric */
	int (*read_time)(struct str text, int64_t *ret); /* -EINVAL */
};

struct csv_format {
	struct csv_column *v;
	size_t n;
};

/* -EINVAL with @e; -ENOSPC, -ENOMEM of the arena. */
int csv_format_parse(struct str text, struct arena *arena, struct csv_format *ret, struct err *e);

struct csv_row {
	struct label labels[LABELS_MAX + 1]; /* the first one is for the name of a metric */
	uint32_t n_labels;
	struct {
		struct str name;
		double value;
	} values[CSV_COLUMNS_MAX];
	size_t n_values;
	int64_t ts_ms;
	struct buf texts; /* cells with quotes in them */
};

void csv_row_done(struct csv_row *row);

/*
 * csv_row_read() - one line; its labels are slices of it or of the row's buffer. -EBADMSG with @e,
 * -ENOMEM.
 */
int csv_row_read(struct csv_row *row, const struct csv_format *format, struct str line,
                 int64_t default_ts_ms, struct err *e);
