/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The daemon: one collector thread that waits for signals, process events, changes of VMs and the
 * next tick, and acts on each.
 *
 *	tick     registry and sources into a batch, stale marks for what ended, to delivery
 *	VM ends  stale marks for its series at once, not at the next tick
 *	HUP      the settings are read again; a bad file changes nothing
 *	USR1     state to the log
 *	TERM     what waits is sent for a bounded time, then the daemon ends
 *
 * Ticks are aligned to multiples of the interval, on all hosts alike; a tick that could not begin
 * in time is left out and counted, never made up for.
 */

#include "userspace/base/err.h"

struct host;
struct host_conf;
struct simulate_opts;

/* What the command line asks for beyond the settings; NULL: not asked for. */
struct host_extras {
	const struct simulate_opts *simulate; /* made-up VMs instead of this host's */
	const char *tap;                      /* a file that records what was collected */
};

/* Signals that the daemon handles; before any thread is made. */
void host_block_signals(void);

/*
 * host_open() - opens everything. Takes over @conf (heap) on success and failure.
 *
 * @path is where it was read from, for a reload. -EPERM with @e when no source works at all.
 */
int host_open(struct host **ret, struct host_conf *conf, const char *path,
              const struct host_extras *extras, struct err *e);

/* Returns when a signal ended it. */
void host_run(struct host *h);
void host_close(struct host *h); /* NULL is fine */
