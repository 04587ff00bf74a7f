/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recursive descent over the tokens. Operators are not parsed by precedence levels: each new one is
 * hung into the right edge of the tree so far, at the place its precedence asks for, which also
 * gives unary minus ("0 - x") the meaning it has in PromQL: -2^2 is -(2^2).
 *
 * Depth: parse_expr() counts its nesting up to NESTING_MAX, and every tree carries an upper bound
 * of its height, which stops at AST_HEIGHT_MAX.
 */
#include "api/mql/parse.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "api/mql/binop.h"
#include "api/mql/fn.h"
#include "api/mql/lex.h"
#include "api/mql/numtext.h"
#include "userspace/base/cxx.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

/* Canonical text has parentheses where the tree has levels; it must parse again. */
#define NESTING_MAX         (2 * AST_HEIGHT_MAX + 8)
#define LIST_MAX            1000u /* arguments, labels, matchers */
#define REGEX_MEM_BYTES_MAX ((size_t)8 << 20)

struct parser {
	const struct tok *t; /* the next token */
	struct arena *arena;
	struct err *e;
	uint32_t nesting;
};

static int parse_expr(struct parser *p, struct ast **ret);
static int parse_single(struct parser *p, struct ast **ret);
static int parse_operand(struct parser *p, struct ast **ret);

static int out_of_memory(struct parser *p)
{
	return err_set(p->e, arena_error(p->arena), "the query needs too much memory to be read");
}

static int expected(struct parser *p, const char *what)
{
	const struct tok *t = p->t;

	if (t->kind == TOK_END)
		return err_set_at(p->e, -EINVAL, (int)t->pos, "expected %s, found the end", what);
	return err_set_at(p->e, -EINVAL, (int)t->pos, "expected %s, found %.*s%s", what,
	                  (int)MIN(t->text.len, (size_t)40), t->text.p,
	                  t->text.len > 40 ? "..." : "");
}

static bool at_punct(const struct parser *p, const char *text)
{
	return p->t->kind == TOK_PUNCT && str_eqc(p->t->text, text);
}

static bool tok_is_word(const struct tok *t, const char *word)
{
	return t->kind == TOK_IDENT && t->text.len == strlen(word) &&
	       strncasecmp(t->text.p, word, t->text.len) == 0;
}

static bool at_word(const struct parser *p, const char *word)
{
	return tok_is_word(p->t, word);
}

static bool take_punct(struct parser *p, const char *text)
{
	bool yes = at_punct(p, text);

	p->t += yes;
	return yes;
}

static bool take_word(struct parser *p, const char *word)
{
	bool yes = at_word(p, word);

	p->t += yes;
	return yes;
}

static int node(struct parser *p, enum ast_kind kind, const struct tok *at, struct ast **ret)
{
	struct ast *a = ARENA_NEW(p->arena, struct ast);

	if (!a)
		return out_of_memory(p);
	a->kind = kind;
	a->pos = at->pos;
	a->height = 1;
	*ret = a;
	return 0;
}

static int set_height(struct parser *p, struct ast *a, uint32_t height)
{
	if (height > AST_HEIGHT_MAX)
		return err_set_at(p->e, -EINVAL, (int)a->pos,
		                  "the query is nested deeper than %u levels", AST_HEIGHT_MAX);
	a->height = MAX(a->height, height);
	return 0;
}

/* --- lists that grow ------------------------------------------------------------------------ */

/* A doubling array in the arena; the old copies stay there until the query ends. */
static int list_grow(struct parser *p, void **v, uint32_t n, size_t bytes)
{
	void *bigger;

	if (n >= LIST_MAX)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos, "a list has more than %u entries",
		                  LIST_MAX);
	if (n > 0 && (n < 4 || (n & (n - 1)) != 0))
		return 0;
	bigger = arena_zalloc(p->arena, n < 4 ? 4 : (size_t)n * 2, bytes);
	if (!bigger)
		return out_of_memory(p);
	if (n > 0)
		memcpy(bigger, *v, n * bytes);
	*v = bigger;
	return 0;
}

static int names_add(struct parser *p, struct ast_names *names, struct str name)
{
	void *v = names->v;
	int r;

	for (uint32_t i = 0; i < names->n; i++) {
		if (str_eq(names->v[i], name))
			return 0;
	}
	r = list_grow(p, &v, names->n, sizeof(*names->v));
	if (r < 0)
		return r;
	names->v = v;
	names->v[names->n++] = name;
	return 0;
}

