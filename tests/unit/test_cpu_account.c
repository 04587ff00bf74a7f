/* SPDX-License-Identifier: BSD-2-Clause */
/* From the kernel's counters of threads to a VM's CPU time by mode, with records made by hand. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"
#include "userspace/host/cpu_account.h"

#define S_NS 1000000000ull

DEFINE_CLEANUP(struct cpu_account *, cpu_account_free);

static struct vm two_vcpus(void)
{
	struct vm vm = { .id = 1, .pid = 10, .kvm = true, .n_vcpus = 2 };

	vm.vcpus[0] = (struct vm_vcpu){ 11, 0 };
	vm.vcpus[1] = (struct vm_vcpu){ 12, 1 };
	return vm;
}

static struct vm_task_rec thread(unsigned tid, double exec_s, double delay_s)
{
	return (struct vm_task_rec){ .tgid = 10,
		                     .tid = tid,
		                     .group = 1,
		                     .exec_ns = (uint64_t)(exec_s * 1e9),
		                     .run_delay_ns = (uint64_t)(delay_s * 1e9) };
}

static void pass(struct cpu_account *a, const struct vm_task_rec *recs, size_t n, double elapsed_s)
{
	cpu_account_begin(a);
	for (size_t i = 0; i < n; i++)
		cpu_account_thread(a, &recs[i]);
	cpu_account_end(a, (uint64_t)(elapsed_s * 1e9));
}

struct wanted {
	const char *name, *cpu_id, *mode; /* NULL: has no such label */
	double value;
	int n;
};

static int match(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                 const struct sample *sample)
{
	struct wanted *w = ctx;
	bool same = str_eqc(labels[0].value, w->name);

	(void)id;
	for (uint32_t i = 1; i < n_labels; i++) {
		if (str_eqc(labels[i].name, "cpu_id"))
			same = same && w->cpu_id && str_eqc(labels[i].value, w->cpu_id);
		if (str_eqc(labels[i].name, "mode"))
			same = same && w->mode && str_eqc(labels[i].value, w->mode);
	}
	if (same) {
		w->value = sample->value;
		w->n++;
	}
	return 0;
}

static double value_of(const struct cpu_account *a, const char *name, const char *cpu_id,
                       const char *mode)
{
	const struct vm vm = two_vcpus();
	struct wanted w = { name, cpu_id, mode, 0, 0 };
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 1000));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1));
	assert_int_equal(0, cpu_account_emit(a, true, b));
	assert_int_equal(0, batch_each(b, false, match, &w));
	batch_free(b);
	assert_int_equal(1, w.n);
	return w.value;
}

#define CPU(a, cpu_id, mode) value_of(a, "fly_instance_cpu", cpu_id, mode)
#define STEAL_S(a, cpu_id)   value_of(a, "fly_instance_cpu_steal_host_seconds", cpu_id, NULL)
#define THROTTLE(a)          value_of(a, "fly_instance_cpu_throttle", NULL, NULL)

static void test_modes(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(10, 3, 0), thread(11, 8, 1), thread(12, 2, 0.5) };

	(void)state;
	/* Guest time is sampled: three quarters of the ticks of vCPU 0 were in the guest. */
	recs[1].utime_ns = 3 * S_NS;
	recs[1].stime_ns = S_NS;
	recs[1].gtime_ns = 3 * S_NS;
	recs[2].utime_ns = recs[2].gtime_ns = S_NS;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	pass(a, recs, 3, 20);
	assert_double_near(600, CPU(a, "0", "user"), 1e-6);
	assert_double_near(200, CPU(a, "0", "system"), 1e-6);
	assert_double_near(100, CPU(a, "0", "steal"), 1e-6);
	assert_double_near(1100, CPU(a, "0", "idle"), 1e-6);
	assert_double_near(200, CPU(a, "1", "user"), 1e-6);
	assert_double_near(0, CPU(a, "1", "system"), 1e-6);
	assert_double_near(1750, CPU(a, "1", "idle"), 1e-6);
	assert_double_near(0.5, STEAL_S(a, "1"), 1e-9);
	assert_double_near(0, CPU(a, "0", "nice") + CPU(a, "0", "iowait") + CPU(a, "0", "irq"), 0);
	assert_int_equal(13 * S_NS, cpu_account_used_ns(a));
}

/* Without KVM there is no guest time: all that an emulator's vCPU thread runs is the guest. */
static void test_emulated(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(11, 8, 0), thread(12, 1, 0) };

	(void)state;
	vm.kvm = false;
	recs[0].utime_ns = 4 * S_NS;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	pass(a, recs, 2, 10);
	assert_double_near(800, CPU(a, "0", "user"), 1e-6);
	assert_double_near(0, CPU(a, "0", "system"), 1e-6);
}

