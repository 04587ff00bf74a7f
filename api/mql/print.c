/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Canonical text of a tree. The rule that makes it a fixpoint: an operator inside an operator
 * always gets parentheses, and nothing else does unless the reader would take it for another tree.
 */
#include <math.h>
#include <strings.h>

#include "api/mql/binop.h"
#include "api/mql/fn.h"
#include "api/mql/lex.h"
#include "api/mql/parse.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

static void print_string(struct str s, struct buf *out)
{
	static const char special[] = "\a\b\f\n\r\t\v\\\"", letters[] = "abfnrtv\\\"";

	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *at = c ? strchr(special, c) : NULL;

		if (at) {
			buf_putc(out, '\\');
			buf_putc(out, letters[at - special]);
		} else if (c < 0x20 || c == 0x7f) {
			buf_printf(out, "\\x%02x", c);
		} else {
			buf_putc(out, (char)c);
		}
	}
	buf_putc(out, '"');
}

static bool is_plain_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (i == 0 ? !lex_is_name_start(c) : !lex_is_name_char(c))
			return false;
	}
	return s.len > 0;
}

/* Words that mean something else where a metric name could stand. */
static bool is_reserved(struct str s)
{
	static const char *const words[] = { "bool",        "on",
		                             "ignoring",    "group_left",
		                             "group_right", "prefix",
		                             "offset",      "inf",
		                             "nan",         "with",
		                             "limit",       "by",
		                             "without",     "keep_metric_names" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (s.len == strlen(words[i]) && strncasecmp(s.p, words[i], s.len) == 0)
			return true;
	}
	return binop_find(s) != NULL;
}

static void print_name(struct str s, struct buf *out)
{
	if (is_plain_name(s) && !is_reserved(s))
		buf_put_str(out, s);
	else
		print_string(s, out);
}

/* @star: the lone name "*" means all labels and stands bare. */
static void print_names(const struct ast_names *names, bool star, struct buf *out)
{
	buf_putc(out, '(');
	for (uint32_t i = 0; i < names->n; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		if (star && names->n == 1 && str_eqc(names->v[i], "*"))
			buf_putc(out, '*');
		else
			print_name(names->v[i], out);
	}
	buf_putc(out, ')');
}

static void print_matcher(const struct store_matcher *m, struct buf *out)
{
	static const char *const ops[] = {
		[STORE_EQ] = "=", [STORE_NE] = "!=", [STORE_RE] = "=~", [STORE_NRE] = "!~"
	};

	print_name(m->name, out);
	buf_puts(out, ops[m->op]);
	print_string(m->value, out);
}

/* @skip: 1 leaves out the name matcher, which has been printed in front. */
static void print_sets(const struct ast *a, size_t skip, struct buf *out)
{
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		const struct store_match_set *set = &a->selector.sets[i];

		if (i > 0)
			buf_puts(out, " or ");
		for (size_t j = skip; j < set->n; j++) {
			if (j > skip)
				buf_putc(out, ',');
			print_matcher(&set->v[j], out);
		}
	}
}

static bool is_only_name(const struct ast *a)
{
	return a->selector.n_sets == 1 && a->selector.sets[0].n == 1;
}

/* The name may stand in front of the braces when every set has something else to say. */
static bool name_in_front(const struct ast *a, struct str name)
{
	if (!is_plain_name(name) || is_reserved(name))
		return false;
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		if (a->selector.n_sets > 1 && a->selector.sets[i].n < 2)
			return false;
	}
	return true;
}

static void print_selector(const struct ast *a, struct buf *out)
{
	struct str name = ast_selector_name(a);
	bool front = name_in_front(a, name);

	if (front)
		buf_put_str(out, name);
	if (front && is_only_name(a))
		return;
	buf_putc(out, '{');
	print_sets(a, front, out);
	buf_putc(out, '}');
}

static void print_parens(const struct ast *a, bool parens, struct buf *out)
{
	if (parens)
		buf_putc(out, '(');
	ast_print(a, out);
	if (parens)
		buf_putc(out, ')');
}

