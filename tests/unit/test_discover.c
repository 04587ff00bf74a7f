/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM from its monitor's process, and the reading of /proc below that: trees of the test's own. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "tests/unit/fakeproc.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/discover.h"
#include "userspace/host/procfs.h"

#define PID      (FAKE_PID + 1)
#define KVM_RUN  "16 0xb 0xae80 0x0 0x0 0x0 0x0 0x7ffd0 0x7f00"
#define FUTEX    "202 0x7f0 0x80 0x0 0x0 0x0 0x0 0x7ffd0 0x7f00"
#define DISK_RDW "pos:\t0\nflags:\t02100002\n"

static struct vm found(const struct fakeproc *p, const char *expected_name)
{
	char name[VM_LABEL_CAP];
	struct vm vm;

	memset(&vm, 0, sizeof(vm));
	assert_int_equal(0, discover_process(p->proc, PID, &vm, name));
	assert_string_equal(expected_name, name);
	assert_int_equal(PID, vm.pid);
	assert_int_equal(1000, vm.start_ticks);
	return vm;
}

static void assert_vcpus(const struct vm *vm, bool kvm, uint32_t n, const int *tids)
{
	assert_int_equal(kvm, vm->kvm);
	assert_int_equal(n, vm->n_vcpus);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(tids[i], vm->vcpus[i].tid);
		assert_int_equal(i, vm->vcpus[i].cpu_id);
	}
}

#define ASSERT_VCPUS(vm, kvm, ...)                                            \
	assert_vcpus((vm), (kvm), ARRAY_SIZE(((const int[]){ __VA_ARGS__ })), \
	             (const int[]){ __VA_ARGS__ })

static void assert_tap(const struct vm *vm, uint32_t i, const char *guest, const char *ifname)
{
	assert_true(i < vm->n_taps);
	assert_string_equal(guest, vm->taps[i].guest_name);
	assert_string_equal(ifname, vm->taps[i].ifname);
}

static void assert_image(const struct vm *vm, uint32_t i, const char *guest, ino_t ino)
{
	assert_true(i < vm->n_disks);
	assert_string_equal(guest, vm->disks[i].guest_name);
	assert_int_equal(0, vm->disks[i].dev);
	assert_int_equal(ino, vm->disks[i].ino);
}

/* ---- monitors ------------------------------------------------------------------------------- */

static void test_kinds(void **state)
{
	static const struct {
		const char *comm;
		enum vmm_kind kind;
	} cases[] = {
		{ "firecracker", VMM_FIRECRACKER },
		{ "firecracker2", VMM_OTHER },
		{ "qemu-system-x86", VMM_QEMU },
		{ "qemu-system-", VMM_QEMU },
		{ "qemu-img", VMM_OTHER },
		{ "qemu-kvm", VMM_QEMU },
		{ "kvm", VMM_QEMU },
		{ "kvm-nx-lpage-re", VMM_OTHER },
		{ "cloud-hyperviso", VMM_CLOUD_HYPERVISOR },
		{ "cloud-init", VMM_OTHER },
		{ "", VMM_OTHER },
	};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(cases[i].kind, discover_kind(cases[i].comm));
	for (; discover_comm(n); n++)
		assert_int_not_equal(VMM_OTHER, discover_kind(discover_comm(n)));
	assert_true(n >= 3);
	assert_string_equal("other", discover_kind_name(VMM_OTHER));
	assert_string_equal("firecracker", discover_kind_name(VMM_FIRECRACKER));
	assert_string_equal("qemu", discover_kind_name(VMM_QEMU));
	assert_string_equal("cloud-hypervisor", discover_kind_name(VMM_CLOUD_HYPERVISOR));
}

/* ---- threads -------------------------------------------------------------------------------- */

static void test_qemu_named_threads(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "qemu-system-x86",
	                 "qemu -name guest=web,debug-threads=on -smp 2 -m 1G");
	fakeproc_thread(&p, PID, PID + 1, "call_rcu");
	fakeproc_thread(&p, PID, PID + 2, "IO mon_iothread");
	fakeproc_thread(&p, PID, PID + 3, "CPU 0/KVM");
	fakeproc_thread(&p, PID, PID + 4, "CPU 1/KVM");
	struct vm vm = found(&p, "web");

	assert_int_equal(VMM_QEMU, vm.vmm);
	assert_int_equal(2, vm.n_vcpus_spec);
	assert_int_equal(1ull << 30, vm.memory_bytes);
	ASSERT_VCPUS(&vm, true, PID + 3, PID + 4);
	assert_true(discover_settled(&vm));
}

