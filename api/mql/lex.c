/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lexer: one function for each token kind, each answering how many bytes at the front belong
 * to it (0 = not mine). Durations are tried before numbers, because "5m" is five minutes while
 * "5Mi" and "5M" are numbers.
 */
#include "api/mql/lex.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "userspace/base/utf8.h"
#include "userspace/base/util.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c) != 0;
}

bool lex_is_name_start(unsigned char c)
{
	return isalpha(c) || c == '_' || c == ':';
}

bool lex_is_name_char(unsigned char c)
{
	return lex_is_name_start(c) || is_digit((char)c) || c == '.';
}

/* Bytes of the multi-byte character at the front of @s, or 0. */
static size_t utf8_len(struct str s)
{
	size_t n = utf8_sequence_len(s);

	return n > 1 ? n : 0;
}

static size_t hex_run(struct str s, size_t from, size_t want)
{
	for (size_t i = 0; i < want; i++) {
		if (from + i >= s.len || !is_hex(s.p[from + i]))
			return 0;
	}
	return want;
}

/* An escape in a name: backslash and xNN, uNNNN, or any other printable character. */
static size_t escape_len(struct str s)
{
	if (s.len < 2 || s.p[0] != '\\')
		return 0;
	if (s.p[1] == 'x' && hex_run(s, 2, 2))
		return 4;
	if (s.p[1] == 'u' && hex_run(s, 2, 4))
		return 6;
	if ((unsigned char)s.p[1] >= 0x80)
		return utf8_len(str_skip(s, 1)) ? 1 + utf8_len(str_skip(s, 1)) : 0;
	return isprint((unsigned char)s.p[1]) ? 2 : 0;
}

static size_t ident_len(struct str s, bool in_window)
{
	size_t n = 0;

	while (n < s.len) {
		unsigned char c = (unsigned char)s.p[n];
		struct str rest = str_skip(s, n);
		size_t step = c == '\\'   ? escape_len(rest)
		              : c >= 0x80 ? utf8_len(rest)
		                          : (n == 0 ? lex_is_name_start(c) : lex_is_name_char(c));

		if (step == 0 || (in_window && c == ':'))
			break;
		n += step;
	}
	return n;
}

static size_t digits(struct str s, size_t from, bool underscores)
{
	size_t n = from;

	while (n < s.len && (is_digit(s.p[n]) || (underscores && s.p[n] == '_')))
		n++;
	return n - from;
}

/* Bytes of the unit behind the number of a duration; 0 when there is none. */
static size_t unit_len(struct str s)
{
	char c = s.len > 0 ? (char)tolower((unsigned char)s.p[0]) : '\0';
	char next = s.len > 1 ? (char)tolower((unsigned char)s.p[1]) : '\0';

	if (c == 'm') {
		if (next == 's')
			return 2;
		/* M is mega, and Mi and MB are sizes in either case. */
		return s.p[0] == 'm' && next != 'i' && next != 'b';
	}
	return c != '\0' && strchr("shdwyi", c) ? 1 : 0;
}

/* One part of a duration, such as 1.5h; only parts behind the first may be negative. */
static size_t duration_part(struct str s, bool may_be_negative)
{
	size_t sign = may_be_negative && s.len > 0 && s.p[0] == '-';
	size_t n = sign + digits(s, sign, false);

	if (n == sign)
		return 0;
	if (n < s.len && s.p[n] == '.')
		n += 1 + digits(s, n + 1, false);
	size_t unit = unit_len(str_skip(s, n));

	return unit ? n + unit : 0;
}

static size_t duration_len(struct str s)
{
	static const struct str variables[] = {
		STR_INIT("$__rate_interval"),
		STR_INIT("$__interval"),
	};
	size_t n = duration_part(s, false), more = n;

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		if (str_starts(s, variables[i]))
			return variables[i].len;
	}
	while (more > 0) {
		more = duration_part(str_skip(s, n), true);
		n += more;
	}
	return n;
}

static size_t size_suffix_len(struct str s)
{
	size_t n;

	if (s.len == 0 || !strchr("kmgt", tolower((unsigned char)s.p[0])))
		return 0;
	n = s.len > 1 && tolower((unsigned char)s.p[1]) == 'i' ? 2 : 1;
	return n + (s.len > n && tolower((unsigned char)s.p[n]) == 'b');
}

