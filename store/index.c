/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/index.h"

#include <errno.h>
#include <stdlib.h>

#include "store/match.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

/* ---- building ------------------------------------------------------------- */

static void value_free(struct index_value *v)
{
	free(v->ids);
	free(v);
}

static void name_free(struct index_name *n)
{
	for (size_t i = 0; i < n->n_values; i++)
		value_free(n->values[i]);
	free(n->values);
	free(n->table);
	free(n);
}

void index_done(struct index *x)
{
	for (size_t i = 0; i < x->n_names; i++)
		name_free(x->names[i]);
	free(x->names);
	*x = (struct index){ 0 };
}

/* One block: the struct and its text behind it. */
static void *new_with_text(size_t bytes, struct str text, struct str *(*slot)(void *))
{
	char *p = mem_zalloc(1, bytes + text.len);

	if (!p)
		return NULL;
	memcpy(p + bytes, text.p, text.len);
	*slot(p) = (struct str){ p + bytes, text.len };
	return p;
}

static struct str *value_text(void *p)
{
	return &((struct index_value *)p)->text;
}

static struct str *name_text(void *p)
{
	return &((struct index_name *)p)->text;
}

static struct index_name *find_name(const struct index *x, struct str text)
{
	for (size_t i = 0; i < x->n_names; i++) { /* a few dozen */
		if (str_eq(x->names[i]->text, text))
			return x->names[i];
	}
	return NULL;
}

static struct index_name *get_name(struct index *x, struct str text)
{
	struct index_name *n = find_name(x, text);

	if (n || MEM_GROW(x->names, x->names_cap, x->n_names + 1) < 0)
		return n;
	n = new_with_text(sizeof(*n), text, name_text);
	if (n) {
		x->names[x->n_names++] = n;
		x->bytes += sizeof(*n) + text.len;
	}
	return n;
}

/* The slot of @text, or the empty one where it belongs. */
static struct index_value **value_slot(const struct index_name *n, struct str text)
{
	size_t mask = n->table_cap - 1, at = hash_str(text) & mask;

	while (n->table[at] && !str_eq(n->table[at]->text, text))
		at = (at + 1) & mask;
	return &n->table[at];
}

static int table_grow(struct index *x, struct index_name *n)
{
	size_t cap = n->table_cap ? n->table_cap * 2 : 16;
	struct index_value **table;

	if (n->n_values * 2 < n->table_cap)
		return 0;
	table = mem_zalloc(cap, sizeof(struct index_value *));
	if (!table)
		return -ENOMEM;
	x->bytes += (cap - n->table_cap) * sizeof(struct index_value *);
	free(n->table);
	n->table = table;
	n->table_cap = cap;
	for (size_t i = 0; i < n->n_values; i++)
		*value_slot(n, n->values[i]->text) = n->values[i];
	return 0;
}

static struct index_value *get_value(struct index *x, struct index_name *n, struct str text)
{
	struct index_value **slot, *v;

	if (table_grow(x, n) < 0)
		return NULL;
	slot = value_slot(n, text);
	if (*slot || MEM_GROW(n->values, n->values_cap, n->n_values + 1) < 0)
		return *slot;
	v = new_with_text(sizeof(*v), text, value_text);
	if (!v)
		return NULL;
	v->name = n;
	*slot = v;
	n->values[n->n_values++] = v;
	x->bytes += sizeof(*v) + text.len + sizeof(v);
	return v;
}

static struct index_value *reserve_id(struct index *x, const struct label *l)
{
	struct index_name *n = get_name(x, l->name);
	struct index_value *v = n ? get_value(x, n, l->value) : NULL;
	uint32_t cap = v ? v->cap : 0;

	if (!v || MEM_GROW(v->ids, v->cap, (size_t)v->n + 1) < 0)
		return NULL;
	x->bytes += (v->cap - cap) * sizeof(*v->ids);
	return v;
}

int index_intern(struct index *x, const struct label *labels, uint32_t n,
                 struct index_value **ret_values)
{
	for (uint32_t i = 0; i < n; i++) {
		ret_values[i] = reserve_id(x, &labels[i]);
		if (!ret_values[i])
			return -ENOMEM;
	}
	return 0;
}

uint32_t index_add(struct index *x, struct index_value *const *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		values[i]->ids[values[i]->n++] = x->n_ids;
	return x->n_ids++;
}

