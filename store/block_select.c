/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block_select.h"

#include <errno.h>

#define CHECK_LABELS 1024u /* between two looks */

static uint32_t org_number(const struct block_select *s)
{
	return (uint32_t)(s->org - s->b->orgs);
}

static int exact(void *ctx, struct str name, struct str value, roaring_bitmap_t *to, struct err *e)
{
	const struct block_select *s = ctx;

	return text_or_exact(s->b, s->reader, org_number(s), name, value, to, e);
}

static int covered(void *ctx, const struct match *m, roaring_bitmap_t *to, struct err *e)
{
	const struct block_select *s = ctx;
	struct text_entry entry;
	struct text_walk w;
	int r = text_walk_start(&w, s->b, s->reader, org_number(s), m->name, m->prefix, e);

	for (uint32_t n = 1; r == 0; n++) {
		r = text_walk_next(&w, &entry, e);
		if (r != 0 || entry.org != org_number(s) || !str_eq(entry.name, m->name))
			break;
		if (entry.value.len == 0)
			continue;
		if (!str_starts(entry.value, m->prefix))
			break;
		if (n % CHECK_LABELS == 0 && s->check)
			r = s->check(s->ctx, e);
		if (r == 0 && match_covers(m, entry.value))
			r = text_or(s->b, s->reader, &entry, to, e);
	}
	return r < 0 ? r : 0;
}

int block_select(struct block_select *s, const struct selection *sel, roaring_bitmap_t **ret,
                 struct err *e)
{
	const struct select_source src = { s, s->org->first_series, s->org->n_series, exact,
		                           covered };

	return selection_run(sel, &src, ret, e);
}
