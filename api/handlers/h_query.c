/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/query and /api/v1/query_range: arguments into a plan, the answer as a stream of JSON. */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/filters.h"
#include "api/handlers/handlers.h"
#include "api/json_out.h"
#include "api/name_stats.h"
#include "api/queries.h"
#include "api/redact.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

#define DEFAULT_STEP_MS   (5 * 60 * 1000ll)
#define LOGGED_TEXT_MAX   512u                /* of a slow query */
#define FIRST_PIECE_BYTES ((size_t)256 << 10) /* a smaller answer is sent in one piece */

static struct metric series_read =
	METRIC_COUNTER("periscope_region_query_series_read_total", "", "Series read by queries.");
METRIC_REGISTER(series_read);
static struct metric samples_read =
	METRIC_COUNTER("periscope_region_query_samples_read_total", "", "Samples read by queries.");
METRIC_REGISTER(samples_read);

/* What the arguments became; @limits and @filters are what @q points into. */
struct plan {
	struct region *region;
	struct mql_query q;
	struct mql_limits limits;
	struct filters filters;
	struct region_conf conf;
};

static void set_limits(struct plan *plan)
{
	const struct region_conf *c = &plan->conf;

	plan->limits = (struct mql_limits){
		.text_bytes_max = c->query_text_bytes_max,
		.points_max = (uint64_t)c->query_points_max,
		.subquery_points_max = (uint64_t)c->query_subquery_points_max,
		.series_max = (uint64_t)c->query_series_max,
		.samples_max = (uint64_t)c->query_samples_max,
		.memory_bytes_max = c->query_memory_bytes_max,
	};
	plan->q.limits = &plan->limits;
}

/* --- values that do not parse count as absent here, as VictoriaMetrics has it ----------------- */

/* The timeout can only be lowered. */
static void set_deadline(struct plan *plan, const struct params *p)
{
	int64_t max_ms = plan->conf.query_timeout_ms, ms;

	if (params_duration_ms(p, "timeout", max_ms, &ms, NULL) < 0)
		ms = max_ms;
	plan->q.deadline_mono_ns = clock_mono_ns() + (uint64_t)MIN(ms, max_ms) * 1000000;
}

static void set_rounding(struct plan *plan, const struct params *p)
{
	int64_t digits;

	if (params_int(p, "round_digits", MQL_ROUND_OFF, &digits, NULL) < 0 ||
	    digits < -MQL_ROUND_OFF || digits > MQL_ROUND_OFF)
		digits = MQL_ROUND_OFF;
	plan->q.round_digits = (int)digits;
}

/* latency_offset may be 0, which no other duration may. */
static void set_latency(struct plan *plan, const struct params *p)
{
	struct str text = params_get(p, "latency_offset");
	int64_t ms = 0;

	if (!str_eqc(text, "0") && !str_eqc(text, "0s") && !str_eqc(text, "0ms") &&
	    params_duration_ms(p, "latency_offset", plan->conf.latency_offset_ms, &ms, NULL) < 0)
		ms = plan->conf.latency_offset_ms;
	plan->q.latency_offset_ms = ms;
}

/* --- what both queries take ------------------------------------------------------------------- */

/* The argument, or what the organisation has by default. */
static int set_dialect(struct plan *plan, const struct params *p, struct err *e)
{
	const struct conf_strings *orgs = &plan->region->conf.promql_organisations;
	struct str name = params_get(p, "dialect");

	for (size_t i = 0; name.len == 0 && i < orgs->n; i++) {
		if (str_eqc(plan->q.org, orgs->v[i]))
			name = STR("promql");
	}
	if (name.len > 0 && !str_eqc(name, "promql") && !str_eqc(name, "metricsql"))
		return err_set(e, -EINVAL,
		               "argument dialect: \"%.*s\" is neither metricsql nor promql",
		               (int)MIN(name.len, (size_t)60), name.p);
	plan->q.dialect = str_eqc(name, "promql") ? MQL_PROMQL : MQL_METRICSQL;
	return 0;
}

static int set_common(struct plan *plan, struct request *req, struct err *e)
{
	const struct params *p = &req->params;
	struct mql_query *q = &plan->q;
	int r;

	q->text = params_get(p, "query");
	if (q->text.len == 0)
		return err_set(e, -EINVAL, "argument query is missing");
	q->org = req->org;
	q->cancelled = &req->gone;
	q->now_ms = clock_unix_ms();
	q->pool = plan->region->pool;
	set_limits(plan);
	set_deadline(plan, p);
	set_latency(plan, p);
	set_rounding(plan, p);
	r = params_duration_ms(p, "max_lookback", 0, &q->lookback_ms, e);
	if (r == 0)
		r = params_bool(p, "nocache", &q->nocache, e);
	if (r == 0)
		r = params_bool(p, "trace", &q->trace, e);
	if (r == 0)
		r = set_dialect(plan, p, e);
	if (r == 0)
		r = filters_parse(req, &plan->filters, e);
	q->enforced = plan->filters.enforced;
	q->extra = plan->filters.sets;
	q->n_extra = plan->filters.n_sets;
	return r;
}

/* Missing times are now, down to the second: a reload within it asks for the same points. */
static int64_t whole_second(int64_t ms)
{
	return ms - ms % 1000;
}

