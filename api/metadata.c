/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "api/metadata_int.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/utf8.h"
#include "userspace/base/util.h"

#define ROOM_AGE_S 3600

/* --- tables ----------------------------------------------------------------------------------- */

static int table_grow(struct table *t, uint64_t (*hash_of)(const void *))
{
	size_t cap = t->cap ? 2 * t->cap : 64;
	void **slots;

	if (4 * (t->n + 1) <= 3 * t->cap)
		return 0;
	slots = mem_zalloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++) {
		size_t at;

		if (!t->slots[i])
			continue;
		for (at = hash_of(t->slots[i]) & (cap - 1); slots[at]; at = (at + 1) & (cap - 1))
			;
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

/* There is room: table_grow() went before. */
static void table_add(struct table *t, uint64_t hash, void *v)
{
	size_t at = hash & (t->cap - 1);

	while (t->slots[at])
		at = (at + 1) & (t->cap - 1);
	t->slots[at] = v;
	t->n++;
}

static uint64_t hash_def(const struct metadata_def *d)
{
	uint64_t h = hash_bytes(d->name.p, d->name.len, (uint64_t)d->type);

	h = hash_bytes(d->help.p, d->help.len, h);
	return hash_bytes(d->unit.p, d->unit.len, h);
}

static uint64_t hash_of_def(const void *v)
{
	return ((const struct def *)v)->hash;
}

static uint64_t hash_of_org(const void *v)
{
	return hash_str(((const struct org *)v)->name);
}

static bool same_def(const struct metadata_def *a, const struct metadata_def *b)
{
	return a->type == b->type && str_eq(a->name, b->name) && str_eq(a->help, b->help) &&
	       str_eq(a->unit, b->unit);
}

static struct def *find_def(const struct metadata *m, const struct metadata_def *d, uint64_t hash)
{
	const struct table *t = &m->defs;

	for (size_t at = hash & (t->cap - 1); t->cap > 0 && t->slots[at];
	     at = (at + 1) & (t->cap - 1)) {
		struct def *one = t->slots[at];

		if (one->hash == hash && same_def(&one->v, d))
			return one;
	}
	return NULL;
}

static struct org *find_org(const struct metadata *m, struct str name)
{
	const struct table *t = &m->orgs;

	for (size_t at = hash_str(name) & (t->cap - 1); t->cap > 0 && t->slots[at];
	     at = (at + 1) & (t->cap - 1)) {
		struct org *one = t->slots[at];

		if (str_eq(one->name, name))
			return one;
	}
	return NULL;
}

static struct use *find_use(const struct org *org, const struct def *def)
{
	for (size_t at = def->hash & (org->cap - 1); org->cap > 0 && org->slots[at];
	     at = (at + 1) & (org->cap - 1)) {
		if (org->slots[at]->def == def)
			return org->slots[at];
	}
	return NULL;
}

/* --- adding, under the lock ------------------------------------------------------------------- */

static struct str keep(char **at, struct str s)
{
	struct str kept = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return kept;
}

static int add_def(struct metadata *m, const struct metadata_def *d, uint64_t hash,
                   struct def **ret)
{
	size_t bytes = sizeof(struct def) + d->name.len + d->help.len + d->unit.len;
	struct def *def;

	if (m->bytes + bytes > METADATA_BYTES_MAX)
		return -ENOSPC;
	if (table_grow(&m->defs, hash_of_def) < 0)
		return -ENOMEM;
	def = mem_alloc(bytes);
	if (!def)
		return -ENOMEM;
	char *at = (char *)(def + 1);

	*def = (struct def){ .hash = hash, .number = m->next_number++ };
	def->v.type = d->type;
	def->v.name = keep(&at, d->name);
	def->v.help = keep(&at, d->help);
	def->v.unit = keep(&at, d->unit);
	table_add(&m->defs, hash, def);
	m->bytes += bytes;
	*ret = def;
	return 0;
}

static int add_org(struct metadata *m, struct str name, struct org **ret)
{
	struct org *org;

	if (table_grow(&m->orgs, hash_of_org) < 0)
		return -ENOMEM;
	org = mem_zalloc(1, sizeof(*org) + name.len);
	if (!org)
		return -ENOMEM;
	char *at = (char *)(org + 1);

	org->name = keep(&at, name);
	table_add(&m->orgs, hash_str(name), org);
	m->bytes += sizeof(*org) + name.len;
	*ret = org;
	return 0;
}

static uint32_t now_s(void)
{
	return (uint32_t)(clock_mono_ns() / 1000000000);
}

static void place_use(struct org *org, struct use *use)
{
	size_t at = use->def->hash & (org->cap - 1);

	while (org->slots[at])
		at = (at + 1) & (org->cap - 1);
	org->slots[at] = use;
	org->n++;
}

/* Rebuilt with @cap places, without @gone (may be NULL). */
static int org_resize(struct org *org, size_t cap, const struct use *gone)
{
	struct use **old = org->slots;
	size_t old_cap = org->cap;
	struct use **slots = mem_zalloc(cap, sizeof(struct use *));

	if (!slots)
		return -ENOMEM;
	org->slots = slots;
	org->cap = cap;
	org->n = 0;
	for (size_t i = 0; i < old_cap; i++) {
		if (old[i] && old[i] != gone)
			place_use(org, old[i]);
	}
	free(old);
	return 0;
}

/* An organisation that is full gives up what it has not said for longest, if that is long. */
static int make_room(struct metadata *m, struct org *org)
{
	struct use *oldest = NULL;

	if (org->n < METADATA_USES_MAX)
		return 4 * (org->n + 1) > 3 * org->cap
		               ? org_resize(org, org->cap ? 2 * org->cap : 16, NULL)
		               : 0;
	for (size_t i = 0; i < org->cap; i++) {
		struct use *u = org->slots[i];

		if (u && (!oldest || atomic_load(&u->seen_s) < atomic_load(&oldest->seen_s)))
			oldest = u;
	}
	if (now_s() - atomic_load(&oldest->seen_s) < ROOM_AGE_S)
		return -ENOSPC;
	if (org_resize(org, org->cap, oldest) < 0)
		return -ENOMEM;
	free(oldest);
	m->uses--;
	return 0;
}

static int add_use(struct metadata *m, struct org *org, struct def *def)
{
	struct use *use;
	int r = make_room(m, org);

	if (r < 0)
		return r;
	use = mem_alloc(sizeof(*use));
	if (!use)
		return -ENOMEM;
	use->def = def;
	atomic_init(&use->seen_s, now_s());
	place_use(org, use);
	m->uses++;
	m->bytes += sizeof(*use);
	return 0;
}

int metadata_add(struct metadata *m, struct str name, const struct metadata_def *d,
                 struct buf *frames)
{
	uint64_t hash = hash_def(d);
	struct def *def = find_def(m, d, hash);
	struct org *org = find_org(m, name);
	int r = 0;

	if (!def) {
		r = add_def(m, d, hash, &def);
		if (r == 0)
			metadata_put_def(frames, &def->v);
	}
	if (r == 0 && !org)
		r = add_org(m, name, &org);
	if (r == 0 && !find_use(org, def)) {
		r = add_use(m, org, def);
		if (r == 0)
			metadata_put_use(frames, name, def->number);
	}
	return r;
}

/* --- putting ---------------------------------------------------------------------------------- */

/* At most @max bytes, not in the middle of a character. */
static struct str cut_text(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	s.len = max;
	while (s.len > 0 && ((unsigned char)s.p[s.len] & 0xc0) == 0x80)
		s.len--;
	return s;
}

static bool seen_before(struct metadata *m, struct str name, const struct metadata_def *d)
{
	const struct def *def;
	const struct org *org;
	struct use *use = NULL;

	(void)pthread_rwlock_rdlock(&m->lock);
	def = find_def(m, d, hash_def(d));
	org = find_org(m, name);
	if (def && org)
		use = find_use(org, def);
	if (use)
		atomic_store_explicit(&use->seen_s, now_s(), memory_order_relaxed);
	(void)pthread_rwlock_unlock(&m->lock);
	return use != NULL;
}

int metadata_put(struct metadata *m, struct str org, const struct metadata_def *def)
{
	_cleanup_(buf_done) struct buf frames = BUF_INIT;
	struct metadata_def d = { def->name, cut_text(def->help, METADATA_HELP_MAX),
		                  cut_text(def->unit, METADATA_UNIT_MAX),
		                  def->type < RW_TYPES ? def->type : RW_TYPE_UNKNOWN };
	int r;

	if (d.name.len == 0 || d.name.len > METADATA_NAME_MAX || !utf8_is_valid(d.name) ||
	    !utf8_is_valid(d.help) || !utf8_is_valid(d.unit))
		return -EINVAL;
	if (seen_before(m, org, &d))
		return 0;
	(void)pthread_rwlock_wrlock(&m->lock);
	r = metadata_add(m, org, &d, &frames);
	metadata_append(m, &frames);
	(void)pthread_rwlock_unlock(&m->lock);
	if (r < 0)
		atomic_fetch_add(&m->refused, 1);
	return r;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct listed {
	struct metadata_def v;
	uint32_t seen_s, number;
};

static int cmp_listed(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int c = str_cmp(x->v.name, y->v.name);

	if (c != 0)
		return c;
	if (x->seen_s != y->seen_s)
		return x->seen_s > y->seen_s ? -1 : 1;
	return x->number > y->number ? -1 : x->number < y->number;
}

int metadata_each(struct metadata *m, struct str org, metadata_f fn, void *ctx)
{
	_cleanup_free_ struct listed *v = NULL;
	const struct org *o;
	size_t n = 0;
	int r = 0;

	(void)pthread_rwlock_rdlock(&m->lock);
	o = find_org(m, org);
	if (o)
		v = mem_zalloc(o->n + 1, sizeof(*v));
	for (size_t i = 0; v && i < o->cap; i++) {
		const struct use *u = o->slots[i];

		if (u)
			v[n++] = (struct listed){ u->def->v, atomic_load(&u->seen_s),
				                  u->def->number };
	}
	if (o && !v)
		r = -ENOMEM;
	(void)pthread_rwlock_unlock(&m->lock);
	if (n > 0)
		qsort(v, n, sizeof(*v), cmp_listed);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = fn(ctx, &v[i].v);
	return r;
}

static const char *const type_names[RW_TYPES] = {
	[RW_TYPE_UNKNOWN] = "unknown",
	[RW_TYPE_COUNTER] = "counter",
	[RW_TYPE_GAUGE] = "gauge",
	[RW_TYPE_HISTOGRAM] = "histogram",
	[RW_TYPE_GAUGEHISTOGRAM] = "gaugehistogram",
	[RW_TYPE_SUMMARY] = "summary",
	[RW_TYPE_INFO] = "info",
	[RW_TYPE_STATESET] = "stateset",
};

const char *metadata_type_name(enum rw_type type)
{
	return type_names[type < RW_TYPES ? type : RW_TYPE_UNKNOWN];
}

enum rw_type metadata_type_of(struct str name)
{
	for (unsigned i = 0; i < RW_TYPES; i++) {
		if (str_eqc(name, type_names[i]))
			return (enum rw_type)i;
	}
	return RW_TYPE_UNKNOWN;
}

void metadata_get_stats(struct metadata *m, struct metadata_stats *ret)
{
	(void)pthread_rwlock_rdlock(&m->lock);
	*ret = (struct metadata_stats){ m->orgs.n, m->defs.n, m->uses, m->bytes,
		                        atomic_load(&m->refused) };
	(void)pthread_rwlock_unlock(&m->lock);
}
