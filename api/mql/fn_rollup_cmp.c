/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups over the samples that compare with a limit, which may differ from point to point. */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"

#include <math.h>

#include "userspace/base/util.h"

#define CMP_ROLLUP(word, op)                                                  \
	static double count_##word##_over_time(const struct rollup_window *w) \
	{                                                                     \
		uint32_t n = 0;                                               \
                                                                              \
		for (uint32_t i = 0; i < w->n; i++)                           \
			n += w->values[i] op w->args[0];                      \
		return w->n > 0 ? n : (double)NAN;                            \
	}
#define SHARE_ROLLUP(word)                                                    \
	static double share_##word##_over_time(const struct rollup_window *w) \
	{                                                                     \
		return count_##word##_over_time(w) / w->n;                    \
	}
#define SUM_ROLLUP(word, op)                                                  \
	static double sum_##word##_over_time(const struct rollup_window *w)   \
	{                                                                     \
		double sum = 0;                                               \
                                                                              \
		for (uint32_t i = 0; i < w->n; i++)                           \
			sum += w->values[i] op w->args[0] ? w->values[i] : 0; \
		return w->n > 0 ? sum : (double)NAN;                          \
	}

CMP_ROLLUP(eq, ==)
CMP_ROLLUP(ne, !=)
CMP_ROLLUP(gt, >)
CMP_ROLLUP(le, <=)
SHARE_ROLLUP(eq)
SHARE_ROLLUP(gt)
SHARE_ROLLUP(le)
SUM_ROLLUP(eq, ==)
SUM_ROLLUP(gt, >)
SUM_ROLLUP(le, <=)

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_ROW(count_eq_over_time, 2, 2, 0, 0, 0, "Number of samples equal to the limit."),
	FN_ROLLUP_ROW(count_ne_over_time, 2, 2, 0, 0, 0, "Number of samples unlike the limit."),
	FN_ROLLUP_ROW(count_gt_over_time, 2, 2, 0, 0, 0, "Number of samples above the limit."),
	FN_ROLLUP_ROW(count_le_over_time, 2, 2, 0, 0, 0, "Number of samples not above the limit."),
	FN_ROLLUP_ROW(share_eq_over_time, 2, 2, 0, 0, 0, "Share of samples equal to the limit."),
	FN_ROLLUP_ROW(share_gt_over_time, 2, 2, 0, 0, 0, "Share of samples above the limit."),
	FN_ROLLUP_ROW(share_le_over_time, 2, 2, 0, 0, 0, "Share of samples not above the limit."),
	FN_ROLLUP_ROW(sum_eq_over_time, 2, 2, 0, 0, 0, "Sum of samples equal to the limit."),
	FN_ROLLUP_ROW(sum_gt_over_time, 2, 2, 0, 0, 0, "Sum of samples above the limit."),
	FN_ROLLUP_ROW(sum_le_over_time, 2, 2, 0, 0, 0, "Sum of samples not above the limit."),
	/* clang-format on */
};

const struct fn_table fn_rollup_cmp = { rows, ARRAY_SIZE(rows) };
