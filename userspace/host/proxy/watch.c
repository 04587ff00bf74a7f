/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/proxy_int.h"

#define READ_EVERY_NS 1000000000ull

static int open_proxy(struct source *src, size_t i, const struct proxy_conf *conf, struct err *e)
{
	struct proxy *p = &src->proxies[i];
	struct net_endpoint *listeners;
	int r = conf_copy(&proxy_conf_schema, conf, &p->conf);

	if (r < 0)
		return r;
	listeners = mem_zalloc(conf->listeners.n + 1, sizeof(*listeners));
	if (!listeners)
		return -ENOMEM;
	for (size_t j = 0; r == 0 && j < conf->listeners.n; j++)
		r = net_endpoint_parse(conf->listeners.v[j], &listeners[j]);
	if (r == 0)
		r = program_open(&p->program, src->programs, (uint32_t)i, listeners,
		                 conf->listeners.n, e);
	free(listeners);
	if (r == 0)
		program_set_checks(p->program, &conf->check_paths, &conf->check_user_agents);
	if (r == 0)
		r = place_init(&p->place, &p->conf);
	return r == -ENOENT ? err_set(e, r, "proxy: cgroup v2 is not mounted") : r;
}

int watch_open(struct source *src, const struct conf_structs *proxies, struct err *e)
{
	const struct proxy_conf *v = proxies->v;
	int r = 0;

	src->proxies = mem_zalloc(proxies->n, sizeof(*src->proxies));
	if (!src->proxies)
		return -ENOMEM;
	for (; r == 0 && src->n_proxies < proxies->n; src->n_proxies++)
		r = open_proxy(src, src->n_proxies, &v[src->n_proxies], e);
	return r;
}

void watch_close(struct source *src)
{
	for (size_t i = 0; i < src->n_proxies; i++) {
		place_done(&src->proxies[i].place);
		program_close(src->proxies[i].program);
		conf_done(&proxy_conf_schema, &src->proxies[i].conf);
	}
	free(src->proxies);
}

/* ---- attaching ------------------------------------------------------------------------------ */

static void say_once(struct proxy *p, const char *why)
{
	if (strcmp(p->why, why) == 0)
		return;
	(void)snprintf(p->why, sizeof(p->why), "%s", why);
	log_warn("proxy: not measured", STRV("proxy", p->conf.name), STRV("why", why));
}

static void attach(struct proxy *p)
{
	_cleanup_close_ int fd = open(p->place.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err e = ERR_INIT;

	if (fd < 0) {
		say_once(p, strerror(errno));
		return;
	}
	if (program_attach(p->program, fd, p->place.cgroup_id, &e) < 0) {
		say_once(p, e.msg);
		return;
	}
	p->attached_id = p->place.cgroup_id;
	p->adopt = true;
	p->why[0] = '\0';
	log_info("proxy: measured", STRV("proxy", p->conf.name), STRV("cgroup", p->place.cgroup));
}

static void look(struct proxy *p, uint64_t now_ns)
{
	bool is_there = place_look(&p->place);

	if (p->attached_id != 0 && (!is_there || p->attached_id != p->place.cgroup_id)) {
		program_detach(p->program);
		p->attached_id = 0;
	}
	if (is_there && p->attached_id == 0)
		attach(p);
	if (!is_there)
		say_once(p, "its cgroup is not there (yet)");
	if (is_there && (now_ns - p->read_ns >= READ_EVERY_NS || !place_main_is_alive(&p->place))) {
		p->read_ns = now_ns;
		place_read_processes(&p->place, now_ns);
	}
}

void watch_look(struct source *src)
{
	uint64_t now_ns = clock_mono_ns();

	for (size_t i = 0; i < src->n_proxies; i++)
		look(&src->proxies[i], now_ns);
}

/* ---- looking at connections ----------------------------------------------------------------- */

static int each_conn_in(struct source *src, struct proxy *p, uint32_t i)
{
	_cleanup_close_ int home = -1, there = -1;
	char name[64];
	struct stat st;
	int r;

	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || fstat(home, &st) < 0)
		return neg_errno();
	if (st.st_ino == p->place.netns[i])
		return program_each_conn(p->program, p->adopt, events_conn, src);
	(void)snprintf(name, sizeof(name), "/proc/%d/ns/net", p->place.netns_pids[i]);
	there = open(name, O_RDONLY | O_CLOEXEC);
	if (there < 0 || setns(there, CLONE_NEWNET) < 0)
		return neg_errno();
	r = program_each_conn(p->program, p->adopt, events_conn, src);
	if (setns(home, CLONE_NEWNET) < 0)
		log_error("proxy: cannot leave a network namespace", STRV("why", strerror(errno)));
	return r;
}

