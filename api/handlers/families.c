/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/families.h"

#include "userspace/base/util.h"

static int add_family(void *ctx, const struct metadata_def *d)
{
	struct families *f = ctx;
	struct family *last = f->n > 0 ? &f->v[f->n - 1] : NULL;

	if (last && str_eq(last->name, d->name))
		return 0; /* the newest one came first */
	/* Room doubles: the arena has no other way, and it is freed with the request. */
	if ((f->n & (f->n - 1)) == 0) {
		size_t cap = f->n ? 2 * f->n : 64;
		struct family *v = ARENA_ARRAY(f->arena, struct family, cap);

		if (!v)
			return arena_error(f->arena);
		if (last)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
	}
	f->v[f->n++] = (struct family){ d->name, d->help, d->unit, d->type };
	return 0;
}

int families_load(struct families *f, struct metadata *m, struct str org, struct arena *arena)
{
	*f = (struct families){ .arena = arena };
	return metadata_each(m, org, add_family, f);
}

const struct family *families_find(const struct families *f, struct str name)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = str_cmp(name, f->v[mid].name);

		if (c == 0)
			return &f->v[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct family *families_find_of(const struct families *f, struct str name)
{
	static const char *const suffixes[] = { "_bucket", "_count", "_sum", "_gcount", "_gsum" };
	const struct family *own = families_find(f, name);

	for (size_t i = 0; !own && i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (name.len <= n || memcmp(name.p + name.len - n, suffixes[i], n) != 0)
			continue;
		const struct family *one = families_find(f, (struct str){ name.p, name.len - n });

		if (one && (one->type == RW_TYPE_HISTOGRAM || one->type == RW_TYPE_SUMMARY ||
		            one->type == RW_TYPE_GAUGEHISTOGRAM))
			return one;
	}
	return own;
}
