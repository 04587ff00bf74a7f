/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/plan.h"

#include <errno.h>

#include "api/mql/rollup.h"
#include "userspace/base/util.h"

#define SETS_MAX 1000u

static int64_t sub_clamped(int64_t a, int64_t b)
{
	int64_t r;

	return __builtin_sub_overflow(a, b, &r) ? INT64_MIN : r;
}

int64_t plan_min_ms(const struct fn *fn, const struct grid *g, int64_t window_ms)
{
	int64_t min_ms = sub_clamped(g->start_ms, MAX(window_ms, g->step_ms));

	if (fn->flags & FN_PREV_SAMPLE)
		min_ms = sub_clamped(min_ms, ROLLUP_SILENCE_MS);
	return MAX(min_ms, 0);
}

static bool is_never(const struct store_matcher *m)
{
	return m->op == STORE_NRE && str_eqc(m->value, ".*");
}

static bool any_never(const struct store_match_set *sets, size_t n_sets)
{
	for (size_t i = 0; i < n_sets; i++) {
		for (size_t k = 0; k < sets[i].n; k++) {
			if (is_never(&sets[i].v[k]))
				return true;
		}
	}
	return false;
}

const struct store_match_set *plan_matchers(struct arena *arena, const struct store_match_set *sets,
                                            size_t n_sets)
{
	struct store_match_set *copy;

	if (!any_never(sets, n_sets))
		return sets;
	copy = arena_memdup(arena, sets, n_sets * sizeof(*sets));
	for (size_t i = 0; copy && i < n_sets; i++) {
		struct store_matcher *v = arena_memdup(arena, sets[i].v, sets[i].n * sizeof(*v));

		for (size_t k = 0; v && k < sets[i].n; k++) {
			if (is_never(&v[k]))
				v[k].value = STR(".+");
		}
		copy[i].v = v;
	}
	return arena_error(arena) < 0 ? NULL : copy;
}

/* (a or b) and (c or d) = ac or ad or bc or bd. */
static int cross_product(struct eval *ev, const struct ast *selector, struct store_select *ret)
{
	const struct mql_query *q = ev->q;
	size_t n_own = selector->selector.n_sets, n = n_own * q->n_extra, k = 0;
	struct store_match_set *sets;

	if (n > SETS_MAX)
		return err_set_at(ev->e, -EINVAL, (int)selector->pos,
		                  "%zu alternatives of matchers, more than %u", n, SETS_MAX);
	sets = ARENA_ARRAY(ev->arena, struct store_match_set, n);
	if (!sets)
		return eval_no_memory(ev);
	for (size_t i = 0; i < n; i++) {
		const struct store_match_set *own = &ret->sets[i / q->n_extra];
		const struct store_match_set *extra = &q->extra[i % q->n_extra];
		struct store_matcher *v =
			ARENA_ARRAY(ev->arena, struct store_matcher, own->n + extra->n + 1);

		if (!v)
			return eval_no_memory(ev);
		for (k = 0; k < own->n; k++)
			v[k] = own->v[k];
		for (size_t j = 0; j < extra->n; j++)
			v[k++] = extra->v[j];
		sets[i] = (struct store_match_set){ v, k };
	}
	ret->sets = sets;
	ret->n_sets = n;
	return 0;
}

int plan_select(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
                struct store_select *ret)
{
	const struct mql_query *q = ev->q;
	uint64_t read = atomic_load(&ev->shared->samples_read);
	uint64_t left = ev->limits->samples_max - MIN(read, ev->limits->samples_max);

	*ret = (struct store_select){
		.org = q->org,
		.sets = plan_matchers(ev->arena, selector->selector.sets,
		                      selector->selector.n_sets),
		.n_sets = selector->selector.n_sets,
		.enforced = q->enforced,
		.min_ms = min_ms,
		.max_ms = max_ms,
		.deadline_mono_ns = q->deadline_mono_ns,
		.cancelled = q->cancelled,
		.series_max = ev->limits->series_max,
		.samples_max = left > 0 ? left : 1,
	};
	if (!ret->sets && ret->n_sets > 0)
		return eval_no_memory(ev);
	return q->n_extra > 0 ? cross_product(ev, selector, ret) : 0;
}
