/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three readings of one process, each completing the one before:
 *   1. the command line (cmdline.c) names disks and interfaces in the guest's order;
 *   2. the open descriptors tell what is really there: taps by the "iff:" line of their fdinfo,
 *      disks when the command line named none, KVM by its anonymous inodes;
 *   3. the threads: a vCPU has its number in its name, or sits in ioctl(KVM_RUN).
 *
 * Rejected: asking the monitor by its API socket. It would serialise with the orchestrator's own
 * requests, and a monitor that hangs would hang the daemon.
 */
#include "userspace/host/discover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/cmdline.h"
#include "userspace/host/label_text.h"
#include "userspace/host/procfs.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define FDS_MAX          4096 /* descriptors looked at */
#define THREADS_MAX      1024
#define KVM_RUN          0xae80u           /* _IO(KVMIO, 0x80), linux/kvm.h */
#define IMAGE_BYTES_MIN  ((off_t)64 << 10) /* a smaller file is no disk */

static const struct {
	const char *comm;
	bool whole; /* the name itself, not a prefix */
	enum vmm_kind kind;
} monitors[] = {
	{ "firecracker", true, VMM_FIRECRACKER },
	{ "qemu-system-", false, VMM_QEMU },
	{ "qemu-kvm", true, VMM_QEMU },
	{ "kvm", true, VMM_QEMU },
	{ "cloud-hyperviso", false, VMM_CLOUD_HYPERVISOR },
};

static const char *const kind_names[VMM_KINDS] = { "other", "firecracker", "qemu",
	                                           "cloud-hypervisor" };

enum vmm_kind discover_kind(const char *comm)
{
	for (size_t i = 0; i < ARRAY_SIZE(monitors); i++) {
		const char *want = monitors[i].comm;

		if (monitors[i].whole ? strcmp(comm, want) == 0
		                      : strncmp(comm, want, strlen(want)) == 0)
			return monitors[i].kind;
	}
	return VMM_OTHER;
}

const char *discover_kind_name(enum vmm_kind kind)
{
	return kind_names[kind];
}

const char *discover_comm(size_t i)
{
	return i < ARRAY_SIZE(monitors) ? monitors[i].comm : NULL;
}

/* ---- disks ---------------------------------------------------------------------------------- */

static bool set_identity(const char *path, struct vm_disk *disk)
{
	struct stat st;

	if (stat(path, &st) < 0 || (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)))
		return false;
	disk->dev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
	disk->ino = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	return true;
}

/* The monitor may be in a chroot (Firecracker's jailer) or in another mount namespace. */
static void path_in_process(const char *proc, pid_t pid, const char *path, char *dst, size_t cap)
{
	if (path[0] == '/')
		(void)snprintf(dst, cap, "%s/%d/root%s", proc, pid, path);
	else
		(void)snprintf(dst, cap, "%s/%d/cwd/%s", proc, pid, path);
}

void discover_disk_identity(const char *proc, pid_t pid, struct vm_disk *disk)
{
	char path[PROCFS_LINK_CAP + sizeof(disk->path)];

	if (pid > 0) {
		path_in_process(proc, pid, disk->path, path, sizeof(path));
		(void)set_identity(path, disk);
	} else {
		(void)set_identity(disk->path, disk);
	}
}

static void disks_from_shape(const char *proc, const struct vm_shape *shape, struct vm *vm)
{
	for (uint32_t i = 0; i < shape->n_disks; i++) {
		struct vm_disk *d = &vm->disks[vm->n_disks++];

		label_text_copy(d->path, sizeof(d->path), str_from(shape->disks[i].path));
		(void)snprintf(d->guest_name, sizeof(d->guest_name), "%s",
		               shape->disks[i].guest_name);
		/* By the bytes of the path, not by the cleaned copy that people see. */
		struct vm_disk found = { 0 };

		memcpy(found.path, shape->disks[i].path, sizeof(found.path));
		discover_disk_identity(proc, vm->pid, &found);
		d->dev = found.dev;
		d->ino = found.ino;
	}
}

/* ---- descriptors ---------------------------------------------------------------------------- */

struct open_tap {
	int fd;
	char ifname[16];
	bool taken;
};

struct fd_walk {
	const char *proc;
	struct vm *vm;
	bool want_disks;
	struct open_tap taps[VM_TAPS_MAX * 2];
	uint32_t n_taps, n_fds;
};