/* A fraction and an exponent, each optional, behind the @n digits already seen. */
static size_t fraction_len(struct str s, size_t n)
{
	if (n < s.len && s.p[n] == '.')
		n += 1 + digits(s, n + 1, true);
	size_t suffix = size_suffix_len(str_skip(s, n));

	if (suffix > 0)
		return n + suffix;
	if (n >= s.len || (s.p[n] != 'e' && s.p[n] != 'E'))
		return n;
	size_t sign = n + 1 < s.len && (s.p[n + 1] == '+' || s.p[n + 1] == '-');
	size_t exponent = digits(s, n + 1 + sign, false);

	return exponent ? n + 1 + sign + exponent : 0;
}

/* Bytes of the number at the front; 0 = none, or one that ends in the middle of its exponent. */
static size_t number_len(struct str s)
{
	char second = s.len > 1 ? (char)tolower((unsigned char)s.p[1]) : '\0';
	size_t n = 2;

	if (s.len > 2 && s.p[0] == '0' && second == 'x') {
		while (n < s.len && is_hex(s.p[n]))
			n++;
		return n > 2 ? n : 0;
	}
	if (s.len > 2 && s.p[0] == '0' && (second == 'o' || second == 'b')) {
		n += digits(s, 2, true);
		return n > 2 ? n : 0;
	}
	return fraction_len(s, digits(s, 0, true));
}

static size_t string_len(struct str s)
{
	char quote = s.p[0];

	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] == quote)
			return i + 1;
		if (s.p[i] == '\\' && quote != '`')
			i++;
	}
	return 0;
}

static size_t punct_len(struct str s)
{
	static const struct str two[] = {
		STR_INIT("=="), STR_INIT("!="), STR_INIT("=~"),
		STR_INIT("!~"), STR_INIT("<="), STR_INIT(">="),
	};

	for (size_t i = 0; i < ARRAY_SIZE(two); i++) {
		if (str_starts(s, two[i]))
			return two[i].len;
	}
	return s.p[0] != '\0' && strchr("{}[](),@:=<>+-*/%^", s.p[0]) != NULL;
}

struct lexer {
	struct str text;
	size_t at;
	bool in_window; /* between [ and ] */
};

static void skip_space(struct lexer *lx)
{
	while (lx->at < lx->text.len) {
		char c = lx->text.p[lx->at];

		if (c == '#') {
			const char *end = memchr(lx->text.p + lx->at, '\n', lx->text.len - lx->at);

			lx->at = end ? (size_t)(end - lx->text.p) : lx->text.len;
		} else if (c == '\0' || !strchr(" \t\n\v\f\r", c)) {
			return;
		} else {
			lx->at++;
		}
	}
}

/* Sets kind and length of the token at the front of @s. */
static int recognise(struct str s, bool in_window, struct tok *t, struct err *e)
{
	int pos = (int)t->pos;

	if (s.p[0] == '"' || s.p[0] == '\'' || s.p[0] == '`') {
		t->kind = TOK_STRING;
		t->text.len = string_len(s);
		return t->text.len ? 0
		                   : err_set_at(e, -EINVAL, pos, "the string has no closing %c",
		                                s.p[0]);
	}
	t->kind = TOK_IDENT;
	t->text.len = ident_len(s, in_window);
	if (t->text.len)
		return 0;
	t->kind = TOK_DURATION;
	t->text.len = duration_len(s);
	if (t->text.len)
		return 0;
	if (is_digit(s.p[0]) || (s.p[0] == '.' && s.len > 1 && is_digit(s.p[1]))) {
		t->kind = TOK_NUMBER;
		t->text.len = number_len(s);
		return t->text.len ? 0 : err_set_at(e, -EINVAL, pos, "the number is not complete");
	}
	t->kind = TOK_PUNCT;
	t->text.len = punct_len(s);
	if (t->text.len)
		return 0;
	if (isprint((unsigned char)s.p[0]))
		return err_set_at(e, -EINVAL, pos, "unexpected character '%c'", s.p[0]);
	return err_set_at(e, -EINVAL, pos, "unexpected byte 0x%02x", (unsigned char)s.p[0]);
}

static int next(struct lexer *lx, struct tok *t, struct err *e)
{
	skip_space(lx);
	*t = (struct tok){ .pos = (uint32_t)lx->at, .text = { lx->text.p + lx->at, 0 } };
	if (lx->at >= lx->text.len)
		return 0; /* TOK_END */
	int r = recognise(str_skip(lx->text, lx->at), lx->in_window, t, e);

	if (r < 0)
		return r;
	lx->at += t->text.len;
	if (t->kind == TOK_PUNCT && (t->text.p[0] == '[' || t->text.p[0] == ']'))
		lx->in_window = t->text.p[0] == '[';
	return 0;
}

