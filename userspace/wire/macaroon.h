/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * FlyV1 tokens: macaroons as MessagePack arrays.
 *
 *	macaroon = [ nonce, location, caveats, tail ]
 *	nonce    = [ kid, rnd ] or [ kid, rnd, proof ]
 *	caveats  = [ type, body, type, body, … ]
 *
 * The chain    tail0 = HMAC-SHA256(key, nonce), then tail = HMAC(tail, 0x92 type body) for each
 *              caveat; a proof's last one is finalised. All over the bytes as they came, which
 *              are canonical or refused. The location is not signed.
 * Third party  A caveat [location, verifierKey, ticket] asks for a discharge: a macaroon whose kid
 *              is the ticket, signed by the key that verifierKey holds, sealed with the tail.
 * Untrusted    Everything comes from a client; every count has a limit.
 *
 * Threads      Pure functions over an arena. macaroon_init() once, before any thread.
 * Source       github.com/superfly/macaroon: macaroon.go, nonce.go, crypto.go
 */

#include "userspace/base/arena.h"
#include "userspace/wire/caveat.h"

#define MACAROON_HEADER_BYTES_MAX  16384u
#define MACAROON_TOKENS_MAX        16u
#define MACAROON_CAVEATS_MAX       64u
#define MACAROON_THIRD_PARTIES_MAX 4u
#define MACAROON_KEY_BYTES         32u
#define MACAROON_TAIL_BYTES        32u
#define MACAROON_RND_BYTES         16u
#define MACAROON_UUID_TEXT_MAX     37u

struct macaroon {
	struct str nonce; /* as encoded */
	struct str kid, rnd;
	bool proof; /* final: nobody can add a caveat */
	struct str location;
	struct caveat_set caveats;
	uint8_t tail[MACAROON_TAIL_BYTES];
};

/* A key shared with a third party: its discharges may carry attestations. */
struct macaroon_trust {
	struct str location;
	uint8_t key[MACAROON_KEY_BYTES];
};

int macaroon_init(void); /* -EIO: no source of random numbers */

/*
 * macaroon_parse() - one token. Slices point into @bytes, arrays live in @arena.
 * -EBADMSG with @e: not a macaroon, not canonical, or above a limit. -ENOMEM, -ENOSPC.
 */
int macaroon_parse(struct str bytes, struct arena *arena, struct macaroon *ret, struct err *e);

/* The encoded token; reads back equal. */
void macaroon_put(struct buf *out, const struct macaroon *m);

/*
 * macaroon_verify() - checks @m and the discharges its third-party caveats ask for.
 *
 * *@ret gets the caveats that remain to be checked against an access, those of the discharges too;
 * they live in @arena. Returns 0, -EPERM with @e (a signature or a discharge is wrong or missing),
 * -ENOMEM, -ENOSPC.
 * Cost: an HMAC of each caveat.
 */
struct macaroon_discharges {
	const struct macaroon *v;
	size_t n;
	const struct macaroon_trust *trusted;
	size_t n_trusted;
};
int macaroon_verify(const struct macaroon *m, struct str key, const struct macaroon_discharges *d,
                    struct arena *arena, struct caveat_set *ret, struct err *e);

/*
 * macaroon_mint() - a new token without caveats, signed with @key. Its texts are slices of @kid,
 * @location and @arena. -ENOMEM, -ENOSPC.
 */
int macaroon_mint(struct str kid, struct str location, struct str key, struct arena *arena,
                  struct macaroon *ret);

/*
 * macaroon_attenuate() - adds one caveat, @body encoded; nobody can take it away again.
 * -EPERM with @e: a proof is final. -EINVAL: the body is not one of @type. -ENOSPC: there are
 * MACAROON_CAVEATS_MAX. -ENOMEM.
 */
int macaroon_attenuate(struct macaroon *m, uint64_t type, struct str body, struct arena *arena,
                       struct err *e);

/*
 * The name that Fly's tools show of a token; @dst: MACAROON_UUID_TEXT_MAX bytes. -ENOSPC: its kid
 * is longer than that of a token we could verify (discharges have a ticket there).
 */
int macaroon_uuid(const struct macaroon *m, char *dst);

/* ---- text ------------------------------------------------------------------------------------ */

/* Does @token begin like a macaroon: fm2_, fm1r_ or fm1a_? */
bool macaroon_is_text(struct str token);

/* The bytes of one text token. -EBADMSG: not one of the prefixes with strict, padded base64. */
int macaroon_text_decode(struct str token, struct arena *arena, struct str *ret);
void macaroon_text_put(struct buf *out, struct str bytes); /* fm2_… */
