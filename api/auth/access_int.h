/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The snapshot itself; private to access*.c. */

#include <stdatomic.h>

#include "api/auth/access.h"

struct access {
	_Atomic unsigned refs;
	struct arena arena;                   /* of everything below but the keys' bytes */
	const struct access_org *orgs;        /* by name */
	const struct access_org **orgs_by_id; /* those that have one, by id */
	const struct access_token *tokens;    /* by hash */
	const struct access_key *keys;        /* by kid */
	const struct macaroon_trust *trusted;
	const struct str *revoked; /* by bytes */
	size_t n_orgs, n_orgs_by_id, n_tokens, n_keys, n_trusted, n_revoked;
	struct buf secrets; /* where the slices of keys point; wiped */
	struct verdicts *verdicts;
};
