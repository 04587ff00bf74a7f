/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Binary operators over series. Two sides are put into groups by their matching labels; what
 * happens to a group is the operator's business: arithmetic and comparisons pair one series with
 * one (or, with group_left, with many), set operators look at the points of all of them.
 */
#include "api/mql/binop.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "api/mql/eval.h"
#include "api/mql/mname_map.h"
#include "userspace/base/util.h"

/* --- two numbers ---------------------------------------------------------------------------- */

static double num_add(double l, double r)
{
	return l + r;
}

static double num_sub(double l, double r)
{
	return l - r;
}

static double num_mul(double l, double r)
{
	return l * r;
}

static double num_div(double l, double r)
{
	return l / r;
}

/* As Go has it: NaN to any power, even 0, stays absent. */
static double num_pow(double l, double r)
{
	return isnan(l) ? (double)NAN : pow(l, r);
}

/* In this language NaN equals NaN, and differs from every number. */
static double num_eq(double l, double r)
{
	return isnan(l) ? isnan(r) : l == r;
}

static double num_ne(double l, double r)
{
	return !num_eq(l, r);
}

static double num_gt(double l, double r)
{
	return l > r;
}

static double num_lt(double l, double r)
{
	return l < r;
}

static double num_ge(double l, double r)
{
	return l >= r;
}

static double num_le(double l, double r)
{
	return l <= r;
}

static double num_and(double l, double r)
{
	return isnan(r) ? (double)NAN : l;
}

static double num_or(double l, double r)
{
	return isnan(l) ? r : l;
}

static double num_unless(double l, double r)
{
	return isnan(r) ? l : (double)NAN;
}

static double apply(const struct binop *op, bool is_bool, double l, double r)
{
	if (!(op->flags & BINOP_CMP))
		return op->number(l, r);
	if (!is_bool)
		return op->number(l, r) != 0 ? l : (double)NAN;
	return isnan(l) ? (double)NAN : op->number(l, r);
}

double binop_numbers(const struct binop *op, double left, double right, bool is_bool)
{
	if ((op->flags & BINOP_CMP) && is_bool)
		return op->number(left, right);
	return apply(op, is_bool, left, right);
}

/* --- groups --------------------------------------------------------------------------------- */

struct group {
	struct series **left, **right;
	uint32_t n_left, n_right;
};

struct groups {
	struct group *v;
	uint32_t n, n_left, n_right; /* n_left: groups with a left series; n_right likewise */
};

/* What series must have in common to be in one group. */
static int match_labels(struct eval *ev, const struct ast_binop *b, struct mname *mn)
{
	int r;

	if (!b->keep_metric_names)
		mn->name = STR_NULL;
	if (b->match == AST_MATCH_ON)
		r = mname_keep(ev->arena, mn, &b->labels);
	else
		r = mname_drop(ev->arena, mn, &b->labels);
	return r < 0 ? eval_no_memory(ev) : 0;
}

/* The group number of each series of @set, in @numbers. */
static int number_groups(struct eval *ev, const struct ast_binop *b, struct mname_map *names,
                         const struct series_set *set, uint32_t *numbers)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		struct mname mn = set->v[i].mn;

		r = match_labels(ev, b, &mn);
		if (r == 0 && mname_map_add(ev->arena, names, &mn, false, &numbers[i]) < 0)
			r = eval_no_memory(ev);
	}
	return r;
}

