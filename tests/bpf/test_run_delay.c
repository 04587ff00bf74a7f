/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The histogram of run-queue waits against the scheduler's own file: how often the thread got a
 * CPU, and what it waited in all. Between two readings with one wait the sum is that wait, and so
 * tells its bucket.
 */
#include "tests/bpf/wait_test.h"

#include <sched.h>

#include "userspace/base/file.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/procfs.h"
#include "userspace/host/vm_exit.h"

#define ROUNDS      60
#define HOG_MS      30
#define SINGLES_MIN 5 /* rounds with one wait: nearly all, on a machine that does little else */

static struct host_conf conf; /* nothing of it is read */

static void pin_to_first(void)
{
	cpu_set_t all, set;

	assert_int_equal(0, sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&set);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &all)) {
			CPU_SET(cpu, &set);
			break;
		}
	}
	assert_int_equal(0, sched_setaffinity(0, sizeof(set), &set));
}

/* 'p': share one CPU with whoever does so, too; 'b': use it; else only be there. */
static int worker(char what)
{
	if (what == 'p')
		pin_to_first();
	else if (what == 'b')
		burn_own_ms(HOG_MS);
	return 0;
}

static struct vm vm_of(const struct child *c)
{
	struct vm vm = test_vm(c->pid);
	struct proc_stat st;

	assert_int_equal(0, procfs_stat("/proc", c->pid, &st));
	vm.start_ticks = st.start_ticks;
	vm.n_vcpus = 1;
	vm.vcpus[0] = (struct vm_vcpu){ .tid = c->pid, .cpu_id = 3 };
	return vm;
}

struct schedstat {
	uint64_t waited_ns, n_runs;
};

static struct schedstat schedstat_of(pid_t pid)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str ran, waited, runs;
	struct schedstat st;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	assert_int_equal(0, file_read(path, &text, 4096));
	assert_true(str_cut(buf_str(&text), ' ', &ran, &waited));
	assert_true(str_cut(waited, ' ', &waited, &runs));
	assert_int_equal(0, num_parse_u64(waited, &st.waited_ns));
	assert_int_equal(0, num_parse_u64(str_trim(runs), &st.n_runs));
	return st;
}

/* Off the CPU for good: it sleeps, and a moment later it has not run again. */
static void await_asleep(pid_t pid)
{
	for (int i = 0; i < 2000; i++) {
		struct schedstat before = schedstat_of(pid);
		struct proc_stat st;

		sleep_ms(2);
		assert_int_equal(0, procfs_stat("/proc", pid, &st));
		if (st.state == 'S' && schedstat_of(pid).n_runs == before.n_runs)
			return;
	}
	fail_msg("the child does not go to sleep");
}

static struct source *open_source(void)
{
	struct err e = ERR_INIT;
	struct source *src;

	if (run_delay_source.open(&src, &conf, &e) < 0)
		skip_test(e.msg);
	return src;
}

static struct waits waits_of(struct source *src)
{
	return read_waits(&run_delay_source, src, FLY_INSTANCE_CPU_RUN_DELAY_SECONDS_BUCKET,
	                  "cpu_id", "3");
}

/* One round: a single wait is in its bucket and nowhere else. Returns whether it was one. */
static bool check_round(struct source *src, const struct child *vcpu, const struct child *hog)
{
	struct schedstat before = schedstat_of(vcpu->pid), after;
	struct waits had = waits_of(src), got;

	if (hog)
		child_tell(hog, 'b');
	(void)child_do(vcpu, '-');
	if (hog)
		(void)child_answer(hog);
	await_asleep(vcpu->pid);
	after = schedstat_of(vcpu->pid);
	struct waits now = waits_of(src);

	got = waits_since(now, &had);
	assert_int_equal(after.n_runs - before.n_runs, got.count);
	assert_double_near((double)(after.waited_ns - before.waited_ns), (double)got.sum_ns, 2);
	if (got.count != 1)
		return false;
	assert_int_equal(1, got.buckets[wait_bucket(after.waited_ns - before.waited_ns)]);
	return true;
}

