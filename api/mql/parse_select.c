/* SPDX-License-Identifier: BSD-2-Clause */
/* Series selectors: name{a="b",c!~"d" or e="f"}, and templates in them. */
#include <errno.h>

#include "api/mql/parser.h"
#include "api/mql/with.h"
#include "userspace/base/cxx.h"
#include "userspace/base/util.h"

#define REGEX_MEM_BYTES_MAX ((size_t)8 << 20)

struct match_list {
	struct store_matcher *v;
	uint32_t n;
};

static int match_add(struct parser *p, struct match_list *list, struct store_matcher m)
{
	void *v = list->v;
	int r;

	for (uint32_t i = 0; !p->as_written && i < list->n; i++) {
		if (list->v[i].op == m.op && str_eq(list->v[i].name, m.name) &&
		    str_eq(list->v[i].value, m.value))
			return 0;
	}
	r = parser_grow(p, &v, list->n, sizeof(*list->v));
	if (r < 0)
		return r;
	list->v = v;
	list->v[list->n++] = m;
	return 0;
}

static bool is_name_matcher(const struct store_matcher *m)
{
	return m->op == STORE_EQ && str_eqc(m->name, LABEL_NAME);
}

static int check_regex(struct parser *p, const struct tok *at, struct str pattern)
{
	struct cxx_regex *re = NULL;
	char why[128];
	int r = cxx_regex_new(&re, pattern.p, pattern.len, REGEX_MEM_BYTES_MAX, why, sizeof(why));

	cxx_regex_free(re);
	if (r == -EINVAL)
		return err_set_at(p->e, r, (int)at->pos, "bad regular expression: %s", why);
	return r < 0 ? err_set(p->e, r, "out of memory for a regular expression") : 0;
}

static int parse_match_op(struct parser *p, enum store_match_op *ret)
{
	static const struct {
		const char *text;
		enum store_match_op op;
	} ops[] = {
		{ "=", STORE_EQ }, { "!=", STORE_NE }, { "=~", STORE_RE }, { "!~", STORE_NRE }
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (parser_take(p, ops[i].text)) {
			*ret = ops[i].op;
			return 0;
		}
	}
	return parser_expected(p, "=, !=, =~ or !~");
}

static bool at_matcher_end(const struct parser *p)
{
	return parser_at(p, ",") || parser_at(p, "}") || parser_at_word(p, "or");
}

/* The filters of a template. */
static int add_filters(struct parser *p, const struct tok *at, struct str name,
                       struct match_list *list)
{
	struct store_match_set set;
	int r = with_filters(p, at, name, &set);

	for (size_t i = 0; r == 0 && i < set.n; i++)
		r = match_add(p, list, set.v[i]);
	return r;
}

/* label="value", "a quoted metric name", or the name of a template with filters. */
static int parse_matcher(struct parser *p, struct match_list *list)
{
	const struct tok *first = p->t;
	struct store_matcher m = { 0 };
	int r = parser_name(p, &m.name);

	if (r < 0)
		return r;
	if (at_matcher_end(p) && p->as_written) {
		if (first->kind == TOK_STRING)
			m = (struct store_matcher){ STORE_EQ, STR(LABEL_NAME), first->text };
		return match_add(p, list, m);
	}
	if (at_matcher_end(p)) {
		if (first->kind != TOK_STRING || with_find(p, m.name))
			return add_filters(p, first, m.name, list);
		m.value = m.name;
		m.name = STR(LABEL_NAME);
		return match_add(p, list, m);
	}
	r = parse_match_op(p, &m.op);
	if (r < 0)
		return r;
	const struct tok *value = p->t;

	r = parser_text(p, &m.value);
	if (r == 0 && !p->checking && (m.op == STORE_RE || m.op == STORE_NRE))
		r = check_regex(p, value, m.value);
	return r < 0 ? r : match_add(p, list, m);
}