/* Counts, then cuts one array of pointers into pieces, then fills them: input order is kept. */
static int fill_side(struct eval *ev, struct groups *gs, const struct series_set *set,
                     const uint32_t *numbers, bool left)
{
	struct series **all = ARENA_ARRAY(ev->arena, struct series *, set->n + 1);

	if (!all)
		return eval_no_memory(ev);
	for (size_t i = 0; i < set->n; i++)
		(*(left ? &gs->v[numbers[i]].n_left : &gs->v[numbers[i]].n_right))++;
	for (uint32_t i = 0; i < gs->n; i++) {
		uint32_t *n = left ? &gs->v[i].n_left : &gs->v[i].n_right;

		*(left ? &gs->v[i].left : &gs->v[i].right) = all;
		*(left ? &gs->n_left : &gs->n_right) += *n > 0;
		all += *n;
		*n = 0;
	}
	for (size_t i = 0; i < set->n; i++) {
		struct group *g = &gs->v[numbers[i]];

		if (left)
			g->left[g->n_left++] = &set->v[i];
		else
			g->right[g->n_right++] = &set->v[i];
	}
	return 0;
}

static int make_groups(struct eval *ev, const struct ast_binop *b, const struct series_set *left,
                       const struct series_set *right, struct groups *ret)
{
	uint32_t *l = ARENA_ARRAY(ev->arena, uint32_t, left->n + 1);
	uint32_t *r = ARENA_ARRAY(ev->arena, uint32_t, right->n + 1);
	struct mname_map names = { 0 };
	int err = l && r ? 0 : eval_no_memory(ev);

	if (err == 0)
		err = number_groups(ev, b, &names, left, l);
	if (err == 0)
		err = number_groups(ev, b, &names, right, r);
	if (err < 0)
		return err;
	*ret = (struct groups){ .v = ARENA_ARRAY(ev->arena, struct group, names.n + 1),
		                .n = names.n };
	if (!ret->v)
		return eval_no_memory(ev);
	err = fill_side(ev, ret, left, l, true);
	return err < 0 ? err : fill_side(ev, ret, right, r, false);
}

static bool is_scalar(const struct series_set *set)
{
	return set->n == 1 && mname_is_empty(&set->v[0].mn);
}

/* --- point by point ------------------------------------------------------------------------- */

static bool drops_name(const struct ast_binop *b)
{
	return !b->keep_metric_names && (!(b->op->flags & BINOP_CMP) || b->is_bool);
}

static int put(struct eval *ev, const struct grid *g, const struct ast_binop *b, struct mname mn,
               const double *left, const double *right, struct series_set *ret)
{
	struct series s = { mn, values_new(ev->arena, g->n, NAN) };

	if (!s.values)
		return eval_no_memory(ev);
	for (uint32_t i = 0; i < g->n; i++)
		s.values[i] = apply(b->op, b->is_bool, left[i], right[i]);
	return set_add(ev->arena, ret, s) < 0 ? eval_no_memory(ev) : 0;
}

static int with_scalar(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                       struct series_set *left, struct series_set *right, struct series_set *ret)
{
	bool left_is = is_scalar(left);
	const struct series_set *many = left_is ? right : left;
	int r = 0;

	for (size_t i = 0; r == 0 && i < many->n; i++) {
		struct mname mn = many->v[i].mn;

		if (drops_name(b))
			mn.name = STR_NULL;
		r = put(ev, g, b, mn, left->v[left_is ? 0 : i].values,
		        right->v[left_is ? i : 0].values, ret);
	}
	return r;
}

static int duplicates(struct eval *ev, const struct ast_binop *b, const char *side,
                      const struct series *x, const struct series *y)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	mname_print(&x->mn, &text);
	buf_puts(&text, " and ");
	mname_print(&y->mn, &text);
	return err_set(ev->e, -EINVAL, "several series on the %s side of %s match the same: %.180s",
	               side, b->op->name, buf_cstr(&text));
}

static int merge_all(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                     const char *side, struct series **v, uint32_t n)
{
	for (; n > 1; n--) {
		if (!series_merge(g, v[0], v[n - 1]))
			return duplicates(ev, b, side, v[0], v[n - 1]);
	}
	return 0;
}

