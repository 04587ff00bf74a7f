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

static const struct {
	const char *name;
	enum guest_family family;
	void (*put)(const struct guest_sample *s, struct buf *out);
} parts[] = {
	{ "meminfo", GUEST_MEMORY, put_memory },
	{ "loadavg", GUEST_LOAD, put_load },
	{ "stat", GUEST_CPU, put_cpus },
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
