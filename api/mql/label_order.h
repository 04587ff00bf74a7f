/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The order in which VictoriaMetrics keeps the labels of a stored series: a few well-known ones in
 * front of all others, which are in order of their names. It shows in the order of series in an
 * answer and in the choice of limitk(), and dashboards that are moved here should look the same.
 */

#include "api/mql/series.h"

#define LABEL_ORDER_MAX 64u /* labels that are put in order; more stay where they are */

/*
 * label_order() - fills @ret[0 .. min(mn->n_tags, LABEL_ORDER_MAX)) with places in mn->tags. In the
 * order of names unless mn->as_stored. Returns how many it filled.
 */
uint32_t label_order(const struct mname *mn, uint8_t *ret);
