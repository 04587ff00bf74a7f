/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Private to this folder: the source proxy as a whole, and what its parts need of each other.
 *
 *	src_proxy.c   the source: opening, VMs, collecting; a thread that empties the ring
 *	watch.c       each proxy's place: attaching, and looking at all of its connections
 *	events.c      records of the kernel side: connections
 *	requests.c    … HTTP
 *	handshakes.c  … TLS
 *	attribution.c VMs and routes into names and owners
 *
 * Threads  Everything in struct source is under its lock: the collector thread takes it for
 *          a collection or a VM, the source's own thread every 50 ms.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "userspace/host/proxy/accounts.h"
#include "userspace/host/proxy/conns.h"
#include "userspace/host/proxy/hellos.h"
#include "userspace/host/proxy/hosts.h"
#include "userspace/host/proxy/names.h"
#include "userspace/host/proxy/owners.h"
#include "userspace/host/proxy/place.h"
#include "userspace/host/proxy/programs.h"
#include "userspace/host/proxy/proxy_conf.h"
#include "userspace/host/source.h"

struct proxy {
	struct proxy_conf conf; /* a copy of our own */
	struct place place;
	struct program *program;
	uint64_t attached_id; /* inode of the cgroup's folder; 0: not attached */
	bool adopt;           /* at the next look */
	uint64_t read_ns;     /* when its processes were read last */
	char why[256];        /* it is not attached; logged once */
};

struct known_vm {
	uint64_t id;
	uint32_t instance, edge; /* owners, a reference each */
};

struct source {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool has_thread, ending;

	char host[8], region[VM_LABEL_CAP];
	struct proxy *proxies;
	size_t n_proxies;
	struct programs *programs;
	struct owners *owners;
	struct names *names;
	struct conns *conns;
	struct hosts *hosts;
	struct hellos *hellos;
	struct known_vm *vms;
	size_t n_vms, vms_cap;
	uint32_t pass; /* of the iterator */
};

/* ---- events.c */
void events_take(void *source, const struct proxy_rec *rec, size_t bytes);
void events_conn(void *source, const struct proxy_conn_rec *rec);
/* After a whole pass: connections that are gone without a word are closed. */
void events_sweep(struct source *src, uint64_t pass_began_ns);
void events_begin_pass(struct source *src);
void events_end_pass(struct source *src);
/*
 * Now it is known whose @c is, or that it will not be: its connect and its bytes are counted. Does
 * nothing when that was known before.
 */
void events_settle(struct source *src, struct pconn *c, uint32_t owner);
/* Frees what connections have of their own; counts nothing. */
void events_forget(struct source *src);
/* Records of connections that we do not know. */
void events_count_orphan(int64_t n);

/* ---- requests.c */
void requests_take(struct source *src, const struct proxy_rec *rec);
void requests_take_tally(struct source *src, struct pconn *c, const struct proxy_tally *t);
void requests_take_tally_rec(struct source *src, const struct proxy_tally_rec *rec);
void requests_take_last(struct source *src, struct pconn *c, const struct proxy_rec *rec);
void requests_take_host(struct source *src, const struct proxy_bytes_rec *rec);
void requests_take_fields(struct source *src, const struct proxy_bytes_rec *rec);
void requests_take_frame(struct source *src, const struct proxy_rec *rec);
void requests_end(struct source *src, struct pconn *c, uint64_t at_ns, bool by_peer);

/* ---- handshakes.c */
void handshakes_take(struct source *src, const struct proxy_rec *rec);
void handshakes_take_hello(struct source *src, const struct proxy_bytes_rec *rec);

/* ---- watch.c */
int watch_open(struct source *src, const struct conf_structs *proxies, struct err *e);
void watch_close(struct source *src);
/* Attaches what has come, detaches what has gone. */
void watch_look(struct source *src);
/* Every open connection of every proxy; 0 when none can have been left out. */
int watch_each_conn(struct source *src);
void watch_metrics(struct buf *out, void *source);

/* ---- attribution.c */
int attribution_add_routes(struct source *src, const struct conf_structs *routes);
int attribution_add_vm(struct source *src, const struct vm *vm);
void attribution_remove_vm(struct source *src, const struct vm *vm);
/* The owner of a new connection; OWNER_NOBODY. */
uint32_t attribution_of(const struct source *src, uint8_t role, const struct proxy_pair *pair);
