/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at @p (RFC 3629, table of section 4), or 0. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (n > len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_special(struct buf *b, uint8_t c)
{
	static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		buf_printf(b, "\\%c", to[at - from]);
	else if (c < 0x20 || c == 0x7f)
		buf_printf(b, "\\u%04x", c);
	else
		buf_puts(b, "\xef\xbf\xbd");
}

void json_put_str(struct buf *b, struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t i = 0;

	buf_putc(b, '"');
	while (i < s.len) {
		size_t from = i, n;

		while (i < s.len && is_plain(p[i]))
			i++;
		buf_put(b, s.p + from, i - from);
		if (i == s.len)
			break;
		n = p[i] >= 0x80 ? utf8_sequence(p + i, s.len - i) : 0;
		if (n > 0)
			buf_put(b, s.p + i, n);
		else
			put_special(b, p[i]);
		i += n > 0 ? n : 1;
	}
	buf_putc(b, '"');
}
