/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/json_out.h"

#include <errno.h>

/* Length of the well-formed UTF-8 sequence at @p (RFC 3629, table of section 4), or 0. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (n > len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_special(struct buf *b, uint8_t c)
{
	static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		buf_printf(b, "\\%c", to[at - from]);
	else if (c < 0x20 || c == 0x7f)
		buf_printf(b, "\\u%04x", c);
	else
		buf_puts(b, "\xef\xbf\xbd");
}

void json_put_str(struct buf *b, struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t i = 0;

	buf_putc(b, '"');
	while (i < s.len) {
		size_t from = i, n;

		while (i < s.len && is_plain(p[i]))
			i++;
		buf_put(b, s.p + from, i - from);
		if (i == s.len)
			break;
		n = p[i] >= 0x80 ? utf8_sequence(p + i, s.len - i) : 0;
		if (n > 0)
			buf_put(b, s.p + i, n);
		else
			put_special(b, p[i]);
		i += n > 0 ? n : 1;
	}
	buf_putc(b, '"');
}

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
