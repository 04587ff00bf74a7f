/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auth/verdicts.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"

#define PLACES 4096u

struct verdict { /* one piece of memory: the struct, the tokens, their caveats, all bytes */
	_Atomic unsigned refs;
	uint8_t hash[VERDICT_HASH_BYTES];
	size_t n;
	struct verified v[];
};

struct verdicts {
	pthread_mutex_t lock; /* of the places, not of what is in them */
	struct verdict *places[PLACES];
};

int verdicts_new(struct verdicts **ret)
{
	struct verdicts *t = mem_zalloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void verdicts_free(struct verdicts *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < PLACES; i++)
		verdict_put(t->places[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void verdict_put(struct verdict *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
		return;
	free(v);
}

static struct verdict **place_of(struct verdicts *t, const uint8_t *hash)
{
	uint32_t bits;

	memcpy(&bits, hash, sizeof(bits));
	return &t->places[bits % PLACES];
}

struct verdict *verdicts_find(struct verdicts *t, const uint8_t *hash)
{
	struct verdict *v;

	pthread_mutex_lock(&t->lock);
	v = *place_of(t, hash);
	if (v && memcmp(v->hash, hash, sizeof(v->hash)) == 0)
		atomic_fetch_add(&v->refs, 1);
	else
		v = NULL;
	pthread_mutex_unlock(&t->lock);
	return v;
}

static size_t bytes_of(const struct verified *v)
{
	size_t bytes = v->who.len + v->caveats.n * sizeof(struct caveat);

	for (uint32_t i = 0; i < v->caveats.n; i++)
		bytes += v->caveats.v[i].raw.len;
	return bytes;
}

static struct str copy_text(char **at, struct str s)
{
	struct str copy = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copy;
}

static void copy_token(char **at, const struct verified *from, struct caveat *caveats,
                       struct verified *to)
{
	for (uint32_t i = 0; i < from->caveats.n; i++) {
		const struct caveat *c = &from->caveats.v[i];
		struct str raw = copy_text(at, c->raw);

		caveats[i] =
			(struct caveat){ c->type, raw, str_skip(raw, c->raw.len - c->body.len) };
	}
	to->caveats = (struct caveat_set){ caveats, from->caveats.n };
	to->who = copy_text(at, from->who);
}

static struct verdict *copy(const uint8_t *hash, const struct verified *from, size_t n)
{
	size_t bytes = sizeof(struct verdict) + n * sizeof(*from), n_caveats = 0;
	struct verdict *v;

	for (size_t i = 0; i < n; i++) {
		bytes += bytes_of(&from[i]);
		n_caveats += from[i].caveats.n;
	}
	v = mem_alloc(bytes);
	if (!v)
		return NULL;
	atomic_init(&v->refs, 2); /* the place's and the caller's */
	memcpy(v->hash, hash, sizeof(v->hash));
	v->n = n;
	struct caveat *caveats = (struct caveat *)(void *)&v->v[n];
	char *at = (char *)&caveats[n_caveats];

	for (size_t i = 0; i < n; i++) {
		copy_token(&at, &from[i], caveats, &v->v[i]);
		caveats += from[i].caveats.n;
	}
	return v;
}

struct verdict *verdicts_add(struct verdicts *t, const uint8_t *hash, const struct verified *v,
                             size_t n)
{
	struct verdict *fresh = copy(hash, v, n), *old;

	if (!fresh)
		return NULL;
	pthread_mutex_lock(&t->lock);
	old = *place_of(t, hash);
	*place_of(t, hash) = fresh;
	pthread_mutex_unlock(&t->lock);
	verdict_put(old);
	return fresh;
}

const struct verified *verdict_tokens(const struct verdict *v, size_t *ret_n)
{
	*ret_n = v->n;
	return v->v;
}
