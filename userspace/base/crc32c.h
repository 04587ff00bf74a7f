/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), with the CPU's instruction where it has one and a
 * table elsewhere. crc32c(crc32c(0, a), b) is the checksum of a followed by b.
 */

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t bytes);