/* An identifier, or a quoted name. */
static int parse_name(struct parser *p, struct str *ret)
{
	int r;

	if (p->t->kind == TOK_STRING)
		r = lex_unquote(p->t, p->arena, ret, p->e);
	else if (p->t->kind == TOK_IDENT)
		r = lex_unescape(p->t, p->arena, ret);
	else
		return expected(p, "a name");
	if (r < 0)
		return err_set(p->e, r, "the query needs too much memory to be read");
	p->t++;
	return 0;
}

/* "(a, b,)", with "(*)" as the one name "*" where @star allows it. */
static int parse_names(struct parser *p, bool star, struct ast_names *ret)
{
	if (!take_punct(p, "("))
		return expected(p, "\"(\"");
	if (star && take_punct(p, "*")) {
		int r = names_add(p, ret, STR("*"));

		if (r < 0)
			return r;
		return take_punct(p, ")") ? 0 : expected(p, "\")\"");
	}
	while (!take_punct(p, ")")) {
		struct str name;
		int r = parse_name(p, &name);

		if (r == 0)
			r = names_add(p, ret, name);
		if (r < 0)
			return r;
		if (!take_punct(p, ",") && !at_punct(p, ")"))
			return expected(p, "\",\" or \")\"");
	}
	return 0;
}

/* --- literals ------------------------------------------------------------------------------- */

/* "a" + "b" + ...: a plus that no string follows is left for parse_expr(). */
static int parse_text(struct parser *p, struct str *ret)
{
	struct str part;
	int r;

	if (p->t->kind != TOK_STRING)
		return expected(p, "a string");
	r = lex_unquote(p->t++, p->arena, ret, p->e);
	while (r == 0 && at_punct(p, "+") && p->t[1].kind == TOK_STRING) {
		p->t++;
		r = lex_unquote(p->t++, p->arena, &part, p->e);
		if (r < 0)
			break;
		char *both = arena_alloc(p->arena, ret->len + part.len + 1);

		if (!both)
			return out_of_memory(p);
		memcpy(both, ret->p, ret->len);
		memcpy(both + ret->len, part.p, part.len);
		*ret = (struct str){ both, ret->len + part.len };
	}
	return r;
}

static int parse_string(struct parser *p, struct ast **ret)
{
	int r = node(p, AST_STRING, p->t, ret);

	return r < 0 ? r : parse_text(p, &(*ret)->string);
}

static int parse_number(struct parser *p, struct ast **ret)
{
	int r = node(p, AST_NUMBER, p->t, ret);

	if (r < 0)
		return r;
	(*ret)->number.text = p->t->text;
	if (p->t->kind == TOK_IDENT)
		(*ret)->number.value = at_word(p, "inf") ? (double)INFINITY : (double)NAN;
	else if (numtext_number(p->t->text, &(*ret)->number.value) < 0)
		return expected(p, "a number");
	p->t++;
	return 0;
}

/* Window, step or offset. Text, not milliseconds: the step decides what 5i is. */
static int parse_duration(struct parser *p, bool may_be_negative, struct str *ret)
{
	bool minus = may_be_negative && take_punct(p, "-");
	struct str text = p->t->text;
	int64_t ms;

	if (p->t->kind == TOK_IDENT)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "expected a duration, found the name %.*s (WITH templates are "
		                  "not supported yet)",
		                  (int)MIN(text.len, (size_t)40), text.p);
	if ((p->t->kind != TOK_DURATION && p->t->kind != TOK_NUMBER) ||
	    numtext_duration_ms(text, 1, &ms) < 0)
		return expected(p, "a duration such as 5m");
	p->t++;
	*ret = text;
	if (!minus)
		return 0;
	char *copy = arena_alloc(p->arena, text.len + 1);

	if (!copy)
		return out_of_memory(p);
	copy[0] = '-';
	memcpy(copy + 1, text.p, text.len);
	*ret = (struct str){ copy, text.len + 1 };
	return 0;
}

static int parse_duration_value(struct parser *p, struct ast **ret)
{
	int r = node(p, AST_DURATION, p->t, ret);

	return r < 0 ? r : parse_duration(p, false, &(*ret)->duration);
}

