/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Series on a grid: what every step of an evaluation takes and gives.
 *
 * All series of one evaluation share one grid, so a series is its labels and one value for each
 * point; NaN means "no value here". Arrays live in the query's arena. Label arrays are shared
 * between series and never written to: an operation on labels makes a new array.
 */

#include <stdbool.h>
#include <stdint.h>

#include "api/mql/ast.h"
#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/sample.h"

struct grid {
	int64_t start_ms, end_ms, step_ms; /* step > 0; points start, start + step, .. <= end */
	uint32_t n;
};

static inline int64_t grid_ts(const struct grid *g, uint32_t i)
{
	return g->start_ms + (int64_t)i * g->step_ms;
}

/* A series' labels, the metric name kept apart because most operations treat it differently. */
struct mname {
	struct str name;          /* "" = none */
	const struct label *tags; /* sorted by name, no empty values */
	uint32_t n_tags;
	bool as_stored; /* the labels of a stored series, not those of a group; see label_order.h */
};

struct series {
	struct mname mn;
	double *values; /* one for each point of the grid */
};

struct series_set {
	struct series *v;
	size_t n, cap;
};

/* Labels as the store gives them; texts are copied into @arena. 0 or arena_error(). */
int mname_copy(struct arena *arena, const struct label *labels, uint32_t n, struct mname *ret);

/* The same with the store's texts, and the labels but for the name in @room (space for @n). */
void mname_borrow(const struct label *labels, uint32_t n, struct label *room, struct mname *ret);

/* A copy of its own: labels and texts. 0 or arena_error(). */
int mname_dup(struct arena *arena, const struct mname *mn, struct mname *ret);

/* As one array: __name__ first if there is one. Labels and texts are copied. 0 or arena_error(). */
int mname_labels(struct arena *arena, const struct mname *mn, const struct label **ret,
                 uint32_t *ret_n);

struct str mname_get(const struct mname *mn, struct str label); /* "" when missing */
/* An empty @value removes the label. */
int mname_set(struct arena *arena, struct mname *mn, struct str label, struct str value);
/* Behind a label of the same name, if there is one; @value is not empty. */
int mname_add(struct arena *arena, struct mname *mn, struct str label, struct str value);
/* Only @names stay; the metric name too only if __name__ is among them. */
int mname_keep(struct arena *arena, struct mname *mn, const struct ast_names *names);
int mname_drop(struct arena *arena, struct mname *mn, const struct ast_names *names);

static inline bool mname_is_empty(const struct mname *mn)
{
	return mn->name.len == 0 && mn->n_tags == 0;
}

int mname_cmp(const struct mname *a, const struct mname *b); /* name, then labels, bytewise */
void mname_print(const struct mname *mn, struct buf *out);   /* name{a="b"}, for messages */

int set_add(struct arena *arena, struct series_set *set, struct series s);
void set_drop_empty(struct series_set *set, uint32_t n_points); /* series of NaN only */
/* In the order of answers: name, then labels in label_order(). 0 or arena_error(). */
int set_sort(struct arena *arena, struct series_set *set);

/*
 * By the last point at which the values differ, times @sign; no value comes before all others. Ties
 * in label order.
 */
int series_cmp_values(const struct series *a, const struct series *b, uint32_t n_points, int sign);

/*
 * Series that one label set changed into over time: their values are merged, if there are enough
 * points to tell and at most two of them overlap (staleness draws a series out that far).
 */
bool series_merge(const struct grid *g, struct series *dst, const struct series *src);

double *values_new(struct arena *arena, uint32_t n, double fill); /* NULL: arena_error() */

/* Bytes to a running number: 0 for the first new key, 1 for the second, ... */
struct keymap {
	struct keymap_slot *slots;
	size_t cap; /* a power of two */
	uint32_t n;
};

/* Finds or adds @key (copied). Sets *@ret to its number. 0 or arena_error(). */
int keymap_add(struct arena *arena, struct keymap *m, struct str key, uint32_t *ret);
/* False when @key was never added. */
bool keymap_find(const struct keymap *m, struct str key, uint32_t *ret);
