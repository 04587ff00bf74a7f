/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Bytes of a segment of the disk queue. docs/format/spool.md is the normative text,
 * tests/unit/test_spool_format.c pins it.
 *
 * Pure functions over untrusted bytes: a length is believed only when the checksum of its header is
 * right, and a payload only by its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/str.h"

#define SPOOL_FILE_HEADER_BYTES   16u
#define SPOOL_RECORD_HEADER_BYTES 32u
#define SPOOL_PAYLOAD_BYTES_MAX   ((uint32_t)64 << 20)
#define SPOOL_LANES_MAX           8u
#define SPOOL_MARK_OFFSET         31u /* in a record's header: the one byte written later */
#define SPOOL_MARK_SETTLED        0x5au

struct spool_record {
	int64_t appended_ms; /* Unix time */
	uint32_t payload_bytes, payload_crc, n_samples;
	uint8_t lane, lanes; /* lane < lanes <= SPOOL_LANES_MAX */
	bool settled;
};

void spool_put_file_header(uint8_t dst[SPOOL_FILE_HEADER_BYTES]);
/* -EBADMSG: no segment of ours; -ENOTSUP: one of a later version. */
int spool_check_file_header(const uint8_t *src, size_t bytes);

void spool_put_record(uint8_t dst[SPOOL_RECORD_HEADER_BYTES], const struct spool_record *r);
/* -EBADMSG: no record begins there. */
int spool_get_record(const uint8_t *src, size_t bytes, struct spool_record *ret);
uint32_t spool_payload_crc(struct str payload);

/* Where in @bytes a record's header may begin, from @from on; @bytes.len when nowhere. */
size_t spool_find_record(struct str bytes, size_t from);