/* --- selectors ------------------------------------------------------------------------------ */

struct match_list {
	struct store_matcher *v;
	uint32_t n;
};

static int match_add(struct parser *p, struct match_list *list, struct store_matcher m)
{
	void *v = list->v;
	int r;

	for (uint32_t i = 0; i < list->n; i++) {
		if (list->v[i].op == m.op && str_eq(list->v[i].name, m.name) &&
		    str_eq(list->v[i].value, m.value))
			return 0;
	}
	r = list_grow(p, &v, list->n, sizeof(*list->v));
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
		if (take_punct(p, ops[i].text)) {
			*ret = ops[i].op;
			return 0;
		}
	}
	return expected(p, "=, !=, =~ or !~");
}

static bool at_matcher_end(const struct parser *p)
{
	return at_punct(p, ",") || at_punct(p, "}") || at_word(p, "or");
}

/* label="value", or "a quoted metric name". */
static int parse_matcher(struct parser *p, struct match_list *list)
{
	const struct tok *first = p->t;
	struct store_matcher m = { 0 };
	int r = parse_name(p, &m.name);

	if (r < 0)
		return r;
	if (at_matcher_end(p)) {
		if (first->kind != TOK_STRING)
			return err_set_at(p->e, -EINVAL, (int)first->pos,
			                  "expected = behind the label %.*s (WITH templates are "
			                  "not supported yet)",
			                  (int)MIN(first->text.len, (size_t)40), first->text.p);
		m.value = m.name;
		m.name = STR(LABEL_NAME);
		return match_add(p, list, m);
	}
	r = parse_match_op(p, &m.op);
	if (r < 0)
		return r;
	const struct tok *value = p->t;

	r = parse_text(p, &m.value);
	if (r == 0 && (m.op == STORE_RE || m.op == STORE_NRE))
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
			return expected(p, "\",\", \"or\" or \"}\"");
		if (!take_punct(p, ",") || at_punct(p, "}"))
			return 0;
	}
}

static int name_first(struct parser *p, struct match_list *list, struct str name)
{
	struct match_list with = { 0 };
	int r = match_add(p, &with, (struct store_matcher){ STORE_EQ, STR(LABEL_NAME), name });

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

	while (r == 0 && !take_punct(p, "}")) {
		void *v = lists;

		r = list_grow(p, &v, n, sizeof(*lists));
		if (r < 0)
			return r;
		lists = v;
		r = parse_match_set(p, &lists[n++]);
		if (r == 0 && take_word(p, "or") && at_punct(p, "}"))
			return expected(p, "a label");
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
		return out_of_memory(p);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (name.len > 0)
			r = name_first(p, &lists[i], name);
		sets[i] = (struct store_match_set){ lists[i].v, lists[i].n };
	}
	a->selector.sets = sets;
	a->selector.n_sets = n;
	return r;
}

