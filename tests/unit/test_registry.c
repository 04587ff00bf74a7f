/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry with a real folder and inotify, and a /proc of the test's own; where it matters that
 * the kernel tells of an end, with real child processes.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/fakeproc.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/registry.h"

#define A (FAKE_PID + 1)
#define B (FAKE_PID + 2)
#define C (FAKE_PID + 3)

/* The registry's seconds are short here: its waits are many. */
#define SECOND_MS 50

#define PATIENCE_MS 10000 /* this machine may be busy */

struct rig {
	struct fakeproc p;
	char vms[96];
	struct host_conf conf;
	struct registry *r;
	struct buf events; /* "+instance " begins, "-instance " ends */
	int n_watched;
	struct vm last; /* begun */
	bool ended;     /* of the VM that went last: its process has, too */
	struct vm_exit how;
};

static void on_added(void *ctx, const struct vm *vm)
{
	struct rig *g = ctx;

	g->last = *vm;
	buf_printf(&g->events, "+%s ", vm->instance);
}

static void on_gone(void *ctx, const struct vm *vm, const struct vm_exit *how)
{
	struct rig *g = ctx;

	buf_printf(&g->events, "-%s ", vm->instance);
	g->ended = how != NULL;
	g->how = how ? *how : (struct vm_exit){ 0 };
}

static const struct vm_exit killed = { .status_known = true, .wait_status = SIGKILL };

static int on_watch(void *ctx, pid_t pid)
{
	(void)pid;
	((struct rig *)ctx)->n_watched++;
	return 0;
}

static void on_unwatch(void *ctx, pid_t pid)
{
	(void)pid;
	((struct rig *)ctx)->n_watched--;
}

static struct rig *draining;

static void deliver_event(void *ctx)
{
	(void)ctx;
	if (draining)
		registry_exited(draining->r, A, &killed);
}

static void configure(struct host_conf *c, const char *vms, const char *more)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	static const char *const known[] = { "taps", NULL };
	struct err e = ERR_INIT;

	buf_printf(&text, "vms_dir: %s\nhost_id: 00ff\nregion: ams\n%s\n", vms, more);
	if (host_conf_parse("t", buf_str(&text), known, c, &e) < 0)
		fail_msg("%s", e.msg);
}

#define NO_DISCOVERY "discovery: {enabled: false}"

enum world {
	FAKE,       /* scans of the fake /proc */
	FAKE_HEARD, /* the same, and somebody tells of processes */
	REAL,
};

static void rig_make(struct rig *g, enum world world, const char *conf)
{
	struct registry_listener listener = { on_added, on_gone, g };
	struct registry_world w = { .ctx = g, .second_ns = SECOND_MS * 1000000ull };
	struct err e = ERR_INIT;

	memset(g, 0, sizeof(*g));
	log_set_level(LOG_ERROR_LEVEL); /* refusals are wanted here */
	g->p = fakeproc_make();
	(void)snprintf(g->vms, sizeof(g->vms), "%s/vms.d", g->p.dir.path);
	configure(&g->conf, g->vms, conf);
	if (world != REAL)
		w.proc = g->p.proc;
	if (world == FAKE_HEARD) {
		w.watch = on_watch;
		w.unwatch = on_unwatch;
		w.drain = deliver_event;
	}
	if (registry_new(&g->r, &g->conf, &listener, &w, &e) < 0)
		fail_msg("%s", e.msg);
}

static void rig_done(struct rig *g)
{
	registry_free(g->r);
	assert_int_equal(0, g->n_watched); /* as many unwatched as watched */
	host_conf_done(&g->conf);
	buf_done(&g->events);
	fakeproc_done(&g->p);
}

static void pump(struct rig *g, int ms)
{
	struct pollfd fd = { .fd = registry_fd(g->r), .events = POLLIN };

	if (poll(&fd, 1, ms) > 0)
		registry_dispatch(g->r);
}

