/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From decoded requests to the store: every way in (remote write, text) ends here. A series comes
 * with its labels as the label fields of a remote write, whatever way it came, so that a series
 * that was seen before is found by those bytes alone.
 *
 * Organisation  On the root path the label __org__ of a series says whose it is; without one it is
 *               the first organisation's. On the path of one organisation the label may only
 *               repeat that. It is stripped in any case. A series of an organisation that is not
 *               served is refused by itself, the others are stored.
 * Refusals      are counted by reason and the first one keeps its sentence; they do not keep good
 *               samples of the same request out.
 */

#include "api/region.h"
#include "userspace/base/sample.h"

struct intake {
	struct region *region;
	struct str org;             /* of the path; empty on the root path */
	uint64_t accepted, refused; /* samples; a plain NaN counts as neither */
	struct err first;           /* about the first refused series */
};

/*
 * intake_add() - stores @n series. 0 once all that was not refused is durable, or an error of
 * store_append_keyed().
 */
int intake_add(struct intake *in, const struct series_keyed *series, size_t n);
