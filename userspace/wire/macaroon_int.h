/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to macaroon*.c: the chain of signatures. */

#include <sodium.h>

#include "userspace/wire/macaroon.h"

struct macaroon_tail {
	uint8_t v[MACAROON_TAIL_BYTES];
};

struct macaroon_tail macaroon_sign(struct str key, struct str bytes);

static inline struct str macaroon_tail_str(const struct macaroon_tail *t)
{
	return (struct str){ (const char *)t->v, sizeof(t->v) };
}

/* The tail behind one more caveat: what is signed is a set of it alone. */
struct macaroon_tail macaroon_sign_caveat(const struct macaroon_tail *tail, struct str raw);

/* The last step of a proof. */
struct macaroon_tail macaroon_finalize(const struct macaroon_tail *tail);
