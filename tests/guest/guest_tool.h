/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* What the programs share that read guests for tests: arguments, errors, plausibility. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/guest/guest.h"
#include "userspace/host/guest/profile.h"

static inline void tool_fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline void *tool_alloc(size_t n, size_t bytes)
{
	void *p = calloc(n, bytes);

	if (!p)
		tool_fail("memory", "none");
	return p;
}

static inline const struct profile *tool_profile(const char *path)
{
	struct profile *p = tool_alloc(1, sizeof(*p));
	struct err e = ERR_INIT;

	if (profile_load(path, p, &e) < 0)
		tool_fail(path, e.msg);
	return p;
}

static inline uint64_t tool_clock_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline bool tool_is_text(const char *text, size_t cap)
{
	size_t n = strnlen(text, cap);

	for (size_t i = 0; i < n; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return n < cap;
}

/* What must hold whatever a guest has in its memory; NULL, or what does not. */
static inline const char *tool_broken_bound(const struct guest_sample *s,
                                            const struct mem_counts *counts)
{
	if (counts->n_pages > MEM_PAGES_MAX)
		return "too many pages";
	if (counts->n_steps > MEM_STEPS_MAX + GUEST_FAMILIES * 2)
		return "too many steps";
	if (s->n_cpus > GUEST_CPUS_MAX || s->n_disks > GUEST_DISKS_MAX ||
	    s->n_nets > GUEST_NETS_MAX || s->n_mounts > GUEST_MOUNTS_MAX)
		return "more than there is room for";
	for (uint32_t i = 0; i < s->n_disks; i++) {
		if (!tool_is_text(s->disks[i].name, sizeof(s->disks[i].name)))
			return "a disk's name";
	}
	for (uint32_t i = 0; i < s->n_nets; i++) {
		if (!tool_is_text(s->nets[i].name, sizeof(s->nets[i].name)))
			return "an interface's name";
	}
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		if (!tool_is_text(s->mounts[i].path, sizeof(s->mounts[i].path)))
			return "a mount's path";
	}
	return tool_is_text(s->main.comm, sizeof(s->main.comm)) ? NULL : "the main process's name";
}
