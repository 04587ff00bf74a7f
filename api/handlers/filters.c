/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/filters.h"

#include <errno.h>
#include <string.h>

#include "api/mql/mql.h"
#include "userspace/base/util.h"

struct set_list {
	struct store_match_set *v; /* FILTER_SETS_MAX of them */
	size_t n;
};

static int no_memory(const struct arena *arena, struct err *e)
{
	return err_set(e, arena_error(arena), "the filters need too much memory");
}

/* The values of @name that count: the URL's alone if there are any. */
static bool next_extra(const struct params *p, const char *name, size_t *i, struct str *ret)
{
	bool url_only = params_in_url(p, name);

	while (params_next(p, name, i, ret)) {
		if (!url_only || p->v[*i - 1].from_url)
			return true;
	}
	return false;
}

static int add_selector(struct str text, const char *name, struct arena *arena,
                        struct set_list *list, struct err *e)
{
	const struct store_match_set *sets;
	struct err inner = ERR_INIT;
	size_t n;
	int r = mql_parse_selector(text, arena, &sets, &n, &inner);

	if (r < 0)
		return err_set(e, r, "argument %s: %s", name, inner.msg);
	if (list->n + n > FILTER_SETS_MAX)
		return err_set(e, -EINVAL, "argument %s: more than %u alternatives", name,
		               FILTER_SETS_MAX);
	if (n > 0)
		memcpy(&list->v[list->n], sets, n * sizeof(*sets));
	list->n += n;
	return 0;
}

static void put_quoted_re(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '\0' && strchr("\\.+*?()|[]{}^$", s.p[i]))
			buf_putc(out, '\\');
		buf_putc(out, s.p[i]);
	}
}

/* app="a", or app=~"a|b" with the names taken literally. */
static int app_matcher(const struct grant *g, struct arena *arena, struct store_matcher *ret)
{
	_cleanup_(buf_done) struct buf re = BUF_INIT;

	*ret = (struct store_matcher){ STORE_EQ, STR(GRANT_APP_LABEL), STR_NULL };
	if (g->n_apps == 1) {
		ret->value = g->apps[0];
		return 0;
	}
	for (size_t i = 0; i < g->n_apps; i++) {
		if (i > 0)
			buf_putc(&re, '|');
		put_quoted_re(&re, g->apps[i]);
	}
	ret->op = STORE_RE;
	ret->value = arena_str(arena, buf_str(&re));
	return re.err < 0 ? re.err : arena_error(arena);
}

static int parse_enforced(struct request *req, struct store_match_set *ret, struct err *e)
{
	const struct params *p = &req->params;
	struct store_matcher *v = ARENA_ARRAY(&req->arena, struct store_matcher, p->n + 2);
	struct str value;
	size_t n = 0;

	if (!v)
		return no_memory(&req->arena, e);
	if (req->grant.some_apps) {
		int r = app_matcher(&req->grant, &req->arena, &v[n++]);

		if (r < 0)
			return err_set(e, r, "the filters need too much memory");
	}
	for (size_t i = 0; next_extra(p, "extra_label", &i, &value);) {
		struct store_matcher *m = &v[n++];

		m->op = STORE_EQ;
		if (!str_cut(value, '=', &m->name, &m->value) || m->name.len == 0)
			return err_set(e, -EINVAL,
			               "argument extra_label: \"%.*s\" is not NAME=VALUE",
			               (int)MIN(value.len, (size_t)60), value.p);
	}
	*ret = (struct store_match_set){ v, n };
	return 0;
}

static int parse_selectors(const struct params *p, const char *const *names, size_t n_names,
                           bool extra, struct arena *arena, struct set_list *list, struct err *e)
{
	struct str value;

	list->n = 0;
	list->v = ARENA_ARRAY(arena, struct store_match_set, FILTER_SETS_MAX);
	if (!list->v)
		return no_memory(arena, e);
	for (size_t k = 0; k < n_names; k++) {
		for (size_t i = 0; extra ? next_extra(p, names[k], &i, &value)
		                         : params_next(p, names[k], &i, &value);) {
			int r = add_selector(value, names[k], arena, list, e);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int filters_parse(struct request *req, struct filters *ret, struct err *e)
{
	static const char *const names[] = { "extra_filters[]", "extra_filters" };
	struct filters f = { 0 };
	struct set_list list;
	int r = parse_enforced(req, &f.enforced, e);

	if (r == 0)
		r = parse_selectors(&req->params, names, ARRAY_SIZE(names), true, &req->arena,
		                    &list, e);
	if (r < 0)
		return r;
	f.sets = list.v;
	f.n_sets = list.n;
	*ret = f;
	return 0;
}

static int join(struct arena *arena, const struct store_match_set *a,
                const struct store_match_set *b, struct store_match_set *ret)
{
	struct store_matcher *v = ARENA_ARRAY(arena, struct store_matcher, a->n + b->n + 1);

	if (!v)
		return arena_error(arena);
	if (a->n > 0)
		memcpy(v, a->v, a->n * sizeof(*v));
	if (b->n > 0)
		memcpy(v + a->n, b->v, b->n * sizeof(*v));
	*ret = (struct store_match_set){ v, a->n + b->n };
	return 0;
}

/* (a or b) and (c or d) = ac or ad or bc or bd. */
static int cross(struct arena *arena, const struct set_list *match, const struct filters *f,
                 struct store_select *sel, struct err *e)
{
	struct store_match_set *v;
	size_t n = match->n * f->n_sets;

	if (n > FILTER_SETS_MAX)
		return err_set(e, -EINVAL,
		               "match[] and extra_filters[] give more than %u alternatives",
		               FILTER_SETS_MAX);
	v = ARENA_ARRAY(arena, struct store_match_set, n);
	for (size_t i = 0; v && i < n; i++) {
		if (join(arena, &match->v[i / f->n_sets], &f->sets[i % f->n_sets], &v[i]) < 0)
			v = NULL;
	}
	if (!v)
		return no_memory(arena, e);
	sel->sets = v;
	sel->n_sets = n;
	return 0;
}

int filters_select(struct request *req, bool match_required, struct store_select *sel,
                   struct err *e)
{
	static const char *const names[] = { "match[]", "match" };
	struct filters f;
	struct set_list match;
	int r = filters_parse(req, &f, e);

	if (r == 0)
		r = parse_selectors(&req->params, names, ARRAY_SIZE(names), false, &req->arena,
		                    &match, e);
	if (r < 0)
		return r;
	if (match_required && match.n == 0)
		return err_set(e, -EINVAL, "argument match[] is missing");
	sel->org = req->org;
	sel->enforced = f.enforced;
	if (match.n > 0 && f.n_sets > 0)
		return cross(&req->arena, &match, &f, sel, e);
	sel->sets = match.n > 0 ? match.v : f.sets;
	sel->n_sets = match.n > 0 ? match.n : f.n_sets;
	return 0;
}
