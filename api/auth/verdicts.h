/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Headers with FlyV1 tokens whose signatures were found right, so that a dashboard's next request
 * costs one hash. What is kept is what the tokens say, not whether they allowed something: their
 * caveats are checked at every request, so a kept token still expires to the millisecond.
 *
 * A table with one place for each of the first bits of the header's SHA-256: a newer header takes
 * the place of an older one, and memory has a bound.
 *
 * Threads  Any. An entry that was found stays valid until it is put back.
 */

#include <stddef.h>

#include "userspace/wire/caveat.h"

#define VERDICT_HASH_BYTES 32u

struct verified {                  /* one permission token */
	struct caveat_set caveats; /* that remain to be checked */
	struct str who;            /* its name */
};

struct verdict;
struct verdicts;

int verdicts_new(struct verdicts **ret); /* -ENOMEM */
void verdicts_free(struct verdicts *t);  /* NULL is fine */

/* The entry for @hash, to be put back; NULL when there is none. */
struct verdict *verdicts_find(struct verdicts *t, const uint8_t *hash);

/* Keeps a copy of @v; returns it as verdicts_find() would. NULL when out of memory. */
struct verdict *verdicts_add(struct verdicts *t, const uint8_t *hash, const struct verified *v,
                             size_t n);
void verdict_put(struct verdict *v); /* NULL is fine */
const struct verified *verdict_tokens(const struct verdict *v, size_t *ret_n);
