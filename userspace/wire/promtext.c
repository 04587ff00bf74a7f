/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pass over the text, line by line. A line is
 *
 *	name [ { label = "value" , … } ] value [ timestamp ]
 *	{ "utf-8 name" , label = "value" } value [ timestamp ]
 *	# TYPE name type     # HELP name text     # anything else is a comment
 *
 * Values with escapes are unescaped into a scratch buffer that lives for one line; everything else
 * points into the text. An escape only shrinks, so scratch never needs more room than the line has:
 * it is reserved once for each line and slices into it stay valid.
 */
#include "userspace/wire/promtext.h"

#include <errno.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

struct line {
	const char *start, *p, *end;
	struct label labels[LABELS_MAX];
	uint32_t n_labels;
	struct buf *scratch;
	struct err *e;
	struct promtext_reader *reader;
};

static int bad(const struct line *l, const char *what)
{
	return err_set_at(l->e, -EBADMSG, (int)(l->p - l->start), "%s at column %zu", what,
	                  (size_t)(l->p - l->start) + 1);
}

/* "{count:1,sum:2,…}" where a value stands, or labels would. */
static int native_histogram(const struct line *l)
{
	return err_set_at(l->e, -ENOTSUP, (int)(l->p - l->start),
	                  "a native histogram, which is not taken");
}

static void skip_blanks(struct line *l)
{
	while (l->p < l->end && (*l->p == ' ' || *l->p == '\t'))
		l->p++;
}

static bool at(const struct line *l, char c)
{
	return l->p < l->end && *l->p == c;
}

static bool is_name_char(char c, bool first, bool colon)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (colon && c == ':') || (!first && c >= '0' && c <= '9');
}

static struct str take_name(struct line *l, bool colon)
{
	const char *from = l->p;

	while (l->p < l->end && is_name_char(*l->p, l->p == from, colon))
		l->p++;
	return (struct str){ from, (size_t)(l->p - from) };
}

/* The byte that a backslash and @c stand for; the backslash itself stays when it is none. */
static int unescape(char c)
{
	return c == 'n' ? '\n' : c == '"' ? '"' : c == '\\' ? '\\' : -1;
}

/* A quoted text behind its opening quote, where the first escape was met at l->p. */
static int take_escaped(struct line *l, const char *from, struct str *ret)
{
	char *out = l->scratch->p + l->scratch->len, *w = out;

	memcpy(w, from, (size_t)(l->p - from));
	w += l->p - from;
	while (l->p < l->end && *l->p != '"') {
		int c = -1;

		if (*l->p == '\\' && l->p + 1 < l->end)
			c = unescape(l->p[1]);
		*w++ = c >= 0 ? (char)c : *l->p;
		l->p += c >= 0 ? 2 : 1;
	}
	if (l->p == l->end)
		return bad(l, "a quoted text does not end");
	l->p++;
	l->scratch->len += (size_t)(w - out);
	*ret = (struct str){ out, (size_t)(w - out) };
	return 0;
}

static int take_quoted(struct line *l, struct str *ret)
{
	const char *from = ++l->p;

	while (l->p < l->end && *l->p != '"' && *l->p != '\\')
		l->p++;
	if (l->p == l->end)
		return bad(l, "a quoted text does not end");
	if (*l->p == '\\')
		return take_escaped(l, from, ret);
	*ret = (struct str){ from, (size_t)(l->p - from) };
	l->p++;
	return 0;
}

static int add_label(struct line *l, struct str name, struct str value)
{
	if (l->n_labels == LABELS_MAX)
		return bad(l, "too many labels");
	l->labels[l->n_labels++] = (struct label){ name, value };
	return 0;
}

static int set_metric_name(struct line *l, struct str name)
{
	if (l->labels[0].name.len > 0)
		return bad(l, "a second metric name");
	l->labels[0] = (struct label){ STR(LABEL_NAME), name };
	return 0;
}

