/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_emit.h"

#include <stdio.h>

#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"

#define NS_OF_CENTISECOND 10000000u

static int add_count(struct batch *out, enum series_id id, const char *const *extra, uint64_t v)
{
	return batch_add(out, id, extra, (double)v);
}

static int emit_memory(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = 0;

	(void)floor;
	for (unsigned i = 0; i < GUEST_MEM_N && r == 0; i++)
		r = add_count(out, (enum series_id)(FLY_INSTANCE_MEMORY_MEM_TOTAL + i), NULL,
		              s->memory[i]);
	return r;
}

static int emit_load(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	static const char *const minutes[ARRAY_SIZE(s->load_centi)][1] = { { "1" },
		                                                           { "5" },
		                                                           { "15" } };
	int r = 0;

	(void)floor;
	for (size_t i = 0; i < ARRAY_SIZE(minutes) && r == 0; i++)
		r = add_count(out, FLY_INSTANCE_LOAD_AVERAGE, minutes[i], s->load_centi[i]);
	return r;
}

static struct guest_cpu *floor_of(struct guest_floor *floor, uint32_t id)
{
	for (uint32_t i = 0; i < floor->n_cpus; i++) {
		if (floor->cpus[i].id == id)
			return &floor->cpus[i];
	}
	if (floor->n_cpus == GUEST_CPUS_MAX)
		floor->n_cpus = 0; /* CPUs came and went: begin anew */
	struct guest_cpu *f = &floor->cpus[floor->n_cpus++];

	*f = (struct guest_cpu){ .id = id };
	return f;
}

/* In whole centiseconds, as the guest's own /proc/stat. */
static int emit_cpu(const struct guest_cpu *c, struct guest_cpu *floor, struct batch *out)
{
	char cpu_id[16];
	int r = 0;

	(void)snprintf(cpu_id, sizeof(cpu_id), "%u", c->id);
	for (unsigned m = 0; m < GUEST_MODES && r == 0; m++) {
		const char *extra[] = { cpu_id, guest_mode_name(m) };

		floor->ns[m] = MAX(floor->ns[m], c->ns[m]);
		r = add_count(out, FLY_INSTANCE_CPU, extra,
		              floor->ns[m] / NS_OF_CENTISECOND * NS_OF_CENTISECOND);
	}
	return r;
}

static int emit_cpus(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = 0;

	for (uint32_t i = 0; i < s->n_cpus && r == 0; i++)
		r = emit_cpu(&s->cpus[i], floor_of(floor, s->cpus[i].id), out);
	return r;
}

static int emit_pressure(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	static const enum series_id ids[GUEST_PRESSURE_N] = { FLY_INSTANCE_MEMORY_PRESSURE_SOME,
		                                              FLY_INSTANCE_MEMORY_PRESSURE_FULL };
	static const char *const durations[][1] = {
		{ "avg10" }, { "avg60" }, { "avg300" }, { "total" }
	};
	int r = 0;

	(void)floor;
	for (size_t i = 0; s->has_pressure && i < ARRAY_SIZE(ids) && r == 0; i++) {
		const struct guest_pressure *p = &s->pressure[i];

		for (size_t k = 0; k < ARRAY_SIZE(p->average_centi) && r == 0; k++)
			r = batch_add(out, ids[i], durations[k], p->average_centi[k] / 100.0);
		if (r == 0)
			r = add_count(out, ids[i], durations[3], p->total_us);
	}
	return r;
}

static int emit_disks(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = 0;

	(void)floor;
	for (uint32_t i = 0; i < s->n_disks; i++) {
		const char *extra[] = { s->disks[i].name };

		for (unsigned k = 0; k < GUEST_DISK_N && r == 0; k++)
			r = add_count(out, (enum series_id)(FLY_INSTANCE_DISK_READS_COMPLETED + k),
			              extra, s->disks[i].v[k]);
	}
	return r;
}