/* The delay contains what the VM's own limit held back; each thread bears its share of that. */
static void test_steal_is_not_throttling(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(11, 1, 6), thread(12, 1, 2) };

	(void)state;
	recs[0].throttled_ns = recs[1].throttled_ns = 4 * S_NS; /* one cgroup: counts once */
	recs[0].throttled_parents_ns = recs[1].throttled_parents_ns = 2 * S_NS;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	pass(a, recs, 2, 10);
	assert_double_near(600, THROTTLE(a), 1e-6);
	assert_double_near(6 * 0.25, STEAL_S(a, "0"), 1e-9);
	assert_double_near(2 * 0.25, STEAL_S(a, "1"), 1e-9);
	/* An interval with nothing but throttling adds none. */
	recs[0].run_delay_ns += S_NS;
	recs[0].throttled_ns += S_NS;
	recs[1].throttled_ns += S_NS;
	pass(a, recs, 2, 12);
	assert_double_near(700, THROTTLE(a), 1e-6);
	assert_double_near(6 * 0.25, STEAL_S(a, "0"), 1e-9);
	/* Throttling is counted for each CPU, delay for each thread: it may be the larger one. */
	recs[0].throttled_ns += 5 * S_NS;
	recs[0].run_delay_ns += S_NS;
	pass(a, recs, 2, 13);
	assert_double_near(6 * 0.25, STEAL_S(a, "0"), 1e-9);
}

static void test_cgroup_of_each_vcpu(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(11, 1, 4), thread(12, 1, 4) };

	(void)state;
	recs[0].throttled_ns = S_NS;
	recs[1].group = 2;
	recs[1].throttled_ns = 2 * S_NS;
	recs[0].throttled_parents_ns = recs[1].throttled_parents_ns = S_NS; /* a common parent */
	recs[0].quota_ns = 30000000;
	recs[1].quota_ns = 20000000;
	recs[0].period_ns = recs[1].period_ns = 80000000;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	assert_double_near(0, cpu_account_limit(a), 0);
	pass(a, recs, 2, 10);
	assert_double_near(400, THROTTLE(a), 1e-6);
	assert_double_near(0.25, cpu_account_limit(a), 1e-12);
}

/* Counters grow whatever the kernel's estimates do, and threads that end stay counted. */
static void test_nothing_runs_backwards(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct rng rng = unit_rng();
	double user = 0, system = 0, idle = 0, steal = 0;
	uint64_t used = 0;

	(void)state;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	for (unsigned i = 1; i < 500; i++) {
		struct vm_task_rec recs[] = { thread(11, i, rng_below(&rng, 50)),
			                      thread(12, rng_below(&rng, 50), 1) };

		recs[0].utime_ns = (1 + rng_below(&rng, 9)) * S_NS;
		recs[0].gtime_ns = rng_below(&rng, 12) * S_NS;
		recs[0].throttled_ns = rng_below(&rng, 9) * S_NS;
		pass(a, recs, 2, rng_below(&rng, 1000));
		assert_true(CPU(a, "0", "user") >= user);
		assert_true(CPU(a, "0", "system") >= system);
		assert_true(CPU(a, "0", "idle") >= idle);
		assert_true(STEAL_S(a, "0") >= steal);
		assert_true(cpu_account_used_ns(a) >= used);
		user = CPU(a, "0", "user");
		system = CPU(a, "0", "system");
		idle = CPU(a, "0", "idle");
		steal = STEAL_S(a, "0");
		used = cpu_account_used_ns(a);
	}
}

/* Described anew: a vCPU that stayed goes on from where it was, a new one from its own counters. */
static void test_adopt(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(11, 1, 2), thread(12, 1, 2), thread(13, 5, 0) };

	(void)state;
	vm.kvm = false;
	vm.n_vcpus = 1;
	recs[0].throttled_ns = S_NS;
	assert_int_equal(0, cpu_account_new(&a, &vm));
	pass(a, recs, 1, 10);
	assert_double_near(1, STEAL_S(a, "0"), 1e-9);
	vm.n_vcpus = 2;
	vm.vcpus[1].tid = 13;
	alloc_fail_at(1);
	assert_int_equal(-ENOMEM, cpu_account_adopt(a, &vm));
	alloc_fail_at(0);
	assert_int_equal(0, cpu_account_adopt(a, &vm));
	pass(a, recs, 3, 11);
	assert_double_near(1, STEAL_S(a, "0"), 1e-9);
	assert_double_near(500, CPU(a, "1", "user"), 1e-6);
}

static void test_finish(void **state)
{
	_cleanup_(cpu_account_freep) struct cpu_account *a = NULL;
	struct vm vm = two_vcpus();
	struct vm_task_rec recs[] = { thread(11, 1, 2), thread(12, 1, 0), thread(99, 50, 50) };

	(void)state;
	vm.kvm = false;
	recs[0].throttled_ns = recs[1].throttled_ns = S_NS; /* half of the delay */
	assert_int_equal(0, cpu_account_new(&a, &vm));
	pass(a, recs, 2, 10);
	recs[0].exec_ns = 3 * S_NS;
	recs[0].run_delay_ns = 4 * S_NS;
	cpu_account_finish(a, recs, 3, 20 * S_NS);
	assert_double_near(300, CPU(a, "0", "user"), 1e-6);
	assert_double_near(2, STEAL_S(a, "0"), 1e-9);
	assert_double_near(1300, CPU(a, "0", "idle"), 1e-6);
	assert_double_near(100, CPU(a, "1", "user"), 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_emulated),
		cmocka_unit_test(test_steal_is_not_throttling),
		cmocka_unit_test(test_cgroup_of_each_vcpu),
		cmocka_unit_test(test_nothing_runs_backwards),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
