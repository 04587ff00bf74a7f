/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries and their life. One epoll set inside holds everything that can wake the registry: the
 * folder's inotify, a timer for the next look, and a pidfd for each running VM; the daemon's main
 * loop sees a single descriptor.
 *
 * A look (look()) is the only place where a VM begins, changes or ends: it describes the process
 * from scratch and compares with what was announced. When to look again follows from what it saw:
 * soon while threads may still appear, seldom (REFRESH) afterwards, because disks and interfaces
 * can be plugged into a running VM without any event that we could hear.
 *
 * Invariant: (1) at most one entry is bound to a process.
 */
#include "userspace/host/registry.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/discover.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/label_text.h"
#include "userspace/host/procfs.h"
#include "userspace/host/registry_int.h"

#define SECOND_NS      1000000000ull
#define SOON_PARTS     10u /* of a second */
#define LOOKS_SOON     30u /* then once a second */
#define LOOKS_SECONDS  90u /* then seldom */
#define SELDOM_S       15u
#define REFRESH_S      300u
#define SCAN_ALONE_S   1u  /* nobody tells us of new processes */
#define SCAN_BESIDE_S  60u /* somebody does; this is for what he missed */
#define PID_FILE_BYTES ((size_t)4096)
#define EVENTS_MAX     64

enum { /* epoll keys below those of entries */
	KEY_INOTIFY = 1,
	KEY_TIMER,
	KEY_ENTRIES,
};

static struct metric begun = METRIC_COUNTER("periscope_host_vm_starts_total", "",
                                            "VMs that began to run, or came back changed.");
static struct metric ended = METRIC_COUNTER("periscope_host_vm_ends_total", "",
                                            "VMs that ended, or went away to come back changed.");
static struct metric running =
	METRIC_GAUGE("periscope_host_vms", "state=\"running\"", "VMs known, by state.");
static struct metric waiting =
	METRIC_GAUGE("periscope_host_vms", "state=\"waiting\"", "VMs known, by state.");
METRIC_REGISTER(begun);
METRIC_REGISTER(ended);
METRIC_REGISTER(running);
METRIC_REGISTER(waiting);

uint64_t registry_in_seconds(const struct registry *r, unsigned n)
{
	return clock_mono_ns() + n * r->world.second_ns;
}

/* ---- finding entries ------------------------------------------------------------------------ */

struct entry *registry_by_pid(const struct registry *r, pid_t pid)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		if (r->entries[i]->pid == pid)
			return r->entries[i];
	}
	return NULL;
}

static struct entry *by_key(const struct registry *r, uint64_t key)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		if (r->entries[i]->key == key)
			return r->entries[i];
	}
	return NULL;
}

static bool instance_taken(const struct registry *r, const struct entry *self, const char *name)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct entry *e = r->entries[i];
		const char *theirs = e->spec ? e->spec->instance : e->vm ? e->vm->instance : "";

		if (e != self && strcmp(theirs, name) == 0)
			return true;
	}
	return false;
}

static void count_states(const struct registry *r)
{
	size_t n = registry_n_running(r);

	metric_set(&running, (int64_t)n);
	metric_set(&waiting, (int64_t)(r->n_entries - n));
}

/* ---- binding to a process ------------------------------------------------------------------- */

static void bind_process(struct registry *r, struct entry *e, pid_t pid)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = e->key };

	assert(!registry_by_pid(r, pid)); /* (1) */
	e->pid = pid;
	e->n_looks = 0;
	e->start_ticks = 0;
	e->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (e->pidfd >= 0 && epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, e->pidfd, &ev) < 0) {
		(void)close(e->pidfd);
		e->pidfd = -1;
	}
	if (r->world.watch)
		(void)r->world.watch(r->world.ctx, pid); /* the pidfd serves without it */
}

static void unbind_process(struct registry *r, struct entry *e)
{
	if (e->pid == 0)
		return;
	if (r->world.unwatch)
		r->world.unwatch(r->world.ctx, e->pid);
	if (e->pidfd >= 0)
		(void)close(e->pidfd);
	e->pidfd = -1;
	e->ended_pid = e->pid;
	e->ended_ticks = e->start_ticks;
	e->pid = 0;
}

