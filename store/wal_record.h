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
void wal_put_samples(struct buf *out, uint64_t ref, const struct sample *v, uint32_t n);

struct wal_record_ops {
	int (*series)(void *ctx, const struct wal_series *s);
	int (*samples)(void *ctx, uint64_t ref, const struct sample *v, uint32_t n);
};

/* Untrusted bytes. 0, -EBADMSG, -ENOMEM, or what a callback returned. */
int wal_parse(struct str payload, const struct wal_record_ops *ops, void *ctx);
