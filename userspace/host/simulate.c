/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/num.h"
#include "userspace/base/rng.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"

#define SERIES_DEFAULT 150u
#define VARIANTS_MAX   64u /* vCPUs, disks, interfaces of one VM */
#define TEXT_CAP       24
#define PAGE_BYTES     4096.0
#define INTERVAL_TICKS 1500.0       /* centiseconds of a vCPU in 15 s */
#define SIMULATED_ID   (1ull << 62) /* ids of real VMs count from 1 */

enum motion {
	STAYS_ZERO,
	STAYS,    /* at a size */
	GROWS,    /* by small whole numbers */
	GROWS_KB, /* by bytes */
	GROWS_BY_TIME,
	IDLES, /* what the busy modes leave of the time */
	WALKS, /* by pages */
	LOAD,  /* two decimals */
	UPTIME
};

/* The first row whose text is part of a series' name or mode says how it moves. */
static const struct {
	const char *part;
	enum motion motion;
} motions[] = {
	{ "_up", STAYS },
	{ "uptime", UPTIME },
	{ "idle", IDLES },
	{ "user", GROWS_BY_TIME },
	{ "system", GROWS_BY_TIME },
	{ "softirq", GROWS },
	{ "iowait", GROWS },
	{ "steal", GROWS },
	{ "guest", STAYS_ZERO },
	{ "nice", STAYS_ZERO },
	{ "irq", STAYS_ZERO },
	{ "throttle", GROWS },
	{ "load_average", LOAD },
	{ "_total", STAYS },
	{ "swap", STAYS_ZERO },
	{ "vmalloc_chunk", STAYS_ZERO },
	{ "memory", WALKS },
	{ "_bytes", GROWS_KB },
	{ "errs", STAYS_ZERO },
	{ "drop", STAYS_ZERO },
	{ "fifo", STAYS_ZERO },
	{ "frame", STAYS_ZERO },
	{ "compressed", STAYS_ZERO },
	{ "multicast", STAYS_ZERO },
	{ "colls", STAYS_ZERO },
	{ "carrier", STAYS_ZERO },
	{ "in_progress", STAYS_ZERO },
	{ "reads", STAYS_ZERO },
	{ "time_reading", STAYS_ZERO },
	{ "merged", GROWS },
};

/* Values of the extra labels that have values of their own; any other is a number. */
static const struct {
	const char *label;
	const char *const *values; /* NULL-terminated */
} label_values[] = {
	{ "mode", (const char *const[]){ "user", "nice", "system", "idle", "iowait", "irq",
	                                 "softirq", "steal", "guest", "guest_nice", NULL } },
	{ "minutes", (const char *const[]){ "1", "5", "15", NULL } },
};

struct series {
	enum series_id id;
	enum motion motion;
	char texts[SERIES_EXTRA_MAX][TEXT_CAP];
	const char *extra[SERIES_EXTRA_MAX];
};

struct simulation {
	struct simulate_opts opts;
	char host[8], region[VM_LABEL_CAP];
	struct series *series; /* of every VM alike */
	uint32_t n_series;
	double *values; /* [vm][series], in the exported unit */
	float *busy;    /* [vm], 0 to 1 */
	struct rng rng;
};

/* ---- options -------------------------------------------------------------------------------- */

static int set_option(struct str name, struct str value, struct simulate_opts *ret, struct err *e)
{
	const struct {
		const char *name;
		uint32_t *field, max;
	} known[] = {
		{ "VMS", &ret->n_vms, SIMULATE_VMS_MAX },
		{ "SERIES", &ret->n_series, SIMULATE_SERIES_MAX },
	};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!str_eqc(name, known[i].name))
			continue;
		if (num_parse_u64(value, &n) < 0 || n > known[i].max)
			return err_set(e, -EINVAL, "--simulate: %s: expected a number up to %u",
			               known[i].name, known[i].max);
		*known[i].field = (uint32_t)n;
		return 0;
	}
	return err_set(e, -EINVAL, "--simulate: expected VMS=1000 or VMS=1000,SERIES=150");
}