static void test_qemu_tcg_threads(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "qemu-system-x86", "qemu -smp 2");
	fakeproc_thread(&p, PID, PID + 1, "CPU 0/TCG");
	struct vm vm = found(&p, "");

	ASSERT_VCPUS(&vm, false, PID + 1);
	assert_false(discover_settled(&vm)); /* the other is not there yet */
	fakeproc_write(&p, PID, "task/5000002/comm", "ALL CPUs/TCG\n");
	vm = found(&p, "");
	ASSERT_VCPUS(&vm, false, PID + 1);
}

/* Without names the kernel tells who is in ioctl(KVM_RUN); who runs says nothing. */
static void test_qemu_unnamed_kvm_threads(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "qemu-system-x86", "qemu -smp 2");
	fakeproc_fd(&p, PID, 9, "anon_inode:kvm-vm", NULL);
	for (int i = 1; i <= 4; i++)
		fakeproc_thread(&p, PID, PID + i, "qemu-system-x86");
	fakeproc_thread(&p, PID, PID + 5, "kvm-nx-lpage-recovery-5000001");
	fakeproc_syscall(&p, PID, PID + 1, FUTEX);
	fakeproc_syscall(&p, PID, PID + 2, FUTEX);
	fakeproc_syscall(&p, PID, PID + 3, KVM_RUN);
	fakeproc_syscall(&p, PID, PID + 4, KVM_RUN);
	struct vm vm = found(&p, "");

	ASSERT_VCPUS(&vm, true, PID + 3, PID + 4);
	/* One of them is on a CPU at this moment. */
	fakeproc_syscall(&p, PID, PID + 4, "running");
	vm = found(&p, "");
	ASSERT_VCPUS(&vm, true, PID + 3, PID + 4);
	/* So is a worker: no telling, until the next look. */
	fakeproc_syscall(&p, PID, PID + 2, "running");
	vm = found(&p, "");
	assert_int_equal(0, vm.n_vcpus);
	assert_true(vm.kvm);
	assert_false(discover_settled(&vm));
	fakeproc_syscall(&p, PID, PID + 4, KVM_RUN);
	vm = found(&p, "");
	ASSERT_VCPUS(&vm, true, PID + 3, PID + 4);
	/* Threads that are about to end or are in the kernel without a call are none. */
	fakeproc_syscall(&p, PID, PID + 2, "-1 0x7ffd0 0x7f00");
	vm = found(&p, "");
	ASSERT_VCPUS(&vm, true, PID + 3, PID + 4);
}

/* Under TCG only the order of creation tells: RCU, I/O threads, vCPUs. */
static void test_qemu_unnamed_tcg_threads(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "qemu-system-x86", "qemu -smp 2 -object iothread,id=i0");
	for (int i = 1; i <= 3; i++)
		fakeproc_thread(&p, PID, PID + i, "qemu-system-x86");
	struct vm vm = found(&p, "");

	assert_int_equal(0, vm.n_vcpus); /* the second is still to come */
	fakeproc_thread(&p, PID, PID + 4, "qemu-system-x86");
	fakeproc_thread(&p, PID, PID + 5, "qemu-system-x86");
	vm = found(&p, "");
	ASSERT_VCPUS(&vm, false, PID + 3, PID + 4);
}

static void test_names_of_other_threads(void **state)
{
	static const char *const names[] = { "CPU 0",         "CPU /KVM", "CPU x/KVM", "vcpu",
		                             "vcpux",         "vcpu1/",   "fc_vcpu",   "fc_vcpu ",
		                             "fc_vcpu 99999", "xvcpu0",   "fc_api" };
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --id a");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fakeproc_thread(&p, PID, PID + 1 + (int)i, names[i]);
	struct vm vm = found(&p, "a");

	assert_int_equal(0, vm.n_vcpus);
}

