/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/with.h"

#include <errno.h>

#include "api/mql/fn.h"
#include "api/mql/parse.h"
#include "userspace/base/util.h"

#define PARAMS_MAX 32u

struct with_def {
	const struct with_def *outer; /* what its body sees */
	struct str name;
	struct ast *value; /* of templates without parameters and of arguments; NULL = unknown */
	bool is_argument, is_function;
	const struct str *params;
	uint32_t n_params;
	const struct tok *body; /* of functions */
};

static const struct {
	const char *name, *text;
} builtins[] = {
	{ "ru", "(free, max) = clamp_min(max - clamp_min(free, 0), 0) / clamp_min(max, 0) * 100" },
	{ "ttf", "(free) = smooth_exponential(clamp_max(clamp_max(-free, 0) / "
	         "clamp_max(deriv_fast(free), 0), 365*24*3600), clamp_max(step()/300, 1))" },
	{ "range_median", "(q) = range_quantile(0.5, q)" },
	{ "alias", "(q, name) = label_set(q, \"__name__\", name)" },
};

static int fail(struct parser *p, const struct tok *at, struct str name, const char *what)
{
	return err_set_at(p->e, -EINVAL, (int)at->pos, "WITH template %.*s %s",
	                  (int)MIN(name.len, (size_t)60), name.p, what);
}

/* --- scopes --------------------------------------------------------------------------------- */

static int push(struct parser *p, struct with_def d)
{
	struct with_def *copy = arena_memdup(p->arena, &d, sizeof(d));

	if (!copy)
		return parser_no_memory(p);
	p->scope = copy;
	return 0;
}

/* "(a, b)"; an empty list is one, too. */
static int parse_params(struct parser *p, struct with_def *d)
{
	struct str *names = ARENA_ARRAY(p->arena, struct str, PARAMS_MAX);
	uint32_t n = 0;

	if (!names)
		return parser_no_memory(p);
	while (!parser_take(p, ")")) {
		const struct tok *at = p->t;
		int r = p->t->kind != TOK_IDENT ? parser_expected(p, "the name of a parameter")
		        : n == PARAMS_MAX       ? parser_expected(p, "fewer parameters")
		                                : parser_name(p, &names[n]);

		for (uint32_t i = 0; r == 0 && i < n; i++) {
			if (str_eq(names[i], names[n]))
				r = fail(p, at, d->name, "has two parameters of one name");
		}
		if (r < 0)
			return r;
		n++;
		if (!parser_take(p, ",") && !parser_at(p, ")"))
			return parser_expected(p, "\",\" or \")\"");
	}
	d->params = names;
	d->n_params = n;
	d->is_function = n > 0;
	return 0;
}

/* Parses the body of @d with @args (NULL: unknown ones) in scope. */
static int parse_body(struct parser *p, const struct with_def *d, struct ast **args,
                      struct ast **ret)
{
	const struct with_def *scope = p->scope;
	int r = parser_work(p);

	p->scope = d->outer;
	for (uint32_t i = 0; r == 0 && i < d->n_params; i++)
		r = push(p, (struct with_def){ .outer = p->scope,
		                               .name = d->params[i],
		                               .value = args ? args[i] : NULL,
		                               .is_argument = true });
	p->t = d->body;
	if (r == 0)
		r = parser_expr(p, ret);
	p->scope = scope;
	return r;
}

/* Finds mistakes in a body that may never be used, and its end. */
static int check_body(struct parser *p, const struct with_def *d)
{
	bool checking = p->checking;
	struct ast *unused;
	int r;

	p->checking = true;
	r = parse_body(p, d, NULL, &unused);
	p->checking = checking;
	return r;
}

/* name = expr, or name(a, b) = expr */
static int parse_def(struct parser *p, const struct with_def *first)
{
	const struct tok *at = p->t;
	struct with_def d = { .outer = p->scope };
	int r = at->kind == TOK_IDENT ? parser_name(p, &d.name)
	                              : parser_expected(p, "the name of a template");

	for (const struct with_def *x = p->scope; r == 0 && x != first; x = x->outer) {
		if (str_eq(x->name, d.name))
			r = fail(p, at, d.name, "is there twice");
	}
	if (r == 0 && parser_take(p, "("))
		r = parse_params(p, &d);
	if (r == 0 && !parser_take(p, "="))
		r = parser_expected(p, "\"=\"");
	d.body = p->t;
	if (r == 0)
		r = d.is_function ? check_body(p, &d) : parser_expr(p, &d.value);
	return r < 0 ? r : push(p, d);
}

