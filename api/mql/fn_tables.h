/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to api/mql: what a fn_*.c file needs to export its table. */

#include "api/mql/fn.h"

/* Columns: name, fewest and most arguments, series argument, samples scanned, flags, sentence. */
#define FN_ROLLUP_ROW(fname, amin, amax, sarg, cost, fl, text)                         \
	{                                                                              \
		.name = #fname, .sentence = text, .kind = FN_ROLLUP, .args_min = amin, \
		.args_max = amax, .series_arg = sarg, .scan_cost = cost, .flags = fl,  \
		.impl = { .rollup = fname },                                           \
	}

/* Another name for the same rollup. */
#define FN_ROLLUP_ALIAS(fname, impl_f, amin, amax, sarg, cost, fl, text)               \
	{                                                                              \
		.name = #fname, .sentence = text, .kind = FN_ROLLUP, .args_min = amin, \
		.args_max = amax, .series_arg = sarg, .scan_cost = cost, .flags = fl,  \
		.impl = { .rollup = impl_f },                                          \
	}

/* With a kernel for the whole series. */
#define FN_ROLLUP_KERNEL(fname, impl_f, kernel_f, amin, amax, sarg, cost, fl, text)    \
	{                                                                              \
		.name = #fname, .sentence = text, .kind = FN_ROLLUP, .args_min = amin, \
		.args_max = amax, .series_arg = sarg, .scan_cost = cost, .flags = fl,  \
		.impl = { .rollup = impl_f }, .kernel = kernel_f,                      \
	}

/* Several series out of each: @what is a struct rollup_many. */
#define FN_ROLLUP_MANY_ROW(fname, what, amin, amax, sarg, fl, text)                    \
	{                                                                              \
		.name = #fname, .sentence = text, .kind = FN_ROLLUP, .args_min = amin, \
		.args_max = amax, .series_arg = sarg, .flags = fl, .many = &(what),    \
	}

/* Point by point: @impl_f is a function of libm or of this file. */
#define FN_MATH_ROW(fname, impl_f, fl, text)                                                     \
	{                                                                                        \
		.name = #fname, .sentence = text, .kind = FN_MATH, .args_min = 1, .args_max = 1, \
		.series_arg = 0, .flags = fl, .impl = { .math = impl_f },                        \
	}

#define FN_TRANSFORM_ROW(fname, impl_f, amin, amax, sarg, fl, text)                              \
	{                                                                                        \
		.name = #fname, .sentence = text, .kind = FN_TRANSFORM, .args_min = amin,        \
		.args_max = amax, .series_arg = sarg, .flags = fl, .impl = { .series = impl_f }, \
	}

/* Aggregates that take series one after the other. */
#define FN_AGGR_INCR_ROW(fname, text)                                                        \
	{                                                                                    \
		.name = #fname, .sentence = text, .kind = FN_AGGR, .args_min = 1,            \
		.args_max = FN_VARIADIC, .series_arg = 0, .impl = { .incr = &fname##_incr }, \
		.incremental = true,                                                         \
	}

#define FN_AGGR_ROW(fname, impl_f, amin, amax, sarg, fl, text)                                   \
	{                                                                                        \
		.name = #fname, .sentence = text, .kind = FN_AGGR, .args_min = amin,             \
		.args_max = amax, .series_arg = sarg, .flags = fl, .impl = { .series = impl_f }, \
	}

/* One line for each fn_*.c file. */
#define FN_TABLES(X)         \
	X(fn_rollup_basic)   \
	X(fn_rollup_counter) \
	X(fn_rollup_when)    \
	X(fn_rollup_stats)   \
	X(fn_rollup_cmp)     \
	X(fn_rollup_many)    \
	X(fn_rollup_spread)  \
	X(fn_math)           \
	X(fn_range)          \
	X(fn_range_trim)     \
	X(fn_bitmap)         \
	X(fn_rand)           \
	X(fn_zone)           \
	X(fn_running)        \
	X(fn_time)           \
	X(fn_misc)           \
	X(fn_sort)           \
	X(fn_label)          \
	X(fn_label_whole)    \
	X(fn_hist)           \
	X(fn_hist_buckets)   \
	X(fn_aggr_basic)     \
	X(fn_aggr_stats)     \
	X(fn_aggr_topk)      \
	X(fn_aggr_pick)

#define FN_TABLE_DECLARE(t) extern const struct fn_table t;
FN_TABLES(FN_TABLE_DECLARE)
#undef FN_TABLE_DECLARE
