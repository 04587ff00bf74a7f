/* SPDX-License-Identifier: BSD-2-Clause */
/* Which bucket a duration falls into, and that nothing is lost of the sum. */
#include "tests/unit/unit.h"

#include "bpf/wait_bounds.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/histogram.h"

static const struct histogram_bounds *const tables[] = { &latency_bounds, &wait_bounds };

/* The texts are the numbers, in seconds; the bounds ascend; "+Inf" is last. */
static void check_texts(const struct histogram_bounds *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		double seconds = strtod(b->le_texts[i], NULL);

		assert_double_near((double)b->le_ns[i] / 1e9, seconds, 0);
		assert_true(i == 0 || b->le_ns[i - 1] < b->le_ns[i]);
	}
	assert_string_equal("+Inf", b->le_texts[b->n]);
}

static void test_the_table_says_what_it_does(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		check_texts(tables[t]);
}

static void check_borders(const struct histogram_bounds *b)
{
	assert_int_equal(0, histogram_bucket(b, 0));
	assert_int_equal(b->n, histogram_bucket(b, UINT64_MAX));
	for (uint32_t i = 0; i < b->n; i++) {
		assert_int_equal(i, histogram_bucket(b, b->le_ns[i]));
		assert_int_equal(i + 1, histogram_bucket(b, b->le_ns[i] + 1));
	}
}

static void test_borders_belong_to_the_lower_bucket(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		check_borders(tables[t]);
}

/* The kernel side has a search of its own. */
static void test_the_kernel_side_agrees(void **state)
{
	struct wait_hist waits = { .sum_ns = 7 };
	struct histogram h = { 0 };
	struct rng rng = unit_rng();

	(void)state;
	for (uint32_t i = 0; i <= WAIT_BOUNDS_N; i++) {
		uint64_t border = i < WAIT_BOUNDS_N ? wait_bounds.le_ns[i] : UINT64_MAX;

		assert_int_equal(i, wait_bucket(border));
		waits.buckets[i] = i;
	}
	for (int i = 0; i < 1000; i++) {
		uint64_t ns = rng_u64(&rng) >> (24 + rng_below(&rng, 30));

		assert_int_equal(histogram_bucket(&wait_bounds, ns), wait_bucket(ns));
	}
	histogram_from_waits(&h, &waits);
	assert_int_equal(WAIT_BOUNDS_N * (WAIT_BOUNDS_N + 1) / 2,
	                 histogram_count(&h, &wait_bounds));
	assert_int_equal(7, h.sum_ns);
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
		cmocka_unit_test(test_the_kernel_side_agrees),
		cmocka_unit_test(test_sums_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
