/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/csv_rows.h"

#include "api/params.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

/* --- times ------------------------------------------------------------------------------------ */

static int read_unix_s(struct str text, int64_t *ret)
{
	int64_t s;

	if (num_parse_i64(text, &s) < 0 || __builtin_mul_overflow(s, (int64_t)1000, ret))
		return -EINVAL;
	return 0;
}

static int read_unix_ms(struct str text, int64_t *ret)
{
	return num_parse_i64(text, ret) < 0 ? -EINVAL : 0;
}

static int read_unix_ns(struct str text, int64_t *ret)
{
	int64_t ns;

	if (num_parse_i64(text, &ns) < 0)
		return -EINVAL;
	*ret = ns / 1000000;
	return 0;
}

/* A date and a time of day with a zone, nothing shorter. */
static int read_rfc3339(struct str text, int64_t *ret)
{
	if (text.len < sizeof("2006-01-02T15:04:05Z") - 1 || text.p[10] != 'T')
		return -EINVAL;
	return params_parse_time_ms(text, 0, ret);
}

static const struct {
	const char *name;
	int (*read)(struct str text, int64_t *ret);
} times[] = {
	{ "unix_s", read_unix_s },
	{ "unix_ms", read_unix_ms },
	{ "unix_ns", read_unix_ns },
	{ "rfc3339", read_rfc3339 },
};

/* --- the format ------------------------------------------------------------------------------- */

static int bad_entry(struct str entry, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "argument format: \"%.*s\": %s", (int)MIN(entry.len, (size_t)60),
	               entry.p, why);
}

static int set_column(struct csv_column *c, struct str entry, struct str kind, struct str name,
                      struct err *e)
{
	if (name.len == 0)
		return bad_entry(entry, "each entry is POSITION:KIND:NAME", e);
	if (c->kind != CSV_SKIP)
		return bad_entry(entry, "the column is named twice", e);
	c->name = name;
	if (str_eqc(kind, "label"))
		c->kind = CSV_LABEL;
	else if (str_eqc(kind, "metric"))
		c->kind = CSV_METRIC;
	else if (str_eqc(kind, "time"))
		c->kind = CSV_TIME;
	else
		return bad_entry(entry, "a kind is time, label or metric", e);
	for (size_t i = 0; c->kind == CSV_TIME && i < ARRAY_SIZE(times); i++) {
		if (str_eqc(name, times[i].name))
			c->read_time = times[i].read;
	}
	if (c->kind == CSV_TIME && !c->read_time)
		return bad_entry(entry, "a time is unix_s, unix_ms, unix_ns or rfc3339", e);
	return 0;
}

static int read_entry(struct csv_format *f, struct str entry, struct err *e)
{
	struct str position, rest, kind, name;
	uint64_t at;

	(void)str_cut(entry, ':', &position, &rest);
	(void)str_cut(rest, ':', &kind, &name);
	if (num_parse_u64(position, &at) < 0 || at == 0 || at > CSV_COLUMNS_MAX)
		return bad_entry(entry, "a position is a number from 1 to 1024", e);
	f->n = MAX(f->n, (size_t)at);
	return set_column(&f->v[at - 1], entry, kind, name, e);
}

static int check(const struct csv_format *f, struct err *e)
{
	size_t n[CSV_METRIC + 1] = { 0 };

	for (size_t i = 0; i < f->n; i++)
		n[f->v[i].kind]++;
	if (n[CSV_METRIC] == 0)
		return err_set(e, -EINVAL,
		               "argument format names no column of values, like 2:metric:NAME");
	if (n[CSV_TIME] > 1)
		return err_set(e, -EINVAL, "argument format names more than one time");
	if (n[CSV_LABEL] > LABELS_MAX)
		return err_set(e, -EINVAL, "argument format names more than %u labels", LABELS_MAX);
	return 0;
}