int lex_all(struct str text, struct arena *arena, struct toks *ret, struct err *e)
{
	struct lexer lx = { .text = text.p ? text : STR("") };
	size_t cap = 32, n = 0;
	struct tok *v = ARENA_ARRAY(arena, struct tok, cap);

	while (v) {
		if (n == cap) {
			struct tok *bigger = ARENA_ARRAY(arena, struct tok, cap * 2);

			if (!bigger)
				break;
			memcpy(bigger, v, n * sizeof(*v));
			v = bigger;
			cap *= 2;
		}
		int r = next(&lx, &v[n], e);

		if (r < 0)
			return r;
		if (v[n++].kind == TOK_END) {
			*ret = (struct toks){ v, n };
			return 0;
		}
	}
	return err_set(e, arena_error(arena), "the query needs too much memory to be read");
}

/* --- what the text of a token means --------------------------------------------------------- */

static unsigned long hex_value(struct str s)
{
	unsigned long v = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = (char)tolower((unsigned char)s.p[i]);

		v = v * 16 + (unsigned long)(is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return v;
}

/* UTF-8 of @c at @dst; returns its length, 0 for what is no character. */
static size_t utf8_put(char *dst, unsigned long c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		dst[i] = (char)(0x80 | (c & 0x3f));
	dst[0] = (char)((0xf00 >> n) | c);
	return n;
}

/*
 * Decodes the escape at the front of @s (which starts with a backslash) into @dst. Sets *@ret_used;
 * returns the bytes written, or 0 when it is not one of Go's escapes.
 */
static size_t string_escape(struct str s, char *dst, size_t *ret_used)
{
	static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
	char c = s.len > 1 ? s.p[1] : '\0';
	const char *simple = c ? strchr(names, c) : NULL;

	*ret_used = 2;
	if (simple) {
		dst[0] = values[simple - names];
		return 1;
	}
	size_t hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

	if (hex > 0 && hex_run(s, 2, hex)) {
		unsigned long v = hex_value((struct str){ s.p + 2, hex });

		*ret_used = 2 + hex;
		if (c != 'x')
			return utf8_put(dst, v);
		dst[0] = (char)v;
		return 1;
	}
	if (s.len > 3 && c >= '0' && c <= '3' && is_digit(s.p[2]) && s.p[2] < '8' &&
	    is_digit(s.p[3]) && s.p[3] < '8') {
		*ret_used = 4;
		dst[0] = (char)((c - '0') * 64 + (s.p[2] - '0') * 8 + (s.p[3] - '0'));
		return 1;
	}
	return 0;
}

int lex_unquote(const struct tok *t, struct arena *arena, struct str *ret, struct err *e)
{
	struct str in = { t->text.p + 1, t->text.len - 2 };
	char *dst = arena_alloc(arena, in.len + 1);
	size_t n = 0;

	if (!dst)
		return err_set(e, arena_error(arena), "the query needs too much memory");
	for (size_t i = 0; i < in.len;) {
		size_t used = 1, made = 1;

		if (in.p[i] == '\n' && t->text.p[0] != '`')
			return err_set_at(e, -EINVAL, (int)(t->pos + 1 + i),
			                  "a string goes over the end of its line; write \\n");
		if (t->text.p[0] == '`' || in.p[i] != '\\')
			dst[n] = in.p[i];
		else
			made = string_escape(str_skip(in, i), dst + n, &used);
		if (made == 0)
			return err_set_at(e, -EINVAL, (int)(t->pos + 1 + i),
			                  "unknown escape in a string");
		n += made;
		i += used;
	}
	*ret = (struct str){ dst, n };
	return 0;
}

int lex_unescape(const struct tok *t, struct arena *arena, struct str *ret)
{
	struct str s = t->text;
	char *dst;
	size_t n = 0;

	*ret = s;
	if (!memchr(s.p, '\\', s.len))
		return 0;
	dst = arena_alloc(arena, s.len);
	if (!dst)
		return arena_error(arena);
	while (s.len > 0) {
		size_t escape = escape_len(s);

		if (escape == 4 || escape == 6)
			n += utf8_put(dst + n, hex_value((struct str){ s.p + 2, escape - 2 }));
		else if (escape > 0) {
			memcpy(dst + n, s.p + 1, escape - 1);
			n += escape - 1;
		} else
			dst[n++] = s.p[0];
		s = str_skip(s, escape ? escape : 1);
	}
	*ret = (struct str){ dst, n };
	return 0;
}
