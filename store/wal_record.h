/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The bytes inside a WAL frame: a run of records. docs/format/wal.md is the normative text.
 *
 *	SERIES  binds a reference to an organisation and a label set, for the rest of the segment
 *	SAMPLES samples of series by reference
 *
 * References have no meaning beyond their segment: each segment registers a series again before it
 * mentions it, so a lost segment costs only its own samples.
 */

#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/sample.h"

struct wal_series {
	uint64_t ref;
	struct str org;
	const struct label *labels; /* canonical */
	uint32_t n_labels;
};

void wal_put_series(struct buf *out, const struct wal_series *s);

/* Bytes that wal_put_series() and one wal_put_sample() take at most. */
size_t wal_series_bytes_max(const struct wal_series *s);
#define WAL_SAMPLE_BYTES_MAX 30u

/* A SAMPLES record, sample by sample: each is measured from the one before. */
struct wal_samples {
	uint64_t ref;
	int64_t ts_ms;
};
void wal_put_samples_head(struct buf *out, uint64_t n_samples);
/* @p has WAL_SAMPLE_BYTES_MAX bytes of room. Returns the byte behind. */
uint8_t *wal_put_sample(uint8_t *p, struct wal_samples *before, uint64_t ref,
                        const struct sample *x);

struct wal_record_ops {
	int (*series)(void *ctx, const struct wal_series *s);
	int (*sample)(void *ctx, uint64_t ref, const struct sample *x);
};

/* Untrusted bytes. 0, -EBADMSG, -ENOMEM, or what a callback returned. */
int wal_parse(struct str payload, const struct wal_record_ops *ops, void *ctx);
