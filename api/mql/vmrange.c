/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/vmrange.h"

#include <math.h>
#include <stdio.h>

#define EXP10_MIN         (-9)
#define PER_DECADE        18
#define VMRANGE_BYTES_MAX 32u
#define LOG10_OF_2        0.30102999566398119521

/* Equal to Go's to the last bit, so that powers of ten fall on the bounds exactly. */
static double log10_exact(double v)
{
	int exponent;
	double fraction = frexp(v, &exponent);

	if (fraction == 0.5)
		return (exponent - 1) * LOG10_OF_2;
	return (log(fraction) * M_LOG2E + exponent) * LOG10_OF_2;
}

void vmrange_count(struct vmrange_counts *c, double v)
{
	if (isnan(v) || v < 0)
		return;
	double at = isinf(v) ? (double)VMRANGE_BUCKETS
	            : v == 0 ? -1
	                     : (log10_exact(v) - EXP10_MIN) * PER_DECADE;

	if (at < 0) {
		c->v[0]++;
		return;
	}
	if (at >= VMRANGE_BUCKETS - 2) {
		c->v[VMRANGE_BUCKETS - 1]++;
		return;
	}
	uint32_t i = (uint32_t)at;

	/* A bound belongs to the bucket below it, as with "le". */
	if (at == i && i > 0)
		i--;
	c->v[i + 1]++;
}

static char texts[VMRANGE_BUCKETS][VMRANGE_BYTES_MAX];

/* Bounds by repeated multiplication: the texts depend on how the error grows. */
__attribute__((constructor)) static void vmrange_init(void)
{
	const double step = pow(10, 1.0 / PER_DECADE);
	double low = 1e-9;

	(void)snprintf(texts[0], VMRANGE_BYTES_MAX, "0...%.3e", low);
	for (uint32_t i = 1; i < VMRANGE_BUCKETS - 1; i++) {
		double high = low * step;

		(void)snprintf(texts[i], VMRANGE_BYTES_MAX, "%.3e...%.3e", low, high);
		low = high;
	}
	(void)snprintf(texts[VMRANGE_BUCKETS - 1], VMRANGE_BYTES_MAX, "%.3e...+Inf", 1e18);
}

struct str vmrange_text(uint32_t bucket)
{
	return str_from(texts[bucket]);
}
