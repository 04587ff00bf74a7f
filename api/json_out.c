/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/json_out.h"

#include <errno.h>

void json_put_ts(struct buf *b, int64_t ts_ms)
{
	uint64_t ms = ts_ms < 0 ? 0 - (uint64_t)ts_ms : (uint64_t)ts_ms;
	unsigned rest = (unsigned)(ms % 1000), digits = 3;

	if (ts_ms < 0)
		buf_putc(b, '-');
	buf_put_u64(b, ms / 1000);
	if (rest == 0)
		return;
	for (; rest % 10 == 0; digits--)
		rest /= 10;
	buf_printf(b, ".%0*u", (int)digits, rest);
}

void json_put_value(struct buf *b, double v)
{
	buf_putc(b, '"');
	buf_put_double(b, v);
	buf_putc(b, '"');
}

void json_put_labels(struct buf *b, const struct label *labels, uint32_t n)
{
	buf_putc(b, '{');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_put_str(b, labels[i].name);
		buf_putc(b, ':');
		json_put_str(b, labels[i].value);
	}
	buf_putc(b, '}');
}

/* --- the answer of a query -------------------------------------------------------------------- */

static void put_head(struct json_result *w, struct buf *b)
{
	buf_puts(b, "{\"status\":\"success\",\"data\":{\"resultType\":\"");
	buf_puts(b, w->result->type == MQL_MATRIX ? "matrix" : "vector");
	buf_puts(b, "\",\"result\":[");
	w->at = w->result->n_series > 0 ? JSON_AT_SERIES : JSON_AT_TAIL;
}

static void put_series(struct json_result *w, struct buf *b)
{
	const struct mql_series *s = &w->result->series[w->i];

	buf_puts(b, w->i > 0 ? ",{\"metric\":" : "{\"metric\":");
	json_put_labels(b, s->labels, s->n_labels);
	buf_puts(b, w->result->type == MQL_MATRIX ? ",\"values\":[" : ",\"value\":");
	w->j = 0;
	w->at = JSON_AT_POINT;
}

static void put_point(struct json_result *w, struct buf *b)
{
	const struct mql_series *s = &w->result->series[w->i];
	bool matrix = w->result->type == MQL_MATRIX;

	if (w->j > 0)
		buf_putc(b, ',');
	buf_putc(b, '[');
	json_put_ts(b, s->ts_ms[w->j]);
	buf_putc(b, ',');
	json_put_value(b, s->values[w->j]);
	buf_putc(b, ']');
	w->j++;
	if (matrix && w->j < s->n)
		return;
	buf_puts(b, matrix ? "]}" : "}");
	w->at = ++w->i < w->result->n_series ? JSON_AT_SERIES : JSON_AT_TAIL;
}

static void put_tail(struct json_result *w, struct buf *b)
{
	buf_puts(b, "]},\"stats\":{\"seriesFetched\":\"");
	buf_put_u64(b, w->result->series_fetched);
	buf_puts(b, "\",\"executionTimeMsec\":");
	buf_put_u64(b, w->took_ms);
	buf_puts(b, "}}\n");
	w->at = JSON_AT_END;
}

int json_result_next(struct json_result *w, struct buf *out, size_t want)
{
	static void (*const put[])(struct json_result *, struct buf *) = {
		[JSON_AT_HEAD] = put_head,
		[JSON_AT_SERIES] = put_series,
		[JSON_AT_POINT] = put_point,
		[JSON_AT_TAIL] = put_tail,
	};
	size_t from = out->len;

	while (w->at != JSON_AT_END && out->len - from < want && out->err == 0)
		put[w->at](w, out);
	if (out->err < 0)
		return out->err;
	return w->at == JSON_AT_END;
}
