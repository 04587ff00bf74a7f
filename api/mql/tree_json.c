/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/binop.h"
#include "api/mql/describe.h"
#include "api/mql/fn.h"
#include "api/mql/mql.h"
#include "api/mql/numtext.h"
#include "api/mql/parse.h"
#include "userspace/base/json_text.h"
#include "userspace/base/sample.h"

static void put_tree(struct buf *out, const struct ast *a);

/* --- small members ---------------------------------------------------------------------------- */

static void put_member(struct buf *out, const char *name, struct str text)
{
	buf_printf(out, ",\"%s\":", name);
	json_put_str(out, text);
}

static void put_flag(struct buf *out, const char *name, bool value)
{
	buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_names(struct buf *out, const char *name, const struct ast_names *names)
{
	buf_printf(out, ",\"%s\":[", name);
	for (uint32_t i = 0; i < names->n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		json_put_str(out, names->v[i]);
	}
	buf_putc(out, ']');
}

/* Milliseconds, and the text itself where they are another number at every step. */
static void put_duration(struct buf *out, const char *name, struct str text)
{
	int64_t ms = 0;

	if (text.len > 0 && mql_parse_duration_ms(text, &ms) < 0)
		buf_printf(out, ",\"%sText\":\"%.*s\"", name, STR_FMT(text));
	buf_printf(out, ",\"%s\":%lld", name, (long long)ms);
}

/* --- selectors -------------------------------------------------------------------------------- */

static void put_matchers(struct buf *out, const struct store_match_set *set)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };

	buf_putc(out, '[');
	for (size_t i = 0; i < set->n; i++) {
		const struct store_matcher *m = &set->v[i];

		buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_str(out, m->name);
		put_member(out, "value", m->value);
		buf_printf(out, ",\"type\":\"%s\"}", ops[m->op]);
	}
	buf_putc(out, ']');
}

static void put_selector(struct buf *out, const struct ast *a)
{
	static const struct store_match_set none = { 0 };

	put_member(out, "name", ast_selector_name(a));
	buf_puts(out, ",\"matchers\":");
	put_matchers(out, a->selector.n_sets > 0 ? &a->selector.sets[0] : &none);
	if (a->selector.n_sets < 2)
		return;
	buf_puts(out, ",\"sets\":[");
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_matchers(out, &a->selector.sets[i]);
	}
	buf_putc(out, ']');
}

/* @ 1.5, @ start(), or @ any expression. */
static void put_at(struct buf *out, const struct ast *at)
{
	bool start = at && at->kind == AST_CALL && str_eqc(at->call.name, "start");
	bool end = at && at->kind == AST_CALL && str_eqc(at->call.name, "end");

	buf_puts(out, ",\"timestamp\":");
	if (at && at->kind == AST_NUMBER)
		buf_printf(out, "%.0f", at->number.value * 1000);
	else
		buf_puts(out, "null");
	buf_printf(out, ",\"startOrEnd\":%s", start ? "\"start\"" : end ? "\"end\"" : "null");
	if (!at || start || end || at->kind == AST_NUMBER)
		return;
	buf_puts(out, ",\"at\":");
	put_tree(out, at);
}

/* A selector with a window is one node in Prometheus' trees, anything else a subquery. */
static void put_rollup(struct buf *out, const struct ast *a)
{
	const struct ast_rollup *r = &a->rollup;
	bool selector = r->expr->kind == AST_SELECTOR && r->step.len == 0 && !r->inherit_step;

	if (selector) {
		buf_printf(out, "{\"type\":\"%s\"",
		           r->window.len > 0 ? "matrixSelector" : "vectorSelector");
		put_selector(out, r->expr);
	} else {
		buf_puts(out, "{\"type\":\"subquery\",\"expr\":");
		put_tree(out, r->expr);
		put_duration(out, "step", r->step);
	}
	if (r->window.len > 0 || !selector)
		put_duration(out, "range", r->window);
	put_duration(out, "offset", r->offset);
	put_at(out, r->at);
	buf_putc(out, '}');
}

/* --- calls and operators ---------------------------------------------------------------------- */

static void put_args(struct buf *out, const char *name, const struct ast_call *c, uint32_t from)
{
	buf_printf(out, ",\"%s\":[", name);
	for (uint32_t i = from; i < c->n_args; i++) {
		if (i > from)
			buf_putc(out, ',');
		put_tree(out, c->args[i]);
	}
	buf_putc(out, ']');
}

static const char *type_of(enum fn_kind kind)
{
	return kind == FN_ROLLUP ? "matrix" : "vector";
}

