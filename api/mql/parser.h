/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to the parser: what parse.c and with.c share. */

#include "api/mql/ast.h"
#include "api/mql/lex.h"
#include "userspace/base/arena.h"
#include "userspace/base/err.h"

struct with_def;

struct parser {
	const struct tok *t; /* the next token */
	struct arena *arena;
	struct err *e;
	uint32_t nesting;
	const struct with_def *scope; /* the innermost template; NULL = none */
	uint32_t work;                /* nodes made and templates expanded */
	bool checking;                /* the body of a template without its arguments */
	bool as_written;              /* see parse_as_written() */
};

/* --- parse.c */
int parser_expr(struct parser *p, struct ast **ret);
/* "(a, b)" up to the closing parenthesis; the opening one has been taken. */
int parser_args(struct parser *p, struct ast *owner, struct ast ***ret, uint32_t *ret_n);

/* Counts @child, which belongs to @a now, against the limits of height and size. */
int parser_adopt(struct parser *p, struct ast *a, const struct ast *child);

/* --- parse_select.c */
/* name, {..} or both; a template in the place of the name gives whatever its value is. */
int parser_selector(struct parser *p, struct ast **ret);

/* --- parser.c: errors and nodes */
int parser_expected(struct parser *p, const char *what); /* -EINVAL: at the next token */
int parser_no_memory(struct parser *p);
/* A step of work, against the limit that ends template bombs. */
int parser_work(struct parser *p);
int parser_node(struct parser *p, enum ast_kind kind, const struct tok *at, struct ast **ret);

/* Tokens; words are compared without case. */
bool parser_at(const struct parser *p, const char *punct);
bool parser_take(struct parser *p, const char *punct);
bool parser_is_word(const struct tok *t, const char *word);
bool parser_at_word(const struct parser *p, const char *word);
bool parser_take_word(struct parser *p, const char *word);

/* Room for one more behind the @n entries of *@v. */
int parser_grow(struct parser *p, void **v, uint32_t n, size_t bytes);

int parser_name(struct parser *p, struct str *ret); /* an identifier or a quoted name */
/* "(a, b,)", with "(*)" as the one name "*" where @star allows it. */
int parser_names(struct parser *p, bool star, struct ast_names *ret);
/* "a" + "b" + ...: a plus that no string follows is left alone. */
int parser_text(struct parser *p, struct str *ret);
/* Window, step or offset. Text, not milliseconds: the step decides what 5i is. */
int parser_duration(struct parser *p, bool may_be_negative, struct str *ret);
