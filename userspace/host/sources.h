/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The driver of all sources: opens them, tells them of VMs, collects, and keeps what fails apart
 * from what works.
 *
 * A source that cannot open, or whose collect() fails SOURCES_FAILURES_MAX times in a row, is off:
 * it is closed, counted in periscope_host_source_up{source} 0 with the reason, and opened again
 * later, with growing waits. It then learns of all running VMs anew.
 *
 * Threads  The collector thread; sources_metrics() on any.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/host/registry.h"
#include "userspace/host/source.h"

#define SOURCES_MAX          32
#define SOURCES_FAILURES_MAX 5

struct sources;

/* All that this build has; the rows' order is the order of collection. NULL-terminated. */
extern const struct source_ops *const source_table[];
/* Their names, for "sources:" of the configuration; NULL-terminated. */
const char *const *source_names(void);

/*
 * Opens those of @table (NULL-terminated) that @conf wants; which of them work is told by
 * sources_n_up(). 0 or -ENOMEM. @conf is borrowed until sources_set_conf().
 */
int sources_new(struct sources **ret, const struct source_ops *const *table,
                const struct host_conf *conf);
void sources_free(struct sources *s);
void sources_set_conf(struct sources *s, const struct host_conf *conf);

void sources_vm_added(struct sources *s, const struct vm *vm);
/* The last samples of a VM whose process ended; sources_vm_gone() follows. */
void sources_vm_exited(struct sources *s, const struct vm *vm, struct vm_exit *how, int64_t now_ms,
                       struct batch *out);
void sources_vm_gone(struct sources *s, const struct vm *vm);

/* Opens what is off and due, telling it of @vms; then collects from what is on. */
void sources_collect(struct sources *s, const struct registry *vms, int64_t now_ms,
                     struct batch *out);

/* Once a second while a VM is young. */
void sources_look_soon(struct sources *s);

/* For peaks between collections: once for each window. Returns the CPU time that it took, in ns. */
uint64_t sources_sample(struct sources *s, uint64_t mono_ns);

size_t sources_n_up(const struct sources *s);
/* Name and reason of the @i-th source that is off; false behind the last. */
bool sources_off(const struct sources *s, size_t i, const char **ret_name, const char **ret_why);

void sources_metrics(struct buf *out, void *sources); /* exposition text */
void sources_dump(const struct sources *s);           /* to the log */
