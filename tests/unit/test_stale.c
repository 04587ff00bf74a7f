/* SPDX-License-Identifier: BSD-2-Clause */
/* Stale marks: exactly the series that ended get one, once; a full batch counts what it lacks. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"
#include "userspace/host/stale.h"
#include "userspace/host/vm.h"

DEFINE_CLEANUP(struct batch *, batch_free);

static struct batch *batch_of(size_t max)
{
	struct batch *b;

	assert_int_equal(0, batch_new(&b, max));
	return b;
}

/* VM number @id of organisation @org is up, and its CPU 0 to @n_cpus - 1 counted. */
static void add_vm(struct batch *b, uint64_t id, const char *org, uint32_t n_cpus)
{
	struct vm vm = { .id = id, .region = "ams", .host = "00ff", .app = "web" };
	char cpu[8];

	(void)snprintf(vm.org, sizeof(vm.org), "%s", org);
	(void)snprintf(vm.instance, sizeof(vm.instance), "i%u", (unsigned)(id % 100));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1000));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	for (uint32_t i = 0; i < n_cpus; i++) {
		(void)snprintf(cpu, sizeof(cpu), "%u", i);
		assert_int_equal(0, batch_add(b, FLY_INSTANCE_CPU, (const char *[]){ cpu, "user" },
		                              i));
	}
}

static int write_stale(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                       const struct sample *s)
{
	(void)id;
	if (!is_stale_mark(s->value))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, "__name__") || str_eqc(labels[i].name, "instance") ||
		    str_eqc(labels[i].name, LABEL_ORG) || str_eqc(labels[i].name, "cpu_id"))
			buf_printf(ctx, "%.*s ", STR_FMT(labels[i].value));
	}
	buf_printf(ctx, "@%lld\n", (long long)s->ts_ms);
	return 0;
}

static void assert_stale(const struct batch *b, const char *expected)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(0, batch_each(b, true, write_stale, &out));
	assert_string_equal(expected, buf_cstr(&out));
}

static void test_first_tick(void **state)
{
	_cleanup_(batch_freep) struct batch *now = batch_of(100);

	(void)state;
	add_vm(now, 1, "acme", 2);
	assert_int_equal(0, stale_mark_ended(now, NULL, 2000));
	assert_int_equal(0, stale_mark_vm(now, NULL, 1, 2000));
	assert_int_equal(3, batch_n_samples(now));
}

static void test_what_ended(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(100);

	(void)state;
	add_vm(before, 1, "acme", 2);
	add_vm(before, 2, "acme", 1);
	add_vm(before, 3, "beta", 0);
	add_vm(now, 1, "acme", 1);    /* CPU 1 was unplugged */
	add_vm(now, 103, "gamma", 0); /* the same labels, but another's series */
	assert_int_equal(1 + 2 + 1, stale_mark_ended(now, before, 2000));
	/* A VM that goes on has one timestamp in a batch, which a tick gives to its marks too. */
	assert_stale(now, "fly_instance_cpu acme 1 i1 @1000\n"
	                  "fly_instance_up acme i2 @2000\n"
	                  "fly_instance_cpu acme 0 i2 @2000\n"
	                  "fly_instance_up beta i3 @2000\n");
	assert_int_equal(7, batch_n_samples(now));
	assert_stale(before, "");
}

/* Series count, not VMs: one that came back under another number continues. */
static void test_vm_described_anew(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(100);

	(void)state;
	add_vm(before, 1, "acme", 2);
	add_vm(now, 101, "acme", 2); /* both are i1 */
	assert_int_equal(0, stale_mark_ended(now, before, 2000));
	assert_stale(now, "");
}

/* A mark says it once: the tick after it is silent. */
static void test_marks_are_not_repeated(void **state)
{
	_cleanup_(batch_freep) struct batch *first = batch_of(100), *second = batch_of(100),
					    *third = batch_of(100);

	(void)state;
	add_vm(first, 1, "acme", 0);
	assert_int_equal(1, stale_mark_ended(second, first, 2000));
	assert_stale(second, "fly_instance_up acme i1 @2000\n");
	assert_int_equal(0, stale_mark_ended(third, second, 3000));
	assert_int_equal(0, batch_n_samples(third));
}

static void test_one_vm_at_once(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(100);

	(void)state;
	add_vm(before, 1, "acme", 1);
	add_vm(before, 2, "acme", 1);
	assert_int_equal(0, stale_mark_vm(now, before, 9, 1500));
	assert_int_equal(2, stale_mark_vm(now, before, 2, 1500));
	assert_stale(now, "fly_instance_up acme i2 @1500\n"
	                  "fly_instance_cpu acme 0 i2 @1500\n");
}

/* What was marked at once is still absent in the next tick, and marked there a last time. */
static void test_marked_at_once_and_by_the_tick(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(100),
					    *next = batch_of(100);

	(void)state;
	add_vm(before, 1, "acme", 0);
	assert_int_equal(1, stale_mark_vm(now, before, 1, 1500));
	assert_int_equal(0, stale_mark_ended(now, before, 2000)); /* it is there: as a mark */
	assert_int_equal(1, stale_mark_ended(next, before, 2000));
	assert_stale(next, "fly_instance_up acme i1 @2000\n");
}

static void test_full_batch(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(4);

	(void)state;
	add_vm(before, 1, "acme", 9);
	add_vm(now, 2, "acme", 0);
	assert_int_equal(3, stale_mark_ended(now, before, 2000));
	assert_int_equal(4, batch_n_samples(now));
	assert_int_equal(7, batch_n_refused(now));
	assert_int_equal(0, stale_mark_vm(now, before, 1, 2000));
	assert_int_equal(14, batch_n_refused(now)); /* three have their mark */
}

static void test_no_memory(void **state)
{
	_cleanup_(batch_freep) struct batch *before = batch_of(100), *now = batch_of(100);

	(void)state;
	add_vm(before, 1, "acme", 2);
	alloc_fail_at(1);
	assert_int_equal(-ENOMEM, stale_mark_ended(now, before, 2000));
	alloc_fail_at(0);
	assert_int_equal(0, batch_n_samples(now));
	assert_int_equal(3, stale_mark_ended(now, before, 2000));
}

/* Against the plain definition: many series, of which any part stays. */
static void test_many(void **state)
{
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 20; round++) {
		_cleanup_(batch_freep) struct batch *before = batch_of(5000), *now = batch_of(5000);
		int64_t expected = 0;

		for (uint64_t id = 1; id < 60; id++) {
			uint32_t had = rng_below(&rng, 50), has = rng_below(&rng, 50);
			bool was = rng_below(&rng, 4) > 0, is = rng_below(&rng, 4) > 0;

			if (was)
				add_vm(before, id, "acme", had);
			if (is)
				add_vm(now, id, "acme", has);
			if (was && !is)
				expected += had + 1;
			else if (was && had > has)
				expected += had - has;
		}
		assert_int_equal(expected, stale_mark_ended(now, before, 2000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_tick),
		cmocka_unit_test(test_what_ended),
		cmocka_unit_test(test_vm_described_anew),
		cmocka_unit_test(test_marks_are_not_repeated),
		cmocka_unit_test(test_one_vm_at_once),
		cmocka_unit_test(test_marked_at_once_and_by_the_tick),
		cmocka_unit_test(test_full_batch),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
