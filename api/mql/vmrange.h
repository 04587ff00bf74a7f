/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The buckets that histogram() and histogram_over_time() sort values into: 18 for each power of ten
 * from 1e-9 to 1e18, one below them and one above. Their label texts are "low...high".
 */

#include <stdint.h>

#include "userspace/base/str.h"

#define VMRANGE_BUCKETS (27 * 18u + 2)

struct vmrange_counts {
	uint32_t v[VMRANGE_BUCKETS];
};

/* Values that belong to no bucket (NaN, negative ones) are not counted. */
void vmrange_count(struct vmrange_counts *c, double v);

struct str vmrange_text(uint32_t bucket); /* its label; lives for ever */
