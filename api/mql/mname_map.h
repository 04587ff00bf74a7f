/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Label sets to running numbers: 0 for the first new one, 1 for the second, and so on. Finding one
 * hashes its texts and copies nothing.
 */

#include "api/mql/series.h"

struct mname_map {
	struct mname *v; /* by number */
	uint32_t n, cap;
	struct mname_slot *slots;
	uint32_t n_slots; /* a power of two */
};

/*
 * mname_map_add() - finds or adds @mn; sets *@ret to its number. With @copy, a new one's labels and
 * texts are copied into the arena, since they are borrowed. 0 or arena_error().
 */
int mname_map_add(struct arena *arena, struct mname_map *m, const struct mname *mn, bool copy,
                  uint32_t *ret);
/* False when @mn was never added. */
bool mname_map_find(const struct mname_map *m, const struct mname *mn, uint32_t *ret);

bool mname_eq(const struct mname *a, const struct mname *b);
