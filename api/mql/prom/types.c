/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types of PromQL. The parser reads MetricsQL, which is wider: what Prometheus refuses is refused
 * here, in its words.
 */
#include "api/mql/binop.h"
#include "api/mql/prom/prom.h"

#include <errno.h>

#include "userspace/base/util.h"

static const char *const type_names[] = {
	[PROM_SCALAR] = "scalar",
	[PROM_VECTOR] = "instant vector",
	[PROM_MATRIX] = "range vector",
	[PROM_STRING] = "string",
};

const struct prom_fn *prom_fn_find(struct str name)
{
	static const struct prom_fn_table *const tables[] = { &prom_range_fns, &prom_call_fns,
		                                              &prom_label_fns };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (size_t k = 0; k < tables[i]->n; k++) {
			if (str_eqc(name, tables[i]->rows[k].name))
				return &tables[i]->rows[k];
		}
	}
	return NULL;
}

static bool is_window(const struct ast *a)
{
	return a->kind == AST_ROLLUP &&
	       (a->rollup.window.len > 0 || a->rollup.step.len > 0 || a->rollup.inherit_step);
}

static bool is_aggregate(const struct ast *a)
{
	return a->kind == AST_CALL && a->call.fn->kind == FN_AGGR;
}

enum prom_type prom_type_of(const struct ast *a)
{
	switch (a->kind) {
	case AST_NUMBER:
	case AST_DURATION:
		return PROM_SCALAR;
	case AST_STRING:
		return PROM_STRING;
	case AST_ROLLUP:
		return is_window(a) ? PROM_MATRIX : PROM_VECTOR;
	case AST_CALL:
		return is_aggregate(a) ? PROM_VECTOR : prom_fn_find(a->call.name)->type;
	case AST_BINOP:
		return prom_type_of(a->binop.left) == PROM_SCALAR &&
		                       prom_type_of(a->binop.right) == PROM_SCALAR
		               ? PROM_SCALAR
		               : PROM_VECTOR;
	case AST_SELECTOR:
	case AST_WITH:
		break;
	}
	return PROM_VECTOR;
}

static int check_selector(struct eval *ev, const struct ast *a)
{
	for (size_t i = 0; i < a->selector.n_sets; i++) {
		const struct store_match_set *set = &a->selector.sets[i];
		bool any = false;

		for (size_t k = 0; k < set->n; k++) {
			const struct store_matcher *m = &set->v[k];
			bool always = m->op == STORE_RE && str_eqc(m->value, ".*");

			any |= !always && (m->op == STORE_EQ || m->op == STORE_RE
			                           ? m->value.len > 0
			                           : m->value.len == 0 || m->op == STORE_NRE);
		}
		if (!any)
			return eval_fail(ev, a,
			                 "vector selector must contain at least one non-empty "
			                 "matcher");
	}
	return a->selector.n_sets > 0
	               ? 0
	               : eval_fail(ev, a,
	                           "vector selector must contain at least one non-empty "
	                           "matcher");
}

static int check_rollup(struct eval *ev, const struct ast *a, enum prom_type *ret)
{
	const struct ast *inner = a->rollup.expr;
	bool subquery = a->rollup.step.len > 0 || a->rollup.inherit_step;
	enum prom_type type;
	int r = prom_check(ev, inner, &type);

	if (r < 0)
		return r;
	if (!subquery && inner->kind != AST_SELECTOR)
		return eval_fail(ev, a,
		                 is_window(a) ? "ranges only allowed for vector selectors"
		                              : "offset modifier must be preceded by an instant "
		                                "vector selector or range vector selector or a "
		                                "subquery");
	if (subquery && type != PROM_VECTOR)
		return eval_fail(ev, a,
		                 "subquery is only allowed on instant vector, got %s instead",
		                 type_names[type]);
	if (subquery && a->rollup.window.len == 0)
		return eval_fail(ev, a, "a subquery needs a range in front of its step");
	*ret = is_window(a) ? PROM_MATRIX : PROM_VECTOR;
	return 0;
}

static int check_arg(struct eval *ev, const struct ast *call, uint32_t i, char letter)
{
	static const char letters[] = "svmt"; /* as enum prom_type */
	enum prom_type want = (enum prom_type)(strchr(letters, letter) - letters), type;
	const struct ast *arg = call->call.args[i];
	int r = prom_check(ev, arg, &type);

	if (r < 0 || type == want)
		return r;
	return eval_fail(ev, arg, "expected type %s in call to function \"%.*s\", got %s",
	                 type_names[want], STR_FMT(call->call.name), type_names[type]);
}

