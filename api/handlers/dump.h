/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples of many series as a stream: one scan, whose series a format writes row by row, piece by
 * piece, so that an answer of any size needs the memory of one series.
 */

#include "api/region.h"

struct dump;

struct dump_format {
	const char *content_type;
	struct str head, tail; /* of the whole answer */
	/*
	 * Appends rows of d->series from d->row on, at least one, and moves d->row; may stop when
	 * @out has grown by @want.
	 */
	void (*rows)(struct dump *d, struct buf *out, size_t want);
};

struct dump {
	const struct request *req;
	const struct dump_format *format;
	void *format_ctx; /* the format's own; in the request's arena */
	struct store_scan *scan;
	struct store_series series;
	uint32_t row;
	bool in_series, began;
	uint64_t n_series; /* begun so far */
};

/*
 * dump_reply() - reads match[] (required), start and end, opens the scan and makes the response a
 * stream. Returns the HTTP status.
 */
int dump_reply(struct region *region, struct request *req, struct response *resp,
               const struct dump_format *format, void *format_ctx, int64_t default_start_ms);
