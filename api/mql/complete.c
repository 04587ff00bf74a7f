/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens with their kinds, and what may stand at a place. Both go by the tokens alone, with the
 * brackets that are open, because the text they are about is rarely a whole query.
 */
#include <errno.h>
#include <strings.h>

#include "api/mql/binop.h"
#include "api/mql/describe.h"
#include "api/mql/fn.h"
#include "api/mql/lex.h"
#include "userspace/base/json_text.h"
#include "userspace/base/util.h"

#define MEMORY_MAX ((size_t)16 << 20)
#define OPEN_MAX   256u /* brackets; what is inside of more is not told apart */

/* --- words ------------------------------------------------------------------------------------ */

static bool is_word(const struct tok *t, const char *const *words, size_t n)
{
	for (size_t i = 0; t->kind == TOK_IDENT && i < n; i++) {
		if (t->text.len == strlen(words[i]) &&
		    strncasecmp(t->text.p, words[i], t->text.len) == 0)
			return true;
	}
	return false;
}

static const char *const list_words[] = { "by",       "without",    "on",
	                                  "ignoring", "group_left", "group_right" };
static const char *const tail_words[] = { "offset", "keep_metric_names", "limit", "bool",
	                                  "prefix" };

static bool is_punct(const struct tok *t, const char *text)
{
	return t->kind == TOK_PUNCT && str_eqc(t->text, text);
}

static bool is_list_word(const struct tok *t)
{
	return is_word(t, list_words, ARRAY_SIZE(list_words));
}

static bool is_tail_word(const struct tok *t)
{
	return is_word(t, tail_words, ARRAY_SIZE(tail_words));
}

static bool is_operator_word(const struct tok *t)
{
	return t->kind == TOK_IDENT && binop_find(t->text) != NULL;
}

/* --- where a token stands --------------------------------------------------------------------- */

/* The brackets that are open, each by the token before it and its own. */
struct place {
	const struct tok *open[OPEN_MAX];
	const struct tok *before[OPEN_MAX];
	size_t n, beyond; /* more are open than there is room for */
};

static void step(struct place *p, const struct tok *t, const struct tok *before)
{
	bool opens = is_punct(t, "(") || is_punct(t, "[") || is_punct(t, "{");
	bool closes = is_punct(t, ")") || is_punct(t, "]") || is_punct(t, "}");

	if (opens && p->n == OPEN_MAX) {
		p->beyond++;
	} else if (opens) {
		p->open[p->n] = t;
		p->before[p->n++] = before;
	} else if (closes && p->beyond > 0) {
		p->beyond--;
	} else if (closes && p->n > 0) {
		p->n--;
	}
}

static bool inside(const struct place *p, const char *bracket)
{
	return p->n > 0 && is_punct(p->open[p->n - 1], bracket);
}

static bool in_label_list(const struct place *p)
{
	return inside(p, "(") && p->before[p->n - 1] && is_list_word(p->before[p->n - 1]);
}

/* The metric whose braces or label list we are in, if a name says so. */
static struct str metric_of(const struct place *p)
{
	const struct tok *t = inside(p, "{") ? p->before[p->n - 1] : NULL;

	return t && t->kind == TOK_IDENT && !is_operator_word(t) && !is_tail_word(t) ? t->text
	                                                                             : STR_NULL;
}

/* --- tokens ----------------------------------------------------------------------------------- */

static const char *name_kind(const struct place *p, const struct tok *t, const struct tok *next)
{
	static const char *const or_word[] = { "or" }, *const with_word[] = { "with" };
	const struct fn *fn;

	if (inside(p, "{"))
		return is_word(t, or_word, 1) ? "keyword" : "label";
	if (in_label_list(p))
		return "label";
	if (is_list_word(t) || is_tail_word(t) || is_operator_word(t) || is_word(t, with_word, 1))
		return "keyword";
	fn = fn_find(t->text);
	/* sum by (a) (x): the bracket comes later. */
	if (!fn || (!is_punct(next, "(") && !is_list_word(next)))
		return "name";
	return fn->kind == FN_AGGR ? "aggregate" : "function";
}

static const char *kind_of(const struct place *p, const struct tok *t, const struct tok *next)
{
	switch (t->kind) {
	case TOK_IDENT:
		return name_kind(p, t, next);
	case TOK_STRING:
		return "string";
	case TOK_NUMBER:
		return "number";
	case TOK_DURATION:
		return "duration";
	case TOK_PUNCT:
		return strchr("()[]{},", t->text.p[0]) ? "bracket" : "operator";
	case TOK_END:
		break;
	}
	return "end";
}

