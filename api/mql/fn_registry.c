/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collects the tables into one array in name order, before main(). The checks are assertions, not
 * errors: a bad row is a bug of ours, and every program that links the engine runs them.
 */
#include "api/mql/fn_tables.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "userspace/base/util.h"

#define FN_MAX         512
#define NAME_BYTES_MAX 40u

static const struct fn *sorted[FN_MAX];
static size_t n_sorted;

static void row_check(const struct fn *f)
{
	const unsigned rollup_only = FN_COUNTER | FN_PREV_SAMPLE | FN_WIDEN | FN_IN_AGGR |
	                             FN_STALE_MARKS | FN_LOOKBACK | FN_ABSENT | FN_STEP_AHEAD;

	assert(f->name &&
	       f->name[strspn(f->name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0');
	assert(strlen(f->name) < NAME_BYTES_MAX);
	assert(f->sentence && f->sentence[0] && f->sentence[strlen(f->sentence) - 1] == '.');
	assert(f->args_min <= f->args_max);
	assert(f->series_arg >= FN_LAST_ARG);
	assert(f->series_arg < 0 || (unsigned)f->series_arg < f->args_max);
	assert(f->kind == FN_ROLLUP || !(f->flags & rollup_only));
	assert(f->kind != FN_ROLLUP || f->series_arg != FN_NO_SERIES);
	assert(!f->incremental || f->kind == FN_AGGR);
	assert(!f->many || f->kind == FN_ROLLUP);
	assert(!f->aggr_name || (f->flags & FN_IN_AGGR));
	assert((f->impl.series == NULL) == (f->many != NULL));
}

static int row_cmp(const void *a, const void *b)
{
	return strcmp((*(const struct fn *const *)a)->name, (*(const struct fn *const *)b)->name);
}

static void table_add(const struct fn_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		row_check(&t->rows[i]);
		assert(n_sorted < FN_MAX);
		sorted[n_sorted++] = &t->rows[i];
	}
}

__attribute__((constructor)) static void fn_registry_init(void)
{
#define FN_TABLE_ADD(t) table_add(&t);
	FN_TABLES(FN_TABLE_ADD)
#undef FN_TABLE_ADD
	qsort(sorted, n_sorted, sizeof(sorted[0]), row_cmp);
	for (size_t i = 1; i < n_sorted; i++)
		assert(strcmp(sorted[i - 1]->name, sorted[i]->name) != 0);
}

const struct fn *fn_find(struct str name)
{
	size_t lo = 0, hi = n_sorted;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strncasecmp(name.p, sorted[mid]->name, name.len);

		if (c == 0 && sorted[mid]->name[name.len] != '\0')
			c = -1; /* a proper prefix of the row's name */
		if (c == 0)
			return sorted[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const char *fn_name_in_aggr(const struct fn *f)
{
	return f->aggr_name ? f->aggr_name : f->name;
}

const struct fn *fn_find_in_aggr(struct str name)
{
	for (size_t i = 0; i < n_sorted; i++) {
		if ((sorted[i]->flags & FN_IN_AGGR) && str_eqc(name, fn_name_in_aggr(sorted[i])))
			return sorted[i];
	}
	return NULL;
}

/* Levenshtein's distance, case not counted. Both are shorter than NAME_BYTES_MAX. */
static unsigned distance(struct str a, const char *b)
{
	unsigned row[NAME_BYTES_MAX + 1];
	unsigned n = (unsigned)strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned above = row[j];
			bool same = strncasecmp(&a.p[i - 1], &b[j - 1], 1) == 0;

			unsigned one_more = MIN(above, row[j - 1]) + 1;

			row[j] = MIN(one_more, diagonal + !same);
			diagonal = above;
		}
	}
	return row[n];
}

const struct fn *fn_suggest(struct str name)
{
	const struct fn *best = NULL;
	unsigned best_distance = (unsigned)name.len / 3 + 2; /* farther is no help */

	for (size_t i = 0; name.len < NAME_BYTES_MAX && i < n_sorted; i++) {
		unsigned d = distance(name, sorted[i]->name);

		if (d < best_distance) {
			best_distance = d;
			best = sorted[i];
		}
	}
	return best;
}

const struct fn *const *fn_all(size_t *ret_n)
{
	*ret_n = n_sorted;
	return sorted;
}
