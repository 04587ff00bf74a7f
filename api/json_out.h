/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * JSON written piece by piece into a growing buffer: no tree is built.
 */

#include <stdint.h>

#include "api/mql/mql.h"
#include "userspace/base/buf.h"
#include "userspace/base/json_text.h"
#include "userspace/base/sample.h"

void json_put_ts(struct buf *b, int64_t ts_ms); /* seconds, up to 3 decimals */
void json_put_value(struct buf *b, double v);   /* "1.5", "NaN", "+Inf": a string */
void json_put_labels(struct buf *b, const struct label *labels, uint32_t n); /* {"a":"b"} */

/*
 * Writer of a query's answer in the Prometheus form, resumable at any series and any point, so
 * that a big one is never in memory as text. Zeroed = at the start.
 */
struct json_result {
	const struct mql_result *result;
	uint64_t took_ms;
	size_t i;   /* series */
	uint32_t j; /* point in it */
	bool any;   /* a point of it has been written */
	enum {
		JSON_AT_HEAD,
		JSON_AT_SERIES,
		JSON_AT_POINT,
		JSON_AT_TAIL,
		JSON_AT_END
	} at;
	/* The texts of the last column of times: most series have the same. */
	const int64_t *times;
	uint32_t n_times;
	struct json_time *texts;
	uint32_t texts_cap;
};

/* Appends about @want bytes: 0 when there is more, 1 when that was all, -ENOMEM. */
int json_result_next(struct json_result *w, struct buf *out, size_t want);
void json_result_done(struct json_result *w);