static void test_counts_are_exact(void **state)
{
	struct child vcpu = child_start(worker), hog = child_start(worker);
	struct source *src = open_source();
	struct vm vm = vm_of(&vcpu);
	int n_single = 0;

	(void)state;
	(void)child_do(&vcpu, 'p');
	(void)child_do(&hog, 'p');
	await_asleep(vcpu.pid);
	assert_int_equal(0, run_delay_source.vm_added(src, &vm));
	assert_int_equal(0, waits_of(src).count); /* what was before is not ours to tell */
	for (int i = 0; i < ROUNDS; i++)
		n_single += check_round(src, &vcpu, i % 2 ? &hog : NULL);

	struct waits all = waits_of(src);

	print_message("    %d of %d rounds with one wait; %llu waits, %.3f ms\n", n_single, ROUNDS,
	              (unsigned long long)all.count, (double)all.sum_ns / 1e6);
	assert_true(n_single >= SINGLES_MIN);
	run_delay_source.free(src);
	(void)child_end(&vcpu);
	(void)child_end(&hog);
}

/* Described anew it goes on; gone, it stops, and its slot serves another from nothing. */
static void test_comes_and_goes(void **state)
{
	struct child a = child_start(worker), b = child_start(worker);
	struct source *src = open_source();
	struct vm vm_a = vm_of(&a), again = vm_a, vm_b = vm_of(&b);

	(void)state;
	assert_int_equal(0, run_delay_source.vm_added(src, &vm_a));
	(void)waits_of(src);
	for (int i = 0; i < 10; i++)
		(void)child_do(&a, '-');
	await_asleep(a.pid);
	uint64_t n = waits_of(src).count;

	assert_true(n >= 10);
	again.id = 2;
	run_delay_source.vm_gone(src, &vm_a);
	assert_int_equal(0, run_delay_source.vm_added(src, &again));
	assert_int_equal(n, waits_of(src).count);
	run_delay_source.vm_gone(src, &again);
	for (int i = 0; i < 4; i++)
		assert_int_equal(0, collect_count(&run_delay_source, src));
	vm_b.id = 3;
	assert_int_equal(0, run_delay_source.vm_added(src, &vm_b));
	await_asleep(b.pid);
	assert_int_equal(0, waits_of(src).count);
	for (int i = 0; i < 10; i++)
		(void)child_do(&a, '-');
	assert_int_equal(0, waits_of(src).count);
	run_delay_source.free(src);
	(void)child_end(&a);
	(void)child_end(&b);
}

/* A VM that ends between two ticks: what it waited since the last one is said at its end. */
static void test_last_samples(void **state)
{
	struct child c = child_start(worker);
	struct source *src = open_source();
	struct vm vm = vm_of(&c);
	struct waits w = { .bucket_id = FLY_INSTANCE_CPU_RUN_DELAY_SECONDS_BUCKET,
		           .label = "cpu_id",
		           .value = "3" };
	struct vm_exit how = { 0 };
	struct batch *b;

	(void)state;
	assert_int_equal(0, run_delay_source.vm_added(src, &vm));
	assert_int_equal(0, waits_of(src).count);
	for (int i = 0; i < 10; i++)
		(void)child_do(&c, '-');
	(void)child_end(&c);
	assert_int_equal(0, batch_new(&b, 1000));
	run_delay_source.vm_exited(src, &vm, &how, 1000, b);
	run_delay_source.vm_gone(src, &vm);
	assert_int_equal(0, batch_each(b, false, take_sample, &w));
	assert_true(w.count >= 10);
	batch_free(b);
	assert_int_equal(0, collect_count(&run_delay_source, src));
	run_delay_source.free(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_exact),
		cmocka_unit_test(test_comes_and_goes),
		cmocka_unit_test(test_last_samples),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
