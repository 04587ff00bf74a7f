/* SPDX-License-Identifier: BSD-2-Clause */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth/access_int.h"
#include "api/auth/verdicts.h"
#include "userspace/base/num.h"

struct access *access_ref(struct access *a)
{
	if (a)
		atomic_fetch_add(&a->refs, 1);
	return a;
}

void access_unref(struct access *a)
{
	if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
		return;
	verdicts_free(a->verdicts);
	if (a->trusted)
		sodium_memzero((void *)(uintptr_t)a->trusted, a->n_trusted * sizeof(*a->trusted));
	if (a->secrets.p)
		sodium_memzero(a->secrets.p, a->secrets.cap);
	buf_done(&a->secrets);
	arena_done(&a->arena);
	free(a);
}

/* --- look-ups --------------------------------------------------------------------------------- */

static int by_org_name(const void *key, const void *row)
{
	return str_cmp(*(const struct str *)key, ((const struct access_org *)row)->name);
}

static int by_org_id(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key;
	const struct access_org *org = *(const struct access_org *const *)row;

	return id < org->id ? -1 : id > org->id;
}

static int by_hash(const void *key, const void *row)
{
	return memcmp(key, ((const struct access_token *)row)->sha256, ACCESS_HASH_BYTES);
}

static int by_kid(const void *key, const void *row)
{
	return str_cmp(*(const struct str *)key, ((const struct access_key *)row)->kid);
}

static int by_text(const void *key, const void *row)
{
	return str_cmp(*(const struct str *)key, *(const struct str *)row);
}

const struct access_org *access_org(const struct access *a, struct str name)
{
	return bsearch(&name, a->orgs, a->n_orgs, sizeof(*a->orgs), by_org_name);
}

const struct access_org *access_org_by_id(const struct access *a, uint64_t id)
{
	const struct access_org *const *at =
		bsearch(&id, a->orgs_by_id, a->n_orgs_by_id, sizeof(*a->orgs_by_id), by_org_id);

	return at ? *at : NULL;
}

const struct access_token *access_token(const struct access *a, const uint8_t *sha256)
{
	return bsearch(sha256, a->tokens, a->n_tokens, sizeof(*a->tokens), by_hash);
}

const struct access_key *access_key(const struct access *a, struct str kid)
{
	return bsearch(&kid, a->keys, a->n_keys, sizeof(*a->keys), by_kid);
}

bool access_is_permission(const struct access *a, struct str location)
{
	for (size_t i = 0; i < a->n_keys; i++) {
		if (str_eq(a->keys[i].location, location))
			return true;
	}
	return false;
}

const struct macaroon_trust *access_trusted(const struct access *a, size_t *ret_n)
{
	*ret_n = a->n_trusted;
	return a->trusted;
}

bool access_is_revoked(const struct access *a, const struct macaroon *m)
{
	char uuid[MACAROON_UUID_TEXT_MAX];
	_cleanup_(buf_done) struct buf kid = BUF_INIT;

	if (a->n_revoked == 0)
		return false;
	buf_puts(&kid, "kid:");
	for (size_t i = 0; i < m->kid.len; i++)
		buf_printf(&kid, "%02x", (unsigned char)m->kid.p[i]);
	if (kid.err < 0 || macaroon_uuid(m, uuid) < 0)
		return true; /* what cannot be looked up is not let in */
	struct str texts[] = { buf_str(&kid), str_from(uuid) };

	return bsearch(&texts[0], a->revoked, a->n_revoked, sizeof(*a->revoked), by_text) ||
	       bsearch(&texts[1], a->revoked, a->n_revoked, sizeof(*a->revoked), by_text);
}

const struct access_org *access_orgs(const struct access *a, size_t *ret_n)
{
	*ret_n = a->n_orgs;
	return a->orgs;
}

struct access_counts access_count(const struct access *a)
{
	return (struct access_counts){ a->n_orgs, a->n_tokens, a->n_keys, a->n_revoked };
}

struct verdicts *access_verdicts(const struct access *a)
{
	return a->verdicts;
}
