/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments are first sorted into lists of slices (a struct args for each list), then disks and
 * interfaces are put together from the lists, because QEMU lets a -device name a -drive that stands
 * behind it. Nothing is copied until a value is known to be wanted, except JSON forms of options,
 * which are rewritten as key=value text into an arena so that one reader serves both.
 *
 * Each monitor is a table of options: name, whether it takes a value, and where the value goes.
 */
#include "userspace/host/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "userspace/base/alloc.h"
#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/label_text.h"

#define LIST_MAX        64 /* options of one kind that are looked at */
#define JSON_TEXT_MAX   ((size_t)256 << 10)
#define JSON_DEPTH_MAX  6
#define NODE_DEPTH_MAX  6 /* layers of block nodes: format over file, throttle, … */
#define VCPUS_SANE_MAX  65536u
#define ARENA_BYTES_MAX ((size_t)1 << 20)

struct args {
	struct str v[LIST_MAX];
	uint32_t n;
};

enum list {
	L_NAME,
	L_SMP,
	L_MEMORY,
	L_MACHINE,
	L_DRIVE,
	L_BLOCKDEV,
	L_DEVICE,
	L_NETDEV,
	L_NIC,
	L_HD,
	L_OBJECT,
	L_CONFIG_FILE,
	L_SOCKET,
	L_N,
	L_SKIP /* takes a value that must not be mistaken for an option */
};

struct sorted {
	struct args lists[L_N];
	struct arena arena;
};

struct option {
	const char *name; /* without dashes */
	enum list list;
	bool many; /* takes all following arguments up to the next option */
};

/* ---- key=value,key=value ------------------------------------------------------------------- */

/* The text up to the next single comma; a doubled one stands for itself. */
static struct str cut_option(struct str *rest)
{
	size_t i = 0;
	struct str head;

	while (i < rest->len) {
		if (rest->p[i] != ',')
			i++;
		else if (i + 1 < rest->len && rest->p[i + 1] == ',')
			i += 2;
		else
			break;
	}
	head = (struct str){ rest->p, i };
	*rest = str_skip(*rest, i + 1);
	return head;
}

/*
 * Value of @key in @opts, or an empty slice; @implied is the key of a first item without "=". Of a
 * repeated key the last value counts, as in QEMU.
 */
static struct str opt_value(struct str opts, const char *implied, const char *key)
{
	struct str found = STR_NULL;
	bool first = true;

	while (opts.len > 0) {
		struct str item = cut_option(&opts), name, value;

		if (!str_cut(item, '=', &name, &value)) {
			value = item;
			name = first && implied ? str_from(implied) : item;
		}
		if (str_eqc(name, key))
			found = value;
		first = false;
	}
	return found;
}

/* Without the doubled commas; cut to fit. Returns whether it fits. */
static bool copy_value(char *dst, size_t cap, struct str v)
{
	size_t n = 0, i;

	for (i = 0; i < v.len && n + 1 < cap; i++) {
		dst[n++] = v.p[i];
		if (v.p[i] == ',' && i + 1 < v.len && v.p[i + 1] == ',')
			i++;
	}
	dst[n] = '\0';
	return i >= v.len;
}

/* All or nothing: half a path or interface name is another's. */
static bool copy_whole(char *dst, size_t cap, struct str v)
{
	if (copy_value(dst, cap, v))
		return true;
	dst[0] = '\0';
	return false;
}

/* 512, 512M, 1G, 2GiB …; @unit is what a bare number means. 0 when it is not a size. */
static uint64_t size_value(struct str v, uint64_t unit)
{
	static const char letters[] = "bkmgt";
	uint64_t n, bytes;

	for (int i = 0; i < 2 && v.len > 0 && (v.p[v.len - 1] == 'B' || v.p[v.len - 1] == 'i'); i++)
		v.len--;
	if (v.len > 0 && (v.p[v.len - 1] < '0' || v.p[v.len - 1] > '9')) {
		const char *at = strchr(letters, v.p[v.len - 1] | 0x20);

		if (!at || *at == '\0')
			return 0;
		unit = (uint64_t)1 << (10 * (at - letters));
		v.len--;
	}
	return num_parse_u64(v, &n) < 0 || __builtin_mul_overflow(n, unit, &bytes) ? 0 : bytes;
}