/* name = expr, or name(a, b) = expr, for the printer. */
static int written_def(struct parser *p, struct ast *owner)
{
	struct with_def d = { 0 };
	struct ast_with *w = &owner->with;
	void *v = w->defs;
	int r = parser_grow(p, &v, w->n, sizeof(*w->defs));

	if (r == 0)
		r = p->t->kind == TOK_IDENT ? parser_name(p, &d.name)
		                            : parser_expected(p, "the name of a template");
	for (uint32_t i = 0; r == 0 && i < w->n; i++) {
		if (str_eq(w->defs[i].name, d.name))
			r = fail(p, p->t - 1, d.name, "is there twice");
	}
	if (r == 0 && parser_take(p, "("))
		r = parse_params(p, &d);
	if (r == 0 && !parser_take(p, "="))
		r = parser_expected(p, "\"=\"");
	if (r == 0)
		r = parser_expr(p, &d.value);
	if (r == 0)
		r = parser_adopt(p, owner, d.value);
	if (r < 0)
		return r;
	w->defs = v;
	w->defs[w->n++] = (struct ast_with_def){ d.name, d.params, d.n_params, d.value };
	return 0;
}

static int written_with(struct parser *p, struct ast **ret)
{
	struct ast *a = NULL;
	int r = parser_node(p, AST_WITH, p->t, &a);

	p->t += 2; /* WITH ( */
	while (r == 0 && !parser_take(p, ")")) {
		r = written_def(p, a);
		if (r == 0 && !parser_take(p, ",") && !parser_at(p, ")"))
			r = parser_expected(p, "\",\" or \")\"");
	}
	if (r == 0)
		r = parser_expr(p, &a->with.body);
	if (r == 0)
		r = parser_adopt(p, a, a->with.body);
	*ret = a;
	return r;
}

int with_parse(struct parser *p, struct ast **ret)
{
	if (p->as_written)
		return written_with(p, ret);

	const struct with_def *outer = p->scope;
	int r = 0;

	p->t += 2; /* WITH ( */
	while (r == 0 && !parser_take(p, ")")) {
		r = parse_def(p, outer);
		if (r == 0 && !parser_take(p, ",") && !parser_at(p, ")"))
			r = parser_expected(p, "\",\" or \")\"");
	}
	if (r == 0)
		r = parser_expr(p, ret);
	if (r == 0 && (*ret)->kind == AST_BINOP)
		(*ret)->parens = true; /* operators around it stay outside */
	p->scope = outer;
	return r;
}

/* The tokens' positions mean nothing in the query: they get that of the use. */
static int builtin(struct parser *p, const char *name, const char *text,
                   const struct with_def **ret)
{
	struct with_def *d = ARENA_NEW(p->arena, struct with_def);
	struct parser own = { .arena = p->arena, .e = p->e };
	struct toks toks;
	int r = d ? lex_all(str_from(text), p->arena, &toks, p->e) : parser_no_memory(p);

	if (r < 0)
		return r;
	for (size_t i = 0; i < toks.n; i++)
		toks.v[i].pos = p->t->pos;
	own.t = toks.v + 1;
	d->name = str_from(name);
	r = parse_params(&own, d);
	if (r < 0)
		return r;
	d->body = own.t + 1;
	*ret = d;
	return 0;
}

const struct with_def *with_find(const struct parser *p, struct str name)
{
	for (const struct with_def *d = p->scope; d; d = d->outer) {
		if (str_eq(d->name, name))
			return d;
	}
	return NULL;
}

int with_find_callable(struct parser *p, struct str name, const struct with_def **ret)
{
	*ret = with_find(p, name);
	for (size_t i = 0; !*ret && !p->as_written && i < ARRAY_SIZE(builtins); i++) {
		if (str_eqc(name, builtins[i].name))
			return builtin(p, builtins[i].name, builtins[i].text, ret);
	}
	return 0;
}

bool with_is_value(const struct with_def *d)
{
	return !d->is_function;
}

/* --- uses ----------------------------------------------------------------------------------- */

