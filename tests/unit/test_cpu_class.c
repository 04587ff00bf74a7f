/* SPDX-License-Identifier: BSD-2-Clause */
/* The burst balance: steps and what they lead to, by hand; and its bounds under any steps. */
#include "tests/unit/unit.h"

#include <math.h>

#include "userspace/host/cpu_class.h"
#include "userspace/host/host_conf.h"

#define S_NS  1000000000ull
#define SHARE 0.0625 /* of a CPU, for each vCPU of class shared */

static struct host_conf conf;

static const struct cpu_class *class_of(const char *name)
{
	const struct cpu_class *c = cpu_class_find(&conf.cpu_classes, name);

	assert_non_null(c);
	return c;
}

static void test_classes(void **state)
{
	(void)state;
	assert_null(cpu_class_find(&conf.cpu_classes, ""));
	assert_null(cpu_class_find(&conf.cpu_classes, "Shared"));
	assert_double_near(8 * SHARE, cpu_class_baseline(class_of("shared"), 8), 1e-12);
	assert_double_near(4, cpu_class_baseline(class_of("performance"), 4), 1e-12);
	assert_int_equal(500000, class_of("shared")->balance_max_ms);
	assert_int_equal(0, class_of("performance")->balance_max_ms);
}

static void test_steps(void **state)
{
	static const struct {
		const char *what;
		double at_s, used_s, want_s, left_s; /* two vCPUs of class shared: 10 s at first */
	} rows[] = {
		{ "the start, whatever was used before it", 100, 7, 10, INFINITY },
		{ "idle for 16 s: 2 s more", 116, 7, 12, INFINITY },
		{ "the baseline exactly", 132, 9, 12, INFINITY },
		{ "one CPU for 8 s: 1 s saved, 8 spent", 140, 17, 5, 5 / (1 - 2 * SHARE) },
		{ "nothing passed", 140, 17, 5, 5 / (1 - 2 * SHARE) },
		{ "the clock ran backwards", 130, 18, 5, 5 / (1 - 2 * SHARE) },
		{ "what was used meanwhile counts later", 148, 18, 5, INFINITY },
		{ "the counter fell: as if idle", 156, 10, 6, INFINITY },
		{ "more than there was: none is owed", 164, 34, 0, 0 },
		{ "a missed hour", 3764, 35, 449, INFINITY },
		{ "no more than the maximum", 103764, 35, 1000, INFINITY },
	};
	const struct cpu_class *c = class_of("shared");
	struct cpu_balance b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].what);
		cpu_balance_step(&b, c, 2, (uint64_t)(rows[i].at_s * 1e9),
		                 (uint64_t)(rows[i].used_s * 1e9));
		assert_double_near(rows[i].want_s * 1e9, b.ns, 10);
		if (isinf(rows[i].left_s))
			assert_true(isinf(cpu_balance_seconds_left(&b, c, 2)));
		else
			assert_double_near(rows[i].left_s, cpu_balance_seconds_left(&b, c, 2),
			                   1e-6);
	}
}

/* One long step is worth the same as the many that it stands for, away from the bounds. */
static void test_missed_steps(void **state)
{
	const struct cpu_class *c = class_of("shared");
	struct cpu_balance often, once;

	(void)state;
	often = once = (struct cpu_balance){ .at_ns = S_NS, .ns = 250e9 };
	for (unsigned i = 1; i <= 40; i++)
		cpu_balance_step(&often, c, 1, S_NS * (1 + 15 * i), S_NS * i);
	cpu_balance_step(&once, c, 1, S_NS * 601, S_NS * 40);
	assert_double_near(250e9 + 600e9 * SHARE - 40e9, once.ns, 100);
	assert_double_near(once.ns, often.ns, 100);
}

static void test_bounds(void **state)
{
	const struct cpu_class *c = class_of("shared");
	struct rng rng = unit_rng();
	struct cpu_balance b = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint32_t n = 1 + rng_below(&rng, 16);
		double left;

		cpu_balance_step(&b, c, n, rng_u64(&rng) >> rng_below(&rng, 64),
		                 rng_u64(&rng) >> rng_below(&rng, 64));
		assert_true(b.ns >= 0);
		assert_true(b.ns <= 500e9 * n);
		left = cpu_balance_seconds_left(&b, c, n);
		assert_true(left >= 0);
		if (i % 1000 == 0)
			b = (struct cpu_balance){ 0 };
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_missed_steps),
		cmocka_unit_test(test_bounds),
	};
	static const char *const known[] = { NULL };

	if (host_conf_parse("t", STR(""), known, &conf, NULL) < 0)
		return 1;
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	host_conf_done(&conf);
	return r;
}
