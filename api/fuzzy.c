/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/fuzzy.h"

#include <ctype.h>
#include <stddef.h>

#include "userspace/base/util.h"

#define SCORE_EQUAL  1.0
#define SCORE_BEGINS 0.95
#define SCORE_HOLDS  0.9
#define PREFIX_MAX   4   /* bytes of an equal beginning that count */
#define PREFIX_GAIN  0.1 /* of what is missing, for each of them */

static bool same(const struct fuzzy *f, char a, char b)
{
	return f->fold_case ? tolower((unsigned char)a) == tolower((unsigned char)b) : a == b;
}

static bool begins(const struct fuzzy *f, struct str s, struct str prefix)
{
	if (prefix.len > s.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (!same(f, s.p[i], prefix.p[i]))
			return false;
	}
	return true;
}

static double score_whole(const struct fuzzy *f, struct str term, struct str name)
{
	if (begins(f, name, term))
		return name.len == term.len ? SCORE_EQUAL : SCORE_BEGINS;
	for (size_t i = 1; i + term.len <= name.len; i++) {
		if (begins(f, str_skip(name, i), term))
			return SCORE_HOLDS;
	}
	return 0;
}

/* The share of the span from the first to the last character that the term is. */
static double score_subsequence(const struct fuzzy *f, struct str term, struct str name)
{
	size_t at = 0, first = 0;

	for (size_t i = 0; i < name.len && at < term.len; i++) {
		if (!same(f, name.p[i], term.p[at]))
			continue;
		if (at == 0)
			first = i;
		if (++at == term.len)
			return (double)term.len / (double)(i + 1 - first);
	}
	return 0;
}

struct matches {
	bool a[FUZZY_BYTES_MAX], b[FUZZY_BYTES_MAX];
	size_t n;
};

/* Equal characters no further apart than half the longer text. */
static void find_matches(const struct fuzzy *f, struct str a, struct str b, struct matches *m)
{
	size_t longer = MAX(a.len, b.len), reach = longer > 3 ? longer / 2 - 1 : 0;

	for (size_t i = 0; i < a.len; i++) {
		size_t from = i > reach ? i - reach : 0, to = MIN(i + reach + 1, b.len);

		for (size_t k = from; k < to; k++) {
			if (m->b[k] || !same(f, a.p[i], b.p[k]))
				continue;
			m->a[i] = m->b[k] = true;
			m->n++;
			break;
		}
	}
}

static size_t swapped(const struct fuzzy *f, struct str a, struct str b, const struct matches *m)
{
	size_t k = 0, n = 0;

	for (size_t i = 0; i < a.len; i++) {
		if (!m->a[i])
			continue;
		while (!m->b[k])
			k++;
		n += !same(f, a.p[i], b.p[k++]);
	}
	return n / 2;
}

static double score_jaro_winkler(const struct fuzzy *f, struct str a, struct str b)
{
	struct matches m = { .n = 0 };
	size_t prefix = 0, shorter = MIN(a.len, b.len), limit = MIN(shorter, (size_t)PREFIX_MAX);

	find_matches(f, a, b, &m);
	if (m.n == 0)
		return 0;
	double n = (double)m.n;
	double jaro =
		(n / (double)a.len + n / (double)b.len + (n - (double)swapped(f, a, b, &m)) / n) /
		3;

	while (prefix < limit && same(f, a.p[prefix], b.p[prefix]))
		prefix++;
	return jaro + (double)prefix * PREFIX_GAIN * (1 - jaro);
}

double fuzzy_score(const struct fuzzy *f, struct str term, struct str name)
{
	double score = score_whole(f, term, name);

	if (score > 0 || f->kind == FUZZY_NOT)
		return score;
	term.len = MIN(term.len, (size_t)FUZZY_BYTES_MAX);
	name.len = MIN(name.len, (size_t)FUZZY_BYTES_MAX);
	score = f->kind == FUZZY_SUBSEQUENCE ? score_subsequence(f, term, name)
	                                     : score_jaro_winkler(f, term, name);
	return score >= f->threshold ? score * SCORE_HOLDS : 0;
}
