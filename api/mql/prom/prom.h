/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The PromQL dialect: the same texts with the meaning that Prometheus 3 gives them. It shares the
 * parser, the store and series on a grid with MetricsQL, and nothing of its evaluation: windows,
 * rates, matching, names and types are different ones.
 *
 * Points   NaN is a value here, so "no value" is the stale mark, a NaN that no sample of an answer
 *          can be: prom_absent(). Whoever computes looks first.
 * Types    Each expression has one, known before anything is read; see types.c.
 */

#include "api/mql/eval.h"
#include "api/mql/mname_map.h"
#include "userspace/base/sample.h"

#define PROM_LOOKBACK_MS (5 * 60 * 1000ll)
#define PROM_ARGS_MAX    5u

enum prom_type {
	PROM_SCALAR, /* one series without labels, a value at each point */
	PROM_VECTOR,
	PROM_MATRIX, /* only as an argument, or of an instant query */
	PROM_STRING,
};

static inline double prom_absent(void)
{
	return stale_mark();
}

static inline bool prom_is_absent(double v)
{
	return is_stale_mark(v);
}

/* --- functions -------------------------------------------------------------------------------- */

/* Samples in (start, end], none of them a stale mark. */
struct prom_window {
	const int64_t *ts_ms;
	const double *v;
	uint32_t n; /* > 0 */
	int64_t start_ms, end_ms;
	int64_t at_ms; /* the point that is computed; with an offset not @end_ms */
	const double *args[PROM_ARGS_MAX];
	uint32_t point; /* index into those */
	double *sorted; /* room for @n values */
};

/* False where there is no value. */
typedef bool (*prom_range_f)(const struct prom_window *w, double *ret);

struct prom_call {
	struct eval *ev;
	const struct grid *g;
	const struct ast *at;
	struct series_set *v; /* arguments: scalars are one series each */
	uint32_t n;
};
typedef int (*prom_call_f)(struct prom_call *c, struct series_set *ret);

struct prom_fn {
	const char *name;
	/*
	 * A letter for each argument: s scalar, v vector, m matrix, t string. Those behind "?" may
	 * be left out, and "*" repeats the one before it.
	 */
	const char *args;
	enum prom_type type;
	prom_range_f range; /* of the matrix argument, or NULL */
	bool keeps_name;
	prom_call_f call;
	double (*math)(double v); /* of each value */
};

struct prom_fn_table {
	const struct prom_fn *rows;
	size_t n;
};
extern const struct prom_fn_table prom_range_fns, prom_call_fns, prom_label_fns;

const struct prom_fn *
prom_fn_find(struct str name); /* NULL: Prometheus has none, or it is not here */

/* --- types ------------------------------------------------------------------------------------ */

/* The type of @a, all that is in it checked. -EINVAL with Prometheus' words. */
int prom_check(struct eval *ev, const struct ast *a, enum prom_type *ret);
enum prom_type prom_type_of(const struct ast *a); /* of a tree that is checked */

/* --- evaluation ------------------------------------------------------------------------------- */

/* What prom_check() has seen; no matrix. */
int prom_eval(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret);

/* f(m[w]) for each series; @args are those other than the matrix. range.c */
int prom_range_call(struct eval *ev, const struct grid *g, const struct prom_fn *f,
                    const struct ast *matrix, const double *const *args, struct series_set *ret);
/* A selector, perhaps with offset and @. @times: the values are the samples' times, in seconds. */
int prom_instant_selector(struct eval *ev, const struct grid *g, const struct ast *a, bool times,
                          struct series_set *ret);
/* All samples of a matrix at the moment of @g, each series with its own times. */
struct prom_samples {
	struct mname mn;
	int64_t *ts_ms;
	double *v;
	uint32_t n;
};
int prom_matrix(struct eval *ev, const struct grid *g, const struct ast *a,
                struct prom_samples **ret, size_t *ret_n);

int prom_aggregate(struct eval *ev, const struct grid *g, const struct ast *a,
                   struct series_set *ret);
int prom_binop(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret);

/* The operator for two numbers; comparisons give 0 or 1. match.c */
double prom_number(const struct binop *op, double l, double r);

/* --- what these share ------------------------------------------------------------------------- */

double *prom_values(struct eval *ev, const struct grid *g); /* all absent; NULL: the error is set */
int prom_put(struct eval *ev, struct series_set *set, struct mname mn, double *values);
int prom_scalar(struct eval *ev, const struct grid *g, double v, struct series_set *ret);
void prom_drop_names(struct series_set *set);
/* Series of equal labels become one; -EINVAL where two of them have a value at the same point. */
int prom_unite(struct eval *ev, const struct grid *g, const struct ast *at, struct series_set *set);
double prom_quantile(double phi, double *v, uint32_t n); /* reorders @v */
double prom_sum(const double *v, uint32_t n);            /* compensated */
double prom_mean(const double *v, uint32_t n);
void prom_variance(const double *v, uint32_t n, double *ret);
