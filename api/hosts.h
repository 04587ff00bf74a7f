/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How far behind the hosts are, judged by what has arrived. Two kinds of series tell it:
 *
 *	up     1 for each VM at every collection (fly_instance_up): when its host was heard last. A
 *	       VM that ended has a stale mark at the end of it, and says nothing of its host.
 *	own    the daemon's own metrics: how much waits in its queue, how old that is, what it lost.
 *	       A host that is catching up may send new samples first, so that only this shows it.
 *
 * Nothing is remembered between two requests, so a restart of the region changes no judgement.
 *
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stdint.h>

#include "api/counts.h"
#include "store/store.h"
#include "userspace/base/arena.h"

#define HOSTS_MAX 100000u

enum host_fault {
	HOST_FINE,
	HOST_SILENT, /* nothing has come for too long */
	HOST_BEHIND, /* what waits on it is too old */
	HOST_FAULTS
};

const char *host_fault_name(enum host_fault f); /* "" for HOST_FINE */

struct host_state {
	struct str host, region;
	int64_t last_ms;      /* its newest sample */
	uint64_t n_instances; /* VMs that were not ended */
	double lost;          /* samples that will never come, lost during the time looked at */
	bool has_queue;       /* the rest is known */
	double queue_lag_s, queue_samples;
};

struct hosts {
	struct host_state *v; /* sorted by hosts_sort() */
	size_t n, cap;
	struct counts index;    /* place in v + 1, by name */
	struct arena *arena;    /* texts */
	struct str destination; /* what hosts call this region; empty = any of theirs */
	bool may_add;           /* a host that only its own series tell of */
};

void hosts_done(struct hosts *h);

/* A series of the one kind, or of the other. 0, -ENOSPC (too many hosts) or -ENOMEM. */
int hosts_see_up(struct hosts *h, const struct store_series *s);
int hosts_see_own(struct hosts *h, const struct store_series *s);

/* Regular expression of the names that hosts_see_own() understands. */
#define HOSTS_OWN_NAMES                                                        \
	"periscope_host_(queue_oldest_seconds|queue_samples|collections_total" \
	"|samples_dropped_total)"

void hosts_sort(struct hosts *h); /* by name */
/* @late_ms: how old may the newest sample be, and what waits? */
enum host_fault host_judge(const struct host_state *s, int64_t now_ms, int64_t late_ms);
