/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one poll of the host-side sources costs with a host full of fake VMs (fake_host.h), beside a
 * reader of /proc that gets the same numbers, by turns; and what one event costs at each hook.
 * Prints JSON, times in microseconds of CPU unless said otherwise.
 *
 *	hostpoll VMS ROUNDS
 */
#include "tests/bench/fake_host.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/procfs.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_life.h"

#define ROUNDS_MAX  1000
#define SAMPLES_MAX 1000000
#define EVENTS      2000
#define SWITCHES    20000

static struct vm *vms;
static int n_vms;
static struct host_conf conf;

static double us_of(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* ---- the VMs -------------------------------------------------------------------------------- */

static int add_thread(void *ctx, long tid)
{
	struct vm *vm = ctx;

	if (tid != vm->pid && vm->n_vcpus < FAKE_VCPUS) {
		vm->vcpus[vm->n_vcpus] =
			(struct vm_vcpu){ .tid = (pid_t)tid, .cpu_id = (uint16_t)vm->n_vcpus };
		vm->n_vcpus++;
	}
	return 0;
}

static void make_vm(int i)
{
	struct vm *vm = &vms[i];
	struct proc_stat st;

	vm->id = (uint64_t)i + 1;
	vm->pid = fake_vm_start();
	if (procfs_stat("/proc", vm->pid, &st) < 0)
		fake_die("a fake VM");
	vm->start_ticks = st.start_ticks;
	vm->n_vcpus_spec = FAKE_VCPUS;
	(void)procfs_each_thread("/proc", vm->pid, add_thread, vm);
	(void)snprintf(vm->org, sizeof(vm->org), "dev");
	(void)snprintf(vm->app, sizeof(vm->app), "app-%d", i / 3);
	(void)snprintf(vm->region, sizeof(vm->region), "loc");
	(void)snprintf(vm->host, sizeof(vm->host), "00ff");
	(void)snprintf(vm->instance, sizeof(vm->instance), "%014x", (unsigned)i + 1);
	(void)snprintf(vm->cpu_class, sizeof(vm->cpu_class), "shared");
	(void)snprintf(vm->taps[0].ifname, sizeof(vm->taps[0].ifname), "tap%d", i);
	(void)snprintf(vm->taps[0].guest_name, sizeof(vm->taps[0].guest_name), "eth0");
	vm->n_taps = 1;
}

/* ---- who reads ------------------------------------------------------------------------------ */

static struct source *open_source(const struct source_ops *ops)
{
	struct err e = ERR_INIT;
	struct source *src;

	if (ops->open(&src, &conf, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", ops->name, e.msg);
		exit(1);
	}
	for (int i = 0; i < n_vms; i++) {
		if (ops->vm_added(src, &vms[i]) < 0)
			fake_die(ops->name);
	}
	return src;
}

static size_t poll_source(const struct source_ops *ops, struct source *src)
{
	struct err e = ERR_INIT;
	struct batch *b;
	size_t n;

	if (batch_new(&b, SAMPLES_MAX) < 0 || ops->collect(src, 1000, b, &e) < 0)
		fake_die(ops->name);
	n = batch_n_samples(b);
	batch_free(b);
	return n;
}

static void read_whole(const char *path, struct buf *into)
{
	buf_clear(into);
	if (file_read(path, into, 16 << 20) < 0)
		fake_die(path);
}

/* CPU time and run delay of each thread: the two files that the iterator replaces. */
static void read_threads(struct buf *into)
{
	static const char *const files[] = { "schedstat", "stat" };
	char path[96];

	for (int i = 0; i < n_vms; i++) {
		for (uint32_t t = 0; t <= vms[i].n_vcpus; t++) {
			pid_t tid = t == vms[i].n_vcpus ? vms[i].pid : vms[i].vcpus[t].tid;

			for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
				(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s",
				               vms[i].pid, tid, files[f]);
				read_whole(path, into);
			}
		}
	}
}

/* ---- polls ---------------------------------------------------------------------------------- */

enum what {
	VM_TASK,
	VM_TASK_SAMPLE,
	TAPS,
	TAPS_SAMPLE,
	DISKSTATS,
	LIFE,
	PROC_THREADS,
	PROC_NET_DEV,
	WHATS
};

static const char *const names[WHATS] = {
	"vm_task",   "vm_task_sample", "taps",         "taps_sample",
	"diskstats", "life",           "proc_threads", "proc_net_dev",
};

struct rig {
	struct source *vm_task, *taps, *diskstats, *life;
	size_t n_samples[WHATS];
	struct buf text;
};

static void do_one(struct rig *r, int what)
{
	const uint64_t now_ns = (uint64_t)(us_of(CLOCK_MONOTONIC) * 1e3);

	switch (what) {
	case VM_TASK:
		r->n_samples[what] = poll_source(&vm_task_source, r->vm_task);
		break;
	case VM_TASK_SAMPLE:
		(void)vm_task_source.sample(r->vm_task, now_ns);
		break;
	case TAPS:
		r->n_samples[what] = poll_source(&taps_source, r->taps);
		break;
	case TAPS_SAMPLE:
		(void)taps_source.sample(r->taps, now_ns);
		break;
	case DISKSTATS:
		r->n_samples[what] = poll_source(&diskstats_source, r->diskstats);
		break;
	case LIFE:
		r->n_samples[what] = poll_source(&life_source, r->life);
		break;
	case PROC_THREADS:
		read_threads(&r->text);
		break;
	default:
		read_whole("/proc/self/net/dev", &r->text);
	}
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_polls(int rounds)
{
	static double cpu_us[WHATS][ROUNDS_MAX];
	struct rig r = { open_source(&vm_task_source),
		         open_source(&taps_source),
		         open_source(&diskstats_source),
		         open_source(&life_source),
		         { 0 },
		         BUF_INIT };

	for (int what = 0; what < WHATS; what++)
		do_one(&r, what); /* the first one finds threads, allocates and grows */
	for (int i = 0; i < rounds; i++) {
		for (int what = 0; what < WHATS; what++) {
			double begin = us_of(CLOCK_THREAD_CPUTIME_ID);

			do_one(&r, what);
			cpu_us[what][i] = us_of(CLOCK_THREAD_CPUTIME_ID) - begin;
		}
	}
	for (int what = 0; what < WHATS; what++) {
		qsort(cpu_us[what], (size_t)rounds, sizeof(double), cmp_double);
		(void)printf("  \"%s\": {\"median\": %.1f, \"min\": %.1f, \"samples\": %zu},\n",
		             names[what], cpu_us[what][rounds / 2], cpu_us[what][0],
		             r.n_samples[what]);
	}
	vm_task_source.free(r.vm_task);
	taps_source.free(r.taps);
	diskstats_source.free(r.diskstats);
	life_source.free(r.life);
	buf_done(&r.text);
}

/* ---- events --------------------------------------------------------------------------------- */

/* Runs and time of the program of that name, as the kernel counts them while it is asked to. */
static bool program_stats(const char *name, uint64_t *ret_runs, uint64_t *ret_ns)
{
	__u32 id = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = { 0 };
		_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
		__u32 len = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ||
		    strncmp(info.name, name, sizeof(info.name) - 1) != 0)
			continue;
		*ret_runs = info.run_cnt;
		*ret_ns = info.run_time_ns;
		return true;
	}
	return false;
}