static int parse_selector(struct parser *p, struct ast **ret)
{
	struct match_list *lists = NULL;
	struct str name = STR_NULL;
	uint32_t n = 0;
	int r = node(p, AST_SELECTOR, p->t, ret);

	if (r == 0 && p->t->kind == TOK_IDENT)
		r = parse_name(p, &name);
	if (r == 0 && take_punct(p, "{"))
		r = parse_match_sets(p, &lists, &n);
	if (r == 0 && name.len == 0)
		r = share_name(p, lists, n);
	return r < 0 ? r : selector_fill(p, *ret, name, lists, n);
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

/* --- calls ---------------------------------------------------------------------------------- */

/* The list up to and with the closing parenthesis; the opening one has been taken. */
static int parse_args(struct parser *p, struct ast *owner, struct ast ***ret, uint32_t *ret_n)
{
	struct ast **args = NULL;
	uint32_t n = 0;

	while (!take_punct(p, ")")) {
		void *v = args;
		int r = list_grow(p, &v, n, sizeof(*args));

		if (r < 0)
			return r;
		args = v;
		r = parse_expr(p, &args[n]);
		if (r == 0)
			r = set_height(p, owner, args[n]->height + 1);
		if (r < 0)
			return r;
		n++;
		if (!take_punct(p, ",") && !at_punct(p, ")"))
			return expected(p, "\",\" or \")\"");
	}
	*ret = args;
	*ret_n = n;
	return 0;
}

static int unknown_function(struct parser *p, const struct tok *at, struct str name)
{
	const struct fn *near = fn_suggest(name);

	return err_set_at(p->e, -EINVAL, (int)at->pos, "unknown function %.*s%s%s%s",
	                  (int)MIN(name.len, (size_t)60), name.p, near ? "; did you mean " : "",
	                  near ? near->name : "", near ? "?" : "");
}

static int check_arity(struct parser *p, const struct ast *a)
{
	const struct fn *f = a->call.fn;
	uint32_t n = a->call.n_args;

	if (n >= f->args_min && (n <= f->args_max || f->args_max == FN_VARIADIC))
		return 0;
	if (f->args_max == FN_VARIADIC)
		return err_set_at(p->e, -EINVAL, (int)a->pos,
		                  "%s() takes at least %u arguments, found %u", f->name,
		                  f->args_min, n);
	if (f->args_min == f->args_max)
		return err_set_at(p->e, -EINVAL, (int)a->pos, "%s() takes %u argument%s, found %u",
		                  f->name, f->args_min, f->args_min == 1 ? "" : "s", n);
	return err_set_at(p->e, -EINVAL, (int)a->pos, "%s() takes %u to %u arguments, found %u",
	                  f->name, f->args_min, f->args_max, n);
}

/* by (..) or without (..), at most once; @ret_any says whether it was there. */
static int parse_grouping(struct parser *p, struct ast_call *c, bool *ret_any)
{
	enum ast_group group = at_word(p, "by")        ? AST_GROUP_BY
	                       : at_word(p, "without") ? AST_GROUP_WITHOUT
	                                               : AST_GROUP_NONE;

	*ret_any = group != AST_GROUP_NONE;
	if (!*ret_any)
		return 0;
	p->t++;
	c->group = group;
	return parse_names(p, false, &c->labels);
}

static int parse_limit(struct parser *p, struct ast_call *c)
{
	uint64_t limit;

	if (!take_word(p, "limit"))
		return 0;
	if (p->t->kind != TOK_NUMBER || num_parse_u64(p->t->text, &limit) < 0 || limit > UINT32_MAX)
		return expected(p, "a whole number");
	p->t++;
	c->limit = (uint32_t)limit;
	return 0;
}

static int parse_aggr_tail(struct parser *p, struct ast_call *c, bool grouped)
{
	int r = 0;

	if (!grouped)
		r = parse_grouping(p, c, &grouped);
	return r < 0 ? r : parse_limit(p, c);
}

static int parse_call(struct parser *p, struct ast **ret)
{
	const struct tok *at = p->t;
	struct str name;
	bool grouped = false;
	int r = node(p, AST_CALL, at, ret);

	if (r == 0)
		r = parse_name(p, &name);
	if (r < 0)
		return r;
	struct ast_call *c = &(*ret)->call;

	c->fn = fn_find(name);
	if (!c->fn)
		return unknown_function(p, at, name);
	if (c->fn->kind == FN_AGGR)
		r = parse_grouping(p, c, &grouped);
	if (r == 0 && !take_punct(p, "("))
		r = expected(p, "\"(\"");
	if (r == 0)
		r = parse_args(p, *ret, &c->args, &c->n_args);
	if (r == 0 && c->fn->kind == FN_AGGR)
		r = parse_aggr_tail(p, c, grouped);
	if (r == 0 && c->fn->kind != FN_AGGR)
		c->keep_metric_names = take_word(p, "keep_metric_names");
	return r < 0 ? r : check_arity(p, *ret);
}

/* A name with a parenthesis behind it is a call, and so is "sum by (x) (..)". */
static bool at_call(const struct parser *p)
{
	const struct tok *after = p->t + 1;

	if (after->kind == TOK_PUNCT && str_eqc(after->text, "("))
		return true;
	if (!tok_is_word(after, "by") && !tok_is_word(after, "without"))
		return false;
	const struct fn *f = fn_find(p->t->text);

	return f && f->kind == FN_AGGR;
}

/* "(x)" is x; "(a, b)" and "()" are union(). */
static int parse_parens(struct parser *p, struct ast **ret)
{
	struct ast *a = NULL;
	int r = node(p, AST_CALL, p->t, &a);

	if (r < 0)
		return r;
	p->t++;
	a->call.fn = fn_union;
	r = parse_args(p, a, &a->call.args, &a->call.n_args);
	if (r < 0)
		return r;
	*ret = a;
	if (a->call.n_args != 1)
		return 0;
	*ret = a->call.args[0];
	if ((*ret)->kind == AST_BINOP && take_word(p, "keep_metric_names"))
		(*ret)->binop.keep_metric_names = true;
	(*ret)->parens = true;
	return 0;
}

/* --- rollup suffixes ------------------------------------------------------------------------ */

/* [w], [w:s], [w:], [:s]; the opening bracket has been taken. */
static int parse_window(struct parser *p, struct ast_rollup *ru)
{
	int r = 0;

	if (!at_punct(p, ":"))
		r = parse_duration(p, false, &ru->window);
	/* Grafana's variable means: whatever window fits the step. */
	if (r == 0 && ru->window.len > 0 && ru->window.p[0] == '$')
		ru->window = STR_NULL;
	if (r == 0 && take_punct(p, ":")) {
		if (at_punct(p, "]"))
			ru->inherit_step = true;
		else
			r = parse_duration(p, false, &ru->step);
	}
	if (r < 0)
		return r;
	return take_punct(p, "]") ? 0 : expected(p, "\"]\"");
}

static int parse_at(struct parser *p, struct ast *owner)
{
	struct ast_rollup *ru = &owner->rollup;
	int r;

	if (ru->at)
		return expected(p, "a single @");
	p->t++;
	r = parse_operand(p, &ru->at); /* what follows belongs to the rollup, not to its @ */
	return r < 0 ? r : set_height(p, owner, ru->at->height + 1);
}

static bool at_suffix(const struct parser *p)
{
	return at_punct(p, "[") || at_punct(p, "@") || at_word(p, "offset");
}

static int parse_suffixes(struct parser *p, struct ast *owner)
{
	struct ast_rollup *ru = &owner->rollup;
	int r = 0;

	if (take_punct(p, "["))
		r = parse_window(p, ru);
	if (r == 0 && at_punct(p, "@"))
		r = parse_at(p, owner);
	if (r == 0 && take_word(p, "offset"))
		r = parse_duration(p, true, &ru->offset);
	if (r == 0 && at_punct(p, "@"))
		r = parse_at(p, owner);
	return r;
}

/* --- operands and operators ----------------------------------------------------------------- */

static int parse_minus(struct parser *p, struct ast **ret)
{
	struct ast *zero = NULL, *a = NULL;
	int r = node(p, AST_BINOP, p->t, &a);

	if (r == 0)
		r = node(p, AST_NUMBER, p->t, &zero);
	if (r < 0)
		return r;
	p->t++;
	a->binop.op = binop_find(STR("-"));
	a->binop.left = zero;
	*ret = a;
	/* Minus signs nest too, so the count of parse_expr() is not enough. */
	if (++p->nesting > NESTING_MAX)
		return set_height(p, a, AST_HEIGHT_MAX + 1);
	r = parse_single(p, &a->binop.right);
	p->nesting--;
	return r < 0 ? r : set_height(p, a, a->binop.right->height + 1);
}

static int parse_operand(struct parser *p, struct ast **ret)
{
	while (take_punct(p, "+"))
		;
	if (p->t->kind == TOK_DURATION)
		return parse_duration_value(p, ret);
	if (p->t->kind == TOK_STRING)
		return parse_string(p, ret);
	if (p->t->kind == TOK_NUMBER || at_word(p, "inf") || at_word(p, "nan"))
		return parse_number(p, ret);
	if (at_word(p, "with") && str_eqc(p->t[1].text, "("))
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "WITH templates are not supported yet");
	if (p->t->kind == TOK_IDENT)
		return at_call(p) ? parse_call(p, ret) : parse_selector(p, ret);
	if (at_punct(p, "{"))
		return parse_selector(p, ret);
	if (at_punct(p, "("))
		return parse_parens(p, ret);
	if (at_punct(p, "-"))
		return parse_minus(p, ret);
	return expected(p, "an expression");
}

