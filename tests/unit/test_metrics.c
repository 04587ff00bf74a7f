/* SPDX-License-Identifier: BSD-2-Clause */
/* Self-metrics: families stand together, threads lose no count, collectors come last. */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "userspace/base/metrics.h"

static struct metric late = METRIC_COUNTER("a_refused_total", "reason=\"late\"", "Refused\\ \n.");
static struct metric open_now = METRIC_GAUGE("b_open", "", "Open.");
static struct metric big = METRIC_COUNTER("a_refused_total", "reason=\"big\"", "Refused\\ \n.");
METRIC_REGISTER(late);
METRIC_REGISTER(open_now);
METRIC_REGISTER(big);

static const char own[] =
	"# HELP a_refused_total Refused\\\\ \\n.\n# TYPE a_refused_total counter\n"
	"a_refused_total{reason=\"late\"} 9007199254740993\n"
	"a_refused_total{reason=\"big\"} 2\n"
	"# HELP b_open Open.\n# TYPE b_open gauge\nb_open -3\n";

static void collect(struct buf *out, void *ctx)
{
	metrics_put_family(out, ctx, "gauge", "Collected.");
	metrics_put(out, ctx, "", 0.5);
	metrics_put(out, ctx, "x=\"1\"", 1e21);
}

static void test_families_together(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	metric_add(&late, 9007199254740990);
	metric_add(&late, 3); /* beyond a double */
	metric_add(&big, 2);
	metric_set(&open_now, 7);
	metric_set(&open_now, -3);
	metrics_write(&out);
	assert_string_equal(own, buf_cstr(&out));
}

static void test_collectors_in_order(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	char first[] = "c_one", second[] = "c_two", third[] = "c_three";

	(void)state;
	metrics_collector_add(collect, first);
	metrics_collector_add(collect, second);
	metrics_collector_add(collect, third);
	metrics_collector_del(collect, second);
	metrics_collector_del(collect, second); /* gone already */
	metrics_write(&out);
	assert_str_equal(((struct str){ own, sizeof(own) - 1 }),
	                 ((struct str){ out.p, sizeof(own) - 1 }));
	assert_string_equal("# HELP c_one Collected.\n# TYPE c_one gauge\nc_one 0.5\n"
	                    "c_one{x=\"1\"} 1000000000000000000000\n"
	                    "# HELP c_three Collected.\n# TYPE c_three gauge\nc_three 0.5\n"
	                    "c_three{x=\"1\"} 1000000000000000000000\n",
	                    buf_cstr(&out) + sizeof(own) - 1);
	metrics_collector_del(collect, first);
	metrics_collector_del(collect, third);
	buf_clear(&out);
	metrics_write(&out);
	assert_string_equal(own, buf_cstr(&out));
}

#define EACH 20000

static void *count(void *ctx)
{
	for (int i = 0; i < EACH; i++)
		metric_add(ctx, 1);
	return NULL;
}

static void test_threads(void **state)
{
	static struct metric m = METRIC_COUNTER("d_total", "", "D.");
	pthread_t t[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(0, pthread_create(&t[i], NULL, count, &m));
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(0, pthread_join(t[i], NULL));
	assert_true(atomic_load(&m.value) == (int64_t)(ARRAY_SIZE(t) * EACH));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families_together),
		cmocka_unit_test(test_collectors_in_order),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