/* label="value", or "quoted label"="value", or a quoted metric name alone. */
static int take_label(struct line *l)
{
	bool quoted = at(l, '"');
	struct str name, value;
	int r = 0;

	if (quoted)
		r = take_quoted(l, &name);
	else
		name = take_name(l, false);
	if (r < 0)
		return r;
	if (name.len == 0)
		return bad(l, "expected a label name");
	skip_blanks(l);
	if (quoted && !at(l, '='))
		return set_metric_name(l, name);
	if (!quoted && at(l, ':'))
		return native_histogram(l);
	if (!at(l, '='))
		return bad(l, "expected = behind the label name");
	l->p++;
	skip_blanks(l);
	if (!at(l, '"'))
		return bad(l, "expected a quoted label value");
	r = take_quoted(l, &value);
	return r < 0 ? r : add_label(l, name, value);
}

static int take_labels(struct line *l)
{
	l->p++;
	for (;;) {
		skip_blanks(l);
		if (at(l, '}')) {
			l->p++;
			return 0;
		}
		int r = take_label(l);

		if (r < 0)
			return r;
		skip_blanks(l);
		if (at(l, ','))
			l->p++;
		else if (!at(l, '}'))
			return bad(l, "expected , or } behind a label");
	}
}

static struct str take_word(struct line *l)
{
	const char *from;

	skip_blanks(l);
	from = l->p;
	while (l->p < l->end && *l->p != ' ' && *l->p != '\t')
		l->p++;
	return (struct str){ from, (size_t)(l->p - from) };
}

/* Prometheus' text has milliseconds, OpenMetrics seconds; cut off, as Prometheus does. */
static int parse_timestamp(const struct line *l, struct str text, int64_t *ret_ms)
{
	double s;

	if (l->reader->format == PROMTEXT_PROMETHEUS)
		return num_parse_i64(text, ret_ms);
	if (num_parse_double(text, &s) < 0 || !(s > -1e15 && s < 1e15))
		return -EINVAL;
	*ret_ms = (int64_t)(s * 1000);
	return 0;
}

static int take_numbers(struct line *l, struct promtext_sample *s)
{
	skip_blanks(l);
	if (at(l, '{'))
		return native_histogram(l);
	struct str value = take_word(l), ts = STR_NULL;

	if (num_parse_double(value, &s->value) < 0)
		return bad(l,
		           value.len == 0 ? "the value is missing" : "the value is not a number");
	skip_blanks(l);
	if (!at(l, '#'))
		ts = take_word(l);
	s->has_ts = ts.len > 0;
	if (s->has_ts && parse_timestamp(l, ts, &s->ts_ms) < 0)
		return bad(l, l->reader->format == PROMTEXT_OPENMETRICS
		                      ? "the timestamp is not a number of seconds"
		                      : "the timestamp is not an integer of milliseconds");
	skip_blanks(l);
	if (l->p < l->end && *l->p != '#') /* OpenMetrics puts exemplars there */
		return bad(l, "something stands behind the timestamp");
	return 0;
}

static int take_sample(struct line *l, struct promtext_sample *s)
{
	struct str name = take_name(l, true);
	int r = 0;

	l->labels[0] = (struct label){ 0 };
	l->n_labels = 1;
	if (name.len > 0)
		(void)set_metric_name(l, name);
	skip_blanks(l);
	if (at(l, '{'))
		r = take_labels(l);
	if (r < 0)
		return r;
	if (l->labels[0].value.len == 0)
		return bad(l, "expected a metric name");
	*s = (struct promtext_sample){ .labels = l->labels, .n_labels = l->n_labels };
	return take_numbers(l, s);
}

/* HELP texts know the escapes \\ and \n. */
static struct str unescape_help(struct line *l, struct str raw)
{
	char *out = l->scratch->p + l->scratch->len, *w = out;

	for (size_t i = 0; i < raw.len; i++) {
		int c = raw.p[i] == '\\' && i + 1 < raw.len ? unescape(raw.p[i + 1]) : -1;

		*w++ = c >= 0 ? (char)c : raw.p[i];
		i += c >= 0;
	}
	return (struct str){ out, (size_t)(w - out) };
}