static uint32_t count_value(struct str v)
{
	uint64_t n;

	return num_parse_u64(v, &n) < 0 || n > VCPUS_SANE_MAX ? 0 : (uint32_t)n;
}

/* ---- JSON forms: {"driver":"nvme","drive":"d0"} becomes driver=nvme,drive=d0 ------------- */

static void put_escaped(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ',')
			buf_putc(out, ',');
		buf_putc(out, text[i]);
	}
}

/* @path is the dotted key so far. Nested mappings become dotted keys, as QEMU spells them. */
static void flatten(const json_t *v, const char *path, int depth, struct buf *out)
{
	const char *key;
	json_t *item;

	if (depth > JSON_DEPTH_MAX)
		return;
	/* jansson's loop macro wants a mutable object although it does not change it. */
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
		char full[256];

		key = json_object_iter_key(it);
		item = json_object_iter_value(it);
		(void)snprintf(full, sizeof(full), "%s%s%s", path, path[0] ? "." : "", key);
		if (json_is_object(item)) {
			flatten(item, full, depth + 1, out);
			continue;
		}
		if (!json_is_string(item) && !json_is_integer(item))
			continue;
		if (out->len > 0)
			buf_putc(out, ',');
		put_escaped(out, full, strlen(full));
		buf_putc(out, '=');
		if (json_is_string(item))
			put_escaped(out, json_string_value(item), json_string_length(item));
		else
			buf_put_i64(out, json_integer_value(item));
	}
}

/* @v itself, or its key=value form in the arena; empty when it is no JSON object. */
static struct str plain_form(struct str v, struct arena *arena)
{
	_cleanup_(buf_done) struct buf out = { .max = JSON_TEXT_MAX };

	if (v.len == 0 || v.p[0] != '{')
		return v;
	json_t *root = json_loadb(v.p, v.len, 0, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		return STR_NULL;
	}
	flatten(root, "", 0, &out);
	json_decref(root);
	return out.err < 0 ? STR_NULL : arena_str(arena, buf_str(&out));
}

/* ---- sorting the arguments ------------------------------------------------------------------ */

static const struct option qemu_options[] = {
	{ "name", L_NAME, false },
	{ "smp", L_SMP, false },
	{ "m", L_MEMORY, false },
	{ "machine", L_MACHINE, false },
	{ "M", L_MACHINE, false },
	{ "drive", L_DRIVE, false },
	{ "blockdev", L_BLOCKDEV, false },
	{ "device", L_DEVICE, false },
	{ "netdev", L_NETDEV, false },
	{ "nic", L_NIC, false },
	{ "hda", L_HD, false },
	{ "hdb", L_HD, false },
	{ "hdc", L_HD, false },
	{ "hdd", L_HD, false },
	{ "object", L_OBJECT, false },
	{ "append", L_SKIP, false },
	{ "kernel", L_SKIP, false },
	{ "initrd", L_SKIP, false },
	{ "cdrom", L_SKIP, false },
	{ "bios", L_SKIP, false },
	{ "cpu", L_SKIP, false },
	{ "fw_cfg", L_SKIP, false },
	{ "smbios", L_SKIP, false },
	{ "serial", L_SKIP, false },
	{ "chardev", L_SKIP, false },
	{ "uuid", L_SKIP, false },
	{ "global", L_SKIP, false },
	{ "pidfile", L_SKIP, false },
	{ "D", L_SKIP, false },
	{ "d", L_SKIP, false },
	{ NULL, L_SKIP, false },
};

static const struct option firecracker_options[] = {
	{ "id", L_NAME, false },         { "config-file", L_CONFIG_FILE, false },
	{ "api-sock", L_SOCKET, false }, { "metadata", L_SKIP, false },
	{ "log-path", L_SKIP, false },   { "metrics-path", L_SKIP, false },
	{ NULL, L_SKIP, false },
};

static const struct option cloud_hypervisor_options[] = {
	{ "cpus", L_SMP, false },          { "memory", L_MEMORY, false },
	{ "disk", L_DRIVE, true },         { "net", L_NETDEV, true },
	{ "api-socket", L_SOCKET, false }, { "cmdline", L_SKIP, false },
	{ "kernel", L_SKIP, false },       { "firmware", L_SKIP, false },
	{ NULL, L_SKIP, false },
};

