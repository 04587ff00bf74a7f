/* SPDX-License-Identifier: BSD-2-Clause */
/* Timestamps of collections: nominal when in time, and never twice, whatever the clock does. */
#include "tests/unit/unit.h"

#include "userspace/host/stamp.h"

#define INTERVAL_MS 15000
#define BEGIN_MS    1700000010000 /* a multiple of the interval */

static struct stamper s;

static int clear(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return 0;
}

static void test_nominal(void **state)
{
	(void)state;
	assert_int_equal(BEGIN_MS, stamp_next(&s, BEGIN_MS, INTERVAL_MS));
	assert_int_equal(BEGIN_MS + 15000, stamp_next(&s, BEGIN_MS + 15015, INTERVAL_MS));
	assert_int_equal(BEGIN_MS + 30016, stamp_next(&s, BEGIN_MS + 30016, INTERVAL_MS));
	assert_int_equal(BEGIN_MS + 44999, stamp_next(&s, BEGIN_MS + 44999, INTERVAL_MS));
}

/* The first collection of a daemon may fall on the moment for which its timer was set. */
static void test_at_once(void **state)
{
	(void)state;
	assert_int_equal(BEGIN_MS, stamp_next(&s, BEGIN_MS + 1, INTERVAL_MS));
	assert_int_equal(BEGIN_MS + 1, stamp_next(&s, BEGIN_MS + 2, INTERVAL_MS));
}

/* Set back again and again, and forward: every collection has a time of its own. */
static void test_clock_jumps(void **state)
{
	static int64_t given[STAMPS_REMEMBERED];
	struct rng rng = unit_rng();
	int64_t now_ms = BEGIN_MS;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		if (rng_below(&rng, 50) == 0)
			now_ms = BEGIN_MS + (int64_t)rng_below(&rng, 400) * INTERVAL_MS;
		given[i] = stamp_next(&s, now_ms + rng_below(&rng, 20), INTERVAL_MS);
		assert_in_range(given[i] - now_ms, 0, 200);
		for (size_t k = 0; k < i; k++)
			assert_true(given[k] != given[i]);
		now_ms += INTERVAL_MS;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nominal, clear),
		cmocka_unit_test_setup(test_at_once, clear),
		cmocka_unit_test_setup(test_clock_jumps, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
