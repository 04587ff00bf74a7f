/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding monitors among all processes of the host.
 *
 * Reading a file for each of 3,000 processes every second would cost more than all sources together
 * (collector.md §1). So a process is looked at LOOKS times after it first appeared, which is long
 * enough for the exec that follows a fork, and then only in every FULL_EVERY-th scan.
 */
#include "userspace/host/registry_int.h"

#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/host/discover.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/procfs.h"

#define LOOKS      5u
#define FULL_EVERY 30u

static struct metric scans =
	METRIC_COUNTER("periscope_host_proc_scans_total", "", "Scans of /proc for monitors.");
METRIC_REGISTER(scans);

struct walk {
	struct registry *r;
	struct scan now;
	size_t at; /* in r->scan, which is sorted as well */
};

static void look(struct registry *r, pid_t pid)
{
	char comm[64];

	if (registry_by_pid(r, pid) || procfs_comm(r->world.proc, pid, 0, comm, sizeof(comm)) < 0)
		return;
	if (discover_kind(comm) != VMM_OTHER)
		registry_add_found(r, pid);
}

static uint32_t looks_before(struct walk *w, pid_t pid)
{
	const struct scan *before = &w->r->scan;

	while (w->at < before->n && before->v[w->at].pid < pid)
		w->at++;
	return w->at < before->n && before->v[w->at].pid == pid ? before->v[w->at].n_looks : 0;
}

static int visit(void *ctx, long pid)
{
	struct walk *w = ctx;
	struct seen s = { .pid = (pid_t)pid, .n_looks = looks_before(w, (pid_t)pid) };

	if (s.n_looks < LOOKS || w->r->scan.n_scans % FULL_EVERY == 0) {
		look(w->r, s.pid);
		s.n_looks++;
	}
	int r = MEM_GROW(w->now.v, w->now.cap, w->now.n + 1);

	if (r < 0)
		return r;
	w->now.v[w->now.n++] = s;
	return 0;
}

void registry_scan(struct registry *r)
{
	struct walk w = { .r = r };
	int res;

	if (!r->conf->discovery_enabled)
		return;
	metric_add(&scans, 1);
	w.now.n_scans = r->scan.n_scans + 1;
	res = procfs_each_pid(r->world.proc, visit, &w);
	free(r->scan.v);
	r->scan = w.now;
	if (res < 0)
		log_warn("registry: cannot scan for monitors", STRV("folder", r->world.proc),
		         STRV("why", strerror(-res)));
}
