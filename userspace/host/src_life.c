/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source life: what a VM is, how long it has run, and how it ended.
 *
 * Ends     A running VM says 0 for all of it from its first tick: that nothing is there never means
 *          that nothing happened. When its process ends, what the host knows is said at once:
 *
 *	exit_vm_code  status of the monitor, or 128 + the signal that killed it
 *	exit_code     of the guest's app, as the source that reads guests found out; else none
 *	exit_oom      1 when the host's OOM killer chose it, or the guest's own chose its app
 *	exit_info     as labels: the reason (reason_of()); the signal that ended the monitor, else
 *	              the one that ended the app; what tells the exit code (guest/ending.h)
 *
 *          The source is the last one: what others find out of the end is there by then.
 * Holding  These samples are then repeated for a while (exits.hold), because who asks or alerts
 *          looks at the last minutes and not at one instant; at the end they are marked stale. A VM
 *          of the same name that starts meanwhile takes their place.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_age.h"
#include "userspace/host/vm_exit.h"

#define HELD_MAX        4096 /* VMs that ended; above it the oldest are forgotten */
#define HELD_ROWS_MAX   8
#define SIGNAL_CODE_MIN 128 /* as shells have it */

/* What a VM said when it ended. */
struct held {
	struct batch *rows;
	uint64_t until_ns;
	char org[64], app[VM_LABEL_CAP], instance[VM_LABEL_CAP];
};

struct source {
	const struct host_conf *conf;
	const struct vm **vms; /* borrowed */
	size_t n_vms, vms_cap;
	struct held *held;
	size_t n_held, held_cap;
};

static bool is_exit_row(enum series_id id)
{
	return id == FLY_INSTANCE_EXIT_CODE || id == FLY_INSTANCE_EXIT_OOM ||
	       id == FLY_INSTANCE_EXIT_VM_CODE || id == FLY_INSTANCE_EXIT_INFO;
}

static int life_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));

	(void)e;
	if (!src)
		return -ENOMEM;
	src->conf = conf;
	*ret_src = src;
	return 0;
}

static void life_set_conf(struct source *src, const struct host_conf *conf)
{
	src->conf = conf;
}

static void drop_held(struct source *src, size_t i)
{
	batch_free(src->held[i].rows);
	memmove(&src->held[i], &src->held[i + 1], (--src->n_held - i) * sizeof(src->held[0]));
}

static void life_free(struct source *src)
{
	if (!src)
		return;
	while (src->n_held > 0)
		drop_held(src, src->n_held - 1);
	free(src->held);
	free(src->vms);
	free(src);
}

static int life_vm_added(struct source *src, const struct vm *vm)
{
	if (MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1) < 0)
		return -ENOMEM;
	src->vms[src->n_vms++] = vm;
	for (size_t i = src->n_held; i-- > 0;) {
		const struct held *h = &src->held[i];

		if (strcmp(h->instance, vm->instance) == 0 && strcmp(h->app, vm->app) == 0 &&
		    strcmp(h->org, vm->org) == 0)
			drop_held(src, i);
	}
	return 0;
}

static void life_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->id == vm->id) {
			src->vms[i] = src->vms[--src->n_vms];
			return;
		}
	}
}

/* ---- a running VM --------------------------------------------------------------------------- */

static int emit_info(const struct vm *vm, struct batch *out)
{
	char count[16] = "", mib[24] = "";
	const char *extra[] = { vm->cpu_class, count, mib, vm->process_group };
	const uint32_t n = vm->n_vcpus_spec > 0 ? vm->n_vcpus_spec : vm->n_vcpus;

	if (n > 0)
		(void)snprintf(count, sizeof(count), "%u", n);
	if (vm->memory_bytes > 0)
		(void)snprintf(mib, sizeof(mib), "%llu",
		               (unsigned long long)(vm->memory_bytes >> 20));
	return batch_add(out, FLY_INSTANCE_INFO, extra, 1);
}

static int emit_running(const struct vm *vm, int64_t now_ms, struct batch *out)
{
	static const enum series_id zeroes[] = { FLY_INSTANCE_EXIT_CODE, FLY_INSTANCE_EXIT_OOM,
		                                 FLY_INSTANCE_EXIT_VM_CODE };
	int r = batch_begin_vm(out, vm, now_ms);

	if (r == 0)
		r = emit_info(vm, out);
	if (r == 0)
		r = batch_add(out, FLY_INSTANCE_UPTIME_SECONDS, NULL, (double)vm_age_ns(vm));
	for (size_t i = 0; i < ARRAY_SIZE(zeroes) && r == 0; i++)
		r = batch_add(out, zeroes[i], NULL, 0);
	return r;
}

