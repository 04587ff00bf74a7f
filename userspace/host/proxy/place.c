/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/place.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/procfs.h"
#include "userspace/host/proxy/cgroups.h"

#define SETTLE_NS 300000000ull

int place_init(struct place *p, const struct proxy_conf *conf)
{
	*p = (struct place){ .conf = conf, .main_pidfd = -1 };
	p->colour = conf->proxy_id == PROXY_ID_GREEN ? PROXY_GREEN : PROXY_BLUE;
	return cgroups_root(p->root);
}

void place_done(struct place *p)
{
	free(p->procs);
	p->procs = NULL;
	if (p->main_pidfd >= 0)
		(void)close(p->main_pidfd);
	p->main_pidfd = -1;
}

/* ---- the cgroup's folder -------------------------------------------------------------------- */

static bool runs_executable(pid_t pid, const char *exe)
{
	char name[64], link[PATH_MAX];
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/%d/exe", pid);
	n = readlink(name, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	/* A package's upgrade replaces the file under the running process. */
	char *deleted = strstr(link, " (deleted)");

	if (deleted)
		*deleted = '\0';
	return strcmp(link, exe) == 0;
}

struct exe_search {
	const char *exe, *root;
	char *path;
};

static int visit_process(void *ctx, long pid)
{
	const struct exe_search *s = ctx;

	if (!runs_executable((pid_t)pid, s->exe))
		return 0;
	return cgroups_of(s->root, (pid_t)pid, s->path) ? -EEXIST : 0;
}

static bool find_executable(const char *root, const char *exe, char path[PATH_MAX])
{
	struct exe_search s = { exe, root, path };

	return procfs_each_pid("/proc", visit_process, &s) == -EEXIST;
}

static bool stat_cgroup(struct place *p)
{
	struct stat st;

	if (p->cgroup[0] == '\0' || stat(p->cgroup, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	p->cgroup_id = st.st_ino;
	return true;
}

static enum proxy_colour other(enum proxy_colour c)
{
	return c == PROXY_BLUE ? PROXY_GREEN : PROXY_BLUE;
}

bool place_main_is_alive(const struct place *p)
{
	struct pollfd ended = { .fd = p->main_pidfd, .events = POLLIN };

	return p->main_pidfd >= 0 && poll(&ended, 1, 0) == 0;
}

enum proxy_colour place_colour_at(const struct place *p, uint64_t at_ns)
{
	return at_ns < p->since_ns ? other(p->colour) : p->colour;
}

bool place_look(struct place *p)
{
	bool found = true;

	if (stat_cgroup(p))
		return true;
	p->cgroup[0] = '\0';
	if (p->conf->cgroup[0])
		(void)snprintf(p->cgroup, sizeof(p->cgroup), "%s", p->conf->cgroup);
	else if (p->conf->unit[0])
		found = cgroups_find(p->root, p->conf->unit, p->cgroup);
	else
		found = find_executable(p->root, p->conf->exe, p->cgroup);
	return found && stat_cgroup(p);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void note_netns(struct place *p, pid_t pid)
{
	char name[64];
	struct stat st;

	(void)snprintf(name, sizeof(name), "/proc/%d/ns/net", pid);
	if (stat(name, &st) < 0)
		return;
	for (uint32_t i = 0; i < p->n_netns; i++) {
		if (p->netns[i] == st.st_ino)
			return;
	}
	if (p->n_netns == PLACE_NETNS_MAX)
		return;
	p->netns[p->n_netns] = st.st_ino;
	p->netns_pids[p->n_netns++] = pid;
}

static void note_process(void *ctx, pid_t pid)
{
	struct place *p = ctx;
	struct proc_stat st;
	size_t at;

	if (procfs_stat("/proc", pid, &st) < 0 || st.state == 'Z' || st.state == 'X')
		return;
	if (MEM_GROW(p->procs, p->procs_cap, p->n_procs + 1) < 0)
		return;
	for (at = p->n_procs++; at > 0 && p->procs[at - 1].start_ticks > st.start_ticks; at--)
		p->procs[at] = p->procs[at - 1];
	p->procs[at] = (struct place_process){ pid, st.start_ticks };
	note_netns(p, pid);
}

static bool is_alive(const struct place *p, const struct place_process *which)
{
	for (size_t i = 0; i < p->n_procs; i++) {
		if (p->procs[i].pid == which->pid && p->procs[i].start_ticks == which->start_ticks)
			return true;
	}
	return false;
}

static bool is_same(const struct place_process *a, const struct place_process *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

static pid_t parent_of(pid_t pid)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char name[64];
	uint64_t parent = 0;

	(void)snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	if (file_read(name, &text, 4096) < 0)
		return 0;
	const char *end = strrchr(buf_cstr(&text), ')');
	struct str word, rest = end ? str_from(end + 1) : STR_NULL;

	for (int i = 0; i < 3; i++) /* ") S PPID" */
		(void)str_cut(rest, ' ', &word, &rest);
	return num_parse_u64(word, &parent) == 0 ? (pid_t)parent : 0;
}

static bool is_member(const struct place *p, pid_t pid)
{
	for (size_t i = 0; i < p->n_procs; i++) {
		if (p->procs[i].pid == pid)
			return true;
	}
	return false;
}

/* The newest process that no other one of the cgroup started: a master, not its worker. */
static const struct place_process *newest_main(const struct place *p)
{
	for (size_t i = p->n_procs; i-- > 0;) {
		if (!is_member(p, parent_of(p->procs[i].pid)))
			return &p->procs[i];
	}
	return NULL;
}

/* Processes count their start in ticks since boot, suspended time included. */
static uint64_t began_ns(const struct place_process *proc)
{
	struct timespec boot;
	long hz = sysconf(_SC_CLK_TCK);

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	uint64_t boot_ns = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
	uint64_t age_ns =
		boot_ns - proc->start_ticks * (1000000000u / (uint64_t)(hz > 0 ? hz : 100));

	return clock_mono_ns() - age_ns;
}

static void become(struct place *p, const struct place_process *main, bool flip)
{
	bool first = p->main.pid == 0;

	if (!first && flip && p->conf->proxy_id == PROXY_ID_AUTO) {
		p->colour = other(p->colour);
		p->colour_used = false;
		p->since_ns = began_ns(main);
	}
	if (first || flip)
		log_info("proxy: main process", STRV("proxy", p->conf->name), I64("pid", main->pid),
		         STRV("proxy_id", proxy_colour_names[p->colour]));
	p->main = *main;
	if (p->main_pidfd >= 0)
		(void)close(p->main_pidfd);
	p->main_pidfd = (int)syscall(SYS_pidfd_open, main->pid, 0);
	p->newer = (struct place_process){ 0 };
}

static void decide(struct place *p, uint64_t now_ns)
{
	const struct place_process *newest = newest_main(p);

	if (!newest || is_same(newest, &p->main))
		return;
	if (!is_alive(p, &p->main)) {
		become(p, newest, p->colour_used);
		return;
	}
	if (!is_same(newest, &p->newer)) {
		p->newer = *newest;
		p->newer_seen_ns = now_ns;
	} else if (now_ns - p->newer_seen_ns >= SETTLE_NS) {
		become(p, newest, p->colour_used);
	}
}

void place_read_processes(struct place *p, uint64_t now_ns)
{
	p->n_procs = 0;
	p->n_netns = 0;
	if (p->cgroup[0] == '\0')
		return;
	cgroups_each_pid(p->cgroup, note_process, p);
	decide(p, now_ns);
}