int with_value(struct parser *p, const struct with_def *d, const struct tok *at, struct ast **ret)
{
	int r = parser_work(p);

	*ret = NULL;
	if (r < 0 || !d->value)
		return r;
	*ret = arena_memdup(p->arena, d->value, sizeof(*d->value));
	if (!*ret)
		return parser_no_memory(p);
	(*ret)->pos = at->pos;
	if ((*ret)->kind == AST_BINOP)
		(*ret)->parens = true;
	return 0;
}

int with_call(struct parser *p, const struct with_def *d, const struct tok *at, struct ast **ret)
{
	const struct tok *behind;
	struct ast *owner, **args;
	uint32_t n;
	int r = parser_node(p, AST_CALL, at, &owner);

	p->t++;
	if (r == 0)
		r = parser_args(p, owner, &args, &n);
	if (r < 0)
		return r;
	if (n != d->n_params)
		return err_set_at(p->e, -EINVAL, (int)at->pos,
		                  "WITH template %.*s takes %u arguments, found %u",
		                  (int)MIN(d->name.len, (size_t)60), d->name.p, d->n_params, n);
	behind = p->t;
	r = d->is_function ? parse_body(p, d, args, ret) : with_value(p, d, at, ret);
	p->t = behind;
	if (r == 0 && !*ret)
		r = parser_node(p, AST_NUMBER, at, ret);
	if (r < 0)
		return r;
	(*ret)->pos = at->pos;
	if ((*ret)->kind == AST_BINOP)
		(*ret)->parens = true;
	return 0;
}

/* The value of a name that must be a template; NULL in *@ret: an unknown argument. */
static int value_of(struct parser *p, const struct tok *at, struct str name, struct ast **ret)
{
	const struct with_def *d = with_find(p, name);

	if (!d || !with_is_value(d))
		return fail(p, at, name, "is not defined");
	return with_value(p, d, at, ret);
}

int with_string(struct parser *p, const struct tok *at, struct str name, struct str *ret)
{
	struct ast *a;
	int r = value_of(p, at, name, &a);

	*ret = STR("");
	if (r < 0 || !a)
		return r;
	a = ast_fold(a, p->arena, &r); /* the value may be a sum of strings */
	if (r < 0)
		return parser_no_memory(p);
	if (a->kind != AST_STRING)
		return fail(p, at, name, "is not a string");
	*ret = a->string;
	return 0;
}

int with_duration(struct parser *p, const struct tok *at, struct str name, struct str *ret)
{
	struct ast *a;
	int r = value_of(p, at, name, &a);

	*ret = STR("1s");
	if (r < 0 || !a)
		return r;
	if (a->kind == AST_DURATION)
		*ret = a->duration;
	else if (a->kind == AST_NUMBER && a->number.text.len > 0)
		*ret = a->number.text;
	else
		return fail(p, at, name, "is not a duration");
	return 0;
}

int with_filters(struct parser *p, const struct tok *at, struct str name,
                 struct store_match_set *ret)
{
	struct ast *a;
	int r = value_of(p, at, name, &a);

	*ret = (struct store_match_set){ 0 };
	if (r < 0 || !a)
		return r;
	if (a->kind != AST_SELECTOR || a->selector.n_sets > 1 || ast_selector_name(a).len > 0)
		return fail(p, at, name, "is not label filters in braces, without or");
	if (a->selector.n_sets == 1)
		*ret = a->selector.sets[0];
	return 0;
}

/* A metric name without filters. */
static bool is_plain_name(const struct ast *a)
{
	return a->kind == AST_SELECTOR && a->selector.n_sets == 1 && a->selector.sets[0].n == 1 &&
	       ast_selector_name(a).len > 0;
}

int with_names(struct parser *p, const struct with_def *d, const struct tok *at,
               struct ast_names *ret)
{
	const struct ast *a = d->value;
	bool list = a && a->kind == AST_CALL && a->call.fn == fn_union;
	uint32_t n = list ? a->call.n_args : 1;

	*ret = (struct ast_names){ .v = ARENA_ARRAY(p->arena, struct str, n + 1) };
	if (!ret->v)
		return parser_no_memory(p);
	if (!a && d->is_argument) {
		ret->v[ret->n++] = d->name;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct ast *name = list ? a->call.args[i] : a;

		if (!d->is_argument || !is_plain_name(name))
			return fail(p, at, d->name, "is not an argument with names of labels");
		ret->v[ret->n++] = ast_selector_name(name);
	}
	return 0;
}