static int parse_single(struct parser *p, struct ast **ret)
{
	const struct tok *at = p->t;
	struct ast *inner, *a = NULL;
	int r = parse_operand(p, &inner);

	if (r < 0)
		return r;
	*ret = inner;
	if (!at_suffix(p))
		return 0;
	r = node(p, AST_ROLLUP, at, &a);
	if (r < 0)
		return r;
	a->rollup.expr = inner;
	*ret = a;
	r = set_height(p, a, inner->height + 1);
	return r < 0 ? r : parse_suffixes(p, a);
}

static int parse_join(struct parser *p, struct ast_binop *b)
{
	if (b->op->flags & BINOP_NO_JOIN)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos, "%.*s cannot be applied to %s",
		                  STR_FMT(p->t->text), b->op->name);
	b->join = at_word(p, "group_left") ? AST_JOIN_LEFT : AST_JOIN_RIGHT;
	p->t++;
	int r = at_punct(p, "(") ? parse_names(p, true, &b->join_labels) : 0;

	if (r == 0 && take_word(p, "prefix")) {
		b->has_prefix = true;
		r = parse_text(p, &b->prefix);
	}
	return r;
}

static int parse_op_modifiers(struct parser *p, struct ast_binop *b)
{
	int r;

	if (at_word(p, "bool")) {
		if (!(b->op->flags & BINOP_CMP))
			return err_set_at(p->e, -EINVAL, (int)p->t->pos,
			                  "bool cannot be applied to %s", b->op->name);
		b->is_bool = true;
		p->t++;
	}
	if (!at_word(p, "on") && !at_word(p, "ignoring"))
		return 0;
	b->match = at_word(p, "on") ? AST_MATCH_ON : AST_MATCH_IGNORING;
	p->t++;
	r = parse_names(p, false, &b->labels);
	if (r < 0 || (!at_word(p, "group_left") && !at_word(p, "group_right")))
		return r;
	return parse_join(p, b);
}