static void print_event(const char *name)
{
	uint64_t runs, ns;

	if (program_stats(name, &runs, &ns) && runs > 0)
		(void)printf("  \"%s\": {\"runs\": %llu, \"ns\": %.1f},\n", name,
		             (unsigned long long)runs, (double)ns / (double)runs);
}

static void ignore_event(void *ctx, const struct vm_life_event *ev)
{
	(void)ctx;
	(void)ev;
}

/* Processes that begin and end, as on a host that is not idle: none is a VM. */
static void run_processes(void)
{
	for (int i = 0; i < EVENTS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			(void)execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		(void)waitpid(pid, NULL, 0);
	}
}

/* Two processes that wake each other. */
static void switch_between(void)
{
	int down[2], up[2];
	char byte = 0;
	pid_t pid;

	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
		fake_die("pipe");
	pid = fork();
	if (pid == 0) {
		(void)close(down[1]);
		while (read(down[0], &byte, 1) == 1 && write(up[1], &byte, 1) == 1) {
		}
		_exit(0);
	}
	for (int i = 0; i < SWITCHES; i++) {
		if (write(down[1], &byte, 1) != 1 || read(up[0], &byte, 1) != 1)
			fake_die("ping");
	}
	(void)close(down[1]);
	(void)waitpid(pid, NULL, 0);
	(void)close(down[0]);
	(void)close(up[0]);
	(void)close(up[1]);
}

static void print_events(void)
{
	_cleanup_close_ int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	struct vm_life *life = NULL;
	struct source *run_delay;
	struct err e = ERR_INIT;

	if (stats < 0 || vm_life_open(&life, ignore_event, NULL, &e) < 0)
		return;
	run_processes();
	print_event("vm_life_exec");
	print_event("vm_life_exit");
	vm_life_close(life);
	run_delay = open_source(&run_delay_source);
	(void)poll_source(&run_delay_source, run_delay);
	switch_between();
	print_event("run_delay_switch");
	run_delay_source.free(run_delay);
}

/* ---- all ------------------------------------------------------------------------------------ */

static bool number(const char *text, uint64_t max, int *ret)
{
	uint64_t v;

	if (num_parse_u64(str_from(text), &v) < 0 || v < 1 || v > max)
		return false;
	*ret = (int)v;
	return true;
}

int main(int argc, char **argv)
{
	static const char *const known[] = { NULL };
	struct err e = ERR_INIT;
	int rounds = 0;

	if (argc != 3 || !number(argv[1], FAKE_VMS_MAX, &n_vms) ||
	    !number(argv[2], ROUNDS_MAX, &rounds)) {
		(void)fprintf(stderr, "usage: hostpoll VMS ROUNDS\n");
		return 2;
	}
	if (host_conf_parse("bench", STR("state_dir: /nonexistent\n"), known, &conf, &e) < 0)
		fake_die(e.msg);
	vms = mem_zalloc((size_t)n_vms, sizeof(*vms));
	if (!vms)
		fake_die("memory");
	fake_netns();
	fake_taps(n_vms);
	for (int i = 0; i < n_vms; i++)
		make_vm(i);
	(void)printf("{\n");
	print_polls(rounds);
	print_events();
	(void)printf("  \"vms\": %d, \"threads\": %d, \"rounds\": %d\n}\n", n_vms,
	             n_vms * (1 + FAKE_VCPUS), rounds);
	host_conf_done(&conf);
	free(vms);
	return 0;
}
