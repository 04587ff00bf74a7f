/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From an Authorization header to what its bearer may do. Either scheme word, Bearer or FlyV1, is
 * taken for either kind of token: what begins with fm2_, fm1r_ or fm1a_ is a bundle of macaroons,
 * anything else an opaque token.
 *
 * Apps   A FlyV1 token that is for certain apps is no answer to a question about a whole
 *        organisation. Here it is: every app that the access files know is asked about, and the
 *        request then sees the series of those that are allowed.
 * Closed Whatever is not understood is refused, with a sentence for the bearer that tells nothing
 *        about other organisations.
 * Cost   One SHA-256 and a look-up, once the tokens of a header were seen.
 */

#include "api/auth/access.h"

struct auth_question {
	enum need need;
	struct str org; /* of the path; empty on the root path */
	int64_t now_ms;
};

/*
 * auth_check() - @ret borrows from @a and @arena.
 *   -EACCES  with @e: no token, or none that is known and valid (401)
 *   -EPERM   with @e: the token is for something else (403)
 *   -ENOMEM, -ENOSPC
 */
int auth_check(const struct access *a, struct str header, const struct auth_question *q,
               struct arena *arena, struct grant *ret, struct err *e);

/* The challenge of a 401. */
#define AUTH_CHALLENGE "Bearer realm=\"periscope\", FlyV1 realm=\"periscope\""
