/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches: what comes out is what went in, labelled and sorted; limits and no memory refuse. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"
#include "userspace/host/vm.h"
#include "userspace/wire/promtext.h"

DEFINE_CLEANUP(struct batch *, batch_free);

static struct vm vm_named(uint64_t id, const char *app, const char *instance)
{
	struct vm vm = { .id = id, .org = "acme", .region = "ams", .host = "00ff" };

	(void)snprintf(vm.app, sizeof(vm.app), "%s", app);
	(void)snprintf(vm.instance, sizeof(vm.instance), "%s", instance);
	return vm;
}

static int write_text(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                      const struct sample *sample)
{
	(void)id;
	promtext_write_sample(ctx, labels, n_labels, sample->value, &sample->ts_ms);
	return 0;
}

static void assert_text(const struct batch *b, bool with_org, const char *expected)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(0, batch_each(b, with_org, write_text, &out));
	assert_string_equal(expected, buf_cstr(&out));
}

static void test_labels_and_units(void **state)
{
	struct vm a = vm_named(1, "web", "i1"), b = vm_named(2, "", "i2");
	_cleanup_(batch_freep) struct batch *batch = NULL;

	(void)state;
	assert_int_equal(0, batch_new(&batch, 100));
	assert_int_equal(-EINVAL, batch_add(batch, FLY_INSTANCE_UP, NULL, 1)); /* of no VM */
	assert_int_equal(0, batch_begin_vm(batch, &a, 1000));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_UP, NULL, 1));
	assert_int_equal(0, batch_begin_vm(batch, &b, 1000));
	assert_int_equal(0,
	                 batch_add(batch, FLY_INSTANCE_CPU, (const char *[]){ "0", "user" }, 15e9));
	/* A second source, later: VM and timestamp of the first call. */
	assert_int_equal(0, batch_begin_vm(batch, &a, 2000));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU_STEAL_HOST_SECONDS,
	                              (const char *[]){ "3" }, 1e9 / 8));
	assert_int_equal(3, batch_n_samples(batch));
	assert_text(
		batch, false,
		"fly_instance_up{app=\"web\",host=\"00ff\",instance=\"i1\",region=\"ams\"} 1 1000\n"
		"fly_instance_cpu{cpu_id=\"0\",host=\"00ff\",instance=\"i2\",mode=\"user\","
		"region=\"ams\"} 1500 1000\n"
		"fly_instance_cpu_steal_host_seconds{app=\"web\",cpu_id=\"3\",host=\"00ff\","
		"instance=\"i1\",region=\"ams\"} 0.125 1000\n");
}

/* Something that outlives VMs: no instance, labels of its own. */
static void test_other_objects(void **state)
{
	const struct batch_owner volume = { BATCH_OWNER_ID | 7, "acme", "db", "00ff", "", "ams" };
	_cleanup_(batch_freep) struct batch *batch = NULL;

	(void)state;
	assert_int_equal(0, batch_new(&batch, 100));
	assert_int_equal(0, batch_begin(batch, &volume, 1));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_UP, NULL, 1));
	assert_text(
		batch, true,
		"fly_instance_up{__org__=\"acme\",app=\"db\",host=\"00ff\",region=\"ams\"} 1 1\n");
}

static int check_sorted(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                        const struct sample *sample)
{
	(void)id;
	(void)sample;
	for (uint32_t i = 1; i < n; i++)
		assert_true(str_cmp(labels[i - 1].name, labels[i].name) < 0);
	assert_str_equal(STR(LABEL_NAME), labels[0].name);
	assert_str_equal(STR(LABEL_ORG), labels[1].name);
	assert_str_equal(STR("acme"), labels[1].value);
	++*(size_t *)ctx;
	return 0;
}