/* Waits until exactly @expected happened since the last call. */
static void assert_events(struct rig *g, const char *expected)
{
	uint64_t end_ns = clock_mono_ns() + PATIENCE_MS * 1000000ull;

	while (strcmp(expected, buf_cstr(&g->events)) != 0) {
		if (clock_mono_ns() > end_ns)
			fail_msg("expected \"%s\", got \"%s\"", expected, buf_cstr(&g->events));
		pump(g, 20);
	}
	buf_clear(&g->events);
}

/* Nothing happens although the registry has time to do something wrong. */
static void assert_quiet(struct rig *g, int ms)
{
	uint64_t end_ns = clock_mono_ns() + (uint64_t)ms * 1000000;

	while (clock_mono_ns() < end_ns)
		pump(g, 20);
	assert_string_equal("", buf_cstr(&g->events));
}

static void put_at(struct rig *g, const char *name, const char *text)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", g->vms, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(0, fclose(f));
}

static void rename_at(struct rig *g, const char *from, const char *to)
{
	char a[200], b[200];

	(void)snprintf(a, sizeof(a), "%s/%s", g->vms, from);
	(void)snprintf(b, sizeof(b), "%s/%s", g->vms, to);
	assert_int_equal(0, rename(a, b));
}

static void remove_at(struct rig *g, const char *name)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", g->vms, name);
	assert_int_equal(0, unlink(path));
}

/* As docs/vm-spec.md asks for: written beside, renamed into place. @process: "\"pid\": 7". */
static void put_spec(struct rig *g, const char *instance, const char *app, const char *process)
{
	char text[512], name[64];

	(void)snprintf(text, sizeof(text),
	               "{\"org\": \"acme\", \"app\": \"%s\", \"instance\": \"%s\", %s}", app,
	               instance, process);
	(void)snprintf(name, sizeof(name), "%s.json", instance);
	put_at(g, ".tmp", text);
	rename_at(g, ".tmp", name);
}

static void put_spec_pid(struct rig *g, const char *instance, int pid)
{
	char process[64];

	(void)snprintf(process, sizeof(process), "\"pid\": %d", pid);
	put_spec(g, instance, "web", process);
}

static void firecracker(struct rig *g, int pid, const char *id)
{
	char args[256];

	(void)snprintf(args, sizeof(args), "firecracker --id %s", id);
	fakeproc_process(&g->p, pid, "firecracker", args);
}

/* With its vCPU thread, without which it would not be taken for a VM yet. */
static void running_firecracker(struct rig *g, int pid, const char *id)
{
	firecracker(g, pid, id);
	fakeproc_thread(&g->p, pid, pid + 1000, "fc_vcpu 0");
}

static void assert_bad_files(struct rig *g, const char *expected)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct str head, rest;

	registry_metrics(&out, g->r);
	assert_non_null(strstr(buf_cstr(&out), "# TYPE periscope_host_spec_bad gauge\n"));
	(void)str_cut(buf_str(&out), '\n', &head, &rest); /* HELP */
	(void)str_cut(rest, '\n', &head, &rest);          /* TYPE */
	assert_str_equal(str_from(expected), rest);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_life_of_a_file(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "fc");
	registry_start(g.r); /* makes the folder */
	put_spec(&g, "i-1", "web", "\"pid\": 5000001, \"taps\": [{\"ifname\": \"t0\"}]");
	assert_events(&g, "+i-1 ");
	assert_string_equal("acme", g.last.org);
	assert_string_equal("web", g.last.app);
	assert_string_equal("ams", g.last.region);
	assert_string_equal("00ff", g.last.host);
	assert_int_equal(VMM_FIRECRACKER, g.last.vmm);
	assert_int_equal(A, g.last.pid);
	assert_int_equal(1000, g.last.start_ticks);
	assert_int_equal(1, g.last.n_taps);
	assert_string_equal("t0", g.last.taps[0].ifname);
	assert_string_equal("eth0", g.last.taps[0].guest_name);
	assert_int_equal(1, g.last.n_vcpus);
	uint64_t first_id = g.last.id;

	/* The same once more, in other words, is nothing new. */
	put_spec(&g, "i-1", "web", "\"taps\":[{\"ifname\":\"t0\"}],\"pid\":5000001");
	assert_quiet(&g, SECOND_MS);
	put_spec(&g, "i-1", "shop", "\"pid\": 5000001, \"region\": \"lhr\"");
	assert_events(&g, "-i-1 +i-1 ");
	assert_string_equal("shop", g.last.app);
	assert_string_equal("lhr", g.last.region);
	assert_int_equal(0, g.last.n_taps);
	assert_true(g.last.id > first_id);
	assert_int_equal(1, registry_n_running(g.r));
	remove_at(&g, "i-1.json");
	assert_events(&g, "-i-1 ");
	assert_int_equal(0, registry_n_running(g.r));
	assert_quiet(&g, SECOND_MS); /* discovery is off: nobody finds it */
}