static void print_rollup(const struct ast_rollup *ru, struct buf *out)
{
	const struct ast *x = ru->expr;
	bool nothing = ru->window.len == 0 && ru->step.len == 0 && !ru->inherit_step;

	/* [$__interval] says only that a rollup is meant. */
	if (nothing && ru->offset.len == 0 && !ru->at) {
		buf_puts(out, fn_default_rollup->name);
		print_parens(x, true, out);
		return;
	}
	print_parens(x, x->kind == AST_ROLLUP || x->kind == AST_BINOP, out);
	if (!nothing) {
		buf_putc(out, '[');
		buf_put_str(out, ru->window);
		if (ru->step.len > 0 || ru->inherit_step)
			buf_putc(out, ':');
		buf_put_str(out, ru->step);
		buf_putc(out, ']');
	}
	if (ru->offset.len > 0) {
		buf_puts(out, " offset ");
		buf_put_str(out, ru->offset);
	}
	if (ru->at) {
		buf_puts(out, " @ ");
		print_parens(ru->at, ru->at->kind == AST_BINOP || ru->at->kind == AST_ROLLUP, out);
	}
}

static void print_call(const struct ast_call *c, struct buf *out)
{
	buf_puts(out, c->fn->name);
	buf_putc(out, '(');
	for (uint32_t i = 0; i < c->n_args; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		ast_print(c->args[i], out);
	}
	buf_putc(out, ')');
	if (c->group != AST_GROUP_NONE) {
		buf_puts(out, c->group == AST_GROUP_BY ? " by" : " without");
		print_names(&c->labels, false, out);
	}
	if (c->limit > 0)
		buf_printf(out, " limit %u", c->limit);
	if (c->keep_metric_names)
		buf_puts(out, " keep_metric_names");
}

static void print_modifiers(const struct ast_binop *b, struct buf *out)
{
	if (b->is_bool)
		buf_puts(out, "bool");
	if (b->match != AST_MATCH_ALL) {
		buf_puts(out, b->match == AST_MATCH_ON ? " on" : " ignoring");
		print_names(&b->labels, false, out);
	}
	if (b->join != AST_JOIN_NONE) {
		buf_puts(out, b->join == AST_JOIN_LEFT ? " group_left" : " group_right");
		print_names(&b->join_labels, true, out);
	}
	if (b->has_prefix) {
		buf_puts(out, " prefix ");
		print_string(b->prefix, out);
	}
}

static bool needs_parens(const struct ast *a)
{
	if (a->kind == AST_ROLLUP)
		return a->rollup.offset.len > 0 || a->rollup.at;
	return a->kind == AST_BINOP;
}

/* "0 - x" that the parser made of "-x": its zero has no text. */
static bool is_unary_minus(const struct ast_binop *b)
{
	return b->left->kind == AST_NUMBER && b->left->number.text.len == 0 &&
	       double_bits(b->left->number.value) == 0 && str_eqc(STR("-"), b->op->name) &&
	       b->match == AST_MATCH_ALL;
}

static bool may_be_bare_name(const struct ast *a)
{
	return a->kind == AST_SELECTOR || a->kind == AST_ROLLUP;
}

static void print_binop(const struct ast_binop *b, struct buf *out)
{
	const struct ast *r = b->right;
	bool own_keep = r->kind == AST_CALL && (r->call.keep_metric_names || b->keep_metric_names);
	bool strings =
		b->left->kind == AST_STRING && (r->kind == AST_STRING || may_be_bare_name(r));

	if (b->keep_metric_names)
		buf_putc(out, '(');
	if (!is_unary_minus(b)) {
		print_parens(b->left, needs_parens(b->left), out);
		buf_putc(out, ' ');
	}
	buf_puts(out, b->op->name);
	print_modifiers(b, out);
	if (!is_unary_minus(b))
		buf_putc(out, ' ');
	/* "a" + ("b") is an operator; "a" + "b" is one string, and b in "a" + b a template. */
	print_parens(r, needs_parens(r) || own_keep || strings, out);
	if (b->keep_metric_names)
		buf_puts(out, ") keep_metric_names");
}

static void print_number(const struct ast *a, struct buf *out)
{
	if (a->number.text.len > 0)
		buf_put_str(out, a->number.text);
	else
		buf_put_double(out, a->number.value);
}

void ast_print(const struct ast *a, struct buf *out)
{
	switch (a->kind) {
	case AST_NUMBER:
		print_number(a, out);
		break;
	case AST_STRING:
		print_string(a->string, out);
		break;
	case AST_DURATION:
		buf_put_str(out, a->duration);
		break;
	case AST_SELECTOR:
		print_selector(a, out);
		break;
	case AST_ROLLUP:
		print_rollup(&a->rollup, out);
		break;
	case AST_CALL:
		print_call(&a->call, out);
		break;
	case AST_BINOP:
		print_binop(&a->binop, out);
		break;
	}
}
