/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens, lists and literals: the parts of every construct. */
#include "api/mql/parser.h"

#include <errno.h>
#include <strings.h>

#include "api/mql/numtext.h"
#include "api/mql/with.h"
#include "userspace/base/buf.h"
#include "userspace/base/util.h"

#define LIST_MAX 1000u   /* arguments, labels, matchers */
#define WORK_MAX 100000u /* nodes and expanded templates; 16 KiB have no more by far */

int parser_no_memory(struct parser *p)
{
	return err_set(p->e, arena_error(p->arena), "the query needs too much memory to be read");
}

int parser_expected(struct parser *p, const char *what)
{
	const struct tok *t = p->t;

	if (t->kind == TOK_END)
		return err_set_at(p->e, -EINVAL, (int)t->pos, "expected %s, found the end", what);
	return err_set_at(p->e, -EINVAL, (int)t->pos, "expected %s, found %.*s%s", what,
	                  (int)MIN(t->text.len, (size_t)40), t->text.p,
	                  t->text.len > 40 ? "..." : "");
}

bool parser_at(const struct parser *p, const char *text)
{
	return p->t->kind == TOK_PUNCT && str_eqc(p->t->text, text);
}

bool parser_is_word(const struct tok *t, const char *word)
{
	return t->kind == TOK_IDENT && t->text.len == strlen(word) &&
	       strncasecmp(t->text.p, word, t->text.len) == 0;
}

bool parser_at_word(const struct parser *p, const char *word)
{
	return parser_is_word(p->t, word);
}

bool parser_take(struct parser *p, const char *text)
{
	bool yes = parser_at(p, text);

	p->t += yes;
	return yes;
}

bool parser_take_word(struct parser *p, const char *word)
{
	bool yes = parser_at_word(p, word);

	p->t += yes;
	return yes;
}

int parser_node(struct parser *p, enum ast_kind kind, const struct tok *at, struct ast **ret)
{
	struct ast *a = ARENA_NEW(p->arena, struct ast);

	if (!a)
		return parser_no_memory(p);
	a->kind = kind;
	a->pos = at->pos;
	a->height = a->size = 1;
	*ret = a;
	return parser_work(p);
}

int parser_work(struct parser *p)
{
	if (++p->work > WORK_MAX)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos,
		                  "the query's WITH templates need more than %u steps", WORK_MAX);
	return 0;
}

/* --- lists that grow ------------------------------------------------------------------------ */

/* A doubling array in the arena; the old copies stay there until the query ends. */
int parser_grow(struct parser *p, void **v, uint32_t n, size_t bytes)
{
	void *bigger;

	if (n >= LIST_MAX)
		return err_set_at(p->e, -EINVAL, (int)p->t->pos, "a list has more than %u entries",
		                  LIST_MAX);
	if (n > 0 && (n < 4 || (n & (n - 1)) != 0))
		return 0;
	bigger = arena_zalloc(p->arena, n < 4 ? 4 : (size_t)n * 2, bytes);
	if (!bigger)
		return parser_no_memory(p);
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
	r = parser_grow(p, &v, names->n, sizeof(*names->v));
	if (r < 0)
		return r;
	names->v = v;
	names->v[names->n++] = name;
	return 0;
}

/* An identifier, or a quoted name. */
int parser_name(struct parser *p, struct str *ret)
{
	int r;

	if (p->t->kind == TOK_STRING)
		r = lex_unquote(p->t, p->arena, ret, p->e);
	else if (p->t->kind == TOK_IDENT)
		r = lex_unescape(p->t, p->arena, ret);
	else
		return parser_expected(p, "a name");
	if (r < 0)
		return err_set(p->e, r, "the query needs too much memory to be read");
	p->t++;
	return 0;
}

/* A name, or the names that a template's argument holds. */
static int add_name(struct parser *p, struct ast_names *names)
{
	const struct tok *at = p->t;
	const struct with_def *d;
	struct ast_names more;
	struct str name;
	int r = parser_name(p, &name);

	if (r < 0)
		return r;
	d = at->kind == TOK_IDENT ? with_find(p, name) : NULL;
	if (!d || !with_is_value(d))
		return names_add(p, names, name);
	r = with_names(p, d, at, &more);
	for (uint32_t i = 0; r == 0 && i < more.n; i++)
		r = names_add(p, names, more.v[i]);
	return r;
}