static int emit_nets(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = 0;

	(void)floor;
	for (uint32_t i = 0; i < s->n_nets; i++) {
		const char *extra[] = { s->nets[i].name };

		for (unsigned k = 0; k < GUEST_NET_N && r == 0; k++)
			r = add_count(out, (enum series_id)(FLY_INSTANCE_NET_RECV_BYTES + k), extra,
			              s->nets[i].v[k]);
	}
	return r;
}

static int emit_files(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = add_count(out, FLY_INSTANCE_FILEFD_ALLOCATED, NULL, s->files);

	(void)floor;
	return r == 0 ? add_count(out, FLY_INSTANCE_FILEFD_MAXIMUM, NULL, s->files_max) : r;
}

static int emit_mounts(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = 0;

	(void)floor;
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct guest_mount *m = &s->mounts[i];
		const uint64_t v[] = { m->blocks, m->block_bytes, m->blocks_free, m->blocks_avail };
		const char *extra[] = { m->path };

		for (unsigned k = 0; k < ARRAY_SIZE(v) && r == 0; k++)
			r = add_count(out, (enum series_id)(FLY_INSTANCE_FILESYSTEM_BLOCKS + k),
			              extra, v[k]);
	}
	return r;
}

static int emit_oom(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	(void)floor;
	return add_count(out, FLY_INSTANCE_MEMORY_OOM_KILLS, NULL, s->oom_kills);
}

static const struct {
	enum series_id first, last; /* rows of the family */
	int (*emit)(const struct guest_sample *s, struct guest_floor *floor, struct batch *out);
} families[GUEST_FAMILIES] = {
	/* what is not here has no series: it is for the end */
	[GUEST_MEMORY] = { FLY_INSTANCE_MEMORY_MEM_TOTAL, FLY_INSTANCE_MEMORY_VMALLOC_CHUNK,
	                   emit_memory },
	[GUEST_PRESSURE] = { FLY_INSTANCE_MEMORY_PRESSURE_SOME, FLY_INSTANCE_MEMORY_PRESSURE_FULL,
	                     emit_pressure },
	[GUEST_DISK] = { FLY_INSTANCE_DISK_READS_COMPLETED, FLY_INSTANCE_DISK_TIME_IO_WEIGHTED,
	                 emit_disks },
	[GUEST_NET] = { FLY_INSTANCE_NET_RECV_BYTES, FLY_INSTANCE_NET_SENT_COMPRESSED, emit_nets },
	[GUEST_FILES] = { FLY_INSTANCE_FILEFD_ALLOCATED, FLY_INSTANCE_FILEFD_MAXIMUM, emit_files },
	[GUEST_MOUNTS] = { FLY_INSTANCE_FILESYSTEM_BLOCKS, FLY_INSTANCE_FILESYSTEM_BLOCKS_AVAIL,
	                   emit_mounts },
	[GUEST_OOM] = { FLY_INSTANCE_MEMORY_OOM_KILLS, FLY_INSTANCE_MEMORY_OOM_KILLS, emit_oom },
	[GUEST_LOAD] = { FLY_INSTANCE_LOAD_AVERAGE, FLY_INSTANCE_LOAD_AVERAGE, emit_load },
	[GUEST_CPU] = { FLY_INSTANCE_CPU, FLY_INSTANCE_CPU, emit_cpus },
};

int guest_emit(const struct guest_sample *s, struct guest_floor *floor, struct batch *out)
{
	int r = batch_add(out, FLY_INSTANCE_UPTIME_SECONDS, NULL, (double)s->boot_ns);

	for (unsigned i = 0; i < GUEST_FAMILIES && r == 0; i++) {
		if (families[i].emit && (s->valid >> i & 1))
			r = families[i].emit(s, floor, out);
	}
	return r;
}

void guest_emit_nothing(uint32_t set, struct batch *out)
{
	for (unsigned i = 0; i < GUEST_FAMILIES; i++) {
		if (!families[i].emit || !(set >> i & 1))
			continue;
		for (unsigned id = families[i].first; id <= families[i].last; id++)
			batch_hold(out, (enum series_id)id);
	}
}