/* ---- one that ended ------------------------------------------------------------------------- */

static const char *reason_of(const struct vm_exit *how)
{
	if (how->oom_killed)
		return "host_oom";
	if (how->guest.oom)
		return "guest_oom";
	if (!how->status_known)
		return "unknown";
	if (WIFSIGNALED(how->wait_status))
		return "killed";
	return how->guest.panicked ? "guest_panic" : "exited";
}

/* Of the monitor, else of the app in the guest; 0 = none. */
static int signal_of(const struct vm_exit *how)
{
	if (how->status_known && WIFSIGNALED(how->wait_status))
		return WTERMSIG(how->wait_status);
	return how->guest.signal;
}

static void emit_info_of_end(const struct vm_exit *how, struct batch *out)
{
	const int number = signal_of(how);
	const char *name = number > 0 ? sigabbrev_np(number) : NULL;
	char text[24] = "";
	const char *extra[] = { reason_of(how), text,
		                how->guest.code_from ? how->guest.code_from : "" };

	if (name)
		(void)snprintf(text, sizeof(text), "SIG%s", name);
	else if (number > 0)
		(void)snprintf(text, sizeof(text), "%d", number);
	(void)batch_add(out, FLY_INSTANCE_EXIT_INFO, extra, 1);
}

static void emit_end(const struct vm_exit *how, struct batch *out)
{
	if (how->status_known)
		(void)batch_add(out, FLY_INSTANCE_EXIT_VM_CODE, NULL,
		                WIFSIGNALED(how->wait_status)
		                        ? SIGNAL_CODE_MIN + WTERMSIG(how->wait_status)
		                        : WEXITSTATUS(how->wait_status));
	if (how->guest.code_known)
		(void)batch_add(out, FLY_INSTANCE_EXIT_CODE, NULL, how->guest.code);
	(void)batch_add(out, FLY_INSTANCE_EXIT_OOM, NULL, how->oom_killed || how->guest.oom);
	emit_info_of_end(how, out);
}

/* Takes the rows about the end, whichever source they are from. */
static int copy_rows(const struct batch *out, const struct vm *vm, struct batch **ret)
{
	struct batch *rows;
	int r = batch_new(&rows, HELD_ROWS_MAX);

	if (r < 0)
		return r;
	for (size_t i = 0; i < batch_n_samples(out); i++) {
		if (batch_sample_vm_id(out, i) == vm->id &&
		    is_exit_row(batch_sample_series(out, i)))
			(void)batch_copy(rows, out, i, 0);
	}
	*ret = rows;
	return 0;
}

static void hold(struct source *src, const struct vm *vm, const struct batch *out)
{
	struct held h = { .until_ns =
		                  clock_mono_ns() + (uint64_t)src->conf->exits_hold_ms * 1000000 };

	if (src->n_held == HELD_MAX)
		drop_held(src, 0);
	if (MEM_GROW(src->held, src->held_cap, src->n_held + 1) < 0 ||
	    copy_rows(out, vm, &h.rows) < 0)
		return; /* said once, then */
	memcpy(h.org, vm->org, sizeof(h.org));
	memcpy(h.app, vm->app, sizeof(h.app));
	memcpy(h.instance, vm->instance, sizeof(h.instance));
	src->held[src->n_held++] = h;
}

static void life_vm_exited(struct source *src, const struct vm *vm, struct vm_exit *how,
                           int64_t now_ms, struct batch *out)
{
	if (batch_begin_vm(out, vm, now_ms) < 0)
		return;
	emit_end(how, out);
	if (src->conf->exits_hold_ms > 0)
		hold(src, vm, out);
}

static int emit_held(const struct held *h, int64_t now_ms, struct batch *out)
{
	int r = 0;

	for (size_t i = 0; i < batch_n_samples(h->rows) && r == 0; i++)
		r = batch_copy(out, h->rows, i, now_ms);
	return r;
}

static int life_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	const uint64_t now_ns = clock_mono_ns();
	int r = 0;

	(void)e;
	for (size_t i = src->n_held; i-- > 0;) {
		if (src->held[i].until_ns <= now_ns)
			drop_held(src, i);
	}
	for (size_t i = 0; i < src->n_held && r == 0; i++)
		r = emit_held(&src->held[i], now_ms, out);
	for (size_t i = 0; i < src->n_vms && r == 0; i++)
		r = emit_running(src->vms[i], now_ms, out);
	return r;
}

const struct source_ops life_source = {
	.name = "life",
	.open = life_open,
	.set_conf = life_set_conf,
	.vm_added = life_vm_added,
	.vm_exited = life_vm_exited,
	.vm_gone = life_vm_gone,
	.collect = life_collect,
	.free = life_free,
};
