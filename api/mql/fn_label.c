/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions that change labels and leave values alone. An empty value is a missing label. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "userspace/base/cxx.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define REGEX_MEM_BYTES_MAX ((size_t)8 << 20)
#define GROUPS_MAX          32

static int put_label(struct fn_args *a, struct series *s, struct str label, struct str value)
{
	return mname_set(a->ev->arena, &s->mn, label, value) < 0 ? eval_no_memory(a->ev) : 0;
}

static int copy_of(struct fn_args *a, const struct buf *b, struct str *ret)
{
	if (b->err < 0)
		return err_set(a->ev->e, b->err, "out of memory");
	*ret = arena_str(a->ev->arena, buf_str(b));
	return arena_error(a->ev->arena) < 0 ? eval_no_memory(a->ev) : 0;
}

/* label_set(q, "l1", "v1", ...) */
static int label_set(struct fn_args *a, struct series_set *ret)
{
	*ret = a->v[0];
	if (a->n % 2 == 0)
		return eval_fail(a->ev, a->call, "%s() needs a value for each label",
		                 a->call->call.fn->name);
	for (uint32_t i = 1; i + 1 < a->n; i += 2) {
		struct str label, value;
		int r = args_string(a, i, &label);

		if (r == 0)
			r = args_string(a, i + 1, &value);
		for (size_t k = 0; r == 0 && k < ret->n; k++)
			r = put_label(a, &ret->v[k], label, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int string_list(struct fn_args *a, struct ast_names *ret)
{
	struct str *v = ARENA_ARRAY(a->ev->arena, struct str, a->n);
	int r = v ? 0 : eval_no_memory(a->ev);

	for (uint32_t i = 1; r == 0 && i < a->n; i++)
		r = args_string(a, i, &v[i - 1]);
	*ret = (struct ast_names){ v, a->n - 1 };
	return r;
}

static int label_del(struct fn_args *a, struct series_set *ret)
{
	struct ast_names names;
	int r = string_list(a, &names);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		if (mname_drop(a->ev->arena, &ret->v[k].mn, &names) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

static int label_keep(struct fn_args *a, struct series_set *ret)
{
	struct ast_names names;
	int r = string_list(a, &names);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		if (mname_keep(a->ev->arena, &ret->v[k].mn, &names) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

/* Pairs of source and destination; an empty source leaves the destination alone. */
static int copy_labels(struct fn_args *a, bool move, struct series_set *ret)
{
	*ret = a->v[0];
	if (a->n % 2 == 0)
		return eval_fail(a->ev, a->call, "%s() needs pairs of labels",
		                 a->call->call.fn->name);
	for (uint32_t i = 1; i + 1 < a->n; i += 2) {
		struct str from, to;
		int r = args_string(a, i, &from);

		if (r == 0)
			r = args_string(a, i + 1, &to);
		for (size_t k = 0; r == 0 && k < ret->n; k++) {
			struct str value = mname_get(&ret->v[k].mn, from);

			if (value.len == 0)
				continue;
			r = put_label(a, &ret->v[k], to, value);
			if (r == 0 && move && !str_eq(from, to))
				r = put_label(a, &ret->v[k], from, STR_NULL);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int label_copy(struct fn_args *a, struct series_set *ret)
{
	return copy_labels(a, false, ret);
}

static int label_move(struct fn_args *a, struct series_set *ret)
{
	return copy_labels(a, true, ret);
}

/* label_join(q, "dst", "separator", "src1", ...) */
static int label_join(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct ast_names s;
	int r = string_list(a, &s);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		struct str value;

		buf_clear(&b);
		for (uint32_t i = 2; i < s.n; i++) {
			if (i > 2)
				buf_put_str(&b, s.v[1]);
			buf_put_str(&b, mname_get(&ret->v[k].mn, s.v[i]));
		}
		r = copy_of(a, &b, &value);
		if (r == 0)
			r = put_label(a, &ret->v[k], s.v[0], value);
	}
	return r;
}

/* --- regular expressions -------------------------------------------------------------------- */

struct template
{
	struct cxx_regex *re;
	struct str text;
};

static void regex_freep(struct cxx_regex **re)
{
	cxx_regex_free(*re);
}

static int compile(struct fn_args *a, uint32_t i, struct str pattern, struct cxx_regex **ret)
{
	char why[128];
	int r = cxx_regex_new(ret, pattern.p, pattern.len, REGEX_MEM_BYTES_MAX, why, sizeof(why));

	if (r == -EINVAL)
		return eval_fail(a->ev, a->call->call.args[i], "bad regular expression: %s", why);
	return r < 0 ? err_set(a->ev->e, r, "out of memory") : 0;
}

/* The group that a template's name means: a number or a name; -1 = none. */
static int group_index(const struct template *t, struct str name)
{
	int groups = cxx_regex_groups(t->re);
	uint64_t number;

	if (num_parse_u64(name, &number) == 0)
		return number <= (uint64_t)groups ? (int)number : -1;
	for (int i = 1; i <= groups; i++) {
		const char *text = cxx_regex_group_name(t->re, i);

		if (text && str_eqc(name, text))
			return i;
	}
	return -1;
}

/* The longest name of letters, digits and underscores, as Go's Expand() takes it. */
static size_t word_len(struct str s)
{
	size_t n = 0;

	while (n < s.len && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_'))
		n++;
	return n;
}

/* $1, ${1}, $name, ${name}, $$. */
static void expand(const struct template *t, struct str value, const int *spans, struct buf *out)
{
	struct str rest = t->text;

	while (rest.len > 0) {
		bool braces = rest.len > 1 && rest.p[1] == '{';
		struct str name = str_skip(rest, 1 + braces);
		size_t n = word_len(name);
		bool closed = !braces || (n < name.len && name.p[n] == '}');

		if (rest.p[0] != '$' || n == 0 || !closed) {
			bool dollar = rest.p[0] == '$' && rest.len > 1 && rest.p[1] == '$';

			buf_putc(out, rest.p[0]);
			rest = str_skip(rest, 1 + dollar);
			continue;
		}
		int i = group_index(t, (struct str){ name.p, n });

		if (i >= 0 && i < GROUPS_MAX && spans[2 * i] >= 0)
			buf_put(out, value.p + spans[2 * i],
			        (size_t)(spans[2 * i + 1] - spans[2 * i]));
		rest = str_skip(name, n + braces);
	}
}

/* label_replace(q, "dst", "replacement", "src", "regex") */
static int label_replace(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(regex_freep) struct cxx_regex *re = NULL;
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct ast_names s;
	int r = string_list(a, &s);

	if (r == 0)
		r = compile(a, 4, s.v[3], &re);
	if (r < 0)
		return r;
	struct template t = { re, s.v[1] };
	int n_groups = MIN(cxx_regex_groups(re) + 1, GROUPS_MAX);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		struct str value = mname_get(&ret->v[k].mn, s.v[2]), made;
		int spans[2 * GROUPS_MAX];

		if (!cxx_regex_match_spans(re, value.len ? value.p : "", value.len, 0, true, spans,
		                           n_groups))
			continue;
		buf_clear(&b);
		expand(&t, value, spans, &b);
		r = copy_of(a, &b, &made);
		if (r == 0)
			r = put_label(a, &ret->v[k], s.v[0], made);
	}
	return r;
}

/* The whole of @value with each match replaced; false without any match. */
static bool replace_all(const struct template *t, int n_groups, struct str value, struct buf *out)
{
	const char *p = value.len ? value.p : "";
	int spans[2 * GROUPS_MAX], done = 0; /* bytes that are copied or replaced */
	size_t from = 0;
	bool any = false;

	while (from <= value.len &&
	       cxx_regex_match_spans(t->re, p, value.len, from, false, spans, n_groups)) {
		buf_put(out, p + done, (size_t)(spans[0] - done));
		/* Nothing is not replaced again right behind a match. */
		if (spans[1] > done || spans[0] == 0)
			expand(t, value, spans, out);
		any = true;
		done = spans[1];
		if ((size_t)done > from)
			from = (size_t)done;
		else
			from++;
		while (from < value.len && ((unsigned char)p[from] & 0xc0) == 0x80)
			from++; /* never into the middle of a character */
	}
	buf_put(out, p + done, value.len - (size_t)done);
	return any;
}

/* label_transform(q, "label", "regex", "replacement"): wherever the expression is found. */
static int label_transform(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(regex_freep) struct cxx_regex *re = NULL;
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct ast_names s;
	int r = string_list(a, &s);

	if (r == 0)
		r = compile(a, 2, s.v[1], &re);
	if (r < 0)
		return r;
	struct template t = { re, s.v[2] };
	int n_groups = MIN(cxx_regex_groups(re) + 1, GROUPS_MAX);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		struct str made;

		buf_clear(&b);
		if (!replace_all(&t, n_groups, mname_get(&ret->v[k].mn, s.v[0]), &b))
			continue;
		r = copy_of(a, &b, &made);
		if (r == 0)
			r = put_label(a, &ret->v[k], s.v[0], made);
	}
	return r;
}

static int filter_by_label(struct fn_args *a, bool wanted, struct series_set *ret)
{
	_cleanup_(regex_freep) struct cxx_regex *re = NULL;
	struct ast_names s;
	int r = string_list(a, &s);

	if (r == 0)
		r = compile(a, 2, s.v[1], &re);
	for (size_t k = 0; r == 0 && k < a->v[0].n; k++) {
		struct str value = mname_get(&a->v[0].v[k].mn, s.v[0]);

		if (cxx_regex_full_match(re, value.len ? value.p : "", value.len) == wanted &&
		    set_add(a->ev->arena, ret, a->v[0].v[k]) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

static int label_match(struct fn_args *a, struct series_set *ret)
{
	return filter_by_label(a, true, ret);
}

static int label_mismatch(struct fn_args *a, struct series_set *ret)
{
	return filter_by_label(a, false, ret);
}

static int change_case(struct fn_args *a, int (*f)(int), struct series_set *ret)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct ast_names s;
	int r = string_list(a, &s);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		for (uint32_t i = 0; r == 0 && i < s.n; i++) {
			struct str value = mname_get(&ret->v[k].mn, s.v[i]), made;

			buf_clear(&b);
			for (size_t c = 0; c < value.len; c++)
				buf_putc(&b, (char)f((unsigned char)value.p[c]));
			r = copy_of(a, &b, &made);
			if (r == 0)
				r = put_label(a, &ret->v[k], s.v[i], made);
		}
	}
	return r;
}

/* ASCII letters only: bytes of other characters stay. */
static int upper(int c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int label_uppercase(struct fn_args *a, struct series_set *ret)
{
	return change_case(a, upper, ret);
}

static int label_lowercase(struct fn_args *a, struct series_set *ret)
{
	return change_case(a, lower, ret);
}

/* The label's value as the value of each point. */
static int label_value(struct fn_args *a, struct series_set *ret)
{
	struct str label;
	int r = args_string(a, 1, &label);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		double v = NAN;

		(void)num_parse_double(mname_get(&ret->v[k].mn, label), &v);
		if (!args_keep_names(a))
			ret->v[k].mn.name = STR_NULL;
		for (uint32_t i = 0; i < a->g->n; i++) {
			if (!isnan(ret->v[k].values[i]))
				ret->v[k].values[i] = v;
		}
	}
	return r;
}

#define LABELS(fname, amin, what, text) \
	FN_TRANSFORM_ROW(fname, fname, amin, FN_VARIADIC, 0, FN_KEEP_NAME | FN_LABELS_##what, text)

static const struct fn rows[] = {
	/* clang-format off */
	LABELS(label_set, 1, SET, "Sets labels: pairs of name and value."),
	LABELS(label_del, 1, LIST, "Removes the labels."),
	LABELS(label_keep, 1, KEEP, "Removes all other labels."),
	LABELS(label_copy, 1, TARGETS, "Copies labels: pairs of source and destination."),
	LABELS(label_move, 1, LIST, "Moves labels: pairs of source and destination."),
	LABELS(label_join, 3, SECOND, "Joins labels, with a separator between them."),
	LABELS(label_uppercase, 1, LIST, "Makes the labels' letters large."),
	LABELS(label_lowercase, 1, LIST, "Makes the labels' letters small."),
	FN_TRANSFORM_ROW(label_replace, label_replace, 5, 5, 0, FN_KEEP_NAME | FN_LABELS_SECOND,
			 "Sets a label from the parts of another that a regular expression finds."),
	FN_TRANSFORM_ROW(label_transform, label_transform, 4, 4, 0, FN_KEEP_NAME | FN_LABELS_SECOND,
			 "Replaces each part of a label that a regular expression finds."),
	FN_TRANSFORM_ROW(label_match, label_match, 3, 3, 0, FN_KEEP_NAME | FN_LABELS_SECOND,
			 "The series whose label matches the regular expression."),
	FN_TRANSFORM_ROW(label_mismatch, label_mismatch, 3, 3, 0, FN_KEEP_NAME | FN_LABELS_SECOND,
			 "The series whose label does not match the regular expression."),
	FN_TRANSFORM_ROW(label_value, label_value, 2, 2, 0, 0, "The label's value as a number."),
	/* clang-format on */
};

const struct fn_table fn_label = { rows, ARRAY_SIZE(rows) };
