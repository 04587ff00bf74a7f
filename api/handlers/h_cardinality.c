/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many series there are, and of what: /api/v1/series/count and /api/v1/status/tsdb. The latter
 * walks the series of one day and counts names, labels and pairs.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/counts.h"
#include "api/handlers/filters.h"
#include "api/handlers/handlers.h"
#include "api/json_out.h"
#include "api/name_stats.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define DAY_MS      (86400 * 1000ll)
#define TOP_DEFAULT 10
#define TOP_MAX     1000
#define PAIRS_MAX   ((size_t)10 << 20) /* different ones: bounds the memory of one request */

static void set_limits(struct region *region, struct store_select *sel)
{
	struct region_conf conf;

	region_settings(region, &conf);
	sel->deadline_mono_ns = clock_mono_ns() + (uint64_t)conf.labels_timeout_ms * 1000000;
	sel->series_max = (uint64_t)conf.labels_series_max;
}

/* --- /api/v1/series/count --------------------------------------------------------------------- */

static int count_one(void *ctx, const struct label *labels, uint32_t n_labels)
{
	(void)labels;
	(void)n_labels;
	(*(uint64_t *)ctx)++;
	return 0;
}

int h_series_count(struct region *region, struct request *req, struct response *resp)
{
	struct store_select sel = { .min_ms = INT64_MIN, .max_ms = INT64_MAX };
	struct err e = ERR_INIT;
	uint64_t n = 0;
	int r = filters_select(req, false, &sel, &e);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	set_limits(region, &sel);
	r = store_series_each(region->store, &sel, count_one, &n, &e);
	if (r < 0)
		return reply_engine_error(resp, r, &e);
	buf_printf(&resp->body, "{\"status\":\"success\",\"data\":[%llu]}\n",
	           (unsigned long long)n);
	return reply_json(resp);
}

/* --- /api/v1/status/tsdb ---------------------------------------------------------------------- */

struct census {
	struct store_select sel;
	struct str focus; /* label whose values are counted; empty = none */
	size_t top;
	struct counts names, labels, pairs, focused;
	struct counts values; /* different ones of each label */
	uint64_t n_series, n_pairs;
	struct buf pair; /* "name=value" of the moment */
};

static void census_done(struct census *c)
{
	counts_done(&c->names);
	counts_done(&c->labels);
	counts_done(&c->pairs);
	counts_done(&c->focused);
	counts_done(&c->values);
	buf_done(&c->pair);
}

/* Adds one to the counter of @text; *@ret_first says whether it was the first time. */
static int add(struct counts *c, struct str text, bool *ret_first)
{
	struct count *one = counts_at(c, text);

	if (!one)
		return c->refused > 0 ? -ENOSPC : -ENOMEM;
	*ret_first = one->n++ == 0;
	return 0;
}

static int census_label(struct census *c, const struct label *l)
{
	bool first, ignored;
	int r;

	buf_clear(&c->pair);
	buf_put_str(&c->pair, l->name);
	buf_putc(&c->pair, '=');
	buf_put_str(&c->pair, l->value);
	if (c->pair.err < 0)
		return c->pair.err;
	r = add(&c->pairs, buf_str(&c->pair), &first);
	if (r == 0)
		r = add(&c->labels, l->name, &ignored);
	if (r == 0 && first)
		r = add(&c->values, l->name, &ignored);
	if (r == 0 && str_eqc(l->name, LABEL_NAME))
		r = add(&c->names, l->value, &ignored);
	if (r == 0 && c->focus.len > 0 && str_eq(l->name, c->focus))
		r = add(&c->focused, l->value, &ignored);
	return r;
}

static int census_series(void *ctx, const struct label *labels, uint32_t n_labels)
{
	struct census *c = ctx;
	int r = 0;

	c->n_series++;
	c->n_pairs += n_labels;
	for (uint32_t i = 0; r == 0 && i < n_labels; i++)
		r = census_label(c, &labels[i]);
	return r;
}

