/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From a monitor's process to its guest: where the guest's memory is, which of the known kernel
 * builds runs in it, and where.
 */

#include <stddef.h>
#include <sys/types.h>

#include "userspace/base/err.h"
#include "userspace/host/guest/guest.h"
#include "userspace/host/guest/layout.h"

struct locate_target {
	const char *proc; /* "/proc" */
	pid_t pid;
	uint64_t memory_bytes; /* 0 = not known */
	uint64_t dead_gpa;     /* of guest_attach() */
	/* The memory as KVM has it; 0 pieces: guessed from /proc/PID/maps. */
	struct mem_seg segs[MEM_SEGS_MAX];
	uint32_t n_segs;
};

/* How its memory may be read. */
struct locate_access {
	bool careful; /* page by page: it is shared, or has a userfaultfd handler */
	bool blocks;  /* the latter: a read may wait for somebody else */
};

/*
 * locate_guest() - tries @profiles in their order.
 *
 * Returns 0, or with @e
 *   -ENOENT        none of these kernels runs there (yet)
 *   -EPERM, -ESRCH the process cannot be read
 * Cost: space_find() for each profile and each guess of a layout.
 */
int locate_guest(struct guest **ret, const struct locate_target *t,
                 const struct profile *const *profiles, size_t n_profiles, struct mem_cache *cache,
                 struct locate_access *ret_access, struct err *e);
