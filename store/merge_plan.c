/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/merge_plan.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define MINUTE_MS   (60 * 1000ll)
#define SMALL_BYTES (256u << 10) /* blocks below this are equally small */
#define SIMILAR     2u           /* times what the smaller ones are together */

/* How long after its end a window may still get samples, and how many blocks are too many. */
static const struct {
	int64_t grace_ms;
	size_t many;
} rules_of[WINDOW_LEVELS] = {
	{ 0, 12 },
	{ 15 * MINUTE_MS, 4 },
	{ 60 * MINUTE_MS, 4 },
	{ 180 * MINUTE_MS, 4 },
};

uint64_t block_bytes(const struct block *b)
{
	return b->index_bytes + b->meta.chunks_bytes;
}

static bool may_merge(const struct block *b, const struct merge_rules *rules)
{
	return !atomic_load(&b->is_damaged) &&
	       (rules->is_forced || b->meta.max_epoch < rules->floor_epoch);
}

/* ---- the blocks of one window --------------------------------------------- */

struct group {
	struct block **v; /* by size, ascending */
	size_t n;
	uint32_t level;
	int64_t begin_ms;
};

/* Blocks that span several windows of the highest level are by themselves. */
static int64_t window_of(const struct block *b, const struct merge_rules *rules, uint32_t level)
{
	int64_t length_ms = rules->windows.length_ms[level];
	int64_t begin_ms = window_begin(b->meta.min_ms, length_ms);

	return b->meta.max_ms < begin_ms + length_ms ? begin_ms : INT64_MIN;
}

static int cmp_bytes(const void *a, const void *b)
{
	uint64_t x = block_bytes(*(struct block *const *)a);
	uint64_t y = block_bytes(*(struct block *const *)b);

	return x < y ? -1 : x > y;
}

static void gather(const struct view *v, const struct merge_rules *rules, struct group *g)
{
	g->n = 0;
	for (size_t i = 0; i < v->n; i++) {
		struct block *b = v->blocks[i];

		if (b->meta.level <= g->level && may_merge(b, rules) &&
		    window_of(b, rules, g->level) == g->begin_ms)
			g->v[g->n++] = b;
	}
	if (g->n > 1)
		qsort(g->v, g->n, sizeof(struct block *), cmp_bytes);
}

/* How many from the front are about equally small. */
static size_t n_similar(struct block *const *v, size_t n)
{
	uint64_t sum = 0;
	size_t k = 0;

	for (; k < n; k++) {
		uint64_t bytes = block_bytes(v[k]);

		if (k > 0 && bytes > SIMILAR * sum + SMALL_BYTES)
			break;
		sum += bytes;
	}
	return k;
}

static size_t n_of_level(const struct group *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += g->v[i]->meta.level == g->level;
	return n;
}

static bool is_over(const struct group *g, const struct merge_rules *rules)
{
	if (rules->is_forced)
		return true;
	return g->begin_ms != INT64_MIN &&
	       rules->now_ms >= g->begin_ms + rules->windows.length_ms[g->level] +
	                                rules_of[g->level].grace_ms;
}

/* ---- jobs ----------------------------------------------------------------- */

static void job_of(struct block *const *v, size_t n, uint32_t level, struct merge_job *ret)
{
	*ret = (struct merge_job){ .n = n, .level = level };
	ret->begin_ms = INT64_MAX;
	ret->end_ms = INT64_MIN;
	for (size_t i = 0; i < n; i++) {
		ret->blocks[i] = v[i];
		ret->bytes += block_bytes(v[i]);
		ret->begin_ms = MIN(ret->begin_ms, v[i]->meta.min_ms);
		ret->end_ms = MAX(ret->end_ms, v[i]->meta.max_ms + 1);
	}
}

/* Of too many the smallest, and no level higher. */
static bool take(struct block *const *v, size_t n, uint32_t level, struct merge_job *ret)
{
	if (n > MERGE_BLOCKS_MAX) {
		n = MERGE_BLOCKS_MAX;
		level = 0;
		for (size_t i = 0; i < n; i++)
			level = MAX(level, v[i]->meta.level);
	}
	job_of(v, n, level, ret);
	return true;
}

static bool promote(const struct group *g, const struct merge_rules *rules, struct merge_job *ret)
{
	size_t n_there = n_of_level(g), n = n_similar(g->v, g->n);

	if (n_there == g->n || !is_over(g, rules))
		return false;
	if (n_there == 0 || n == g->n || rules->is_forced)
		return take(g->v, g->n, g->level, ret);
	return n >= rules_of[g->level].many && take(g->v, n, g->level, ret);
}

static bool gather_small(struct group *g, const struct merge_rules *rules, struct merge_job *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (g->v[i]->meta.level == g->level)
			g->v[n++] = g->v[i];
	}
	size_t k = rules->is_forced ? n : n_similar(g->v, n);
	size_t many = rules->is_forced ? 2 : rules_of[g->level].many;

	return k >= many && take(g->v, k, g->level, ret);
}

static bool plan_window(const struct view *v, const struct merge_rules *rules, struct group *g,
                        struct merge_job *ret)
{
	gather(v, rules, g);
	return (g->level > 0 && promote(g, rules, ret)) || gather_small(g, rules, ret);
}

/* Windows are looked at once for each of their blocks: there are some dozens of them. */
static bool plan_level(const struct view *v, const struct merge_rules *rules, struct group *g,
                       struct merge_job *ret)
{
	int64_t before = INT64_MAX;

	for (size_t i = 0; i < v->n; i++) {
		if (v->blocks[i]->meta.level > g->level)
			continue;
		g->begin_ms = window_of(v->blocks[i], rules, g->level);
		if (g->begin_ms == before ||
		    (g->begin_ms == INT64_MIN && g->level + 1 < WINDOW_LEVELS))
			continue;
		if (plan_window(v, rules, g, ret))
			return true;
		before = g->begin_ms;
	}
	return false;
}

static bool plan_rewrite(const struct view *v, const struct merge_rules *rules,
                         struct merge_job *ret)
{
	for (size_t i = 0; i < v->n; i++) {
		struct block *b = v->blocks[i];

		if (may_merge(b, rules) && rules->is_stale && rules->is_stale(rules->ctx, b))
			return take(&v->blocks[i], 1, b->meta.level, ret);
	}
	return false;
}

bool merge_plan(const struct view *v, const struct merge_rules *rules, struct merge_job *ret)
{
	struct group g = { .v = mem_zalloc(v->n + 1, sizeof(struct block *)) };
	bool found = g.v && !rules->is_forced && plan_level(v, rules, &g, ret);

	/* From the top: what is over for long is not written once for each level below. */
	for (g.level = WINDOW_LEVELS - 1; g.v && !found && g.level > 0; g.level--)
		found = plan_level(v, rules, &g, ret);
	free(g.v);
	return found || plan_rewrite(v, rules, ret);
}
