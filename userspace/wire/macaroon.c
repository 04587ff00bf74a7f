/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens as bytes and as text, and making them; macaroon_verify.c checks them. */
#include "userspace/wire/macaroon.h"

#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/wire/macaroon_int.h"
#include "userspace/wire/msgpack.h"

#define CAVEAT_PAIR 0x92 /* an array of two: a caveat set that holds one */

int macaroon_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int bad(struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "the token is broken: %s", what);
}

static int parse_nonce(struct msgpack m, struct macaroon *ret)
{
	uint32_t n;

	if (msgpack_skip(&m, &ret->nonce) < 0)
		return -EBADMSG;
	m = msgpack_from(ret->nonce);
	if (msgpack_array(&m, &n) < 0 || n < 2 || n > 3 || msgpack_bin(&m, &ret->kid) < 0 ||
	    msgpack_bin(&m, &ret->rnd) < 0 || ret->rnd.len != MACAROON_RND_BYTES)
		return -EBADMSG;
	ret->proof = false;
	return n == 3 ? msgpack_bool(&m, &ret->proof) : 0;
}

static int parse_caveat(struct msgpack *m, struct caveat *ret, struct err *e)
{
	const uint8_t *start = m->p;

	if (msgpack_uint(m, &ret->type) < 0 || msgpack_skip(m, &ret->body) < 0)
		return bad(e, "a caveat");
	ret->raw = (struct str){ (const char *)start, (size_t)(m->p - start) };
	if (!caveat_is_valid(ret->type, ret->body))
		return err_set(e, -EBADMSG, "the token is broken: its %s caveat",
		               caveat_name(ret->type));
	return 0;
}

static int parse_caveats(struct msgpack *m, struct arena *arena, struct caveat_set *ret,
                         struct err *e)
{
	unsigned third_parties = 0;
	struct caveat *v;
	uint32_t n;

	if (msgpack_array(m, &n) < 0 || n % 2 != 0)
		return bad(e, "its list of caveats");
	if (n / 2 > MACAROON_CAVEATS_MAX)
		return err_set(e, -EBADMSG, "the token has more than %u caveats",
		               MACAROON_CAVEATS_MAX);
	v = ARENA_ARRAY(arena, struct caveat, n / 2 + 1);
	if (!v)
		return arena_error(arena);
	for (uint32_t i = 0; i < n / 2; i++) {
		int r = parse_caveat(m, &v[i], e);

		if (r < 0)
			return r;
		third_parties += v[i].type == CAVEAT_THIRD_PARTY;
	}
	if (third_parties > MACAROON_THIRD_PARTIES_MAX)
		return err_set(e, -EBADMSG, "the token has more than %u third-party caveats",
		               MACAROON_THIRD_PARTIES_MAX);
	*ret = (struct caveat_set){ v, n / 2 };
	return 0;
}

int macaroon_parse(struct str bytes, struct arena *arena, struct macaroon *ret, struct err *e)
{
	struct msgpack m = msgpack_from(bytes);
	struct macaroon x = { 0 };
	struct str tail;
	uint32_t n;
	int r;

	if (msgpack_array(&m, &n) < 0 || n != 4 || parse_nonce(m, &x) < 0)
		return bad(e, "its nonce");
	m.p += x.nonce.len;
	if (msgpack_str(&m, &x.location) < 0)
		return bad(e, "its location");
	r = parse_caveats(&m, arena, &x.caveats, e);
	if (r < 0)
		return r;
	if (msgpack_bin(&m, &tail) < 0 || tail.len != sizeof(x.tail) || !msgpack_at_end(&m))
		return bad(e, "its signature");
	memcpy(x.tail, tail.p, sizeof(x.tail));
	*ret = x;
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

void macaroon_put(struct buf *out, const struct macaroon *m)
{
	msgpack_put_array(out, 4);
	buf_put_str(out, m->nonce);
	msgpack_put_str(out, m->location);
	msgpack_put_array(out, 2 * m->caveats.n);
	for (uint32_t i = 0; i < m->caveats.n; i++)
		buf_put_str(out, m->caveats.v[i].raw);
	msgpack_put_bin(out, (struct str){ (const char *)m->tail, sizeof(m->tail) });
}

struct macaroon_tail macaroon_sign(struct str key, struct str bytes)
{
	crypto_auth_hmacsha256_state state;
	struct macaroon_tail t;

	(void)crypto_auth_hmacsha256_init(&state, (const uint8_t *)key.p, key.len);
	(void)crypto_auth_hmacsha256_update(&state, (const uint8_t *)bytes.p, bytes.len);
	(void)crypto_auth_hmacsha256_final(&state, t.v);
	return t;
}

struct macaroon_tail macaroon_sign_caveat(const struct macaroon_tail *tail, struct str raw)
{
	static const uint8_t pair = CAVEAT_PAIR;
	crypto_auth_hmacsha256_state state;
	struct macaroon_tail t;

	(void)crypto_auth_hmacsha256_init(&state, tail->v, sizeof(tail->v));
	(void)crypto_auth_hmacsha256_update(&state, &pair, 1);
	(void)crypto_auth_hmacsha256_update(&state, (const uint8_t *)raw.p, raw.len);
	(void)crypto_auth_hmacsha256_final(&state, t.v);
	return t;
}

struct macaroon_tail macaroon_finalize(const struct macaroon_tail *tail)
{
	return macaroon_sign(STR("proof-signature-finalization"), macaroon_tail_str(tail));
}

int macaroon_mint(struct str kid, struct str location, struct str key, struct arena *arena,
                  struct macaroon *ret)
{
	_cleanup_(buf_done) struct buf nonce = BUF_INIT;
	uint8_t rnd[MACAROON_RND_BYTES];
	struct macaroon m = { .location = location };

	randombytes_buf(rnd, sizeof(rnd));
	msgpack_put_array(&nonce, 3);
	msgpack_put_bin(&nonce, kid);
	msgpack_put_bin(&nonce, (struct str){ (const char *)rnd, sizeof(rnd) });
	msgpack_put_bool(&nonce, false);
	m.nonce = arena_str(arena, buf_str(&nonce));
	if (nonce.err < 0 || !m.nonce.p)
		return nonce.err < 0 ? nonce.err : arena_error(arena);
	(void)parse_nonce(msgpack_from(m.nonce), &m);
	struct macaroon_tail t = macaroon_sign(key, m.nonce);

	memcpy(m.tail, t.v, sizeof(m.tail));
	*ret = m;
	return 0;
}

int macaroon_attenuate(struct macaroon *m, uint64_t type, struct str body, struct arena *arena,
                       struct err *e)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT;
	struct macaroon_tail tail;
	struct caveat *v;

	if (m->proof)
		return err_set(e, -EPERM, "the token is a proof; no caveat can be added to it");
	if (!caveat_is_valid(type, body))
		return err_set(e, -EINVAL, "that is no body of a caveat of type %llu",
		               (unsigned long long)type);
	if (m->caveats.n == MACAROON_CAVEATS_MAX)
		return err_set(e, -ENOSPC, "the token has %u caveats already",
		               MACAROON_CAVEATS_MAX);
	msgpack_put_uint(&raw, type);
	size_t type_bytes = raw.len;

	buf_put_str(&raw, body);
	v = ARENA_ARRAY(arena, struct caveat, m->caveats.n + 1);
	struct str copy = arena_str(arena, buf_str(&raw));

	if (raw.err < 0 || !v || !copy.p)
		return raw.err < 0 ? raw.err : arena_error(arena);
	if (m->caveats.n > 0)
		memcpy(v, m->caveats.v, m->caveats.n * sizeof(*v));
	v[m->caveats.n] = (struct caveat){ type, copy, str_skip(copy, type_bytes) };
	m->caveats = (struct caveat_set){ v, m->caveats.n + 1 };
	memcpy(tail.v, m->tail, sizeof(tail.v));
	tail = macaroon_sign_caveat(&tail, copy);
	memcpy(m->tail, tail.v, sizeof(m->tail));
	return 0;
}

