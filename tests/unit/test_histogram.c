/* SPDX-License-Identifier: BSD-2-Clause */
/* Which bucket a duration falls into, and that nothing is lost of the sum. */
#include "tests/unit/unit.h"

#include "userspace/base/num.h"
#include "userspace/host/histogram.h"

/* The texts are the numbers, in seconds; the bounds ascend; "+Inf" is last. */
static void test_the_table_says_what_it_does(void **state)
{
	const struct histogram_bounds *b = &latency_bounds;

	(void)state;
	for (uint32_t i = 0; i < b->n; i++) {
		double seconds = strtod(b->le_texts[i], NULL);

		assert_double_near((double)b->le_ns[i] / 1e9, seconds, 0);
		assert_true(i == 0 || b->le_ns[i - 1] < b->le_ns[i]);
	}
	assert_string_equal("+Inf", b->le_texts[b->n]);
}

static void test_borders_belong_to_the_lower_bucket(void **state)
{
	const struct histogram_bounds *b = &latency_bounds;

	(void)state;
	assert_int_equal(0, histogram_bucket(b, 0));
	assert_int_equal(b->n, histogram_bucket(b, UINT64_MAX));
	for (uint32_t i = 0; i < b->n; i++) {
		assert_int_equal(i, histogram_bucket(b, b->le_ns[i]));
		assert_int_equal(i + 1, histogram_bucket(b, b->le_ns[i] + 1));
	}
}

static void test_sums_are_exact(void **state)
{
	struct histogram h = { 0 };
	struct rng rng = unit_rng();
	uint64_t sum_ns = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t ns = rng_u64(&rng) >> (24 + rng_below(&rng, 30));

		sum_ns += ns;
		histogram_observe(&h, &latency_bounds, ns);
	}
	assert_true(sum_ns == h.sum_ns);
	assert_int_equal(1000, histogram_count(&h, &latency_bounds));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_table_says_what_it_does),
		cmocka_unit_test(test_borders_belong_to_the_lower_bucket),
		cmocka_unit_test(test_sums_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
