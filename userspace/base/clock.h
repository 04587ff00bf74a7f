/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Time, behind one door, so that a test can stand still, jump or run backwards.
 * Production reads the vDSO: about 25 ns each.
 */

#include <stdint.h>

int64_t clock_unix_ms(void);  /* wall clock; may jump */
uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC, the clock behind bpf_ktime_get_ns() */

struct clock_ops {
	int64_t (*unix_ms)(void);
	uint64_t (*mono_ns)(void);
};

/* Tests only; NULL restores the real clock. Not while other threads read it. */
void clock_set(const struct clock_ops *ops);
