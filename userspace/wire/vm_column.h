/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A column of whole numbers in VictoriaMetrics' blocks: times, or mantissas of values. The kind is
 * what the writer found best; the first number stands beside the bytes.
 *
 *	CONST         all the same; no bytes
 *	DELTA_CONST   the difference, which is always the same
 *	DELTA         differences
 *	DELTA2        the first difference, then differences of differences
 *	ZSTD_…        those two, packed
 *
 * Numbers are zigzag varints; all arithmetic wraps around.
 * Source: github.com/VictoriaMetrics/VictoriaMetrics, lib/encoding
 */

#include "userspace/base/buf.h"

enum vm_column_kind {
	VM_ZSTD_DELTA2 = 1,
	VM_DELTA_CONST = 2,
	VM_CONST = 3,
	VM_ZSTD_DELTA = 4,
	VM_DELTA2 = 5,
	VM_DELTA = 6,
};

#define VM_COLUMN_BYTES_MAX(n) ((size_t)(n)*10 + 16)

/* Appends the bytes of @v[0..n), n > 0. -ENOMEM. */
int vm_column_put(struct buf *out, const int64_t *v, uint32_t n, uint8_t *ret_kind);

/*
 * vm_column_get() - untrusted @bytes into @ret[0..n). -EBADMSG: not exactly @n numbers of that
 * kind; -ENOMEM. @scratch is for what is packed.
 */
int vm_column_get(struct str bytes, uint8_t kind, int64_t first, uint32_t n, int64_t *ret,
                  struct buf *scratch);