static int each_conn(struct source *src, struct proxy *p)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->place.n_netns; i++)
		r = each_conn_in(src, p, i);
	if (r == 0 && p->place.n_netns > 0)
		p->adopt = false;
	return r;
}

int watch_each_conn(struct source *src)
{
	int r = 0;

	for (size_t i = 0; i < src->n_proxies; i++) {
		struct proxy *p = &src->proxies[i];

		place_read_processes(&p->place, clock_mono_ns());
		int one = p->attached_id != 0 ? each_conn(src, p) : 0;

		r = r == 0 ? one : r;
	}
	return r;
}

/* ---- own metrics ---------------------------------------------------------------------------- */

static void put_each_proxy(struct buf *out, const struct source *src)
{
	char label[VM_LABEL_CAP + 16];

	metrics_put_family(out, "periscope_host_proxy_up", "gauge",
	                   "1 while the proxy's cgroup is there and its programs are attached.");
	for (size_t i = 0; i < src->n_proxies; i++) {
		(void)snprintf(label, sizeof(label), "proxy=\"%s\"", src->proxies[i].conf.name);
		metrics_put(out, "periscope_host_proxy_up", label,
		            src->proxies[i].attached_id != 0);
	}
}

static const char *const what_names[PROXY_WHATS] = {
	[PROXY_OPEN] = "open",
	[PROXY_CLOSE] = "close",
	[PROXY_CONNECT_FAIL] = "connect_failure",
	[PROXY_HANDSHAKE] = "handshake",
	[PROXY_HELLO] = "hello",
	[PROXY_REQUEST] = "request",
	[PROXY_HOST] = "host",
	[PROXY_FRAME] = "frame",
	[PROXY_FIELDS] = "fields",
	[PROXY_TALLY] = "tally",
};

/* All members of struct proxy_counters are counters. */
static struct proxy_counters sum_counters(const struct source *src)
{
	struct proxy_counters sum = { 0 }, one;
	uint64_t *to = (uint64_t *)(void *)&sum;
	const uint64_t *from = (const uint64_t *)(const void *)&one;

	for (size_t i = 0; i < src->n_proxies; i++) {
		program_counters(src->proxies[i].program, &one);
		for (size_t j = 0; j < sizeof(one) / sizeof(*from); j++)
			to[j] += from[j];
	}
	return sum;
}

static void put_lost(struct buf *out, const struct proxy_counters *n)
{
	char label[64];

	metrics_put_family(out, "periscope_host_proxy_records_lost_total", "counter",
	                   "Records for which the ring buffer had no room, by what they told.");
	for (size_t i = 0; i < PROXY_WHATS; i++) {
		if (!what_names[i])
			continue;
		(void)snprintf(label, sizeof(label), "what=\"%s\"", what_names[i]);
		metrics_put(out, "periscope_host_proxy_records_lost_total", label,
		            (double)n->lost[i]);
	}
}

static void put_counters(struct buf *out, const struct source *src)
{
	const struct proxy_counters n = sum_counters(src);
	const struct {
		const char *name, *help;
		uint64_t n;
	} rows[] = {
		{ "periscope_host_proxy_answers_lost_total",
		  "Answers that were counted in tallies for which the ring buffer had no room.",
		  n.lost_answers },
		{ "periscope_host_proxy_connections_stateless_total",
		  "Connections that the kernel had no memory to keep state for.", n.no_memory },
		{ "periscope_host_proxy_gaps_total",
		  "Segments behind which the next message had to be looked for.", n.gaps },
		{ "periscope_host_proxy_streams_bad_total",
		  "Streams that began like a protocol and went on like none.", n.bad },
		{ "periscope_host_proxy_requests_forgotten_total",
		  "Pipelined requests whose beginning was overwritten by later ones; their time is "
		  "that of a later one.",
		  n.overwritten },
		{ "periscope_host_proxy_requests_unread_total",
		  "Pipelined requests that nobody looked at: the connection ended before. They "
		  "count in no series, as they stand in no proxy's log.",
		  n.unread },
		{ "periscope_host_proxy_hellos_evicted_total",
		  "ClientHellos in pieces that were given up for newer ones.",
		  hellos_n_evicted(src->hellos) },
	};

	put_lost(out, &n);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		metrics_put_family(out, rows[i].name, "counter", rows[i].help);
		metrics_put(out, rows[i].name, "", (double)rows[i].n);
	}
}

void watch_metrics(struct buf *out, void *source)
{
	struct source *src = source;

	pthread_mutex_lock(&src->lock);
	put_each_proxy(out, src);
	put_counters(out, src);
	metrics_put_family(out, "periscope_host_proxy_connections", "gauge",
	                   "Open connections that are known.");
	metrics_put(out, "periscope_host_proxy_connections", "", (double)conns_count(src->conns));
	pthread_mutex_unlock(&src->lock);
}
