/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A column of 64-bit integers: what timestamps are, and what values become (store/valcol.h).
 *
 * Shape    1 <= n <= COLUMN_ROWS_MAX numbers, any of them. The count is not in the bytes.
 * Bytes    a first number, a step and packed rests; docs/format/column.md is the normative text.
 *          Numbers are modelled by their minimum, by their steps, or by the steps of their steps,
 *          and divided by what divides all of them; whichever is the shortest.
 * Why      Counters have small steps, gauges of memory are whole pages, scrapes have one interval:
 *          after this the rests have few bits, and unpacking them is a load and a shift each.
 * Threads  Pure functions.
 */

#include <stddef.h>
#include <stdint.h>

#include "store/bitpack.h"
#include "userspace/base/varint.h"

#define COLUMN_ROWS_MAX   8192u
#define COLUMN_GROUP      128u /* rests with one width */
#define COLUMN_GROUPS_MAX (COLUMN_ROWS_MAX / COLUMN_GROUP)

/* Bytes that encoding @n numbers takes at most, and those it may write behind them. */
#define INTCOL_BOUND(n) \
	(3 + 4 * VARINT64_BYTES_MAX + (n) / COLUMN_GROUP + (size_t)(n)*8 + BITPACK_SLACK)

/* What an encoder of @n numbers needs beside them: three arrays of so many. */
struct intcol_scratch {
	uint64_t *quotient, *step, *rest;
};

/* Returns the bytes written to @dst, which has room for INTCOL_BOUND(@n). */
size_t intcol_encode(const int64_t *v, uint32_t n, uint8_t *dst,
                     const struct intcol_scratch *scratch);

/*
 * intcol_decode() - @src is untrusted, but BITPACK_SLACK bytes behind it can be read.
 *
 * Returns 0 and fills @ret[0..n), or -EBADMSG when @src is not exactly one column of @n numbers.
 */
int intcol_decode(const uint8_t *src, size_t bytes, uint32_t n, int64_t *ret);
