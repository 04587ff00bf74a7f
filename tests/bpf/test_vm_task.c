/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU accounting against readings that do not share its code: an event log of sched_switch for time
 * on the CPU and time waiting, and the cgroup's own cpu.stat for throttling. The log is kept by the
 * scheduler's clocks: what a hypervisor steals while a thread is on the CPU is not the thread's
 * time. Each reading is taken while the thread sleeps: what is on a CPU is counted only at the next
 * tick or switch.
 */
#include "tests/bpf/bpf_test.h"

#include <sched.h>

#include <bpf/libbpf.h>

#include "tests/bpf/cgroup_test.h"
#include "tests/bpf/sched_log.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/host/pidns.h"
#include "userspace/host/procfs.h"
#include "userspace/host/task_reader.h"

#include "sched_log.skel.h"

#define LOGS_MAX 20
#define BURN_MS  150 /* of CPU time */

/* ---- the log -------------------------------------------------------------- */

struct log {
	struct sched_log_bpf *skel;
	struct ring_buffer *ring;
	uint64_t run_ns, wait_ns, left_out_ns; /* sums; left_out_ns is no part of run_ns */
	struct sched_log_rec in, out;          /* when it last came or went; clock_ns 0 = unknown */
	uint32_t n_gaps; /* it came or went twice in a row: the log lacks something */
};

static void came(struct log *log, const struct sched_log_rec *rec)
{
	log->n_gaps += log->in.clock_ns != 0;
	log->wait_ns += log->out.clock_ns ? rec->clock_ns - log->out.clock_ns : 0;
	log->in = *rec;
	log->out.clock_ns = 0;
}

static void went(struct log *log, const struct sched_log_rec *rec)
{
	log->n_gaps += log->in.clock_ns == 0;
	if (log->in.clock_ns) {
		uint64_t ran_ns = rec->clock_task_ns - log->in.clock_task_ns;

		log->run_ns += ran_ns;
		log->left_out_ns += rec->clock_ns - log->in.clock_ns - ran_ns;
	}
	log->in.clock_ns = 0;
	log->out = *rec;
	if (rec->what == SCHED_LOG_OUT_ASLEEP)
		log->out.clock_ns = 0;
}

static int on_switch(void *ctx, void *data, size_t bytes)
{
	struct log *log = ctx;
	const struct sched_log_rec *rec = data;

	assert_true(bytes >= sizeof(*rec));
	if (rec->what == SCHED_LOG_IN) {
		came(log, rec);
	} else if (rec->what == SCHED_LOG_WOKEN) {
		/* What runs or waits already is told so, too: that changes nothing. */
		if (log->in.clock_ns == 0 && log->out.clock_ns == 0)
			log->out = *rec;
	} else {
		went(log, rec);
	}
	return 0;
}

static void log_start(struct log *log, pid_t tid)
{
	*log = (struct log){ .skel = sched_log_bpf__open() };
	assert_non_null(log->skel);
	log->skel->rodata->target_tid = (__u32)tid;
	log->skel->rodata->pidns_ino = pidns_ino_of_ours();
	if (sched_log_bpf__load(log->skel) < 0 || sched_log_bpf__attach(log->skel) < 0)
		skip_test("the kernel refuses the sched_switch log");
	log->ring =
		ring_buffer__new(bpf_map__fd(log->skel->maps.sched_log_ring), on_switch, log, NULL);
	assert_non_null(log->ring);
}

static void log_stop(struct log *log)
{
	assert_true(ring_buffer__consume(log->ring) > 0);
	assert_int_equal(0, log->skel->bss->lost);
	ring_buffer__free(log->ring);
	sched_log_bpf__destroy(log->skel);
}

/* ---- reading -------------------------------------------------------------- */

struct found {
	struct vm_task_rec rec;
	pid_t tid;
	int n;
};

static int on_record(void *ctx, const struct vm_task_rec *rec)
{
	struct found *f = ctx;

	if ((pid_t)rec->tid == f->tid) {
		f->rec = *rec;
		f->n++;
	}
	return 0;
}

static struct vm_task_rec read_one(struct task_reader *r, pid_t tid)
{
	struct found f = { .tid = tid };

	assert_int_equal(0, task_reader_read(r, on_record, &f));
	assert_int_equal(1, f.n);
	return f.rec;
}

static struct task_reader *open_reader(bool bpf)
{
	struct task_reader *r;
	struct err e = ERR_INIT;

	assert_int_equal(0, task_reader_open(&r, bpf, &e));
	if (bpf && !task_reader_uses_bpf(r))
		skip_test(e.msg);
	return r;
}

static void pin_to(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(0, sched_setaffinity(0, sizeof(set), &set));
}

static int burner(char what)
{
	if (what == 'p')
		pin_to(0);
	else if (what == 'b')
		burn_own_ms(BURN_MS);
	return 0;
}

static void assert_close(const char *what, uint64_t want_ns, uint64_t got_ns, double tolerance)
{
	double off = ((double)got_ns - (double)want_ns) / (double)want_ns;

	print_message("    %s: log %.3f ms, read %.3f ms (%+.3f %%)\n", what, (double)want_ns / 1e6,
	              (double)got_ns / 1e6, off * 100);
	assert_true(off < tolerance && off > -tolerance);
}

/*
 * Its counters and our log agree only when it is off the CPU: on a busy machine it may be a while
 * until a process that has just answered is asleep.
 */
static struct vm_task_rec read_asleep(struct task_reader *r, pid_t pid)
{
	struct vm_task_rec one = read_one(r, pid), two;
	struct proc_stat st;