static int read_pid_file(const char *path, pid_t *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str line, rest;
	uint64_t pid;
	int r = file_read_regular_at(AT_FDCWD, path, &text, PID_FILE_BYTES);

	if (r < 0)
		return r;
	(void)str_cut(str_trim(buf_str(&text)), '\n', &line, &rest);
	if (num_parse_u64(str_trim(line), &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return -EBADMSG;
	*ret = (pid_t)pid;
	return 0;
}

/* The cgroup's first process: of a monitor's own group that is the monitor. */
static int read_cgroup(const char *folder, pid_t *ret)
{
	char path[SPEC_PATH_CAP + 16];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	return read_pid_file(path, ret);
}

static int wanted_pid(const struct vm_spec *s, pid_t *ret)
{
	if (s->pid == 0)
		return s->pid_file[0] ? read_pid_file(s->pid_file, ret)
		                      : read_cgroup(s->cgroup, ret);
	*ret = (pid_t)s->pid;
	return 0;
}

static bool is_alive(const struct registry *r, pid_t pid, uint64_t *ret_start_ticks)
{
	struct proc_stat st;

	if (procfs_stat(r->world.proc, pid, &st) < 0 || st.state == 'Z' || st.state == 'X')
		return false;
	*ret_start_ticks = st.start_ticks;
	return true;
}

/* Binds a described VM to its process once there is one; a file's word goes before a finding. */
static bool try_bind(struct registry *r, struct entry *e)
{
	struct entry *other;
	uint64_t ticks;
	pid_t pid;

	if (wanted_pid(e->spec, &pid) < 0 || !is_alive(r, pid, &ticks))
		return false;
	if (pid == e->ended_pid && ticks == e->ended_ticks)
		return false;
	/* A number that now belongs to somebody else; pid files are written anew, so they may. */
	if (e->spec->pid != 0 && pid == e->ended_pid)
		return false;
	other = registry_by_pid(r, pid);
	if (other && other->spec)
		return false;
	if (other)
		registry_remove(r, other);
	bind_process(r, e, pid);
	return true;
}

/* ---- announcing ----------------------------------------------------------------------------- */

/* @how is NULL when the process goes on. */
static void announce_gone(struct registry *r, struct entry *e, const struct vm_exit *how)
{
	if (!e->vm)
		return;
	r->listener.gone(r->listener.ctx, e->vm, how);
	metric_add(&ended, 1);
	log_info("registry: VM is gone", STRV("instance", e->vm->instance), I64("pid", e->vm->pid));
	free(e->vm);
	e->vm = NULL;
}

static void announce(struct registry *r, struct entry *e, const struct vm *described)
{
	struct vm *vm = mem_alloc(sizeof(*vm));

	announce_gone(r, e, NULL);
	if (!vm) {
		log_error("registry: no memory for a VM", STRV("instance", described->instance));
		return;
	}
	memcpy(vm, described, sizeof(*vm));
	vm->id = ++r->last_vm_id;
	e->vm = vm;
	metric_add(&begun, 1);
	log_info("registry: VM runs", STRV("instance", vm->instance), STRV("app", vm->app),
	         STRV("org", vm->org), STRV("vmm", discover_kind_name(vm->vmm)),
	         I64("pid", vm->pid), U64("vcpus", vm->n_vcpus), U64("taps", vm->n_taps),
	         U64("disks", vm->n_disks));
	r->listener.added(r->listener.ctx, vm);
}

/* ---- describing ----------------------------------------------------------------------------- */

#define COPY(dst, src) (void)snprintf((dst), sizeof(dst), "%s", (src))

static void overlay_taps(struct vm *vm, const struct vm_spec *s)
{
	memset(vm->taps, 0, sizeof(vm->taps));
	for (vm->n_taps = 0; vm->n_taps < s->n_taps; vm->n_taps++) {
		struct vm_tap *t = &vm->taps[vm->n_taps];

		COPY(t->ifname, s->taps[vm->n_taps].ifname);
		COPY(t->guest_name, s->taps[vm->n_taps].guest);
	}
}

/* A path of a description is the host's; only a monitor's own words are seen from its chroot. */
static void overlay_disks(struct registry *r, struct vm *vm, const struct vm_spec *s)
{
	memset(vm->disks, 0, sizeof(vm->disks));
	for (vm->n_disks = 0; vm->n_disks < s->n_disks; vm->n_disks++) {
		struct vm_disk *d = &vm->disks[vm->n_disks];

		COPY(d->path, s->disks[vm->n_disks].path);
		COPY(d->guest_name, s->disks[vm->n_disks].guest);
		discover_disk_identity(r->world.proc, 0, d);
		if (d->dev == 0)
			d->dev = loop_devices_find(&r->loops, "/sys/block", d->path);
	}
}

static void overlay_volumes(const struct registry *r, struct vm *vm, const struct vm_spec *s)
{
	for (vm->n_volumes = 0; vm->n_volumes < s->n_volumes; vm->n_volumes++) {
		struct vm_volume *v = &vm->volumes[vm->n_volumes];
		struct vm_disk at = { 0 };

		COPY(v->id, s->volumes[vm->n_volumes].id);
		COPY(at.path, s->volumes[vm->n_volumes].device);
		discover_disk_identity(r->world.proc, 0, &at);
		v->dev = at.dev;
	}
}

/* The texts were checked when the description was read. */
static void overlay_network(struct vm *vm, const struct vm_spec *s)
{
	for (; vm->n_addresses < s->n_addresses; vm->n_addresses++)
		(void)net_addr_parse(s->addresses[vm->n_addresses],
		                     &vm->addresses[vm->n_addresses]);
	for (; vm->n_listeners < s->n_listeners; vm->n_listeners++)
		(void)net_endpoint_parse(s->listeners[vm->n_listeners],
		                         &vm->listeners[vm->n_listeners]);
	for (; vm->n_hostnames < s->n_hostnames; vm->n_hostnames++)
		COPY(vm->hostnames[vm->n_hostnames], s->hostnames[vm->n_hostnames]);
	vm->soft_limit = (uint32_t)s->soft_limit;
	vm->hard_limit = (uint32_t)s->hard_limit;
}

static bool has_endpoint(const struct vm *vm, const struct spec_metrics *m)
{
	for (uint32_t i = 0; i < m->n_processes; i++) {
		if (strcmp(m->processes[i], vm->process_group) == 0)
			return true;
	}
	return m->n_processes == 0;
}

static void add_scrape(struct vm *vm, uint64_t port, const char *path)
{
	for (uint32_t i = 0; i < vm->n_scrapes; i++) {
		if (vm->scrapes[i].port == port && strcmp(vm->scrapes[i].path, path) == 0)
			return;
	}
	if (vm->n_scrapes == VM_SCRAPES_MAX)
		return;
	vm->scrapes[vm->n_scrapes].port = (uint16_t)port;
	COPY(vm->scrapes[vm->n_scrapes].path, path);
	vm->n_scrapes++;
}

/* A Postgres app's comes first: there is always room for it. */
static void overlay_scrapes(const struct registry *r, struct vm *vm, const struct vm_spec *s)
{
	if (strcmp(s->kind, "postgres") == 0)
		add_scrape(vm, (uint64_t)r->conf->scrape.postgres_port, "/metrics");
	for (uint32_t i = 0; i < s->n_metrics; i++) {
		if (has_endpoint(vm, &s->metrics[i]))
			add_scrape(vm, s->metrics[i].port, s->metrics[i].path);
	}
}

/* What the file says goes before what the process shows. */
static void overlay_spec(struct registry *r, struct vm *vm, const struct vm_spec *s)
{
	COPY(vm->org, s->org);
	COPY(vm->app, s->app);
	COPY(vm->instance, s->instance);
	COPY(vm->region, s->region[0] ? s->region : r->conf->region);
	COPY(vm->process_group, s->process_group);
	overlay_scrapes(r, vm, s);
	COPY(vm->cpu_class, s->cpu_class);
	COPY(vm->kernel_profile, s->kernel_profile);
	COPY(vm->console, s->console);
	COPY(vm->monitor_socket, s->monitor_socket);
	COPY(vm->main_process, s->main_process);
	if (s->vcpus > 0)
		vm->n_vcpus_spec = (uint32_t)s->vcpus;
	if (s->memory_bytes > 0)
		vm->memory_bytes = s->memory_bytes;
	if (s->n_taps > 0)
		overlay_taps(vm, s);
	if (s->n_disks > 0)
		overlay_disks(r, vm, s);
	overlay_volumes(r, vm, s);
	overlay_network(vm, s);
}

/* The templates were checked when the configuration was read, so they expand. */
static void expand(const char *text, const struct label_var *vars, char dst[VM_LABEL_CAP])
{
	if (label_template(text, vars, dst, VM_LABEL_CAP, NULL) < 0)
		dst[0] = '\0';
}

static void label_found(const struct registry *r, const struct entry *e, struct vm *vm,
                        const char *own_name)
{
	struct label_var vars[HOST_CONF_VARS_MAX];
	const struct host_conf *c = r->conf;
	char pid[16], name[VM_LABEL_CAP], org[VM_LABEL_CAP];

	(void)snprintf(pid, sizeof(pid), "%d", vm->pid);
	if (own_name[0])
		COPY(name, own_name);
	else
		(void)snprintf(name, sizeof(name), "%s-%s", discover_kind_name(vm->vmm), pid);
	host_conf_vars(str_from(name), str_from(pid), str_from(discover_kind_name(vm->vmm)),
	               str_from(c->host_id), vars);
	expand(c->discovery_org, vars, org);
	label_text_slug(vm->org, sizeof(vm->org), str_from(org));
	expand(c->discovery_app, vars, vm->app);
	expand(c->discovery_instance, vars, vm->instance);
	expand(c->discovery_region[0] ? c->discovery_region : c->region, vars, vm->region);
	/* Two VMs of one name would write the same series. */
	if (vm->instance[0] == '\0' || instance_taken(r, e, vm->instance)) {
		label_text_copy(name, VM_LABEL_CAP - sizeof(pid) - 1, str_from(vm->instance));
		(void)snprintf(vm->instance, sizeof(vm->instance), "%s-%s", name, pid);
	}
}

static int describe(struct registry *r, const struct entry *e, struct vm *vm)
{
	char name[VM_LABEL_CAP];
	int res;

	memset(vm, 0, sizeof(*vm));
	res = discover_process(r->world.proc, e->pid, vm, name);
	if (res < 0)
		return res;
	if (e->start_ticks != 0 && vm->start_ticks != e->start_ticks)
		return -ESRCH; /* the number was given to another process */
	COPY(vm->host, r->conf->host_id);
	if (e->spec)
		overlay_spec(r, vm, e->spec);
	else
		label_found(r, e, vm, name);
	return 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

static void process_gone(struct registry *r, struct entry *e, const struct vm_exit *how)
{
	announce_gone(r, e, how);
	unbind_process(r, e);
	if (!e->spec) {
		registry_remove(r, e);
		return;
	}
	e->next_ns = registry_in_seconds(r, 1);
	count_states(r);
}

/*
 * Nobody told us how it ended, so far. An event may be on its way; else the process may still be
 * there as a zombie, whose parent has not asked yet.
 */
static void process_vanished(struct registry *r, struct entry *e)
{
	const uint64_t key = e->key;
	const pid_t pid = e->pid;
	struct vm_exit how = { 0 };
	struct proc_stat st;

	if (r->world.drain) {
		r->world.drain(r->world.ctx);
		e = by_key(r, key);
		if (!e || e->pid != pid)
			return;
	}
	if (procfs_stat(r->world.proc, pid, &st) == 0 && st.state == 'Z' &&
	    st.start_ticks == e->start_ticks && st.has_wait_status) {
		how.status_known = true;
		how.wait_status = st.wait_status;
	}
	process_gone(r, e, &how);
}

static uint64_t next_look_ns(const struct registry *r, const struct entry *e, const struct vm *vm)
{
	const uint64_t second_ns = r->world.second_ns;

	if (!discover_settled(vm) || !e->vm)
		return e->n_looks < LOOKS_SOON      ? second_ns / SOON_PARTS
		       : e->n_looks < LOOKS_SECONDS ? second_ns
		                                    : SELDOM_S * second_ns;
	if (e->pidfd < 0)
		return second_ns;
	/* Not all at the same moment. */
	return REFRESH_S * second_ns + e->key % 64 * (second_ns / 4);
}

static bool is_changed(const struct entry *e, struct vm *described)
{
	described->id = e->vm->id;
	return memcmp(described, e->vm, sizeof(*described)) != 0;
}

static void look(struct registry *r, struct entry *e)
{
	struct vm *vm = &r->scratch;
	int res;

	e->next_ns = registry_in_seconds(r, 1);
	if (e->pid == 0 && !try_bind(r, e))
		return;
	res = describe(r, e, vm);
	if (res == -ESRCH) {
		process_vanished(r, e);
		return;
	}
	if (res < 0)
		return;
	e->start_ticks = vm->start_ticks;
	e->n_looks++;
	/* Without a vCPU a monitor is not yet a VM, unless a file says that it is one. */
	if (e->vm ? is_changed(e, vm) : e->spec || vm->n_vcpus > 0)
		announce(r, e, vm);
	e->next_ns = clock_mono_ns() + next_look_ns(r, e, vm);
	count_states(r);
}

/* ---- adding and removing -------------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
	free(e->spec);
	free(e->vm);
	free(e);
}

static struct entry *entry_add(struct registry *r)
{
	struct entry *e;

	if (r->n_entries >= REGISTRY_VMS_MAX ||
	    MEM_GROW(r->entries, r->entries_cap, r->n_entries + 1) < 0)
		return NULL;
	e = mem_zalloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->key = ++r->last_key;
	e->pidfd = -1;
	r->entries[r->n_entries++] = e;
	return e;
}

/* True when a file that was waiting for this process has it now. */
static bool claimed(struct registry *r, pid_t pid)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		struct entry *e = r->entries[i];
		pid_t want;

		if (!e->spec || e->pid != 0 || wanted_pid(e->spec, &want) < 0 || want != pid)
			continue;
		look(r, e);
		if (e->pid == pid)
			return true;
	}
	return false;
}

void registry_add_found(struct registry *r, pid_t pid)
{
	struct entry *e;

	if (registry_by_pid(r, pid) || claimed(r, pid) || !r->conf->discovery_enabled)
		return;
	e = entry_add(r);
	if (!e) {
		log_error("registry: no room for a VM", I64("pid", pid));
		return;
	}
	bind_process(r, e, pid);
	look(r, e);
}

/* A found VM steps back from a name that a file gives to another. */
static void rename_found(struct registry *r, const char *instance)
{
	for (size_t i = r->n_entries; i-- > 0;) {
		struct entry *e = i < r->n_entries ? r->entries[i] : NULL;

		if (e && !e->spec && e->vm && strcmp(e->vm->instance, instance) == 0)
			look(r, e);
	}
}

int registry_add_spec(struct registry *r, struct vm_spec *spec)
{
	struct entry *e = entry_add(r);

	if (!e) {
		free(spec);
		return r->n_entries >= REGISTRY_VMS_MAX ? -ENOSPC : -ENOMEM;
	}
	e->spec = spec;
	look(r, e);
	rename_found(r, spec->instance);
	count_states(r);
	return 0;
}

static bool same_process(const struct vm_spec *a, const struct vm_spec *b)
{
	return a->pid == b->pid && strcmp(a->pid_file, b->pid_file) == 0 &&
	       strcmp(a->cgroup, b->cgroup) == 0;
}

/* No file names this process any more, but it runs on: from now on it is one that we found. */
static void leave_to_discovery(struct registry *r, pid_t pid)
{
	char comm[64];

	if (pid > 0 && procfs_comm(r->world.proc, pid, 0, comm, sizeof(comm)) == 0)
		registry_executed(r, pid, comm);
}

void registry_change_spec(struct registry *r, struct entry *e, struct vm_spec *spec)
{
	pid_t left = 0;

	if (!same_process(e->spec, spec)) {
		left = e->pid;
		announce_gone(r, e, NULL);
		unbind_process(r, e);
		/* A new word about the process: whatever was before is forgotten. */
		e->ended_pid = 0;
	}
	free(e->spec);
	e->spec = spec;
	look(r, e);
	leave_to_discovery(r, left);
	count_states(r);
}

void registry_remove(struct registry *r, struct entry *e)
{
	pid_t left = e->spec ? e->pid : 0;

	announce_gone(r, e, NULL);
	unbind_process(r, e);
	for (size_t i = 0; i < r->n_entries; i++) {
		if (r->entries[i] == e)
			r->entries[i] = r->entries[--r->n_entries];
	}
	entry_free(e);
	count_states(r);
	leave_to_discovery(r, left);
}

void registry_executed(struct registry *r, pid_t pid, const char *comm)
{
	if (discover_kind(comm) != VMM_OTHER)
		registry_add_found(r, pid);
}

void registry_exited(struct registry *r, pid_t pid, const struct vm_exit *how)
{
	struct entry *e = registry_by_pid(r, pid);

	if (e)
		process_gone(r, e, how);
}

/* ---- waking --------------------------------------------------------------------------------- */

static void arm(struct registry *r)
{
	uint64_t next = MIN(r->next_scan_ns, r->next_folder_ns);
	struct itimerspec at = { 0 };

	for (size_t i = 0; i < r->n_entries; i++)
		next = MIN(next, r->entries[i]->next_ns);
	next = MAX(next, (uint64_t)1); /* zero would switch the timer off */
	if (next != NO_TIME) {
		at.it_value.tv_sec = (time_t)(next / SECOND_NS);
		at.it_value.tv_nsec = (long)(next % SECOND_NS);
	}
	(void)timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Backwards, and by key: a look may remove its entry, and others that it displaces. */
static void look_at_due(struct registry *r, uint64_t now_ns)
{
	for (size_t i = r->n_entries; i-- > 0;) {
		if (i < r->n_entries && r->entries[i]->next_ns <= now_ns)
			look(r, r->entries[i]);
	}
}

static void on_timer(struct registry *r)
{
	uint64_t now_ns = clock_mono_ns(), ticks;

	(void)!read(r->timer_fd, &ticks, sizeof(ticks)); /* only to make it unreadable again */
	if (r->next_folder_ns <= now_ns)
		registry_specs_retry(r);
	look_at_due(r, now_ns);
	if (r->next_scan_ns <= now_ns)
		registry_rescan(r);
}

static void on_key(struct registry *r, uint64_t key)
{
	struct entry *e;

	if (key == KEY_INOTIFY) {
		registry_specs_dispatch(r);
	} else if (key == KEY_TIMER) {
		on_timer(r);
	} else {
		e = by_key(r, key);
		if (e && e->pid != 0)
			process_vanished(r, e);
	}
}

void registry_dispatch(struct registry *r)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(r->epoll_fd, events, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++)
		on_key(r, events[i].data.u64);
	arm(r);
}

void registry_rescan(struct registry *r)
{
	r->next_scan_ns = registry_in_seconds(r, r->world.watch ? SCAN_BESIDE_S : SCAN_ALONE_S);
	registry_scan(r);
}

void registry_start(struct registry *r)
{
	registry_specs_retry(r); /* files first: they claim their processes */
	registry_rescan(r);
	arm(r);
}

void registry_reload(struct registry *r, const struct host_conf *conf)
{
	r->conf = conf;
	r->scan.n = 0; /* look at all processes again: discovery may be on now */
	for (size_t i = r->n_entries; i-- > 0;) {
		if (i >= r->n_entries)
			continue;
		if (r->entries[i]->spec || conf->discovery_enabled)
			look(r, r->entries[i]);
		else
			registry_remove(r, r->entries[i]);
	}
	registry_rescan(r);
	arm(r);
}

/* ---- reading -------------------------------------------------------------------------------- */

int registry_collect(struct registry *r, int64_t now_ms, struct batch *out)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct vm *vm = r->entries[i]->vm;
		int res = vm ? batch_begin_vm(out, vm, now_ms) : 0;

		if (vm && res == 0)
			res = batch_add(out, FLY_INSTANCE_UP, NULL, 1);
		if (res < 0)
			return res;
	}
	return 0;
}

