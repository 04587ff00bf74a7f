/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is asked of this server: queries that run, those that cost most, and how often metrics are
 * asked for. A token for certain apps is told about its own queries only.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/handlers/names.h"
#include "api/json_out.h"
#include "api/name_stats.h"
#include "api/queries.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define TOP_DEFAULT         20
#define LIFETIME_DEFAULT_MS (10 * 60 * 1000ll)
#define NAMES_DEFAULT       1000

static bool may_see(const struct request *req, struct str who)
{
	return !req->grant.some_apps || str_eq(who, req->grant.who);
}

/* --- active_queries --------------------------------------------------------------------------- */

struct active_answer {
	const struct request *req;
	struct buf *out;
	uint64_t now_ns;
	size_t n;
};

static void put_active(void *ctx, const struct query_run *run)
{
	struct active_answer *a = ctx;

	if (!str_eq(run->org, a->req->org) || !may_see(a->req, run->who))
		return;
	buf_printf(a->out, "%s{\"duration\":\"%.3fs\",\"id\":\"%016llX\",\"remote_addr\":",
	           a->n++ > 0 ? "," : "", (double)(a->now_ns - run->begin_mono_ns) / 1e9,
	           (unsigned long long)run->id);
	json_put_str(a->out, run->client);
	buf_puts(a->out, ",\"query\":");
	json_put_str(a->out, run->text);
	buf_printf(a->out, ",\"start\":%lld,\"end\":%lld,\"step\":%lld}", (long long)run->start_ms,
	           (long long)run->end_ms, (long long)run->step_ms);
}

int h_active_queries(struct region *region, struct request *req, struct response *resp)
{
	struct active_answer a = { req, &resp->body, clock_mono_ns(), 0 };

	buf_puts(a.out, "{\"status\":\"ok\",\"data\":[");
	queries_each(region->queries, put_active, &a);
	buf_puts(a.out, "]}\n");
	return reply_json(resp);
}

/* --- top_queries ------------------------------------------------------------------------------ */

struct top_row { /* past queries of one text and length of range */
	struct str text;
	uint64_t hash, n, sum_ns, sum_bytes;
	int64_t range_s;
};

struct top_answer {
	struct request *req;
	uint64_t oldest_ns; /* that counts */
	struct top_row *v;
	size_t n;
};

static void add_past(void *ctx, const struct query_past *p)
{
	struct top_answer *a = ctx;
	size_t i = 0;

	if (p->end_mono_ns < a->oldest_ns || !may_see(a->req, p->who))
		return;
	while (i < a->n && (a->v[i].hash != p->text_hash || a->v[i].range_s != p->range_s))
		i++;
	if (i == a->n)
		a->v[a->n++] = (struct top_row){ .text = arena_str(&a->req->arena, p->text),
			                         .hash = p->text_hash,
			                         .range_s = p->range_s };
	a->v[i].n++;
	a->v[i].sum_ns += p->took_ns;
	a->v[i].sum_bytes += p->memory_bytes;
}

typedef double (*top_value_f)(const struct top_row *r);

static double top_count(const struct top_row *r)
{
	return (double)r->n;
}

static double top_avg_s(const struct top_row *r)
{
	return (double)r->sum_ns / (double)r->n / 1e9;
}

static double top_sum_s(const struct top_row *r)
{
	return (double)r->sum_ns / 1e9;
}

static double top_avg_bytes(const struct top_row *r)
{
	return (double)(r->sum_bytes / r->n);
}

/* The lists of the answer: key, the number it is sorted by, and what that is called. */
static const struct {
	const char *key, *name;
	top_value_f value;
} top_lists[] = {
	{ "topByCount", NULL, top_count },
	{ "topByAvgDuration", "avgDurationSeconds", top_avg_s },
	{ "topBySumDuration", "sumDurationSeconds", top_sum_s },
	{ "topByAvgMemoryUsage", "avgMemoryBytes", top_avg_bytes },
};

static int by_value(const void *a, const void *b, void *value)
{
	top_value_f f = *(top_value_f *)value;
	double x = f(a), y = f(b);

	return x > y ? -1 : x < y;
}

static void put_list(struct buf *out, struct top_answer *a, size_t list, size_t top)
{
	top_value_f value = top_lists[list].value;

	qsort_r(a->v, a->n, sizeof(*a->v), by_value, &value);
	buf_printf(out, ",\"%s\":[", top_lists[list].key);
	for (size_t i = 0; i < MIN(a->n, top); i++) {
		const struct top_row *r = &a->v[i];

		buf_puts(out, i > 0 ? ",{\"query\":" : "{\"query\":");
		json_put_str(out, r->text);
		buf_printf(out, ",\"timeRangeSeconds\":%lld", (long long)r->range_s);
		if (top_lists[list].name) {
			buf_printf(out, ",\"%s\":", top_lists[list].name);
			buf_put_double(out, value(r));
		}
		buf_printf(out, ",\"count\":%llu}", (unsigned long long)r->n);
	}
	buf_putc(out, ']');
}

