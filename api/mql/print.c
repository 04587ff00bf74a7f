/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of a tree on one line. The rule that makes it a fixpoint: an operator inside an operator
 * always gets parentheses, and nothing else does unless the reader would take it for another tree.
 * The form is VictoriaMetrics', where that can be read again.
 */
#include "api/mql/print.h"

#include <math.h>
#include <strings.h>

#include "api/mql/binop.h"
#include "api/mql/fn.h"
#include "api/mql/lex.h"
#include "api/mql/numtext.h"
#include "userspace/base/num.h"
#include "userspace/base/utf8.h"
#include "userspace/base/util.h"

/* --- names and strings ---------------------------------------------------------------------- */

static void print_string(struct str s, struct buf *out)
{
	static const char special[] = "\a\b\f\n\r\t\v\\\"", letters[] = "abfnrtv\\\"";

	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *at = c ? strchr(special, c) : NULL;
		size_t n = c >= 0x80 ? utf8_sequence_len(str_skip(s, i)) : 1;

		if (at) {
			buf_putc(out, '\\');
			buf_putc(out, letters[at - special]);
		} else if (c < 0x20 || c == 0x7f || n == 0) {
			buf_printf(out, "\\x%02x", c);
		} else {
			buf_put(out, s.p + i, n);
			i += n - 1;
		}
	}
	buf_putc(out, '"');
}

static bool is_plain_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = c >= 0x80 ? utf8_sequence_len(str_skip(s, i)) : 0;

		if (n == 0 && !(i == 0 ? lex_is_name_start(c) : lex_is_name_char(c)))
			return false;
		i += n > 0 ? n - 1 : 0;
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

/* a\ b: characters that are not of names behind a backslash, those without a shape by number. */
static void print_escaped(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = c >= 0x80 ? utf8_sequence_len(str_skip(s, i)) : 0;

		if (n > 0 || (i == 0 ? lex_is_name_start(c) : lex_is_name_char(c))) {
			buf_put(out, s.p + i, n > 0 ? n : 1);
			i += n > 0 ? n - 1 : 0;
		} else if (c >= 0x20 && c < 0x7f) {
			buf_putc(out, '\\');
			buf_putc(out, (char)c);
		} else {
			buf_printf(out, "\\x%02x", c);
		}
	}
}

/* A byte that is no UTF-8 has no escape in a name: \xff would be the character U+00FF. */
static bool is_utf8(struct str s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_sequence_len(str_skip(s, i));

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

void print_name(struct printer *p, struct str s)
{
	if (is_reserved(s) || s.len == 0 || !is_utf8(s))
		print_string(s, p->out);
	else
		print_escaped(s, p->out);
}

/* A label in braces: there quotes read better than escapes. */
static void print_label(struct printer *p, struct str s)
{
	if (is_plain_name(s))
		buf_put_str(p->out, s);
	else if (p->as_written)
		print_string(s, p->out);
	else
		print_name(p, s);
}

/* @star: the lone name "*" means all labels and stands bare. */
static void print_names(struct printer *p, const struct ast_names *names, bool star)
{
	buf_putc(p->out, '(');
	for (uint32_t i = 0; i < names->n; i++) {
		if (i > 0)
			buf_putc(p->out, ',');
		if (star && names->n == 1 && str_eqc(names->v[i], "*"))
			buf_putc(p->out, '*');
		else if (names->v[i].len > 0 && is_utf8(names->v[i]))
			print_escaped(names->v[i], p->out);
		else
			print_string(names->v[i], p->out);
	}
	buf_putc(p->out, ')');
}

/* --- selectors ------------------------------------------------------------------------------ */

static void print_matcher(struct printer *p, const struct store_matcher *m)
{
	static const char *const ops[] = {
		[STORE_EQ] = "=", [STORE_NE] = "!=", [STORE_RE] = "=~", [STORE_NRE] = "!~"
	};

	if (p->as_written && m->value.len == 0) { /* a template */
		print_escaped(m->name, p->out);
		return;
	}
	print_label(p, m->name);
	buf_puts(p->out, ops[m->op]);
	if (p->as_written)
		buf_put_str(p->out, m->value);
	else
		print_string(m->value, p->out);
}

static bool is_name_matcher(const struct store_matcher *m)
{
	return m->op == STORE_EQ && str_eqc(m->name, LABEL_NAME);
}

void print_set(struct printer *p, const struct store_match_set *set, size_t from, bool alone)
{
	size_t i = from;

	/* A name that cannot stand in front of the braces stands in them, in quotes if alone. */
	if (i == 0 && set->n > 0 && is_name_matcher(&set->v[0])) {
		buf_puts(p->out, alone ? "" : LABEL_NAME "=");
		print_string(set->v[0].value, p->out);
		i = 1;
		if (set->n > 1)
			buf_puts(p->out, alone && p->as_written ? ", " : ",");
	}
	for (size_t first = i; i < set->n; i++) {
		if (i > first)
			buf_putc(p->out, ',');
		print_matcher(p, &set->v[i]);
	}
}

static bool is_only_name(const struct ast *a)
{
	return a->selector.n_sets == 1 && a->selector.sets[0].n == 1;
}

struct str print_front_name(const struct printer *p, const struct ast *a)
{
	struct str name = ast_selector_name(a);

	if (is_reserved(name) || !is_utf8(name) || (p->as_written && !is_plain_name(name)))
		return STR_NULL;
	/* It may stand in front when every set has something else to say. */
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		if (a->selector.n_sets > 1 && a->selector.sets[i].n < 2)
			return STR_NULL;
	}
	return name;
}