/* A day by its date; without one today, with 0 all time. */
static int read_date(const struct params *p, struct store_select *sel, struct err *e)
{
	struct str text = params_get(p, "date");
	int64_t now_ms = clock_unix_ms(), at_ms = now_ms;
	_cleanup_(buf_done) struct buf utc = BUF_INIT;

	*sel = (struct store_select){ .min_ms = INT64_MIN, .max_ms = INT64_MAX };
	if (str_eqc(text, "0"))
		return 0;
	if (text.len > 0) {
		buf_printf(&utc, "%.*sT00:00:00Z", STR_FMT(text));
		if (text.len != 10 || params_parse_time_ms(buf_str(&utc), now_ms, &at_ms) < 0)
			return err_set(e, -EINVAL,
			               "argument date: \"%.*s\" is not a day like 2023-11-14",
			               (int)MIN(text.len, (size_t)60), text.p);
	}
	sel->min_ms = at_ms - at_ms % DAY_MS;
	sel->max_ms = sel->min_ms + DAY_MS - 1;
	return 0;
}

static int census_args(struct census *c, struct request *req, struct err *e)
{
	const struct params *p = &req->params;
	int64_t top;
	int r = params_int(p, "topN", TOP_DEFAULT, &top, e);

	if (r == 0)
		r = read_date(p, &c->sel, e);
	if (r == 0)
		r = filters_select(req, false, &c->sel, e);
	c->top = (size_t)MAX((int64_t)1, MIN(top, (int64_t)TOP_MAX));
	c->focus = params_get(p, "focusLabel");
	return r;
}

/* "key":[{"name":…,"value":…},…] */
static int put_top(struct buf *out, const char *key, const struct counts *counts, size_t top,
                   struct name_stats *stats, struct str org)
{
	const struct count **v = counts_sort(counts);

	if (!v)
		return -ENOMEM;
	buf_printf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < MIN(top, counts->n); i++) {
		struct name_use use = { 0 };

		buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_str(out, count_text(v[i]));
		buf_printf(out, ",\"value\":%llu", (unsigned long long)v[i]->n);
		if (stats) {
			name_stats_get(stats, org, count_text(v[i]), &use);
			buf_printf(out, ",\"requestsCount\":%llu,\"lastRequestTimestamp\":%llu",
			           (unsigned long long)use.n, (unsigned long long)use.last_s);
		}
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
	free(v);
	return out->err;
}

static int put_census(struct region *region, const struct request *req, const struct census *c,
                      struct buf *out)
{
	const struct {
		const char *key;
		const struct counts *counts;
	} parts[] = {
		{ "seriesCountByLabelName", &c->labels },
		{ "seriesCountByFocusLabelValue", &c->focused },
		{ "seriesCountByLabelValuePair", &c->pairs },
		{ "labelValueCountByLabelName", &c->values },
	};
	int r;

	buf_printf(out,
	           "{\"status\":\"success\",\"data\":{\"totalSeries\":%llu,"
	           "\"totalLabelValuePairs\":%llu",
	           (unsigned long long)c->n_series, (unsigned long long)c->n_pairs);
	r = put_top(out, "seriesCountByMetricName", &c->names, c->top, region->name_stats,
	            req->org);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = put_top(out, parts[i].key, parts[i].counts, c->top, NULL, STR_NULL);
	buf_puts(out, "}}\n");
	return r;
}

int h_tsdb(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(census_done) struct census c = { .pairs = COUNTS_INIT(PAIRS_MAX) };
	struct err e = ERR_INIT;
	int r = census_args(&c, req, &e);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	set_limits(region, &c.sel);
	r = store_series_each(region->store, &c.sel, census_series, &c, &e);
	if (r == 0)
		r = put_census(region, req, &c, &resp->body);
	if (r == -ENOSPC && e.msg[0] == '\0')
		(void)err_set(&e, r,
		              "more than %zu different label values; ask for fewer by match[]",
		              PAIRS_MAX);
	return r < 0 ? reply_engine_error(resp, r, &e) : reply_json(resp);
}
