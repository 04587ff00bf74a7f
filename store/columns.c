/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/columns.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define ALIGNMENT 32u

void columns_done(struct columns *c)
{
	free(c->ts_ms);
	free(c->values);
	free(c->scratch);
	c->ts_ms = NULL;
	c->values = NULL;
	c->scratch = NULL;
	c->n = c->cap = c->scratch_cap = 0;
}

static int move(void **p, size_t n, size_t cap)
{
	void *bigger = mem_aligned(ALIGNMENT, (cap + COLUMNS_SLACK) * sizeof(int64_t));

	if (!bigger)
		return -ENOMEM;
	if (n > 0)
		memcpy(bigger, *p, n * sizeof(int64_t));
	free(*p);
	*p = bigger;
	return 0;
}

int columns_reserve(struct columns *c, size_t n)
{
	size_t cap = MAX(n, c->cap * 2);
	void *ts_ms = c->ts_ms, *values = c->values;
	int r;

	if (n <= c->cap)
		return 0;
	r = move(&ts_ms, c->n, cap);
	c->ts_ms = ts_ms;
	if (r == 0)
		r = move(&values, c->n, cap);
	c->values = values;
	if (r == 0)
		c->cap = cap;
	return r;
}

/* The rule for two samples of one time: numbers beat stale marks, larger beats smaller. */
static double winner(double a, double b)
{
	if (is_stale_mark(a))
		return b;
	if (is_stale_mark(b))
		return a;
	/* -0 and 0 compare equal: the bits decide, so that the order of arrival does not. */
	if (a == b)
		return (int64_t)double_bits(a) > (int64_t)double_bits(b) ? a : b;
	return a > b ? a : b;
}

static int cmp_sample(const void *a, const void *b)
{
	int64_t x = ((const struct sample *)a)->ts_ms, y = ((const struct sample *)b)->ts_ms;

	return x < y ? -1 : x > y;
}

static bool ascends(const struct columns *c, size_t from)
{
	for (size_t i = from + 1; i < c->n; i++) {
		if (c->ts_ms[i - 1] >= c->ts_ms[i])
			return false;
	}
	return true;
}

int columns_join(struct columns *c, size_t from)
{
	size_t n = c->n - from, k = from;

	if (ascends(c, from))
		return 0;
	if (MEM_GROW(c->scratch, c->scratch_cap, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		c->scratch[i] = (struct sample){ c->ts_ms[from + i], c->values[from + i] };
	qsort(c->scratch, n, sizeof(*c->scratch), cmp_sample);
	for (size_t i = 0; i < n; i++) {
		const struct sample *x = &c->scratch[i];

		if (k > from && c->ts_ms[k - 1] == x->ts_ms) {
			c->values[k - 1] = winner(c->values[k - 1], x->value);
			continue;
		}
		c->ts_ms[k] = x->ts_ms;
		c->values[k++] = x->value;
	}
	c->n = k;
	return 0;
}