/* Every row of the catalogue: sorted labels, legal name, a unit that is a power of ten. */
static void test_every_row(void **state)
{
	static const char *const extra[SERIES_EXTRA_MAX] = { "a", "b", "c", "d" };
	struct vm vm = vm_named(1, "web", "i1");
	_cleanup_(batch_freep) struct batch *b = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(0, batch_new(&b, SERIES_N));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1));
	for (enum series_id id = 0; id < SERIES_N; id++) {
		assert_int_equal(0, batch_add(b, id, extra, 1));
		assert_true(catalog[id].scale > 0);
		assert_true(catalog[id].scale <= 1);
		assert_double_near(1 / catalog[id].scale, catalog_layout(id)->divisor, 1e-12);
		assert_true(catalog[id].help[strlen(catalog[id].help) - 1] == '.');
		for (enum series_id other = 0; other < id; other++)
			assert_string_not_equal(catalog[id].name, catalog[other].name);
	}
	assert_int_equal(0, batch_each(b, true, check_sorted, &n));
	assert_int_equal(SERIES_N, n);
}

static void test_limit(void **state)
{
	struct vm vm = vm_named(1, "web", "i1");
	_cleanup_(batch_freep) struct batch *b = NULL;

	(void)state;
	assert_int_equal(0, batch_new(&b, 2));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	assert_int_equal(-ENOSPC, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	assert_int_equal(2, batch_n_samples(b));
	assert_int_equal(1, batch_n_refused(b));
}

static void test_value_too_long(void **state)
{
	struct vm vm = vm_named(1, "web", "i1");
	_cleanup_(batch_freep) struct batch *b = NULL;
	char text[LABEL_VALUE_MAX + 2];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(0, batch_new(&b, 2));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1));
	assert_int_equal(-EINVAL,
	                 batch_add(b, FLY_INSTANCE_DISK_TIME_IO, (const char *[]){ text }, 1));
	assert_int_equal(0,
	                 batch_add(b, FLY_INSTANCE_DISK_TIME_IO, (const char *[]){ text + 1 }, 1));
	assert_int_equal(1, batch_n_samples(b));
}

/* Same labels, same number, whatever batch and VM id; any other label, another number. */
static void test_hash(void **state)
{
	struct vm vms[] = { vm_named(7, "web", "i1"), vm_named(9, "web", "i1"),
		            vm_named(10, "web", "i2"), vm_named(11, "we", "bi1"),
		            vm_named(12, "web", "i1") };
	_cleanup_(batch_freep) struct batch *b = NULL;

	(void)state;
	(void)snprintf(vms[4].org, sizeof(vms[4].org), "other");
	assert_int_equal(0, batch_new(&b, 100));
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
		assert_int_equal(0, batch_begin_vm(b, &vms[i], 1));
		assert_int_equal(0, batch_add(b, FLY_INSTANCE_DISK_TIME_IO,
		                              (const char *[]){ "vdb" }, (double)i));
	}
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_DISK_TIME_IO, (const char *[]){ "vdc" }, 1));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_DISK_TIME_READING, (const char *[]){ "vdb" },
	                              1));
	assert_true(batch_series_hash(b, 0) == batch_series_hash(b, 1));
	for (size_t i = 1; i < batch_n_samples(b); i++) {
		for (size_t j = i + 1; j < batch_n_samples(b); j++)
			assert_true(batch_series_hash(b, i) != batch_series_hash(b, j));
	}
}

static void test_many_vms(void **state)
{
	_cleanup_(batch_freep) struct batch *b = NULL;

	(void)state;
	assert_int_equal(0, batch_new(&b, 100000));
	for (int round = 0; round < 3; round++) {
		for (uint64_t id = 1; id <= 5000; id++) {
			struct vm vm = vm_named(id, "web", "i");

			assert_int_equal(0, batch_begin_vm(b, &vm, round));
			assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, (double)id));
		}
	}
	assert_int_equal(15000, batch_n_samples(b));
	for (size_t i = 0; i < 5000; i++)
		assert_true(batch_series_hash(b, i) == batch_series_hash(b, 10000 + i));
}

