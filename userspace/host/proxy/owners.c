/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers index an array; a second array of numbers is the hash table over the labels. Removal is
 * rare (an owner nobody uses makes room for a new one) and rebuilds that table.
 */
#include "userspace/host/proxy/owners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/accounts.h"

#define SLOTS_MIN 64u

struct owners {
	struct owner **v; /* by number; NULL: free */
	uint32_t *slots;  /* number + 1, 0 = empty */
	size_t n, v_cap, n_used, n_slots;
};

#define COPY(dst, src) (void)snprintf((dst), sizeof(dst), "%s", (src))

static uint64_t hash_of(const char *org, const char *app, const char *region, const char *instance)
{
	const char *const texts[] = { org, app, region, instance };
	uint64_t hash = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		hash = hash_bytes(texts[i], strlen(texts[i]) + 1, hash);
	return hash;
}

static bool is_it(const struct owner *w, const char *org, const char *app, const char *region,
                  const char *instance)
{
	return strcmp(w->org, org) == 0 && strcmp(w->app, app) == 0 &&
	       strcmp(w->region, region) == 0 && strcmp(w->instance, instance) == 0;
}

/* The slot with these labels, or the empty one where they belong. */
static uint32_t *slot_of(const struct owners *o, const char *org, const char *app,
                         const char *region, const char *instance)
{
	size_t mask = o->n_slots - 1;
	size_t at = (size_t)hash_of(org, app, region, instance) & mask;

	while (o->slots[at] != 0 && !is_it(o->v[o->slots[at] - 1], org, app, region, instance))
		at = (at + 1) & mask;
	return &o->slots[at];
}

static int rebuild(struct owners *o, size_t n_slots)
{
	uint32_t *slots = mem_zalloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(o->slots);
	o->slots = slots;
	o->n_slots = n_slots;
	for (uint32_t i = 0; i < o->n; i++) {
		const struct owner *w = o->v[i];

		if (w)
			*slot_of(o, w->org, w->app, w->region, w->instance) = i + 1;
	}
	return 0;
}

static void owner_free(struct owner *w)
{
	if (w)
		accounts_free(w->accounts);
	free(w);
}

void owners_free(struct owners *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n; i++)
		owner_free(o->v[i]);
	free(o->v);
	free(o->slots);
	free(o);
}

/* The least recently used one that nobody refers to makes room. */
static int forget_one(struct owners *o)
{
	size_t oldest = 0;

	for (size_t i = 1; i < o->n; i++) {
		if (o->v[i] && o->v[i]->n_refs == 0 &&
		    (oldest == 0 || o->v[i]->used_ns < o->v[oldest]->used_ns))
			oldest = i;
	}
	if (oldest == 0)
		return -ENOSPC;
	owner_free(o->v[oldest]);
	o->v[oldest] = NULL;
	o->n_used--;
	return rebuild(o, o->n_slots);
}

/* A number that nobody has; it may be one that an owner had who was forgotten. */
static int free_number(struct owners *o, uint32_t *ret)
{
	uint32_t i = 0;

	while (o->n_used < o->n && i < o->n && o->v[i])
		i++;
	if (o->n_used < o->n) {
		*ret = i;
		return 0;
	}
	if (MEM_GROW(o->v, o->v_cap, o->n + 1) < 0)
		return -ENOMEM;
	o->v[o->n] = NULL;
	*ret = (uint32_t)o->n++;
	return 0;
}

static int reserve(struct owners *o, uint32_t *ret_number)
{
	int r = o->n_used >= OWNERS_MAX ? forget_one(o) : 0;

	if (r == 0 && (o->n_used + 1) * 2 > o->n_slots)
		r = rebuild(o, MAX(o->n_slots * 2, (size_t)SLOTS_MIN));
	return r < 0 ? r : free_number(o, ret_number);
}

static int owner_add(struct owners *o, const char *org, const char *app, const char *region,
                     const char *instance, uint32_t *ret)
{
	struct owner *w = mem_zalloc(1, sizeof(*w));
	uint32_t number = 0;
	int r = w ? reserve(o, &number) : -ENOMEM;

	if (r < 0) {
		free(w);
		return r;
	}
	COPY(w->org, org);
	COPY(w->app, app);
	COPY(w->region, region);
	COPY(w->instance, instance);
	*slot_of(o, org, app, region, instance) = number + 1;
	o->v[number] = w;
	o->n_used++;
	*ret = number;
	return 0;
}

int owners_new(struct owners **ret, const char *org, const char *region)
{
	struct owners *o = mem_zalloc(1, sizeof(*o));
	uint32_t nobody;
	int r = o ? owners_take(o, org, "unknown", region, "", &nobody) : -ENOMEM;

	if (r < 0) {
		owners_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

int owners_take(struct owners *o, const char *org, const char *app, const char *region,
                const char *instance, uint32_t *ret)
{
	uint32_t number = o->n_slots > 0 ? *slot_of(o, org, app, region, instance) : 0;
	int r = 0;

	if (number > 0)
		number--;
	else
		r = owner_add(o, org, app, region, instance, &number);
	if (r < 0)
		return r;
	owners_ref(o, number);
	*ret = number;
	return 0;
}

struct owner *owners_get(struct owners *o, uint32_t number)
{
	return number < o->n && o->v[number] ? o->v[number] : o->v[OWNER_NOBODY];
}

void owners_ref(struct owners *o, uint32_t number)
{
	owners_get(o, number)->n_refs++;
}

void owners_release(struct owners *o, uint32_t number)
{
	struct owner *w = owners_get(o, number);

	w->n_refs -= w->n_refs > 0;
	w->used_ns = clock_mono_ns();
}

int owners_each(struct owners *o, owners_f fn, void *ctx)
{
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < o->n; i++) {
		if (o->v[i])
			r = fn(ctx, o->v[i], i);
	}
	return r < 0 ? r : 0;
}

size_t owners_count(const struct owners *o)
{
	return o->n_used;
}
