/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Matchers, made ready once for a query and asked about the values of any number of sources.
 *
 * A regular expression is first looked at for what spares running it: ".*" and ".+", a choice of
 * plain texts ("a|b"), a plain beginning ("app-0.*"). Anchored at both ends.
 */

#include "store/store.h"

struct cxx_regex;

#define MATCH_TEXTS_MAX 64u /* plain texts of one expression */

enum match_kind {
	MATCH_TEXTS, /* is one of texts[] */
	MATCH_ANY,   /* is anything but empty */
	MATCH_REGEX  /* begins with @prefix, and matches */
};

struct match {
	struct str name; /* borrowed */
	bool is_negated;
	bool takes_empty; /* a series without the label is accepted */
	enum match_kind kind;
	struct str texts[MATCH_TEXTS_MAX]; /* not empty ones */
	uint32_t n_texts;
	struct str prefix;
	struct cxx_regex *re;
};

/* -EINVAL with @e for a bad regular expression, -ENOMEM. */
int match_init(struct match *m, const struct store_matcher *from, struct err *e);
void match_done(struct match *m);

/* Whether the kind covers @value, which is not empty; the negation is the caller's. */
bool match_covers(const struct match *m, struct str value);