static void test_files_that_were_there_before(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	assert_int_equal(0, mkdir(g.vms, 0755));
	put_spec_pid(&g, "i-1", A);
	put_at(&g, "notes.txt", "not ours");
	put_at(&g, ".hidden.json", "not ours");
	put_at(&g, "bad.json", "{");
	registry_start(g.r);
	assert_events(&g, "+i-1 ");
	assert_bad_files(&g, "periscope_host_spec_bad{file=\"bad.json\"} 1\n");
}

/* A slow writer is no error: the file is read when it is closed, or linked into place. */
static void test_ways_to_write(void **state)
{
	_cleanup_(rig_done) struct rig g;
	static const char text[] =
		"{\"org\": \"acme\", \"app\": \"web\", \"instance\": \"i-1\", \"pid\": 5000001}";
	char path[200], other[200];

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	registry_start(g.r);
	(void)snprintf(path, sizeof(path), "%s/i-1.json", g.vms);
	(void)snprintf(other, sizeof(other), "%s/text", g.p.files);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)fwrite(text, 1, 20, f);
	(void)fflush(f);
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "");
	(void)fwrite(text + 20, 1, sizeof(text) - 21, f);
	(void)fclose(f);
	assert_events(&g, "+i-1 ");
	assert_int_equal(0, rename(path, other));
	assert_events(&g, "-i-1 ");
	assert_int_equal(0, link(other, path));
	assert_events(&g, "+i-1 ");
	assert_int_equal(0, unlink(path));
	assert_events(&g, "-i-1 ");
	assert_int_equal(0, symlink(other, path));
	assert_events(&g, "+i-1 ");
	assert_int_equal(0, unlink(path));
	assert_events(&g, "-i-1 ");
	assert_int_equal(0, mkdir(path, 0755));
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "periscope_host_spec_bad{file=\"i-1.json\"} 1\n");
	assert_int_equal(0, rmdir(path));
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "");
}

static void test_bad_files(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	put_at(&g, "i-1.json", "{\"org\": \"acme\"}"); /* what was good stays in force */
	put_at(&g, "i-2.json", "{\"org\": 1}");
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "periscope_host_spec_bad{file=\"i-1.json\"} 1\n"
	                     "periscope_host_spec_bad{file=\"i-2.json\"} 1\n");
	assert_int_equal(1, registry_n_running(g.r));
	put_spec_pid(&g, "i-3", B); /* others are not concerned */
	assert_events(&g, "+i-3 ");
	put_spec_pid(&g, "i-1", A); /* mended, and as before */
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "periscope_host_spec_bad{file=\"i-2.json\"} 1\n");
	remove_at(&g, "i-2.json");
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "");
	put_at(&g, "i-1.json", "{");
	put_at(&g, "q\"\\\n.json", "{");
	assert_quiet(&g, SECOND_MS);
	assert_bad_files(&g, "periscope_host_spec_bad{file=\"i-1.json\"} 1\n"
	                     "periscope_host_spec_bad{file=\"q\\\"\\\\\xef\xbf\xbd.json\"} 1\n");
	remove_at(&g, "i-1.json"); /* a bad file that goes takes its VM along */
	assert_events(&g, "-i-1 ");
}