int registry_each(const struct registry *r, registry_vm_f fn, void *ctx)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		int res = r->entries[i]->vm ? fn(ctx, r->entries[i]->vm) : 0;

		if (res < 0)
			return res;
	}
	return 0;
}

int registry_fd(const struct registry *r)
{
	return r->epoll_fd;
}

size_t registry_n_running(const struct registry *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_entries; i++)
		n += r->entries[i]->vm != NULL;
	return n;
}

void registry_metrics(struct buf *out, void *registry)
{
	struct registry *r = registry;

	metrics_put_family(out, "periscope_host_spec_bad", "gauge",
	                   "1 for each description file that was refused.");
	pthread_mutex_lock(&r->bad_lock);
	for (size_t i = 0; i < r->n_bad; i++) {
		_cleanup_(buf_done) struct buf labels = BUF_INIT;
		char clean[NAME_MAX + 1];

		label_text_copy(clean, sizeof(clean), str_from(r->bad[i].name));
		metrics_put_label(&labels, "file", clean);
		metrics_put(out, "periscope_host_spec_bad", buf_cstr(&labels), 1);
	}
	pthread_mutex_unlock(&r->bad_lock);
}

void registry_dump(const struct registry *r)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct entry *e = r->entries[i];
		const struct vm *vm = e->vm;

		log_info("registry: entry",
		         STRV("instance", vm        ? vm->instance
		                          : e->spec ? e->spec->instance
		                                    : ""),
		         STRV("from", e->spec ? "file" : "process"),
		         STRV("state", vm ? "running" : "waiting"), I64("pid", e->pid),
		         U64("vcpus", vm ? vm->n_vcpus : 0), U64("taps", vm ? vm->n_taps : 0),
		         U64("disks", vm ? vm->n_disks : 0), U64("looks", e->n_looks));
	}
	for (size_t i = 0; i < r->n_bad; i++)
		log_info("registry: bad description", STRV("why", r->bad[i].why));
}

