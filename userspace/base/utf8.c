/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/utf8.h"

#include <stdint.h>

/* Bytes of the sequence at @p, or 0. The ranges are those of RFC 3629, section 4. */
static size_t sequence(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool utf8_is_valid(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t left = s.len;
	uint64_t word;

	while (left > 0) {
		if (left >= 8) {
			memcpy(&word, p, 8);
			if ((word & 0x8080808080808080u) == 0) {
				p += 8;
				left -= 8;
				continue;
			}
		}
		size_t n = sequence(p, left);

		if (n == 0)
			return false;
		p += n;
		left -= n;
	}
	return true;
}

size_t utf8_sequence_len(struct str s)
{
	return s.len > 0 ? sequence((const unsigned char *)s.p, s.len) : 0;
}