static int check_function(struct eval *ev, const struct ast *a, enum prom_type *ret)
{
	const struct prom_fn *f = prom_fn_find(a->call.name);
	uint32_t i = 0;
	bool may_end = false;
	int r = 0;

	if (!f)
		return eval_fail(ev, a, "unknown function with name \"%.*s\"",
		                 STR_FMT(a->call.name));
	if (a->call.keep_metric_names)
		return eval_fail(ev, a, "keep_metric_names is not part of PromQL");
	for (const char *p = f->args; r == 0; p++) {
		may_end |= *p == '?' || *p == '*' || *p == '\0';
		if (*p == '?')
			continue;
		if (*p == '\0' || i == a->call.n_args)
			break;
		r = check_arg(ev, a, i++, *p == '*' ? p[-1] : *p);
		p -= *p == '*';
	}
	if (r == 0 && (i < a->call.n_args || !may_end))
		r = eval_fail(ev, a, "wrong number of arguments in call to \"%s\": got %u", f->name,
		              a->call.n_args);
	*ret = f->type;
	return r;
}

/* Aggregates with an argument in front of the vector, and its type. */
static const struct {
	const char *name;
	char letter; /* '\0' = none */
} aggregates[] = {
	{ "sum", '\0' },   { "avg", '\0' },    { "min", '\0' },     { "max", '\0' },
	{ "count", '\0' }, { "group", '\0' },  { "stddev", '\0' },  { "stdvar", '\0' },
	{ "topk", 's' },   { "bottomk", 's' }, { "quantile", 's' }, { "count_values", 't' },
	{ "limitk", 's' },
};

static int check_aggregate(struct eval *ev, const struct ast *a, enum prom_type *ret)
{
	const struct ast_call *c = &a->call;

	*ret = PROM_VECTOR;
	if (c->limit > 0)
		return eval_fail(ev, a, "limit is not part of PromQL");
	for (size_t i = 0; i < ARRAY_SIZE(aggregates); i++) {
		bool with_arg = aggregates[i].letter != '\0';
		int r;

		if (strcasecmp(c->fn->name, aggregates[i].name) != 0)
			continue;
		if (c->n_args != 1u + with_arg)
			return eval_fail(ev, a,
			                 "wrong number of arguments for aggregate expression "
			                 "provided, expected %u, got %u",
			                 1u + with_arg, c->n_args);
		r = with_arg ? check_arg(ev, a, 0, aggregates[i].letter) : 0;
		return r < 0 ? r : check_arg(ev, a, with_arg, 'v');
	}
	return eval_fail(ev, a, "unknown function with name \"%s\"", c->fn->name);
}

static int check_binop(struct eval *ev, const struct ast *a, enum prom_type *ret)
{
	static const char *const metricsql[] = { "if", "ifnot", "default" };
	const struct ast_binop *b = &a->binop;
	enum prom_type l, r_type;
	int r = prom_check(ev, b->left, &l);

	if (r == 0)
		r = prom_check(ev, b->right, &r_type);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(metricsql); i++) {
		if (strcmp(b->op->name, metricsql[i]) == 0)
			return eval_fail(ev, a, "%s is not part of PromQL", b->op->name);
	}
	if (b->keep_metric_names || b->has_prefix)
		return eval_fail(ev, a, "keep_metric_names and prefix are not part of PromQL");
	if (l > PROM_VECTOR || r_type > PROM_VECTOR)
		return eval_fail(ev, a,
		                 "binary expression must contain only scalar and instant vector "
		                 "types");
	*ret = l == PROM_SCALAR && r_type == PROM_SCALAR ? PROM_SCALAR : PROM_VECTOR;
	if ((b->op->flags & BINOP_CMP) && *ret == PROM_SCALAR && !b->is_bool)
		return eval_fail(ev, a, "comparisons between scalars must use BOOL modifier");
	if (b->op->set && (l == PROM_SCALAR || r_type == PROM_SCALAR))
		return eval_fail(ev, a,
		                 "set operator \"%s\" not allowed in binary scalar expression",
		                 b->op->name);
	if ((l == PROM_SCALAR || r_type == PROM_SCALAR) &&
	    (b->match != AST_MATCH_ALL || b->join != AST_JOIN_NONE))
		return eval_fail(ev, a, "vector matching only allowed between instant vectors");
	return 0;
}

int prom_check(struct eval *ev, const struct ast *a, enum prom_type *ret)
{
	switch (a->kind) {
	case AST_NUMBER:
	case AST_DURATION:
		*ret = PROM_SCALAR;
		return 0;
	case AST_STRING:
		*ret = PROM_STRING;
		return 0;
	case AST_SELECTOR:
		*ret = PROM_VECTOR;
		return check_selector(ev, a);
	case AST_ROLLUP:
		return check_rollup(ev, a, ret);
	case AST_CALL:
		return is_aggregate(a) ? check_aggregate(ev, a, ret) : check_function(ev, a, ret);
	case AST_BINOP:
		return check_binop(ev, a, ret);
	case AST_WITH:
		break;
	}
	return eval_fail(ev, a, "this is not part of PromQL");
}