int csv_format_parse(struct str text, struct arena *arena, struct csv_format *ret, struct err *e)
{
	struct csv_format f = { ARENA_ARRAY(arena, struct csv_column, CSV_COLUMNS_MAX), 0 };
	struct str entry, rest = text;
	bool more = true;
	int r = f.v ? 0 : arena_error(arena);

	if (text.len == 0)
		return err_set(e, -EINVAL,
		               "argument format is missing: columns like"
		               " 1:time:unix_s,2:metric:NAME,3:label:NAME");
	while (r == 0 && more) {
		more = str_cut(rest, ',', &entry, &rest);
		r = read_entry(&f, entry, e);
	}
	if (r == 0)
		r = check(&f, e);
	if (r == 0)
		*ret = f;
	return r;
}

/* --- a row ------------------------------------------------------------------------------------ */

void csv_row_done(struct csv_row *row)
{
	buf_done(&row->texts);
}

/* *@line is behind the first quote. @texts has room for the whole line: it does not move. */
static int take_quoted(struct str *line, struct buf *texts, struct str *ret, struct err *e)
{
	size_t from = texts->len;

	for (;;) {
		struct str part;

		if (!str_cut(*line, '"', &part, line))
			return err_set(e, -EBADMSG, "a quoted cell does not end");
		buf_put_str(texts, part);
		if (line->len == 0 || line->p[0] != '"')
			break;
		buf_putc(texts, '"');
		*line = str_skip(*line, 1);
	}
	*ret = (struct str){ texts->p + from, texts->len - from };
	if (line->len > 0 && line->p[0] != ',')
		return err_set(e, -EBADMSG, "there is no comma behind a quoted cell");
	*line = str_skip(*line, 1);
	return texts->err;
}

static int take_cell(struct str *line, struct buf *texts, struct str *ret, struct err *e)
{
	if (line->len == 0 || line->p[0] != '"') {
		(void)str_cut(*line, ',', ret, line);
		return 0;
	}
	*line = str_skip(*line, 1);
	return take_quoted(line, texts, ret, e);
}

static int use_cell(struct csv_row *row, const struct csv_column *c, struct str cell, struct err *e)
{
	double value;

	switch (c->kind) {
	case CSV_TIME:
		if (c->read_time(cell, &row->ts_ms) < 0)
			return err_set(e, -EBADMSG, "\"%.*s\" is not a time in %.*s",
			               (int)MIN(cell.len, (size_t)40), cell.p, STR_FMT(c->name));
		break;
	case CSV_LABEL:
		row->labels[row->n_labels++] = (struct label){ c->name, cell };
		break;
	case CSV_METRIC:
		if (cell.len == 0)
			break;
		if (num_parse_double(cell, &value) < 0)
			return err_set(e, -EBADMSG, "\"%.*s\" is not a value of %.*s",
			               (int)MIN(cell.len, (size_t)40), cell.p,
			               (int)MIN(c->name.len, (size_t)60), c->name.p);
		row->values[row->n_values].name = c->name;
		row->values[row->n_values++].value = value;
		break;
	case CSV_SKIP:
		break;
	}
	return 0;
}

int csv_row_read(struct csv_row *row, const struct csv_format *format, struct str line,
                 int64_t default_ts_ms, struct err *e)
{
	row->n_labels = 1;
	row->n_values = 0;
	row->ts_ms = default_ts_ms;
	buf_clear(&row->texts);
	if (!buf_reserve(&row->texts, line.len))
		return -ENOMEM;
	for (size_t i = 0; i < format->n; i++) {
		struct str cell = STR_NULL;

		if (line.len == 0 && i > 0)
			break;
		int r = take_cell(&line, &row->texts, &cell, e);

		if (r == 0)
			r = use_cell(row, &format->v[i], cell, e);
		if (r < 0)
			return r;
	}
	return row->n_values > 0 ? 0 : err_set(e, -EBADMSG, "there is no value");
}
