/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t real_unix_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t real_mono_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static const struct clock_ops real_clock = { real_unix_ms, real_mono_ns };
static const struct clock_ops *current = &real_clock;

void clock_set(const struct clock_ops *ops)
{
	current = ops ? ops : &real_clock;
}

int64_t clock_unix_ms(void)
{
	return current->unix_ms();
}

uint64_t clock_mono_ns(void)
{
	return current->mono_ns();
}
