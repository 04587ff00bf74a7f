/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/bpf_dump.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/util.h"

#define MAPS_MAX      64
#define MAPS_OF_ONE   16
#define NAME_BYTES    (BPF_OBJ_NAME_LEN - 1) /* the kernel keeps no more */
#define KEY_BYTES_MAX 64
#define VALUE_MAX     (1u << 20)

struct known {
	const char *name, *what;
};

static const struct known programs[] = {
	{ "vm_task_iter", "reads the accounts of every thread of a VM; runs when we read it" },
	{ "vm_task_sample",
	  "reads the CPU time of known threads; runs when we call it, for peaks" },
	{ "vm_life_exec", "tells that a process with a monitor's name began" },
	{ "vm_life_exit", "tells that a VM's process ended, and how" },
	{ "run_delay_switch", "counts the wait of a vCPU that leaves its CPU; at every switch" },
	{ "run_delay_mark", "gives marks to vCPU threads; runs when we read it" },
	{ "disk_rq_complete", "counts how long a request took; at the end of every request" },
	{ "disk_bio_queue", "notes when a bio began; at every bio" },
	{ "disk_bio_complete", "counts how long a bio took; at the end of every bio" },
	{ "proxy_sockops", "follows the connections of a proxy; a few times for each" },
	{ "proxy_iter", "reads the counters of a proxy's sockets; runs when we read it" },
};

static const struct known maps[] = {
	{ "vm_tgids", "processes of VMs: pid, slot of the VM" },
	{ "vm_threads", "threads of VMs, as the last pass found them" },
	{ "vm_used_ns", "CPU time by slot of the VM, for peaks" },
	{ "vm_task_.bss", "threads that found no room" },
	{ "vm_comms", "command names of monitors" },
	{ "vm_watched", "processes whose end is told: pid, 1" },
	{ "vm_life_ring", "beginnings and ends on their way to us" },
	{ "vm_life_.bss", "events that found the ring full" },
	{ "rd_vcpus", "vCPU threads that are counted: tid, slot" },
	{ "rd_threads", "what was read of each thread at its last switch" },
	{ "rd_hists", "waits for a CPU by slot; nanoseconds" },
	{ "run_dela.bss", "threads that got no storage" },
	{ "dl_disks", "disks of VMs: major << 20 | minor, time of reads and writes" },
	{ "dl_bios", "bios in flight on device-mapper disks" },
	{ "disk_lat.bss", "requests whose begin the kernel had not noted" },
	{ "conns", "open connections of proxies" },
	{ "proxy_ring", "ends of connections on their way to us" },
	{ "vm_addrs", "addresses of VMs" },
	{ "listeners", "what proxies listen to" },
	{ "own_ports", "local ports of connections from a proxy" },
};

static const struct known *find(const struct known *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(table[i].name, name, NAME_BYTES) == 0)
			return &table[i];
	}
	return NULL;
}

/* ---- maps ----------------------------------------------------------------------------------- */

struct map_view {
	struct buf *out;
	const struct bpf_map_info *info;
	struct btf_dump *dump; /* NULL: the kernel has no types for it */
	int fd;
	uint32_t value_bytes;
};

__attribute__((format(printf, 2, 0))) static void put_text(void *ctx, const char *format,
                                                           va_list args)
{
	char text[512];

	(void)vsnprintf(text, sizeof(text), format, args);
	buf_printf(ctx, "%s", text);
}

static void put_typed(const struct map_view *m, uint32_t type, const void *data, uint32_t bytes)
{
	LIBBPF_OPTS(btf_dump_type_data_opts, opts, .compact = true);

	if (!m->dump || type == 0 ||
	    btf_dump__dump_type_data(m->dump, type, data, bytes, &opts) < 0)
		buf_printf(m->out, "(%u bytes)", bytes);
}

static bool is_zero(const unsigned char *p, size_t bytes)
{
	size_t i = 0;

	while (i < bytes && p[i] == 0)
		i++;
	return i == bytes;
}