static int one_to_one(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                      const struct group *gr, struct series_set *ret)
{
	int r = merge_all(ev, g, b, "left", gr->left, gr->n_left);

	if (r == 0)
		r = merge_all(ev, g, b, "right", gr->right, gr->n_right);
	if (r < 0)
		return r;
	struct mname mn = gr->left[0]->mn;

	if (drops_name(b))
		mn.name = STR_NULL;
	struct str name = mn.name;

	if (b->match == AST_MATCH_ON)
		r = mname_keep(ev->arena, &mn, &b->labels);
	else
		r = mname_drop(ev->arena, &mn, &b->labels);
	if (r < 0)
		return eval_no_memory(ev);
	/* on() drops the name of a comparison too, unless it is kept by name. */
	if (b->match == AST_MATCH_ON && b->keep_metric_names)
		mn.name = name;
	return put(ev, g, b, mn, gr->left[0]->values, gr->right[0]->values, ret);
}

/* Copies the labels that group_left(..) names from the one side to the many side's @mn. */
static int join_labels(struct eval *ev, const struct ast_binop *b, const struct mname *one,
                       struct mname *mn)
{
	bool all = b->join_labels.n == 1 && str_eqc(b->join_labels.v[0], "*");
	uint32_t n = all ? one->n_tags : b->join_labels.n;

	for (uint32_t i = 0; i < n; i++) {
		struct str from = all ? one->tags[i].name : b->join_labels.v[i], to = from;
		bool skip = false;

		for (uint32_t k = 0; b->match == AST_MATCH_ON && k < b->labels.n; k++)
			skip = skip || str_eq(b->labels.v[k], from);
		if (skip)
			continue;
		if (b->prefix.len > 0) {
			char *p = arena_alloc(ev->arena, b->prefix.len + from.len);

			if (!p)
				return eval_no_memory(ev);
			memcpy(p, b->prefix.p, b->prefix.len);
			memcpy(p + b->prefix.len, from.p, from.len);
			to = (struct str){ p, b->prefix.len + from.len };
		}
		if (mname_set(ev->arena, mn, to, mname_get(one, from)) < 0)
			return eval_no_memory(ev);
	}
	return 0;
}

static int series_copy(struct eval *ev, const struct grid *g, struct series *s)
{
	s->values = arena_memdup(ev->arena, s->values, g->n * sizeof(*s->values));
	return s->values ? 0 : eval_no_memory(ev);
}

struct pair {
	struct mname mn;
	const double *many;
	struct series one;
};

/* All ones for one series of the many side: those that give the same labels are merged. */
static int join_one(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                    const struct series *many, struct series **ones, uint32_t n_ones,
                    struct series_set *ret)
{
	struct pair *pairs = ARENA_ARRAY(ev->arena, struct pair, n_ones);
	struct mname_map names = { 0 };
	const char *side = b->join == AST_JOIN_LEFT ? "right" : "left";
	int r = pairs ? 0 : eval_no_memory(ev);

	for (uint32_t i = 0; r == 0 && i < n_ones; i++) {
		struct mname mn = many->mn;
		uint32_t number, before = names.n;

		if (drops_name(b))
			mn.name = STR_NULL;
		r = join_labels(ev, b, &ones[i]->mn, &mn);
		if (r < 0)
			return r;
		if (mname_map_add(ev->arena, &names, &mn, false, &number) < 0)
			return eval_no_memory(ev);
		if (number == before) {
			pairs[number] = (struct pair){ mn, many->values, *ones[i] };
			r = n_ones > 1 ? series_copy(ev, g, &pairs[number].one) : 0;
		} else if (!series_merge(g, &pairs[number].one, ones[i])) {
			r = duplicates(ev, b, side, &pairs[number].one, ones[i]);
		}
	}
	for (uint32_t i = 0; r == 0 && i < names.n; i++) {
		bool left = b->join == AST_JOIN_LEFT;

		r = put(ev, g, b, pairs[i].mn, left ? pairs[i].many : pairs[i].one.values,
		        left ? pairs[i].one.values : pairs[i].many, ret);
	}
	return r;
}