/* "(a, b,)", with "(*)" as the one name "*" where @star allows it. */
int parser_names(struct parser *p, bool star, struct ast_names *ret)
{
	if (!parser_take(p, "("))
		return parser_expected(p, "\"(\"");
	if (star && parser_take(p, "*")) {
		int r = names_add(p, ret, STR("*"));

		if (r < 0)
			return r;
		return parser_take(p, ")") ? 0 : parser_expected(p, "\")\"");
	}
	while (!parser_take(p, ")")) {
		int r = add_name(p, ret);

		if (r < 0)
			return r;
		if (!parser_take(p, ",") && !parser_at(p, ")"))
			return parser_expected(p, "\",\" or \")\"");
	}
	return 0;
}

/* --- literals ------------------------------------------------------------------------------- */

/* A string, or a template that is one. */
static int text_part(struct parser *p, struct str *ret)
{
	const struct tok *at = p->t;
	struct str name;
	int r;

	if (at->kind == TOK_STRING)
		return lex_unquote(p->t++, p->arena, ret, p->e);
	if (at->kind != TOK_IDENT)
		return parser_expected(p, "a string");
	r = parser_name(p, &name);
	return r < 0 ? r : with_string(p, at, name, ret);
}

/* A string or the name of one, but not a call or a selector with braces. */
static bool is_text(const struct tok *t)
{
	bool brace = t->kind == TOK_IDENT && t[1].kind == TOK_PUNCT &&
	             (str_eqc(t[1].text, "(") || str_eqc(t[1].text, "{"));

	return t->kind == TOK_STRING || (t->kind == TOK_IDENT && !brace);
}

/* The parts with their quotes and names, nothing between them but the plus. */
static int written_text(struct parser *p, struct str *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	if (!is_text(p->t))
		return parser_expected(p, "a string");
	buf_put_str(&text, p->t++->text);
	while (parser_at(p, "+") && is_text(&p->t[1])) {
		buf_putc(&text, '+');
		buf_put_str(&text, p->t[1].text);
		p->t += 2;
	}
	*ret = arena_str(p->arena, buf_str(&text));
	return text.err < 0 || !ret->p ? parser_no_memory(p) : 0;
}

/* "a" + "b" + ...: a plus that no string follows is left for parser_expr(). */
int parser_text(struct parser *p, struct str *ret)
{
	if (p->as_written)
		return written_text(p, ret);
	struct str part;
	int r = text_part(p, ret);

	while (r == 0 && parser_at(p, "+") && is_text(&p->t[1])) {
		p->t++;
		r = text_part(p, &part);
		if (r < 0)
			break;
		char *both = arena_alloc(p->arena, ret->len + part.len + 1);

		if (!both)
			return parser_no_memory(p);
		memcpy(both, ret->p, ret->len);
		memcpy(both + ret->len, part.p, part.len);
		*ret = (struct str){ both, ret->len + part.len };
	}
	return r;
}

/* Window, step or offset. Text, not milliseconds: the step decides what 5i is. */
int parser_duration(struct parser *p, bool may_be_negative, struct str *ret)
{
	bool minus = may_be_negative && parser_take(p, "-");
	const struct tok *at = p->t;
	struct str text = at->text;
	int64_t ms;

	if (at->kind == TOK_IDENT && !minus) {
		int r = parser_name(p, &text);

		if (r < 0)
			return r;
		*ret = at->text;
		return p->as_written ? 0 : with_duration(p, at, text, ret);
	}
	if ((p->t->kind != TOK_DURATION && p->t->kind != TOK_NUMBER) ||
	    numtext_duration_ms(text, 1, &ms) < 0)
		return parser_expected(p, "a duration such as 5m");
	p->t++;
	if (text.p[0] == '$') /* Grafana's variable means one step here */
		text = STR("1i");
	*ret = text;
	if (!minus)
		return 0;
	char *copy = arena_alloc(p->arena, text.len + 1);

	if (!copy)
		return parser_no_memory(p);
	copy[0] = '-';
	memcpy(copy + 1, text.p, text.len);
	*ret = (struct str){ copy, text.len + 1 };
	return 0;
}
