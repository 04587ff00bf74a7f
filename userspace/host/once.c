/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/once.h"

#include <errno.h>
#include <stdio.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/registry.h"
#include "userspace/host/sources.h"
#include "userspace/wire/promtext.h"

DEFINE_CLEANUP(struct batch *, batch_free);
DEFINE_CLEANUP(struct registry *, registry_free);
DEFINE_CLEANUP(struct sources *, sources_free);

static void on_vm_added(void *ctx, const struct vm *vm)
{
	sources_vm_added(ctx, vm);
}

static void on_vm_gone(void *ctx, const struct vm *vm)
{
	sources_vm_gone(ctx, vm);
}

static void put_warnings(const struct sources *s, struct buf *out)
{
	const char *name, *why;

	for (size_t i = 0; sources_off(s, i, &name, &why); i++)
		buf_printf(out, "periscope-host: source %s is off: %s\n", name, why);
}

struct family {
	struct buf *out;
	enum series_id id;
	bool begun;
};

static int put_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                      const struct sample *sample)
{
	struct family *f = ctx;
	char name[SERIES_PREFIX_BYTES_MAX + 128];

	if (id != f->id)
		return 0;
	/* The three parts of a histogram are one family: they follow each other. */
	if (!f->begun && catalog[id].part <= SERIES_BUCKET) {
		(void)snprintf(name, sizeof(name), "%.*s", STR_FMT(catalog_family(id)));
		promtext_write_metadata(f->out, name, series_type_name(catalog[id].type),
		                        catalog[id].help);
	}
	f->begun = true;
	promtext_write_sample(f->out, labels, n_labels, sample->value, NULL);
	return f->out->err;
}

static int put_samples(const struct batch *b, struct buf *out)
{
	int r = 0;

	for (unsigned id = 0; r == 0 && id < SERIES_N; id++) {
		struct family f = { .out = out, .id = (enum series_id)id };

		r = batch_each(b, false, put_sample, &f);
	}
	return r;
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
	return put_samples(b, out);
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