/* One set of an or-list: up to "or" or "}". */
static int parse_match_set(struct parser *p, struct match_list *list)
{
	for (;;) {
		int r = parse_matcher(p, list);

		if (r < 0)
			return r;
		if (!at_matcher_end(p))
			return parser_expected(p, "\",\", \"or\" or \"}\"");
		if (!parser_take(p, ",") || parser_at(p, "}"))
			return 0;
	}
}

/* Two names that both must be equal are a mistake; the same one twice is not. */
static int check_names(struct parser *p, const struct match_list *list, struct str name)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (!is_name_matcher(&list->v[i]) || str_eq(list->v[i].value, name))
			continue;
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "a selector with two metric names: %.*s and %.*s",
		                  (int)MIN(name.len, (size_t)60), name.p,
		                  (int)MIN(list->v[i].value.len, (size_t)60), list->v[i].value.p);
	}
	return 0;
}

/* Kept as written: a set that begins with a quoted name has it without its quotes. */
static int unquote_name(struct parser *p, struct match_list *list)
{
	struct toks toks;

	if (list->n == 0 || !is_name_matcher(&list->v[0]))
		return 0;
	int r = lex_all(list->v[0].value, p->arena, &toks, p->e);

	if (r == 0 && (toks.n != 2 || toks.v[0].kind != TOK_STRING))
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "a metric name of several parts cannot be shown");
	return r < 0 ? r : lex_unquote(&toks.v[0], p->arena, &list->v[0].value, p->e);
}

static int name_first(struct parser *p, struct match_list *list, struct str name)
{
	struct match_list with = { 0 };
	int r = p->as_written ? 0 : check_names(p, list, name);

	if (r == 0)
		r = match_add(p, &with, (struct store_matcher){ STORE_EQ, STR(LABEL_NAME), name });

	for (uint32_t i = 0; r == 0 && i < list->n; i++)
		r = match_add(p, &with, list->v[i]);
	if (r == 0)
		*list = with;
	return r;
}

/* The name matcher goes to the front of its set; a set without one keeps its order. */
static void pull_name(struct match_list *list)
{
	for (uint32_t i = 1; i < list->n; i++) {
		struct store_matcher m = list->v[i];

		if (!is_name_matcher(&m) || is_name_matcher(&list->v[0]))
			continue;
		memmove(&list->v[1], &list->v[0], i * sizeof(m));
		list->v[0] = m;
		return;
	}
}

/* A quoted name that only one of several or-sets gives is meant for all of them. */
static int share_name(struct parser *p, struct match_list *lists, uint32_t n)
{
	struct str name = STR_NULL;
	uint32_t named = 0;

	for (uint32_t i = 0; i < n; i++) {
		pull_name(&lists[i]);
		if (lists[i].n > 0 && is_name_matcher(&lists[i].v[0])) {
			int r = check_names(p, &lists[i], lists[i].v[0].value);

			if (r < 0)
				return r;
			name = lists[i].v[0].value;
			named++;
		}
	}
	for (uint32_t i = 0; named == 1 && i < n; i++) {
		int r = name_first(p, &lists[i], name);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_match_sets(struct parser *p, struct match_list **ret, uint32_t *ret_n)
{
	struct match_list *lists = NULL;
	uint32_t n = 0;
	int r = 0;

	while (r == 0 && !parser_take(p, "}")) {
		void *v = lists;

		r = parser_grow(p, &v, n, sizeof(*lists));
		if (r < 0)
			return r;
		lists = v;
		r = parse_match_set(p, &lists[n++]);
		if (r == 0 && parser_take_word(p, "or") && parser_at(p, "}"))
			return parser_expected(p, "a label");
	}
	*ret = lists;
	*ret_n = n;
	return r;
}

static int selector_fill(struct parser *p, struct ast *a, struct str name, struct match_list *lists,
                         uint32_t n)
{
	struct match_list bare = { 0 };
	int r = 0;

	if (n == 0 && name.len > 0) {
		lists = &bare;
		n = 1;
	}
	struct store_match_set *sets = ARENA_ARRAY(p->arena, struct store_match_set, n ? n : 1);

	if (!sets)
		return parser_no_memory(p);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (name.len > 0)
			r = name_first(p, &lists[i], name);
		sets[i] = (struct store_match_set){ lists[i].v, lists[i].n };
	}
	a->selector.sets = sets;
	a->selector.n_sets = n;
	return r;
}

/*
 * Each set of @base with the filters of a set of @own, but for its name, behind it. One of the two
 * has a single set.
 */
static int add_sets(struct parser *p, struct ast *base, const struct ast *own)
{
	size_t n_base = base->selector.n_sets, n = MAX(n_base, own->selector.n_sets);
	struct store_match_set *sets = ARENA_ARRAY(p->arena, struct store_match_set, n);
	int r = sets ? 0 : parser_no_memory(p);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct store_match_set *x = &base->selector.sets[MIN(i, n_base - 1)];
		const struct store_match_set *y =
			&own->selector.sets[MIN(i, own->selector.n_sets - 1)];
		struct match_list list = { 0 };

		for (size_t k = 0; r == 0 && k < x->n; k++)
			r = match_add(p, &list, x->v[k]);
		for (size_t k = 1; r == 0 && k < y->n; k++)
			r = match_add(p, &list, y->v[k]);
		sets[i] = (struct store_match_set){ list.v, list.n };
	}
	base->selector.sets = sets;
	base->selector.n_sets = n;
	return r;
}

