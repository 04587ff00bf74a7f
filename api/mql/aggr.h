/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Aggregates: series into groups, groups into series. Rows with struct aggr_incr see one series
 * after the other and keep one accumulator for each group, so that sum(rate(x)) over many series
 * needs the memory of its result only. Accumulators of different series of one group can be merged,
 * so that threads need not share any.
 */

#include "api/mql/eval.h"
#include "api/mql/mname_map.h"

struct aggr_acc {
	double *v;     /* one for each point, starts at 0 */
	double *count; /* values seen at the point */
	uint32_t n;
};

struct aggr_incr {
	void (*add)(struct aggr_acc *acc, const double *values);
	void (*merge)(struct aggr_acc *acc, const struct aggr_acc *other);
	void (*finish)(struct aggr_acc *acc); /* acc->v becomes the result; count 0 = NaN */
};

struct aggr_state {
	struct eval *ev;
	struct arena *arena; /* of groups and accumulators */
	const struct grid *g;
	const struct ast_call *call;
	bool with_empty; /* series without any value make groups, too */
	struct mname_map groups;
	struct aggr_acc *accs;
	uint32_t cap;
	struct label *labels; /* room for those of one group */
	uint32_t labels_cap;
};

/* Takes one series; its texts and @values are only borrowed. */
int aggr_feed(struct aggr_state *st, const struct mname *mn, const double *values);
/* Takes all that @part has seen, as if it came now. */
int aggr_merge(struct aggr_state *st, const struct aggr_state *part);
int aggr_finish(struct aggr_state *st, struct series_set *ret);

/* The labels of a series' group. */
int aggr_group_name(struct eval *ev, const struct ast_call *c, struct mname *mn);

struct aggr_group {
	struct mname mn;
	struct series_set in; /* its series, in input order */
};

/* Arguments @first.. pooled and grouped; series without any value are left out. */
int aggr_groups(struct fn_args *a, uint32_t first, struct aggr_group **ret, uint32_t *ret_n);

/*
 * For each group and point, @fold of the values there (no NaN; it may reorder them). @arg is the
 * scalar of that point, or NaN without @args.
 */
typedef double (*aggr_fold_f)(double *v, uint32_t n, double arg);
int aggr_columns(struct fn_args *a, uint32_t first, const double *args, aggr_fold_f fold,
                 struct series_set *ret);
