/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/match.h"

#include <errno.h>

#include "userspace/base/cxx.h"
#include "userspace/base/util.h"

#define REGEX_BYTES_MAX ((size_t)8 << 20) /* of automaton */

int match_init(struct match *m, const struct store_matcher *from, struct err *e)
{
	char why[160];
	int r = 0;

	*m = (struct match){ .op = from->op, .value = from->value };
	if (from->op == STORE_RE || from->op == STORE_NRE)
		r = cxx_regex_new(&m->re, from->value.p ? from->value.p : "", from->value.len,
		                  REGEX_BYTES_MAX, why, sizeof(why));
	if (r == -EINVAL)
		return err_set(e, r, "bad regular expression for label \"%.*s\": %s",
		               (int)MIN(from->name.len, (size_t)40), from->name.p, why);
	return r;
}

void match_done(struct match *m)
{
	cxx_regex_free(m->re);
	m->re = NULL;
}

bool match_value(const struct match *m, struct str value)
{
	switch (m->op) {
	case STORE_EQ:
		return str_eq(m->value, value);
	case STORE_NE:
		return !str_eq(m->value, value);
	case STORE_RE:
		return cxx_regex_full_match(m->re, value.p ? value.p : "", value.len);
	case STORE_NRE:
		return !cxx_regex_full_match(m->re, value.p ? value.p : "", value.len);
	}
	return false;
}
