/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of a tree on several lines: whatever does not fit into LINE_BYTES_MAX is cut at its root,
 * and its parts are looked at in turn. Each part is printed on one line first, and taken back when
 * that is too long, so the cost is O(size * height) at worst; a query has 16 KiB.
 */
#include "api/mql/print.h"

#define LINE_BYTES_MAX 80u

static void pretty(struct printer *p, const struct ast *a, uint32_t indent, bool parens);

static void put_indent(struct printer *p, uint32_t indent)
{
	for (uint32_t i = 0; i < indent; i++)
		buf_puts(p->out, "  ");
}

static bool fits(struct printer *p, size_t from)
{
	if (p->out->len - from <= LINE_BYTES_MAX)
		return true;
	p->out->len = from;
	return false;
}

static void pretty_args(struct printer *p, const struct ast_call *c, uint32_t indent)
{
	put_indent(p, indent);
	print_call_name(p, c);
	buf_puts(p->out, "(\n");
	for (uint32_t i = 0; i < c->n_args; i++) {
		pretty(p, c->args[i], indent + 1, false);
		buf_puts(p->out, i + 1 < c->n_args ? ",\n" : "\n");
	}
	put_indent(p, indent);
	buf_putc(p->out, ')');
	print_call_tail(p, c);
}

static void pretty_binop(struct printer *p, const struct ast_binop *b, uint32_t indent)
{
	uint32_t inner = indent + b->keep_metric_names;

	if (b->keep_metric_names) {
		put_indent(p, indent);
		buf_puts(p->out, "(\n");
	}
	pretty(p, b->left, inner, print_left_parens(b));
	buf_putc(p->out, '\n');
	put_indent(p, inner + 1);
	print_operator(p, b);
	buf_putc(p->out, '\n');
	pretty(p, b->right, inner, print_right_parens(p, b));
	if (b->keep_metric_names) {
		buf_putc(p->out, '\n');
		put_indent(p, indent);
		buf_puts(p->out, ") keep_metric_names");
	}
}

static void pretty_set(struct printer *p, const struct store_match_set *set, size_t skip,
                       bool alone, uint32_t indent)
{
	size_t from = p->out->len;

	put_indent(p, indent);
	print_set(p, set, skip, alone);
	if (fits(p, from))
		return;
	for (size_t i = skip; i < set->n; i++) {
		const struct store_match_set up_to = { set->v, i + 1 };

		put_indent(p, indent);
		print_set(p, &up_to, i, alone);
		buf_puts(p->out, i + 1 < set->n ? ",\n" : "");
	}
}

static void pretty_selector(struct printer *p, const struct ast *a, uint32_t indent)
{
	struct str name = print_front_name(p, a);

	put_indent(p, indent);
	if (name.len > 0)
		print_name(p, name);
	if (name.len > 0 && a->selector.n_sets == 1 && a->selector.sets[0].n == 1)
		return;
	buf_puts(p->out, "{\n");
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		pretty_set(p, &a->selector.sets[i], name.len > 0, a->selector.n_sets == 1,
		           indent + 1);
		buf_putc(p->out, '\n');
		if (i + 1 < a->selector.n_sets) {
			put_indent(p, indent + 2);
			buf_puts(p->out, "or\n");
		}
	}
	put_indent(p, indent);
	buf_putc(p->out, '}');
}

static void pretty_def(struct printer *p, const struct ast_with_def *d, uint32_t indent)
{
	size_t from = p->out->len;

	put_indent(p, indent);
	print_with_def_name(p, d, ",");
	print_ast(p, d->value);
	if (fits(p, from))
		return;
	put_indent(p, indent);
	print_with_def_name(p, d, ", ");
	buf_puts(p->out, "(\n");
	pretty(p, d->value, indent + 1, false);
	buf_putc(p->out, '\n');
	put_indent(p, indent);
	buf_putc(p->out, ')');
}

static void pretty_with(struct printer *p, const struct ast_with *w, uint32_t indent)
{
	put_indent(p, indent);
	buf_puts(p->out, "WITH (\n");
	for (uint32_t i = 0; i < w->n; i++) {
		pretty_def(p, &w->defs[i], indent + 1);
		buf_puts(p->out, ",\n");
	}
	put_indent(p, indent);
	buf_puts(p->out, ")\n");
	pretty(p, w->body, indent, false);
}

static void pretty_cut(struct printer *p, const struct ast *a, uint32_t indent)
{
	switch (a->kind) {
	case AST_SELECTOR:
		pretty_selector(p, a, indent);
		break;
	case AST_ROLLUP:
		pretty(p, a->rollup.expr, indent, print_rollup_parens(&a->rollup));
		print_rollup_tail(p, &a->rollup);
		break;
	case AST_CALL:
		pretty_args(p, &a->call, indent);
		break;
	case AST_BINOP:
		pretty_binop(p, &a->binop, indent);
		break;
	case AST_WITH:
		pretty_with(p, &a->with, indent);
		break;
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
		print_ast(p, a);
		break;
	}
}

static void pretty(struct printer *p, const struct ast *a, uint32_t indent, bool parens)
{
	size_t from = p->out->len;

	put_indent(p, indent);
	print_ast_parens(p, a, parens);
	if (fits(p, from))
		return;
	if (parens) {
		put_indent(p, indent);
		buf_puts(p->out, "(\n");
	}
	pretty_cut(p, a, indent + parens);
	if (parens) {
		buf_putc(p->out, '\n');
		put_indent(p, indent);
		buf_putc(p->out, ')');
	}
}

void ast_print_pretty(const struct ast *a, struct buf *out)
{
	struct printer p = { .out = out, .as_written = true };

	pretty(&p, a, 0, false);
}
