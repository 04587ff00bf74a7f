/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#define POLY_REFLECTED 0x82f63b78u

static uint32_t table[256];
static bool has_instruction;

__attribute__((constructor)) static void crc32c_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ (c & 1 ? POLY_REFLECTED : 0);
		table[i] = c;
	}
#if defined(__x86_64__)
	__builtin_cpu_init();
	has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t crc_by_table(uint32_t c, const uint8_t *p, size_t bytes)
{
	for (; bytes > 0; bytes--)
		c = table[(c ^ *p++) & 0xff] ^ (c >> 8);
	return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t c, const uint8_t *p,
                                                                     size_t bytes)
{
	uint64_t wide = c, word;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	c = (uint32_t)wide;
	for (; bytes > 0; bytes--)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}
#else
#define crc_by_instruction crc_by_table
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t bytes)
{
	return ~(has_instruction ? crc_by_instruction(~crc, p, bytes)
	                         : crc_by_table(~crc, p, bytes));
}
