/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever is read from the file of burst balances is written and read back as the same. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "userspace/host/cpu_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool same(const struct cpu_state_row *a, const struct cpu_state_row *b)
{
	/* Written in whole nanoseconds. */
	return a->pid == b->pid && a->start_ticks == b->start_ticks && a->at_ns == b->at_ns &&
	       a->used_ns == b->used_ns && fabs(a->balance_ns - b->balance_ns) <= 0.5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct cpu_state s = { 0 }, back = { 0 };
	struct buf text = BUF_INIT;
	size_t n_bad = 0;

	if (cpu_state_parse(&s, (struct str){ (const char *)data, bytes }, STR("b"), &n_bad) < 0)
		abort();
	n_bad = 0;
	cpu_state_format(&s, STR("b"), &text);
	if (cpu_state_parse(&back, buf_str(&text), STR("b"), &n_bad) < 0 || n_bad != 0 ||
	    back.n != s.n)
		abort();
	for (size_t i = 0; i < s.n; i++) {
		if (!same(&s.rows[i], &back.rows[i]))
			abort();
	}
	cpu_state_done(&s);
	cpu_state_done(&back);
	buf_done(&text);
	return 0;
}
