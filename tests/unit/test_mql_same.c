/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must not show in an answer: the number of threads, and whether filters were pushed to the
 * other side of an operator. Answers are compared bit by bit.
 */
#include "tests/unit/unit.h"

#include <math.h>

#include "api/mql/mql.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/pool.h"

#define BASE_MS  1700000000000ll
#define SERIES   700u
#define SAMPLES  80u
#define STEP_MS  15000ll
#define RANGE_MS (STEP_MS * SAMPLES)

static const char *const metrics[] = { "ctr", "gauge", "lat_bucket" };
static const char *const bounds[] = { "0.1", "0.5", "1", "+Inf" };

static void add_series(struct store *s, struct rng *rng, uint32_t i)
{
	char id[16], app[16], le[8];
	struct sample samples[SAMPLES];
	struct label labels[] = {
		{ STR(LABEL_NAME), str_from(metrics[i % ARRAY_SIZE(metrics)]) },
		{ STR("app"), { app, (size_t)snprintf(app, sizeof(app), "a%u", i % 7) } },
		{ STR("id"), { id, (size_t)snprintf(id, sizeof(id), "i%u", i / 12) } },
		{ STR("le"),
		  { le,
		    (size_t)snprintf(le, sizeof(le), "%s", bounds[i / 3 % ARRAY_SIZE(bounds)]) } },
	};
	struct series_in in = { .labels = labels, .n_labels = 4, .samples = samples };
	struct store_append_result res;
	double v = 0;

	for (uint32_t k = 0; k < SAMPLES; k++) {
		if (rng_below(rng, 15) == 0)
			continue;
		v = i % 3 != 1 ? v + rng_below(rng, 1000) / 7.0 : rng_below(rng, 1000) / 7.0;
		if (rng_below(rng, 50) == 0)
			v = 0;
		samples[in.n_samples++] =
			(struct sample){ BASE_MS + k * STEP_MS + rng_below(rng, 2) * 100, v };
	}
	assert_int_equal(0, store_append(s, STR("test"), &in, 1, &res));
}

struct world {
	struct tempdir dir;
	struct store *store;
};

static int setup(void **state)
{
	static struct world w;
	struct rng rng = unit_rng();
	struct store_conf conf = { .retention_ms = 100ll * 365 * 86400 * 1000,
		                   .wal_sync = STORE_SYNC_INTERVAL,
		                   .wal_sync_interval_ms = 1000 };

	w.dir = tempdir_make();
	conf.dir = w.dir.path;
	assert_int_equal(0, store_open(&w.store, &conf, NULL));
	for (uint32_t i = 0; i < SERIES; i++)
		add_series(w.store, &rng, i);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_close(w->store);
	tempdir_done(&w->dir);
	return 0;
}

/* --- answers ----------------------------------------------------------------------------- */

static void put_answer(const struct mql_result *res, struct buf *out)
{
	for (size_t i = 0; i < res->n_series; i++) {
		const struct mql_series *s = &res->series[i];

		for (uint32_t k = 0; k < s->n_labels; k++)
			buf_printf(out, "%.*s=%.*s,", STR_FMT(s->labels[k].name),
			           STR_FMT(s->labels[k].value));
		for (uint32_t k = 0; k < s->n; k++) {
			if (isnan(s->values[k]))
				continue;
			buf_put(out, &s->ts_ms[k], sizeof(s->ts_ms[k]));
			buf_put(out, &s->values[k], sizeof(s->values[k]));
		}
	}
}

static int ask(const struct world *w, const char *text, bool instant, struct pool *pool,
               bool no_pushdown, struct buf *out)
{
	const struct mql_query q = { .text = str_from(text),
		                     .org = STR("test"),
		                     .instant = instant,
		                     .start_ms = BASE_MS + (instant ? RANGE_MS / 2 : 0),
		                     .end_ms = BASE_MS + RANGE_MS,
		                     .step_ms = 20000,
		                     .now_ms = BASE_MS + 10 * RANGE_MS,
		                     .nocache = true,
		                     .round_digits = MQL_ROUND_OFF,
		                     .pool = pool,
		                     .no_pushdown = no_pushdown };
	struct mql_result res;
	struct err e = ERR_INIT;
	int r = mql_eval(w->store, &q, &res, &e);

	if (r < 0) {
		buf_printf(out, "%d %d %s", r, e.pos, e.msg);
		return r;
	}
	put_answer(&res, out);
	mql_result_done(&res);
	return 0;
}

