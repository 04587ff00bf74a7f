/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* One matcher, ready to be asked about values. Regular expressions are anchored at both ends. */

#include "store/store.h"

struct cxx_regex;

struct match {
	enum store_match_op op;
	struct str value; /* borrowed */
	struct cxx_regex *re;
};

int match_init(struct match *m, const struct store_matcher *from, struct err *e);
void match_done(struct match *m);
bool match_value(const struct match *m, struct str value); /* empty = missing */
