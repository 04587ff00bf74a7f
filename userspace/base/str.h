/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A slice of bytes that somebody else owns: not NUL-terminated, may hold any byte. It is how all
 * foreign text travels, so that nothing is copied before it has been checked.
 *
 * Print one with "%.*s", STR_FMT(s).
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
	const char *p; /* may be NULL when len is 0 */
	size_t len;
};

#define STR_NULL     ((struct str){ 0 })
#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_FMT(s)   (int)((s).len), ((s).p ? (s).p : "")
#define STR_INIT(lit)                   \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}

static inline struct str str_from(const char *cstr)
{
	return (struct str){ cstr, strlen(cstr) };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool str_eqc(struct str a, const char *cstr)
{
	return str_eq(a, str_from(cstr));
}

/* Bytewise order, a proper prefix first: the order of label names, series and JSON keys. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (c != 0)
		return c;
	return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

/* The rest of @s from byte @from on; empty when @from is past the end. */
static inline struct str str_skip(struct str s, size_t from)
{
	return from >= s.len ? (struct str){ s.p + s.len, 0 }
	                     : (struct str){ s.p + from, s.len - from };
}

/*
 * str_cut() - splits @s at the first @sep: *@ret_head before it, *@ret_tail behind it.
 *
 * Returns false, with the whole of @s as head and an empty tail, when there is no @sep.
 */
static inline bool str_cut(struct str s, char sep, struct str *ret_head, struct str *ret_tail)
{
	const char *at = s.len > 0 ? memchr(s.p, sep, s.len) : NULL;

	if (!at) {
		*ret_head = s;
		*ret_tail = str_skip(s, s.len);
		return false;
	}
	*ret_head = (struct str){ s.p, (size_t)(at - s.p) };
	*ret_tail = str_skip(s, (size_t)(at - s.p) + 1);
	return true;
}

/* @s without leading and trailing spaces, tabs, CR and LF. */
static inline struct str str_trim(struct str s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.p[0]) && s.p[0] != '\0')
		s = str_skip(s, 1);
	while (s.len > 0 && strchr(" \t\r\n", s.p[s.len - 1]) && s.p[s.len - 1] != '\0')
		s.len--;
	return s;
}