static void test_settled(void **state)
{
	struct vm vm = { .n_vcpus = 0, .n_vcpus_spec = 0 };

	(void)state;
	assert_false(discover_settled(&vm));
	vm.n_vcpus = 1;
	assert_true(discover_settled(&vm));
	vm.n_vcpus_spec = 2;
	assert_false(discover_settled(&vm));
	vm.n_vcpus = VM_VCPUS_MAX;
	vm.n_vcpus_spec = 1000; /* more than there is room for */
	assert_true(discover_settled(&vm));
}

static void test_too_many_threads(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char comm[32];

	(void)state;
	fakeproc_process(&p, PID, "cloud-hyperviso", "cloud-hypervisor --cpus boot=300");
	for (int i = 0; i < VM_VCPUS_MAX + 10; i++) {
		(void)snprintf(comm, sizeof(comm), "vcpu%d", i);
		fakeproc_thread(&p, PID, PID + 1 + i, comm);
	}
	struct vm vm = found(&p, "");

	assert_int_equal(VM_VCPUS_MAX, vm.n_vcpus);
	assert_int_equal(VM_VCPUS_MAX - 1, vm.vcpus[VM_VCPUS_MAX - 1].cpu_id);
	assert_int_equal(PID + VM_VCPUS_MAX, vm.vcpus[VM_VCPUS_MAX - 1].tid);
	assert_true(discover_settled(&vm));
}

/* ---- taps ----------------------------------------------------------------------------------- */

/* What names its tap gets it; the rest take what is left over, in the order of descriptors. */
static void test_taps_of_qemu(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	fakeproc_process(&p, PID, "qemu-system-x86",
	                 "qemu -nic tap -nic user -nic tap,ifname=tb -nic tap,fd=12 -nic tap "
	                 "-nic tap,ifname=missing -nic tap");
	fakeproc_tap(&p, PID, 10, "ta");
	fakeproc_tap(&p, PID, 11, "tb");
	fakeproc_tap(&p, PID, 12, "tc");
	fakeproc_tap(&p, PID, 13, "ta"); /* a second queue */
	fakeproc_tap(&p, PID, 20, "td");
	fakeproc_fd(&p, PID, 21, "/dev/net/tun", "pos:\t0\nflags:\t02\n"); /* not yet bound */
	fakeproc_fd(&p, PID, 22, "/dev/net/tun", NULL);
	struct vm vm = found(&p, "");

	assert_int_equal(5, vm.n_taps);
	assert_tap(&vm, 0, "eth0", "ta");
	assert_tap(&vm, 1, "eth2", "tb"); /* eth1 is no tap, but took its number */
	assert_tap(&vm, 2, "eth3", "tc");
	assert_tap(&vm, 3, "eth4", "td");
	assert_tap(&vm, 4, "eth5", "missing");
}

static void test_taps_of_a_silent_monitor(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char ifname[16];

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --api-sock /run/fc/x.sock");
	for (int i = 0; i < VM_TAPS_MAX * 2 + 5; i++) {
		(void)snprintf(ifname, sizeof(ifname), "tap%d", i);
		fakeproc_tap(&p, PID, 10 + i, ifname);
	}
	struct vm vm = found(&p, "x");

	assert_int_equal(VM_TAPS_MAX, vm.n_taps);
	assert_tap(&vm, 0, "eth0", "tap0");
	assert_tap(&vm, VM_TAPS_MAX - 1, "eth15", "tap15");
}

/* ---- disks ---------------------------------------------------------------------------------- */

static void test_disks_of_the_command_line(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	ino_t a = fakeproc_image(&p, "a.img", 1 << 20);
	char args[512];

	(void)state;
	(void)snprintf(args, sizeof(args),
	               "qemu -drive file=%s/a.img,if=virtio -drive file=a.img,if=virtio "
	               "-drive file=/none,if=virtio",
	               p.files);
	fakeproc_process(&p, PID, "qemu-system-x86", args);
	struct vm vm = found(&p, "");

	assert_int_equal(3, vm.n_disks);
	assert_image(&vm, 0, "vda", a);
	assert_image(&vm, 1, "vdb", a); /* relative to the monitor's folder, not to ours */
	assert_image(&vm, 2, "vdc", 0);
	assert_string_equal("a.img", vm.disks[1].path);
	assert_string_equal("/none", vm.disks[2].path);
}