int simulate_parse(const char *text, struct simulate_opts *ret, struct err *e)
{
	struct simulate_opts o = { .n_series = SERIES_DEFAULT };
	struct str rest = str_from(text), one, name, value;
	int r = 0;

	do {
		(void)str_cut(rest, ',', &one, &rest);
		(void)str_cut(one, '=', &name, &value);
		r = set_option(name, value, &o, e);
	} while (r == 0 && rest.len > 0);
	if (r == 0)
		*ret = o;
	return r;
}

/* ---- series --------------------------------------------------------------------------------- */

static enum motion motion_of(enum series_id id, const char *mode)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "%s %s", catalog[id].name, mode ? mode : "");
	bool counts = catalog[id].type == SERIES_COUNTER;

	for (size_t i = 0; i < ARRAY_SIZE(motions); i++) {
		if (strstr(text, motions[i].part))
			return counts && motions[i].motion == WALKS ? GROWS : motions[i].motion;
	}
	return counts ? GROWS : WALKS;
}

static const char *const *values_of(struct str label)
{
	for (size_t i = 0; i < ARRAY_SIZE(label_values); i++) {
		if (str_eqc(label, label_values[i].label))
			return label_values[i].values;
	}
	return NULL;
}

static void add_series(struct simulation *s, enum series_id id, uint32_t variant, const char *word)
{
	struct series *new = &s->series[s->n_series];
	const struct series_layout *l = catalog_layout(id);

	if (s->n_series == s->opts.n_series)
		return;
	s->n_series++;
	new->id = id;
	new->motion = motion_of(id, word);
	for (uint32_t i = 0; i < l->n_extra; i++) {
		bool is_word = word && values_of(l->extra[i]);

		if (is_word)
			(void)snprintf(new->texts[i], TEXT_CAP, "%s", word);
		else if (str_eqc(l->extra[i], "device"))
			(void)snprintf(new->texts[i], TEXT_CAP, "dev%u", variant);
		else
			(void)snprintf(new->texts[i], TEXT_CAP, "%u", variant);
		new->extra[i] = new->texts[i];
	}
}

/* One vCPU, disk or interface more. */
static void add_variant(struct simulation *s, enum series_id id, uint32_t variant)
{
	const struct series_layout *l = catalog_layout(id);
	const char *const *words = NULL;

	for (uint32_t i = 0; i < l->n_extra && !words; i++)
		words = values_of(l->extra[i]);
	if (!words) {
		add_series(s, id, variant, NULL);
		return;
	}
	while (*words)
		add_series(s, id, variant, *words++);
}

/* What a VM has once, only once. */
static bool has_variants(enum series_id id)
{
	const struct series_layout *l = catalog_layout(id);

	return l->n_extra > 1 || (l->n_extra == 1 && !values_of(l->extra[0]));
}

static void choose_series(struct simulation *s)
{
	for (uint32_t variant = 0; variant < VARIANTS_MAX; variant++) {
		for (enum series_id id = 0; id < SERIES_N; id++) {
			if (catalog[id].part == SERIES_WHOLE && (variant == 0 || has_variants(id)))
				add_variant(s, id, variant);
		}
	}
}

/* ---- values --------------------------------------------------------------------------------- */

static double next(struct simulation *s, const struct series *one, double v, double busy)
{
	uint64_t random = rng_u64(&s->rng);
	double part = (double)(random >> 11) / 0x1p53; /* 0 to 1 */
	bool moves = (double)(random & 1023) / 1024 < busy * 2;

	switch (one->motion) {
	case STAYS_ZERO:
	case STAYS:
		return v;
	case GROWS:
		return moves ? v + (double)(uint64_t)(part * 20) : v;
	case GROWS_KB:
		return moves ? v + (double)(uint64_t)(part * busy * 2e6) : v;
	case GROWS_BY_TIME:
		return v + (double)(uint64_t)(part * busy * INTERVAL_TICKS / 2);
	case IDLES:
		return v + (double)(uint64_t)((1 - part * busy) * INTERVAL_TICKS);
	case WALKS:
		return moves ? MAX(0, v + PAGE_BYTES * (double)(int64_t)((part - 0.5) * 2000)) : v;
	case LOAD:
		return moves ? (double)(uint64_t)(part * busy * 400) / 100 : v;
	case UPTIME:
		return v + 15;
	}
	return v;
}

