/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/select.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

/* ---- preparation ---------------------------------------------------------- */

static int set_init(struct match_set *to, const struct store_match_set *from, struct err *e)
{
	to->v = mem_zalloc(from->n, sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	for (; to->n < from->n; to->n++) {
		int r = match_init(&to->v[to->n], &from->v[to->n], e);

		if (r < 0)
			return r;
	}
	return 0;
}

int selection_init(struct selection *s, const struct store_match_set *sets, size_t n_sets,
                   const struct store_match_set *enforced, struct err *e)
{
	int r = 0;

	*s = (struct selection){ .sets = mem_zalloc(n_sets + 1, sizeof(*s->sets)) };
	if (!s->sets)
		return -ENOMEM;
	s->n_sets = n_sets;
	for (size_t i = 0; i <= n_sets && r == 0; i++)
		r = set_init(&s->sets[i], i < n_sets ? &sets[i] : enforced, e);
	if (r < 0)
		selection_done(s);
	return r;
}

void selection_done(struct selection *s)
{
	for (size_t i = 0; s->sets && i <= s->n_sets; i++) {
		for (size_t k = 0; k < s->sets[i].n; k++)
			match_done(&s->sets[i].v[k]);
		free(s->sets[i].v);
	}
	free(s->sets);
	*s = (struct selection){ 0 };
}

/* ---- running -------------------------------------------------------------- */

static roaring_bitmap_t *all_of(const struct select_source *src)
{
	roaring_bitmap_t *all = roaring_bitmap_create();

	if (all && src->n > 0)
		roaring_bitmap_add_range_closed(all, src->first, src->first + (src->n - 1));
	return all;
}

/* Adds the series with a value that @m covers. */
static int add_covered(const struct select_source *src, const struct match *m, roaring_bitmap_t *to,
                       struct err *e)
{
	int r = 0;

	if (m->kind == MATCH_ANY)
		return src->exact(src->ctx, m->name, STR_NULL, to, e);
	if (m->kind == MATCH_REGEX)
		return src->covered(src->ctx, m, to, e);
	for (uint32_t i = 0; r == 0 && i < m->n_texts; i++)
		r = src->exact(src->ctx, m->name, m->texts[i], to, e);
	return r;
}

/* @set &= what a matcher accepts that does not accept the missing label. */
static int and_required(const struct select_source *src, const struct match *m,
                        roaring_bitmap_t *set, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *mine = roaring_bitmap_create();
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *refused = NULL;
	int r = mine ? 0 : -ENOMEM;

	if (r == 0 && !m->is_negated)
		r = add_covered(src, m, mine, e);
	if (r == 0 && m->is_negated) { /* any value, but none of those */
		refused = roaring_bitmap_create();
		r = refused ? src->exact(src->ctx, m->name, STR_NULL, mine, e) : -ENOMEM;
		if (r == 0)
			r = add_covered(src, m, refused, e);
		if (r == 0)
			roaring_bitmap_andnot_inplace(mine, refused);
	}
	if (r == 0)
		roaring_bitmap_and_inplace(set, mine);
	return r;
}

/* @set &= what a matcher accepts that accepts the missing label, too. */
static int and_not_refused(const struct select_source *src, const struct match *m,
                           roaring_bitmap_t *set, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *refused = roaring_bitmap_create();
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *covered = NULL;
	int r = refused ? 0 : -ENOMEM;

	if (r == 0 && m->is_negated)
		r = add_covered(src, m, refused, e);
	if (r == 0 && !m->is_negated) { /* any value that it does not cover */
		covered = roaring_bitmap_create();
		r = covered ? src->exact(src->ctx, m->name, STR_NULL, refused, e) : -ENOMEM;
		if (r == 0)
			r = add_covered(src, m, covered, e);
		if (r == 0)
			roaring_bitmap_andnot_inplace(refused, covered);
	}
	if (r == 0)
		roaring_bitmap_andnot_inplace(set, refused);
	return r;
}

/* Cheap and narrow ones first. */
static unsigned rank_of(const struct match *m)
{
	if (m->takes_empty)
		return 3;
	if (m->is_negated)
		return 2;
	return m->kind == MATCH_TEXTS ? 0 : 1;
}

static int and_set(const struct select_source *src, const struct match_set *set,
                   roaring_bitmap_t *to, struct err *e)
{
	int r = 0;

	for (unsigned rank = 0; rank <= 3; rank++) {
		for (size_t i = 0; r == 0 && i < set->n && !roaring_bitmap_is_empty(to); i++) {
			const struct match *m = &set->v[i];

			if (rank_of(m) != rank)
				continue;
			r = m->takes_empty ? and_not_refused(src, m, to, e)
			                   : and_required(src, m, to, e);
		}
	}
	return r;
}

int selection_run(const struct selection *s, const struct select_source *src,
                  roaring_bitmap_t **ret, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *any =
		s->n_sets > 0 ? roaring_bitmap_create() : all_of(src);
	int r = any ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < s->n_sets; i++) {
		_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *one = all_of(src);

		r = one ? and_set(src, &s->sets[i], one, e) : -ENOMEM;
		if (r == 0)
			roaring_bitmap_or_inplace(any, one);
	}
	if (r == 0)
		r = and_set(src, &s->sets[s->n_sets], any, e);
	if (r == 0)
		*ret = TAKE_PTR(any);
	return r;
}
