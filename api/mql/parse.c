/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recursive descent over the tokens. Operators are not parsed by precedence levels: each new one is
 * hung into the right edge of the tree so far, at the place its precedence asks for, which also
 * gives unary minus ("0 - x") the meaning it has in PromQL: -2^2 is -(2^2).
 *
 * Depth: parser_expr() counts its nesting up to NESTING_MAX, and every tree carries an upper bound
 * of its height, which stops at AST_HEIGHT_MAX.
 */
#include "api/mql/parse.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "api/mql/binop.h"
#include "api/mql/fn.h"
#include "api/mql/numtext.h"
#include "api/mql/parser.h"
#include "api/mql/with.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

/* Canonical text has parentheses where the tree has levels; it must parse again. */
#define NESTING_MAX (2 * AST_HEIGHT_MAX + 8)

static int parse_single(struct parser *p, struct ast **ret);
static int parse_operand(struct parser *p, struct ast **ret);

/* @a's tree has this height and so many nodes now. */
static int set_height(struct parser *p, struct ast *a, uint32_t height, uint64_t size)
{
	if (height > AST_HEIGHT_MAX)
		return err_set_at(p->e, -EINVAL, (int)a->pos,
		                  "the query is nested deeper than %u levels", AST_HEIGHT_MAX);
	if (size > AST_SIZE_MAX)
		return err_set_at(p->e, -EINVAL, (int)a->pos,
		                  "the query grows to more than %u parts", AST_SIZE_MAX);
	a->height = MAX(a->height, height);
	a->size = (uint32_t)size;
	return 0;
}

int parser_adopt(struct parser *p, struct ast *a, const struct ast *child)
{
	return set_height(p, a, child->height + 1, (uint64_t)a->size + child->size);
}

/* --- literals ------------------------------------------------------------------------------- */

static int parse_string(struct parser *p, struct ast **ret)
{
	int r = parser_node(p, AST_STRING, p->t, ret);

	return r < 0 ? r : parser_text(p, &(*ret)->string);
}

static int parse_number(struct parser *p, struct ast **ret)
{
	int r = parser_node(p, AST_NUMBER, p->t, ret);

	if (r < 0)
		return r;
	(*ret)->number.text = p->t->text;
	if (p->t->kind == TOK_IDENT)
		(*ret)->number.value = parser_at_word(p, "inf") ? (double)INFINITY : (double)NAN;
	else if (numtext_number(p->t->text, &(*ret)->number.value) < 0)
		return parser_expected(p, "a number");
	p->t++;
	return 0;
}

static int parse_duration_value(struct parser *p, struct ast **ret)
{
	int r = parser_node(p, AST_DURATION, p->t, ret);

	return r < 0 ? r : parser_duration(p, false, &(*ret)->duration);
}

/* --- calls ---------------------------------------------------------------------------------- */

