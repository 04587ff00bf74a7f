/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/jsonline.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define NESTING_MAX 16u /* of what is read over */

struct cursor {
	struct str line;
	size_t at;
	struct err *e;
};

static int bad(struct cursor *c, const char *what)
{
	return err_set_at(c->e, -EBADMSG, (int)MIN(c->at, (size_t)INT32_MAX), "%s", what);
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The next character that is no space; '\0' at the end, which no text has elsewhere in JSON. */
static char peek(struct cursor *c)
{
	while (c->at < c->line.len && strchr(" \t\r\n", c->line.p[c->at]) &&
	       c->line.p[c->at] != '\0')
		c->at++;
	return c->at < c->line.len ? c->line.p[c->at] : '\0';
}

static bool take(struct cursor *c, char want)
{
	if (peek(c) != want || c->at == c->line.len)
		return false;
	c->at++;
	return true;
}

/* A number or a word: everything up to the next mark of the grammar. */
static struct str take_plain(struct cursor *c)
{
	size_t from;

	(void)peek(c);
	from = c->at;
	while (c->at < c->line.len && !strchr(" \t\r\n,:]}[{\"", c->line.p[c->at]))
		c->at++;
	return (struct str){ c->line.p + from, c->at - from };
}

/* The text between the quotes, with its escapes. */
static int take_raw(struct cursor *c, struct str *ret, bool *ret_escapes)
{
	bool escapes = false;
	size_t from;

	if (!take(c, '"'))
		return bad(c, "expected a string in quotes");
	from = c->at;
	while (c->at < c->line.len && c->line.p[c->at] != '"') {
		if ((unsigned char)c->line.p[c->at] < 0x20)
			return bad(c, "a string holds a control character");
		if (c->line.p[c->at] == '\\') {
			escapes = true;
			c->at++;
		}
		c->at++;
	}
	if (c->at >= c->line.len)
		return bad(c, "a string does not end");
	*ret = (struct str){ c->line.p + from, c->at - from };
	*ret_escapes = escapes;
	c->at++;
	return 0;
}

/* --- escapes ---------------------------------------------------------------------------------- */

static int hex4(struct str s, uint32_t *ret)
{
	uint32_t v = 0;

	if (s.len < 4)
		return -EBADMSG;
	for (size_t i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

		if (!at)
			return -EBADMSG;
		v = v << 4 | ((uint32_t)(at - digits) & 15u);
	}
	*ret = v;
	return 0;
}

static void put_utf8(struct buf *out, uint32_t ch)
{
	if (ch < 0x80) {
		buf_putc(out, (char)ch);
	} else if (ch < 0x800) {
		buf_putc(out, (char)(0xc0 | ch >> 6));
		buf_putc(out, (char)(0x80 | (ch & 0x3f)));
	} else if (ch < 0x10000) {
		buf_putc(out, (char)(0xe0 | ch >> 12));
		buf_putc(out, (char)(0x80 | (ch >> 6 & 0x3f)));
		buf_putc(out, (char)(0x80 | (ch & 0x3f)));
	} else {
		buf_putc(out, (char)(0xf0 | ch >> 18));
		buf_putc(out, (char)(0x80 | (ch >> 12 & 0x3f)));
		buf_putc(out, (char)(0x80 | (ch >> 6 & 0x3f)));
		buf_putc(out, (char)(0x80 | (ch & 0x3f)));
	}
}

/* \uXXXX, or two of them for a character beyond 16 bits. @s is behind the 'u'; moved over it. */
static int put_unicode(struct buf *out, struct str *s)
{
	uint32_t ch, low;

	if (hex4(*s, &ch) < 0)
		return -EBADMSG;
	*s = str_skip(*s, 4);
	if (ch >= 0xd800 && ch < 0xdc00) {
		if (!str_starts(*s, STR("\\u")) || hex4(str_skip(*s, 2), &low) < 0 ||
		    low < 0xdc00 || low >= 0xe000)
			return -EBADMSG;
		*s = str_skip(*s, 6);
		ch = 0x10000 + ((ch - 0xd800) << 10) + (low - 0xdc00);
	} else if (ch >= 0xdc00 && ch < 0xe000) {
		return -EBADMSG;
	}
	put_utf8(out, ch);
	return 0;
}

static int put_escape(struct buf *out, struct str *s)
{
	static const char names[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
	const char *at = s->len > 0 && s->p[0] ? strchr(names, s->p[0]) : NULL;

	if (at) {
		buf_putc(out, chars[at - names]);
		*s = str_skip(*s, 1);
		return 0;
	}
	if (s->len == 0 || s->p[0] != 'u')
		return -EBADMSG;
	*s = str_skip(*s, 1);
	return put_unicode(out, s);
}

/*
 * @texts has room for the whole line, so its content does not move; no escape is shorter than what
 * it stands for.
 */
static int unescape(struct buf *texts, struct str raw, struct str *ret)
{
	size_t from = texts->len;

	while (raw.len > 0) {
		char ch = raw.p[0];

		raw = str_skip(raw, 1);
		if (ch != '\\')
			buf_putc(texts, ch);
		else if (put_escape(texts, &raw) < 0)
			return -EBADMSG;
	}
	*ret = (struct str){ texts->p + from, texts->len - from };
	return texts->err;
}

static int take_string(struct cursor *c, struct buf *texts, struct str *ret)
{
	bool escapes = false;
	int r = take_raw(c, ret, &escapes);

	if (r < 0 || !escapes)
		return r;
	r = unescape(texts, *ret, ret);
	return r == -EBADMSG ? bad(c, "a string has a wrong escape") : r;
}

/* --- what the members are --------------------------------------------------------------------- */

/* {"a":"b",…} */
static int read_labels(struct cursor *c, struct jsonline *l)
{
	if (!take(c, '{'))
		return bad(c, "metric is not an object of labels");
	if (take(c, '}'))
		return 0;
	do {
		struct label *label = &l->labels[l->n_labels];
		int r;

		if (l->n_labels == JSONLINE_LABELS_MAX)
			return bad(c, "a series has too many labels");
		r = take_string(c, &l->texts, &label->name);
		if (r == 0 && !take(c, ':'))
			r = bad(c, "expected a colon behind the name of a label");
		if (r == 0)
			r = take_string(c, &l->texts, &label->value);
		if (r < 0)
			return r;
		l->n_labels++;
	} while (take(c, ','));
	return take(c, '}') ? 0 : bad(c, "expected a comma or the end of metric");
}

static int read_value(struct cursor *c, struct sample *s)
{
	bool quoted = peek(c) == '"', ignored;
	struct str text;
	int r = 0;

	if (quoted)
		r = take_raw(c, &text, &ignored);
	else
		text = take_plain(c);
	if (r < 0)
		return r;
	if (!quoted && str_eqc(text, "null")) {
		s->value = (double)NAN;
		return 0;
	}
	if (num_parse_double(text, &s->value) < 0 || (quoted && isfinite(s->value)))
		return bad(c, "a value is not a number, null, \"Infinity\" or \"-Infinity\"");
	return 0;
}

static int read_time(struct cursor *c, struct sample *s)
{
	return num_parse_i64(take_plain(c), &s->ts_ms) < 0
	               ? bad(c, "a timestamp is not a whole number of milliseconds")
	               : 0;
}

/* [1,2,…]: each element into the sample of its place. */
static int read_column(struct cursor *c, struct jsonline *l, size_t *ret_n,
                       int (*read_one)(struct cursor *c, struct sample *s))
{
	size_t n = 0;

	if (!take(c, '['))
		return bad(c, "values and timestamps must be arrays");
	if (take(c, ']'))
		return 0;
	do {
		int r = MEM_GROW(l->samples, l->samples_cap, n + 1);

		if (r == 0)
			r = read_one(c, &l->samples[n++]);
		if (r < 0)
			return r;
	} while (take(c, ','));
	*ret_n = n;
	return take(c, ']') ? 0 : bad(c, "expected a comma or the end of an array");
}

/* Any value: nothing is kept of it but that its brackets match. */
static int skip_value(struct cursor *c)
{
	char open[NESTING_MAX];
	uint32_t depth = 0;

	do {
		char ch = peek(c);
		struct str ignored;
		bool escapes;

		if (ch == '{' || ch == '[') {
			if (depth == NESTING_MAX)
				return bad(c, "values are nested too deep");
			open[depth++] = ch;
			c->at++;
		} else if (ch == '}' || ch == ']') {
			if (depth == 0 || open[--depth] != (ch == '}' ? '{' : '['))
				return bad(c, "brackets do not match");
			c->at++;
		} else if (ch == '"') {
			if (take_raw(c, &ignored, &escapes) < 0)
				return -EBADMSG;
		} else if (depth > 0 && (ch == ',' || ch == ':')) {
			c->at++;
		} else if (take_plain(c).len == 0) {
			return bad(c, "expected a value");
		}
	} while (depth > 0);
	return 0;
}

/* --- the line --------------------------------------------------------------------------------- */

enum {
	HAS_METRIC = 1,
	HAS_VALUES = 2,
	HAS_TIMES = 4,
	HAS_ALL = 7,
};

struct counts {
	size_t values, times;
};

static int once(struct cursor *c, unsigned *seen, unsigned which)
{
	if (*seen & which)
		return bad(c, "a member comes twice");
	*seen |= which;
	return 0;
}

static int read_member(struct cursor *c, struct jsonline *l, unsigned *seen, struct counts *n)
{
	bool escapes;
	struct str name;
	int r = take_raw(c, &name, &escapes);

	if (r < 0)
		return r;
	if (!take(c, ':'))
		return bad(c, "expected a colon behind the name of a member");
	if (str_eqc(name, "metric")) {
		r = once(c, seen, HAS_METRIC);
		return r < 0 ? r : read_labels(c, l);
	}
	if (str_eqc(name, "values")) {
		r = once(c, seen, HAS_VALUES);
		return r < 0 ? r : read_column(c, l, &n->values, read_value);
	}
	if (str_eqc(name, "timestamps")) {
		r = once(c, seen, HAS_TIMES);
		return r < 0 ? r : read_column(c, l, &n->times, read_time);
	}
	return skip_value(c);
}

int jsonline_parse(struct jsonline *l, struct str line, struct err *e)
{
	struct cursor c = { line, 0, e };
	struct counts n = { 0 };
	unsigned seen = 0;

	l->n_labels = 0;
	l->n_samples = 0;
	buf_clear(&l->texts);
	if (!buf_reserve(&l->texts, line.len))
		return -ENOMEM;
	if (!take(&c, '{'))
		return bad(&c, "expected an object");
	do {
		int r = read_member(&c, l, &seen, &n);

		if (r < 0)
			return r;
	} while (take(&c, ','));
	if (!take(&c, '}'))
		return bad(&c, "expected a comma or the end of the object");
	if (peek(&c) != '\0' || c.at != line.len)
		return bad(&c, "there is something behind the object");
	if (seen != HAS_ALL || l->n_labels == 0 || n.values == 0)
		return err_set(e, -EBADMSG, "metric, values and timestamps are needed, none empty");
	if (n.values != n.times)
		return err_set(e, -EBADMSG, "%zu values have %zu timestamps", n.values, n.times);
	l->n_samples = n.values;
	return 0;
}

void jsonline_done(struct jsonline *l)
{
	buf_done(&l->texts);
	free(l->samples);
	l->samples = NULL;
	l->samples_cap = 0;
}
