/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /federate: the last sample of each series, with its type and help where a sender told them.
 *
 * Which text   A client that takes names of any characters (escaping=allow-utf-8) gets the text
 *              format 1.0.0, which defines them. One that takes OpenMetrics and no other text gets
 *              OpenMetrics. Everybody else gets the text format 0.0.4, Prometheus with underscores
 *              for what it cannot read.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "api/handlers/dump.h"
#include "api/handlers/families.h"
#include "api/handlers/handlers.h"
#include "api/handlers/series_text.h"
#include "api/metadata.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define LOOKBACK_MS (5 * 60 * 1000ll)

struct federation {
	bool open_metrics;
	enum name_scheme names;
	struct families families;
	const struct family *told; /* whose lines were written last */
};

/* --- what the client takes -------------------------------------------------------------------- */

static bool contains(struct str s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.len; i++) {
		if (strncasecmp(s.p + i, word, n) == 0)
			return true;
	}
	return false;
}

/* --- types ------------------------------------------------------------------------------------ */

static bool ends_with(struct str s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len > n && memcmp(s.p + s.len - n, suffix, n) == 0;
}

/*
 * The text format knows fewer types, OpenMetrics has a rule about counters: their samples end in
 * _total and their family does not.
 */
static const char *type_text(const struct federation *f, const struct family *m)
{
	if (f->open_metrics)
		return m->type == RW_TYPE_COUNTER && !ends_with(m->name, "_total")
		               ? "unknown"
		               : metadata_type_name(m->type);
	switch (m->type) {
	case RW_TYPE_COUNTER:
	case RW_TYPE_GAUGE:
	case RW_TYPE_HISTOGRAM:
	case RW_TYPE_SUMMARY:
		return metadata_type_name(m->type);
	case RW_TYPE_INFO:
	case RW_TYPE_STATESET:
		return "gauge";
	default:
		return "untyped";
	}
}

static void put_help(struct buf *out, struct str s, bool quotes)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\n')
			buf_puts(out, "\\n");
		else if (s.p[i] == '\\' || (quotes && s.p[i] == '"'))
			buf_printf(out, "\\%c", s.p[i]);
		else
			buf_putc(out, s.p[i]);
	}
}

static void put_family(const struct federation *f, const struct family *m, struct buf *out)
{
	struct str name = m->name;

	if (f->open_metrics && m->type == RW_TYPE_COUNTER && ends_with(name, "_total"))
		name.len -= strlen("_total");
	if (m->help.len > 0) {
		buf_puts(out, "# HELP ");
		series_text_put_name(out, f->names, name);
		buf_putc(out, ' ');
		put_help(out, m->help, f->open_metrics);
		buf_putc(out, '\n');
	}
	buf_puts(out, "# TYPE ");
	series_text_put_name(out, f->names, name);
	buf_printf(out, " %s\n", type_text(f, m));
}

/* --- samples ---------------------------------------------------------------------------------- */

static void put_time(const struct federation *f, int64_t ts_ms, struct buf *out)
{
	if (f->open_metrics)
		buf_printf(out, "%lld.%03lld", (long long)(ts_ms / 1000),
		           (long long)(ts_ms % 1000));
	else
		buf_put_i64(out, ts_ms);
}

static void federate_rows(struct dump *d, struct buf *out, size_t want)
{
	struct federation *f = d->format_ctx;
	const struct store_series *s = &d->series;
	double v = s->values[s->n - 1];

	(void)want;
	d->row = s->n;
	if (is_stale_mark(v)) /* the series has ended */
		return;
	const struct family *m =
		families_find_of(&f->families, series_name(s->labels, s->n_labels));

	if (m && m != f->told)
		put_family(f, m, out);
	f->told = m ? m : f->told;
	series_text_put(out, f->names, s->labels, s->n_labels);
	buf_putc(out, ' ');
	series_text_put_value(out, v);
	buf_putc(out, ' ');
	put_time(f, s->ts_ms[s->n - 1], out);
	buf_putc(out, '\n');
}

#define FORMAT(type)                                          \
	{                                                     \
		.content_type = (type), .rows = federate_rows \
	}
static const struct dump_format text_format = FORMAT(REPLY_TEXT);
static const struct dump_format text_4_format =
	FORMAT("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
static const struct dump_format text_1_format =
	FORMAT("text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8");
#undef FORMAT
static const struct dump_format open_metrics_format = {
	.content_type =
		"application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
	.tail = STR_INIT("# EOF\n"),
	.rows = federate_rows,
};

static const struct dump_format *choose(const struct request *req, struct federation *f)
{
	struct str accept = req->accept;
	bool other = contains(accept, "text/plain") || contains(accept, "*/*");

	f->names = NAMES_UNDERSCORES;
	if (contains(accept, "escaping=allow-utf-8")) {
		f->names = NAMES_QUOTED;
		return &text_1_format;
	}
	if (contains(accept, "application/openmetrics-text") && !other) {
		f->open_metrics = true;
		return &open_metrics_format;
	}
	if (contains(req->user_agent, "Prometheus/"))
		return &text_4_format;
	f->names = NAMES_RAW;
	return &text_format;
}

int h_federate(struct region *region, struct request *req, struct response *resp)
{
	struct federation *f = ARENA_NEW(&req->arena, struct federation);
	const struct dump_format *format;
	struct err e = ERR_INIT;
	int64_t lookback_ms = LOOKBACK_MS;
	int r = f ? params_duration_ms(&req->params, "max_lookback", LOOKBACK_MS, &lookback_ms, &e)
	          : arena_error(&req->arena);
	bool asked = params_get(&req->params, "end").len > 0;

	if (r == 0)
		r = families_load(&f->families, region->metadata, req->org, &req->arena);
	if (r < 0)
		return reply_args_error(resp, r, &e);
	format = choose(req, f);
	/* With an end and no start: the last sample before the end, however old. */
	return dump_reply(region, req, resp, format, f, asked ? 0 : clock_unix_ms() - lookback_ms);
}
