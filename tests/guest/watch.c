/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples a running guest again and again, and looks at every value: what only grows must grow,
 * what is a part must not be more than the whole.
 *
 *	watch PROFILE PID ROUNDS PAUSE-US
 *
 * Prints how many samples had a family that failed, and each value that cannot be.
 */
#include "tests/guest/guest_tool.h"

#include <unistd.h>

#include "userspace/host/guest/locate.h"

#define CPU_BACK_NS 20000000u /* idle time is an estimate: two centiseconds */

static unsigned long n_bad;

static void bad(unsigned long round, const char *what, const char *which, uint64_t a, uint64_t b)
{
	n_bad++;
	printf("sample %lu: %s %s: %" PRIu64 ", before %" PRIu64 "\n", round, what, which, a, b);
}

static void look_at_memory(unsigned long i, const struct guest_sample *s)
{
	static const enum guest_memory parts[] = { GUEST_MEM_FREE,   GUEST_MEM_AVAILABLE,
		                                   GUEST_MEM_CACHED, GUEST_MEM_ACTIVE,
		                                   GUEST_MEM_DIRTY,  GUEST_MEM_SLAB,
		                                   GUEST_MEM_SHMEM,  GUEST_MEM_INACTIVE };

	for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
		if (s->memory[parts[k]] > s->memory[GUEST_MEM_TOTAL])
			bad(i, "more than all memory", guest_memory_name(parts[k]),
			    s->memory[parts[k]], s->memory[GUEST_MEM_TOTAL]);
	}
}

static void look_at_cpus(unsigned long i, const struct guest_sample *s,
                         const struct guest_sample *before)
{
	for (uint32_t c = 0; c < s->n_cpus && c < before->n_cpus; c++) {
		for (uint32_t m = 0; m < GUEST_MODES; m++) {
			if (s->cpus[c].ns[m] + CPU_BACK_NS < before->cpus[c].ns[m])
				bad(i, "went back", guest_mode_name(m), s->cpus[c].ns[m],
				    before->cpus[c].ns[m]);
		}
	}
	if (s->n_cpus != before->n_cpus)
		bad(i, "CPUs", "", s->n_cpus, before->n_cpus);
}

static void look_at_disks(unsigned long i, const struct guest_sample *s,
                          const struct guest_sample *before)
{
	for (uint32_t d = 0; d < s->n_disks && d < before->n_disks; d++) {
		if (strcmp(s->disks[d].name, before->disks[d].name) != 0)
			continue;
		for (uint32_t f = 0; f < GUEST_DISK_IN_FLIGHT; f++) {
			if (s->disks[d].v[f] < before->disks[d].v[f])
				bad(i, "went back", s->disks[d].name, s->disks[d].v[f],
				    before->disks[d].v[f]);
		}
	}
}

static void look_at_mounts(unsigned long i, const struct guest_sample *s)
{
	for (uint32_t m = 0; m < s->n_mounts; m++) {
		const struct guest_mount *mount = &s->mounts[m];

		if (mount->path[0] != '/' || mount->blocks_free > mount->blocks ||
		    mount->blocks_avail > mount->blocks_free || mount->block_bytes == 0)
			bad(i, "mount", mount->path, mount->blocks_free, mount->blocks);
	}
}

static void look(unsigned long i, const struct guest_sample *s, const struct guest_sample *before)
{
	look_at_memory(i, s);
	look_at_mounts(i, s);
	if (i == 0)
		return;
	if (s->valid & before->valid & 1u << GUEST_CPU)
		look_at_cpus(i, s, before);
	if (s->valid & before->valid & 1u << GUEST_DISK)
		look_at_disks(i, s, before);
	if (s->valid & before->valid & 1u << GUEST_OOM && s->oom_kills < before->oom_kills)
		bad(i, "went back", "OOM kills", s->oom_kills, before->oom_kills);
}

static struct guest *locate(const struct profile *p, int pid, struct mem_cache *cache)
{
	const struct locate_target target = { .proc = "/proc", .pid = pid, .dead_gpa = NO_KERNEL };
	struct locate_access access;
	struct err e = ERR_INIT;
	struct guest *g;

	if (locate_guest(&g, &target, &p, 1, cache, &access, &e) < 0)
		tool_fail("guest", e.msg);
	return g;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		tool_fail("usage", "watch PROFILE PID ROUNDS PAUSE-US");
	const struct profile *p = tool_profile(argv[1]);
	struct mem_cache *cache = tool_alloc(1, sizeof(*cache));
	struct guest_sample *s = tool_alloc(2, sizeof(*s));
	const unsigned long n = strtoul(argv[3], NULL, 10), pause_us = strtoul(argv[4], NULL, 10);
	struct guest *g = locate(p, (int)strtol(argv[2], NULL, 10), cache);
	unsigned long n_failed = 0, n_calls = 0, n_pages = 0;
	uint64_t cpu_ns = 0;

	for (unsigned long i = 0; i < n; i++) {
		struct guest_sample *now = &s[i % 2], *before = &s[(i + 1) % 2];
		uint64_t start_ns = tool_clock_ns(CLOCK_THREAD_CPUTIME_ID);
		int r = guest_sample(g, cache, ~0u, tool_clock_ns(CLOCK_MONOTONIC), now);

		cpu_ns += tool_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
		n_calls += guest_counts(g)->n_calls;
		n_pages += guest_counts(g)->n_pages;
		if (r < 0 || now->valid != guest_features_families(p)) {
			n_failed++;
			printf("sample %lu: result %d, families %x of %x\n", i, r, now->valid,
			       guest_features_families(p));
		}
		look(i, now, before);
		(void)usleep((useconds_t)pause_us);
	}
	printf("%lu samples: %lu failed, %lu values that cannot be; %.1f us of CPU time, "
	       "%.2f calls, %.1f pages a sample\n",
	       n, n_failed, n_bad, (double)cpu_ns / (double)n / 1e3, (double)n_calls / (double)n,
	       (double)n_pages / (double)n);
	guest_detach(g);
	free(s);
	free(cache);
	free((void *)(uintptr_t)p);
	return 0;
}
