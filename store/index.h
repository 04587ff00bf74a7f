/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The inverted index of one organisation: label name -> value -> ids of the series that carry it.
 *
 * Shape    ids are dense and handed out in order, so each list is ascending by construction.
 * Look-up  a matcher becomes a bit set over all ids: the union of the lists of the values that it
 *          accepts, and, when it accepts the empty value, all series that lack the label. A set of
 *          matchers is the AND of theirs. A regular expression runs once for each distinct value.
 * Threads  guarded by the tenant's lock (head.h): readers share, adding is exclusive.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct index_name;

struct index_value {
	struct str text; /* owned */
	const struct index_name *name;
	uint32_t *ids;
	uint32_t n, cap;
};

struct index_name {
	struct str text; /* owned */
	struct index_value **values;
	struct index_value **table; /* open addressing by hash of the text */
	size_t n_values, values_cap, table_cap;
};

struct index {
	struct index_name **names;
	size_t n_names, names_cap;
	uint32_t n_ids;
	size_t bytes;
};

void index_done(struct index *x);

/*
 * Interns each label; @ret_values (room for @n) live as long as the index, and are ready to take
 * one more id. -ENOMEM leaves a value without ids at worst.
 */
int index_intern(struct index *x, const struct label *labels, uint32_t n,
                 struct index_value **ret_values);
/* The next id, with the labels of the index_intern() just before. Cannot fail. */
uint32_t index_add(struct index *x, struct index_value *const *values, uint32_t n);

struct bits {
	uint64_t *w;
	size_t n_words;
};

void bits_done(struct bits *b);
static inline bool bits_has(const struct bits *b, uint32_t id)
{
	return (b->w[id / 64] >> (id % 64)) & 1;
}

/*
 * Ids that satisfy @sel (any of the sets, and all of the enforced). -EINVAL with @e for a bad
 * regular
 * expression, -ECANCELED, -ENOMEM.
 */
int index_select(const struct index *x, const struct store_select *sel, struct bits *ret,
                 struct err *e);
