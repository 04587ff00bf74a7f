/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts and ends of processes: each is told, wait status exact, also for odd endings. */
#include "tests/bpf/bpf_test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "tests/bpf/cgroup_test.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/err.h"
#include "userspace/host/vm_life.h"

static struct vm_life_event last;
static int n_events;

static void on_event(void *ctx, const struct vm_life_event *ev)
{
	(void)ctx;
	last = *ev;
	n_events++;
}

static struct vm_life *open_life(void)
{
	struct vm_life *l = NULL;
	struct err e = ERR_INIT;

	if (vm_life_open(&l, on_event, NULL, &e) < 0)
		skip_test(e.msg);
	n_events = 0;
	return l;
}

/* Waits until an event has come; it comes at once, unless the machine is very busy. */
static void await_event(struct vm_life *l)
{
	struct pollfd p = { vm_life_fd(l), POLLIN, 0 };
	uint64_t until = now_ns(CLOCK_MONOTONIC) + 10000000000u;

	n_events = 0;
	while (n_events == 0 && now_ns(CLOCK_MONOTONIC) < until) {
		(void)poll(&p, 1, 100);
		assert_true(vm_life_dispatch(l) >= 0);
	}
	assert_int_equal(1, n_events);
}

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0755);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(n, write(out, bytes, (size_t)n));
	(void)close(in);
	(void)close(out);
}

static void test_start(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct vm_life *l = open_life();
	char wanted[128], other[128];

	(void)state;
	(void)snprintf(wanted, sizeof(wanted), "%s/qemu-system-x86_64", dir.path);
	(void)snprintf(other, sizeof(other), "%s/not-a-vm", dir.path);
	copy_file("/bin/sleep", wanted);
	copy_file("/bin/sleep", other);
	assert_int_equal(0, vm_life_want_comm(l, "qemu-system-"));
	assert_int_equal(0, vm_life_want_comm(l, "firecracker"));
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? other : wanted;
		pid_t pid = fork();

		if (pid == 0) {
			(void)execl(path, path, "30", NULL);
			_exit(127);
		}
		if (i == 1) {
			await_event(l);
			assert_int_equal(VM_LIFE_EXEC, last.what);
			assert_int_equal(pid, last.pid);
			assert_string_equal("qemu-system-x86", last.comm);
		}
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	assert_true(vm_life_lost(l) == 0);
	vm_life_close(l);
}

static void *late_exit(void *ctx)
{
	sleep_ms(50);
	syscall(SYS_exit_group, 9);
	return ctx;
}

/* What a child does when told: ways to end. */
static int ending(char what)
{
	pthread_t t;

	switch (what) {
	case '0':
		exit(0);
	case '7':
		exit(7);
	case 'a':
		abort();
	case 't': /* the last thread is not the leader */
		(void)pthread_create(&t, NULL, late_exit, NULL);
		pthread_exit(NULL);
	case 'b':
		burn_own_ms(50);
		exit(1);
	case 'm': /* 64 MiB, touched */
		memset(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		            0),
		       1, 64 << 20);
		exit(2);
	default:
		return 0;
	}
}

static void expect_exit(struct vm_life *l, char what, int sig, int want_status)
{
	struct child c = child_start(ending);

	assert_int_equal(0, child_do(&c, '-')); /* it runs */
	assert_int_equal(0, vm_life_watch(l, c.pid));
	if (sig != 0)
		(void)kill(c.pid, sig);
	else
		child_tell(&c, what);
	await_event(l);
	assert_int_equal(VM_LIFE_EXIT, last.what);
	assert_int_equal(c.pid, last.pid);
	assert_int_equal(want_status,
	                 last.exit.wait_status & 0xff7f); /* without the core-dump bit */
	int status = child_end(&c);

	assert_int_equal(want_status, status & 0xff7f);
	vm_life_unwatch(l, c.pid);
}

static void test_ends(void **state)
{
	struct vm_life *l = open_life();

	(void)state;
	expect_exit(l, '0', 0, 0);
	expect_exit(l, '7', 0, 7 << 8);
	expect_exit(l, 'a', 0, SIGABRT);
	expect_exit(l, 't', 0, 9 << 8);
	expect_exit(l, 0, SIGKILL, SIGKILL);
	expect_exit(l, 0, SIGTERM, SIGTERM);
	expect_exit(l, 'b', 0, 1 << 8);
	assert_in_range(last.exec_ns, 50000000u,
	                1000000000u); /* it burned 50 ms by its own clock */
	vm_life_close(l);
}

/* Killed for want of memory is not the same as killed: the kernel's own count is the witness. */
static void test_oom(void **state)
{
	struct vm_life *l = open_life();
	const struct cgroup *cg = cgroup_make("memory");

	(void)state;
	if (!cg) {
		vm_life_close(l);
		print_message("    no memory controller below " CGROUPS "\n");
		skip();
	}
	cgroup_write(cg, cg->v2 ? "memory.max" : "memory.limit_in_bytes", "16777216");
	for (int oom = 0; oom < 2; oom++) {
		const char *events = cg->v2 ? "memory.events" : "memory.oom_control";
		uint64_t n_before = cgroup_read(cg, events, "oom_kill ");
		struct child c = child_start(ending);

		assert_int_equal(0, child_do(&c, '-'));
		cgroup_add(cg, c.pid);
		assert_int_equal(0, vm_life_watch(l, c.pid));
		if (oom)
			child_tell(&c, 'm');
		else
			(void)kill(c.pid, SIGKILL);
		await_event(l);
		assert_int_equal(SIGKILL, last.exit.wait_status);
		assert_int_equal(oom, last.exit.oom_killed);
		(void)child_end(&c);
		assert_int_equal(oom, cgroup_read(cg, events, "oom_kill ") - n_before);
		vm_life_unwatch(l, c.pid);
	}
	cgroup_remove();
	vm_life_close(l);
}

static void test_strangers_are_silent(void **state)
{
	struct vm_life *l = open_life();
	struct child c = child_start(ending);

	(void)state;
	assert_int_equal(0, child_do(&c, '-'));
	assert_int_equal(0, vm_life_watch(l, c.pid));
	vm_life_unwatch(l, c.pid);
	(void)child_end(&c);
	sleep_ms(100);
	assert_int_equal(0, vm_life_dispatch(l));
	vm_life_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_oom),
		cmocka_unit_test(test_strangers_are_silent),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