static int many_to_one(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                       const struct group *gr, struct series_set *ret)
{
	bool left = b->join == AST_JOIN_LEFT;
	uint32_t n = left ? gr->n_left : gr->n_right;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = join_one(ev, g, b, left ? gr->left[i] : gr->right[i],
		             left ? gr->right : gr->left, left ? gr->n_right : gr->n_left, ret);
	return r;
}

static int by_points(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                     struct series_set *left, struct series_set *right, struct series_set *ret)
{
	struct groups gs;
	int r;

	/* A comparison keeps series of NaN: NaN != x holds. */
	if (!(b->op->flags & BINOP_CMP)) {
		set_drop_empty(left, g->n);
		set_drop_empty(right, g->n);
	}
	if (left->n == 0 || right->n == 0)
		return 0;
	if (b->match == AST_MATCH_ALL && b->join == AST_JOIN_NONE &&
	    (is_scalar(left) || is_scalar(right)))
		return with_scalar(ev, g, b, left, right, ret);
	r = make_groups(ev, b, left, right, &gs);
	for (uint32_t i = 0; r == 0 && i < gs.n; i++) {
		if (gs.v[i].n_left == 0 || gs.v[i].n_right == 0)
			continue;
		r = b->join == AST_JOIN_NONE ? one_to_one(ev, g, b, &gs.v[i], ret)
		                             : many_to_one(ev, g, b, &gs.v[i], ret);
	}
	return r;
}

/* --- sets of points ------------------------------------------------------------------------- */

static bool any_value(struct series *const *v, uint32_t n, uint32_t point)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!isnan(v[i]->values[point]))
			return true;
	}
	return false;
}

/* Clears the points of @v at which @by has a value (@having), or has none. */
static void clear_points(uint32_t n_points, struct series *const *v, uint32_t n,
                         struct series *const *by, uint32_t n_by, bool having)
{
	for (uint32_t k = 0; k < n_points; k++) {
		if (any_value(by, n_by, k) != having)
			continue;
		for (uint32_t i = 0; i < n; i++)
			v[i]->values[k] = NAN;
	}
}

static void fill_gaps(uint32_t n_points, struct series *s, struct series *const *by, uint32_t n_by)
{
	for (uint32_t k = 0; k < n_points; k++) {
		for (uint32_t i = 0; i < n_by && isnan(s->values[k]); i++)
			s->values[k] = by[i]->values[k];
	}
}

static int put_all(struct eval *ev, struct series *const *v, uint32_t n, struct series_set *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		if (set_add(ev->arena, ret, *v[i]) < 0)
			return eval_no_memory(ev);
	}
	return 0;
}

struct set_op {
	struct eval *ev;
	uint32_t n_points;
	struct groups gs;
	bool scalar_right; /* the right side is one scalar, which some operators apply to all */
	struct series **scalar;
};

static int set_op_start(struct set_op *so, struct eval *ev, const struct grid *g,
                        const struct ast_binop *b, struct series_set *left,
                        struct series_set *right)
{
	*so = (struct set_op){ .ev = ev, .n_points = g->n };
	int r = make_groups(ev, b, left, right, &so->gs);

	if (r < 0 || so->gs.n_right != 1 || !is_scalar(right))
		return r;
	so->scalar_right = true;
	so->scalar = ARENA_ARRAY(ev->arena, struct series *, 1);
	if (!so->scalar)
		return eval_no_memory(ev);
	so->scalar[0] = &right->v[0];
	return 0;
}

/* The right series of a group, or the scalar that stands for all groups. */
static uint32_t right_of(const struct set_op *so, const struct group *gr, bool scalars,
                         struct series *const **ret)
{
	if (gr->n_right == 0 && scalars && so->scalar_right) {
		*ret = so->scalar;
		return 1;
	}
	*ret = gr->right;
	return gr->n_right;
}

enum keep {
	KEEP_WITH,    /* points where the right side has a value */
	KEEP_WITHOUT, /* the others */
};