/* ---- selecting ------------------------------------------------------------ */

void bits_done(struct bits *b)
{
	free(b->w);
	*b = (struct bits){ 0 };
}

static int bits_new(struct bits *b, uint32_t n_ids, uint64_t fill)
{
	b->n_words = (n_ids + 63) / 64;
	b->w = mem_alloc(b->n_words * sizeof(*b->w));
	if (!b->w)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_words; i++)
		b->w[i] = fill;
	return 0;
}

static void bits_add(struct bits *b, const struct index_value *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		b->w[v->ids[i] / 64] |= 1ull << (v->ids[i] % 64);
}

/* The series that lack the label: all, when nobody carries it. */
static int add_missing(struct bits *b, const struct index *x, const struct index_name *n)
{
	struct bits with = { 0 };
	int r = bits_new(&with, x->n_ids, 0);

	if (r < 0)
		return r;
	for (size_t i = 0; n && i < n->n_values; i++)
		bits_add(&with, n->values[i]);
	for (size_t i = 0; i < b->n_words; i++)
		b->w[i] |= ~with.w[i];
	bits_done(&with);
	return 0;
}

static bool past(uint64_t deadline_mono_ns)
{
	return deadline_mono_ns != 0 && clock_mono_ns() > deadline_mono_ns;
}

static int add_values(struct bits *b, const struct index_name *n, const struct match *m,
                      uint64_t deadline_mono_ns)
{
	const struct index_value *one;

	if (m->op == STORE_EQ) {
		one = n->table_cap > 0 ? *value_slot(n, m->value) : NULL;
		if (one)
			bits_add(b, one);
		return 0;
	}
	for (size_t i = 0; i < n->n_values; i++) {
		if (i % 4096 == 0 && past(deadline_mono_ns))
			return -ECANCELED;
		if (match_value(m, n->values[i]->text))
			bits_add(b, n->values[i]);
	}
	return 0;
}

/* @b &= the ids that @sm accepts. */
static int and_matcher(const struct index *x, const struct store_matcher *sm,
                       uint64_t deadline_mono_ns, struct bits *b, struct err *e)
{
	_cleanup_(match_done) struct match m = { 0 };
	_cleanup_(bits_done) struct bits mine = { 0 };
	const struct index_name *n = find_name(x, sm->name);
	int r = match_init(&m, sm, e);

	if (r == 0)
		r = bits_new(&mine, x->n_ids, 0);
	if (r == 0 && n)
		r = add_values(&mine, n, &m, deadline_mono_ns);
	if (r == 0 && match_value(&m, STR("")))
		r = add_missing(&mine, x, n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < b->n_words; i++)
		b->w[i] &= mine.w[i];
	return 0;
}

static int and_set(const struct index *x, const struct store_match_set *set,
                   uint64_t deadline_mono_ns, struct bits *b, struct err *e)
{
	for (size_t i = 0; i < set->n; i++) {
		int r = and_matcher(x, &set->v[i], deadline_mono_ns, b, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* @any |= the ids of one set. */
static int or_set(const struct index *x, const struct store_match_set *set,
                  uint64_t deadline_mono_ns, struct bits *any, struct err *e)
{
	_cleanup_(bits_done) struct bits one = { 0 };
	int r = bits_new(&one, x->n_ids, ~0ull);

	if (r == 0)
		r = and_set(x, set, deadline_mono_ns, &one, e);
	for (size_t i = 0; r == 0 && i < any->n_words; i++)
		any->w[i] |= one.w[i];
	return r;
}

int index_select(const struct index *x, const struct store_select *sel, struct bits *ret,
                 struct err *e)
{
	int r = bits_new(ret, x->n_ids, sel->n_sets == 0 ? ~0ull : 0);

	for (size_t i = 0; r == 0 && i < sel->n_sets; i++)
		r = or_set(x, &sel->sets[i], sel->deadline_mono_ns, ret, e);
	if (r == 0)
		r = and_set(x, &sel->enforced, sel->deadline_mono_ns, ret, e);
	if (r == 0 && x->n_ids % 64 != 0) /* ids that do not exist */
		ret->w[ret->n_words - 1] &= (1ull << (x->n_ids % 64)) - 1;
	if (r < 0)
		bits_done(ret);
	return r;
}
