/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU accounting against readings that do not share its code: an event log of sched_switch for time
 * on the CPU and time waiting, and the cgroup's own cpu.stat for throttling. The log is kept by the
 * scheduler's clocks: what a hypervisor steals while a thread is on the CPU is not the thread's
 * time. Each reading is taken while the thread sleeps: what is on a CPU is counted only at the next
 * tick or switch.
 */
#include "tests/bpf/bpf_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <bpf/libbpf.h>

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
	else if (what == 'q')
		burn_own_ms(40);
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

/* The two generations of control groups: where a group is made, and what its files are called. */
static const struct cgroup_kind {
	const char *root, *probe, *limit_file, *limit, *throttled;
	uint64_t ns_per_unit;
	const char *period_file, *period; /* NULL: part of the limit */
} cgroup_kinds[] = {
	{ "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "cpu.cfs_quota_us", "4000",
	  "throttled_time ", 1, "cpu.cfs_period_us", "50000" },
	{ "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.controllers", "cpu.max", "4000 50000",
	  "throttled_usec ", 1000, NULL, NULL },
};

static char cgroup[128];

static void cgroup_remove(void)
{
	/* The members are dead and reaped; the kernel may need a moment to notice. */
	for (int i = 0; cgroup[0] && rmdir(cgroup) < 0 && errno == EBUSY && i < 50; i++)
		sleep_ms(20);
}

static void cgroup_write(const char *file, const char *text)
{
	char path[192];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("%s: %s", path, strerror(errno));
	(void)close(fd);
}

static uint64_t cgroup_throttled_ns(const struct cgroup_kind *kind)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[192];
	const char *at;

	(void)snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	assert_int_equal(0, file_read(path, &text, 4096));
	at = strstr(buf_cstr(&text), kind->throttled);
	assert_non_null(at);
	return strtoull(at + strlen(kind->throttled), NULL, 10) * kind->ns_per_unit;
}

static const struct cgroup_kind *cgroup_make(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_kinds); i++) {
		const struct cgroup_kind *kind = &cgroup_kinds[i];

		(void)snprintf(cgroup, sizeof(cgroup), "%s/periscope-test-%d", kind->root,
		               getpid());
		if (access(kind->probe, F_OK) < 0 || mkdir(cgroup, 0755) < 0)
			continue;
		(void)atexit(cgroup_remove);
		return kind;
	}
	cgroup[0] = '\0';
	return NULL;
}

static void test_throttling_equals_cpu_stat(void **state)
{
	struct task_reader *r = open_reader(true);
	struct child c = child_start(burner);
	const struct cgroup_kind *kind = cgroup_make();
	char pid[16];

	(void)state;
	if (!kind) {
		(void)child_end(&c);
		task_reader_free(r);
		print_message("    no cpu controller below /sys/fs/cgroup\n");
		skip();
	}
	if (kind->period_file)
		cgroup_write(kind->period_file, kind->period);
	cgroup_write(kind->limit_file, kind->limit);
	(void)snprintf(pid, sizeof(pid), "%d", c.pid);
	cgroup_write("cgroup.procs", pid);
	assert_int_equal(0, task_reader_watch(r, c.pid, 0));
	(void)child_do(&c, 'q');
	sleep_ms(100); /* past the period: nothing is throttled now */
	uint64_t want = cgroup_throttled_ns(kind);
	struct vm_task_rec rec = read_one(r, c.pid);

	print_message("    %s: cpu.stat %llu ns, read %llu ns\n", kind->root,
	              (unsigned long long)want, (unsigned long long)rec.throttled_ns);
	assert_true(want > 100000000u); /* ten periods of 50 ms, less what ran */
	assert_true(want == rec.throttled_ns / kind->ns_per_unit * kind->ns_per_unit);
	assert_true(rec.run_delay_ns > want / 2); /* the trap: delay contains it */
	(void)child_end(&c);
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