static struct str next_arg(struct str *args)
{
	struct str arg;

	(void)str_cut(*args, '\0', &arg, args);
	return arg;
}

static const struct option *find_option(const struct option *options, struct str name)
{
	for (; options->name; options++) {
		if (str_eqc(name, options->name))
			return options;
	}
	return NULL;
}

static void keep(struct sorted *s, const struct option *o, struct str value)
{
	if (o->list != L_SKIP && s->lists[o->list].n < LIST_MAX)
		s->lists[o->list].v[s->lists[o->list].n++] = plain_form(value, &s->arena);
}

static bool is_option(struct str arg)
{
	return arg.len > 1 && arg.p[0] == '-';
}

static void sort_one(struct sorted *s, const struct option *options, struct str *args)
{
	struct str arg = next_arg(args), name, value;

	if (!is_option(arg))
		return;
	arg = str_skip(arg, arg.p[1] == '-' ? 2 : 1);
	bool joined = str_cut(arg, '=', &name, &value);
	const struct option *o = find_option(options, name);

	if (!o)
		return;
	keep(s, o, joined ? value : next_arg(args));
	while (o->many && args->len > 0 && !is_option(*args))
		keep(s, o, next_arg(args));
}

static struct str last_of(const struct sorted *s, enum list list)
{
	const struct args *a = &s->lists[list];

	return a->n > 0 ? a->v[a->n - 1] : STR_NULL;
}

/* QEMU puts repeated options of one kind together: "-machine q35 -machine accel=kvm". */
static struct str last_value(const struct sorted *s, enum list list, const char *implied,
                             const char *key)
{
	for (uint32_t i = s->lists[list].n; i-- > 0;) {
		struct str value = opt_value(s->lists[list].v[i], implied, key);

		if (value.len > 0)
			return value;
	}
	return STR_NULL;
}

/* ---- what monitors have in common ----------------------------------------------------------- */

void cmdline_disk_name(const char *prefix, uint32_t index, char dst[VM_DEVICE_CAP])
{
	char letters[8];
	size_t at = sizeof(letters) - 1;

	letters[at] = '\0';
	for (uint32_t i = index + 1; i > 0 && at > 0; i = (i - 1) / 26)
		letters[--at] = (char)('a' + (i - 1) % 26);
	(void)snprintf(dst, VM_DEVICE_CAP, "%s%s", prefix, letters + at);
}

static void add_nic(struct vm_shape *shape, bool is_tap, struct str ifname, struct str fd)
{
	struct shape_nic *nic;
	uint64_t n;

	if (shape->n_nics == VM_TAPS_MAX)
		return;
	nic = &shape->nics[shape->n_nics++];
	nic->is_tap = is_tap;
	nic->fd = num_parse_u64(fd, &n) == 0 && n <= INT32_MAX ? (int)n : -1;
	(void)copy_whole(nic->ifname, sizeof(nic->ifname), ifname);
}

static void add_disk(struct vm_shape *shape, struct str path, const char *prefix, uint32_t index)
{
	struct shape_disk *d;

	/* A disk without a file (vhost-user) took its letter; more we need not know. */
	if (path.len == 0 || shape->n_disks == VM_DISKS_MAX)
		return;
	d = &shape->disks[shape->n_disks];
	if (!copy_whole(d->path, sizeof(d->path), path))
		return;
	shape->n_disks++;
	if (strcmp(prefix, "nvme") == 0)
		(void)snprintf(d->guest_name, sizeof(d->guest_name), "nvme%un1", index);
	else
		cmdline_disk_name(prefix, index, d->guest_name);
}

static void set_name(struct vm_shape *shape, struct str value)
{
	char text[VM_LABEL_CAP];

	(void)copy_value(text, sizeof(text), value);
	label_text_copy(shape->name, sizeof(shape->name), str_from(text));
}

/* A socket's file name without folder and ending names the VM when nothing else does. */
static void name_from_socket(struct vm_shape *shape, struct str path)
{
	const char *slash = path.len > 0 ? memrchr(path.p, '/', path.len) : NULL;
	struct str base = slash ? str_skip(path, (size_t)(slash - path.p) + 1) : path;
	const char *dot = base.len > 0 ? memrchr(base.p, '.', base.len) : NULL;

	if (dot && dot > base.p)
		base.len = (size_t)(dot - base.p);
	if (shape->name[0] == '\0' && base.len > 0)
		set_name(shape, base);
}