/* --- the name that tools show ----------------------------------------------------------------- */

#define UUID_BYTES 16u
#define SHA1_BYTES 20u

/* UUIDv5 of RFC 4122: SHA-1 of the name in its space, some bits of it fixed. */
static int uuid5(const uint8_t *space, struct str name, uint8_t *ret)
{
	uint8_t text[UUID_BYTES + 1024], digest[SHA1_BYTES];

	if (name.len > sizeof(text) - UUID_BYTES)
		return -ENOSPC;
	memcpy(text, space, UUID_BYTES);
	memcpy(text + UUID_BYTES, name.p, name.len);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, UUID_BYTES + name.len, digest) < 0)
		return -EIO;
	memcpy(ret, digest, UUID_BYTES);
	ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x50);
	ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
	return 0;
}

int macaroon_uuid(const struct macaroon *m, char *dst)
{
	static const uint8_t space[UUID_BYTES] = { 0x96, 0x8f, 0xc2, 0xc6, 0xa9, 0x4f, 0x49, 0x88,
		                                   0xa5, 0x44, 0x2a, 0xd7, 0x2b, 0x02, 0xf2, 0x22 };
	uint8_t of_kid[UUID_BYTES], id[UUID_BYTES];
	int r = uuid5(space, m->kid, of_kid);

	if (r == 0)
		r = uuid5(of_kid, m->rnd, id);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*dst++ = '-';
		num_format_hex(id[i], 2, dst);
		dst += 2;
	}
	return 0;
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *const prefixes[] = { "fm2_", "fm1r_", "fm1a_" };

/* What stands behind the prefix; NULL slice without one. */
static struct str text_body(struct str token)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		struct str prefix = str_from(prefixes[i]);

		if (str_starts(token, prefix))
			return str_skip(token, prefix.len);
	}
	return STR_NULL;
}

bool macaroon_is_text(struct str token)
{
	return text_body(token).p != NULL;
}

/* libsodium 1.0.18 takes a character with the high bit set for the one without it. */
static bool is_ascii(struct str s)
{
	uint8_t all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= (uint8_t)s.p[i];
	return all < 0x80;
}

int macaroon_text_decode(struct str token, struct arena *arena, struct str *ret)
{
	struct str body = text_body(token);
	size_t cap = body.len / 4 * 3, n;
	uint8_t *bytes;

	if (body.len == 0 || body.len > MACAROON_HEADER_BYTES_MAX || !is_ascii(body))
		return -EBADMSG;
	bytes = arena_alloc(arena, cap + 1);
	if (!bytes)
		return arena_error(arena);
	if (sodium_base642bin(bytes, cap, body.p, body.len, NULL, &n, NULL,
	                      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    n == 0)
		return -EBADMSG;
	*ret = (struct str){ (const char *)bytes, n };
	return 0;
}

void macaroon_text_put(struct buf *out, struct str bytes)
{
	size_t cap = sodium_base64_encoded_len(bytes.len, sodium_base64_VARIANT_ORIGINAL);

	buf_puts(out, prefixes[0]);
	char *dst = buf_reserve(out, cap);

	if (!dst)
		return;
	(void)sodium_bin2base64(dst, cap, (const uint8_t *)bytes.p, bytes.len,
	                        sodium_base64_VARIANT_ORIGINAL);
	out->len += cap - 1; /* its NUL */
}
