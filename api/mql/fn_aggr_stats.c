/* SPDX-License-Identifier: BSD-2-Clause */
/* Aggregates over the distribution of the values at a point. */
#include "api/mql/aggr.h"
#include "api/mql/fn_tables.h"
#include "api/mql/numtext.h"
#include "api/mql/rollup.h"
#include "api/mql/stats.h"

#include <math.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

static double fold_quantile(double *v, uint32_t n, double phi)
{
	return quantile_inplace(phi, v, n);
}

static double fold_median(double *v, uint32_t n, double unused)
{
	(void)unused;
	return quantile_inplace(0.5, v, n);
}

static double fold_stdvar(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_stdvar(v, n);
}

static double fold_stddev(double *v, uint32_t n, double unused)
{
	(void)unused;
	return sqrt(stats_stdvar(v, n));
}

static double fold_mad(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_mad(v, n);
}

static double fold_mode(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_mode(NAN, v, n);
}

static double fold_distinct(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_distinct(v, n);
}

static int quantile(struct fn_args *a, struct series_set *ret)
{
	const double *phi;
	int r = args_scalar(a, 0, &phi);

	return r < 0 ? r : aggr_columns(a, 1, phi, fold_quantile, ret);
}

#define FOLD(fname)                                                 \
	static int fname(struct fn_args *a, struct series_set *ret) \
	{                                                           \
		return aggr_columns(a, 0, NULL, fold_##fname, ret); \
	}
FOLD(median)
FOLD(stdvar)
FOLD(stddev)
FOLD(mad)
FOLD(mode)
FOLD(distinct)

/* Replaces each series' value by @f of it and its group, point by point. */
static int each_in_group(struct fn_args *a, void (*f)(struct series_set *group, uint32_t point),
                         struct series_set *ret)
{
	struct aggr_group *groups;
	uint32_t n;
	int r = aggr_groups(a, 0, &groups, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		for (uint32_t k = 0; k < a->g->n; k++)
			f(&groups[i].in, k);
		for (size_t s = 0; r == 0 && s < groups[i].in.n; s++) {
			if (set_add(a->ev->arena, ret, groups[i].in.v[s]) < 0)
				r = eval_no_memory(a->ev);
		}
	}
	return r;
}

static void share_point(struct series_set *group, uint32_t k)
{
	double sum = 0;

	for (size_t i = 0; i < group->n; i++) {
		double v = group->v[i].values[k];

		sum += isnan(v) || v < 0 ? 0 : v;
	}
	for (size_t i = 0; i < group->n; i++) {
		double *v = &group->v[i].values[k];

		*v = isnan(*v) || *v < 0 ? (double)NAN : *v / sum;
	}
}

static void zscore_point(struct series_set *group, uint32_t k)
{
	double avg = 0, q = 0, n = 0;

	for (size_t i = 0; i < group->n; i++) {
		double v = group->v[i].values[k], next;

		if (isnan(v))
			continue;
		n++;
		next = avg + (v - avg) / n;
		q += (v - avg) * (v - next);
		avg = next;
	}
	for (size_t i = 0; n > 0 && i < group->n; i++)
		group->v[i].values[k] = (group->v[i].values[k] - avg) / sqrt(q / n);
}

static int share(struct fn_args *a, struct series_set *ret)
{
	return each_in_group(a, share_point, ret);
}

static int zscore(struct fn_args *a, struct series_set *ret)
{
	return each_in_group(a, zscore_point, ret);
}

/* One series for each value that occurs in the group: how many series have it. */
static int count_group(struct fn_args *a, const struct aggr_group *gr, struct str label,
                       struct series_set *ret)
{
	struct keymap keys = { 0 };
	size_t first = ret->n;

	for (size_t i = 0; i < gr->in.n; i++) {
		for (uint32_t k = 0; k < a->g->n; k++) {
			char text[NUM_DOUBLE_BYTES_MAX];
			double v = gr->in.v[i].values[k];
			struct str key = { text, isnan(v) ? 0 : num_format_double(v, text) };
			uint32_t before = keys.n, number;

			if (isnan(v))
				continue;
			if (keymap_add(a->ev->arena, &keys, key, &number) < 0)
				return eval_no_memory(a->ev);
			if (number == before) {
				struct series s = { gr->mn,
					            values_new(a->ev->arena, a->g->n, NAN) };
				struct str copy = arena_str(a->ev->arena, key);

				if (!s.values || !copy.p ||
				    mname_set(a->ev->arena, &s.mn, label, copy) < 0 ||
				    set_add(a->ev->arena, ret, s) < 0)
					return eval_no_memory(a->ev);
			}
			double *n = &ret->v[first + number].values[k];

			*n = isnan(*n) ? 1 : *n + 1;
		}
	}
	return eval_tick(a->ev);
}

/* The call as if its grouping were without @label, which the values overwrite. */
static int group_without(struct fn_args *a, const struct ast *call, struct str label,
                         struct ast *ret)
{
	struct ast_names *to = &ret->call.labels;
	const struct ast_names *from = &call->call.labels;

	*ret = *call;
	*to = (struct ast_names){ .v = ARENA_ARRAY(a->ev->arena, struct str, from->n + 1) };
	if (!to->v)
		return eval_no_memory(a->ev);
	for (uint32_t i = 0; i < from->n; i++) {
		if (!str_eq(from->v[i], label))
			to->v[to->n++] = from->v[i];
	}
	if (call->call.group == AST_GROUP_WITHOUT)
		to->v[to->n++] = label;
	return 0;
}

static int count_values(struct fn_args *a, struct series_set *ret)
{
	struct aggr_group *groups;
	struct str label;
	struct ast call;
	uint32_t n;
	int r = args_string(a, 0, &label);

	if (r == 0)
		r = group_without(a, a->call, label, &call);
	if (r < 0)
		return r;
	struct fn_args grouped = *a;

	grouped.call = &call;
	r = aggr_groups(&grouped, 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = count_group(a, &groups[i], label, ret);
	return r;
}

/* --- quantiles() ---------------------------------------------------------------------------- */

struct phis {
	struct str label;
	double *v;
	struct str *texts;
	uint32_t n;
};

/* quantiles("label", phi1, .., q): a phi counts as it is at the first point. */
static int read_phis(struct fn_args *a, struct phis *ret)
{
	int r = args_string(a, 0, &ret->label);

	ret->n = a->n - 2;
	ret->v = values_new(a->ev->arena, ret->n, 0);
	ret->texts = ARENA_ARRAY(a->ev->arena, struct str, ret->n + 1);
	if (!ret->v || !ret->texts)
		return eval_no_memory(a->ev);
	for (uint32_t i = 0; r == 0 && i < ret->n; i++) {
		char text[NUMTEXT_GENERAL_BYTES_MAX];
		const double *phi;

		r = args_scalar(a, i + 1, &phi);
		if (r < 0)
			return r;
		ret->v[i] = phi[0];
		ret->texts[i] = arena_str(a->ev->arena,
		                          (struct str){ text, numtext_general(phi[0], text) });
		if (!ret->texts[i].p)
			return eval_no_memory(a->ev);
	}
	return r;
}

static int quantiles_group(struct fn_args *a, const struct aggr_group *gr, const struct phis *phis,
                           struct series_set *ret)
{
	double *column = values_new(a->ev->arena, (uint32_t)gr->in.n, 0);
	size_t first = ret->n;

	for (uint32_t i = 0; column && i < phis->n; i++) {
		struct series s = { gr->mn, values_new(a->ev->arena, a->g->n, NAN) };

		if (!s.values || mname_set(a->ev->arena, &s.mn, phis->label, phis->texts[i]) < 0 ||
		    set_add(a->ev->arena, ret, s) < 0)
			return eval_no_memory(a->ev);
	}
	for (uint32_t k = 0; column && k < a->g->n; k++) {
		uint32_t n = 0;

		for (size_t i = 0; i < gr->in.n; i++) {
			if (!isnan(gr->in.v[i].values[k]))
				column[n++] = gr->in.v[i].values[k];
		}
		(void)quantile_inplace(0.5, column, n);
		for (uint32_t i = 0; i < phis->n; i++)
			ret->v[first + i].values[k] = quantile_sorted(phis->v[i], column, n);
	}
	return column ? eval_tick(a->ev) : eval_no_memory(a->ev);
}

static int quantiles(struct fn_args *a, struct series_set *ret)
{
	struct aggr_group *groups;
	struct phis phis = { 0 };
	uint32_t n;
	int r = read_phis(a, &phis);

	if (r == 0)
		r = aggr_groups(a, a->n - 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = quantiles_group(a, &groups[i], &phis, ret);
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_ROW(quantile, quantile, 2, 2, 1, 0, "The phi-quantile of the values."),
	FN_AGGR_ROW(quantiles, quantiles, 3, FN_VARIADIC, FN_LAST_ARG, 0,
		    "The phi-quantiles of the values; phi goes into the label."),
	FN_AGGR_ROW(median, median, 1, FN_VARIADIC, 0, 0, "Median of the values."),
	FN_AGGR_ROW(stdvar, stdvar, 1, FN_VARIADIC, 0, 0,
		    "Variance of the values, taken as the whole population."),
	FN_AGGR_ROW(stddev, stddev, 1, FN_VARIADIC, 0, 0,
		    "Standard deviation of the values, taken as the whole population."),
	FN_AGGR_ROW(mad, mad, 1, FN_VARIADIC, 0, 0,
		    "Median of the values' distances from their median."),
	FN_AGGR_ROW(mode, mode, 1, FN_VARIADIC, 0, 0, "The most frequent value."),
	FN_AGGR_ROW(distinct, distinct, 1, FN_VARIADIC, 0, 0, "Number of different values."),
	FN_AGGR_ROW(share, share, 1, FN_VARIADIC, 0, FN_KEEP_SERIES,
		    "Each series as a share of its group's sum."),
	FN_AGGR_ROW(zscore, zscore, 1, FN_VARIADIC, 0, FN_KEEP_SERIES,
		    "Each series' distance from its group's mean, in standard deviations."),
	FN_AGGR_ROW(count_values, count_values, 2, 2, 1, FN_LABELS_FIRST,
		    "How many series have which value; the value goes into the label."),
	/* clang-format on */
};

const struct fn_table fn_aggr_stats = { rows, ARRAY_SIZE(rows) };