static int exchange_folder(const struct rig *g)
{
	char other[128];

	(void)snprintf(other, sizeof(other), "%s/other.d", g->p.dir.path);
	return renameat2(AT_FDCWD, g->vms, AT_FDCWD, other, RENAME_EXCHANGE);
}

static void test_folder_comes_and_goes(void **state)
{
	_cleanup_(rig_done) struct rig g;
	char other[128];

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	/* Gone as a whole: the daemon makes it anew. */
	remove_at(&g, "i-1.json");
	assert_int_equal(0, rmdir(g.vms));
	assert_events(&g, "-i-1 ");
	assert_quiet(&g, SECOND_MS);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	/* Replaced by another. */
	(void)snprintf(other, sizeof(other), "%s/other.d", g.p.dir.path);
	assert_int_equal(0, mkdir(other, 0755));
	assert_int_equal(0, exchange_folder(&g));
	assert_events(&g, "-i-1 ");
	put_spec_pid(&g, "i-2", B);
	assert_events(&g, "+i-2 ");
	assert_int_equal(0, exchange_folder(&g));
	assert_events(&g, "-i-2 +i-1 ");
}

/* The folder cannot be made, because a file is in its place; until that is gone. */
static void test_folder_that_cannot_be(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	assert_int_equal(0, file_replace(g.vms, "x", 1, 0644));
	registry_start(g.r);
	assert_quiet(&g, SECOND_MS);
	assert_int_equal(0, unlink(g.vms));
	assert_int_equal(0, mkdir(g.vms, 0755));
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
}

/* Out of descriptors: nothing can be read, which does not mean that all VMs are gone. */
static void test_no_descriptors(void **state)
{
	_cleanup_(rig_done) struct rig g;
	struct rlimit limit, none;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	put_spec_pid(&g, "i-2", B);
	assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
	registry_dispatch(g.r); /* hears of i-2, cannot read it */
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &limit));
	assert_string_equal("", buf_cstr(&g.events));
	assert_events(&g, "+i-2 ");
	assert_bad_files(&g, "");
}

/* ---- processes ------------------------------------------------------------------------------ */

static void test_waiting_for_a_process(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_quiet(&g, SECOND_MS);
	firecracker(&g, A, "a"); /* without vCPUs yet: the file says that it is a VM */
	assert_events(&g, "+i-1 ");
	assert_int_equal(0, g.last.n_vcpus);
	fakeproc_thread(&g.p, A, A + 1000, "fc_vcpu 0");
	assert_events(&g, "-i-1 +i-1 ");
	assert_int_equal(1, g.last.n_vcpus);
	fakeproc_end(&g.p, A);
	assert_events(&g, "-i-1 ");
	/* The number is given to another: a pid means one process. */
	running_firecracker(&g, A, "another");
	fakeproc_stat(&g.p, A, "firecracker", 'S', 2000);
	assert_quiet(&g, 2 * SECOND_MS);
	/* Unless the file says something new about it. */
	put_spec(&g, "i-1", "web", "\"pid_file\": \"/nonexistent\"");
	assert_quiet(&g, 50);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	assert_int_equal(2000, g.last.start_ticks);
}

/* One number, another process between two looks: the VM ended. */
static void test_number_given_again(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "+i-1 ");
	fakeproc_stat(&g.p, A, "firecracker", 'S', 2000);
	assert_events(&g, "-i-1 ");
	assert_quiet(&g, 2 * SECOND_MS);
}

