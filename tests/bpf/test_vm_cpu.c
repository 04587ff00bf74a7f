/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the source vm_task makes of the kernel's counters: peaks against the scheduler's own numbers
 * read at the same moments, last samples of a VM that ended, and burst balances over changes of the
 * description and restarts of the daemon.
 */
#include "tests/bpf/source_test.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/procfs.h"
#include "userspace/host/vm_exit.h"
#include "userspace/host/vm_life.h"

#define WINDOW_MS 100

static struct host_conf conf;
static struct tempdir dir;

static void configure(void)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	static const char *const known[] = { NULL };
	struct err e = ERR_INIT;

	dir = tempdir_make();
	buf_printf(&text, "state_dir: %s/state\n", dir.path);
	if (host_conf_parse("t", buf_str(&text), known, &conf, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct source *open_source(void)
{
	struct err e = ERR_INIT;
	struct source *src;

	assert_int_equal(0, vm_task_source.open(&src, &conf, &e));
	if (vm_task_source.sample(src, 1) < 0)
		fail_msg("the sampling program does not run");
	return src;
}

/* 'a' to 'z': burns 10 to 260 ms of CPU time. */
static int burner(char what)
{
	if (what >= 'a' && what <= 'z')
		burn_own_ms(10 * (uint64_t)(what - 'a' + 1));
	return 0;
}

static struct vm vm_of(const struct child *c)
{
	struct vm vm = test_vm(c->pid);
	struct proc_stat st;

	assert_int_equal(0, procfs_stat("/proc", c->pid, &st));
	vm.start_ticks = st.start_ticks;
	vm.n_vcpus = 1;
	vm.vcpus[0].tid = c->pid;
	(void)snprintf(vm.cpu_class, sizeof(vm.cpu_class), "shared");
	return vm;
}

static double value(struct source *src, const char *series)
{
	return collect_one(&vm_task_source, src, series, NULL, NULL);
}

/* Time on a CPU by the scheduler's own file: no code and no moment in common with the source. */
static uint64_t schedstat_ns(pid_t pid)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str word, rest;
	char path[64];
	uint64_t ns;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	assert_int_equal(0, file_read(path, &text, 4096));
	(void)str_cut(buf_str(&text), ' ', &word, &rest);
	assert_int_equal(0, num_parse_u64(word, &ns));
	return ns;
}

static void await_asleep(pid_t pid)
{
	struct proc_stat st = { 0 };

	for (int i = 0; st.state != 'S'; i++) {
		assert_true(i < 2000);
		sleep_ms(2);
		assert_int_equal(0, procfs_stat("/proc", pid, &st));
	}
	sleep_ms(2);
}

/* Windows in which the child burns 10, 80 and 30 ms and is asleep when they end. */
static void test_peak(void **state)
{
	static const char burns[] = { 'a', 'h', 'c' };
	struct child c = child_start(burner);
	struct source *src = open_source();
	struct vm vm = vm_of(&c);
	double want = 0;

	(void)state;
	assert_int_equal(0, vm_task_source.vm_added(src, &vm));
	assert_int_equal(0, child_do(&c, '-'));
	(void)collect_count(&vm_task_source, src); /* threads are known from now on */
	await_asleep(c.pid);
	uint64_t at_ns = now_ns(CLOCK_MONOTONIC), used_ns = schedstat_ns(c.pid);

	assert_int_equal(0, vm_task_source.sample(src, at_ns));
	for (size_t i = 0; i < ARRAY_SIZE(burns); i++) {
		(void)child_do(&c, burns[i]);
		await_asleep(c.pid);
		while (now_ns(CLOCK_MONOTONIC) < at_ns + WINDOW_MS * 1000000ull)
			sleep_ms(1);
		uint64_t then_ns = now_ns(CLOCK_MONOTONIC), ns = schedstat_ns(c.pid);

		assert_int_equal(0, vm_task_source.sample(src, then_ns));
		want = fmax(want, (double)(ns - used_ns) / (double)(then_ns - at_ns));
		at_ns = then_ns;
		used_ns = ns;
	}
	double got = value(src, "fly_instance_cpu_peak_ratio");

	print_message("    schedstat %.5f, peak %.5f\n", want, got);
	assert_double_near(want, got, want * 0.01);
	/* The next interval has windows of its own: none, and then an idle one. */
	struct wanted none = { "fly_instance_cpu_peak_ratio", NULL, NULL, 0, 0 };

	collect_into(&vm_task_source, src, &none);
	assert_int_equal(0, none.n);
	sleep_ms(WINDOW_MS);
	assert_int_equal(0, vm_task_source.sample(src, now_ns(CLOCK_MONOTONIC)));
	assert_true(value(src, "fly_instance_cpu_peak_ratio") < want / 10);
	vm_task_source.free(src);
	(void)child_end(&c);
}

/* Another process that gets the slot of one that is gone begins at nothing. */
static void test_slot_is_reused(void **state)
{
	struct child a = child_start(burner), b = child_start(burner);
	struct source *src = open_source();
	struct vm vm_a = vm_of(&a), vm_b = vm_of(&b);

	(void)state;
	assert_int_equal(0, vm_task_source.vm_added(src, &vm_a));
	(void)collect_count(&vm_task_source, src);
	vm_task_source.vm_gone(src, &vm_a); /* it runs on, as somebody else's */
	(void)collect_count(&vm_task_source, src);
	(void)collect_count(&vm_task_source, src);
	vm_b.id = 2;
	assert_int_equal(0, vm_task_source.vm_added(src, &vm_b));
	(void)collect_count(&vm_task_source, src);
	await_asleep(b.pid);
	assert_int_equal(0, vm_task_source.sample(src, 1000000000));
	(void)child_do(&a, 'j');
	assert_int_equal(0, vm_task_source.sample(src, 1100000000));
	assert_true(value(src, "fly_instance_cpu_peak_ratio") < 0.1);
	vm_task_source.free(src);
	(void)child_end(&a);
	(void)child_end(&b);
}

static struct vm_exit ended;
static struct vm_task_rec ended_threads[16];
static uint64_t ended_exec_ns;

static void on_life(void *ctx, const struct vm_life_event *ev)
{
	(void)ctx;
	if (ev->what != VM_LIFE_EXIT)
		return;
	ended = ev->exit;
	assert_true(ended.n_threads <= ARRAY_SIZE(ended_threads));
	memcpy(ended_threads, ended.threads, ended.n_threads * sizeof(ended_threads[0]));
	ended.threads = ended_threads;
	ended_exec_ns = ev->exec_ns;
}

/* A VM that ends between two ticks: what it used since the last one is in its last samples. */
static void test_last_samples(void **state)
{
	struct child c = child_start(burner);
	struct source *src = open_source();
	struct vm_life *life = NULL;
	struct vm vm = vm_of(&c);
	struct wanted user = { "fly_instance_cpu", "mode", "user", 0, 0 };
	struct err e = ERR_INIT;
	struct batch *b;

	(void)state;
	if (vm_life_open(&life, on_life, NULL, &e) < 0)
		skip_test(e.msg);
	assert_int_equal(0, vm_life_watch(life, c.pid));
	assert_int_equal(0, vm_task_source.vm_added(src, &vm));
	(void)child_do(&c, '-');
	double before = collect_one(&vm_task_source, src, "fly_instance_cpu", "mode", "user");

	(void)child_do(&c, 'j'); /* 100 ms */
	(void)child_end(&c);
	struct pollfd p = { vm_life_fd(life), POLLIN, 0 };

	for (int i = 0; i < 100 && !ended.status_known; i++) {
		(void)poll(&p, 1, 100);
		assert_true(vm_life_dispatch(life) >= 0);
	}
	assert_true(ended.status_known);
	assert_int_equal(SIGKILL, ended.wait_status);
	assert_false(ended.oom_killed);
	assert_int_equal(1, ended.n_threads);
	assert_int_equal(0, batch_new(&b, 1000));
	vm_task_source.vm_exited(src, &vm, &ended, 1000, b);
	vm_task_source.vm_gone(src, &vm);
	assert_int_equal(0, batch_each(b, false, look, &user));
	assert_int_equal(1, user.n);
	print_message("    before %.2f cs, at the end %.2f cs, whole process %.2f cs\n", before,
	              user.found, (double)ended_exec_ns / 1e7);
	assert_double_near((double)ended_exec_ns / 1e7, user.found, 0.001);
	assert_true(user.found - before > 9.9);
	batch_free(b);
	assert_int_equal(0, collect_count(&vm_task_source, src));
	vm_task_source.free(src);
	vm_life_close(life);
}

/* The model by hand, from the scheduler's file: what was saved and used since @since_ns. */
static double balance_cs(double start_cs, uint64_t since_ns, uint64_t used_since_ns)
{
	double elapsed_cs = (double)(now_ns(CLOCK_BOOTTIME) - since_ns) / 1e7;

	return start_cs + elapsed_cs / 16 - (double)used_since_ns / 1e7;
}

static void test_balance(void **state)
{
	struct child c = child_start(burner);
	struct source *src = open_source();
	struct vm vm = vm_of(&c), again;

	(void)state;
	assert_int_equal(0, vm_task_source.vm_added(src, &vm));
	(void)child_do(&c, '-');
	await_asleep(c.pid);
	uint64_t since_ns = now_ns(CLOCK_BOOTTIME), used_ns = schedstat_ns(c.pid);

	assert_double_near(500, value(src, "fly_instance_cpu_balance"), 1e-9);
	assert_double_near(1.0 / 16, value(src, "fly_instance_cpu_baseline"), 1e-12);
	(void)child_do(&c, 'z');
	await_asleep(c.pid);
	assert_double_near(balance_cs(500, since_ns, schedstat_ns(c.pid) - used_ns),
	                   value(src, "fly_instance_cpu_balance"), 0.1);

	/* Described anew: the same process, so nothing is lost. */
	again = vm;
	again.id = 2;
	vm_task_source.vm_gone(src, &vm);
	assert_int_equal(0, vm_task_source.vm_added(src, &again));
	assert_double_near(balance_cs(500, since_ns, schedstat_ns(c.pid) - used_ns),
	                   value(src, "fly_instance_cpu_balance"), 0.1);

	/* The daemon goes away, the VM works on, and another daemon comes. */
	vm_task_source.free(src);
	(void)child_do(&c, 'o');
	await_asleep(c.pid);
	src = open_source();
	assert_int_equal(0, vm_task_source.vm_added(src, &again));
	assert_double_near(balance_cs(500, since_ns, schedstat_ns(c.pid) - used_ns),
	                   value(src, "fly_instance_cpu_balance"), 0.1);
	vm_task_source.free(src);
	(void)child_end(&c);
}

/* Without a class: the limit that the kernel enforces, or nothing. */
static void test_no_class(void **state)
{
	struct child c = child_start(burner);
	struct source *src = open_source();
	struct vm vm = vm_of(&c);
	struct wanted w = { "fly_instance_cpu_balance", NULL, NULL, 0, 0 };

	(void)state;
	vm.cpu_class[0] = '\0';
	assert_int_equal(0, vm_task_source.vm_added(src, &vm));
	collect_into(&vm_task_source, src, &w);
	assert_int_equal(0, w.n);
	vm_task_source.free(src);
	(void)child_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peak),         cmocka_unit_test(test_slot_is_reused),
		cmocka_unit_test(test_last_samples), cmocka_unit_test(test_balance),
		cmocka_unit_test(test_no_class),
	};

	skip_unless_root();
	configure();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	host_conf_done(&conf);
	tempdir_done(&dir);
	return r;
}
