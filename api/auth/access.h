/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Who exists and who may do what: the content of the access files. docs/access.md describes them.
 *
 * Snapshot  Loaded whole, checked whole, then never changed; a request holds a reference from its
 *           token's check to its end, so a reload does not pull anything from under it.
 * Secrets   Opaque tokens are kept as SHA-256 only. Keys of FlyV1 tokens are in files of their
 *           own that others must not be able to read, and are wiped when a snapshot is freed.
 * Cost      Every look-up is a binary search.
 */

#include "api/auth/grant.h"
#include "store/store.h"
#include "userspace/base/arena.h"
#include "userspace/base/err.h"
#include "userspace/wire/macaroon.h"

#define ACCESS_HASH_BYTES 32u
#define ACCESS_EVERY_ORG  "*"

struct access_app {
	struct str name;
	uint64_t id; /* 0 = none */
};

struct access_org {
	struct str name;
	uint64_t id; /* 0 = none: no FlyV1 token can be about it */
	const struct access_app *apps;
	size_t n_apps;
	struct store_limits limits;
};

struct access_token { /* an opaque one */
	struct str name;
	uint8_t sha256[ACCESS_HASH_BYTES];
	struct str org; /* empty = every one */
	unsigned scopes;
	bool some_apps;
	const struct str *apps;
	size_t n_apps;
	int64_t expires_ms; /* INT64_MAX = never */
};

struct access_key { /* of FlyV1 tokens that we accept */
	struct str kid, location, key;
};

struct access;

/*
 * access_load() - reads the file @path, or every *.yml of the folder @path.
 * -EINVAL with @e naming file and fault; -ENOENT and the like; -ENOMEM.
 */
int access_load(const char *path, struct access **ret, struct err *e);
struct access *access_ref(struct access *a); /* NULL is fine */
void access_unref(struct access *a);

/* NULL when there is none. What they return lives as long as the snapshot. */
const struct access_org *access_org(const struct access *a, struct str name);
const struct access_org *access_org_by_id(const struct access *a, uint64_t id);
const struct access_token *access_token(const struct access *a, const uint8_t *sha256);
const struct access_key *access_key(const struct access *a, struct str kid);

/* Locations that have a key: a token from elsewhere can only be a discharge. */
bool access_is_permission(const struct access *a, struct str location);
const struct macaroon_trust *access_trusted(const struct access *a, size_t *ret_n);

/* Is the token revoked, by the name its tools show or by its kid? */
bool access_is_revoked(const struct access *a, const struct macaroon *m);

/* All of them in order of their names. */
const struct access_org *access_orgs(const struct access *a, size_t *ret_n);

struct access_counts {
	size_t orgs, tokens, keys, revoked;
};
struct access_counts access_count(const struct access *a);

/* The verdicts about tokens that belong to this snapshot. */
struct verdicts;
struct verdicts *access_verdicts(const struct access *a);
