/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/redact.h"

#include <ctype.h>
#include <strings.h>

#include "userspace/base/util.h"

static bool starts_with_word(struct str s, const char *word)
{
	size_t n = strlen(word);

	return s.len >= n && strncasecmp(s.p, word, n) == 0;
}

/* Bytes at the front of @s that are kept because the token behind them says what it is; 0: none. */
static size_t scheme_bytes(struct str s)
{
	static const char *const schemes[] = { "Bearer", "FlyV1" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (!starts_with_word(s, schemes[i]) || s.len <= n || !strchr(" +%:", s.p[n]))
			continue;
		while (n < s.len && strchr(" +:", s.p[n]) && s.p[n] != '\0')
			n++;
		return starts_with_word(str_skip(s, n), "%20") ? n + 3 : n;
	}
	return 0;
}

static bool is_token(struct str s)
{
	static const char *const prefixes[] = { "fm2_", "fm1r_", "fm1a_", "fo1_" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (starts_with_word(s, prefixes[i]))
			return true;
	}
	return false;
}

static size_t token_bytes(struct str s)
{
	size_t n = 0;

	while (n < s.len &&
	       (isalnum((unsigned char)s.p[n]) || (s.p[n] != '\0' && strchr("+/=_-.,%", s.p[n]))))
		n++;
	return n;
}

void redact_put(struct buf *out, struct str text)
{
	while (text.len > 0) {
		size_t scheme = scheme_bytes(text);

		if (scheme == 0 && !is_token(text)) {
			buf_putc(out, text.p[0]);
			text = str_skip(text, 1);
			continue;
		}
		buf_put(out, text.p, scheme);
		text = str_skip(text, scheme);
		size_t n = token_bytes(text);

		buf_puts(out, n > 0 ? "[redacted]" : "");
		text = str_skip(text, n);
	}
}