static int set_instant(struct plan *plan, const struct params *p, struct err *e)
{
	struct mql_query *q = &plan->q;
	int r = params_time_ms(p, "time", q->now_ms, whole_second(q->now_ms), &q->start_ms, e);

	q->instant = true;
	q->end_ms = q->start_ms;
	return r < 0 ? r : params_duration_ms(p, "step", 0, &q->step_ms, e);
}

static int set_range(struct plan *plan, const struct params *p, struct err *e)
{
	struct mql_query *q = &plan->q;
	int64_t now_ms = whole_second(q->now_ms);
	int r = params_time_ms(p, "start", q->now_ms, now_ms - DEFAULT_STEP_MS, &q->start_ms, e);

	if (r == 0)
		r = params_time_ms(p, "end", q->now_ms, now_ms, &q->end_ms, e);
	return r < 0 ? r : params_duration_ms(p, "step", DEFAULT_STEP_MS, &q->step_ms, e);
}

/* --- the answer ------------------------------------------------------------------------------- */

struct answer {
	struct json_result writer;
	struct mql_result result;
};

static int answer_next(void *ctx, struct buf *out, size_t want)
{
	struct answer *a = ctx;

	return json_result_next(&a->writer, out, want);
}

static void answer_free(void *ctx)
{
	struct answer *a = ctx;

	json_result_done(&a->writer);
	mql_result_done(&a->result);
	free(a);
}

/* Takes over *@result. */
static int reply_result(struct response *resp, struct mql_result *result, uint64_t took_ms)
{
	struct answer *a = mem_zalloc(1, sizeof(*a));
	int r;

	if (!a) {
		mql_result_done(result);
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	}
	a->result = *result;
	a->writer = (struct json_result){ .result = &a->result, .took_ms = took_ms };
	resp->stream = (struct http_stream){ answer_next, answer_free, a };
	r = answer_next(a, &resp->body, FIRST_PIECE_BYTES);
	if (r < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	if (r == 1) { /* that was all: no stream */
		answer_free(a);
		resp->stream = (struct http_stream){ 0 };
	}
	return reply_json(resp);
}

/* A text that cannot be read is the client's fault, one that cannot be evaluated the data's. */
static int reply_query_error(struct response *resp, struct str text, int r, const struct err *e)
{
	_cleanup_(buf_done) struct buf canonical = BUF_INIT;

	if (r != -EINVAL || mql_format(text, &canonical, NULL) != -EINVAL)
		return reply_engine_error(resp, r, e);
	if (e->pos < 0)
		return reply_error(resp, REPLY_BAD_DATA, "%s", e->msg);
	return reply_error(resp, REPLY_BAD_DATA, "%s (at byte %d)", e->msg, e->pos);
}

static void count_name(void *ctx, struct str name)
{
	const struct plan *plan = ctx;

	name_stats_add(plan->region->name_stats, plan->q.org, name);
}

static void log_slow(const struct query_run *run, const struct query_cost *cost)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	redact_put(&text, (struct str){ run->text.p, MIN(run->text.len, (size_t)LOGGED_TEXT_MAX) });
	log_warn("slow query", STRS("org", run->org), STRS("token", run->who),
	         STRS("client", run->client), U64("took_ms", cost->took_ns / 1000000),
	         U64("series", cost->series), U64("samples", cost->samples),
	         U64("memory_bytes", cost->memory_bytes),
	         I64("range_s", (run->end_ms - run->start_ms) / 1000), I64("step_ms", run->step_ms),
	         STRS("query", buf_str(&text)));
}

static int run(struct plan *plan, const struct request *req, struct response *resp)
{
	const struct mql_query *q = &plan->q;
	struct query_run run = { .org = q->org,
		                 .who = req->grant.who,
		                 .client = req->client,
		                 .text = q->text,
		                 .start_ms = q->start_ms,
		                 .end_ms = q->end_ms,
		                 .step_ms = q->step_ms };
	struct mql_result result = { 0 };
	struct err e = ERR_INIT;

	queries_begin(plan->region->queries, &run);
	int r = mql_eval(plan->region->store, q, &result, &e);
	const struct query_cost cost = { clock_mono_ns() - run.begin_mono_ns, result.series_fetched,
		                         result.samples_read, result.arena.taken_bytes };

	queries_end(plan->region->queries, &run, &cost);
	if (plan->conf.query_slow_ms > 0 &&
	    cost.took_ns > (uint64_t)plan->conf.query_slow_ms * 1000000)
		log_slow(&run, &cost);
	if (r < 0)
		return reply_query_error(resp, q->text, r, &e);
	metric_add(&series_read, (int64_t)cost.series);
	metric_add(&samples_read, (int64_t)cost.samples);
	mql_names(q->text, count_name, plan);
	return reply_result(resp, &result, cost.took_ns / 1000000);
}

typedef int (*set_times_f)(struct plan *plan, const struct params *p, struct err *e);

static int answer_query(struct region *region, struct request *req, struct response *resp,
                        set_times_f set_times)
{
	struct plan plan = { .region = region };
	struct err e = ERR_INIT;
	int r;

	region_settings(region, &plan.conf);
	r = set_common(&plan, req, &e);
	if (r == 0)
		r = set_times(&plan, &req->params, &e);
	return r < 0 ? reply_args_error(resp, r, &e) : run(&plan, req, resp);
}

int h_query(struct region *region, struct request *req, struct response *resp)
{
	return answer_query(region, req, resp, set_instant);
}

int h_query_range(struct region *region, struct request *req, struct response *resp)
{
	return answer_query(region, req, resp, set_range);
}
