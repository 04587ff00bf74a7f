/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/json_out.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define TS_BYTES_MAX 24u /* of json_put_ts() */

/* What stands in front of a value: [1700000000.123," */
struct json_time {
	char text[31];
	uint8_t len;
};

static size_t format_ts(int64_t ts_ms, char *dst)
{
	uint64_t ms = ts_ms < 0 ? 0 - (uint64_t)ts_ms : (uint64_t)ts_ms;
	unsigned rest = (unsigned)(ms % 1000);
	size_t n = 0;

	if (ts_ms < 0)
		dst[n++] = '-';
	n += num_format_u64(ms / 1000, dst + n);
	if (rest == 0)
		return n;
	dst[n++] = '.';
	for (unsigned unit = 100; rest > 0; rest %= unit, unit /= 10)
		dst[n++] = (char)('0' + rest / unit);
	return n;
}

void json_put_ts(struct buf *b, int64_t ts_ms)
{
	char *dst = buf_reserve(b, TS_BYTES_MAX);

	if (dst)
		b->len += format_ts(ts_ms, dst);
}

void json_put_value(struct buf *b, double v)
{
	buf_putc(b, '"');
	buf_put_double(b, v);
	buf_putc(b, '"');
}

void json_put_labels(struct buf *b, const struct label *labels, uint32_t n)
{
	const char *before = "{";

	/* The name goes first, wherever it is: a label like A stands before __name__. */
	for (uint32_t i = 0; i < 2 * n; i++) {
		const struct label *l = &labels[i % n];
		bool names_turn = i < n;

		if (str_eqc(l->name, LABEL_NAME) != names_turn)
			continue;
		buf_puts(b, before);
		before = ",";
		json_put_str(b, l->name);
		buf_putc(b, ':');
		json_put_str(b, l->value);
	}
	buf_puts(b, before[0] == '{' ? "{}" : "}");
}

/* --- the answer of a query -------------------------------------------------------------------- */

static const char *const type_names[] = {
	[MQL_VECTOR] = "vector",
	[MQL_MATRIX] = "matrix",
	[MQL_SCALAR] = "scalar",
	[MQL_STRING] = "string",
};

/* A scalar or a string is one point without a series around it. */
static void put_single(struct json_result *w, struct buf *b)
{
	const struct mql_series *s = w->result->series;

	json_put_ts(b, s->ts_ms[0]);
	buf_putc(b, ',');
	if (w->result->type == MQL_STRING)
		json_put_str(b, w->result->text);
	else
		json_put_value(b, s->values[0]);
	w->at = JSON_AT_TAIL;
}

static void put_head(struct json_result *w, struct buf *b, size_t until)
{
	(void)until;
	buf_puts(b, "{\"status\":\"success\",\"data\":{\"resultType\":\"");
	buf_puts(b, type_names[w->result->type]);
	buf_puts(b, "\",\"result\":[");
	w->at = w->result->n_series > 0 ? JSON_AT_SERIES : JSON_AT_TAIL;
	if (w->result->type >= MQL_SCALAR)
		put_single(w, b);
}

static void put_series(struct json_result *w, struct buf *b, size_t until)
{
	const struct mql_series *s = &w->result->series[w->i];

	buf_puts(b, w->i > 0 ? ",{\"metric\":" : "{\"metric\":");
	json_put_labels(b, s->labels, s->n_labels);
	buf_puts(b, w->result->type == MQL_MATRIX ? ",\"values\":[" : ",\"value\":");
	(void)until;
	w->j = 0;
	w->any = false;
	w->at = JSON_AT_POINT;
}

static int make_texts(struct json_result *w, const struct mql_series *s)
{
	bool same =
		w->times == s->ts_ms || (w->times && w->n_times == s->n &&
	                                 memcmp(w->times, s->ts_ms, s->n * sizeof(*s->ts_ms)) == 0);

	if (same && w->n_times == s->n)
		return 0;
	w->times = NULL;
	if (MEM_GROW(w->texts, w->texts_cap, s->n) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n; i++) {
		struct json_time *t = &w->texts[i];
		size_t n = 1;

		t->text[0] = '[';
		n += format_ts(s->ts_ms[i], t->text + n);
		memcpy(t->text + n, ",\"", 2);
		t->len = (uint8_t)(n + 2);
	}
	w->times = s->ts_ms;
	w->n_times = s->n;
	return 0;
}

static bool put_point(struct json_result *w, const struct json_time *t, double v, struct buf *b)
{
	char *start = buf_reserve(b, sizeof(t->text) + NUM_DOUBLE_BYTES_MAX + 4), *dst = start;

	if (!start)
		return false;
	*dst = ',';
	dst += w->any;
	memcpy(dst, t->text, sizeof(t->text));
	dst += t->len;
	dst += num_format_double(v, dst);
	memcpy(dst, "\"]", 2);
	b->len += (size_t)(dst + 2 - start);
	w->any = true;
	return true;
}

static void put_points(struct json_result *w, struct buf *b, size_t until)
{
	const struct mql_series *s = &w->result->series[w->i];
	uint32_t n = w->result->type == MQL_MATRIX ? s->n : MIN(s->n, 1u);

	if (make_texts(w, s) < 0) {
		b->err = -ENOMEM;
		return;
	}
	for (; w->j < n; w->j++) {
		double v = s->values[w->j];

		if (s->gaps && isnan(v))
			continue;
		if (b->len >= until || !put_point(w, &w->texts[w->j], v, b))
			return;
	}
	buf_puts(b, w->result->type == MQL_MATRIX ? "]}" : "}");
	w->at = ++w->i < w->result->n_series ? JSON_AT_SERIES : JSON_AT_TAIL;
}

static void put_tail(struct json_result *w, struct buf *b, size_t until)
{
	(void)until;
	buf_puts(b, "]},\"stats\":{\"seriesFetched\":\"");
	buf_put_u64(b, w->result->series_fetched);
	buf_puts(b, "\",\"executionTimeMsec\":");
	buf_put_u64(b, w->took_ms);
	buf_putc(b, '}');
	if (w->result->warning.len > 0) {
		buf_puts(b, ",\"warnings\":[");
		json_put_str(b, w->result->warning);
		buf_putc(b, ']');
	}
	if (w->result->trace.len > 0) {
		buf_puts(b, ",\"trace\":");
		buf_put_str(b, w->result->trace);
	}
	buf_puts(b, "}\n");
	w->at = JSON_AT_END;
}

int json_result_next(struct json_result *w, struct buf *out, size_t want)
{
	static void (*const put[])(struct json_result *, struct buf *, size_t) = {
		[JSON_AT_HEAD] = put_head,
		[JSON_AT_SERIES] = put_series,
		[JSON_AT_POINT] = put_points,
		[JSON_AT_TAIL] = put_tail,
	};
	size_t until = out->len + want;

	while (w->at != JSON_AT_END && out->len < until && out->err == 0)
		put[w->at](w, out, until);
	if (out->err < 0)
		return out->err;
	return w->at == JSON_AT_END;
}

void json_result_done(struct json_result *w)
{
	free(w->texts);
	*w = (struct json_result){ 0 };
}
