/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/once.h"

#include <errno.h>
#include <stdio.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/host/batch.h"
#include "userspace/host/batch_text.h"
#include "userspace/host/catalog.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/registry.h"
#include "userspace/host/sources.h"

DEFINE_CLEANUP(struct batch *, batch_free);
DEFINE_CLEANUP(struct registry *, registry_free);
DEFINE_CLEANUP(struct sources *, sources_free);

static void on_vm_added(void *ctx, const struct vm *vm)
{
	sources_vm_added(ctx, vm);
}

static void on_vm_gone(void *ctx, const struct vm *vm, const struct vm_exit *how)
{
	(void)how;
	sources_vm_gone(ctx, vm);
}

static void put_warnings(const struct sources *s, struct buf *out)
{
	const char *name, *why;

	for (size_t i = 0; sources_off(s, i, &name, &why); i++)
		buf_printf(out, "periscope-host: source %s is off: %s\n", name, why);
}

static int collect(const struct host_conf *conf, struct sources *s, struct buf *out, struct err *e)
{
	const struct registry_listener listener = { on_vm_added, on_vm_gone, s };
	const struct registry_world world = { 0 };
	_cleanup_(registry_freep) struct registry *vms = NULL;
	_cleanup_(batch_freep) struct batch *b = NULL;
	int64_t now_ms = clock_unix_ms();
	int r = registry_new(&vms, conf, &listener, &world, e);

	if (r == 0)
		r = batch_new(&b, (size_t)conf->tick_samples_max);
	if (r < 0)
		return r;
	registry_start(vms);
	r = registry_collect(vms, now_ms, b);
	if (r < 0)
		return r;
	sources_collect(s, vms, now_ms, b);
	return batch_write_text(b, out);
}

int once_collect(const struct host_conf *conf, struct buf *out, struct buf *warnings, struct err *e)
{
	_cleanup_(sources_freep) struct sources *s = NULL;
	int r = catalog_set_prefix(conf->prefix);

	if (r == 0)
		r = sources_new(&s, source_table, conf);
	if (r < 0)
		return r;
	put_warnings(s, warnings);
	if (sources_n_up(s) == 0)
		return err_set(e, -EPERM, "none of the sources works here: run it as root");
	return collect(conf, s, out, e);
}