static void test_pid_file_and_cgroup(void **state)
{
	_cleanup_(rig_done) struct rig g;
	char path[128], process[200];

	(void)state;
	rig_make(&g, FAKE, NO_DISCOVERY);
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	registry_start(g.r);
	(void)alarm(60); /* a FIFO that somebody waits for would hang the test */
	(void)snprintf(path, sizeof(path), "%s/pid", g.p.files);
	(void)snprintf(process, sizeof(process), "\"pid_file\": \"%s\"", path);
	assert_int_equal(0, mkfifo(path, 0600));
	put_spec(&g, "i-1", "web", process);
	assert_quiet(&g, SECOND_MS);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, file_replace(path, "-1\n", 3, 0644));
	assert_quiet(&g, 2 * SECOND_MS);
	assert_int_equal(0, file_replace(path, " 5000001\nmore\n", 14, 0644));
	assert_events(&g, "+i-1 ");
	fakeproc_end(&g.p, A);
	assert_events(&g, "-i-1 ");
	/* Started again under the same file, even with the same number. */
	running_firecracker(&g, A, "a");
	fakeproc_stat(&g.p, A, "firecracker", 'S', 3000);
	assert_events(&g, "+i-1 ");
	assert_int_equal(3000, g.last.start_ticks);

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", g.p.files);
	(void)snprintf(process, sizeof(process), "\"cgroup\": \"%s\"", g.p.files);
	assert_int_equal(0, file_replace(path, "5000002\n5000777\n", 16, 0644));
	put_spec(&g, "i-2", "web", process);
	assert_events(&g, "+i-2 ");
	assert_int_equal(B, g.last.pid);
	(void)alarm(0);
}

static pid_t child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0)
		(void)pause();
	return pid;
}

/* Until the end of a real process is told; it is a zombie all the time. */
static uint64_t ms_until_gone(struct rig *g, pid_t pid, const char *expected)
{
	uint64_t begin_ns = clock_mono_ns();

	assert_int_equal(0, kill(pid, SIGKILL));
	assert_events(g, expected);
	return (clock_mono_ns() - begin_ns) / 1000000;
}

static void test_real_processes(void **state)
{
	_cleanup_(rig_done) struct rig g;
	char path[128], process[200], text[16];
	pid_t a = child(), b = child();

	(void)state;
	rig_make(&g, REAL, NO_DISCOVERY);
	registry_start(g.r);
	put_spec_pid(&g, "i-1", a);
	assert_events(&g, "+i-1 ");
	assert_int_equal(a, g.last.pid);
	assert_int_equal(VMM_OTHER, g.last.vmm);
	assert_true(ms_until_gone(&g, a, "-i-1 ") < 1000);
	assert_quiet(&g, 2 * SECOND_MS); /* not bound again while it is a zombie */
	assert_int_equal(a, waitpid(a, NULL, 0));

	(void)snprintf(path, sizeof(path), "%s/pid", g.p.files);
	(void)snprintf(process, sizeof(process), "\"pid_file\": \"%s\"", path);
	(void)snprintf(text, sizeof(text), "%d\n", b);
	assert_int_equal(0, file_replace(path, text, strlen(text), 0644));
	put_spec(&g, "i-2", "web", process);
	assert_events(&g, "+i-2 ");
	assert_int_equal(b, g.last.pid);
	assert_true(ms_until_gone(&g, b, "-i-2 ") < 1000);
	assert_int_equal(b, waitpid(b, NULL, 0));
	a = child();
	(void)snprintf(text, sizeof(text), "%d\n", a);
	assert_int_equal(0, file_replace(path, text, strlen(text), 0644));
	assert_events(&g, "+i-2 ");
	assert_int_equal(a, g.last.pid);
	assert_true(ms_until_gone(&g, a, "-i-2 ") < 1000);
	assert_int_equal(a, waitpid(a, NULL, 0));
}

/* Two files about one process: the first has it, until it is gone. */
static void test_two_files_of_one_process(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, "");
	running_firecracker(&g, A, "a");
	registry_start(g.r);
	assert_events(&g, "+a ");
	put_spec_pid(&g, "i-1", A);
	assert_events(&g, "-a +i-1 ");
	put_spec_pid(&g, "i-2", A);
	assert_quiet(&g, 2 * SECOND_MS);
	remove_at(&g, "i-1.json");
	assert_events(&g, "-i-1 +i-2 "); /* and not found in between */
	remove_at(&g, "i-2.json");
	assert_events(&g, "-i-2 +a ");
}

/* ---- discovery ------------------------------------------------------------------------------ */

