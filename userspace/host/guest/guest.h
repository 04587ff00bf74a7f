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
#include "userspace/host/guest/space.h"

#define GUEST_CPUS_MAX   64
#define GUEST_DISKS_MAX  16
#define GUEST_NETS_MAX   16
#define GUEST_MOUNTS_MAX 16
#define GUEST_NAME_CAP   32  /* of disks and interfaces */
#define GUEST_PATH_CAP   128 /* of mount points; longer ones are left out */

enum guest_family {
	GUEST_MEMORY,
	GUEST_PRESSURE,
	GUEST_LOAD,
	GUEST_CPU,
	GUEST_DISK,
	GUEST_NET,
	GUEST_FILES,
	GUEST_MOUNTS,
	GUEST_OOM,
	GUEST_MAIN,
	GUEST_LOG,
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

enum {
	GUEST_PRESSURE_SOME,
	GUEST_PRESSURE_FULL,
	GUEST_PRESSURE_N
};

struct guest_pressure {            /* as /proc/pressure/memory */
	uint32_t average_centi[3]; /* per cent of the last 10, 60 and 300 s, in hundredths */
	uint64_t total_us;
};

enum guest_disk_field { /* the first eleven of /proc/diskstats */
	GUEST_DISK_READS,
	GUEST_DISK_READS_MERGED,
	GUEST_DISK_SECTORS_READ,
	GUEST_DISK_READ_MS,
	GUEST_DISK_WRITES,
	GUEST_DISK_WRITES_MERGED,
	GUEST_DISK_SECTORS_WRITTEN,
	GUEST_DISK_WRITE_MS,
	GUEST_DISK_IN_FLIGHT,
	GUEST_DISK_BUSY_MS,
	GUEST_DISK_WEIGHTED_MS,
	GUEST_DISK_N
};

struct guest_disk {
	char name[GUEST_NAME_CAP];
	uint64_t v[GUEST_DISK_N];
};

enum guest_net_field { /* the columns of /proc/net/dev */
	GUEST_NET_RX_BYTES,
	GUEST_NET_RX_PACKETS,
	GUEST_NET_RX_ERRS,
	GUEST_NET_RX_DROP,
	GUEST_NET_RX_FIFO,
	GUEST_NET_RX_FRAME,
	GUEST_NET_RX_COMPRESSED,
	GUEST_NET_RX_MULTICAST,
	GUEST_NET_TX_BYTES,
	GUEST_NET_TX_PACKETS,
	GUEST_NET_TX_ERRS,
	GUEST_NET_TX_DROP,
	GUEST_NET_TX_FIFO,
	GUEST_NET_TX_COLLS,
	GUEST_NET_TX_CARRIER,
	GUEST_NET_TX_COMPRESSED,
	GUEST_NET_N
};

struct guest_net {
	char name[GUEST_NAME_CAP];
	uint64_t v[GUEST_NET_N];
};

struct guest_mount { /* as statfs(2) says */
	char path[GUEST_PATH_CAP];
	uint64_t block_bytes, blocks, blocks_free, blocks_avail;
};

#define GUEST_COMM_CAP 16

/*
 * The process that a guest is for: the oldest that its first process has started, or the oldest of
 * the name that guest_set_main() gave. The addresses are in the monitor's memory, 0 of an image:
 * there its end can be read even when it has ended and is gone from all lists, for a while.
 */
struct guest_main {
	bool there;  /* the first process has started one */
	bool exited; /* and nobody has asked for its exit code yet */
	uint32_t pid;
	int32_t exit_code; /* as wait(2) gives it */
	uint64_t start_ns; /* with the number, its identity */
	char comm[GUEST_COMM_CAP];
	uint64_t pid_hva, start_hva, state_hva, code_hva;
};

#define GUEST_EXIT_STATES 0x30 /* EXIT_DEAD, EXIT_ZOMBIE: of exit_state, once it has ended */

struct guest_log { /* in the monitor's memory: klog.h says what it is */
	uint64_t text_hva, bytes, head_hva, id_hva;
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
	bool has_pressure;                     /* the guest keeps it */
	struct guest_pressure pressure[GUEST_PRESSURE_N];
	uint32_t n_disks, n_nets, n_mounts;
	struct guest_disk disks[GUEST_DISKS_MAX];
	struct guest_net nets[GUEST_NETS_MAX];
	struct guest_mount mounts[GUEST_MOUNTS_MAX];
	uint64_t files, files_max; /* open, and how many may be */
	uint64_t oom_kills;
	struct guest_main main;
	struct guest_log log;
};

struct guest;

/*
 * guest_attach() - finds the kernel of @p in @m, which is taken over on success.
 *
 * @dead_gpa: guest_text_gpa() of one in the same memory that is known to run no more, or NO_KERNEL.
 * @p is borrowed for the guest's life. Returns 0, -ENOENT (another kernel, or none yet), -ENOMEM.
 * Cost: space_find().
 */
int guest_attach(struct guest **ret, const struct profile *p, struct mem *m,
                 struct mem_cache *cache, uint64_t dead_gpa);
uint64_t guest_text_gpa(const struct guest *g); /* where its kernel begins, in its memory */
/* A guest in @m that nobody has looked for: for tests of what becomes of one. -ENOMEM. */
int guest_for_tests(struct guest **ret, const struct profile *p, const struct mem *m);
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

/*
 * guest_set_now() - the guest's monotonic time, for all samples from now on: of memory in a file,
 * whose clock no host's clock can tell. 0: by the host's clock again.
 */
void guest_set_now(struct guest *g, uint64_t mono_ns);

/* What the main process is called (/proc/PID/comm), from now on; "": the oldest is it. */
void guest_set_main(struct guest *g, const char *comm);

/* The process's memory is read with care from now on, or without (mem_open_process()). */
int guest_reopen(struct guest *g, int pid, bool careful);

/* For image.h: pages that are read from now on, all of them anew; finding the kernel once more. */
void guest_record(struct guest *g, void (*record)(void *ctx, uint64_t pfn, const uint8_t *bytes),
                  void *ctx);
int guest_find_again(struct guest *g, struct mem_cache *cache);
const struct mem *guest_mem(const struct guest *g);

const struct profile *guest_profile(const struct guest *g);
const struct mem_counts *guest_counts(const struct guest *g); /* of the last sample */
uint32_t guest_features_families(const struct profile *p);    /* that @p's features suffice for */
const char *guest_family_name(enum guest_family family);
const char *guest_memory_name(enum guest_memory field); /* "mem_total", as in series names */
const char *guest_mode_name(enum guest_mode mode);
