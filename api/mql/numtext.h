/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Numbers and durations as the language writes them. */

#include <stdint.h>

#include "userspace/base/str.h"

/* A TOK_NUMBER's value: 1_000, 0x1f, 0o17, 017, 0b11, 1e3, 1.5Ki, 3MB. -EINVAL. */
int numtext_number(struct str s, double *ret);

/*
 * Milliseconds of a duration: parts such as 1h, 1.5d, -3m, 5i (times @step_ms), a bare number of
 * seconds, $__interval (one step). A leading minus makes the whole negative. Cut at the ends of
 * int64. -EINVAL.
 */
int numtext_duration_ms(struct str s, int64_t step_ms, int64_t *ret_ms);

/* The shortest text in the manner of C's %g: 0.5, 1e+06, -Inf. Returns its length. */
#define NUMTEXT_GENERAL_BYTES_MAX 32u
size_t numtext_general(double v, char dst[static NUMTEXT_GENERAL_BYTES_MAX]);