/* As many tokens as there are before the first mistake; the last one is TOK_END. */
static int lex_some(struct str text, struct arena *arena, struct toks *ret)
{
	struct err e = ERR_INIT;
	int r = lex_all(text, arena, ret, &e);

	if (r == -EINVAL && e.pos >= 0)
		r = lex_all((struct str){ text.p, (size_t)e.pos }, arena, ret, NULL);
	return r;
}

int mql_tokens_json(struct str text, struct buf *out)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(MEMORY_MAX);
	struct place p = { .n = 0 };
	struct toks toks;
	int r = lex_some(text, &arena, &toks);

	if (r < 0)
		return r;
	buf_putc(out, '[');
	for (size_t i = 0; i + 1 < toks.n; i++) {
		const struct tok *t = &toks.v[i];

		buf_printf(out, "%s[\"%s\",%u,%zu]", i > 0 ? "," : "", kind_of(&p, t, t + 1),
		           t->pos, t->pos + t->text.len);
		step(&p, t, i > 0 ? t - 1 : NULL);
	}
	buf_putc(out, ']');
	return out->err;
}

/* --- completion ------------------------------------------------------------------------------- */

/* Can an operator follow this token? */
static bool ends_operand(const struct tok *t)
{
	if (!t)
		return false;
	if (t->kind == TOK_PUNCT)
		return strchr(")]}", t->text.p[0]) != NULL;
	if (t->kind == TOK_IDENT)
		return !is_operator_word(t) && !is_list_word(t) &&
		       (!is_tail_word(t) || str_eqc(t->text, "keep_metric_names"));
	return t->kind != TOK_END;
}

static void in_braces(const struct place *p, const struct tok *before, const struct tok *label,
                      struct mql_context *ret)
{
	ret->metric = metric_of(p);
	if (is_punct(before, "=") || is_punct(before, "!=") || is_punct(before, "=~") ||
	    is_punct(before, "!~")) {
		ret->expects = MQL_EXPECTS_VALUE;
		ret->label = label ? label->text : STR_NULL;
	} else if (is_punct(before, "{") || is_punct(before, ",") || is_operator_word(before)) {
		ret->expects = MQL_EXPECTS_LABEL;
	} else if (before->kind == TOK_IDENT) {
		ret->expects = MQL_EXPECTS_MATCHER;
	} else {
		ret->expects = MQL_EXPECTS_OPERATOR; /* comma, or, the end */
	}
}

/* @before is the last whole token before the place, or NULL; @label the one before that. */
static void expect(const struct place *p, const struct tok *before, const struct tok *label,
                   struct mql_context *ret)
{
	static const char *const offset[] = { "offset" };

	if (inside(p, "{"))
		in_braces(p, before, label, ret);
	else if (inside(p, "[") || (before && is_word(before, offset, 1)))
		ret->expects = MQL_EXPECTS_DURATION;
	else if (in_label_list(p))
		ret->expects = MQL_EXPECTS_LABEL;
	else if (ends_operand(before))
		ret->expects = MQL_EXPECTS_OPERATOR;
	else
		ret->expects = MQL_EXPECTS_METRIC | MQL_EXPECTS_FUNCTION;
}

/*
 * What is being written: the token that touches the cursor, or a string that is still open, which
 * the lexer stops in front of. Sets the piece and says how many tokens are before it.
 */
static size_t find_piece(struct str head, const struct toks *toks, struct mql_context *ret)
{
	const struct tok *last = toks->n > 1 ? &toks->v[toks->n - 2] : NULL;
	size_t lexed = toks->v[toks->n - 1].pos;
	char open = lexed < head.len ? head.p[lexed] : '\0';

	ret->from = ret->to = (uint32_t)head.len;
	if (open == '"' || open == '\'' || open == '`') {
		ret->from = (uint32_t)lexed;
		ret->prefix = str_skip(head, lexed + 1);
		return toks->n - 1;
	}
	if (!last || last->kind == TOK_PUNCT || last->kind == TOK_STRING ||
	    last->pos + last->text.len != head.len)
		return toks->n - 1;
	ret->from = last->pos;
	ret->prefix = last->text;
	return toks->n - 2;
}

int mql_complete(struct str text, size_t at, struct mql_context *ret)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(MEMORY_MAX);
	struct str head = { text.p, MIN(at, text.len) };
	struct place p = { .n = 0 };
	struct toks toks;
	int r = lex_some(head, &arena, &toks);

	if (r < 0)
		return r;
	*ret = (struct mql_context){ 0 };
	size_t n = find_piece(head, &toks, ret);

	for (size_t i = 0; i < n; i++)
		step(&p, &toks.v[i], i > 0 ? &toks.v[i - 1] : NULL);
	if (p.beyond == 0)
		expect(&p, n > 0 ? &toks.v[n - 1] : NULL, n > 1 ? &toks.v[n - 2] : NULL, ret);
	return 0;
}