/* The jailer: the monitor's root is a folder, and so are the paths of its configuration. */
static void test_firecracker_in_a_jail(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	ino_t root = fakeproc_image(&p, "root.ext4", 1 << 20),
	      data = fakeproc_image(&p, "data", 1 << 20);
	char path[128];

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --id jailed --config-file /vm.json");
	fakeproc_link(&p, PID, "root", p.files);
	(void)snprintf(path, sizeof(path), "%s/vm.json", p.files);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)fputs("{\"drives\": [{\"path_on_host\": \"/data\"}, {\"path_on_host\": "
	            "\"/root.ext4\", \"is_root_device\": true}], \"machine-config\": "
	            "{\"vcpu_count\": 1, \"mem_size_mib\": 128}, \"network-interfaces\": "
	            "[{\"host_dev_name\": \"tap7\"}]}",
	            f);
	assert_int_equal(0, fclose(f));
	fakeproc_fd(&p, PID, 8, "anon_inode:kvm-vm", NULL);
	fakeproc_tap(&p, PID, 9, "tap7");
	fakeproc_thread(&p, PID, PID + 1, "fc_api");
	fakeproc_thread(&p, PID, PID + 2, "fc_vcpu 0");
	struct vm vm = found(&p, "jailed");

	assert_int_equal(VMM_FIRECRACKER, vm.vmm);
	assert_int_equal(128 << 20, vm.memory_bytes);
	assert_int_equal(1, vm.n_vcpus_spec);
	ASSERT_VCPUS(&vm, true, PID + 2);
	assert_int_equal(2, vm.n_disks);
	assert_image(&vm, 0, "vda", root);
	assert_image(&vm, 1, "vdb", data);
	assert_int_equal(1, vm.n_taps);
	assert_tap(&vm, 0, "eth0", "tap7");
}

/* In its jail a monitor that was taken over can put anything where its configuration was. */
static void test_configuration_of_an_enemy(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char path[128];

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --id a --config-file vm.json");
	(void)snprintf(path, sizeof(path), "%s/vm.json", p.files);
	(void)alarm(20); /* instead of waiting for a writer for ever */
	assert_int_equal(0, mkfifo(path, 0600));
	(void)found(&p, "a");
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, symlink("/dev/zero", path));
	(void)found(&p, "a");
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, mkdir(path, 0700));
	(void)found(&p, "a");
	assert_int_equal(0, rmdir(path));
	(void)fakeproc_image(&p, "vm.json", 1ll << 32); /* 4 GiB of zeros */
	(void)found(&p, "a");
	(void)alarm(0);
}

/* Configured by its API, a monitor names no disk: what it has open tells. */
static void test_disks_by_descriptors(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	static const struct {
		const char *name;
		off_t bytes;
		const char *info;
		const char *guest; /* NULL: no disk */
	} files[] = {
		{ "root.ext4", 1 << 20, DISK_RDW, "vda" },
		{ "log", 1 << 20, "flags:\t0102001\n", NULL },      /* appended to */
		{ "metrics", 1 << 20, "flags:\t02004002\n", NULL }, /* does not block */
		{ "console", 1 << 20, "flags:\t02000001\n", NULL }, /* only written */
		{ "small", 65535, DISK_RDW, NULL },
		{ "odd", (1 << 20) + 1, DISK_RDW, NULL }, /* no whole sectors */
		{ "ro.squashfs", 65536, "flags:\t02000000\n", "vdb" },
		{ "no-info", 1 << 20, NULL, NULL },
	};
	char target[256];
	uint32_t n = 0;

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --id api");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)fakeproc_image(&p, files[i].name, files[i].bytes);
		(void)snprintf(target, sizeof(target), "%s/%s", p.files, files[i].name);
		fakeproc_fd(&p, PID, 10 + (int)i, target, files[i].info);
	}
	(void)snprintf(target, sizeof(target), "%s/root.ext4", p.files);
	fakeproc_fd(&p, PID, 30, target, DISK_RDW); /* opened twice: one disk */
	fakeproc_fd(&p, PID, 31, "/dev/null", DISK_RDW);
	fakeproc_fd(&p, PID, 32, "socket:[1]", NULL);
	fakeproc_fd(&p, PID, 33, "/dev/kvm", DISK_RDW);
	struct vm vm = found(&p, "api");

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!files[i].guest)
			continue;
		(void)snprintf(target, sizeof(target), "%s/%s", p.files, files[i].name);
		assert_image(&vm, n, files[i].guest,
		             fakeproc_image(&p, files[i].name, files[i].bytes));
		assert_string_equal(target, vm.disks[n++].path);
	}
	assert_int_equal(n, vm.n_disks);
}