static double first(struct simulation *s, const struct series *one)
{
	double size = PAGE_BYTES * rng_below(&s->rng, 1 << 20);

	switch (one->motion) {
	case STAYS:
		return one->id == FLY_INSTANCE_UP ? 1 : size;
	case WALKS:
	case GROWS_KB:
		return size;
	case GROWS:
	case GROWS_BY_TIME:
	case IDLES:
		return rng_below(&s->rng, 1000000);
	default:
		return 0;
	}
}

static void fill_first(struct simulation *s)
{
	for (uint32_t vm = 0; vm < s->opts.n_vms; vm++) {
		uint32_t luck = rng_below(&s->rng, 10);

		s->busy[vm] = luck < 6 ? 0.02f : luck < 9 ? 0.3f : 1;
		for (uint32_t i = 0; i < s->n_series; i++)
			s->values[(size_t)vm * s->n_series + i] = first(s, &s->series[i]);
	}
}

static int begin_vm(const struct simulation *s, uint32_t i, int64_t now_ms, struct batch *out)
{
	char app[24], instance[24];
	const struct batch_owner owner = { .id = SIMULATED_ID + i,
		                           .org = "dev",
		                           .app = app,
		                           .host = s->host,
		                           .instance = instance,
		                           .region = s->region };

	(void)snprintf(app, sizeof(app), "app-%u", i / 7);
	(void)snprintf(instance, sizeof(instance), "%014llx",
	               (0x148e21f7b12089ull + i * 0x9e3779b97f4a7ull) & 0xffffffffffffff);
	return batch_begin(out, &owner, now_ms);
}

int simulation_collect(struct simulation *s, int64_t now_ms, struct batch *out)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->opts.n_vms; i++) {
		double *v = &s->values[(size_t)i * s->n_series];

		r = begin_vm(s, i, now_ms, out);
		for (uint32_t k = 0; r == 0 && k < s->n_series; k++) {
			const struct series *one = &s->series[k];
			double scale = catalog[one->id].scale;

			v[k] = next(s, one, v[k], (double)s->busy[i]);
			r = batch_add(out, one->id, one->extra,
			              scale < 1 ? v[k] * catalog_layout(one->id)->divisor
			                        : v[k] / scale);
		}
	}
	return r;
}

/* ---- life ----------------------------------------------------------------------------------- */

void simulation_free(struct simulation *s)
{
	if (!s)
		return;
	free(s->series);
	free(s->values);
	free(s->busy);
	free(s);
}

DEFINE_CLEANUP(struct simulation *, simulation_free);

int simulation_new(struct simulation **ret, const struct simulate_opts *opts, const char *host,
                   const char *region)
{
	_cleanup_(simulation_freep) struct simulation *s = mem_zalloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opts = *opts;
	s->rng.s = 1;
	(void)snprintf(s->host, sizeof(s->host), "%s", host);
	(void)snprintf(s->region, sizeof(s->region), "%s", region);
	s->series = mem_zalloc(opts->n_series + 1, sizeof(*s->series));
	if (!s->series)
		return -ENOMEM;
	choose_series(s);
	s->values = mem_zalloc((size_t)opts->n_vms * s->n_series + 1, sizeof(*s->values));
	s->busy = mem_zalloc(opts->n_vms + 1, sizeof(*s->busy));
	if (!s->values || !s->busy)
		return -ENOMEM;
	fill_first(s);
	*ret = TAKE_PTR(s);
	return 0;
}

static struct simulate_opts in_use;

void simulate_use(const struct simulate_opts *opts)
{
	in_use = *opts;
}

struct source {
	struct simulation *simulation;
};

static void source_free(struct source *src)
{
	if (src)
		simulation_free(src->simulation);
	free(src);
}

static int source_open(struct source **ret, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));
	int r = src ? simulation_new(&src->simulation, &in_use, conf->host_id, conf->region)
	            : -ENOMEM;

	(void)e;
	if (r < 0) {
		source_free(src);
		return r;
	}
	*ret = src;
	return 0;
}

static int source_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	(void)e;
	return simulation_collect(src->simulation, now_ms, out);
}

const struct source_ops simulate_source = {
	.name = "simulate",
	.open = source_open,
	.collect = source_collect,
	.free = source_free,
};