/* ---- QEMU ----------------------------------------------------------------------------------- */

enum bus {
	BUS_VIRTIO,
	BUS_SD,
	BUS_NVME,
	BUS_N
};

/* Virtio drivers have a transport behind their name; nvme-ns and nvme-subsys are not disks. */
static const struct {
	const char *driver;
	bool prefix;
	enum bus bus;
} disk_drivers[] = {
	{ "virtio-blk", true, BUS_VIRTIO }, { "vhost-user-blk", true, BUS_VIRTIO },
	{ "scsi-hd", false, BUS_SD },       { "scsi-block", false, BUS_SD },
	{ "ide-hd", false, BUS_SD },        { "usb-storage", false, BUS_SD },
	{ "nvme", false, BUS_NVME },
};

static const struct {
	const char *name;
	enum bus bus;
} drive_interfaces[] = {
	{ "virtio", BUS_VIRTIO },
	{ "ide", BUS_SD },
	{ "scsi", BUS_SD },
};

static const char *const disk_prefixes[BUS_N] = { "vd", "sd", "nvme" };

struct qemu {
	const struct sorted *s;
	struct vm_shape *shape;
	uint32_t n_on_bus[BUS_N];
};

static const struct str *find_by(const struct args *a, const char *implied, const char *key,
                                 struct str value)
{
	for (uint32_t i = 0; i < a->n; i++) {
		if (value.len > 0 && str_eq(opt_value(a->v[i], implied, key), value))
			return &a->v[i];
	}
	return NULL;
}

/* Follows format and filter nodes down to the one that names a file. */
static struct str node_path(const struct sorted *s, struct str node)
{
	for (int depth = 0; depth < NODE_DEPTH_MAX; depth++) {
		const struct str *b = find_by(&s->lists[L_BLOCKDEV], "driver", "node-name", node);

		if (!b)
			return STR_NULL;
		struct str path = opt_value(*b, "driver", "filename");

		if (path.len == 0)
			path = opt_value(*b, "driver", "file.filename");
		if (path.len > 0)
			return path;
		node = opt_value(*b, "driver", "file");
	}
	return STR_NULL;
}

static struct str drive_path(struct str drive)
{
	struct str path = opt_value(drive, NULL, "file");

	return path.len > 0 ? path : opt_value(drive, NULL, "file.filename");
}

static struct str device_path(const struct sorted *s, struct str device)
{
	struct str id = opt_value(device, "driver", "drive");
	const struct str *drive = find_by(&s->lists[L_DRIVE], NULL, "id", id);

	return drive ? drive_path(*drive) : node_path(s, id);
}

static void qemu_add_disk(struct qemu *q, struct str path, enum bus bus)
{
	add_disk(q->shape, path, disk_prefixes[bus], q->n_on_bus[bus]++);
}

static void qemu_device_disk(struct qemu *q, struct str device)
{
	struct str driver = opt_value(device, "driver", "driver");

	for (size_t i = 0; i < ARRAY_SIZE(disk_drivers); i++) {
		struct str known = str_from(disk_drivers[i].driver);

		if (disk_drivers[i].prefix ? str_starts(driver, known) : str_eq(driver, known)) {
			qemu_add_disk(q, device_path(q->s, device), disk_drivers[i].bus);
			return;
		}
	}
}

/* What a drive without if= is, by the machine's block_default_type (QEMU, hw/). */
static struct str default_interface(const struct sorted *s)
{
	struct str type = last_value(s, L_MACHINE, "type", "type");

	if (str_eqc(type, "microvm"))
		return STR("none");
	return str_starts(type, STR("virt")) ? STR("virtio") : STR("ide");
}