static void test_disks_and_descriptors_of_an_enemy(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char target[256], name[64];

	(void)state;
	fakeproc_process(&p, PID, "firecracker", "firecracker --id many");
	for (int i = 0; i < VM_DISKS_MAX + 8; i++) {
		(void)snprintf(name, sizeof(name), "d%d\n\xff", i);
		(void)fakeproc_image(&p, name, 1 << 20);
		(void)snprintf(target, sizeof(target), "%s/%s", p.files, name);
		fakeproc_fd(&p, PID, 10 + i, target, DISK_RDW);
	}
	struct vm vm = found(&p, "many");

	assert_int_equal(VM_DISKS_MAX, vm.n_disks);
	assert_string_equal("vdaf", vm.disks[31].guest_name);
	assert_non_null(strstr(vm.disks[0].path, "d0\xef\xbf\xbd\xef\xbf\xbd"));
}

static void test_block_device(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	struct vm_disk d = { 0 };
	char target[256];

	(void)state;
	(void)snprintf(target, sizeof(target), "%s/blk", p.files);
	if (mknod(target, S_IFBLK | 0600, makedev(7, 200)) < 0) {
		print_message("    no block devices here: %s\n", strerror(errno));
		skip();
	}
	fakeproc_process(&p, PID, "firecracker", "firecracker --id a");
	fakeproc_fd(&p, PID, 10, target, NULL);
	struct vm vm = found(&p, "a");

	assert_int_equal(1, vm.n_disks);
	assert_int_equal(makedev(7, 200), vm.disks[0].dev);
	assert_int_equal(0, vm.disks[0].ino);
	(void)snprintf(d.path, sizeof(d.path), "%s", target);
	discover_disk_identity(p.proc, 0, &d);
	assert_int_equal(makedev(7, 200), d.dev);
	(void)snprintf(d.path, sizeof(d.path), "blk");
	d.dev = 0;
	discover_disk_identity(p.proc, PID, &d);
	assert_int_equal(makedev(7, 200), d.dev);
}

/* ---- processes that are none ---------------------------------------------------------------- */

static void assert_none(const struct fakeproc *p, pid_t pid)
{
	char name[VM_LABEL_CAP];
	struct vm vm = { 0 };

	assert_int_equal(-ESRCH, discover_process(p->proc, pid, &vm, name));
}

static void test_no_process(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();

	(void)state;
	assert_none(&p, PID);
	fakeproc_process(&p, PID, "firecracker", "firecracker --id a");
	(void)found(&p, "a");
	fakeproc_stat(&p, PID, "firecracker", 'Z', 1000);
	assert_none(&p, PID);
	fakeproc_stat(&p, PID, "firecracker", 'X', 1000);
	assert_none(&p, PID);
	fakeproc_write(&p, PID, "stat", "garbage");
	assert_none(&p, PID);
	fakeproc_write(&p, PID, "stat", "%s", "");
	assert_none(&p, PID);
	fakeproc_stat(&p, PID, "firecracker", 'S', 1000);
	fakeproc_end(&p, PID);
	assert_none(&p, PID);
}

/* What a former look found is not there any more: nothing of it stays. */
static void test_second_look(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char name[VM_LABEL_CAP];
	struct vm vm = {
		.id = 7, .org = "o", .n_taps = 3, .n_disks = 3, .n_vcpus = 3, .kvm = true
	};

	(void)state;
	fakeproc_process(&p, PID, "worker", "worker");
	assert_int_equal(0, discover_process(p.proc, PID, &vm, name));
	assert_int_equal(0, vm.n_taps + vm.n_disks + vm.n_vcpus);
	assert_false(vm.kvm);
	assert_int_equal(VMM_OTHER, vm.vmm);
	assert_int_equal(7, vm.id); /* labels and number are not its business */
	assert_string_equal("o", vm.org);
}

