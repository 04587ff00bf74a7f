/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source proxy without the daemon around it, driven line by line:
 *
 *	probe CONFIG
 *	  collect    collects, prints all samples as exposition text, then a line with a dot
 *	  metrics    prints the daemon's own metrics in the same way
 *
 * VMs come from the folder of descriptions that CONFIG names, as they do for the daemon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/metrics.h"
#include "userspace/host/batch.h"
#include "userspace/host/batch_text.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/registry.h"
#include "userspace/host/sources.h"

static const struct source_ops *const table[] = { &proxy_source, NULL };

struct probe {
	struct host_conf conf;
	struct sources *sources;
	struct registry *vms;
};

static void on_added(void *ctx, const struct vm *vm)
{
	sources_vm_added(ctx, vm);
}

static void on_gone(void *ctx, const struct vm *vm, const struct vm_exit *how)
{
	(void)how;
	sources_vm_gone(ctx, vm);
}

static void print(struct buf *out)
{
	buf_puts(out, ".\n");
	(void)fwrite(out->p, 1, out->len, stdout);
	(void)fflush(stdout);
}

static void collect(const struct probe *p)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct batch *b = NULL;

	registry_dispatch(p->vms);
	if (batch_new(&b, 1000000) < 0)
		exit(1);
	sources_collect(p->sources, p->vms, clock_unix_ms(), b);
	(void)batch_write_text(b, &out);
	batch_free(b);
	print(&out);
}

static void own_metrics(void)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	metrics_write(&out);
	print(&out);
}

static int open_all(struct probe *p, const char *path, struct err *e)
{
	int r = host_conf_load(path, source_names(), &p->conf, e);

	if (r == 0)
		r = sources_new(&p->sources, table, &p->conf);
	if (r < 0)
		return r;
	const struct registry_listener listener = { on_added, on_gone, p->sources };
	const struct registry_world world = { 0 };
	const char *name, *why;

	if (sources_off(p->sources, 0, &name, &why))
		return err_set(e, -ENOTSUP, "%s", why);
	r = registry_new(&p->vms, &p->conf, &listener, &world, e);
	if (r == 0)
		registry_start(p->vms);
	return r;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct probe p = { 0 };
	char line[128];

	if (argc != 2 || open_all(&p, argv[1], &e) < 0) {
		fprintf(stderr, "probe: %s\n", argc == 2 ? e.msg : "usage: probe CONFIG");
		return 1;
	}
	(void)puts("ready");
	(void)fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "collect\n") == 0)
			collect(&p);
		else if (strcmp(line, "metrics\n") == 0)
			own_metrics();
	}
	registry_free(p.vms);
	sources_free(p.sources);
	host_conf_done(&p.conf);
	return 0;
}
