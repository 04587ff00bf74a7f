/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/names.h"

#include <errno.h>
#include <stdlib.h>

#include "api/handlers/filters.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

struct collect {
	struct arena *arena;
	struct str *v;
	size_t n, cap;
};

static int add_name(void *ctx, struct str text)
{
	struct collect *c = ctx;

	if (MEM_GROW(c->v, c->cap, c->n + 1) < 0)
		return -ENOMEM;
	c->v[c->n++] = arena_str(c->arena, text);
	return arena_error(c->arena);
}

/* Never NULL on success: that would mean every name. */
static int keep_names(struct arena *arena, const struct str *v, size_t n, struct names *ret)
{
	struct str *kept = ARENA_ARRAY(arena, struct str, n + 1);

	if (!kept)
		return arena_error(arena);
	if (n > 0)
		memcpy(kept, v, n * sizeof(*kept));
	*ret = (struct names){ kept, n };
	return 0;
}

int names_of_request(struct region *region, struct request *req, struct names *ret, struct err *e)
{
	struct collect c = { .arena = &req->arena };
	struct store_select sel = { .min_ms = INT64_MIN, .max_ms = INT64_MAX };
	struct region_conf conf;
	int r = filters_select(req, false, &sel, e);

	region_settings(region, &conf);
	sel.deadline_mono_ns = clock_mono_ns() + (uint64_t)conf.labels_timeout_ms * 1000000;
	sel.series_max = (uint64_t)conf.labels_series_max;
	if (r == 0)
		r = store_label_values(region->store, &sel, STR(LABEL_NAME), add_name, &c, e);
	if (r == 0)
		r = keep_names(&req->arena, c.v, c.n, ret);
	free(c.v);
	return r;
}

static int cmp_name(const void *key, const void *row)
{
	return str_cmp(*(const struct str *)key, *(const struct str *)row);
}

static bool has(const struct names *names, struct str name)
{
	return bsearch(&name, names->v, names->n, sizeof(*names->v), cmp_name) != NULL;
}

bool names_has_family(const struct names *names, struct str name)
{
	static const char *const suffixes[] = { "", "_bucket", "_count", "_sum", "_total" };
	char full[512];

	if (!names->v)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (name.len + n > sizeof(full))
			continue;
		memcpy(full, name.p, name.len);
		memcpy(full + name.len, suffixes[i], n);
		if (has(names, (struct str){ full, name.len + n }))
			return true;
	}
	return false;
}
