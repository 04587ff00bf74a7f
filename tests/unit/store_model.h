/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A store as simple as can be, an array, beside the real one: whatever is done to both must leave
 * them equal. Two organisations with the same series; times are far apart at first and then closer
 * and closer, so that they fall into windows of all levels.
 */

#include "tests/unit/unit.h"

#include "store/store.h"
#include "userspace/base/buf.h"
#include "userspace/base/clock.h"

#define MODEL_ORGS   2u
#define MODEL_SERIES 9u
#define MODEL_TIMES  300u
#define MODEL_DAY_MS 86400000ll

struct model {
	int64_t now_ms; /* when it began; its times are before */
	bool has[MODEL_ORGS][MODEL_SERIES][MODEL_TIMES];
	double v[MODEL_ORGS][MODEL_SERIES][MODEL_TIMES];
};

static const char *const model_orgs[MODEL_ORGS] = { "acme", "zoo" };

/* From 41 days before the beginning up to it. */
static inline int64_t model_time(const struct model *m, uint32_t t)
{
	int64_t left = MODEL_TIMES - t;

	return m->now_ms - left * left * 39371;
}

/* Names and labels of which one begins like another, and one that others lack. */
static inline uint32_t model_labels(uint32_t k, struct label *ret)
{
	static const char *const names[] = { "cpu", "cpu_seconds", "up" };
	static const char *const hosts[] = { "a", "ab", "b" };
	uint32_t n = 0;

	ret[n++] = (struct label){ STR(LABEL_NAME), str_from(names[k / 3]) };
	ret[n++] = (struct label){ STR("host"), str_from(hosts[k % 3]) };
	if (k % 2)
		ret[n++] = (struct label){ STR("region"), STR("ams") };
	return n;
}

static inline double model_winner(double a, double b)
{
	if (is_stale_mark(a))
		return b;
	return is_stale_mark(b) || a > b ? a : b;
}

static inline void model_put(struct model *m, uint32_t org, uint32_t k, uint32_t t, double v)
{
	m->v[org][k][t] = m->has[org][k][t] ? model_winner(m->v[org][k][t], v) : v;
	m->has[org][k][t] = true;
}

/* Counters, gauges of short decimals, anything; and stale marks. */
static inline double model_value(struct rng *rng, uint32_t k, uint32_t t)
{
	if (rng_below(rng, 20) == 0)
		return stale_mark();
	if (k % 3 == 0)
		return (double)t * 15 + rng_below(rng, 3);
	return k % 3 == 1 ? (double)rng_below(rng, 1000) / 10 : (double)rng_below(rng, 1000) / 7;
}

/* A batch of @n random samples into both, each series once or more. The code of the append. */
static inline int model_append(struct model *m, struct store *s, struct rng *rng, uint32_t org,
                               uint32_t from_time, uint32_t to_time, uint32_t n)
{
	struct series_in in[64];
	struct label labels[64][3];
	struct sample x[64];
	uint32_t ks[64], ts[64];
	struct store_append_result res;

	for (uint32_t i = 0; i < n; i++) {
		ks[i] = rng_below(rng, MODEL_SERIES);
		ts[i] = from_time + rng_below(rng, to_time - from_time);
		x[i] = (struct sample){ model_time(m, ts[i]), model_value(rng, ks[i], ts[i]) };
		in[i] = (struct series_in){ labels[i], &x[i], model_labels(ks[i], labels[i]), 1 };
	}
	int r = store_append(s, str_from(model_orgs[org]), in, n, &res);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		model_put(m, org, ks[i], ts[i], x[i].value);
	if (r == 0)
		assert_int_equal(n, res.accepted);
	return r;
}

static inline void model_delete(struct model *m, uint32_t org, uint32_t k, int64_t min_ms,
                                int64_t max_ms)
{
	for (uint32_t t = 0; t < MODEL_TIMES; t++) {
		if (model_time(m, t) >= min_ms && model_time(m, t) <= max_ms)
			m->has[org][k][t] = false;
	}
}

static inline void model_put_sample(struct buf *out, int64_t ts_ms, double v)
{
	buf_printf(out, " %lld=", (long long)ts_ms);
	if (is_stale_mark(v))
		buf_puts(out, "stale");
	else
		buf_put_double(out, v);
}

static inline void model_text(const struct model *m, uint32_t org, int64_t min_ms, int64_t max_ms,
                              struct buf *out)
{
	struct label labels[3];

	for (uint32_t k = 0; k < MODEL_SERIES; k++) {
		size_t before = out->len, begin;
		uint32_t n = model_labels(k, labels);

		for (uint32_t i = 0; i < n; i++)
			buf_printf(out, "%.*s,", STR_FMT(labels[i].value));
		begin = out->len;
		for (uint32_t t = 0; t < MODEL_TIMES; t++) {
			int64_t ts_ms = model_time(m, t);

			if (m->has[org][k][t] && ts_ms >= min_ms && ts_ms <= max_ms)
				model_put_sample(out, ts_ms, m->v[org][k][t]);
		}
		if (out->len == begin)
			out->len = before;
		else
			buf_putc(out, '\n');
	}
}

static inline void model_store_text(struct store *s, uint32_t org, int64_t min_ms, int64_t max_ms,
                                    struct buf *out)
{
	const struct store_select sel = { .org = str_from(model_orgs[org]),
		                          .min_ms = min_ms,
		                          .max_ms = max_ms };
	struct store_scan *scan;
	struct store_series one;
	struct err e = ERR_INIT;
	int r = store_scan_open(s, &sel, &scan, &e);

	if (r < 0)
		fail_msg("%d %s", r, e.msg);
	while ((r = store_scan_next(scan, &one)) == 0) {
		for (uint32_t i = 0; i < one.n_labels; i++)
			buf_printf(out, "%.*s,", STR_FMT(one.labels[i].value));
		for (uint32_t i = 0; i < one.n; i++)
			model_put_sample(out, one.ts_ms[i], one.values[i]);
		buf_putc(out, '\n');
	}
	assert_int_equal(1, r);
	store_scan_close(scan);
}

static inline void model_check_range(const struct model *m, struct store *s, int64_t min_ms,
                                     int64_t max_ms)
{
	for (uint32_t org = 0; org < MODEL_ORGS; org++) {
		struct buf want = BUF_INIT, got = BUF_INIT;

		model_text(m, org, min_ms, max_ms, &want);
		model_store_text(s, org, min_ms, max_ms, &got);
		assert_string_equal(buf_cstr(&want), buf_cstr(&got));
		buf_done(&want);
		buf_done(&got);
	}
}

/* Everything, and a random range. */
static inline void model_check(const struct model *m, struct store *s, struct rng *rng)
{
	uint32_t a = rng_below(rng, MODEL_TIMES), b = rng_below(rng, MODEL_TIMES);

	model_check_range(m, s, INT64_MIN, INT64_MAX);
	model_check_range(m, s, model_time(m, MIN(a, b)), model_time(m, MAX(a, b)));
}