static void qemu_drive_disk(struct qemu *q, struct str drive)
{
	struct str interface = opt_value(drive, NULL, "if");

	if (interface.len == 0)
		interface = default_interface(q->s);
	if (str_eqc(opt_value(drive, NULL, "media"), "cdrom"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(drive_interfaces); i++) {
		if (str_eqc(interface, drive_interfaces[i].name))
			qemu_add_disk(q, drive_path(drive), drive_interfaces[i].bus);
	}
}

/*
 * Order on the bus: -hdX comes with the machine; then -device in the order given; then -drive
 * if=virtio, which QEMU turns into -device options behind all others.
 */
static void qemu_disks(struct qemu *q)
{
	const struct args *hd = &q->s->lists[L_HD], *devices = &q->s->lists[L_DEVICE];

	for (uint32_t i = 0; i < hd->n; i++)
		qemu_add_disk(q, hd->v[i], BUS_SD);
	for (uint32_t i = 0; i < devices->n; i++)
		qemu_device_disk(q, devices->v[i]);
	for (uint32_t i = 0; i < q->s->lists[L_DRIVE].n; i++)
		qemu_drive_disk(q, q->s->lists[L_DRIVE].v[i]);
}

static bool is_tap_backend(struct str type)
{
	return str_eqc(type, "tap") || str_eqc(type, "bridge");
}

static void qemu_add_nic(struct qemu *q, struct str backend)
{
	struct str fd = opt_value(backend, "type", "fd"), rest;

	if (fd.len == 0)
		(void)str_cut(opt_value(backend, "type", "fds"), ':', &fd, &rest);
	add_nic(q->shape, is_tap_backend(opt_value(backend, "type", "type")),
	        opt_value(backend, "type", "ifname"), fd);
}

/* -nic makes its card with the machine, before any -device. */
static void qemu_nics(struct qemu *q)
{
	const struct args *nics = &q->s->lists[L_NIC], *devices = &q->s->lists[L_DEVICE];

	for (uint32_t i = 0; i < nics->n; i++) {
		if (!str_eqc(opt_value(nics->v[i], "type", "type"), "none"))
			qemu_add_nic(q, nics->v[i]);
	}
	for (uint32_t i = 0; i < devices->n; i++) {
		struct str id = opt_value(devices->v[i], "driver", "netdev");
		const struct str *backend = find_by(&q->s->lists[L_NETDEV], "type", "id", id);

		if (backend)
			qemu_add_nic(q, *backend);
		else if (id.len > 0)
			add_nic(q->shape, false, STR_NULL, STR_NULL);
	}
}

static uint32_t qemu_vcpus(const struct sorted *s)
{
	static const char *const factors[] = { "sockets", "dies",  "clusters",
		                               "modules", "cores", "threads" };
	uint32_t n = count_value(last_value(s, L_SMP, "cpus", "cpus"));
	uint64_t product = 1;
	bool said = false;

	if (n == 0)
		n = count_value(last_value(s, L_SMP, "cpus", "maxcpus"));
	for (size_t i = 0; n == 0 && i < ARRAY_SIZE(factors); i++) {
		uint32_t f = count_value(last_value(s, L_SMP, "cpus", factors[i]));

		product *= f > 0 ? f : 1;
		said |= f > 0;
		if (product > VCPUS_SANE_MAX)
			return 0;
	}
	return n > 0 ? n : said ? (uint32_t)product : 1;
}

static void parse_qemu(const struct sorted *s, struct vm_shape *shape)
{
	struct qemu q = { .s = s, .shape = shape };
	struct str memory = last_value(s, L_MEMORY, "size", "size");

	set_name(shape, last_value(s, L_NAME, "guest", "guest"));
	shape->n_vcpus = qemu_vcpus(s);
	shape->memory_bytes = memory.len > 0 ? size_value(memory, 1 << 20) : (uint64_t)128 << 20;
	for (uint32_t i = 0; i < s->lists[L_OBJECT].n; i++) {
		struct str type = opt_value(s->lists[L_OBJECT].v[i], "qom-type", "qom-type");

		shape->n_iothreads += str_eqc(type, "iothread");
	}
	qemu_disks(&q);
	qemu_nics(&q);
}

/* ---- Firecracker ---------------------------------------------------------------------------- */

static void parse_firecracker(const struct sorted *s, struct vm_shape *shape)
{
	set_name(shape, last_of(s, L_NAME));
	name_from_socket(shape, last_of(s, L_SOCKET));
	(void)copy_whole(shape->config_file, sizeof(shape->config_file), last_of(s, L_CONFIG_FILE));
}

static struct str json_text(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) }
	                         : STR_NULL;
}

