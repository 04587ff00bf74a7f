/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * WITH templates: WITH (limit = 5, busy(q, w) = rate(q[w]) > limit) busy(cpu, 5m).
 *
 * Scope    Lexical: a body sees its parameters and the templates in front of its own definition.
 *          A template hides functions and metrics of its name. Four are built in.
 * Values   A template without parameters is parsed once, where it is defined; an argument, where
 *          the call stands. The trees are shared by all uses, each with a root of its own, so the
 *          parser never changes anything below a template's root.
 * Calls    Parse the tokens of the body again, with the arguments in scope.
 * Bombs    Sharing makes trees that are small in memory and endless to walk. Each node knows the
 *          size of its tree, and what is above AST_SIZE_MAX is refused; so is too much parsing.
 */

#include "api/mql/parser.h"

/* "WITH (..) expr" at the next token. */
int with_parse(struct parser *p, struct ast **ret);

/* The user's template that @name means here, or NULL. */
const struct with_def *with_find(const struct parser *p, struct str name);

/* What name(..) calls, built-in templates included; *@ret is NULL if that is no template. */
int with_find_callable(struct parser *p, struct str name, const struct with_def **ret);

/* May it be used without parentheses? Otherwise the name is that of a metric. */
bool with_is_value(const struct with_def *d);

/* The value behind a name; only its root may be changed. NULL in *@ret: an unknown argument. */
int with_value(struct parser *p, const struct with_def *d, const struct tok *at, struct ast **ret);

/* name(args); the opening parenthesis is the next token. */
int with_call(struct parser *p, const struct with_def *d, const struct tok *at, struct ast **ret);

/*
 * The text that a name stands for as a string, or as a duration; -EINVAL if it is anything else.
 * An unknown argument gives "" or "1s".
 */
int with_string(struct parser *p, const struct tok *at, struct str name, struct str *ret);
int with_duration(struct parser *p, const struct tok *at, struct str name, struct str *ret);

/* The label filters behind a name in {..}: exactly one set, without a metric name. */
int with_filters(struct parser *p, const struct tok *at, struct str name,
                 struct store_match_set *ret);

/* The labels behind a name in by (..): an argument that is a name or a list of names. */
int with_names(struct parser *p, const struct with_def *d, const struct tok *at,
               struct ast_names *ret);
