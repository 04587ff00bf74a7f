/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A source turns one kernel interface into samples. The daemon drives all of them the same way:
 *
 *	open -> { vm_added | vm_gone | collect }* -> free        always from the collector thread
 *
 * A source that cannot open (no BTF, no such device) is reported once, counted in
 * periscope_host_source_up{source="..."} 0 with a reason, and skipped: the others must not
 * suffer.
 */

#include <stddef.h>
#include <stdint.h>

struct host_conf;
struct batch;
struct err;
struct source;
struct vm;

struct source_ops {
	const char *name; /* [a-z_]+, a label value: never renamed once released */
	/* @e may stay empty (out of memory); the errno then says it all. */
	int (*open)(struct source **ret_src, const struct host_conf *conf, struct err *e);
	/* A failure disables this source for this VM only; the daemon logs it and goes on. */
	int (*vm_added)(struct source *src, const struct vm *vm);
	void (*vm_gone)(struct source *src,
	                const struct vm *vm); /* also after a failed vm_added() */

	/*
	 * Appends this source's samples of all its VMs to @out (batch_begin_vm(), batch_add()),
	 * stamped @now_ms. Returns 0, or a negative errno when reading failed; what was appended
	 * before stays valid.
	 */
	int (*collect)(struct source *src, int64_t now_ms, struct batch *out);
	void (*free)(struct source *src); /* NULL is fine, half-opened is fine */
};

extern const struct source_ops guest_source;     /* src_guest.c */
extern const struct source_ops vm_task_source;   /* src_vm_task.c: bpf/vm_task.bpf.c */
extern const struct source_ops diskstats_source; /* src_diskstats.c */
extern const struct source_ops taps_source;      /* src_taps.c */
extern const struct source_ops proxy_source;     /* proxy/src_proxy.c: bpf/proxy.bpf.c */