/* ---- making --------------------------------------------------------------------------------- */

static int open_one(struct registry *r, int fd, uint64_t key)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = key };

	return fd < 0 || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? neg_errno() : 0;
}

static int open_all(struct registry *r, struct err *e)
{
	int res;

	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->epoll_fd < 0 || r->timer_fd < 0)
		return err_set(e, neg_errno(), "registry: %s", strerror(errno));
	res = registry_specs_open(r, e);
	if (res == 0)
		res = open_one(r, r->inotify_fd, KEY_INOTIFY);
	if (res == 0)
		res = open_one(r, r->timer_fd, KEY_TIMER);
	return res < 0 ? err_set(e, res, "registry: %s", strerror(-res)) : 0;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_entries; i++) {
		unbind_process(r, r->entries[i]);
		entry_free(r->entries[i]);
	}
	closep(&r->epoll_fd);
	closep(&r->timer_fd);
	closep(&r->inotify_fd);
	pthread_mutex_destroy(&r->bad_lock);
	free(r->entries);
	free(r->scan.v);
	loop_devices_done(&r->loops);
	free(r->bad);
	free(r);
}

DEFINE_CLEANUP(struct registry *, registry_free);

int registry_new(struct registry **ret, const struct host_conf *conf,
                 const struct registry_listener *listener, const struct registry_world *world,
                 struct err *e)
{
	_cleanup_(registry_freep) struct registry *r = mem_zalloc(1, sizeof(*r));
	int res;

	if (!r)
		return -ENOMEM;
	r->epoll_fd = r->timer_fd = r->inotify_fd = r->watch = -1;
	r->conf = conf;
	r->listener = *listener;
	r->world = *world;
	if (!r->world.proc)
		r->world.proc = "/proc";
	if (r->world.second_ns == 0)
		r->world.second_ns = SECOND_NS;
	r->last_key = KEY_ENTRIES;
	r->next_scan_ns = r->next_folder_ns = NO_TIME;
	pthread_mutex_init(&r->bad_lock, NULL);
	res = open_all(r, e);
	if (res < 0)
		return res;
	*ret = TAKE_PTR(r);
	return 0;
}
