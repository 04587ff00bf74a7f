/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The bytes inside a log frame: a run of records. docs/format/wal.md is the normative text.
 *
 *	ORG     binds a number to an organisation
 *	TEXT    binds a number to a label of an organisation
 *	SERIES  binds numbers to label sets
 *	SAMPLES samples of series by number
 *
 * What is bound holds for the rest of the chain of segments. A lost frame costs its own samples and
 * those of the series that it bound.
 */

#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/sample.h"

#define WAL_NUMBERS_MAX (1u << 28) /* of organisations, labels, series */

void wal_put_org(struct buf *out, uint32_t org, struct str name);
void wal_put_text(struct buf *out, uint32_t org, uint32_t text, const struct label *l);

/* A SERIES record, series by series: each is measured from the one before. */
struct wal_series {
	uint32_t number, n_labels;
	uint32_t labels[LABELS_MAX];
};
void wal_put_series_head(struct buf *out, uint32_t org, uint32_t n_series);
void wal_put_series(struct buf *out, struct wal_series *before, uint32_t number,
                    const uint32_t *labels, uint32_t n_labels);

/* A SAMPLES record, sample by sample: each is measured from the one before. */
struct wal_samples {
	uint32_t series;
	int64_t ts_ms;
};
#define WAL_SAMPLE_BYTES_MAX 30u
void wal_put_samples_head(struct buf *out, uint64_t n_samples);
/* @p has WAL_SAMPLE_BYTES_MAX bytes of room. Returns the byte behind. */
uint8_t *wal_put_sample(uint8_t *p, struct wal_samples *before, uint32_t series,
                        const struct sample *x);

struct wal_record_ops {
	int (*org)(void *ctx, uint32_t org, struct str name);
	int (*text)(void *ctx, uint32_t org, uint32_t text, const struct label *l);
	int (*series)(void *ctx, uint32_t org, uint32_t series, const uint32_t *labels, uint32_t n);
	int (*sample)(void *ctx, uint32_t series, const struct sample *x);
};

/* Untrusted bytes. 0, -EBADMSG, -ENOMEM, or what a callback returned. */
int wal_parse(struct str payload, const struct wal_record_ops *ops, void *ctx);
