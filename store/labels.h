/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Label sets: what is accepted, and their canonical form and order.
 *
 * Key order  The order of series everywhere: the metric name, then the other labels one by one,
 *            name before value, bytewise; a set that ends is before one that goes on. So the series
 *            of one metric are neighbours.
 */

#include "store/store.h"

struct label_limits {
	uint32_t labels_max; /* of one series, the metric name included; at most LABELS_MAX */
	uint32_t name_bytes_max, value_bytes_max;
};

#define LABEL_LIMITS_MAX ((struct label_limits){ LABELS_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX })

/*
 * labels_canonical() - @labels without empty values, the metric name first, the others sorted, into
 * @ret (borrowed slices, room for LABELS_MAX). Returns 0, or -EINVAL with the reason and a
 * sentence.
 */
int labels_canonical(const struct label *labels, uint32_t n, const struct label_limits *limits,
                     struct label *ret, uint32_t *ret_n, enum store_refusal *ret_why,
                     struct err *e);

/* Sorted by name, with the metric name at its place, as others see labels; in place. */
void labels_sort_name_in(struct label *labels, uint32_t n);
