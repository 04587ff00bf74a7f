/* SPDX-License-Identifier: BSD-2-Clause */
/* Made-up VMs: the options, that every series is another, and that counters never go down. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"
#include "userspace/host/simulate.h"

DEFINE_CLEANUP(struct batch *, batch_free);
DEFINE_CLEANUP(struct simulation *, simulation_free);

static void test_options(void **state)
{
	static const char *const bad[] = { "",
		                           "VMS",
		                           "VMS=",
		                           "VMS=x",
		                           "VMS=-1",
		                           "VMS=100001",
		                           "VMS=1,SERIES=1001",
		                           "VM=1",
		                           "VMS=1;SERIES=2",
		                           "VMS=1,," };
	struct simulate_opts o = { 7, 7 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(0, simulate_parse("VMS=1000", &o, &e));
	assert_int_equal(1000, o.n_vms);
	assert_int_equal(150, o.n_series);
	assert_int_equal(0, simulate_parse("SERIES=3,VMS=0", &o, &e));
	assert_int_equal(0, o.n_vms);
	assert_int_equal(3, o.n_series);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e = ERR_INIT;
		if (simulate_parse(bad[i], &o, &e) != -EINVAL)
			fail_msg("%s is no good", bad[i]);
		assert_non_null(strstr(e.msg, "--simulate: "));
	}
	assert_int_equal(3, o.n_series);
}

struct look {
	double values[2000];
	uint64_t hashes[2000];
	size_t n;
	bool is_second;
};

static int on_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                     const struct sample *s)
{
	struct look *l = ctx;

	(void)labels;
	assert_true(n_labels >= 5);
	assert_true(l->n < ARRAY_SIZE(l->values));
	if (l->is_second && catalog[id].type == SERIES_COUNTER)
		assert_true(s->value >= l->values[l->n]);
	l->values[l->n++] = s->value;
	return 0;
}

static void test_readings(void **state)
{
	static const struct simulate_opts opts = { 10, 150 };
	_cleanup_(simulation_freep) struct simulation *s = NULL;
	static struct look l;

	(void)state;
	assert_int_equal(0, simulation_new(&s, &opts, "00ff", "ams"));
	for (int round = 0; round < 3; round++) {
		_cleanup_(batch_freep) struct batch *b = NULL;

		assert_int_equal(0, batch_new(&b, 2000));
		assert_int_equal(0, simulation_collect(s, 1000 + round, b));
		assert_int_equal(1500, batch_n_samples(b));
		for (size_t i = 0; i < 1500; i++) {
			uint64_t hash = batch_series_hash(b, i);

			if (round > 0)
				assert_true(hash == l.hashes[i]);
			for (size_t k = 0; round == 0 && k < i; k++)
				assert_true(hash != l.hashes[k]);
			l.hashes[i] = hash;
		}
		l.n = 0;
		l.is_second = round > 0;
		assert_int_equal(0, batch_each(b, true, on_sample, &l));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_readings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
