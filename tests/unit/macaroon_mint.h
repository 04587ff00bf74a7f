/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The other side of tokens, for tests: adds third-party caveats and makes the discharges for them,
 * as an authentication service would.
 */

#include "tests/unit/unit.h"

#include <sodium.h>

#include "userspace/wire/macaroon.h"
#include "userspace/wire/msgpack.h"

static inline struct str mint_bytes(const void *p, size_t n)
{
	return (struct str){ p, n };
}

/* nonce ‖ ChaCha20-Poly1305(key, plain), appended as a MessagePack bin. */
static inline void mint_put_sealed(struct buf *out, const uint8_t *key, struct str plain)
{
	uint8_t sealed[4096];
	unsigned long long n;

	assert_true(plain.len < 4000);
	randombytes_buf(sealed, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
		sealed + crypto_aead_chacha20poly1305_ietf_NPUBBYTES, &n, (const uint8_t *)plain.p,
		plain.len, NULL, 0, NULL, sealed, key);
	msgpack_put_bin(out, mint_bytes(sealed, crypto_aead_chacha20poly1305_ietf_NPUBBYTES + n));
}

static inline void mint_add(struct macaroon *m, uint64_t type, struct buf *body,
                            struct arena *arena)
{
	struct err e = ERR_INIT;

	if (macaroon_attenuate(m, type, buf_str(body), arena, &e) < 0)
		fail_msg("caveat %llu: %s", (unsigned long long)type, e.msg);
	buf_done(body);
}

static inline void mint_organization(struct macaroon *m, uint64_t id, uint16_t mask,
                                     struct arena *arena)
{
	struct buf body = BUF_INIT;

	msgpack_put_array(&body, 2);
	msgpack_put_uint(&body, id);
	msgpack_put_uint(&body, mask);
	mint_add(m, CAVEAT_ORGANIZATION, &body, arena);
}

static inline void mint_window(struct macaroon *m, int64_t not_before, int64_t not_after,
                               struct arena *arena)
{
	struct buf body = BUF_INIT;

	msgpack_put_array(&body, 2);
	msgpack_put_int(&body, not_before);
	msgpack_put_int(&body, not_after);
	mint_add(m, CAVEAT_VALIDITY_WINDOW, &body, arena);
}

static inline void mint_put_apps(struct buf *body, const uint64_t *ids, uint32_t n, uint16_t mask)
{
	msgpack_put_array(body, 1);
	msgpack_put_map(body, n);
	for (uint32_t i = 0; i < n; i++) {
		msgpack_put_uint(body, ids[i]);
		msgpack_put_uint(body, mask);
	}
}

static inline void mint_apps(struct macaroon *m, const uint64_t *ids, uint32_t n, uint16_t mask,
                             struct arena *arena)
{
	struct buf body = BUF_INIT;

	mint_put_apps(&body, ids, n, mask);
	mint_add(m, CAVEAT_APPS, &body, arena);
}

/* Asks @location, with whom we share @shared, for a discharge; *@ret_ticket is what it gets. */
static inline void mint_third_party(struct macaroon *m, struct str location, const uint8_t *shared,
                                    struct arena *arena, struct str *ret_ticket)
{
	uint8_t key[MACAROON_KEY_BYTES];
	struct buf body = BUF_INIT, plain = BUF_INIT;
	uint32_t n;

	randombytes_buf(key, sizeof(key));
	msgpack_put_array(&plain, 2);
	msgpack_put_bin(&plain, mint_bytes(key, sizeof(key)));
	msgpack_put_array(&plain, 0);
	msgpack_put_array(&body, 3);
	msgpack_put_str(&body, location);
	mint_put_sealed(&body, m->tail, mint_bytes(key, sizeof(key)));
	mint_put_sealed(&body, shared, buf_str(&plain));
	buf_done(&plain);
	mint_add(m, CAVEAT_THIRD_PARTY, &body, arena);

	struct msgpack at = msgpack_from(m->caveats.v[m->caveats.n - 1].body);
	struct str skipped;

	(void)msgpack_array(&at, &n);
	(void)msgpack_str(&at, &skipped);
	(void)msgpack_bin(&at, &skipped);
	assert_int_equal(0, msgpack_bin(&at, ret_ticket));
}

/* The key in a ticket, for whoever shares @shared with its maker. */
static inline void mint_open_ticket(struct str ticket, const uint8_t *shared, uint8_t *ret_key)
{
	uint8_t plain[4096];
	unsigned long long n;
	const uint8_t *p = (const uint8_t *)ticket.p;
	struct str key;
	uint32_t fields;

	assert_int_equal(0, crypto_aead_chacha20poly1305_ietf_decrypt(
				    plain, &n, NULL, p + 12, ticket.len - 12, NULL, 0, p, shared));
	struct msgpack m = { plain, plain + n };

	assert_int_equal(0, msgpack_array(&m, &fields));
	assert_int_equal(0, msgpack_bin(&m, &key));
	assert_int_equal(MACAROON_KEY_BYTES, key.len);
	memcpy(ret_key, key.p, key.len);
}

/* Text of a token, in @arena. */
static inline struct str mint_text(const struct macaroon *m, struct arena *arena)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;

	macaroon_put(&bytes, m);
	macaroon_text_put(&text, buf_str(&bytes));
	struct str copy = arena_str(arena, buf_str(&text));

	buf_done(&bytes);
	buf_done(&text);
	return copy;
}