/* ---- /proc ---------------------------------------------------------------------------------- */

static void test_stat_lines(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	struct proc_stat st;

	(void)state;
	fakeproc_process(&p, PID, "a", "a");
	fakeproc_stat(&p, PID, ") S (x) Z (", 'R', 18446744073709551615ull);
	assert_int_equal(0, procfs_stat(p.proc, PID, &st));
	assert_string_equal(") S (x) Z (", st.comm);
	assert_int_equal('R', st.state);
	assert_true(st.start_ticks == UINT64_MAX);
	assert_int_equal(3, st.n_threads);
	fakeproc_write(&p, PID, "stat", "1 (a) S 1 1");
	assert_int_equal(-EBADMSG, procfs_stat(p.proc, PID, &st));
	fakeproc_write(&p, PID, "stat", "1 )a( S 1 1");
	assert_int_equal(-EBADMSG, procfs_stat(p.proc, PID, &st));
	fakeproc_write(&p, PID, "stat",
	               "1 (a) SS 1 1 1 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 3 0 1 1000 10");
	assert_int_equal(-EBADMSG, procfs_stat(p.proc, PID, &st));
	fakeproc_write(&p, PID, "stat",
	               "1 (a) S 1 1 1 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 x 0 1 1000 10");
	assert_int_equal(-EBADMSG, procfs_stat(p.proc, PID, &st));
	assert_int_equal(-ENOENT, procfs_stat(p.proc, PID + 1, &st));
}

static void test_stat_of_this_process(void **state)
{
	_cleanup_(buf_done) struct buf args = BUF_INIT;
	struct proc_stat st;
	char comm[16];

	(void)state;
	assert_int_equal(0, procfs_stat("/proc", getpid(), &st));
	assert_int_equal('R', st.state);
	assert_true(st.start_ticks > 0 && st.n_threads >= 1);
	assert_int_equal(0, procfs_comm("/proc", getpid(), 0, comm, sizeof(comm)));
	assert_string_equal(comm, st.comm);
	assert_int_equal(0, procfs_comm("/proc", getpid(), getpid(), comm, sizeof(comm)));
	assert_string_equal(comm, st.comm);
	assert_int_equal(0, procfs_cmdline("/proc", getpid(), &args));
	assert_non_null(strstr(args.p, "test_discover"));
	assert_int_equal('\0', args.p[args.len - 1]);
}

static void test_long_command_line(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	_cleanup_(buf_done) struct buf args = BUF_INIT;
	_cleanup_free_ char *big = malloc(300000);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 300000);
	big[299999] = '\0';
	fakeproc_process(&p, PID, "a", "a");
	fakeproc_write(&p, PID, "cmdline", "%s", big);
	buf_puts(&args, "what was there before");
	assert_int_equal(0, procfs_cmdline(p.proc, PID, &args));
	assert_int_equal(PROCFS_CMDLINE_BYTES_MAX + 1, args.len);
	assert_int_equal('\0', args.p[args.len - 1]);
	fakeproc_write(&p, PID, "cmdline", "%s", ""); /* a kernel thread */
	assert_int_equal(0, procfs_cmdline(p.proc, PID, &args));
	assert_int_equal(0, args.len);
	assert_int_equal(-ENOENT, procfs_cmdline(p.proc, PID + 1, &args));
}

struct numbers {
	long v[16];
	size_t n, stop_at;
};

static int collect(void *ctx, long number)
{
	struct numbers *l = ctx;

	assert_true(l->n < ARRAY_SIZE(l->v));
	l->v[l->n++] = number;
	return l->n == l->stop_at ? -ECANCELED : 0;
}

