/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The tree of a query. Nodes and their texts live in the arena they were parsed into; after
 * parsing and folding nobody changes them.
 *
 * Depth    No tree is higher than AST_HEIGHT_MAX, so every walk may recurse.
 * Sharing  Parts that come of one WITH template may be the same nodes; see with.h.
 * Parens   "(x)" is x with @parens set: enough to keep operators from reaching inside.
 *          "(a, b)" and "()" are calls of union().
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "userspace/base/str.h"

#define AST_HEIGHT_MAX 400u
#define AST_SIZE_MAX   20000u

enum ast_kind {
	AST_NUMBER,
	AST_STRING,
	AST_DURATION, /* as a value: seconds; depends on the step when it has an "i" part */
	AST_SELECTOR,
	AST_ROLLUP, /* expr[window:step] offset o @ at */
	AST_CALL,   /* rollup, transform or aggregate function */
	AST_BINOP,
	AST_WITH, /* only in trees that are kept as written, see parse_as_written() */
};

struct ast;
struct fn;
struct binop;

/* Duration texts keep their form, because "5i" means something else at every step. */
struct ast_rollup {
	struct ast *expr;
	struct str window, step, offset; /* "" = not given */
	bool inherit_step;               /* [w:] */
	struct ast *at;                  /* NULL = not given */
};

struct ast_names {
	struct str *v;
	uint32_t n;
};

enum ast_group {
	AST_GROUP_NONE,
	AST_GROUP_BY,
	AST_GROUP_WITHOUT,
};

struct ast_call {
	const struct fn *fn; /* NULL: a template's name, in a tree that is kept as written */
	struct str name;     /* as written; "" = (a, b) */
	struct ast **args;
	uint32_t n_args;
	bool keep_metric_names;
	enum ast_group group; /* aggregates */
	struct ast_names labels;
	uint32_t limit; /* aggregates; 0 = none */
};

enum ast_match {
	AST_MATCH_ALL, /* no modifier: as ignoring() */
	AST_MATCH_ON,
	AST_MATCH_IGNORING,
};

enum ast_join {
	AST_JOIN_NONE,
	AST_JOIN_LEFT,
	AST_JOIN_RIGHT,
};

struct ast_binop {
	const struct binop *op;
	struct ast *left, *right;
	bool is_bool, keep_metric_names;
	enum ast_match match;
	struct ast_names labels;
	enum ast_join join;
	struct ast_names join_labels; /* "*" alone = all */
	bool has_prefix;
	struct str prefix;
};

struct ast_with_def {
	struct str name;
	const struct str *params;
	uint32_t n_params;
	struct ast *value;
};

struct ast_with {
	struct ast_with_def *defs;
	uint32_t n;
	struct ast *body;
};

struct ast {
	enum ast_kind kind;
	bool parens;
	uint32_t pos;    /* byte in the query */
	uint32_t height; /* of this tree; kept right for the roots that the parser returns */
	uint32_t size;   /* nodes of this tree, shared ones counted each time */
	union {
		struct {
			double value;
			struct str text; /* as written; "" when folded */
		} number;
		struct str string;
		struct str duration;
		struct { /* every set holds the name first, if there is one */
			const struct store_match_set *sets;
			size_t n_sets; /* 0 for {} */
		} selector;
		struct ast_rollup rollup;
		struct ast_call call;
		struct ast_binop binop;
		struct ast_with with;
	};
};

/* The metric name that all sets ask for by =, or "". */
struct str ast_selector_name(const struct ast *a);
