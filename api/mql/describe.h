/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What a query editor wants to know about a text that may not be a query yet: its tokens, its tree,
 * and what may stand at the cursor.
 *
 * Threads  Pure functions. Cost: one pass over the text.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

/*
 * mql_tree_json() - the tree as JSON in the words of Prometheus' /api/v1/parse_query
 * (vectorSelector, matrixSelector, subquery, call, aggregation, binaryExpr, numberLiteral,
 * stringLiteral, parenExpr), templates expanded. What only MetricsQL has are further members:
 * "sets" of a selector with "or", "keepMetricNames", "limit", durations as written where they
 * depend on the step.
 *
 * Errors as mql_format().
 */
int mql_tree_json(struct str text, struct buf *out, struct err *e);

/*
 * mql_tokens_json() - [[kind, from, to], …], bytes of the text; kinds are name, function,
 * aggregate, keyword, label, string, number, duration, operator, bracket. A text that breaks off in
 * the middle of a token has the tokens before that.
 */
int mql_tokens_json(struct str text, struct buf *out);

/* What may stand somewhere. */
enum mql_expects {
	MQL_EXPECTS_METRIC = 1,
	MQL_EXPECTS_FUNCTION = 2, /* aggregates, too */
	MQL_EXPECTS_LABEL = 4,
	MQL_EXPECTS_VALUE = 8,    /* of @label */
	MQL_EXPECTS_MATCHER = 16, /* = != =~ !~ */
	MQL_EXPECTS_DURATION = 32,
	MQL_EXPECTS_OPERATOR = 64, /* and modifiers: by, offset, @, … */
};

struct mql_context {
	unsigned expects;  /* bits; 0 = anything, or nothing is known */
	uint32_t from, to; /* the piece of text that a suggestion replaces, up to the cursor */
	struct str prefix; /* that piece, without an opening quote */
	struct str label;  /* whose values are meant */
	struct str metric; /* that labels and values are of; empty = of any */
};

/* What may stand at byte @at, by what stands before it. -ENOMEM. Slices point into @text. */
int mql_complete(struct str text, size_t at, struct mql_context *ret);
