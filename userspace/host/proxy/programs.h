/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * User-space half of bpf/proxy.bpf.c: loads it once for each proxy, attaches it to the proxy's
 * cgroup, hands its records on. All proxies share one ring buffer and one table of VM addresses.
 *
 * Threads  None of its own; one caller at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/proxy.h"
#include "userspace/base/conf.h"
#include "userspace/base/err.h"
#include "userspace/host/net_addr.h"

struct programs; /* what they share */
struct program;  /* of one proxy */

/* @bytes: of the record, at least those of a struct proxy_rec. */
typedef void (*programs_rec_f)(void *ctx, const struct proxy_rec *rec, size_t bytes);

/* -EPERM, -ENOTSUP, … with @e when this kernel cannot do it. */
int programs_open(struct programs **ret, programs_rec_f fn, void *ctx, struct err *e);
void programs_close(struct programs *all); /* after all of its programs; NULL is fine */

/* Calls the function for each record that waits. How many, or < 0. */
int programs_consume(struct programs *all);

/* Connections of any proxy to @addr are to a VM; @owner comes back in records. */
int programs_set_vm(struct programs *all, const struct net_addr *addr, uint32_t owner);
void programs_unset_vm(struct programs *all, const struct net_addr *addr);

/*
 * program_open() - loads the programs for the proxy with the number @index.
 *
 * @listeners are its own; none means that every socket that it accepts is a client's.
 */
int program_open(struct program **ret, struct programs *all, uint32_t index,
                 const struct net_endpoint *listeners, size_t n_listeners, struct err *e);
void program_close(struct program *p); /* NULL is fine */

/* @cgroup_fd: an open folder of cgroup v2, borrowed; @cgroup_id its inode number. */
int program_attach(struct program *p, int cgroup_fd, uint64_t cgroup_id, struct err *e);
void program_detach(struct program *p);
bool program_is_attached(const struct program *p);

/*
 * program_each_conn() - calls @fn for every open connection in the caller's network namespace.
 *
 * With @adopt, connections are taken over that are older than the programs. Returns 0 or a negative
 * errno; then some have been left out.
 */
typedef void (*program_conn_f)(void *ctx, const struct proxy_conn_rec *rec);
int program_each_conn(struct program *p, bool adopt, program_conn_f fn, void *ctx);

/*
 * What a health check is known by; texts above H1_RULE_CAP - 1 bytes, and too many, are left out.
 */
void program_set_checks(struct program *p, const struct conf_strings *paths,
                        const struct conf_strings *agents);

void program_counters(const struct program *p, struct proxy_counters *ret);
