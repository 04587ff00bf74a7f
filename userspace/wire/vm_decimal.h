/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Values as VictoriaMetrics keeps them: whole numbers times one power of ten for a whole block. The
 * two largest numbers and the smallest one stand for infinities and the stale mark.
 */

#include <stdint.h>

#include "userspace/base/num.h"

/*
 * vm_decimal_fit() - how many of @values, from the first on, one block can hold without a loss;
 * at least 1 when @n is not 0. Fills @ret_v and *@ret_exp10 for those. A zero loses its sign.
 */
uint32_t vm_decimal_fit(const double *values, uint32_t n, int64_t *ret_v, int *ret_exp10);

/* @v times ten to the @exp10, rounded once. */
double vm_decimal_value(int64_t v, int exp10);
