/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Text of a query into tokens. The whole text is cut up at once (a query has at most
 * limits.text_bytes_max bytes), so that the parser may look ahead as far as it likes.
 *
 * Inside [..] a colon is a token of its own; elsewhere it is a letter of names, as Prometheus'
 * recording rules have it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/err.h"
#include "userspace/base/str.h"

enum tok_kind {
	TOK_END,
	TOK_IDENT,    /* a name or a word operator; may hold escapes, see lex_unescape() */
	TOK_STRING,   /* with its quotes; see lex_unquote() */
	TOK_NUMBER,   /* decimal, 0x 0o 0b, with suffixes such as Ki */
	TOK_DURATION, /* 1h30m, 5i, $__interval */
	TOK_PUNCT,    /* brackets, comma, colon, @ and the symbols of operators and matchers */
};

struct tok {
	enum tok_kind kind;
	struct str text; /* a slice of the query; "" at the end */
	uint32_t pos;    /* byte in the query */
};

struct toks {
	struct tok *v; /* the last one is TOK_END */
	size_t n;
};

/* 0; -EINVAL with @e (an odd character, an open string, a bad number); -ENOMEM, -ENOSPC. */
int lex_all(struct str text, struct arena *arena, struct toks *ret, struct err *e);

/*
 * The bytes that a TOK_STRING means: Go's escapes in "..." and '...', none in `...`.
 * -EINVAL with @e for a bad escape.
 */
int lex_unquote(const struct tok *t, struct arena *arena, struct str *ret, struct err *e);

/* The name that a TOK_IDENT means: \. \- \xNN \uNNNN become characters. */
int lex_unescape(const struct tok *t, struct arena *arena, struct str *ret);

bool lex_is_name_start(unsigned char c);
bool lex_is_name_char(unsigned char c); /* of a name that needs no escape when printed */