/* A template as metric name: its value, or with filters its selector and they together. */
static int expand_selector(struct parser *p, struct ast **a)
{
	struct ast *own = *a, *value, *selector;
	struct str name = ast_selector_name(own);
	const struct with_def *d = name.len > 0 ? with_find(p, name) : NULL;
	struct tok at = { .pos = own->pos };

	if (!d || !with_is_value(d))
		return 0;
	int r = with_value(p, d, &at, &value);

	if (r < 0 || !value)
		return r;
	*a = selector = value;
	if (own->selector.n_sets == 1 && own->selector.sets[0].n == 1)
		return 0;
	if (value->kind == AST_ROLLUP) {
		selector = arena_memdup(p->arena, value->rollup.expr, sizeof(*selector));
		if (!selector)
			return parser_no_memory(p);
		value->rollup.expr = selector;
	}
	if (selector->kind != AST_SELECTOR || selector->selector.n_sets == 0 ||
	    (selector->selector.n_sets > 1 && own->selector.n_sets > 1))
		return err_set_at(p->e, -EINVAL, (int)own->pos,
		                  "WITH template %.*s has no selector for these filters",
		                  STR_FMT(name));
	return add_sets(p, selector, own);
}

int parser_selector(struct parser *p, struct ast **ret)
{
	struct match_list *lists = NULL;
	struct str name = STR_NULL;
	uint32_t n = 0;
	int r = parser_node(p, AST_SELECTOR, p->t, ret);

	if (r == 0 && p->t->kind == TOK_IDENT)
		r = parser_name(p, &name);
	if (r == 0 && parser_take(p, "{"))
		r = parse_match_sets(p, &lists, &n);
	for (uint32_t i = 0; r == 0 && p->as_written && name.len == 0 && i < n; i++)
		r = unquote_name(p, &lists[i]);
	if (r == 0 && name.len == 0 && !p->as_written)
		r = share_name(p, lists, n);
	if (r == 0)
		r = selector_fill(p, *ret, name, lists, n);
	return r < 0 ? r : expand_selector(p, ret);
}

struct str ast_selector_name(const struct ast *a)
{
	struct str name = STR_NULL;

	for (size_t i = 0; i < a->selector.n_sets; i++) {
		const struct store_match_set *set = &a->selector.sets[i];

		if (set->n == 0 || !is_name_matcher(&set->v[0]) ||
		    (i > 0 && !str_eq(name, set->v[0].value)))
			return STR_NULL;
		name = set->v[0].value;
	}
	return name;
}