/* The list up to and with the closing parenthesis; the opening one has been taken. */
int parser_args(struct parser *p, struct ast *owner, struct ast ***ret, uint32_t *ret_n)
{
	struct ast **args = NULL;
	uint32_t n = 0;

	while (!parser_take(p, ")")) {
		void *v = args;
		int r = parser_grow(p, &v, n, sizeof(*args));

		if (r < 0)
			return r;
		args = v;
		r = parser_expr(p, &args[n]);
		if (r == 0)
			r = parser_adopt(p, owner, args[n]);
		if (r < 0)
			return r;
		n++;
		if (!parser_take(p, ",") && !parser_at(p, ")"))
			return parser_expected(p, "\",\" or \")\"");
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
	enum ast_group group = parser_at_word(p, "by")        ? AST_GROUP_BY
	                       : parser_at_word(p, "without") ? AST_GROUP_WITHOUT
	                                                      : AST_GROUP_NONE;

	*ret_any = group != AST_GROUP_NONE;
	if (!*ret_any)
		return 0;
	p->t++;
	c->group = group;
	return parser_names(p, false, &c->labels);
}

static int parse_limit(struct parser *p, struct ast_call *c)
{
	uint64_t limit;

	if (!parser_take_word(p, "limit"))
		return 0;
	if (p->t->kind != TOK_NUMBER || num_parse_u64(p->t->text, &limit) < 0 || limit > UINT32_MAX)
		return parser_expected(p, "a whole number");
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

/* Any name may be that of a template. */
static int parse_written_call(struct parser *p, struct ast *a)
{
	struct ast_call *c = &a->call;
	bool aggregate = c->fn && c->fn->kind == FN_AGGR, grouped = false;
	int r = aggregate ? parse_grouping(p, c, &grouped) : 0;

	if (r == 0 && !parser_take(p, "("))
		r = parser_expected(p, "\"(\"");
	if (r == 0)
		r = parser_args(p, a, &c->args, &c->n_args);
	if (r == 0 && aggregate)
		r = parse_aggr_tail(p, c, grouped);
	if (r == 0 && !aggregate)
		c->keep_metric_names = parser_take_word(p, "keep_metric_names");
	return r;
}

/* The modifiers that the function of that name would have are read, and mean nothing. */
static int parse_template_call(struct parser *p, const struct with_def *d, const struct tok *at,
                               struct ast **ret)
{
	const struct fn *f = fn_find(at->text);
	struct ast_call unused = { 0 };
	int r = with_call(p, d, at, ret);

	if (r == 0 && f && f->kind == FN_AGGR)
		return parse_aggr_tail(p, &unused, false);
	if (r == 0)
		(void)parser_take_word(p, "keep_metric_names");
	return r;
}

static int parse_call(struct parser *p, struct ast **ret)
{
	const struct tok *at = p->t;
	const struct with_def *template = NULL;
	struct str name;
	bool grouped = false;
	int r = parser_node(p, AST_CALL, at, ret);

	if (r == 0)
		r = parser_name(p, &name);
	if (r == 0 && parser_at(p, "("))
		r = with_find_callable(p, name, &template);
	if (r < 0)
		return r;
	struct ast_call *c = &(*ret)->call;

	if (template)
		return parse_template_call(p, template, at, ret);
	c->fn = fn_find(name);
	c->name = name;
	if (p->as_written)
		return parse_written_call(p, *ret);
	if (!c->fn)
		return unknown_function(p, at, name);
	if (c->fn->kind == FN_AGGR)
		r = parse_grouping(p, c, &grouped);
	if (r == 0 && !parser_take(p, "("))
		r = parser_expected(p, "\"(\"");
	if (r == 0)
		r = parser_args(p, *ret, &c->args, &c->n_args);
	if (r == 0 && c->fn->kind == FN_AGGR)
		r = parse_aggr_tail(p, c, grouped);
	if (r == 0 && c->fn->kind != FN_AGGR)
		c->keep_metric_names = parser_take_word(p, "keep_metric_names");
	return r < 0 ? r : check_arity(p, *ret);
}

/* A name with a parenthesis behind it is a call, and so is "sum by (x) (..)". */
static bool at_call(const struct parser *p)
{
	const struct tok *after = p->t + 1;

	if (after->kind == TOK_PUNCT && str_eqc(after->text, "("))
		return true;
	if (!parser_is_word(after, "by") && !parser_is_word(after, "without"))
		return false;
	const struct fn *f = fn_find(p->t->text);

	return f && f->kind == FN_AGGR;
}

/* "(x)" is x; "(a, b)" and "()" are union(). */
static int parse_parens(struct parser *p, struct ast **ret)
{
	struct ast *a = NULL;
	int r = parser_node(p, AST_CALL, p->t, &a);

	if (r < 0)
		return r;
	p->t++;
	a->call.fn = fn_union;
	r = parser_args(p, a, &a->call.args, &a->call.n_args);
	if (r < 0)
		return r;
	*ret = a;
	if (a->call.n_args != 1)
		return 0;
	*ret = a->call.args[0];
	if ((*ret)->kind == AST_BINOP && parser_take_word(p, "keep_metric_names"))
		(*ret)->binop.keep_metric_names = true;
	(*ret)->parens = true;
	return 0;
}

/* --- rollup suffixes ------------------------------------------------------------------------ */

/* [w], [w:s], [w:], [:s]; the opening bracket has been taken. */
static int parse_window(struct parser *p, struct ast_rollup *ru)
{
	bool variable = p->t->text.len > 0 && p->t->text.p[0] == '$';
	int r = 0;

	if (!parser_at(p, ":"))
		r = parser_duration(p, false, &ru->window);
	/* Grafana's variable means: whatever window fits the step. */
	if (variable)
		ru->window = STR_NULL;
	if (r == 0 && parser_take(p, ":")) {
		if (parser_at(p, "]"))
			ru->inherit_step = true;
		else
			r = parser_duration(p, false, &ru->step);
	}
	if (r < 0)
		return r;
	return parser_take(p, "]") ? 0 : parser_expected(p, "\"]\"");
}

static int parse_at(struct parser *p, struct ast *owner)
{
	struct ast_rollup *ru = &owner->rollup;
	int r;

	if (ru->at)
		return parser_expected(p, "a single @");
	p->t++;
	r = parse_operand(p, &ru->at); /* what follows belongs to the rollup, not to its @ */
	return r < 0 ? r : parser_adopt(p, owner, ru->at);
}

static bool at_suffix(const struct parser *p)
{
	return parser_at(p, "[") || parser_at(p, "@") || parser_at_word(p, "offset");
}

static int parse_suffixes(struct parser *p, struct ast *owner)
{
	struct ast_rollup *ru = &owner->rollup;
	int r = 0;

	if (parser_take(p, "["))
		r = parse_window(p, ru);
	if (r == 0 && parser_at(p, "@"))
		r = parse_at(p, owner);
	if (r == 0 && parser_take_word(p, "offset"))
		r = parser_duration(p, true, &ru->offset);
	if (r == 0 && parser_at(p, "@"))
		r = parse_at(p, owner);
	return r;
}

/* --- operands and operators ----------------------------------------------------------------- */

static int parse_minus(struct parser *p, struct ast **ret)
{
	struct ast *zero = NULL, *a = NULL;
	int r = parser_node(p, AST_BINOP, p->t, &a);

	if (r == 0)
		r = parser_node(p, AST_NUMBER, p->t, &zero);
	if (r < 0)
		return r;
	p->t++;
	a->binop.op = binop_find(STR("-"));
	a->binop.left = zero;
	*ret = a;
	/* Minus signs nest too, so the count of parser_expr() is not enough. */
	if (++p->nesting > NESTING_MAX)
		return set_height(p, a, AST_HEIGHT_MAX + 1, 1);
	r = parse_single(p, &a->binop.right);
	p->nesting--;
	return r < 0 ? r : parser_adopt(p, a, a->binop.right);
}

static int parse_operand(struct parser *p, struct ast **ret)
{
	while (parser_take(p, "+"))
		;
	if (p->t->kind == TOK_DURATION)
		return parse_duration_value(p, ret);
	if (p->t->kind == TOK_STRING)
		return parse_string(p, ret);
	if (p->t->kind == TOK_NUMBER || parser_at_word(p, "inf") || parser_at_word(p, "nan"))
		return parse_number(p, ret);
	if (parser_at_word(p, "with") && str_eqc(p->t[1].text, "("))
		return with_parse(p, ret);
	if (p->t->kind == TOK_IDENT)
		return at_call(p) ? parse_call(p, ret) : parser_selector(p, ret);
	if (parser_at(p, "{"))
		return parser_selector(p, ret);
	if (parser_at(p, "("))
		return parse_parens(p, ret);
	if (parser_at(p, "-"))
		return parse_minus(p, ret);
	return parser_expected(p, "an expression");
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
	r = parser_node(p, AST_ROLLUP, at, &a);
	if (r < 0)
		return r;
	a->rollup.expr = inner;
	*ret = a;
	r = parser_adopt(p, a, inner);
	return r < 0 ? r : parse_suffixes(p, a);
}

static int parse_join(struct parser *p, struct ast_binop *b)
{
	if (b->op->flags & BINOP_NO_JOIN)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos, "%.*s cannot be applied to %s",
		                  STR_FMT(p->t->text), b->op->name);
	b->join = parser_at_word(p, "group_left") ? AST_JOIN_LEFT : AST_JOIN_RIGHT;
	p->t++;
	int r = parser_at(p, "(") ? parser_names(p, true, &b->join_labels) : 0;

	if (r == 0 && parser_take_word(p, "prefix")) {
		b->has_prefix = true;
		r = parser_text(p, &b->prefix);
	}
	return r;
}

static int parse_op_modifiers(struct parser *p, struct ast_binop *b)
{
	int r;

	if (parser_at_word(p, "bool")) {
		if (!(b->op->flags & BINOP_CMP))
			return err_set_at(p->e, -EINVAL, (int)p->t->pos,
			                  "bool cannot be applied to %s", b->op->name);
		b->is_bool = true;
		p->t++;
	}
	if (!parser_at_word(p, "on") && !parser_at_word(p, "ignoring"))
		return 0;
	b->match = parser_at_word(p, "on") ? AST_MATCH_ON : AST_MATCH_IGNORING;
	p->t++;
	r = parser_names(p, false, &b->labels);
	if (r < 0 || (!parser_at_word(p, "group_left") && !parser_at_word(p, "group_right")))
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
	uint64_t size = (uint64_t)(*root)->size + a->binop.right->size + 1;
	struct ast **slot = root;

	while (goes_below(a->binop.op, *slot)) {
		slot = &(*slot)->binop.right;
		below++;
	}
	a->binop.left = *slot;
	*slot = a;
	return set_height(p, *root, MAX(height, below + a->binop.right->height) + 1, size);
}

static const struct binop *at_operator(const struct parser *p)
{
	return p->t->kind == TOK_PUNCT || p->t->kind == TOK_IDENT ? binop_find(p->t->text) : NULL;
}

static int parse_operator(struct parser *p, const struct binop *op, struct ast **root)
{
	struct ast *a = NULL;
	int r = parser_node(p, AST_BINOP, p->t, &a);

	if (r < 0)
		return r;
	p->t++;
	a->binop.op = op;
	r = parse_op_modifiers(p, &a->binop);
	if (r == 0)
		r = parse_single(p, &a->binop.right);
	if (r < 0)
		return r;
	a->binop.keep_metric_names = parser_take_word(p, "keep_metric_names");
	return hang(p, a, root);
}

int parser_expr(struct parser *p, struct ast **ret)
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

static int parse_all(struct parser *p, struct str text, struct ast **ret)
{
	struct toks toks;
	int r = lex_all(text, p->arena, &toks, p->e);

	if (r < 0)
		return r;
	p->t = toks.v;
	r = parser_expr(p, ret);
	if (r < 0)
		return r;
	return p->t->kind == TOK_END ? 0 : parser_expected(p, "an operator or the end");
}

int parse_query(struct str text, struct arena *arena, struct ast **ret, struct err *e)
{
	struct parser p = { .arena = arena, .e = e };

	return parse_all(&p, text, ret);
}

int parse_as_written(struct str text, struct arena *arena, struct ast **ret, struct err *e)
{
	struct parser p = { .arena = arena, .e = e, .checking = true, .as_written = true };

	return parse_all(&p, text, ret);
}
