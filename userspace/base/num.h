/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Text to number and back. Every parser takes the whole slice or fails: trailing bytes are an
 * error, nothing depends on the locale, nothing reads past the slice.
 */

#include <stdint.h>

#include "userspace/base/str.h"

/* The longest plain decimal double: "-" + 309 digits, or "-0." + 323 zeros and 17 digits. */
#define NUM_DOUBLE_BYTES_MAX 352

/* 0, -EINVAL (not a number of this kind) or -ERANGE (does not fit). */
int num_parse_u64(struct str s, uint64_t *ret);
int num_parse_i64(struct str s, int64_t *ret);
int num_parse_hex(struct str s, uint64_t *ret); /* lower case, no 0x, at most 16 digits */

/*
 * num_parse_double() - Prometheus' number text: decimal or exponent form, optional sign, and
 * Inf/Infinity/NaN in any case. Values beyond the range become +-Inf or 0, as Go's parser does
 * for exposition text. Returns 0 or -EINVAL. No hexadecimal.
 */
int num_parse_double(struct str s, double *ret);

/* Decimal; writes at most NUM_U64_BYTES_MAX bytes, no NUL; returns how many. */
#define NUM_U64_BYTES_MAX 20
size_t num_format_u64(uint64_t v, char *dst);

/*
 * num_format_double() - shortest decimal text that reads back as the same bits, in plain notation
 * (never an exponent; zeros behind the digits that matter), as query results print it: 1,
 * 0.0000001, 1000000000000000000000, +Inf, -Inf, NaN, -0. Writes at most NUM_DOUBLE_BYTES_MAX
 * bytes, no NUL; returns how many.
 */
size_t num_format_double(double v, char *dst);

/*
 * num_parse_duration_ms() - configuration durations: one or more <integer or decimal><unit>,
 * units ms s m h d w y (y = 365 d), "0" alone is legal, no sign. -EINVAL or -ERANGE.
 */
int num_parse_duration_ms(struct str s, int64_t *ret_ms);

/* num_parse_size() - bytes: plain number or with B, KiB, MiB, GiB, TiB, KB, MB, GB, TB. */
int num_parse_size(struct str s, uint64_t *ret_bytes);

/* Lower-case hexadecimal of exactly @digits digits (<= 16), NUL-terminated. */
void num_format_hex(uint64_t v, unsigned digits, char *dst);
