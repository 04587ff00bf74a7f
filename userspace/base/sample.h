/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What a sample, a label and a series in transit are, for every layer: the wire decodes into
 * these, the store takes them as they are, so that nothing is converted or copied between the two.
 *
 * They live in base and not in wire because the store depends on base only.
 */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "userspace/base/str.h"

#define LABEL_NAME      "__name__" /* the metric name is a label like any other */
#define LABEL_ORG       "__org__"  /* reserved: organisation, on the host write path */
#define LABELS_MAX      64u        /* labels of one series, the metric name included */
#define LABEL_NAME_MAX  256u       /* bytes */
#define LABEL_VALUE_MAX 4096u      /* bytes */

struct label {
	struct str name, value;
};

struct sample {
	int64_t ts_ms; /* Unix time */
	double value;
};

/* One series of a write request; borrowed slices, labels in the order they came in. */
struct series_in {
	const struct label *labels;
	const struct sample *samples;
	uint32_t n_labels, n_samples;
};

/* The same by the bytes in which its labels arrived, not looked into. */
struct series_keyed {
	struct str key;
	const struct sample *samples;
	uint32_t n_samples;
};

#define STALE_BITS 0x7ff0000000000002ull /* Prometheus' stale mark: a NaN with this payload */

static inline uint64_t double_bits(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static inline double double_from_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static inline double stale_mark(void)
{
	return double_from_bits(STALE_BITS);
}

/* "The series ends here": kept and stored bit-exact, unlike an ordinary NaN. */
static inline bool is_stale_mark(double v)
{
	return double_bits(v) == STALE_BITS;
}
