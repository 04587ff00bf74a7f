/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/stats.h"

#include <math.h>

#include "api/mql/rollup.h"

double stats_stdvar(const double *v, uint32_t n)
{
	double avg = 0, q = 0;

	if (n == 0)
		return NAN;
	if (n == 1)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		double next = avg + (v[i] - avg) / (i + 1);

		q += (v[i] - avg) * (v[i] - next);
		avg = next;
	}
	return q / n;
}

double stats_mad(double *v, uint32_t n)
{
	double median = quantile_inplace(0.5, v, n);

	for (uint32_t i = 0; i < n; i++)
		v[i] = fabs(v[i] - median);
	return quantile_inplace(0.5, v, n);
}

double stats_distinct(double *v, uint32_t n)
{
	uint32_t distinct = n > 0;

	(void)quantile_inplace(0.5, v, n);
	for (uint32_t i = 1; i < n; i++)
		distinct += v[i] != v[i - 1];
	return distinct;
}

double stats_mode(double prev, double *v, uint32_t n)
{
	double mode = prev;
	int64_t start = -1, longest = 0; /* @prev stands in front of the sorted values */

	(void)quantile_inplace(0.5, v, n);
	for (uint32_t i = 0; i < n; i++) {
		if (v[i] == prev)
			continue;
		if (i - start > longest || isnan(mode)) {
			longest = i - start;
			mode = prev;
		}
		start = i;
		prev = v[i];
	}
	return n - start > longest || isnan(mode) ? prev : mode;
}
