/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/match.h"

#include <errno.h>

#include "userspace/base/cxx.h"
#include "userspace/base/util.h"

#define REGEX_BYTES_MAX ((size_t)8 << 20) /* of automaton */

/* How far @s has no character that means something in a regular expression. */
static size_t plain_bytes(struct str s)
{
	size_t n = 0;

	while (n < s.len && !strchr("\\.+*?()|[]{}^$", s.p[n]) && s.p[n] != '\0')
		n++;
	return n;
}

/* A choice of plain texts, and nothing else. */
static bool parse_texts(struct match *m, struct str pattern)
{
	struct str rest = pattern, text;
	bool more = true;

	m->n_texts = 0;
	m->takes_empty = false;
	while (more) {
		more = str_cut(rest, '|', &text, &rest);
		if (plain_bytes(text) != text.len || m->n_texts == MATCH_TEXTS_MAX)
			return false;
		if (text.len == 0)
			m->takes_empty = true;
		else
			m->texts[m->n_texts++] = text;
	}
	return true;
}

/* What every text that matches begins with. */
static struct str prefix_of(struct str pattern)
{
	size_t n = plain_bytes(pattern);

	if (n < pattern.len && strchr("*?{", pattern.p[n]) && n > 0)
		n--; /* its last character may be missing */
	/* Of a character of several bytes the whole may be missing. */
	while (n > 0 && n < pattern.len && ((unsigned char)pattern.p[n] & 0xc0) == 0x80)
		n--;
	return memchr(pattern.p, '|', pattern.len) ? STR_NULL : (struct str){ pattern.p, n };
}

static int init_regex(struct match *m, struct str pattern, struct err *e)
{
	char why[160];
	int r = cxx_regex_new(&m->re, pattern.p ? pattern.p : "", pattern.len, REGEX_BYTES_MAX, why,
	                      sizeof(why));

	if (r == -EINVAL)
		return err_set(e, r, "bad regular expression for label \"%.*s\": %s",
		               (int)MIN(m->name.len, (size_t)40), m->name.p, why);
	if (r < 0)
		return r;
	m->takes_empty = cxx_regex_full_match(m->re, "", 0);
	m->kind = MATCH_REGEX;
	if (str_eqc(pattern, ".*") || str_eqc(pattern, ".+"))
		m->kind = MATCH_ANY;
	else if (pattern.len > 0)
		m->prefix = prefix_of(pattern);
	return 0;
}

int match_init(struct match *m, const struct store_matcher *from, struct err *e)
{
	bool is_regex = from->op == STORE_RE || from->op == STORE_NRE;
	int r = 0;

	*m = (struct match){ .name = from->name,
		             .is_negated = from->op == STORE_NE || from->op == STORE_NRE };
	if (is_regex && !parse_texts(m, from->value)) {
		m->n_texts = 0;
		r = init_regex(m, from->value, e);
	} else if (!is_regex) {
		m->takes_empty = from->value.len == 0;
		m->texts[0] = from->value;
		m->n_texts = from->value.len > 0;
	}
	m->takes_empty = m->takes_empty != m->is_negated;
	return r;
}

void match_done(struct match *m)
{
	cxx_regex_free(m->re);
	m->re = NULL;
}

bool match_covers(const struct match *m, struct str value)
{
	switch (m->kind) {
	case MATCH_TEXTS:
		for (uint32_t i = 0; i < m->n_texts; i++) {
			if (str_eq(m->texts[i], value))
				return true;
		}
		return false;
	case MATCH_ANY:
		return true;
	case MATCH_REGEX:
		return str_starts(value, m->prefix) &&
		       cxx_regex_full_match(m->re, value.p, value.len);
	}
	return false;
}