static void test_found_by_scan(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, "");
	fakeproc_process(&g.p, C, "bash", "bash");
	firecracker(&g, A, "a");
	registry_start(g.r);
	assert_quiet(&g, SECOND_MS); /* a monitor without a vCPU is no VM yet */
	fakeproc_thread(&g.p, A, A + 1000, "fc_vcpu 0");
	assert_events(&g, "+a ");
	assert_string_equal("default", g.last.org);
	assert_string_equal("a", g.last.app);
	assert_string_equal("ams", g.last.region);
	assert_int_equal(VMM_FIRECRACKER, g.last.vmm);
	running_firecracker(&g, B, "b"); /* seen by one of the next scans */
	assert_events(&g, "+b ");
	/* A process may become a monitor a little after it began. */
	fakeproc_stat(&g.p, C, "qemu-system-x86", 'S', 1000);
	fakeproc_write(&g.p, C, "comm", "qemu-system-x86\n");
	fakeproc_cmdline(&g.p, C, "qemu -m 1G");
	fakeproc_thread(&g.p, C, C + 1000, "CPU 0/KVM");
	assert_events(&g, "+qemu-5000003 ");
	fakeproc_end(&g.p, A);
	assert_events(&g, "-a ");
	assert_int_equal(2, registry_n_running(g.r));
}

static void test_found_by_events(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	registry_start(g.r);
	running_firecracker(&g, A, "a");
	assert_quiet(&g, 2 * SECOND_MS); /* nobody told, and nobody scans so soon */
	registry_executed(g.r, C, "bash");
	registry_executed(g.r, B, "firecracker"); /* it is gone already */
	registry_executed(g.r, A, "firecracker");
	registry_executed(g.r, A, "firecracker");
	assert_events(&g, "+a ");
	assert_int_equal(1, g.n_watched);
	registry_exited(g.r, C, &killed);
	assert_quiet(&g, 50);
	fakeproc_end(&g.p, A);
	registry_exited(g.r, A, &killed);
	assert_events(&g, "-a "); /* at once */
	assert_true(g.ended);
	assert_int_equal(SIGKILL, g.how.wait_status);
	assert_int_equal(0, g.n_watched);
	running_firecracker(&g, B, "b");
	registry_rescan(g.r); /* after a loss of events */
	assert_events(&g, "+b ");
}

/* Found dead without an event: a zombie still tells how it ended, and who is gone does not. */
static void test_how_it_ended(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, 0, "");
	registry_start(g.r);
	running_firecracker(&g, A, "a");
	assert_events(&g, "+a ");
	fakeproc_zombie(&g.p, A, "firecracker", 1000, 7 << 8);
	assert_events(&g, "-a ");
	assert_true(g.ended);
	assert_true(g.how.status_known);
	assert_int_equal(7 << 8, g.how.wait_status);
	running_firecracker(&g, B, "b");
	assert_events(&g, "+b ");
	fakeproc_end(&g.p, B);
	assert_events(&g, "-b ");
	assert_true(g.ended);
	assert_false(g.how.status_known);
}

/* Found dead while the event that tells how is still waiting to be read. */
static void test_event_is_on_its_way(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	registry_start(g.r);
	running_firecracker(&g, A, "a");
	registry_executed(g.r, A, "firecracker");
	assert_events(&g, "+a ");
	draining = &g;
	fakeproc_end(&g.p, A);
	registry_reload(g.r, &g.conf); /* looks at everybody */
	draining = NULL;
	assert_events(&g, "-a ");
	assert_true(g.how.status_known);
	assert_int_equal(SIGKILL, g.how.wait_status);
}

/* A file that waits for a process has it from the first moment: it is not found in between. */
static void test_executed_process_of_a_file(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	registry_start(g.r);
	put_spec_pid(&g, "i-1", A);
	assert_quiet(&g, 50);
	running_firecracker(&g, A, "a");
	registry_executed(g.r, A, "firecracker");
	assert_events(&g, "+i-1 ");
	fakeproc_end(&g.p, A);
	registry_exited(g.r, A, &killed);
	assert_events(&g, "-i-1 ");
}

