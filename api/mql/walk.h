/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Walks along the points of a series that the running_* and range_* functions share. */

#include <stdint.h>

#include "api/mql/eval.h"

uint32_t walk_first(const double *v, uint32_t n); /* index of the first value; n = none */
void walk_running_sum(double *v, uint32_t n);
void walk_running_max(double *v, uint32_t n);
void walk_running_min(double *v, uint32_t n);
void walk_running_avg(double *v, uint32_t n);

/*
 * Applies @f to each series of argument @series. Names follow the row's flags alone: like
 * VictoriaMetrics it does not ask for keep_metric_names.
 */
int walk_each(struct fn_args *a, uint32_t series, void (*f)(double *v, uint32_t n),
              struct series_set *ret);