static void put_function(struct buf *out, const struct ast_call *c)
{
	buf_puts(out, "{\"type\":\"call\",\"func\":{\"name\":");
	json_put_str(out, c->name.len > 0 ? c->name : STR("union"));
	buf_puts(out, ",\"argTypes\":[");
	for (uint32_t i = 0; i < c->n_args; i++)
		buf_printf(out, "%s\"%s\"", i > 0 ? "," : "",
		           c->fn && (int)i == fn_series_index(c->fn, c->n_args)
		                   ? type_of(c->fn->kind)
		                   : "scalar");
	buf_printf(out, "],\"variadic\":%d,\"returnType\":\"vector\"}",
	           c->fn && c->fn->args_max == FN_VARIADIC ? -1 : 0);
	put_args(out, "args", c, 0);
	put_flag(out, "keepMetricNames", c->keep_metric_names);
	buf_putc(out, '}');
}

/* Prometheus knows one expression and one parameter; more arguments are a member of their own. */
static void put_aggregation(struct buf *out, const struct ast_call *c)
{
	int series = fn_series_index(c->fn, c->n_args);

	if (series < 0 || (uint32_t)series >= c->n_args)
		series = 0;
	buf_puts(out, "{\"type\":\"aggregation\",\"op\":");
	json_put_str(out, c->name);
	buf_puts(out, ",\"expr\":");
	put_tree(out, c->args[series]);
	buf_puts(out, ",\"param\":");
	if (c->n_args == 2)
		put_tree(out, c->args[1 - series]);
	else
		buf_puts(out, "null");
	if (c->n_args > 2)
		put_args(out, "args", c, 0);
	put_names(out, "grouping", &c->labels);
	put_flag(out, "without", c->group == AST_GROUP_WITHOUT);
	if (c->limit > 0)
		buf_printf(out, ",\"limit\":%u", c->limit);
	buf_putc(out, '}');
}

static void put_binop(struct buf *out, const struct ast_binop *b)
{
	static const char *const cards[] = { "one-to-one", "many-to-one", "one-to-many" };

	buf_puts(out, "{\"type\":\"binaryExpr\",\"op\":");
	json_put_str(out, str_from(b->op->name));
	buf_puts(out, ",\"lhs\":");
	put_tree(out, b->left);
	buf_puts(out, ",\"rhs\":");
	put_tree(out, b->right);
	buf_printf(out, ",\"matching\":{\"card\":\"%s\"", cards[b->join]);
	put_names(out, "labels", &b->labels);
	put_flag(out, "on", b->match == AST_MATCH_ON);
	put_names(out, "include", &b->join_labels);
	buf_putc(out, '}');
	put_flag(out, "bool", b->is_bool);
	put_flag(out, "keepMetricNames", b->keep_metric_names);
	buf_putc(out, '}');
}

/* --- the tree --------------------------------------------------------------------------------- */

static void put_number(struct buf *out, double v)
{
	buf_puts(out, "{\"type\":\"numberLiteral\",\"val\":\"");
	buf_put_double(out, v);
	buf_puts(out, "\"}");
}

static void put_node(struct buf *out, const struct ast *a)
{
	switch (a->kind) {
	case AST_NUMBER:
		put_number(out, a->number.value);
		break;
	case AST_STRING:
		buf_puts(out, "{\"type\":\"stringLiteral\"");
		put_member(out, "val", a->string);
		buf_putc(out, '}');
		break;
	case AST_DURATION:
		buf_puts(out, "{\"type\":\"numberLiteral\"");
		put_member(out, "val", a->duration);
		buf_putc(out, '}');
		break;
	case AST_SELECTOR:
		buf_puts(out, "{\"type\":\"vectorSelector\"");
		put_selector(out, a);
		put_duration(out, "offset", STR_NULL);
		put_at(out, NULL);
		buf_putc(out, '}');
		break;
	case AST_ROLLUP:
		put_rollup(out, a);
		break;
	case AST_CALL:
		if (a->call.fn && a->call.fn->kind == FN_AGGR && a->call.n_args > 0)
			put_aggregation(out, &a->call);
		else
			put_function(out, &a->call);
		break;
	case AST_BINOP:
		put_binop(out, &a->binop);
		break;
	case AST_WITH: /* expanded */
		buf_puts(out, "{\"type\":\"placeholder\",\"children\":[]}");
		break;
	}
}

static void put_tree(struct buf *out, const struct ast *a)
{
	if (a->parens)
		buf_puts(out, "{\"type\":\"parenExpr\",\"expr\":");
	put_node(out, a);
	if (a->parens)
		buf_putc(out, '}');
}

int mql_tree_json(struct str text, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena work = ARENA_INIT(mql_limits_default.memory_bytes_max);
	struct ast *a;

	if (text.len > mql_limits_default.text_bytes_max)
		return err_set(e, -ENOSPC, "the query has %zu bytes, more than the limit of %zu",
		               text.len, mql_limits_default.text_bytes_max);
	int r = parse_query(text, &work, &a, e);

	if (r < 0)
		return r;
	put_tree(out, a);
	return out->err < 0 ? err_set(e, out->err, "out of memory") : 0;
}