int h_top_queries(struct region *region, struct request *req, struct response *resp)
{
	struct top_answer a = { .req = req };
	int64_t top, lifetime_ms;
	struct err e = ERR_INIT;
	int r = params_int(&req->params, "topN", TOP_DEFAULT, &top, &e);

	if (r == 0)
		r = params_duration_ms(&req->params, "maxLifetime", LIFETIME_DEFAULT_MS,
		                       &lifetime_ms, &e);
	a.v = ARENA_ARRAY(&req->arena, struct top_row, QUERIES_KEPT);
	if (r == 0 && !a.v)
		r = arena_error(&req->arena);
	if (r < 0)
		return reply_args_error(resp, r, &e);
	uint64_t now_ns = clock_mono_ns(), life_ns = (uint64_t)lifetime_ms * 1000000;

	a.oldest_ns = now_ns > life_ns ? now_ns - life_ns : 0;
	queries_past(region->queries, req->org, add_past, &a);
	buf_printf(&resp->body,
	           "{\"topN\":\"%lld\",\"maxLifetime\":\"%llds\","
	           "\"search.queryStats.lastQueriesCount\":%u,"
	           "\"search.queryStats.minQueryDuration\":\"1ms\","
	           "\"search.queryStats.minQueryMemoryUsage\":\"0\"",
	           (long long)top, (long long)(lifetime_ms / 1000), QUERIES_KEPT);
	for (size_t i = 0; i < ARRAY_SIZE(top_lists); i++)
		put_list(&resp->body, &a, i, top > 0 ? (size_t)top : 0);
	buf_puts(&resp->body, "}\n");
	return reply_json(resp);
}

/* --- metric_names_stats ----------------------------------------------------------------------- */

struct name_row {
	struct str name;
	struct name_use use;
};

struct names_args {
	int64_t limit, le; /* le < 0: any count */
	struct str pattern;
};

/* Seldom asked for first. */
static int by_use(const void *a, const void *b)
{
	const struct name_row *x = a, *y = b;

	if (x->use.n != y->use.n)
		return x->use.n < y->use.n ? -1 : 1;
	return str_cmp(x->name, y->name);
}

static int read_names_args(struct request *req, struct names_args *ret, struct err *e)
{
	int r = params_int(&req->params, "limit", NAMES_DEFAULT, &ret->limit, e);

	if (r == 0)
		r = params_int(&req->params, "le", -1, &ret->le, e);
	ret->pattern = params_get(&req->params, "match_pattern");
	return r;
}

static size_t choose_names(struct region *region, const struct request *req,
                           const struct names *names, const struct names_args *args,
                           struct name_row *v)
{
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++) {
		struct name_row *row = &v[n];

		if (args->pattern.len > 0 &&
		    !memmem(names->v[i].p, names->v[i].len, args->pattern.p, args->pattern.len))
			continue;
		*row = (struct name_row){ .name = names->v[i] };
		if (!req->grant.some_apps) /* others' questions are not for everybody */
			name_stats_get(region->name_stats, req->org, row->name, &row->use);
		n += args->le < 0 || row->use.n <= (uint64_t)args->le;
	}
	qsort(v, n, sizeof(*v), by_use);
	return n;
}

int h_metric_names_stats(struct region *region, struct request *req, struct response *resp)
{
	struct names_args args;
	struct name_row *v = NULL;
	struct names names;
	struct err e = ERR_INIT;
	int r = read_names_args(req, &args, &e);

	if (r == 0)
		r = names_of_request(region, req, &names, &e);
	if (r == 0) {
		v = ARENA_ARRAY(&req->arena, struct name_row, names.n + 1);
		r = v ? 0 : arena_error(&req->arena);
	}
	if (r < 0)
		return reply_args_error(resp, r, &e);
	size_t n = choose_names(region, req, &names, &args, v);

	buf_printf(&resp->body,
	           "{\"status\":\"success\",\"statsCollectedSince\":%llu,"
	           "\"statsCollectedRecordsTotal\":%zu,\"records\":[",
	           (unsigned long long)name_stats_since_s(region->name_stats), names.n);
	for (size_t i = 0; i < n && (args.limit <= 0 || i < (size_t)args.limit); i++) {
		buf_puts(&resp->body, i > 0 ? ",{\"metricName\":" : "{\"metricName\":");
		json_put_str(&resp->body, v[i].name);
		buf_printf(&resp->body,
		           ",\"queryRequestsCount\":%llu,\"lastQueryRequestTimestamp\":%llu}",
		           (unsigned long long)v[i].use.n, (unsigned long long)v[i].use.last_s);
	}
	buf_puts(&resp->body, "]}\n");
	return reply_json(resp);
}