static int fill(struct batch **ret)
{
	_cleanup_(batch_freep) struct batch *b = NULL;
	int r = batch_new(&b, 1000);

	for (uint64_t id = 1; r == 0 && id <= 50; id++) {
		struct vm vm = vm_named(id, "web", "i1");

		r = batch_begin_vm(b, &vm, 1);
		for (int i = 0; r == 0 && i < 4; i++)
			r = batch_add(b, FLY_INSTANCE_CPU,
			              (const char *[]){ i & 1 ? "0" : "1", "user" }, 1);
	}
	if (r == 0)
		*ret = TAKE_PTR(b);
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned long nth = 1;; nth++) {
		_cleanup_(batch_freep) struct batch *b = NULL;

		alloc_fail_at(nth);
		int r = fill(&b);

		alloc_fail_at(0);
		if (r == 0) {
			assert_true(nth > 5);
			return;
		}
		assert_int_equal(-ENOMEM, r);
		assert_null(b);
	}
}

static void test_prefix(void **state)
{
	struct vm vm = vm_named(1, "web", "i1");
	_cleanup_(batch_freep) struct batch *b = NULL;

	(void)state;
	assert_int_equal(-EINVAL, catalog_set_prefix("9x_"));
	assert_int_equal(-EINVAL, catalog_set_prefix("a b"));
	assert_int_equal(-EINVAL, catalog_set_prefix("a_prefix_of_more_than_32_characters_"));
	assert_int_equal(0, catalog_set_prefix("my_"));
	assert_int_equal(0, batch_new(&b, 1));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	assert_text(b, false,
	            "my_instance_up{app=\"web\",host=\"00ff\",instance=\"i1\","
	            "region=\"ams\"} 1 1\n");
	assert_int_equal(0, catalog_set_prefix(SERIES_PREFIX));
}

/* The guest's own view, then the host's: of each VM, each row comes from one of them. */
static void test_first_source_has_the_row(void **state)
{
	struct vm a = vm_named(1, "web", "i1"), b = vm_named(2, "web", "i2");
	_cleanup_(batch_freep) struct batch *batch = NULL;
	const char *user[] = { "0", "user" }, *idle[] = { "0", "idle" };

	(void)state;
	assert_int_equal(0, batch_new(&batch, 100));
	assert_int_equal(0, batch_begin_vm(batch, &a, 1));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_UP, NULL, 1));
	batch_begin_source(batch);
	batch_hold(batch, FLY_INSTANCE_UP); /* of no VM: nothing */
	assert_int_equal(-EINVAL, batch_add(batch, FLY_INSTANCE_CPU, user, 1e7));
	assert_int_equal(0, batch_begin_vm(batch, &a, 1));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU, user, 1e7));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU, idle, 2e7)); /* it has the row */
	batch_hold(batch, FLY_INSTANCE_CPU_THROTTLE);
	batch_change(batch, FLY_INSTANCE_UP, 0);
	batch_begin_source(batch);
	assert_int_equal(0, batch_begin_vm(batch, &a, 1));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU, idle, 9e7));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU_THROTTLE, NULL, 9e7));
	assert_int_equal(0, batch_begin_vm(batch, &b, 1));
	assert_int_equal(0, batch_add(batch, FLY_INSTANCE_CPU, idle, 9e7));
	assert_int_equal(1, batch_n_refused(batch)); /* before a VM was begun */
	assert_text(
		batch, false,
		"fly_instance_up{app=\"web\",host=\"00ff\",instance=\"i1\",region=\"ams\"} 0 1\n"
		"fly_instance_cpu{app=\"web\",cpu_id=\"0\",host=\"00ff\",instance=\"i1\","
		"mode=\"user\",region=\"ams\"} 1 1\n"
		"fly_instance_cpu{app=\"web\",cpu_id=\"0\",host=\"00ff\",instance=\"i1\","
		"mode=\"idle\",region=\"ams\"} 2 1\n"
		"fly_instance_cpu{app=\"web\",cpu_id=\"0\",host=\"00ff\",instance=\"i2\","
		"mode=\"idle\",region=\"ams\"} 9 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels_and_units),
		cmocka_unit_test(test_first_source_has_the_row),
		cmocka_unit_test(test_other_objects),
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_value_too_long),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_many_vms),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