/* Does @op bind tighter than the operator at the root of @tree? Then it belongs to its right. */
static bool goes_below(const struct binop *op, const struct ast *tree)
{
	if (tree->kind != AST_BINOP || tree->parens)
		return false;
	if (op->precedence == tree->binop.op->precedence)
		return (op->flags & BINOP_RIGHT) != 0;
	return op->precedence > tree->binop.op->precedence;
}

/* Hangs @a, whose right side is known, into *@root. Heights: an upper bound, kept at the root. */
static int hang(struct parser *p, struct ast *a, struct ast **root)
{
	uint32_t below = 0, height = (*root)->height;
	struct ast **slot = root;

	while (goes_below(a->binop.op, *slot)) {
		slot = &(*slot)->binop.right;
		below++;
	}
	a->binop.left = *slot;
	*slot = a;
	return set_height(p, *root, MAX(height, below + a->binop.right->height) + 1);
}

static const struct binop *at_operator(const struct parser *p)
{
	return p->t->kind == TOK_PUNCT || p->t->kind == TOK_IDENT ? binop_find(p->t->text) : NULL;
}

static int parse_operator(struct parser *p, const struct binop *op, struct ast **root)
{
	struct ast *a = NULL;
	int r = node(p, AST_BINOP, p->t, &a);

	if (r < 0)
		return r;
	p->t++;
	a->binop.op = op;
	r = parse_op_modifiers(p, &a->binop);
	if (r == 0)
		r = parse_single(p, &a->binop.right);
	if (r < 0)
		return r;
	a->binop.keep_metric_names = take_word(p, "keep_metric_names");
	return hang(p, a, root);
}

static int parse_expr(struct parser *p, struct ast **ret)
{
	const struct binop *op;
	int r;

	if (++p->nesting > NESTING_MAX)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "the query is nested deeper than %u levels", NESTING_MAX);
	r = parse_single(p, ret);
	while (r == 0 && (op = at_operator(p)) != NULL)
		r = parse_operator(p, op, ret);
	p->nesting--;
	return r;
}

int parse_query(struct str text, struct arena *arena, struct ast **ret, struct err *e)
{
	struct parser p = { .arena = arena, .e = e };
	struct toks toks;
	int r = lex_all(text, arena, &toks, e);

	if (r < 0)
		return r;
	p.t = toks.v;
	r = parse_expr(&p, ret);
	if (r < 0)
		return r;
	return p.t->kind == TOK_END ? 0 : expected(&p, "an operator or the end");
}