/* A file that now means another process leaves the first one to discovery. */
static void test_file_leaves_its_process(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	assert_int_equal(0, mkdir(g.vms, 0755));
	put_spec_pid(&g, "i-1", A);
	put_spec_pid(&g, "i-2", B);
	registry_start(g.r);
	while (registry_n_running(g.r) < 2)
		pump(&g, 20);
	buf_clear(&g.events);
	remove_at(&g, "i-2.json");
	assert_events(&g, "-i-2 +b ");
	put_spec_pid(&g, "i-1", B);
	assert_events(&g, "-i-1 -b +i-1 +a ");
}

/* Two VMs of one name would write the same series; a file's name goes before a found one. */
static void test_names_of_found_vms(void **state)
{
	_cleanup_(rig_done) struct rig g;
	char name[VM_LABEL_CAP] = "", expected[400];

	(void)state;
	/* 42 characters of three bytes: where 100 bytes end is inside of one. */
	for (int i = 0; i < 42; i++)
		memcpy(name + 3 * i, "\xe2\x82\xac", 3);
	rig_make(&g, FAKE, "");
	running_firecracker(&g, A, name);
	running_firecracker(&g, B, name);
	running_firecracker(&g, C, "i-1");
	registry_start(g.r);
	(void)snprintf(expected, sizeof(expected), "+%s +%.*s-5000002 +i-1 ", name, 36 * 3, name);
	assert_events(&g, expected);
	running_firecracker(&g, C + 1, "other");
	assert_events(&g, "+other ");
	put_spec_pid(&g, "i-1", C + 1);
	assert_events(&g, "-other +i-1 -i-1 +i-1-5000003 ");
	assert_int_equal(4, registry_n_running(g.r));
}

static void test_hostile_names(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE, "discovery: {org: '${name}', instance: 'x/${name}'}");
	running_firecracker(&g, A, "Evil\xff\n${pid}");
	registry_start(g.r);
	assert_events(&g, "+x/Evil\xef\xbf\xbd\xef\xbf\xbd${pid} ");
	assert_string_equal("evil--------pid-", g.last.org);
	assert_string_equal("Evil\xef\xbf\xbd\xef\xbf\xbd${pid}", g.last.app);
}

/* ---- configuration -------------------------------------------------------------------------- */

static void reload(struct rig *g, const char *conf)
{
	struct host_conf fresh;

	configure(&fresh, g->vms, conf);
	registry_reload(g->r, &fresh);
	host_conf_done(&g->conf);
	g->conf = fresh;
	registry_reload(g->r, &g->conf); /* changes nothing but whom it borrows from */
}

static void test_reload(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	assert_int_equal(0, mkdir(g.vms, 0755));
	put_spec_pid(&g, "i-1", B);
	registry_start(g.r);
	while (registry_n_running(g.r) < 2)
		pump(&g, 20);
	for (int i = 0; i < 10; i++)
		registry_rescan(g.r); /* until both are old acquaintances */
	buf_clear(&g.events);
	reload(&g, "");
	assert_quiet(&g, 50);
	reload(&g, "discovery: {app: 'app-${name}'}");
	assert_events(&g, "-a +a ");
	assert_string_equal("app-a", g.last.app);
	reload(&g, NO_DISCOVERY);
	assert_events(&g, "-a ");
	reload(&g, "");
	assert_events(&g, "+a "); /* found again, although nothing was executed */
	reload(&g, "log_level: info\ninterval: 5s");
	assert_quiet(&g, 50);
	assert_int_equal(2, registry_n_running(g.r));
}

/* Disks and taps can be plugged in; a look from scratch finds them. */
static void test_plugged_in(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, FAKE_HEARD, "");
	running_firecracker(&g, A, "a");
	registry_start(g.r);
	assert_events(&g, "+a ");
	fakeproc_tap(&g.p, A, 9, "tap9");
	reload(&g, "");
	assert_events(&g, "-a +a ");
	assert_int_equal(1, g.last.n_taps);
	assert_string_equal("tap9", g.last.taps[0].ifname);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int note_instance(void *ctx, const struct vm *vm)
{
	buf_printf(ctx, "%s ", vm->instance);
	return 0;
}