static void print_selector(struct printer *p, const struct ast *a)
{
	struct str name = print_front_name(p, a);

	if (name.len > 0)
		print_name(p, name);
	if (name.len > 0 && is_only_name(a))
		return;
	buf_putc(p->out, '{');
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		if (i > 0)
			buf_puts(p->out, " or ");
		print_set(p, &a->selector.sets[i], name.len > 0, a->selector.n_sets == 1);
	}
	buf_putc(p->out, '}');
}

/* --- rollups and calls ---------------------------------------------------------------------- */

void print_ast_parens(struct printer *p, const struct ast *a, bool parens)
{
	if (parens)
		buf_putc(p->out, '(');
	print_ast(p, a);
	if (parens)
		buf_putc(p->out, ')');
}

static bool has_window(const struct ast_rollup *ru)
{
	return ru->window.len > 0 || ru->step.len > 0 || ru->inherit_step;
}

/* What [$__interval] leaves behind says nothing of its own. */
static bool is_empty_rollup(const struct ast_rollup *ru)
{
	return !has_window(ru) && ru->offset.len == 0 && !ru->at;
}

/* A folded number: read again, its sign would be an operator. */
static bool is_negative(const struct ast *a)
{
	return a->kind == AST_NUMBER && a->number.text.len == 0 && signbit(a->number.value);
}

bool print_rollup_parens(const struct ast_rollup *ru)
{
	const struct ast *x = ru->expr;

	if (is_empty_rollup(ru))
		return false;
	return x->kind == AST_ROLLUP || x->kind == AST_BINOP || x->kind == AST_WITH ||
	       is_negative(x) || (x->kind == AST_CALL && x->call.group != AST_GROUP_NONE);
}

void print_rollup_tail(struct printer *p, const struct ast_rollup *ru)
{
	if (has_window(ru)) {
		buf_putc(p->out, '[');
		buf_put_str(p->out, ru->window);
		if (ru->step.len > 0 || ru->inherit_step)
			buf_putc(p->out, ':');
		buf_put_str(p->out, ru->step);
		buf_putc(p->out, ']');
	}
	if (ru->offset.len > 0) {
		buf_puts(p->out, " offset ");
		buf_put_str(p->out, ru->offset);
	}
	if (ru->at) {
		buf_puts(p->out, " @ ");
		print_ast_parens(p, ru->at,
		                 ru->at->kind == AST_BINOP || ru->at->kind == AST_ROLLUP);
	}
}

void print_call_name(struct printer *p, const struct ast_call *c)
{
	/* "(a, b)" has no name. */
	if (c->fn == fn_union && c->name.len == 0)
		return;
	if (c->fn && (!p->as_written || c->fn->kind == FN_AGGR))
		buf_puts(p->out, c->fn->name);
	else
		print_escaped(c->name, p->out);
}

void print_call_tail(struct printer *p, const struct ast_call *c)
{
	if (c->group != AST_GROUP_NONE) {
		buf_puts(p->out, c->group == AST_GROUP_BY ? " by" : " without");
		print_names(p, &c->labels, false);
	}
	if (c->limit > 0)
		buf_printf(p->out, " limit %u", c->limit);
	if (c->keep_metric_names)
		buf_puts(p->out, " keep_metric_names");
}

static void print_call(struct printer *p, const struct ast_call *c)
{
	print_call_name(p, c);
	buf_putc(p->out, '(');
	for (uint32_t i = 0; i < c->n_args; i++) {
		if (i > 0)
			buf_puts(p->out, ", ");
		print_ast(p, c->args[i]);
	}
	buf_putc(p->out, ')');
	print_call_tail(p, c);
}

/* --- operators ------------------------------------------------------------------------------ */