/* TYPE, HELP or UNIT: the name, with the line's rest in *@ret_rest. */
static int take_metadata(struct line *l, struct str *ret_name, struct str *ret_rest)
{
	struct str name = STR_NULL;
	int r = 0;

	skip_blanks(l);
	if (at(l, '"'))
		r = take_quoted(l, &name);
	else
		name = take_word(l);
	if (r < 0 || name.len == 0)
		return bad(l, "expected a metric name");
	skip_blanks(l);
	*ret_name = name;
	*ret_rest = (struct str){ l->p, (size_t)(l->end - l->p) };
	return 0;
}

static int take_comment(struct line *l, const struct promtext_ops *ops, void *ctx)
{
	l->p++;
	struct str word = take_word(l), name = STR_NULL, rest = STR_NULL;
	bool type = str_eqc(word, "TYPE"), help = str_eqc(word, "HELP");
	bool om = l->reader->format == PROMTEXT_OPENMETRICS, unit = om && str_eqc(word, "UNIT");

	if (om && str_eqc(word, "EOF")) {
		l->reader->has_ended = true;
		return 0;
	}
	if (!((type || help) && ops->metadata) && !(unit && ops->unit))
		return 0;
	int r = take_metadata(l, &name, &rest);

	if (r < 0)
		return r;
	if (unit)
		return ops->unit(ctx, name, str_trim(rest));
	return ops->metadata(ctx, name, type ? str_trim(rest) : STR(""),
	                     help ? unescape_help(l, rest) : STR(""));
}

static int parse_line(struct line *l, const struct promtext_ops *ops, void *ctx)
{
	struct promtext_sample s;
	int r;

	skip_blanks(l);
	if (l->p == l->end)
		return 0;
	if (l->reader->has_ended)
		return bad(l, "something stands behind # EOF");
	if (*l->p == '#')
		return take_comment(l, ops, ctx);
	r = take_sample(l, &s);
	return r < 0 ? r : ops->sample(ctx, &s);
}

static int one_line(struct promtext_reader *r, struct str row, const struct promtext_ops *ops,
                    void *ctx)
{
	struct err e = ERR_INIT;
	struct line l = { .scratch = &r->scratch, .e = &e, .reader = r };

	if (row.len > 0 && row.p[row.len - 1] == '\r')
		row.len--;
	r->line++;
	buf_clear(&r->scratch);
	if (!buf_reserve(&r->scratch, row.len))
		return -ENOMEM;
	l.start = l.p = row.p;
	l.end = row.p + row.len;
	int res = parse_line(&l, ops, ctx);

	if (res < 0 && e.code == 0)
		return res; /* a callback's */
	return res < 0 ? ops->bad(ctx, r->line, &e) : res;
}

void promtext_reader_done(struct promtext_reader *r)
{
	buf_done(&r->partial);
	buf_done(&r->scratch);
}

/* A line whose end has not come yet. */
static int keep_partial(struct promtext_reader *r, struct str piece, const struct promtext_ops *ops,
                        void *ctx)
{
	struct err e = ERR_INIT;

	if (r->is_skipping)
		return 0;
	if (r->partial.len + piece.len <= PROMTEXT_LINE_BYTES_MAX) {
		buf_put_str(&r->partial, piece);
		return r->partial.err;
	}
	r->is_skipping = true;
	buf_clear(&r->partial);
	(void)err_set(&e, -EBADMSG, "longer than %zu bytes", PROMTEXT_LINE_BYTES_MAX);
	return ops->bad(ctx, r->line + 1, &e);
}

/* The end of a line of which the beginning came before. */
static int finish_partial(struct promtext_reader *r, struct str row, const struct promtext_ops *ops,
                          void *ctx)
{
	int res = keep_partial(r, row, ops, ctx);

	if (res < 0)
		return res;
	if (r->is_skipping) {
		r->is_skipping = false;
		r->line++;
		return 0;
	}
	res = one_line(r, buf_str(&r->partial), ops, ctx);
	buf_clear(&r->partial);
	return res;
}