static void fd_tap(struct fd_walk *w, int fd)
{
	struct open_tap tap = { .fd = fd };

	if (w->n_taps == ARRAY_SIZE(w->taps) ||
	    procfs_fdinfo(w->proc, w->vm->pid, fd, "iff", tap.ifname, sizeof(tap.ifname)) < 0)
		return;
	for (uint32_t i = 0; i < w->n_taps; i++) {
		if (strcmp(w->taps[i].ifname, tap.ifname) == 0)
			return; /* a further queue of the same interface */
	}
	w->taps[w->n_taps++] = tap;
}

/*
 * Logs, metrics and FIFOs of a monitor are opened for appending or without blocking; a disk image
 * is neither, and is made of whole sectors.
 */
static bool looks_like_image(const struct fd_walk *w, int fd, const struct stat *st)
{
	char text[32];
	uint64_t flags = 0;

	if (!S_ISREG(st->st_mode) || st->st_size < IMAGE_BYTES_MIN || st->st_size % 512 != 0 ||
	    procfs_fdinfo(w->proc, w->vm->pid, fd, "flags", text, sizeof(text)) < 0)
		return false;
	for (const char *p = text; *p >= '0' && *p <= '7'; p++)
		flags = flags << 3 | (uint64_t)(*p - '0');
	return (flags & (O_APPEND | O_NONBLOCK)) == 0 && (flags & O_ACCMODE) != O_WRONLY;
}

static bool has_disk(const struct vm *vm, const struct vm_disk *d)
{
	for (uint32_t i = 0; i < vm->n_disks; i++) {
		if (vm->disks[i].dev == d->dev && vm->disks[i].ino == d->ino)
			return true;
	}
	return false;
}

static void fd_disk(struct fd_walk *w, int fd, const char *link)
{
	struct vm_disk d = { 0 };
	struct stat st;
	char path[PROCFS_LINK_CAP];

	if (w->vm->n_disks == VM_DISKS_MAX)
		return;
	(void)snprintf(path, sizeof(path), "%s/%d/fd/%d", w->proc, w->vm->pid, fd);
	if (stat(path, &st) < 0 || !(S_ISBLK(st.st_mode) || looks_like_image(w, fd, &st)))
		return;
	if (!set_identity(path, &d) || has_disk(w->vm, &d))
		return;
	label_text_copy(d.path, sizeof(d.path), str_from(link));
	cmdline_disk_name("vd", w->vm->n_disks, d.guest_name);
	w->vm->disks[w->vm->n_disks++] = d;
}

static int fd_visit(void *ctx, long fd)
{
	struct fd_walk *w = ctx;
	char link[PROCFS_LINK_CAP];

	if (++w->n_fds > FDS_MAX)
		return -ENOSPC;
	if (procfs_fd_link(w->proc, w->vm->pid, (int)fd, link) < 0)
		return 0;
	if (str_starts(str_from(link), STR("anon_inode:kvm-vm")))
		w->vm->kvm = true;
	else if (strcmp(link, "/dev/net/tun") == 0)
		fd_tap(w, (int)fd);
	else if (w->want_disks && link[0] == '/')
		fd_disk(w, (int)fd, link);
	return 0;
}

/* ---- interfaces ----------------------------------------------------------------------------- */

static struct open_tap *tap_of(struct fd_walk *w, const struct shape_nic *nic)
{
	for (uint32_t i = 0; i < w->n_taps; i++) {
		struct open_tap *t = &w->taps[i];

		if (nic->ifname[0] ? strcmp(t->ifname, nic->ifname) == 0 : t->fd == nic->fd)
			return t;
	}
	return NULL;
}

static struct open_tap *free_tap(struct fd_walk *w)
{
	for (uint32_t i = 0; i < w->n_taps; i++) {
		if (!w->taps[i].taken)
			return &w->taps[i];
	}
	return NULL;
}

static void add_tap(struct vm *vm, const char *ifname, uint32_t number)
{
	struct vm_tap *t;

	if (vm->n_taps == VM_TAPS_MAX || ifname[0] == '\0')
		return;
	t = &vm->taps[vm->n_taps++];
	label_text_copy(t->ifname, sizeof(t->ifname), str_from(ifname));
	(void)snprintf(t->guest_name, sizeof(t->guest_name), "eth%u", number);
}