static void put_entries(const struct map_view *m, unsigned char *value)
{
	unsigned char key[KEY_BYTES_MAX], next[KEY_BYTES_MAX];
	uint32_t n_shown = 0, n_more = 0, n_left = m->info->max_entries;
	const void *at = NULL;

	/* A table that changes while it is read may begin anew: not for ever. */
	while (n_left-- > 0 && bpf_map_get_next_key(m->fd, at, next) == 0) {
		memcpy(key, next, m->info->key_size);
		at = key;
		if (bpf_map_lookup_elem(m->fd, key, value) < 0 ||
		    (m->info->type == BPF_MAP_TYPE_ARRAY && is_zero(value, m->value_bytes)))
			continue;
		if (n_shown == BPF_DUMP_ENTRIES_MAX) {
			n_more++;
			continue;
		}
		n_shown++;
		buf_printf(m->out, "    ");
		put_typed(m, m->info->btf_key_type_id, key, m->info->key_size);
		buf_printf(m->out, ": ");
		put_typed(m, m->info->btf_value_type_id, value, m->info->value_size);
		buf_printf(m->out, "\n");
	}
	if (n_more > 0)
		buf_printf(m->out, "    and %u more\n", n_more);
}

static bool is_readable(const struct bpf_map_info *info)
{
	return (info->type == BPF_MAP_TYPE_HASH || info->type == BPF_MAP_TYPE_LRU_HASH ||
	        info->type == BPF_MAP_TYPE_ARRAY) &&
	       info->key_size <= KEY_BYTES_MAX && info->value_size <= VALUE_MAX;
}

static void put_map_entries(struct buf *out, int fd, const struct bpf_map_info *info)
{
	struct map_view m = { .out = out, .info = info, .fd = fd, .value_bytes = info->value_size };
	struct btf *btf = info->btf_id ? btf__load_from_kernel_by_id(info->btf_id) : NULL;
	_cleanup_free_ unsigned char *value = mem_zalloc(1, info->value_size + 8);

	m.dump = btf ? btf_dump__new(btf, put_text, out, NULL) : NULL;
	if (value)
		put_entries(&m, value);
	btf_dump__free(m.dump);
	btf__free(btf);
}

static void put_map(struct buf *out, uint32_t id)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return; /* gone meanwhile */
	const struct known *k = find(maps, ARRAY_SIZE(maps), info.name);

	if (!k)
		return; /* of constants */
	buf_printf(out, "map %u %s: %s; room for %u\n", id, info.name, k->what, info.max_entries);
	if (is_readable(&info))
		put_map_entries(out, fd, &info);
}

/* ---- programs ------------------------------------------------------------------------------- */

struct found {
	uint32_t map_ids[MAPS_MAX];
	size_t n_maps, n_programs;
};

static void note_map(struct found *f, uint32_t id)
{
	for (size_t i = 0; i < f->n_maps; i++) {
		if (f->map_ids[i] == id)
			return;
	}
	if (f->n_maps < MAPS_MAX)
		f->map_ids[f->n_maps++] = id;
}

static void put_program(struct buf *out, uint32_t id, struct found *f)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	uint32_t map_ids[MAPS_OF_ONE] = { 0 };
	struct bpf_prog_info info = { .nr_map_ids = MAPS_OF_ONE,
		                      .map_ids = (__u64)(uintptr_t)map_ids };
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return;
	const struct known *k = find(programs, ARRAY_SIZE(programs), info.name);

	if (!k)
		return;
	buf_printf(out, "program %u %s: %s\n", id, k->name, k->what);
	if (info.run_cnt > 0)
		buf_printf(out, "    %llu runs, %llu ns, %.0f ns each\n",
		           (unsigned long long)info.run_cnt, (unsigned long long)info.run_time_ns,
		           (double)info.run_time_ns / (double)info.run_cnt);
	for (uint32_t i = 0; i < MIN(info.nr_map_ids, (__u32)MAPS_OF_ONE); i++)
		note_map(f, map_ids[i]);
	f->n_programs++;
}

int bpf_dump(struct buf *out, struct err *e)
{
	struct found f = { 0 };
	__u32 id = 0;
	int r = bpf_prog_get_next_id(0, &id);

	if (r == -EPERM)
		return err_set(e, r, "programs can be listed by root only");
	for (; r == 0; r = bpf_prog_get_next_id(id, &id))
		put_program(out, id, &f);
	if (f.n_programs == 0)
		return err_set(e, -ENOENT, "no program of periscope-host is in the kernel");
	buf_printf(out, "Runs are counted while sysctl kernel.bpf_stats_enabled is 1.\n\n");
	for (size_t i = 0; i < f.n_maps; i++)
		put_map(out, f.map_ids[i]);
	return 0;
}
