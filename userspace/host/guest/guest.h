/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The guest's own view, without anything in the guest: what its /proc would say now, computed from
 * its memory by the profile of its kernel build.
 *
 *	guest_attach()   finds the running kernel
 *	guest_sample()   reads all families once; each fails alone
 *	guest_detach()
 *
 * A family that fails is read once more, afresh, then left out of the sample. When the kernel is
 * not there any more (reboot in place, kexec), the sample is -ESTALE: attach anew.
 *
 * Hostile guests  A guest can forge what it shows, exactly as with an agent inside. It can make
 *                 nothing else happen: bounded time, no allocation, no write, names are sanitised.
 * Threads         A struct guest has one user at a time; profiles are shared.
 * Cost            about 50 us of CPU time and one system call a sample; 8 KB of memory.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/host/guest/mem.h"
#include "userspace/host/guest/profile.h"

#define GUEST_CPUS_MAX 64

enum guest_family {
	GUEST_MEMORY,
	GUEST_LOAD,
	GUEST_CPU,
	GUEST_FAMILIES
};

enum guest_memory { /* bytes, as /proc/meminfo means them */
	GUEST_MEM_TOTAL,
	GUEST_MEM_FREE,
	GUEST_MEM_AVAILABLE,
	GUEST_MEM_BUFFERS,
	GUEST_MEM_CACHED,
	GUEST_MEM_SWAP_CACHED,
	GUEST_MEM_ACTIVE,
	GUEST_MEM_INACTIVE,
	GUEST_MEM_SWAP_TOTAL,
	GUEST_MEM_SWAP_FREE,
	GUEST_MEM_DIRTY,
	GUEST_MEM_WRITEBACK,
	GUEST_MEM_SHMEM,
	GUEST_MEM_SLAB,
	GUEST_MEM_VMALLOC_TOTAL,
	GUEST_MEM_VMALLOC_USED,
	GUEST_MEM_VMALLOC_CHUNK,
	GUEST_MEM_N
};

enum guest_mode { /* in the order of /proc/stat */
	GUEST_MODE_USER,
	GUEST_MODE_NICE,
	GUEST_MODE_SYSTEM,
	GUEST_MODE_IDLE,
	GUEST_MODE_IOWAIT,
	GUEST_MODE_IRQ,
	GUEST_MODE_SOFTIRQ,
	GUEST_MODE_STEAL,
	GUEST_MODE_GUEST,
	GUEST_MODE_GUEST_NICE,
	GUEST_MODES
};

struct guest_cpu {
	uint32_t id;
	uint64_t ns[GUEST_MODES];
};

struct guest_sample {
	uint32_t valid;   /* bit for each family that was read */
	uint64_t mono_ns; /* the guest's clocks, as estimated for the moment of the sample */
	uint64_t boot_ns;
	uint64_t updated_ns; /* when the guest last updated its own: it lives while this moves */
	uint64_t memory[GUEST_MEM_N];
	uint32_t load_centi[3]; /* of 1, 5 and 15 minutes, in hundredths */
	uint32_t n_cpus;
	struct guest_cpu cpus[GUEST_CPUS_MAX]; /* those that are online */
};

struct guest;

/*
 * guest_attach() - finds the kernel of @p in @m, which is taken over on success.
 *
 * @p is borrowed for the guest's life. Returns 0, -ENOENT (another kernel, or none yet), -ENOMEM.
 * Cost: space_find().
 */
int guest_attach(struct guest **ret, const struct profile *p, struct mem *m,
                 struct mem_cache *cache);
void guest_detach(struct guest *g); /* NULL is fine */

/*
 * guest_sample() - reads the families of @wanted (a bit for each).
 *
 * @host_ns is CLOCK_MONOTONIC now. Returns 0 (see @ret->valid for what was read), or
 *   -EFAULT  the memory cannot be read: the monitor is gone
 *   -ESTALE  another kernel runs there
 *   -EBADMSG the clock or the CPUs make no sense
 */
int guest_sample(struct guest *g, struct mem_cache *cache, uint32_t wanted, uint64_t host_ns,
                 struct guest_sample *ret);

/*
 * guest_memory_end() - the first guest-physical address behind what the guest's kernel takes for
 * memory, by its first node. -EBADMSG when that makes no sense.
 */
int guest_memory_end(struct guest *g, struct mem_cache *cache, uint64_t *ret_gpa);

const struct profile *guest_profile(const struct guest *g);
const struct mem_counts *guest_counts(const struct guest *g); /* of the last sample */
uint32_t guest_features_families(const struct profile *p);    /* that @p's features suffice for */
const char *guest_family_name(enum guest_family family);
const char *guest_memory_name(enum guest_memory field); /* "mem_total", as in series names */
const char *guest_mode_name(enum guest_mode mode);
