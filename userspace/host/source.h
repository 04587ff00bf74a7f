/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A source turns one kernel interface into samples. The daemon drives all of them the same way:
 *
 *	open -> { set_conf | vm_added | vm_exited | vm_gone | begin | collect | look_soon |
 *	         sample }* -> free
 *
 * always from the collector thread. What is NULL in the table is left out.
 *
 * A source that cannot open (no BTF, no such device) is reported once, counted in
 * periscope_host_source_up{source="..."} 0 with a reason, and skipped: the others must not
 * suffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_conf;
struct batch;
struct err;
struct source;
struct vm;
struct vm_exit;

struct source_ops {
	const char *name; /* [a-z_]+, a label value: never renamed once released */
	/* Of an opt-in: whether it is chosen. NULL: it is, unless "sources:" leaves it out. */
	bool (*is_chosen)(const struct host_conf *conf);
	/* @conf is good until set_conf(). @e may stay empty (out of memory): the errno says all. */
	int (*open)(struct source **ret_src, const struct host_conf *conf, struct err *e);
	/* Other settings, for a reload; those before are good no longer. */
	void (*set_conf)(struct source *src, const struct host_conf *conf);
	/* A failure disables this source for this VM only; the daemon logs it and goes on. */
	int (*vm_added)(struct source *src, const struct vm *vm);
	/*
	 * The VM's process has ended: a last chance to append samples of it, before vm_gone().
	 * Not called for a VM that goes away to come back with another description. What a source
	 * finds out goes on to the later ones in @how.
	 */
	void (*vm_exited)(struct source *src, const struct vm *vm, struct vm_exit *how,
	                  int64_t now_ms, struct batch *out);
	/* Also after a failed vm_added(). */
	void (*vm_gone)(struct source *src, const struct vm *vm);

	/* A tick begins: whoever answers late is asked now, while the others collect. */
	void (*begin)(struct source *src);
	/*
	 * Appends this source's samples of all its VMs to @out (batch_begin_vm(), batch_add()),
	 * stamped @now_ms. Returns 0, or a negative errno when reading failed (then @e may say
	 * more); what was appended before stays valid.
	 */
	int (*collect)(struct source *src, int64_t now_ms, struct batch *out, struct err *e);
	/* Once a second while a VM is young (VM_YOUNG_S): for what may be gone by the next tick. */
	void (*look_soon)(struct source *src);
	/* Some ten times a second (sources_sample()): for peaks inside the interval. */
	int (*sample)(struct source *src, uint64_t mono_ns);
	void (*free)(struct source *src); /* NULL is fine, half-opened is fine */
};

extern const struct source_ops life_source;         /* src_life.c */
extern const struct source_ops guest_source;        /* src_guest.c */
extern const struct source_ops balloon_source;      /* src_balloon.c */
extern const struct source_ops vm_task_source;      /* src_vm_task.c: bpf/vm_task.bpf.c */
extern const struct source_ops diskstats_source;    /* src_diskstats.c */
extern const struct source_ops run_delay_source;    /* src_run_delay.c: bpf/run_delay.bpf.c */
extern const struct source_ops disk_latency_source; /* src_disk_latency.c: bpf/disk_latency.bpf.c */
extern const struct source_ops taps_source;         /* src_taps.c */
extern const struct source_ops volumes_source;      /* src_volumes.c: userspace/volumes */
extern const struct source_ops proxy_source;        /* proxy/src_proxy.c: bpf/proxy.bpf.c */
