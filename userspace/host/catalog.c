/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The catalogue's rows, and what follows from them (series_layout), worked out on first use: rows
 * are written for people, layouts for the emit loop.
 */
#include "userspace/host/catalog.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/util.h"

#define SUFFIX_BUCKET "_bucket"
#define SUFFIX_SUM    "_sum"
#define SUFFIX_COUNT  "_count"

static const size_t suffix_bytes[] = {
	[SERIES_WHOLE] = 0,
	[SERIES_BUCKET] = sizeof(SUFFIX_BUCKET) - 1,
	[SERIES_SUM] = sizeof(SUFFIX_SUM) - 1,
	[SERIES_COUNT] = sizeof(SUFFIX_COUNT) - 1,
};

const struct series_row catalog[SERIES_N] = {
#define ROW(id, n, t, p, sc, src, l, h) \
	[id] = { .name = (n),           \
		 .source = (src),       \
		 .labels = (l),         \
		 .help = (h),           \
		 .type = (t),           \
		 .part = (p),           \
		 .scale = (sc) },
#define SERIES(id, n, t, sc, src, l, h) ROW(id, n, t, SERIES_WHOLE, sc, src, l, h)
#define HISTOGRAM(id, n, src, l, h)                                                            \
	ROW(id##_BUCKET, n SUFFIX_BUCKET, SERIES_HISTOGRAM, SERIES_BUCKET, 1, src, "le," l, h) \
	ROW(id##_SUM, n SUFFIX_SUM, SERIES_HISTOGRAM, SERIES_SUM, 1e-9, src, l, h)             \
	ROW(id##_COUNT, n SUFFIX_COUNT, SERIES_HISTOGRAM, SERIES_COUNT, 1, src, l, h)
#include "userspace/host/catalog.def"
#undef SERIES
#undef HISTOGRAM
#undef ROW
};

static const struct str standard[SERIES_STANDARD_N] = { STR_INIT("app"), STR_INIT("host"),
	                                                STR_INIT("instance"), STR_INIT("region") };

#define NAME_CAP (SERIES_PREFIX_BYTES_MAX + 96)

static struct series_layout layouts[SERIES_N];
static char names[SERIES_N][NAME_CAP];
static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *series_type_name(enum series_type type)
{
	static const char *const type_names[] = {
		[SERIES_COUNTER] = "counter",
		[SERIES_GAUGE] = "gauge",
		[SERIES_HISTOGRAM] = "histogram",
	};

	return type_names[type];
}

struct str catalog_standard_label(uint32_t i)
{
	assert(i < SERIES_STANDARD_N);
	return standard[i];
}

static struct str label_name(const struct series_layout *l, uint32_t i)
{
	return i < SERIES_STANDARD_N ? standard[i] : l->extra[i - SERIES_STANDARD_N];
}

/* Insertion sort: at most eight, once in a program's life. */
static void sort_labels(struct series_layout *l)
{
	for (uint8_t i = 0; i < SERIES_STANDARD_N + l->n_extra; i++) {
		uint32_t at = i;

		for (; at > 0 && str_cmp(label_name(l, l->order[at - 1]), label_name(l, i)) > 0;
		     at--)
			l->order[at] = l->order[at - 1];
		l->order[at] = i;
	}
}

static void set_name(enum series_id id, const char *prefix)
{
	const char *name = catalog[id].name;
	size_t own = strlen(SERIES_PREFIX);
	bool ours = strncmp(name, SERIES_PREFIX, own) == 0;
	int n = snprintf(names[id], NAME_CAP, "%s%s", ours ? prefix : "", ours ? name + own : name);

	assert(n > 0);
	assert((size_t)n < NAME_CAP);
	layouts[id].name = (struct str){ names[id], (size_t)n };
}

static void lay_out(enum series_id id)
{
	struct series_layout *l = &layouts[id];
	struct str rest = str_from(catalog[id].labels);

	while (rest.len > 0) {
		assert(l->n_extra < SERIES_EXTRA_MAX);
		(void)str_cut(rest, ',', &l->extra[l->n_extra], &rest);
		l->n_extra++;
	}
	sort_labels(l);
	l->divisor = catalog[id].scale < 1 ? nearbyint(1 / catalog[id].scale) : 1;
	set_name(id, SERIES_PREFIX);
}

static void lay_out_all(void)
{
	for (enum series_id id = 0; id < SERIES_N; id++)
		lay_out(id);
}

const struct series_layout *catalog_layout(enum series_id id)
{
	assert(id < SERIES_N);
	(void)pthread_once(&once, lay_out_all);
	return &layouts[id];
}

struct str catalog_family(enum series_id id)
{
	struct str name = catalog_layout(id)->name;

	return (struct str){ name.p, name.len - suffix_bytes[catalog[id].part] };
}

bool catalog_is_prefix(const char *p)
{
	if (strlen(p) > SERIES_PREFIX_BYTES_MAX)
		return false;
	for (size_t i = 0; p[i]; i++) {
		bool letter =
			(p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') || p[i] == '_';

		if (!letter && (i == 0 || p[i] < '0' || p[i] > '9'))
			return false;
	}
	return true;
}

int catalog_set_prefix(const char *prefix)
{
	if (!catalog_is_prefix(prefix))
		return -EINVAL;
	(void)pthread_once(&once, lay_out_all);
	for (enum series_id id = 0; id < SERIES_N; id++)
		set_name(id, prefix);
	return 0;
}