static int refuse(void *ctx, const struct vm *vm)
{
	(void)vm;
	++*(int *)ctx;
	return -ECANCELED;
}

DEFINE_CLEANUP(struct batch *, batch_free);

static void test_collect(void **state)
{
	_cleanup_(rig_done) struct rig g;
	_cleanup_(batch_freep) struct batch *b = NULL, *tiny = NULL;
	_cleanup_(buf_done) struct buf names = BUF_INIT;
	int n = 0;

	(void)state;
	rig_make(&g, FAKE, "");
	running_firecracker(&g, A, "a");
	running_firecracker(&g, B, "b");
	firecracker(&g, C, "settling");
	registry_start(g.r);
	assert_events(&g, "+a +b ");
	assert_int_equal(0, batch_new(&b, 100));
	assert_int_equal(0, registry_collect(g.r, 1000, b));
	assert_int_equal(2, batch_n_samples(b));
	assert_int_equal(0, batch_new(&tiny, 1));
	assert_int_equal(-ENOSPC, registry_collect(g.r, 1000, tiny));
	assert_int_equal(1, batch_n_samples(tiny));
	assert_int_equal(0, registry_each(g.r, note_instance, &names));
	assert_string_equal("a b ", buf_cstr(&names));
	assert_int_equal(-ECANCELED, registry_each(g.r, refuse, &n));
	assert_int_equal(1, n);
	registry_dump(g.r);
}

static bool runs(const struct rig *g, const char *instance)
{
	_cleanup_(buf_done) struct buf names = BUF_INIT;
	char want[64];

	(void)snprintf(want, sizeof(want), "%s ", instance);
	assert_int_equal(0, registry_each(g->r, note_instance, &names));
	return strstr(buf_cstr(&names), want);
}

#define N_FAILURES 32 /* a start allocates less often */

/* Every allocation of a start in turn fails: VMs may come later, but they come. */
static void test_no_memory(void **state)
{
	static struct rig rigs[N_FAILURES];
	uint64_t end_ns = clock_mono_ns() + 2 * PATIENCE_MS * 1000000ull;

	(void)state;
	for (unsigned long n = 0; n < N_FAILURES; n++) {
		struct rig *g = &rigs[n];

		rig_make(g, FAKE, "");
		running_firecracker(g, A, "a");
		running_firecracker(g, B, "b");
		assert_int_equal(0, mkdir(g->vms, 0755));
		put_spec_pid(g, "i-1", B);
		alloc_fail_at(n + 1);
		registry_start(g->r);
		alloc_fail_at(0);
	}
	for (size_t n = 0; n < N_FAILURES; n++) {
		while (!runs(&rigs[n], "i-1") || !runs(&rigs[n], "a")) {
			assert_true(clock_mono_ns() < end_ns);
			pump(&rigs[n], 20);
		}
		assert_int_equal(2, registry_n_running(rigs[n].r));
		assert_bad_files(&rigs[n], "");
		rig_done(&rigs[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_a_file),
		cmocka_unit_test(test_files_that_were_there_before),
		cmocka_unit_test(test_ways_to_write),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_folder_comes_and_goes),
		cmocka_unit_test(test_folder_that_cannot_be),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_waiting_for_a_process),
		cmocka_unit_test(test_number_given_again),
		cmocka_unit_test(test_pid_file_and_cgroup),
		cmocka_unit_test(test_real_processes),
		cmocka_unit_test(test_two_files_of_one_process),
		cmocka_unit_test(test_found_by_scan),
		cmocka_unit_test(test_found_by_events),
		cmocka_unit_test(test_how_it_ended),
		cmocka_unit_test(test_event_is_on_its_way),
		cmocka_unit_test(test_executed_process_of_a_file),
		cmocka_unit_test(test_file_leaves_its_process),
		cmocka_unit_test(test_names_of_found_vms),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_plugged_in),
		cmocka_unit_test(test_collect),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