static void test_numbers_ascend(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	static const int pids[] = { 300, 2, 10, 1, 5000000 };
	struct numbers l = { .n = 0 };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		fakeproc_mkdir(&p, pids[i], "");
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", p.proc,
		               (const char *const[]){ "self", "12x", "99999999999" }[i]);
		assert_int_equal(0, mkdir(path, 0755));
	}
	assert_int_equal(0, procfs_each_pid(p.proc, collect, &l));
	assert_int_equal(5, l.n);
	assert_true(l.v[0] == 1 && l.v[1] == 2 && l.v[2] == 10 && l.v[3] == 300 &&
	            l.v[4] == 5000000);
	l = (struct numbers){ .stop_at = 2 };
	assert_int_equal(-ECANCELED, procfs_each_pid(p.proc, collect, &l));
	assert_int_equal(2, l.n);
	assert_int_equal(-ENOENT, procfs_each_thread(p.proc, 42, collect, &l));
	assert_int_equal(-ENOENT, procfs_each_fd(p.proc, 42, collect, &l));
}

static void test_descriptors_and_calls(void **state)
{
	_cleanup_(fakeproc_done) struct fakeproc p = fakeproc_make();
	char text[16], link[PROCFS_LINK_CAP];
	uint64_t arg = 0;

	(void)state;
	fakeproc_process(&p, PID, "a", "a");
	fakeproc_fd(&p, PID, 3, "/dev/net/tun", "pos:\t0\nxiff: no\niff:\t tap0 \nlast");
	assert_int_equal(0, procfs_fd_link(p.proc, PID, 3, link));
	assert_string_equal("/dev/net/tun", link);
	assert_int_equal(-ENOENT, procfs_fd_link(p.proc, PID, 4, link));
	assert_int_equal(0, procfs_fdinfo(p.proc, PID, 3, "iff", text, sizeof(text)));
	assert_string_equal("tap0", text);
	assert_int_equal(0, procfs_fdinfo(p.proc, PID, 3, "iff", text, 3)); /* cut */
	assert_string_equal("ta", text);
	assert_int_equal(-ENOENT, procfs_fdinfo(p.proc, PID, 3, "last", text, sizeof(text)));
	assert_int_equal(-ENOENT, procfs_fdinfo(p.proc, PID, 4, "iff", text, sizeof(text)));
	fakeproc_syscall(&p, PID, PID, KVM_RUN);
	assert_int_equal(0, procfs_syscall(p.proc, PID, PID, &arg));
	assert_int_equal(0xae80, arg);
	fakeproc_syscall(&p, PID, PID, "1 0x1 0xffffffffffffffff 0x0");
	assert_int_equal(0, procfs_syscall(p.proc, PID, PID, &arg));
	assert_true(arg == UINT64_MAX);
	fakeproc_syscall(&p, PID, PID, "running");
	assert_int_equal(-EAGAIN, procfs_syscall(p.proc, PID, PID, &arg));
	fakeproc_syscall(&p, PID, PID, "-1 0x1 0x2");
	assert_int_equal(-EBADMSG, procfs_syscall(p.proc, PID, PID, &arg));
	fakeproc_syscall(&p, PID, PID, "1 2 3 4");
	assert_int_equal(-EBADMSG, procfs_syscall(p.proc, PID, PID, &arg));
	fakeproc_syscall(&p, PID, PID, "1 0x1 0xg 0x3");
	assert_int_equal(-EBADMSG, procfs_syscall(p.proc, PID, PID, &arg));
	assert_int_equal(-ENOENT, procfs_syscall(p.proc, PID, PID + 1, &arg));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_qemu_named_threads),
		cmocka_unit_test(test_qemu_tcg_threads),
		cmocka_unit_test(test_qemu_unnamed_kvm_threads),
		cmocka_unit_test(test_qemu_unnamed_tcg_threads),
		cmocka_unit_test(test_names_of_other_threads),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_too_many_threads),
		cmocka_unit_test(test_taps_of_qemu),
		cmocka_unit_test(test_taps_of_a_silent_monitor),
		cmocka_unit_test(test_disks_of_the_command_line),
		cmocka_unit_test(test_firecracker_in_a_jail),
		cmocka_unit_test(test_configuration_of_an_enemy),
		cmocka_unit_test(test_disks_by_descriptors),
		cmocka_unit_test(test_disks_and_descriptors_of_an_enemy),
		cmocka_unit_test(test_block_device),
		cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_second_look),
		cmocka_unit_test(test_stat_lines),
		cmocka_unit_test(test_stat_of_this_process),
		cmocka_unit_test(test_long_command_line),
		cmocka_unit_test(test_numbers_ascend),
		cmocka_unit_test(test_descriptors_and_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
