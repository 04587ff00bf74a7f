/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Where a proxy runs: its cgroup (v2), its processes, their network namespaces; and which of two
 * lives of it this is. A proxy is named by a cgroup's folder, by a systemd unit or by an
 * executable; the folder may come and go with the proxy.
 *
 * proxy_id  flips when the proxy's main process is another one: at once when the one before is
 *           dead, after SETTLE when both live (a hand-over; a "reload" command is gone by then). A
 *           life in which no connection was made does not count: systemd units like to test their
 *           configuration with the same executable before they start it.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/host/proxy/accounts.h"

struct proxy_conf;

#define PLACE_NETNS_MAX 4

struct place_process {
	pid_t pid;
	uint64_t start_ticks;
};

struct place {
	const struct proxy_conf *conf; /* borrowed */
	char root[PATH_MAX];           /* where cgroup v2 is mounted */
	char cgroup[PATH_MAX];         /* "" while there is none */
	uint64_t cgroup_id;            /* inode of that folder */
	struct place_process *procs;   /* ascending by start */
	size_t n_procs, procs_cap;
	uint64_t netns[PLACE_NETNS_MAX]; /* inode numbers, of the processes netns_pids */
	pid_t netns_pids[PLACE_NETNS_MAX];
	uint32_t n_netns;

	struct place_process main, newer;
	int main_pidfd;         /* readable when it has ended; -1: none */
	uint64_t newer_seen_ns; /* for the first time */
	uint64_t since_ns;      /* main began, by CLOCK_MONOTONIC; a hundredth of a second exact */
	enum proxy_colour colour;
	bool colour_used; /* a connection bears it */
};

/* @conf is borrowed. -ENOENT: no cgroup v2 is mounted. */
int place_init(struct place *p, const struct proxy_conf *conf);
void place_done(struct place *p);

/*
 * place_look() - finds the cgroup's folder anew. True when it is there.
 *
 * Sets cgroup and cgroup_id; another id means another folder of the same name. Cost: one stat(2)
 * while nothing changes.
 */
bool place_look(struct place *p);

/* Reads the processes and their namespaces, and decides about the colour. */
void place_read_processes(struct place *p, uint64_t now_ns);
/* Cost: one poll(2). */
bool place_main_is_alive(const struct place *p);

/* The colour of a connection made at @at_ns: of this life, or of the one before. */
enum proxy_colour place_colour_at(const struct place *p, uint64_t at_ns);
