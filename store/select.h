/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From matchers to series: set algebra over whatever has labels and lists of the series that carry
 * them, the head and blocks alike.
 *
 * Plan     Of a set of matchers first those that need the label: exact texts, then expressions;
 *          what they leave is then freed from what the others refuse. A matcher that accepts the
 *          missing label is never asked who lacks it, but who has a value that it refuses.
 * Cost     one look-up for each plain text; one run of an expression for each distinct value that
 *          begins as it does.
 */

#include <roaring/roaring.h>

#include "store/match.h"

/* Somebody who has series. Calls return 0 or a negative code, with @e. */
struct select_source {
	void *ctx;
	uint32_t first, n; /* its series are the numbers [first, first + n) */
	/* Adds the series with this label; with an empty value those that have the label at all. */
	int (*exact)(void *ctx, struct str name, struct str value, roaring_bitmap_t *to,
	             struct err *e);
	/* Adds the series with a value that @m covers. */
	int (*covered)(void *ctx, const struct match *m, roaring_bitmap_t *to, struct err *e);
};

struct match_set {
	struct match *v;
	size_t n;
};

/* The matchers of a selection, ready for use. */
struct selection {
	struct match_set *sets; /* the last one is the enforced */
	size_t n_sets;
};

/* -EINVAL with @e for a bad regular expression, -ENOMEM. */
int selection_init(struct selection *s, const struct store_match_set *sets, size_t n_sets,
                   const struct store_match_set *enforced, struct err *e);
void selection_done(struct selection *s);

/* The series of @src that satisfy any of the sets, and the enforced one. NULL on failure. */
int selection_run(const struct selection *s, const struct select_source *src,
                  roaring_bitmap_t **ret, struct err *e);
DEFINE_CLEANUP(roaring_bitmap_t *, roaring_bitmap_free);
