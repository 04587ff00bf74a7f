/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The function registry. Everything that any part of the engine wants to know about a MetricsQL
 * function is a column of its row: the parser asks for arity, the planner for the look-behind, the
 * evaluator for the name policy, the manual for the sentence. No code outside a row compares a
 * function's name.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/str.h"

enum fn_kind {
	FN_ROLLUP,    /* window of raw samples -> one value per step */
	FN_MATH,      /* number -> number, for each point */
	FN_TRANSFORM, /* series on the grid -> series on the grid */
	FN_AGGR,      /* many series -> fewer series */
};

enum fn_flags {
	FN_KEEP_NAME = 1 << 0,     /* the result keeps __name__ without keep_metric_names */
	FN_COUNTER = 1 << 1,       /* counter resets are removed from the samples first */
	FN_PREV_SAMPLE = 1 << 2,   /* reads the sample before the window */
	FN_WIDEN = 1 << 3,         /* a missing window may grow to two scrape intervals */
	FN_IN_AGGR = 1 << 4,       /* legal as a string argument of aggr_over_time() */
	FN_STALE_MARKS = 1 << 5,   /* sees stale marks; they are dropped for all others */
	FN_LOOKBACK = 1 << 6,      /* a missing window is never above max_lookback */
	FN_VOLATILE = 1 << 7,      /* differs from call to call: never cached, never folded */
	FN_SORTED = 1 << 8,        /* orders its result: the API must not sort again */
	FN_SCALAR_LEFT = 1 << 9,   /* on the left of a comparison it counts as a number */
	FN_UNION = 1 << 10,        /* == and != with it test membership */
	FN_ABSENT = 1 << 11,       /* one series for the whole selector, where no series has data */
	FN_KEEP_SERIES = 1 << 12,  /* aggregate: output series are input series */
	FN_STEP_AHEAD = 1 << 13,   /* the window begins where that of the others ends */
	FN_LONG_NO_NAME = 1 << 14, /* a long window at one moment has no name; see eval.c */

	/* What it does to labels besides the name, as far as it matters to pushdown.h. */
	FN_LABELS_LOST = 1 << 15,    /* the result's labels say nothing of the argument's */
	FN_LABELS_UNION = 1 << 16,   /* the series of all arguments */
	FN_LABELS_FIRST = 1 << 17,   /* the label that argument 0 names changes */
	FN_LABELS_SECOND = 1 << 18,  /* the label that argument 1 names changes */
	FN_LABELS_LIST = 1 << 19,    /* all labels that arguments from 1 on name change */
	FN_LABELS_TARGETS = 1 << 20, /* every second one of them changes */
	FN_LABELS_SET = 1 << 21,     /* arguments from 1 on: a label and its value, and so on */
	FN_LABELS_KEEP = 1 << 22,    /* arguments from 1 on: the labels that stay */
};

#define FN_VARIADIC  255
#define FN_NO_SERIES (-1)
#define FN_LAST_ARG  (-2)

struct rollup_window;
struct rollup_series;
struct rollup_many;
struct fn_args;
struct series_set;
struct aggr_incr;

typedef double (*fn_rollup_f)(const struct rollup_window *w);
typedef void (*fn_kernel_f)(const struct rollup_series *s, double *dst);
typedef double (*fn_math_f)(double v);
typedef int (*fn_series_f)(struct fn_args *a, struct series_set *ret);

struct fn {
	const char *name;     /* lower case */
	const char *sentence; /* one line of the manual; ends with a full stop */
	enum fn_kind kind;
	uint8_t args_min, args_max; /* counts, or FN_VARIADIC */
	int8_t series_arg;          /* index, FN_NO_SERIES or FN_LAST_ARG */
	uint8_t scan_cost;          /* samples read per call; 0 means the whole window */
	uint32_t flags;
	union {
		fn_rollup_f rollup;           /* FN_ROLLUP */
		fn_math_f math;               /* FN_MATH */
		fn_series_f series;           /* FN_TRANSFORM, and FN_AGGR if it needs all series */
		const struct aggr_incr *incr; /* FN_AGGR_INCR rows: series by series */
	} impl;
	fn_kernel_f kernel;             /* FN_ROLLUP: impl.rollup at all points, or NULL */
	bool incremental;               /* FN_AGGR: impl.incr is the one in use */
	const struct rollup_many *many; /* FN_ROLLUP: several series of each; impl is empty */
	const char *aggr_name;          /* FN_IN_AGGR: if it is called otherwise there */
};

struct fn_table {
	const struct fn *rows;
	size_t n;
};

/* NULL when there is no such function. @name need not be lower-case. O(log n), no allocation. */
const struct fn *fn_find(struct str name);

/* The row that aggr_over_time() means by @name, case counted, or NULL; and that name of a row. */
const struct fn *fn_find_in_aggr(struct str name);
const char *fn_name_in_aggr(const struct fn *f);

/* The row whose name is nearest to @name by edit distance, or NULL when none is near. */
const struct fn *fn_suggest(struct str name);

/* All rows in name order, for the manual. */
const struct fn *const *fn_all(size_t *ret_n);

/* Index of the series argument of a call with @n_args arguments, or -1. */
static inline int fn_series_index(const struct fn *f, uint32_t n_args)
{
	return f->series_arg == FN_LAST_ARG ? (int)n_args - 1 : f->series_arg;
}

/* The rows that the language itself needs: a bare selector, "(a, b)", label_set() of alias(). */
extern const struct fn *const fn_default_rollup;
extern const struct fn *const fn_union;
