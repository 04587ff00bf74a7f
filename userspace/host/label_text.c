/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/label_text.h"

#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/util.h"

#define SLUG_BYTES_MAX 63
#define EXPANDED_MAX   4096

static const struct str replacement = STR_INIT("\xef\xbf\xbd");

static uint32_t continuation_bytes(unsigned char first)
{
	return first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/*
 * Bytes of the character that @s begins with, or 0 when it is not one: bad UTF-8 (overlong forms
 * and surrogates too) or a control character. Source: RFC 3629 section 4.
 */
static size_t good_character(struct str s)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)s.p[0];
	uint32_t more = continuation_bytes(first), code = more ? first & (0x3fu >> more) : first;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || s.len <= more)
		return 0;
	for (uint32_t i = 1; i <= more; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c & 0x3f);
	}
	bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
	bool surrogate = code >= 0xd800 && code < 0xe000;

	return control || surrogate || code < least[more] || code > 0x10ffff ? 0 : more + 1;
}

void label_text_copy(char *dst, size_t cap, struct str src)
{
	size_t n = 0;

	while (src.len > 0) {
		size_t len = good_character(src);
		struct str piece = len > 0 ? (struct str){ src.p, len } : replacement;

		if (n + piece.len >= cap)
			break;
		memcpy(dst + n, piece.p, piece.len);
		n += piece.len;
		src = str_skip(src, MAX(len, (size_t)1));
	}
	dst[n] = '\0';
}

bool label_text_is_clean(struct str src, size_t cap)
{
	if (src.len >= cap)
		return false;
	while (src.len > 0) {
		size_t len = good_character(src);

		if (len == 0)
			return false;
		src = str_skip(src, len);
	}
	return true;
}

static bool is_slug_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool label_text_is_slug(struct str s)
{
	if (s.len == 0 || s.len > SLUG_BYTES_MAX || s.p[0] == '-' || s.p[0] == '_')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_slug_char(s.p[i]))
			return false;
	}
	return true;
}

void label_text_slug(char *dst, size_t cap, struct str src)
{
	size_t n = 0;

	for (size_t i = 0; i < src.len && n + 1 < MIN(cap, (size_t)SLUG_BYTES_MAX + 1); i++) {
		char c = src.p[i] >= 'A' && src.p[i] <= 'Z' ? (char)(src.p[i] + 32) : src.p[i];

		if (n == 0 && (c == '-' || c == '_' || !is_slug_char(c)))
			continue; /* a slug begins with a letter or digit */
		dst[n++] = is_slug_char(c) ? c : '-';
	}
	if (n == 0)
		dst[n++] = 'x';
	dst[n] = '\0';
}

static const struct label_var *find_var(const struct label_var *vars, struct str name)
{
	for (; vars->name; vars++) {
		if (str_eqc(name, vars->name))
			return vars;
	}
	return NULL;
}

/* @at is behind "${"; *@ret_rest is what follows the closing bracket. */
static int put_var(struct str at, const struct label_var *vars, struct buf *out,
                   struct str *ret_rest, struct err *e)
{
	struct str name;

	if (!str_cut(at, '}', &name, ret_rest))
		return err_set(e, -EINVAL, "\"${%.*s\" has no closing bracket",
		               (int)MIN(at.len, (size_t)40), at.p);
	const struct label_var *var = find_var(vars, name);

	if (!var)
		return err_set(e, -EINVAL, "unknown variable \"${%.*s}\"",
		               (int)MIN(name.len, (size_t)40), name.p);
	buf_put_str(out, var->value);
	return 0;
}

int label_template(const char *text, const struct label_var *vars, char *dst, size_t cap,
                   struct err *e)
{
	_cleanup_(buf_done) struct buf out = { .max = EXPANDED_MAX };
	struct str rest = str_from(text);

	while (rest.len > 0) {
		if (!str_starts(rest, STR("${"))) {
			buf_putc(&out, rest.p[0]);
			rest = str_skip(rest, 1);
			continue;
		}
		int r = put_var(str_skip(rest, 2), vars, &out, &rest, e);

		if (r < 0)
			return r;
	}
	if (out.err == -ENOMEM)
		return out.err;
	label_text_copy(dst, cap, buf_str(&out));
	return 0;
}
