/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever parses, written out, parses again to the same text; in pieces it says the same. */
#include <stdlib.h>

#include "userspace/wire/promtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int write_again(void *ctx, const struct promtext_sample *s)
{
	promtext_write_sample(ctx, s->labels, s->n_labels, s->value, s->has_ts ? &s->ts_ms : NULL);
	return 0;
}

static int skip(void *ctx, uint64_t line, const struct err *e)
{
	(void)ctx;
	return line == 0 || e->code == 0 ? -EINVAL : 0;
}

static int ignore(void *ctx, struct str name, struct str type, struct str help)
{
	(void)ctx;
	return name.len + type.len + help.len > SIZE_MAX / 2 ? -EINVAL : 0;
}

static int ignore_unit(void *ctx, struct str name, struct str unit)
{
	return ignore(ctx, name, unit, STR_NULL);
}

/* In pieces of a few bytes: the same samples, as long as no line is above the limit of pieces. */
static void in_pieces(struct str text, enum promtext_format format, const struct promtext_ops *ops,
                      struct buf *out)
{
	_cleanup_(promtext_reader_done) struct promtext_reader r = PROMTEXT_READER_INIT(format);
	size_t step = 1 + text.len % 7;

	for (size_t at = 0; at < text.len; at += step) {
		struct str piece = { text.p + at, text.len - at < step ? text.len - at : step };

		if (promtext_feed(&r, piece, ops, out) < 0)
			abort();
	}
	(void)promtext_end(&r, ops, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct promtext_ops ops = { write_again, ignore, ignore_unit, skip };
	_cleanup_(buf_done) struct buf once = BUF_INIT, twice = BUF_INIT, pieces = BUF_INIT,
				       sink = BUF_INIT;
	struct str text = { (const char *)data, bytes };

	if (promtext_parse(text, &ops, &once) < 0 ||
	    promtext_parse(buf_str(&once), &ops, &twice) < 0 ||
	    !str_eq(buf_str(&once), buf_str(&twice)))
		abort();
	in_pieces(text, PROMTEXT_PROMETHEUS, &ops, &pieces);
	if (!str_eq(buf_str(&once), buf_str(&pieces)))
		abort();
	in_pieces(text, PROMTEXT_OPENMETRICS, &ops, &sink);
	return 0;
}