/*
 * First the interfaces that name their tap, then the rest take what is left over in the order of
 * descriptors; a monitor that named none gets all.
 */
static void taps_from_shape(struct fd_walk *w, const struct vm_shape *shape)
{
	const char *names[VM_TAPS_MAX] = { NULL };

	for (uint32_t i = 0; i < shape->n_nics; i++) {
		struct open_tap *t = tap_of(w, &shape->nics[i]);

		if (t)
			t->taken = true;
		names[i] = t ? t->ifname : shape->nics[i].ifname;
	}
	for (uint32_t i = 0; i < shape->n_nics; i++) {
		struct open_tap *t =
			shape->nics[i].is_tap && names[i][0] == '\0' ? free_tap(w) : NULL;

		if (t)
			t->taken = true;
		add_tap(w->vm, t ? t->ifname : names[i], i);
	}
	for (uint32_t i = 0; shape->n_nics == 0 && i < w->n_taps; i++)
		add_tap(w->vm, w->taps[i].ifname, i);
}

/* ---- threads -------------------------------------------------------------------------------- */

struct thread_walk {
	const char *proc;
	struct vm *vm;
	pid_t tids[THREADS_MAX]; /* those without a vCPU's name */
	uint32_t n_tids;
};

/* "CPU 3/KVM", "fc_vcpu 3", "vcpu3": the number behind the prefix, up to the suffix. */
static const struct {
	const char *prefix;
	bool slash; /* "/KVM", "/TCG" follows */
} vcpu_names[] = {
	{ "CPU ", true },
	{ "fc_vcpu ", false },
	{ "vcpu", false },
};

static bool vcpu_number(const char *comm, uint64_t *ret, struct str *ret_suffix)
{
	struct str name = str_from(comm), number;

	for (size_t i = 0; i < ARRAY_SIZE(vcpu_names); i++) {
		struct str prefix = str_from(vcpu_names[i].prefix);

		if (!str_starts(name, prefix))
			continue;
		bool slash = str_cut(str_skip(name, prefix.len), '/', &number, ret_suffix);

		if (slash == vcpu_names[i].slash && num_parse_u64(number, ret) == 0 &&
		    *ret <= UINT16_MAX)
			return true;
	}
	return false;
}

static void add_vcpu(struct vm *vm, pid_t tid, uint64_t cpu_id)
{
	if (vm->n_vcpus < VM_VCPUS_MAX)
		vm->vcpus[vm->n_vcpus++] =
			(struct vm_vcpu){ .tid = tid, .cpu_id = (uint16_t)cpu_id };
}

static int thread_visit(void *ctx, long tid)
{
	struct thread_walk *w = ctx;
	struct str suffix;
	uint64_t cpu_id;
	char comm[64];

	if (procfs_comm(w->proc, w->vm->pid, (pid_t)tid, comm, sizeof(comm)) < 0)
		return 0;
	if (vcpu_number(comm, &cpu_id, &suffix)) {
		add_vcpu(w->vm, (pid_t)tid, cpu_id);
		w->vm->kvm |= str_eqc(suffix, "KVM");
	} else if (strcmp(comm, "ALL CPUs/TCG") == 0) {
		add_vcpu(w->vm, (pid_t)tid, 0);
	} else if (tid != w->vm->pid && w->n_tids < THREADS_MAX &&
	           !str_starts(str_from(comm), STR("kvm-"))) {
		/* kvm-nx-lpage-recovery is a kernel thread in the monitor's thread group. */
		w->tids[w->n_tids++] = (pid_t)tid;
	}
	return 0;
}

/*
 * The unnamed threads that are in ioctl(KVM_RUN), or are for certain not in anything else: a vCPU
 * that happens to be on a CPU shows no system call. Too many of those, and the next look decides.
 */
static uint32_t kvm_threads(struct thread_walk *w, uint32_t want, pid_t *ret)
{
	uint32_t n_sure = 0, n_maybe = 0;
	pid_t maybe[THREADS_MAX];
	uint64_t arg;

	for (uint32_t i = 0; i < w->n_tids; i++) {
		int r = procfs_syscall(w->proc, w->vm->pid, w->tids[i], &arg);

		if (r == 0 && arg == KVM_RUN)
			ret[n_sure++] = w->tids[i];
		if (r == -EAGAIN || (r == 0 && arg == KVM_RUN))
			maybe[n_maybe++] = w->tids[i];
	}
	if (n_sure != want && n_maybe == want)
		memcpy(ret, maybe, want * sizeof(maybe[0]));
	return n_sure == want || n_maybe == want ? want : 0;
}