void print_operator(struct printer *p, const struct ast_binop *b)
{
	buf_puts(p->out, b->op->name);
	if (b->is_bool)
		buf_puts(p->out, "bool");
	if (b->match != AST_MATCH_ALL) {
		buf_puts(p->out, b->match == AST_MATCH_ON ? " on" : " ignoring");
		print_names(p, &b->labels, false);
	}
	if (b->join != AST_JOIN_NONE) {
		buf_puts(p->out, b->join == AST_JOIN_LEFT ? " group_left" : " group_right");
		print_names(p, &b->join_labels, true);
	}
	if (b->has_prefix) {
		buf_puts(p->out, " prefix ");
		if (p->as_written)
			buf_put_str(p->out, b->prefix);
		else
			print_string(b->prefix, p->out);
	}
}

static bool is_compound(const struct ast *a)
{
	if (a->kind == AST_ROLLUP)
		return a->rollup.offset.len > 0 || a->rollup.at;
	return a->kind == AST_BINOP || a->kind == AST_WITH;
}

bool print_left_parens(const struct ast_binop *b)
{
	bool tighter = b->op->precedence > binop_find(STR("-"))->precedence;

	return is_compound(b->left) || (tighter && is_negative(b->left));
}

/* ("a") + ("b") is an operator, "a" + "b" is one string, and so is "a" + b with a template b. */
static bool is_more_text(const struct printer *p, const struct ast_binop *b)
{
	const struct ast *r = b->right;

	if (b->left->kind != AST_STRING || !(b->op->flags & BINOP_STRINGS))
		return false;
	return r->kind == AST_STRING ||
	       (r->kind == AST_SELECTOR && print_front_name(p, r).len > 0 && is_only_name(r));
}

bool print_right_parens(const struct printer *p, const struct ast_binop *b)
{
	const struct ast *r = b->right;
	bool aggregate = r->kind == AST_CALL && r->call.fn && r->call.fn->kind == FN_AGGR;
	bool keep = r->kind == AST_CALL && !aggregate && b->keep_metric_names;

	/* Modifiers of the operator, to whoever reads on(x). */
	if (r->kind == AST_CALL && !r->call.fn && is_reserved(r->call.name))
		return true;
	return is_compound(r) || keep || is_more_text(p, b);
}

static void print_binop(struct printer *p, const struct ast_binop *b)
{
	if (b->keep_metric_names)
		buf_putc(p->out, '(');
	print_ast_parens(p, b->left, print_left_parens(b));
	buf_putc(p->out, ' ');
	print_operator(p, b);
	buf_putc(p->out, ' ');
	print_ast_parens(p, b->right, print_right_parens(p, b));
	if (b->keep_metric_names)
		buf_puts(p->out, ") keep_metric_names");
}

/* --- templates ------------------------------------------------------------------------------ */

void print_with_def_name(struct printer *p, const struct ast_with_def *d, const char *comma)
{
	print_escaped(d->name, p->out);
	for (uint32_t i = 0; i < d->n_params; i++) {
		buf_puts(p->out, i > 0 ? comma : "(");
		print_escaped(d->params[i], p->out);
	}
	buf_puts(p->out, d->n_params > 0 ? ") = " : " = ");
}

static void print_with(struct printer *p, const struct ast_with *w)
{
	buf_puts(p->out, "WITH (");
	for (uint32_t i = 0; i < w->n; i++) {
		if (i > 0)
			buf_puts(p->out, ", ");
		print_with_def_name(p, &w->defs[i], ",");
		print_ast(p, w->defs[i].value);
	}
	buf_puts(p->out, ") ");
	print_ast(p, w->body);
}

/* --- all ------------------------------------------------------------------------------------ */

static void print_number(struct printer *p, const struct ast *a)
{
	char text[NUMTEXT_GENERAL_BYTES_MAX];

	if (a->number.text.len > 0)
		buf_put_str(p->out, a->number.text);
	else
		buf_put(p->out, text, numtext_general(a->number.value, text));
}

void print_ast(struct printer *p, const struct ast *a)
{
	switch (a->kind) {
	case AST_NUMBER:
		print_number(p, a);
		break;
	case AST_STRING:
		if (p->as_written)
			buf_put_str(p->out, a->string);
		else
			print_string(a->string, p->out);
		break;
	case AST_DURATION:
		buf_put_str(p->out, a->duration);
		break;
	case AST_SELECTOR:
		print_selector(p, a);
		break;
	case AST_ROLLUP:
		print_ast_parens(p, a->rollup.expr, print_rollup_parens(&a->rollup));
		print_rollup_tail(p, &a->rollup);
		break;
	case AST_CALL:
		print_call(p, &a->call);
		break;
	case AST_BINOP:
		print_binop(p, &a->binop);
		break;
	case AST_WITH:
		print_with(p, &a->with);
		break;
	}
}

void ast_print(const struct ast *a, struct buf *out)
{
	struct printer p = { .out = out };

	print_ast(&p, a);
}
