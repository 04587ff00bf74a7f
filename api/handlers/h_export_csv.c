/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/export/csv: raw samples in the columns that the client asks for. */
#include <errno.h>

#include "api/handlers/dump.h"
#include "api/handlers/go_time.h"
#include "api/handlers/handlers.h"
#include "api/handlers/series_text.h"
#include "api/reply.h"
#include "userspace/base/json_text.h"
#include "userspace/base/util.h"

#define COLUMNS_MAX 256u

enum column_kind {
	COLUMN_LABEL,
	COLUMN_VALUE,
	COLUMN_TIME,
};

struct column {
	enum column_kind kind;
	struct str label; /* COLUMN_LABEL */
	void (*put_time)(struct buf *out, struct str layout, int64_t ts_ms);
	struct str layout;
};

struct csv {
	struct column v[COLUMNS_MAX];
	size_t n;
	struct dump_format format; /* its head is the request's own */
};

/* --- cells ------------------------------------------------------------------------------------ */

static bool needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r')
			return true;
	}
	return false;
}

/* Quoted as in JSON, like VictoriaMetrics does. */
static void put_text(struct buf *out, struct str s)
{
	if (needs_quotes(s))
		json_put_str(out, s);
	else
		buf_put_str(out, s);
}

static void put_ms(struct buf *out, struct str layout, int64_t ts_ms)
{
	(void)layout;
	buf_put_i64(out, ts_ms);
}

static void put_s(struct buf *out, struct str layout, int64_t ts_ms)
{
	(void)layout;
	buf_put_i64(out, ts_ms / 1000);
}

static void put_ns(struct buf *out, struct str layout, int64_t ts_ms)
{
	(void)layout;
	buf_put_i64(out, ts_ms * 1000000);
}

static void put_column(struct buf *out, const struct column *c, const struct dump *d)
{
	const struct store_series *s = &d->series;

	switch (c->kind) {
	case COLUMN_VALUE:
		series_text_put_value(out, s->values[d->row]);
		break;
	case COLUMN_TIME:
		c->put_time(out, c->layout, s->ts_ms[d->row]);
		break;
	case COLUMN_LABEL:
		for (uint32_t i = 0; i < s->n_labels; i++) {
			if (str_eq(s->labels[i].name, c->label))
				put_text(out, s->labels[i].value);
		}
		break;
	}
}

static void csv_rows(struct dump *d, struct buf *out, size_t want)
{
	const struct csv *csv = d->format_ctx;
	size_t from = out->len;

	while (d->row < d->series.n && out->len - from < want && out->err == 0) {
		for (size_t i = 0; i < csv->n; i++) {
			if (i > 0)
				buf_putc(out, ',');
			put_column(out, &csv->v[i], d);
		}
		buf_putc(out, '\n');
		d->row++;
	}
}

/* --- the columns ------------------------------------------------------------------------------ */

static int parse_time_column(struct str kind, struct column *c, struct err *e)
{
	static const struct {
		const char *name;
		void (*put)(struct buf *out, struct str layout, int64_t ts_ms);
		const char *layout;
	} rows[] = { { "", put_ms, "" },
		     { "unix_ms", put_ms, "" },
		     { "unix_s", put_s, "" },
		     { "unix_ns", put_ns, "" },
		     { "rfc3339", go_time_put, GO_TIME_RFC3339 } };

	c->kind = COLUMN_TIME;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_eqc(kind, rows[i].name)) {
			c->put_time = rows[i].put;
			c->layout = str_from(rows[i].layout);
			return 0;
		}
	}
	if (!str_starts(kind, STR("custom:")))
		return err_set(e, -EINVAL,
		               "argument format: \"%.*s\" is none of unix_s, unix_ms, unix_ns,"
		               " rfc3339, custom:LAYOUT",
		               (int)MIN(kind.len, (size_t)60), kind.p);
	c->put_time = go_time_put;
	c->layout = str_skip(kind, sizeof("custom:") - 1);
	return 0;
}

static int parse_column(struct str text, struct column *c, struct err *e)
{
	struct str name, rest;

	(void)str_cut(text, ':', &name, &rest);
	if (str_eqc(text, "__value__"))
		c->kind = COLUMN_VALUE;
	else if (str_eqc(name, "__timestamp__"))
		return parse_time_column(rest, c, e);
	else
		c->label = text;
	return 0;
}

static int parse_format(struct request *req, struct csv *csv, struct err *e)
{
	struct str format = params_get(&req->params, "format"), rest = format, one;
	_cleanup_(buf_done) struct buf head = BUF_INIT;
	bool more = true;

	if (format.len == 0)
		return err_set(e, -EINVAL,
		               "argument format is missing: columns like"
		               " __name__,app,__value__,__timestamp__:unix_s");
	while (more) {
		more = str_cut(rest, ',', &one, &rest);
		if (csv->n == COLUMNS_MAX)
			return err_set(e, -EINVAL, "argument format: more than %u columns",
			               COLUMNS_MAX);
		int r = parse_column(one, &csv->v[csv->n++], e);

		if (r < 0)
			return r;
	}
	buf_put_str(&head, format);
	buf_putc(&head, '\n');
	csv->format = (struct dump_format){ .content_type = "text/csv; charset=utf-8",
		                            .head = arena_str(&req->arena, buf_str(&head)),
		                            .rows = csv_rows };
	return head.err < 0 ? head.err : arena_error(&req->arena);
}

int h_export_csv(struct region *region, struct request *req, struct response *resp)
{
	struct csv *csv = ARENA_NEW(&req->arena, struct csv);
	struct err e = ERR_INIT;
	int r = csv ? parse_format(req, csv, &e) : arena_error(&req->arena);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	return dump_reply(region, req, resp, &csv->format, csv, 0);
}