int promtext_feed(struct promtext_reader *r, struct str piece, const struct promtext_ops *ops,
                  void *ctx)
{
	struct str row, rest;
	int res = 0;

	while (res >= 0 && piece.len > 0) {
		if (!str_cut(piece, '\n', &row, &rest))
			return keep_partial(r, piece, ops, ctx);
		res = r->partial.len > 0 || r->is_skipping ? finish_partial(r, row, ops, ctx)
		                                           : one_line(r, row, ops, ctx);
		piece = rest;
	}
	return res < 0 ? res : 0;
}

int promtext_end(struct promtext_reader *r, const struct promtext_ops *ops, void *ctx)
{
	int res = 0;

	if (r->partial.len > 0)
		res = finish_partial(r, STR_NULL, ops, ctx);
	if (res < 0)
		return res;
	return r->format == PROMTEXT_OPENMETRICS && !r->has_ended ? -EBADMSG : 0;
}

int promtext_parse(struct str text, const struct promtext_ops *ops, void *ctx)
{
	_cleanup_(promtext_reader_done) struct promtext_reader r =
		PROMTEXT_READER_INIT(PROMTEXT_PROMETHEUS);
	struct str row;
	int res = 0;

	while (res >= 0 && text.len > 0) { /* whole lines, of any length */
		(void)str_cut(text, '\n', &row, &text);
		res = one_line(&r, row, ops, ctx);
	}
	return res < 0 ? res : 0;
}

/* ---- writing -------------------------------------------------------------- */

static const char *escape_of(char c, bool quotes)
{
	if (c == '\\')
		return "\\\\";
	if (c == '\n')
		return "\\n";
	return c == '"' && quotes ? "\\\"" : NULL;
}

/* Runs without an escape go in as one piece: they are nearly everything. */
static void put_escaped(struct buf *out, struct str s, bool quotes)
{
	size_t from = 0;

	for (size_t i = 0; i < s.len; i++) {
		const char *escape = escape_of(s.p[i], quotes);

		if (!escape)
			continue;
		buf_put(out, s.p + from, i - from);
		buf_puts(out, escape);
		from = i + 1;
	}
	buf_put_str(out, str_skip(s, from));
}

static void put_quoted(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	put_escaped(out, s, true);
	buf_putc(out, '"');
}

static bool is_plain_name(struct str s, bool colon)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_name_char(s.p[i], i == 0, colon))
			return false;
	}
	return s.len > 0;
}

/* Quoted when it is not a name of the first format. */
static void put_name(struct buf *out, struct str name, bool colon)
{
	if (is_plain_name(name, colon))
		buf_put_str(out, name);
	else
		put_quoted(out, name);
}

/* "name", "name{labels}", or "{"quoted name",labels}". */
static void put_series(struct buf *out, const struct label *labels, uint32_t n_labels)
{
	bool plain = n_labels > 0 && is_plain_name(labels[0].value, true);

	if (plain)
		buf_put_str(out, labels[0].value);
	if (plain && n_labels == 1)
		return;
	buf_putc(out, '{');
	if (!plain && n_labels > 0)
		put_quoted(out, labels[0].value);
	for (uint32_t i = 1; i < n_labels; i++) {
		if (!plain || i > 1)
			buf_putc(out, ',');
		put_name(out, labels[i].name, false);
		buf_putc(out, '=');
		put_quoted(out, labels[i].value);
	}
	buf_putc(out, '}');
}

void promtext_write_sample(struct buf *out, const struct label *labels, uint32_t n_labels,
                           double value, const int64_t *ts_ms)
{
	put_series(out, labels, n_labels);
	buf_putc(out, ' ');
	buf_put_double(out, value);
	if (ts_ms) {
		buf_putc(out, ' ');
		buf_put_i64(out, *ts_ms);
	}
	buf_putc(out, '\n');
}

void promtext_write_metadata(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_puts(out, "# HELP ");
	put_name(out, str_from(name), true);
	buf_putc(out, ' ');
	put_escaped(out, str_from(help), false);
	buf_puts(out, "\n# TYPE ");
	put_name(out, str_from(name), true);
	buf_printf(out, " %s\n", type);
}
