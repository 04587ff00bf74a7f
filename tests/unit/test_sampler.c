/* SPDX-License-Identifier: BSD-2-Clause */
/* Windows of the sampler: short while that is cheap, longer when it is not, and back. */
#include "tests/unit/unit.h"

#include "userspace/host/sampler.h"

#define MS 1000000ull

static uint64_t settle(struct sampler *s, uint64_t cost_ns, double cpu_max_ratio)
{
	uint64_t window_ns = 0;

	for (int i = 0; i < 200; i++)
		window_ns = sampler_note(s, cost_ns, cpu_max_ratio);
	return window_ns;
}

static void test_windows(void **state)
{
	static const struct {
		uint64_t cost_us;
		double cpu_max_ratio;
		uint64_t window_ms;
	} rows[] = {
		{ 1, 0.01, 100 },        { 999, 0.01, 100 }, { 1100, 0.01, 200 },
		{ 5100, 0.01, 600 },     { 5100, 0.1, 100 }, { 3950, 0.001, 4000 },
		{ 1000000, 0.01, 5000 }, { 500, 0.01, 100 }, /* back again */
	};
	struct sampler s = SAMPLER_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%llu us", (unsigned long long)rows[i].cost_us);
		assert_int_equal(rows[i].window_ms * MS,
		                 settle(&s, rows[i].cost_us * 1000, rows[i].cpu_max_ratio));
	}
}

/* One slow sample on a busy machine changes little. */
static void test_smoothing(void **state)
{
	struct sampler s = SAMPLER_INIT;

	(void)state;
	(void)settle(&s, 300000, 0.01);
	assert_int_equal(100 * MS, sampler_note(&s, 5 * MS, 0.01));
}

static void test_metrics(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct sampler s = SAMPLER_INIT;

	(void)state;
	(void)settle(&s, 10 * MS, 0.02);
	sampler_metrics(&out, &s);
	assert_non_null(strstr(buf_cstr(&out), "\nperiscope_host_peak_window_seconds 0.5\n"));
	assert_non_null(strstr(buf_cstr(&out), "\nperiscope_host_peak_cpu_seconds_total 2\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_smoothing),
		cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
