/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A column of float64 values, kept bit for bit: stale marks, infinities, -0 and all.
 *
 * Shape    1 <= n <= COLUMN_ROWS_MAX values. The count is not in the bytes.
 * Bytes    whole numbers that stand for the values, as a column of integers (store/intcol.h), and
 *          the few values that they cannot stand for; docs/format/column.md is the normative text.
 *          Decimals: the value is number / 10^digits (store/decimal.h). Bits: the value's own bits
 *          are the number.
 * Why      Metrics are counts, bytes and short decimals. As integers they have small steps; their
 *          bits as float64 have not.
 * Threads  Pure functions.
 */

#include "store/intcol.h"

/* Bytes that encoding @n values takes at most, and those it may write behind them. */
#define VALCOL_BOUND(n) (3 + INTCOL_BOUND(n) + (size_t)(n) * (8 + 3))

/* What an encoder of @n values needs beside them: arrays of so many. */
struct valcol_scratch {
	int64_t *number;
	uint16_t *odd; /* rows whose value the numbers cannot stand for */
	struct intcol_scratch ints;
};

/* Enough for any column. */
struct valcol_memory {
	uint64_t quotient[COLUMN_ROWS_MAX], step[COLUMN_ROWS_MAX], rest[COLUMN_ROWS_MAX];
	int64_t number[COLUMN_ROWS_MAX];
	uint16_t odd[COLUMN_ROWS_MAX];
};

static inline struct valcol_scratch valcol_scratch_in(struct valcol_memory *m)
{
	return (struct valcol_scratch){ m->number, m->odd, { m->quotient, m->step, m->rest } };
}

/* Returns the bytes written to @dst, which has room for VALCOL_BOUND(@n). */
size_t valcol_encode(const double *v, uint32_t n, uint8_t *dst,
                     const struct valcol_scratch *scratch);

/*
 * valcol_decode() - @src is untrusted, but BITPACK_SLACK bytes behind it can be read.
 *
 * Returns 0 and fills @ret[0..n), or -EBADMSG when @src is not exactly one column of @n values.
 */
int valcol_decode(const uint8_t *src, size_t bytes, uint32_t n, double *ret);
