/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Statistics that rollups and aggregates share. Values hold no NaN; sorting ones reorder them. */

#include <stdint.h>

double stats_stdvar(const double *v, uint32_t n); /* of the population; NaN when n is 0 */
double stats_mad(double *v, uint32_t n);          /* median absolute deviation */
double stats_distinct(double *v, uint32_t n);
/* The most frequent value; @prev (may be NaN) counts as seen, too, and wins ties. */
double stats_mode(double prev, double *v, uint32_t n);