static int filter_points(struct set_op *so, enum keep keep, bool scalars, struct series_set *ret)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < so->gs.n; i++) {
		const struct group *gr = &so->gs.v[i];
		struct series *const *right;
		uint32_t n_right = right_of(so, gr, scalars, &right);

		if (n_right == 0 && keep == KEEP_WITH)
			continue;
		if (n_right > 0)
			clear_points(so->n_points, gr->left, gr->n_left, right, n_right,
			             keep == KEEP_WITHOUT);
		r = put_all(so->ev, gr->left, gr->n_left, ret);
	}
	set_drop_empty(ret, so->n_points);
	return r;
}

static int set_default(struct set_op *so, struct series_set *ret)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < so->gs.n; i++) {
		const struct group *gr = &so->gs.v[i];
		struct series *const *right;
		uint32_t n_right = right_of(so, gr, true, &right);

		if (so->gs.n_left == 0) {
			r = put_all(so->ev, gr->right, gr->n_right, ret);
			continue;
		}
		for (uint32_t k = 0; k < gr->n_left; k++)
			fill_gaps(so->n_points, gr->left[k], right, n_right);
		r = put_all(so->ev, gr->left, gr->n_left, ret);
	}
	return r;
}

/* Right series behind the left ones; those with labels of a left one fill its gaps. */
static int append_right(struct set_op *so, const struct series_set *right, struct series_set *ret)
{
	struct arena *arena = so->ev->arena;
	struct mname_map names = { 0 };
	uint32_t *places = ARENA_ARRAY(arena, uint32_t, ret->n + 1), number;

	if (!places)
		return eval_no_memory(so->ev);
	for (size_t i = 0; i < ret->n; i++) {
		if (mname_map_add(arena, &names, &ret->v[i].mn, false, &number) < 0)
			return eval_no_memory(so->ev);
		places[number] = (uint32_t)i;
	}
	for (size_t i = 0; i < right->n; i++) {
		struct series *s = &right->v[i];

		if (mname_map_find(&names, &s->mn, &number))
			fill_gaps(so->n_points, &ret->v[places[number]], &s, 1);
		else if (set_add(arena, ret, *s) < 0)
			return eval_no_memory(so->ev);
	}
	return 0;
}

/* Left series sorted, then right series sorted. */
static int set_or(struct set_op *so, struct series_set *ret)
{
	struct series_set rest = { 0 };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < so->gs.n; i++) {
		const struct group *gr = &so->gs.v[i];

		clear_points(so->n_points, gr->right, gr->n_right, gr->left, gr->n_left, true);
		r = put_all(so->ev, gr->left, gr->n_left, ret);
		if (r == 0)
			r = put_all(so->ev, gr->right, gr->n_right, &rest);
	}
	if (r == 0 && (set_sort(so->ev->arena, ret) < 0 || set_sort(so->ev->arena, &rest) < 0))
		r = eval_no_memory(so->ev);
	return r < 0 ? r : append_right(so, &rest, ret);
}

/* One entry for each row, so that no row compares names. */
#define SET_OP(fname, call)                                                                \
	static int fname(struct eval *ev, const struct grid *g, const struct ast_binop *b, \
	                 struct series_set *left, struct series_set *right,                \
	                 struct series_set *ret)                                           \
	{                                                                                  \
		struct set_op so;                                                          \
		int r = set_op_start(&so, ev, g, b, left, right);                          \
                                                                                           \
		return r < 0 ? r : call;                                                   \
	}
SET_OP(op_and, filter_points(&so, KEEP_WITH, false, ret))
SET_OP(op_unless, filter_points(&so, KEEP_WITHOUT, false, ret))
SET_OP(op_if, filter_points(&so, KEEP_WITH, true, ret))
SET_OP(op_ifnot, filter_points(&so, KEEP_WITHOUT, true, ret))
SET_OP(op_default, set_default(&so, ret))
SET_OP(op_or, set_or(&so, ret))

