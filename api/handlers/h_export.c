/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/export: raw samples as JSON lines, exposition text or an answer of the query API. */
#include <errno.h>
#include <math.h>

#include "api/handlers/dump.h"
#include "api/handlers/handlers.h"
#include "api/handlers/series_text.h"
#include "api/json_out.h"
#include "api/reply.h"
#include "userspace/base/util.h"

#define STREAM_JSON "application/stream+json; charset=utf-8"

/* --- JSON lines: {"metric":{…},"values":[…],"timestamps":[…]} --------------------------------- */

struct json_lines {
	int64_t rows_max; /* of one line; 0 = all of a series */
};

/* JSON has no infinities and no NaN. */
static void put_json_value(struct buf *out, double v)
{
	if (isnan(v))
		buf_puts(out, "null");
	else if (isinf(v))
		buf_puts(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		buf_put_double(out, v);
}

static void json_rows(struct dump *d, struct buf *out, size_t want)
{
	const struct json_lines *lines = d->format_ctx;
	uint32_t left = d->series.n - d->row, n = left;

	(void)want;
	if (lines->rows_max > 0)
		n = (uint32_t)MIN((int64_t)left, lines->rows_max);
	buf_puts(out, "{\"metric\":");
	json_put_labels(out, d->series.labels, d->series.n_labels);
	buf_puts(out, ",\"values\":[");
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_json_value(out, d->series.values[d->row + i]);
	}
	buf_puts(out, "],\"timestamps\":[");
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_put_i64(out, d->series.ts_ms[d->row + i]);
	}
	buf_puts(out, "]}\n");
	d->row += n;
}

static const struct dump_format json_format = { .content_type = STREAM_JSON, .rows = json_rows };

/* --- exposition text -------------------------------------------------------------------------- */

static void text_rows(struct dump *d, struct buf *out, size_t want)
{
	size_t from = out->len;

	while (d->row < d->series.n && out->len - from < want && out->err == 0) {
		series_text_put(out, NAMES_RAW, d->series.labels, d->series.n_labels);
		buf_putc(out, ' ');
		series_text_put_value(out, d->series.values[d->row]);
		buf_putc(out, ' ');
		buf_put_i64(out, d->series.ts_ms[d->row]);
		buf_putc(out, '\n');
		d->row++;
	}
}

static const struct dump_format text_format = { .content_type = REPLY_TEXT, .rows = text_rows };

/* --- an answer of the query API --------------------------------------------------------------- */

static void api_rows(struct dump *d, struct buf *out, size_t want)
{
	size_t from = out->len;

	if (d->row == 0) {
		buf_puts(out, d->n_series > 1 ? ",{\"metric\":" : "{\"metric\":");
		json_put_labels(out, d->series.labels, d->series.n_labels);
		buf_puts(out, ",\"values\":[");
	}
	while (d->row < d->series.n && out->len - from < want && out->err == 0) {
		buf_puts(out, d->row > 0 ? ",[" : "[");
		json_put_ts(out, d->series.ts_ms[d->row]);
		buf_putc(out, ',');
		/* + 0.0: a zero without its sign, as in text. */
		json_put_value(out, d->series.values[d->row] + 0.0);
		buf_putc(out, ']');
		d->row++;
	}
	if (d->row == d->series.n)
		buf_puts(out, "]}");
}

#define API_HEAD "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["

static const struct dump_format api_format = { .content_type = STREAM_JSON,
	                                       .head = STR_INIT(API_HEAD),
	                                       .tail = STR_INIT("]}}\n"),
	                                       .rows = api_rows };

/* --- choosing --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const struct dump_format *format;
} formats[] = {
	{ "", &json_format },
	{ "prometheus", &text_format },
	{ "promapi", &api_format },
};

int h_export(struct region *region, struct request *req, struct response *resp)
{
	struct json_lines *lines = ARENA_NEW(&req->arena, struct json_lines);
	struct str name = params_get(&req->params, "format");
	struct err e = ERR_INIT;
	size_t i = 0;
	int r = lines ? params_int(&req->params, "max_rows_per_line", 0, &lines->rows_max, &e)
	              : arena_error(&req->arena);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	while (i < ARRAY_SIZE(formats) && !str_eqc(name, formats[i].name))
		i++;
	if (i == ARRAY_SIZE(formats))
		return reply_error(resp, REPLY_BAD_DATA,
		                   "argument format: \"%.*s\" is neither prometheus nor promapi;"
		                   " without it lines of JSON are sent",
		                   (int)MIN(name.len, (size_t)60), name.p);
	return dump_reply(region, req, resp, formats[i].format, lines, 0);
}
