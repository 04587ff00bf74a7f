/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines as monitors are really started, and as nobody should start them. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/cmdline.h"

static struct vm_shape parse_args(enum vmm_kind kind, const char *const *args)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct vm_shape shape;

	for (; *args; args++)
		buf_put(&text, *args, strlen(*args) + 1);
	struct str exact = unit_strdup(buf_str(&text));

	memset(&shape, 0xaa, sizeof(shape));
	assert_int_equal(0, cmdline_parse(kind, exact, &shape));
	free((void *)(uintptr_t)exact.p);
	return shape;
}

#define QEMU(...)            \
	parse_args(VMM_QEMU, \
	           (const char *const[]){ "/usr/bin/qemu-system-x86_64", ##__VA_ARGS__, NULL })
#define FIRECRACKER(...) \
	parse_args(VMM_FIRECRACKER, (const char *const[]){ "firecracker", ##__VA_ARGS__, NULL })
#define CLOUD(...)                       \
	parse_args(VMM_CLOUD_HYPERVISOR, \
	           (const char *const[]){ "./cloud-hypervisor", ##__VA_ARGS__, NULL })

static void assert_disk(const struct vm_shape *s, uint32_t i, const char *guest, const char *path)
{
	assert_true(i < s->n_disks);
	assert_string_equal(guest, s->disks[i].guest_name);
	assert_string_equal(path, s->disks[i].path);
}

static void assert_nic(const struct vm_shape *s, uint32_t i, const char *ifname, int fd, bool tap)
{
	assert_true(i < s->n_nics);
	assert_string_equal(ifname, s->nics[i].ifname);
	assert_int_equal(fd, s->nics[i].fd);
	assert_int_equal(tap, s->nics[i].is_tap);
}

static void assert_size(const struct vm_shape *s, uint32_t vcpus, uint64_t mib)
{
	assert_int_equal(vcpus, s->n_vcpus);
	assert_int_equal(mib << 20, s->memory_bytes);
}

/* ---- names of disks ------------------------------------------------------------------------- */

static void test_disk_names(void **state)
{
	static const struct {
		uint32_t index;
		const char *name;
	} cases[] = {
		{ 0, "vda" },     { 1, "vdb" },       { 25, "vdz" },       { 26, "vdaa" },
		{ 27, "vdab" },   { 51, "vdaz" },     { 52, "vdba" },      { 701, "vdzz" },
		{ 702, "vdaaa" }, { 18277, "vdzzz" }, { 18278, "vdaaaa" },
	};
	char name[VM_DEVICE_CAP];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cmdline_disk_name("vd", cases[i].index, name);
		assert_string_equal(cases[i].name, name);
	}
	cmdline_disk_name("sd", UINT32_MAX - 1, name); /* long, but it ends */
	assert_true(strlen(name) < VM_DEVICE_CAP);
}

/* ---- QEMU ----------------------------------------------------------------------------------- */

static void test_qemu_microvm(void **state)
{
	struct vm_shape s =
		QEMU("-M", "microvm,x-option-roms=off,rtc=off,pit=off,pic=off", "-enable-kvm",
	             "-cpu", "host", "-m", "256", "-smp", "2", "-name",
	             "guest=demo,debug-threads=on", "-nodefaults", "-no-user-config", "-nographic",
	             "-serial", "stdio", "-kernel", "/boot/vmlinuz", "-append",
	             "console=ttyS0 root=/dev/vda -drive file=/etc/shadow,if=virtio", "-drive",
	             "id=root,file=/srv/root.img,format=raw,if=none", "-device",
	             "virtio-blk-device,drive=root", "-netdev",
	             "tap,id=n0,ifname=tap0,script=no,downscript=no", "-device",
	             "virtio-net-device,netdev=n0,mac=52:54:00:12:34:56");

	(void)state;
	assert_string_equal("demo", s.name);
	assert_size(&s, 2, 256);
	assert_int_equal(1, s.n_disks);
	assert_disk(&s, 0, "vda", "/srv/root.img");
	assert_int_equal(1, s.n_nics);
	assert_nic(&s, 0, "tap0", -1, true);
	assert_int_equal(0, s.n_iothreads);
	assert_string_equal("", s.config_file);
}

static void test_qemu_pc_with_short_options(void **state)
{
	struct vm_shape s =
		QEMU("-hda", "disk.qcow2", "-hdb", "/srv/b,c.img", "-cdrom", "boot.iso", "-drive",
	             "file=/srv/d.iso,media=cdrom", "-drive", "file=/srv/ide.img,format=raw",
	             "-drive", "file=/srv/v.img,if=virtio", "-nic", "user", "-nic",
	             "tap,ifname=t1,model=virtio", "-nic", "none", "-m", "2G");

	(void)state;
	assert_string_equal("", s.name);
	assert_size(&s, 1, 2048);
	assert_int_equal(4, s.n_disks);
	assert_disk(&s, 0, "sda", "disk.qcow2");
	assert_disk(&s, 1, "sdb", "/srv/b,c.img");
	assert_disk(&s, 2, "sdc", "/srv/ide.img");
	assert_disk(&s, 3, "vda", "/srv/v.img");
	assert_int_equal(2, s.n_nics);
	assert_nic(&s, 0, "", -1, false);
	assert_nic(&s, 1, "t1", -1, true);
}

/* A -drive if=virtio becomes a -device behind all others; a -device may name a later -drive. */
static void test_qemu_order_of_disks(void **state)
{
	struct vm_shape s =
		QEMU("-machine", "q35,accel=kvm", "-drive", "if=virtio,file=/late", "-device",
	             "virtio-blk-pci,drive=a", "-device", "vhost-user-blk-pci,chardev=c0",
	             "-device", "virtio-blk-pci-non-transitional,drive=b,bootindex=1", "-drive",
	             "file=/b,if=none,id=b", "-drive", "file=/a,if=none,id=a", "-device",
	             "virtio-scsi-pci,id=s", "-device", "scsi-hd,drive=c,bus=s.0", "-device",
	             "scsi-cd,drive=c", "-drive", "if=none,id=c,file=/c", "-device",
	             "nvme,drive=d,serial=1", "-drive", "if=none,id=d,file=/d", "-device",
	             "nvme-subsys,id=x", "-device", "nvme,drive=e,serial=2", "-drive",
	             "if=none,id=e,file=/e", "-device", "usb-storage,drive=f", "-drive",
	             "if=none,id=f,file=/f");

	(void)state;
	assert_int_equal(7, s.n_disks);
	assert_disk(&s, 0, "vda", "/a");
	assert_disk(&s, 1, "vdc", "/b"); /* vdb has no file of this host */
	assert_disk(&s, 2, "sda", "/c");
	assert_disk(&s, 3, "nvme0n1", "/d");
	assert_disk(&s, 4, "nvme1n1", "/e");
	assert_disk(&s, 5, "sdb", "/f");
	assert_disk(&s, 6, "vdd", "/late");
}

/* As libvirt 9 starts it. */
static void test_qemu_json_forms(void **state)
{
	struct vm_shape s =
		QEMU("-name", "guest=win,,10,debug-threads=on", "-S", "-object",
	             "{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\"}",
	             "-machine", "pc-q35-7.2,usb=off,dump-guest-core=off", "-accel", "kvm", "-cpu",
	             "host,migratable=on", "-m", "size=4194304k,slots=16,maxmem=8388608k",
	             "-object", "{\"qom-type\":\"iothread\",\"id\":\"iothread1\"}", "-object",
	             "iothread,id=iothread2", "-overcommit", "mem-lock=off", "-smp",
	             "4,maxcpus=8,sockets=2,dies=1,cores=4,threads=1", "-uuid", "a-b-c",
	             "-no-user-config", "-nodefaults", "-blockdev",
	             "{\"driver\":\"file\",\"filename\":\"/var/lib/a,b.qcow2\",\"node-name\":"
	             "\"libvirt-2-storage\",\"auto-read-only\":true,\"cache\":{\"direct\":true}}",
	             "-blockdev",
	             "{\"node-name\":\"libvirt-2-format\",\"read-only\":false,\"driver\":\"qcow2\","
	             "\"file\":\"libvirt-2-storage\",\"backing\":null}",
	             "-device",
	             "{\"driver\":\"virtio-blk-pci\",\"num-queues\":4,\"bus\":\"pci.4\",\"drive\":"
	             "\"libvirt-2-format\",\"id\":\"virtio-disk0\"}",
	             "-blockdev",
	             "{\"driver\":\"raw\",\"node-name\":\"r\",\"file\":{\"driver\":\"host_device\","
	             "\"filename\":\"/dev/vg0/data\"}}",
	             "-device", "{\"driver\":\"virtio-blk-pci\",\"drive\":\"r\"}", "-netdev",
	             "{\"type\":\"tap\",\"fd\":\"32\",\"vhost\":true,\"vhostfd\":\"34\","
	             "\"id\":\"hostnet0\"}",
	             "-device",
	             "{\"driver\":\"virtio-net-pci\",\"netdev\":\"hostnet0\",\"id\":\"net0\"}");

	(void)state;
	assert_string_equal("win,10", s.name);
	assert_size(&s, 4, 4096);
	assert_int_equal(2, s.n_iothreads);
	assert_int_equal(2, s.n_disks);
	assert_disk(&s, 0, "vda", "/var/lib/a,b.qcow2");
	assert_disk(&s, 1, "vdb", "/dev/vg0/data");
	assert_int_equal(1, s.n_nics);
	assert_nic(&s, 0, "", 32, true);
}

static void test_qemu_blockdevs(void **state)
{
	struct vm_shape s =
		QEMU("-blockdev", "driver=file,filename=/img/a,,b,node-name=f0", "-blockdev",
	             "throttle,file=f0,node-name=t0,throttle-group=g", "-blockdev",
	             "node-name=d0,driver=raw,file=t0", "-device", "virtio-blk,drive=d0",
	             "-blockdev", "qcow2,node-name=d1,file.driver=file,file.filename=/img/c.qcow2",
	             "-device", "virtio-blk-pci,drive=d1", "-drive",
	             "file.driver=file,file.filename=/img/d,if=none,id=d2", "-device",
	             "virtio-blk-pci,drive=d2", "-blockdev", "null-co,node-name=d3", "-device",
	             "virtio-blk-pci,drive=d3", "-device", "virtio-blk-pci,drive=nobody", "-device",
	             "virtio-blk-pci", "-blockdev", "raw,node-name=loop,file=loop", "-device",
	             "virtio-blk-pci,drive=loop", "-device", "virtio-blk-pci,drive=d0");

	(void)state;
	assert_int_equal(4, s.n_disks);
	assert_disk(&s, 0, "vda", "/img/a,b");
	assert_disk(&s, 1, "vdb", "/img/c.qcow2");
	assert_disk(&s, 2, "vdc", "/img/d");
	assert_disk(&s, 3, "vdh", "/img/a,b"); /* the four between took their letters */
}

static void test_qemu_default_interface(void **state)
{
	struct vm_shape pc = QEMU("-drive", "file=/a"),
			q35 = QEMU("-M", "q35", "-machine", "accel=kvm", "-drive", "file=/a"),
			micro = QEMU("-machine", "microvm", "-machine", "accel=kvm", "-drive",
	                             "file=/a"),
			typed = QEMU("-machine", "accel=kvm,type=microvm", "-drive", "file=/a"),
			arm = QEMU("-M", "virt-7.2", "-drive", "file=/a");

	(void)state;
	assert_disk(&pc, 0, "sda", "/a");
	assert_disk(&q35, 0, "sda", "/a");
	assert_int_equal(0, micro.n_disks);
	assert_int_equal(0, typed.n_disks);
	assert_disk(&arm, 0, "vda", "/a");
}

static void test_qemu_interfaces(void **state)
{
	struct vm_shape s =
		QEMU("-device", "virtio-net-pci,netdev=b", "-netdev",
	             "user,id=a,hostfwd=tcp::2222-:22", "-device", "e1000,netdev=a", "-netdev",
	             "tap,id=b,fds=7:8,vhostfds=9:10", "-netdev", "bridge,id=c,br=br0", "-device",
	             "virtio-net-pci,netdev=c", "-device", "virtio-net-pci,netdev=gone", "-netdev",
	             "tap,id=unused,ifname=t9", "-nic", "tap,ifname=first", "-device",
	             "virtio-rng-pci");

	(void)state;
	assert_int_equal(5, s.n_nics);
	assert_nic(&s, 0, "first", -1, true);
	assert_nic(&s, 1, "", 7, true);
	assert_nic(&s, 2, "", -1, false);
	assert_nic(&s, 3, "", -1, true);
	assert_nic(&s, 4, "", -1, false);
}

static void test_qemu_vcpus(void **state)
{
	static const struct {
		const char *smp;
		uint32_t n;
	} cases[] = {
		{ "4", 4 },
		{ "cpus=3", 3 },
		{ "2,maxcpus=4", 2 },
		{ "maxcpus=4,cpus=2", 2 },
		{ "maxcpus=6", 6 },
		{ "sockets=2,cores=4,threads=2", 16 },
		{ "sockets=2,dies=3", 6 },
		{ "", 1 },
		{ "0", 1 },
		{ "-3", 1 },
		{ "4x", 1 },
		{ "99999999999999999999", 1 },
		{ "sockets=65536,cores=65536,threads=65536", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unit_note("-smp %s", cases[i].smp);
		assert_int_equal(cases[i].n, QEMU("-smp", cases[i].smp).n_vcpus);
	}
	assert_int_equal(1, QEMU("-m", "1G").n_vcpus);
}

static void test_qemu_memory(void **state)
{
	static const struct {
		const char *m;
		uint64_t bytes;
	} cases[] = {
		{ "512", 512ull << 20 },
		{ "512M", 512ull << 20 },
		{ "2g", 2ull << 30 },
		{ "1T", 1ull << 40 },
		{ "1048576k", 1ull << 30 },
		{ "4096b", 4096 },
		{ "size=3G,slots=4,maxmem=8G", 3ull << 30 },
		{ "slots=4,size=3G", 3ull << 30 },
		{ "1X", 0 },
		{ "G", 0 },
		{ "1.5G", 0 },
		{ "18446744073709551615", 0 },
		{ "99999999999999999999G", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unit_note("-m %s", cases[i].m);
		assert_int_equal(cases[i].bytes, QEMU("-m", cases[i].m).memory_bytes);
	}
	assert_int_equal(128 << 20, QEMU("-smp", "1").memory_bytes);
}

static void test_qemu_name(void **state)
{
	(void)state;
	assert_string_equal("a", QEMU("-name", "a").name);
	assert_string_equal("a", QEMU("-name", "a,process=qemu:a").name);
	assert_string_equal("a", QEMU("-name", "guest=a", "-name", "debug-threads=on").name);
	assert_string_equal("b", QEMU("-name", "a", "--name", "guest=b").name);
	assert_string_equal("a\xef\xbf\xbd"
	                    "b",
	                    QEMU("-name", "a\nb").name);
	assert_string_equal("", QEMU("-name").name);
	assert_string_equal("", QEMU("-append", "-name", "x").name); /* a value, not an option */
}

/* ---- Firecracker ---------------------------------------------------------------------------- */

static void test_firecracker(void **state)
{
	struct vm_shape s = FIRECRACKER("--id", "551e7604-e35c-42b3-b825-416853441234",
	                                "--start-time-us", "1234", "--api-sock", "/run/fc.socket"),
			named = FIRECRACKER("--api-sock", "/run/fc/web.1.socket", "--config-file",
	                                    "vm.json"),
			bare = FIRECRACKER("--api-sock=vm7"), none = FIRECRACKER("--no-api");

	(void)state;
	assert_string_equal("551e7604-e35c-42b3-b825-416853441234", s.name);
	assert_int_equal(0, s.n_vcpus);
	assert_int_equal(0, s.memory_bytes);
	assert_string_equal("", s.config_file);
	assert_string_equal("web.1", named.name);
	assert_string_equal("vm.json", named.config_file);
	assert_string_equal("vm7", bare.name);
	assert_string_equal("", none.name);
}

static const char firecracker_config[] =
	"{\"boot-source\": {\"kernel_image_path\": \"vmlinux\"}, \"drives\": ["
	"{\"drive_id\": \"data\", \"path_on_host\": \"/data\", \"is_root_device\": false},"
	"{\"drive_id\": \"vu\", \"socket\": \"/s\", \"is_root_device\": false},"
	"{\"drive_id\": \"rootfs\", \"path_on_host\": \"/root.ext4\", \"is_root_device\": true},"
	"{\"drive_id\": \"more\", \"path_on_host\": \"/more\"}],"
	"\"machine-config\": {\"vcpu_count\": 2, \"mem_size_mib\": 1024, \"smt\": false},"
	"\"network-interfaces\": [{\"iface_id\": \"eth0\", \"host_dev_name\": \"tap0\"},"
	"{\"iface_id\": \"eth1\", \"host_dev_name\": \"tap1\"}]}";

static void test_firecracker_config(void **state)
{
	struct vm_shape s = FIRECRACKER("--id", "a", "--config-file", "/c.json");

	(void)state;
	assert_int_equal(0, cmdline_firecracker_config(str_from(firecracker_config), &s));
	assert_string_equal("a", s.name);
	assert_size(&s, 2, 1024);
	assert_int_equal(3, s.n_disks);
	assert_disk(&s, 0, "vda", "/root.ext4"); /* whatever its place in the list */
	assert_disk(&s, 1, "vdb", "/data");
	assert_disk(&s, 2, "vdd", "/more");
	assert_int_equal(2, s.n_nics);
	assert_nic(&s, 0, "tap0", -1, true);
	assert_nic(&s, 1, "tap1", -1, true);
}

static void test_firecracker_config_of_an_enemy(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"drives\": {}, \"machine-config\": [], \"network-interfaces\": 7}",
		"{\"drives\": [null, 1, [], {\"path_on_host\": 5}], \"network-interfaces\": [[]]}",
		"{\"machine-config\": {\"vcpu_count\": -1, \"mem_size_mib\": 9223372036854775807}}",
		"{\"machine-config\": {\"vcpu_count\": 1e3, \"mem_size_mib\": \"1\"}}",
		"{\"machine-config\": {\"vcpu_count\": 65537}}",
	};
	_cleanup_(buf_done) struct buf many = BUF_INIT;
	struct vm_shape s, empty = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		memset(&s, 0, sizeof(s));
		unit_note("%s", texts[i]);
		assert_int_equal(0, cmdline_firecracker_config(str_from(texts[i]), &s));
		assert_int_equal(0, s.n_vcpus);
		assert_int_equal(0, s.memory_bytes);
		assert_int_equal(0, s.n_disks);
		for (uint32_t n = 0; n < s.n_nics; n++)
			assert_string_equal("", s.nics[n].ifname);
	}
	memset(&s, 0, sizeof(s));
	assert_int_equal(-EBADMSG, cmdline_firecracker_config(STR_NULL, &s));
	assert_int_equal(-EBADMSG, cmdline_firecracker_config(STR("[]"), &s));
	assert_int_equal(-EBADMSG, cmdline_firecracker_config(STR("{\"drives\": ["), &s));
	assert_memory_equal(&empty, &s, sizeof(s));
	buf_puts(&many, "{\"drives\": [");
	for (int i = 0; i < 5000; i++)
		buf_printf(&many, "%s{\"path_on_host\": \"/d%d\"}", i > 0 ? "," : "", i);
	buf_puts(&many, "]}");
	assert_int_equal(0, cmdline_firecracker_config(buf_str(&many), &s));
	assert_int_equal(VM_DISKS_MAX, s.n_disks);
}

/* ---- Cloud Hypervisor ----------------------------------------------------------------------- */

static void test_cloud_hypervisor(void **state)
{
	struct vm_shape s =
		CLOUD("--api-socket", "/run/ch/vm-3.sock", "--kernel", "./vmlinux", "--cmdline",
	              "console=hvc0 --disk path=/etc/shadow", "--cpus", "boot=4,max=8", "--memory",
	              "size=1024M,shared=on", "--disk", "path=/img/focal.raw",
	              "path=/img/seed.img,readonly=on", "vhost_user=true,socket=/s", "--net",
	              "tap=ch0,mac=12:34:56:78:90:ab", "fd=7,mac=a", "--disk", "path=/img/more.raw",
	              "--rng");

	(void)state;
	assert_string_equal("vm-3", s.name);
	assert_size(&s, 4, 1024);
	assert_int_equal(3, s.n_disks);
	assert_disk(&s, 0, "vda", "/img/focal.raw");
	assert_disk(&s, 1, "vdb", "/img/seed.img");
	assert_disk(&s, 2, "vdd", "/img/more.raw");
	assert_int_equal(2, s.n_nics);
	assert_nic(&s, 0, "ch0", -1, true);
	assert_nic(&s, 1, "", 7, true);
}

static void test_cloud_hypervisor_sockets(void **state)
{
	struct vm_shape bare = CLOUD("--cpus", "boot=2");

	(void)state;
	assert_string_equal("a", CLOUD("--api-socket", "path=a.sock").name);
	assert_string_equal("a", CLOUD("--api-socket", "path=/run/a.sock").name);
	assert_string_equal("", CLOUD("--api-socket", "fd=5").name);
	assert_string_equal("", bare.name);
	assert_int_equal(2, bare.n_vcpus);
	assert_int_equal(0, bare.memory_bytes);
	assert_int_equal(1, CLOUD("--memory", "size=2G").n_vcpus);
}

/* ---- enemies -------------------------------------------------------------------------------- */

static void test_nothing_said(void **state)
{
	static const struct str texts[] = {
		STR_INIT(""),  STR_INIT("\0"), STR_INIT("\0\0\0\0"),
		STR_INIT("x"), STR_INIT("-"),  STR_INIT("-\0-\0--\0"),
	};
	struct vm_shape s;

	(void)state;
	for (int kind = 0; kind < VMM_KINDS; kind++) {
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
			assert_int_equal(0, cmdline_parse((enum vmm_kind)kind, texts[i], &s));
			assert_int_equal(0, s.n_disks + s.n_nics);
			assert_string_equal("", s.name);
		}
	}
	assert_int_equal(0, cmdline_parse(VMM_OTHER, STR("x\0-name\0y\0"), &s));
	assert_string_equal("", s.name);
	assert_int_equal(0, s.n_vcpus);
}

/* More than there is room for: the first of each kind stay. */
static void test_too_many(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct vm_shape s;
	char first[16];

	(void)state;
	buf_put(&text, "qemu", 5);
	for (int i = 0; i < 3000; i++) {
		buf_printf(&text, "-drive%cfile=/d%d,if=virtio%c", 0, i, 0);
		buf_printf(&text, "-nic%ctap,ifname=t%d%c", 0, i, 0);
	}
	assert_int_equal(0, text.err);
	assert_int_equal(0, cmdline_parse(VMM_QEMU, buf_str(&text), &s));
	assert_int_equal(VM_DISKS_MAX, s.n_disks);
	assert_int_equal(VM_TAPS_MAX, s.n_nics);
	(void)snprintf(first, sizeof(first), "/d%d", VM_DISKS_MAX - 1);
	assert_disk(&s, VM_DISKS_MAX - 1, "vdaf", first);
	assert_nic(&s, VM_TAPS_MAX - 1, "t15", -1, true);
}

/* Half a path, or half an interface's name, is another's: what does not fit is left out. */
static void test_too_long(void **state)
{
	char drive[1000] = "if=virtio,file=/", nic[200] = "tap,ifname=", name[1000], fits[300];

	(void)state;
	memset(drive + strlen(drive), 'd', 500);
	memset(nic + strlen(nic), 't', 16);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	struct vm_shape s =
		QEMU("-drive", drive, "-drive", "if=virtio,file=/b", "-nic", nic, "-name", name);

	assert_int_equal(1, s.n_disks);
	assert_disk(&s, 0, "vdb", "/b");
	assert_nic(&s, 0, "", -1, true);
	assert_int_equal(VM_LABEL_CAP - 1, strlen(s.name)); /* a name is only shown: cut */

	memset(fits, 'p', sizeof(fits));
	fits[255] = '\0';
	assert_string_equal(fits, FIRECRACKER("--config-file", fits).config_file);
	assert_string_equal(fits, QEMU("-hda", fits).disks[0].path);
	fits[255] = 'p';
	fits[256] = '\0';
	assert_string_equal("", FIRECRACKER("--config-file", fits).config_file);
	assert_int_equal(0, QEMU("-hda", fits).n_disks);
	assert_string_equal("fifteen-letters",
	                    QEMU("-nic", "tap,ifname=fifteen-letters").nics[0].ifname);
}

static void test_odd_options(void **state)
{
	_cleanup_(buf_done) struct buf deep = BUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_puts(&deep, "{\"file\":");
	buf_puts(&deep, "1");
	for (int i = 0; i < 1000; i++)
		buf_putc(&deep, '}');
	struct vm_shape s =
		QEMU("-drive", ",,,,", "-drive", "=,=,==", "-drive", "if=virtio,file=", "-drive",
	             "if=virtio", "-drive", "if=virtio,file=/a,file=/b", "-blockdev",
	             buf_cstr(&deep), "-blockdev", "{", "-device", "{}", "-device",
	             "{\"driver\":[1],\"drive\":{}}", "-netdev", "=", "-nic", ",", "-nic",
	             "tap,fd=99999999999", "-nic", "tap,fd=-1", "-smp");

	assert_int_equal(1, s.n_disks);
	assert_disk(&s, 0, "vdc", "/b"); /* of two, QEMU takes the last */
	assert_int_equal(3, s.n_nics);
	for (uint32_t i = 0; i < s.n_nics; i++)
		assert_int_equal(-1, s.nics[i].fd);
}

/* Any mixture of what the tables know: bounded, and every text ended. */
static void test_any_options(void **state)
{
	static const char *const words[] = {
		"-drive",   "-device", "-blockdev",  "-netdev",   "-nic", "-m",
		"-smp",     "-name",   "--disk",     "--net",     "--id", "--cpus",
		"--memory", "file",    "driver",     "node-name", "id",   "drive",
		"if",       "virtio",  "virtio-blk", "=",         ",",    ",,",
		"{",        "}",       "\"",         ":",         "tap",  "1",
		"G",        "\xff",    "ifname",     "path",      "none", "nvme",
	};
	struct rng rng = unit_rng();

	(void)state;
	for (int i = 0; i < 20000; i++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct vm_shape s;

		for (uint32_t n = rng_below(&rng, 60); n > 0; n--) {
			buf_puts(&text, words[rng_below(&rng, ARRAY_SIZE(words))]);
			if (rng_below(&rng, 3) == 0)
				buf_putc(&text, '\0');
		}
		struct str exact = unit_strdup(buf_str(&text));

		for (int kind = 0; kind < VMM_KINDS; kind++) {
			assert_int_equal(0, cmdline_parse((enum vmm_kind)kind, exact, &s));
			assert_true(s.n_disks <= VM_DISKS_MAX && s.n_nics <= VM_TAPS_MAX);
			assert_non_null(memchr(s.name, '\0', sizeof(s.name)));
			for (uint32_t d = 0; d < s.n_disks; d++)
				assert_true(s.disks[d].path[0] != '\0' &&
				            memchr(s.disks[d].path, '\0', sizeof(s.disks[d].path)));
		}
		free((void *)(uintptr_t)exact.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk_names),
		cmocka_unit_test(test_qemu_microvm),
		cmocka_unit_test(test_qemu_pc_with_short_options),
		cmocka_unit_test(test_qemu_order_of_disks),
		cmocka_unit_test(test_qemu_json_forms),
		cmocka_unit_test(test_qemu_blockdevs),
		cmocka_unit_test(test_qemu_default_interface),
		cmocka_unit_test(test_qemu_interfaces),
		cmocka_unit_test(test_qemu_vcpus),
		cmocka_unit_test(test_qemu_memory),
		cmocka_unit_test(test_qemu_name),
		cmocka_unit_test(test_firecracker),
		cmocka_unit_test(test_firecracker_config),
		cmocka_unit_test(test_firecracker_config_of_an_enemy),
		cmocka_unit_test(test_cloud_hypervisor),
		cmocka_unit_test(test_cloud_hypervisor_sockets),
		cmocka_unit_test(test_nothing_said),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_odd_options),
		cmocka_unit_test(test_any_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
