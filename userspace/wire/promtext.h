/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Prometheus exposition text 0.0.4 (with the timestamps and the UTF-8 quoted names of 1.0.0) and
 * OpenMetrics 1.0: an untrusted-input parser that pushes samples as it meets them, and the escapes
 * of the writer. Reference: docs/format/exposition.md.
 *
 * A malformed line costs that line: it is reported with its number through @bad, and parsing goes
 * on behind it. Nothing is allocated for each line; label slices point into the text, or into a
 * scratch buffer of the parser when they held escapes, and are valid only during the callback.
 *
 *	OpenMetrics      timestamps are seconds, with a fraction; it is whole only when it ends in
 *	                 "# EOF"; "# UNIT" lines
 *	both             exemplars are read over; native histograms are bad, with the code
 *	                 -ENOTSUP
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

struct promtext_sample {
	const struct label *labels; /* __name__ first, then as written */
	uint32_t n_labels;
	double value;
	bool has_ts;
	int64_t ts_ms; /* when has_ts */
};

struct promtext_ops {
	/* A negative result stops parsing and is returned by promtext_parse(). */
	int (*sample)(void *ctx, const struct promtext_sample *s);
	/*
	 * # TYPE and # HELP lines; NULL = not wanted. @type is "" for HELP, @help is "" for TYPE.
	 */
	int (*metadata)(void *ctx, struct str name, struct str type, struct str help);
	/* # UNIT lines of OpenMetrics; NULL = not wanted. */
	int (*unit)(void *ctx, struct str name, struct str unit);
	/* A line that was skipped: @line counts from 1, @e says what and where (pos = column). */
	int (*bad)(void *ctx, uint64_t line, const struct err *e);
};

/*
 * Returns 0 at the end of @text, -ENOMEM, or what a callback returned.
 * Cost: one pass, O(bytes).
 */
int promtext_parse(struct str text, const struct promtext_ops *ops, void *ctx);

enum promtext_format {
	PROMTEXT_PROMETHEUS,
	PROMTEXT_OPENMETRICS
};

#define PROMTEXT_LINE_BYTES_MAX ((size_t)64 << 10)

/*
 * The same for text that comes in pieces, cut anywhere. A line above PROMTEXT_LINE_BYTES_MAX is bad
 * when it does not come in one piece.
 */
struct promtext_reader {
	enum promtext_format format;
	uint64_t line;    /* lines behind us */
	bool has_ended;   /* by # EOF */
	bool is_skipping; /* the rest of a line that is too long */
	struct buf partial, scratch;
};

#define PROMTEXT_READER_INIT(f) ((struct promtext_reader){ .format = (f) })

void promtext_reader_done(struct promtext_reader *r);
int promtext_feed(struct promtext_reader *r, struct str piece, const struct promtext_ops *ops,
                  void *ctx);
/* The end of the text. Also -EBADMSG: OpenMetrics without # EOF, so something is missing. */
int promtext_end(struct promtext_reader *r, const struct promtext_ops *ops, void *ctx);

/* Writer: name{a="b"} value [ts]\n with the escapes of the format; labels as in promtext_sample. */
void promtext_write_sample(struct buf *out, const struct label *labels, uint32_t n_labels,
                           double value, const int64_t *ts_ms);
void promtext_write_metadata(struct buf *out, const char *name, const char *type, const char *help);