/* --- membership: q == (1, 2, 3) ------------------------------------------------------------- */

static bool is_union(const struct ast *a)
{
	return a->kind == AST_CALL && (a->call.fn->flags & FN_UNION);
}

static bool contains(const struct series_set *set, uint32_t point, double v)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->v[i].values[point] == v)
			return true;
	}
	return false;
}

static int membership(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                      struct series_set *left, struct series_set *right, struct series_set *ret)
{
	bool wanted = b->op->number(0, 0) != 0; /* == wants members, != the others */
	bool mirrored = is_union(b->left);
	struct series_set *set = mirrored ? right : left;
	const struct series_set *members = mirrored ? left : right;

	if (members->n == 0 && wanted)
		return 0;
	for (size_t i = 0; i < set->n; i++) {
		double *v = set->v[i].values;

		for (uint32_t k = 0; k < g->n; k++) {
			if (contains(members, k, v[k]) != wanted)
				v[k] = NAN;
		}
	}
	*ret = *set;
	return eval_tick(ev);
}

/* --- the table ------------------------------------------------------------------------------ */

#define OR_FLAGS     BINOP_NO_JOIN | BINOP_OWN_ORDER | BINOP_BOTH | BINOP_EITHER
#define UNLESS_FLAGS BINOP_NO_JOIN | BINOP_LEFT_LABELS

static const struct binop rows[] = {
	/* clang-format off */
	{ "default", 1, BINOP_BOTH,                         num_or,     op_default, NULL },
	{ "if",      2, BINOP_RIGHT_FIRST,                  num_and,    op_if,      NULL },
	{ "ifnot",   2, BINOP_LEFT_LABELS,                  num_unless, op_ifnot,   NULL },
	{ "or",      3, OR_FLAGS,                           num_or,     op_or,      NULL },
	{ "and",     4, BINOP_NO_JOIN | BINOP_RIGHT_FIRST,  num_and,    op_and,     NULL },
	{ "unless",  4, UNLESS_FLAGS,                       num_unless, op_unless,  NULL },
	{ "==",      5, BINOP_CMP | BINOP_MEMBER,           num_eq,     NULL,       "==" },
	{ "!=",      5, BINOP_CMP | BINOP_MEMBER,           num_ne,     NULL,       "!=" },
	{ "<",       5, BINOP_CMP,                          num_lt,     NULL,       ">"  },
	{ ">",       5, BINOP_CMP,                          num_gt,     NULL,       "<"  },
	{ "<=",      5, BINOP_CMP,                          num_le,     NULL,       ">=" },
	{ ">=",      5, BINOP_CMP,                          num_ge,     NULL,       "<=" },
	{ "+",       6, BINOP_STRINGS,                      num_add,    NULL,       NULL },
	{ "-",       6, 0,                                  num_sub,    NULL,       NULL },
	{ "*",       7, 0,                                  num_mul,    NULL,       NULL },
	{ "/",       7, 0,                                  num_div,    NULL,       NULL },
	{ "%",       7, 0,                                  fmod,       NULL,       NULL },
	{ "atan2",   7, 0,                                  atan2,      NULL,       NULL },
	{ "^",       8, BINOP_RIGHT,                        num_pow,    NULL,       NULL },
	/* clang-format on */
};

const struct binop *binop_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (name.len == strlen(rows[i].name) &&
		    strncasecmp(name.p, rows[i].name, name.len) == 0)
			return &rows[i];
	}
	return NULL;
}

int binop_eval(struct eval *ev, const struct grid *g, const struct ast_binop *b,
               struct series_set *left, struct series_set *right, struct series_set *ret)
{
	if ((b->op->flags & BINOP_MEMBER) && (is_union(b->left) || is_union(b->right)))
		return membership(ev, g, b, left, right, ret);
	if (b->op->set)
		return b->op->set(ev, g, b, left, right, ret);
	return by_points(ev, g, b, left, right, ret);
}
