/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups that spread the samples of a window over several series; see rollup_many.h. */
#include "api/mql/fn_tables.h"
#include "api/mql/numtext.h"
#include "api/mql/rollup_many.h"
#include "api/mql/vmrange.h"

#include <errno.h>
#include <math.h>

#include "userspace/base/util.h"

static int put(struct rollup_spread *to, struct str tag, double v)
{
	double *slot = rollup_slot_of(to, tag);

	if (!slot)
		return -ENOMEM; /* the sentence is already there */
	*slot = v;
	return 0;
}

static int spread_buckets(struct rollup_spread *to, const struct rollup_window *w)
{
	struct vmrange_counts counts = { 0 };
	int r = 0;

	for (uint32_t i = 0; i < w->n; i++)
		vmrange_count(&counts, w->values[i]);
	for (uint32_t i = 0; r == 0 && w->n > 0 && i < VMRANGE_BUCKETS; i++) {
		if (counts.v[i] > 0)
			r = put(to, vmrange_text(i), counts.v[i]);
	}
	return r;
}

static int spread_values(struct rollup_spread *to, const struct rollup_window *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		char text[NUMTEXT_GENERAL_BYTES_MAX];
		size_t n = numtext_general(w->values[i], text);
		double *slot = rollup_slot_of(to, (struct str){ text, n });

		if (!slot)
			return -ENOMEM;
		*slot = isnan(*slot) ? 1 : *slot + 1;
	}
	return 0;
}

static int spread_quantiles(struct rollup_spread *to, const struct rollup_window *w)
{
	int r = 0;

	if (w->n == 0)
		return 0;
	memcpy(w->scratch, w->values, w->n * sizeof(*w->values));
	(void)quantile_inplace(0.5, w->scratch, w->n);
	for (uint32_t i = 0; r == 0 && i < to->call->n_numbers; i++)
		r = put(to, to->call->texts[i],
		        quantile_sorted(to->call->numbers[i], w->scratch, w->n));
	return r;
}

static const struct rollup_many buckets = { .label = "vmrange", .spread = spread_buckets };
static const struct rollup_many values = { .spread = spread_values };
static const struct rollup_many quantiles = { .spread = spread_quantiles };

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_MANY_ROW(histogram_over_time, buckets, 1, 1, 0, 0,
			   "Number of samples in each bucket, with its bounds in vmrange."),
	FN_ROLLUP_MANY_ROW(count_values_over_time, values, 2, 2, 1, FN_LABELS_FIRST,
			   "Number of samples of each value; the value goes into the label."),
	FN_ROLLUP_MANY_ROW(quantiles_over_time, quantiles, 3, FN_VARIADIC, FN_LAST_ARG, FN_KEEP_NAME,
			   "The phi-quantiles of the samples; phi goes into the label."),
	/* clang-format on */
};

const struct fn_table fn_rollup_spread = { rows, ARRAY_SIZE(rows) };
