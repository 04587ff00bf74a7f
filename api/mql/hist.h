/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Histograms: series whose label le holds an inclusive upper bound and whose value counts
 * everything up to it. Series with a range in vmrange, which count their range only, are turned
 * into such series first. The buckets of one histogram agree in all labels but the bound.
 */

#include "api/mql/eval.h"
#include "api/mql/mname_map.h"

struct bucket {
	double le;
	double *values;
};

struct histogram {
	struct mname mn;  /* without le and metric name */
	struct bucket *v; /* by rising le */
	uint32_t n, cap;
};

struct histograms {
	struct histogram *v;
	struct mname_map names;
	uint32_t cap;
};

/* All series that have le, those with vmrange turned around; metric names stay. */
int hist_to_le(struct fn_args *a, const struct series_set *in, struct series_set *ret);

/* The histograms in @set, vmrange or le. Values are shared with it and may be changed. */
int hist_read(struct fn_args *a, const struct series_set *set, struct histograms *ret);

/* Buckets with equal bounds, such as 1 and 1.0, become one. */
void hist_merge_bounds(struct histogram *h, uint32_t n_points);

/* Counts never fall from bucket to bucket: at point @k, broken ones are lifted. */
void hist_repair(struct histogram *h, uint32_t k);
