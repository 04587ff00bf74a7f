/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/sys/fs/file-nr, and kills for want of memory (oom_kill in /proc/vmstat).
 *
 * Source: fs/file_table.c (proc_nr_files), lib/percpu_counter.c, mm/vmstat.c (sum_vm_events).
 */
#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

int64_t walk_counter_sum(struct walk *w, uint64_t counter)
{
	uint64_t parts = walk_get(w, counter, F_COUNTER_PARTS);
	int64_t sum = (int64_t)walk_get(w, counter, F_COUNTER_SUM);

	WALK_EACH_CPU(cpu, w->online)
	{
		if (walk_failed(w))
			return 0;
		sum += (int32_t)walk_u32(w, walk_per_cpu(w, parts, cpu));
	}
	return MAX(sum, (int64_t)0);
}

void walk_files(struct walk *w)
{
	uint64_t files = walk_symbol(w, S_FILES);
	int64_t rough = (int64_t)walk_get(w, files, F_COUNTER_SUM);

	w->out->files = walk_value(w, V_FILES_EXACT) ? (uint64_t)walk_counter_sum(w, files)
	                                             : (uint64_t)MAX(rough, (int64_t)0);
	w->out->files_max = walk_get(w, walk_symbol(w, S_FILES_STAT), F_FILES_MAX);
}

void walk_oom(struct walk *w)
{
	w->out->oom_kills = 0;
	WALK_EACH_CPU(cpu, w->online)
	{
		if (walk_failed(w))
			return;
		w->out->oom_kills += walk_u64(w, walk_per_cpu_symbol(w, S_VM_EVENTS, cpu) +
		                                         (uint64_t)walk_value(w, V_OOM_KILL) * 8);
	}
}