/*
 * QEMU without debug-threads=on. Under KVM the kernel tells who runs guest code. Under TCG only the
 * order of creation does: RCU thread, I/O threads, vCPUs (seen with QEMU 7.2).
 */
static void guess_vcpus(struct thread_walk *w, uint32_t n_iothreads)
{
	uint32_t want = w->vm->n_vcpus_spec, first = 1 + n_iothreads, n;
	pid_t tids[THREADS_MAX];

	if (want == 0 || w->n_tids < want + first)
		return;
	n = w->vm->kvm ? kvm_threads(w, want, tids) : 0;
	for (uint32_t i = 0; i < n; i++)
		add_vcpu(w->vm, tids[i], i);
	for (uint32_t i = 0; !w->vm->kvm && i < want; i++)
		add_vcpu(w->vm, w->tids[first + i], i);
}

static int find_vcpus(const char *proc, struct vm *vm, uint32_t n_iothreads)
{
	struct thread_walk w = { .proc = proc, .vm = vm };
	int r;

	vm->n_vcpus = 0;
	r = procfs_each_thread(proc, vm->pid, thread_visit, &w);
	if (r < 0)
		return r == -ENOMEM ? r : -ESRCH;
	if (vm->n_vcpus == 0 && vm->vmm == VMM_QEMU)
		guess_vcpus(&w, n_iothreads);
	return 0;
}

bool discover_settled(const struct vm *vm)
{
	uint32_t want = MIN(vm->n_vcpus_spec, (uint32_t)VM_VCPUS_MAX);

	return vm->n_vcpus > 0 && vm->n_vcpus >= want;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void read_config_file(const char *proc, pid_t pid, struct vm_shape *shape)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PROCFS_LINK_CAP + sizeof(shape->config_file)];

	if (shape->config_file[0] == '\0')
		return;
	path_in_process(proc, pid, shape->config_file, path, sizeof(path));
	/* In a jail the VM's owner may have put a FIFO there. */
	if (file_read_regular_at(AT_FDCWD, path, &text, CONFIG_BYTES_MAX) == 0)
		(void)cmdline_firecracker_config(buf_str(&text), shape);
}

static int read_shape(const char *proc, const struct vm *vm, struct vm_shape *shape)
{
	_cleanup_(buf_done) struct buf args = BUF_INIT;
	int r = procfs_cmdline(proc, vm->pid, &args);

	if (r < 0)
		return r == -ENOMEM ? r : -ESRCH;
	r = cmdline_parse(vm->vmm, buf_str(&args), shape);
	if (r == 0)
		read_config_file(proc, vm->pid, shape);
	return r;
}

static int begin(const char *proc, pid_t pid, struct vm *vm)
{
	struct proc_stat st;
	int r = procfs_stat(proc, pid, &st);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || st.state == 'Z' || st.state == 'X')
		return -ESRCH;
	vm->pid = pid;
	vm->start_ticks = st.start_ticks;
	vm->vmm = discover_kind(st.comm);
	vm->kvm = false;
	vm->n_taps = vm->n_disks = vm->n_vcpus = 0;
	return 0;
}

int discover_process(const char *proc, pid_t pid, struct vm *vm, char name[VM_LABEL_CAP])
{
	struct vm_shape shape;
	int r = begin(proc, pid, vm);

	if (r == 0)
		r = read_shape(proc, vm, &shape);
	if (r < 0)
		return r;
	struct fd_walk w = { .proc = proc, .vm = vm, .want_disks = shape.n_disks == 0 };

	vm->n_vcpus_spec = shape.n_vcpus;
	vm->memory_bytes = shape.memory_bytes;
	disks_from_shape(proc, &shape, vm);
	(void)procfs_each_fd(proc, pid, fd_visit, &w); /* not ours to read: say what we know */
	taps_from_shape(&w, &shape);
	memcpy(name, shape.name, VM_LABEL_CAP);
	return find_vcpus(proc, vm, shape.n_iothreads);
}