	for (int i = 0; i < 1000; i++) {
		sleep_ms(5);
		two = read_one(r, pid);
		assert_int_equal(0, procfs_stat("/proc", pid, &st));
		if (st.state == 'S' && one.exec_ns == two.exec_ns)
			return two;
		one = two;
	}
	fail_msg("process %d does not sleep", (int)pid);
	return one;
}

/* Two burners on one CPU: time on it, and time waiting for it. False: the log has gaps. */
static bool compare_once(struct task_reader *r, struct child *a, struct child *b)
{
	struct vm_task_rec before, after;
	struct log log;

	(void)read_asleep(r, a->pid);
	log_start(&log, a->pid);
	before = read_one(r, a->pid);
	child_tell(b, 'b');
	(void)child_do(a, 'b');
	(void)child_answer(b);
	after = read_asleep(r, a->pid);
	log_stop(&log);
	if (log.n_gaps > 0)
		return false;
	print_message("    stolen or in interrupts meanwhile: %.3f ms\n",
	              (double)log.left_out_ns / 1e6);
	assert_close("exec", log.run_ns, after.exec_ns - before.exec_ns, 0.0001);
	assert_close("run delay", log.wait_ns, after.run_delay_ns - before.run_delay_ns, 0.0001);
	assert_in_range(after.exec_ns - before.exec_ns, BURN_MS * 1000000, BURN_MS * 2000000);
	return true;
}

/*
 * On a very busy machine a switch in some thousand is not told to the log's program, although the
 * kernel counts no miss; such a log proves nothing, and is made again.
 */
static void compare_with_log(bool bpf)
{
	struct task_reader *r = open_reader(bpf);
	struct child a = child_start(burner), b = child_start(burner);
	int tries = 0;

	(void)child_do(&a, 'p');
	(void)child_do(&b, 'p');
	assert_int_equal(0, task_reader_watch(r, a.pid, 7));
	while (!compare_once(r, &a, &b))
		assert_true(++tries < LOGS_MAX);
	task_reader_unwatch(r, a.pid);
	(void)child_end(&a);
	(void)child_end(&b);
	task_reader_free(r);
}

static void test_iterator_agrees_with_log(void **state)
{
	(void)state;
	compare_with_log(true);
}

static void test_proc_fallback_agrees_with_log(void **state)
{
	(void)state;
	compare_with_log(false);
}

static void test_only_watched_processes(void **state)
{
	struct task_reader *r = open_reader(true);
	struct found f = { .tid = getpid() };

	(void)state;
	assert_int_equal(0, task_reader_read(r, on_record, &f));
	assert_int_equal(0, f.n);
	assert_int_equal(0, task_reader_watch(r, getpid(), 0));
	(void)read_one(r, getpid());
	task_reader_unwatch(r, getpid());
	assert_int_equal(0, task_reader_read(r, on_record, &f));
	assert_int_equal(0, f.n);
	task_reader_free(r);
}

/* ---- throttling ----------------------------------------------------------- */

static void limit_to_a_fifth(const struct cgroup *cg)
{
	if (cg->v2) {
		cgroup_write(cg, "cpu.max", "10000 50000");
		return;
	}
	cgroup_write(cg, "cpu.cfs_period_us", "50000");
	cgroup_write(cg, "cpu.cfs_quota_us", "10000");
}

static uint64_t throttled_ns(const struct cgroup *cg)
{
	return cg->v2 ? cgroup_read(cg, "cpu.stat", "throttled_usec ") * 1000
	              : cgroup_read(cg, "cpu.stat", "throttled_time ");
}

static void test_throttling_equals_cpu_stat(void **state)
{
	struct task_reader *r = open_reader(true);
	struct child c = child_start(burner);
	const struct cgroup *cg = cgroup_make("cpu");
	struct vm_task_rec rec;
	uint64_t want_ns;

	(void)state;
	if (!cg) {
		(void)child_end(&c);
		task_reader_free(r);
		print_message("    no cpu controller below " CGROUPS "\n");
		skip();
	}
	limit_to_a_fifth(cg);
	cgroup_add(cg, c.pid);
	assert_int_equal(0, task_reader_watch(r, c.pid, 0));
	/* BURN_MS at a fifth of a CPU; on a busy machine it may not even get that much. */
	for (int i = 0; i < 20 && throttled_ns(cg) < 100000000u; i++)
		(void)child_do(&c, 'b');
	do { /* until nothing is throttled any more */
		want_ns = throttled_ns(cg);
		rec = read_one(r, c.pid);
	} while (want_ns != throttled_ns(cg));
	print_message("    %s: cpu.stat %llu ns, read %llu ns\n", cg->path,
	              (unsigned long long)want_ns, (unsigned long long)rec.throttled_ns);
	assert_true(want_ns >= 100000000u);
	assert_true(want_ns == (cg->v2 ? rec.throttled_ns / 1000 * 1000 : rec.throttled_ns));
	assert_true(rec.run_delay_ns > want_ns / 2); /* the trap: delay contains it */
	assert_int_equal(10000000, rec.quota_ns);
	assert_int_equal(50000000, rec.period_ns);
	(void)child_end(&c);
	cgroup_remove();
	task_reader_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iterator_agrees_with_log),
		cmocka_unit_test(test_proc_fallback_agrees_with_log),
		cmocka_unit_test(test_only_watched_processes),
		cmocka_unit_test(test_throttling_equals_cpu_stat),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
