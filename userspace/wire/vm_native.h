/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * VictoriaMetrics' native export: what its /api/v1/export/native writes, its import reads and vmctl
 * carries from one server to another.
 *
 *	stream   min and max time (two 64-bit zigzag numbers), then blocks
 *	block    32-bit length and the name of the series; 32-bit length and its samples
 *	name     metric name, then name and value of each label by name; each ends with the
 *	         byte 1, the metric name included; bytes 0, 1 and 2 are 0 '0', 0 '1' and 0 '2'
 *	samples  varints: min and max time, first value, count, exponent; the kinds of both
 *	         columns and the precision in a byte each; the bytes of both columns with their
 *	         length
 *
 * Numbers of fixed size are big-endian. Columns: vm_column.h, values: vm_decimal.h.
 * Source: github.com/VictoriaMetrics/VictoriaMetrics, lib/protoparser/native, lib/storage/block.go
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

#define VM_BLOCK_SAMPLES 8192u /* that we write; twice as many are read */

/* --- writing ---------------------------------------------------------------------------------- */

void vm_native_put_head(struct buf *out, int64_t min_ms, int64_t max_ms);

/*
 * vm_native_put_block() - as many of the samples as one block holds without a loss: returns how
 * many, at least 1 when @n is not 0. Labels are sorted by name, the metric name is one of them.
 * Errors stick to @out.
 */
uint32_t vm_native_put_block(struct buf *out, const struct label *labels, uint32_t n_labels,
                             const int64_t *ts_ms, const double *values, uint32_t n);

/* --- reading ---------------------------------------------------------------------------------- */

#define VM_NATIVE_LABELS_MAX (LABELS_MAX + 8u) /* more than a series may have: to say so */

struct vm_native {
	struct str rest; /* of the stream */
	int64_t min_ms, max_ms;
	uint64_t n_blocks; /* begun so far */
	/* The block of the moment; the samples outside of the stream's times are left out. */
	struct label labels[VM_NATIVE_LABELS_MAX];
	struct sample samples[2 * VM_BLOCK_SAMPLES];
	uint32_t n_labels, n_samples;
	/* Room for decoding. */
	int64_t times[2 * VM_BLOCK_SAMPLES], numbers[2 * VM_BLOCK_SAMPLES];
	struct buf texts, scratch;
};

/* @stream is untrusted and must outlive @v, which is zeroed. -EPROTO with @e: it has no head. */
int vm_native_begin(struct vm_native *v, struct str stream, struct err *e);

/*
 * vm_native_next() - the next block into @v: 0, or 1 at the end, or
 *   -EBADMSG  the block is damaged; the next call goes on behind it
 *   -EPROTO   the stream is: there is no going on
 *   -ENOMEM
 */
int vm_native_next(struct vm_native *v, struct err *e);
void vm_native_done(struct vm_native *v);