static const char *const queries[] = {
	"gauge",
	"ctr[3m]",
	"rate(ctr[1m])",
	"sum(rate(ctr[1m]))",
	"sum(rate(ctr[1m])) by (app)",
	"avg(gauge) by (id)",
	"min(gauge) without (id, le)",
	"max(increase(ctr[2m])) by (app, le)",
	"geomean(gauge) by (app)",
	"count({__name__=~\".+\"}) by (__name__)",
	"sum2(gauge) by (app) limit 3",
	"group(ctr) by (le)",
	"sum(gauge, rate(ctr)) by (app)",
	"stddev(gauge) by (app)",
	"quantile(0.7, gauge) by (le)",
	"topk(3, rate(ctr[1m]))",
	"histogram_quantile(0.9, sum(rate(lat_bucket[2m])) by (le, app))",
	"sum(rollup_rate(ctr[1m])) by (rollup)",
	"histogram_over_time(gauge[1m])",
	"quantile_over_time(0.9, gauge[3m])",
	"max_over_time(sum(rate(ctr[1m])) by (app)[3m:30s])",
	"sum(max_over_time(rate(ctr[1m])[3m:30s])) by (app)",
	"absent_over_time(gauge{app=\"nosuch\"}[1m])",
	"sum(gauge @ end()) by (app)",
	"ctr / on(id, app, le) ctr",
	"label_replace(ctr, \"x\", \"$1\", \"id\", \"i(.*)\")",
	"sum(rate(ctr)) by (app) + on(id) gauge", /* an error, and always the same one */
	"quantile_over_time(gauge, gauge)",
};

static void test_threads(void **state)
{
	static const unsigned threads[] = { 1, 2, 7 };

	for (size_t i = 0; i < ARRAY_SIZE(queries) * 2; i++) {
		_cleanup_(buf_done) struct buf want = BUF_INIT;
		const char *text = queries[i / 2];

		(void)ask(*state, text, i % 2, NULL, false, &want);
		for (size_t k = 0; k < ARRAY_SIZE(threads); k++) {
			_cleanup_(buf_done) struct buf got = BUF_INIT;
			struct pool *pool;

			assert_int_equal(0, pool_new(&pool, threads[k]));
			(void)ask(*state, text, i % 2, pool, false, &got);
			pool_free(pool);
			if (!str_eq(buf_str(&want), buf_str(&got)))
				fail_msg("%s: other with %u threads", text, threads[k] + 1);
		}
	}
}

/*
 * No side of these is without labels, where push-down shows (pushdown.h), and none is a sum, which
 * adds in another order when fewer series are read.
 */
static const char *const joins[] = {
	"ctr{app=\"a1\"} / on(id, app, le) ctr",
	"gauge + on(id, app) group_left(x) label_set(max(ctr{app=~\"a[12]\"}) by (id, app), \"x\", "
	"\"y\")",
	"max(ctr{app=\"a1\"}) by (id) / max(ctr) by (id)",
	"ctr and on(id) ctr{app=\"a3\"}",
	"ctr unless on(id) ctr{app=\"a3\"}",
	"max(ctr) by (app) if max(gauge{app!=\"a1\"}) by (app)",
	"(ctr{le=\"1\"} + ignoring(le) ctr{le=\"1\"}) > 0",
	"rate(lat_bucket{app=\"a0\"}[1m]) * on(app, id, le) max_over_time(lat_bucket[2m:30s])",
};

static void test_pushdown(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(joins) * 2; i++) {
		_cleanup_(buf_done) struct buf with = BUF_INIT, without = BUF_INIT;
		const char *text = joins[i / 2];

		assert_int_equal(0, ask(*state, text, i % 2, NULL, false, &with));
		assert_int_equal(0, ask(*state, text, i % 2, NULL, true, &without));
		assert_true(with.len > 0);
		if (!str_eq(buf_str(&with), buf_str(&without)))
			fail_msg("%s: other without push-down", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_pushdown),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