static uint64_t json_count(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v)
	                                                       : 0;
}

/* The root device is attached first, whatever its place in the list. */
static void firecracker_drives(const json_t *drives, struct vm_shape *shape)
{
	uint32_t index = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < json_array_size(drives) && i < LIST_MAX; i++) {
			const json_t *d = json_array_get(drives, i);
			bool root = json_is_true(json_object_get(d, "is_root_device"));

			if (root == (pass == 0))
				add_disk(shape, json_text(d, "path_on_host"), "vd", index++);
		}
	}
}

static void firecracker_nics(const json_t *nics, struct vm_shape *shape)
{
	for (size_t i = 0; i < json_array_size(nics) && i < LIST_MAX; i++)
		add_nic(shape, true, json_text(json_array_get(nics, i), "host_dev_name"), STR_NULL);
}

int cmdline_firecracker_config(struct str json, struct vm_shape *shape)
{
	json_t *root = json_loadb(json.p ? json.p : "", json.len, 0, NULL);
	const json_t *machine = json_object_get(root, "machine-config");
	uint64_t vcpus = json_count(machine, "vcpu_count"),
		 mib = json_count(machine, "mem_size_mib");

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	if (vcpus > 0 && vcpus <= VCPUS_SANE_MAX)
		shape->n_vcpus = (uint32_t)vcpus;
	if (mib > 0 && mib <= UINT64_MAX >> 20)
		shape->memory_bytes = mib << 20;
	firecracker_drives(json_object_get(root, "drives"), shape);
	firecracker_nics(json_object_get(root, "network-interfaces"), shape);
	json_decref(root);
	return 0;
}

/* ---- Cloud Hypervisor ----------------------------------------------------------------------- */

/* A path, or "path=..." or "fd=..." since version 36. */
static void cloud_hypervisor_name(const struct sorted *s, struct vm_shape *shape)
{
	struct str socket = last_of(s, L_SOCKET), path = opt_value(socket, NULL, "path");

	if (!str_starts(socket, STR("fd=")))
		name_from_socket(shape, path.len > 0 ? path : socket);
}

static void parse_cloud_hypervisor(const struct sorted *s, struct vm_shape *shape)
{
	const struct args *disks = &s->lists[L_DRIVE], *nets = &s->lists[L_NETDEV];
	uint32_t boot = count_value(opt_value(last_of(s, L_SMP), NULL, "boot"));

	shape->n_vcpus = boot > 0 ? boot : 1;
	shape->memory_bytes = size_value(opt_value(last_of(s, L_MEMORY), NULL, "size"), 1);
	cloud_hypervisor_name(s, shape);
	for (uint32_t i = 0; i < disks->n; i++)
		add_disk(shape, opt_value(disks->v[i], NULL, "path"), "vd", i);
	for (uint32_t i = 0; i < nets->n; i++)
		add_nic(shape, true, opt_value(nets->v[i], NULL, "tap"),
		        opt_value(nets->v[i], NULL, "fd"));
}

/* ---- the table of monitors ------------------------------------------------------------------ */

static const struct {
	const struct option *options;
	void (*parse)(const struct sorted *s, struct vm_shape *shape);
} monitors[VMM_KINDS] = {
	[VMM_FIRECRACKER] = { firecracker_options, parse_firecracker },
	[VMM_QEMU] = { qemu_options, parse_qemu },
	[VMM_CLOUD_HYPERVISOR] = { cloud_hypervisor_options, parse_cloud_hypervisor },
};

static void sorted_free(struct sorted *s)
{
	arena_done(&s->arena);
	free(s);
}

DEFINE_CLEANUP(struct sorted *, sorted_free);

int cmdline_parse(enum vmm_kind kind, struct str args, struct vm_shape *ret)
{
	_cleanup_(sorted_freep) struct sorted *s = NULL;

	memset(ret, 0, sizeof(*ret));
	if (!monitors[kind].parse)
		return 0;
	s = mem_zalloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->arena = ARENA_INIT(ARENA_BYTES_MAX);
	(void)next_arg(&args); /* the program */
	while (args.len > 0)
		sort_one(s, monitors[kind].options, &args);
	monitors[kind].parse(s, ret);
	return 0;
}
