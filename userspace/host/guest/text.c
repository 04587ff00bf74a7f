/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/text.h"

#include <inttypes.h>

#include "userspace/base/util.h"

#define NS_OF_CENTISECOND 10000000u

static void put_memory(const struct guest_sample *s, struct buf *out)
{
	static const char *const names[GUEST_MEM_N] = {
		"MemTotal", "MemFree",  "MemAvailable", "Buffers",     "Cached",       "SwapCached",
		"Active",   "Inactive", "SwapTotal",    "SwapFree",    "Dirty",        "Writeback",
		"Shmem",    "Slab",     "VmallocTotal", "VmallocUsed", "VmallocChunk",
	};

	for (uint32_t i = 0; i < GUEST_MEM_N; i++)
		buf_printf(out, "%s: %" PRIu64 " kB\n", names[i], s->memory[i] / 1024);
}

static void put_load(const struct guest_sample *s, struct buf *out)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(s->load_centi); i++)
		buf_printf(out, "%s%u.%02u", i > 0 ? " " : "", s->load_centi[i] / 100,
		           s->load_centi[i] % 100);
	buf_putc(out, '\n');
}

static void put_cpus(const struct guest_sample *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n_cpus; i++) {
		buf_printf(out, "cpu%u", s->cpus[i].id);
		for (uint32_t m = 0; m < GUEST_MODES; m++)
			buf_printf(out, " %" PRIu64, s->cpus[i].ns[m] / NS_OF_CENTISECOND);
		buf_putc(out, '\n');
	}
}

static void put_numbers(const uint64_t *v, uint32_t n, struct buf *out)
{
	for (uint32_t i = 0; i < n; i++)
		buf_printf(out, " %" PRIu64, v[i]);
	buf_putc(out, '\n');
}

/* Numbers of devices are not known here. */
static void put_disks(const struct guest_sample *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n_disks; i++) {
		buf_printf(out, "0 0 %s", s->disks[i].name);
		put_numbers(s->disks[i].v, GUEST_DISK_N, out);
	}
}

static void put_nets(const struct guest_sample *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n_nets; i++) {
		buf_printf(out, "%s:", s->nets[i].name);
		put_numbers(s->nets[i].v, GUEST_NET_N, out);
	}
}

static void put_files(const struct guest_sample *s, struct buf *out)
{
	buf_printf(out, "%" PRIu64 "\t0\t%" PRIu64 "\n", s->files, s->files_max);
}

static void put_mounts(const struct guest_sample *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct guest_mount *m = &s->mounts[i];
		const uint64_t v[] = { m->block_bytes, m->blocks, m->blocks_free, m->blocks_avail };

		buf_puts(out, m->path);
		put_numbers(v, ARRAY_SIZE(v), out);
	}
}

static void put_oom(const struct guest_sample *s, struct buf *out)
{
	buf_printf(out, "oom_kill %" PRIu64 "\n", s->oom_kills);
}

static void put_pressure(const struct guest_sample *s, struct buf *out)
{
	static const char *const kinds[GUEST_PRESSURE_N] = { "some", "full" };

	for (uint32_t i = 0; s->has_pressure && i < GUEST_PRESSURE_N; i++) {
		const uint32_t *v = s->pressure[i].average_centi;

		buf_printf(out, "%s avg10=%u.%02u avg60=%u.%02u avg300=%u.%02u total=%" PRIu64 "\n",
		           kinds[i], v[0] / 100, v[0] % 100, v[1] / 100, v[1] % 100, v[2] / 100,
		           v[2] % 100, s->pressure[i].total_us);
	}
}

static void put_main(const struct guest_sample *s, struct buf *out)
{
	if (s->main.there)
		buf_printf(out, "%u (%s) %" PRIu64 "\n", s->main.pid, s->main.comm,
		           s->main.start_ns);
}

static const struct {
	const char *name;
	enum guest_family family;
	void (*put)(const struct guest_sample *s, struct buf *out);
} parts[] = {
	{ "meminfo", GUEST_MEMORY, put_memory },
	{ "loadavg", GUEST_LOAD, put_load },
	{ "stat", GUEST_CPU, put_cpus },
	{ "diskstats", GUEST_DISK, put_disks },
	{ "net", GUEST_NET, put_nets },
	{ "files", GUEST_FILES, put_files },
	{ "statfs", GUEST_MOUNTS, put_mounts },
	{ "vmstat", GUEST_OOM, put_oom },
	{ "pressure", GUEST_PRESSURE, put_pressure },
	{ "main", GUEST_MAIN, put_main },
};

void guest_text_write(const struct guest_sample *s, struct buf *out)
{
	buf_printf(out, "== uptime\n%" PRIu64 ".%02u\n", s->boot_ns / 1000000000u,
	           (unsigned)(s->boot_ns / NS_OF_CENTISECOND % 100));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!(s->valid >> parts[i].family & 1))
			continue;
		buf_printf(out, "== %s\n", parts[i].name);
		parts[i].put(s, out);
	}
}
