/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the chain of a token and of its discharges. What is wrong is said as precisely as the
 * holder of the token may know it; comparing secrets takes the same time whatever differs.
 */
#include <errno.h>
#include <string.h>

#include "userspace/base/util.h"
#include "userspace/wire/macaroon_int.h"
#include "userspace/wire/msgpack.h"

#define SEAL_NONCE_BYTES crypto_aead_chacha20poly1305_ietf_NPUBBYTES
#define SEAL_MAC_BYTES   crypto_aead_chacha20poly1305_ietf_ABYTES
#define TICKET_BYTES_MAX 4096u

/* One third-party caveat on the way, with the key that its discharge must be signed with. */
struct demand {
	struct str ticket;
	uint8_t key[MACAROON_KEY_BYTES];
};

struct walk {
	const struct macaroon *m;
	const struct macaroon_discharges *d;          /* NULL in a discharge: they do not nest */
	const struct walk *parent;                    /* NULL at the top */
	bool attests;                                 /* its attestations are believed */
	uint8_t (*digests)[crypto_hash_sha256_BYTES]; /* of each tail along the chain */
	uint32_t n_digests;
	struct demand demands[MACAROON_THIRD_PARTIES_MAX];
	uint32_t n_demands;
	struct arena *arena;
	struct caveat *out; /* grows in the order of the chain */
	uint32_t *n_out;
	struct err *e;
};

static int refuse(struct walk *w, const char *why)
{
	return err_set(w->e, -EPERM, "%s", why);
}

/* Opens nonce ‖ ciphertext into @dst, which has room for @cap bytes. */
static int unseal(const uint8_t *key, struct str sealed, uint8_t *dst, size_t cap, size_t *ret_n)
{
	const uint8_t *p = (const uint8_t *)sealed.p;
	unsigned long long n;

	if (sealed.len < SEAL_NONCE_BYTES + SEAL_MAC_BYTES ||
	    sealed.len - SEAL_NONCE_BYTES - SEAL_MAC_BYTES > cap)
		return -EPERM;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(dst, &n, NULL, p + SEAL_NONCE_BYTES,
	                                              sealed.len - SEAL_NONCE_BYTES, NULL, 0, p,
	                                              key) != 0)
		return -EPERM;
	*ret_n = (size_t)n;
	return 0;
}

static int add_demand(struct walk *w, const struct caveat *c, const struct macaroon_tail *tail)
{
	struct msgpack m = msgpack_from(c->body);
	struct str location, verifier_key;
	struct demand *d = &w->demands[w->n_demands];
	uint32_t n_fields;
	size_t n;

	if (!w->d)
		return refuse(w, "a discharge asks for another discharge");
	(void)msgpack_array(&m, &n_fields);
	(void)msgpack_str(&m, &location);
	(void)msgpack_bin(&m, &verifier_key);
	(void)msgpack_bin(&m, &d->ticket);
	if (unseal(tail->v, verifier_key, d->key, sizeof(d->key), &n) < 0 || n != sizeof(d->key))
		return refuse(w, "the signature of the token is wrong");
	w->n_demands++;
	return 0;
}

/* A bound discharge names a tail along the chain of its parent, or the first bytes of it. */
static int check_binding(struct walk *w, const struct caveat *c)
{
	struct msgpack m = msgpack_from(c->body);
	struct str want = STR_NULL;

	(void)msgpack_bin(&m, &want);
	for (uint32_t i = 0; w->parent && i < w->parent->n_digests; i++) {
		if (want.len <= sizeof(w->parent->digests[i]) &&
		    memcmp(w->parent->digests[i], want.p, want.len) == 0)
			return 0;
	}
	return refuse(w, "the discharge belongs to another token");
}

static int walk_caveat(struct walk *w, const struct caveat *c, const struct macaroon_tail *tail)
{
	if (c->type == CAVEAT_THIRD_PARTY)
		return add_demand(w, c, tail);
	if (c->type == CAVEAT_BIND_TO_PARENT)
		return check_binding(w, c);
	if (caveat_is_attestation(c->type) && !w->m->proof)
		return refuse(w, "the token attests something but is no proof");
	if (!caveat_is_attestation(c->type) || w->attests)
		w->out[(*w->n_out)++] = *c;
	return 0;
}

static void add_digest(struct walk *w, const struct macaroon_tail *tail)
{
	(void)crypto_hash_sha256(w->digests[w->n_digests++], tail->v, sizeof(tail->v));
}

static int walk_chain(struct walk *w, struct str key)
{
	struct macaroon_tail tail = macaroon_sign(key, w->m->nonce);
	int r = 0;

	w->digests = arena_alloc(w->arena, (w->m->caveats.n + 1) * sizeof(*w->digests));
	if (!w->digests)
		return arena_error(w->arena);
	add_digest(w, &tail);
	for (uint32_t i = 0; r == 0 && i < w->m->caveats.n; i++) {
		r = walk_caveat(w, &w->m->caveats.v[i], &tail);
		tail = macaroon_sign_caveat(&tail, w->m->caveats.v[i].raw);
		add_digest(w, &tail);
	}
	if (r == 0 && w->m->proof)
		tail = macaroon_finalize(&tail);
	if (r == 0 && sodium_memcmp(tail.v, w->m->tail, sizeof(tail.v)) != 0)
		r = refuse(w, "the signature of the token is wrong");
	sodium_memzero(&tail, sizeof(tail));
	return r;
}

/*
 * Does a key that we share with the discharge's maker open its ticket, and is the key in it the one
 * that we know from the token? Then it was made by that third party and nobody else.
 */
static bool is_trusted(const struct walk *w, const struct macaroon *discharge,
                       const struct demand *demand)
{
	uint8_t plain[TICKET_BYTES_MAX];
	struct str key;
	uint32_t n_fields;
	bool trusted = false;
	size_t n;

	for (size_t i = 0; !trusted && i < w->d->n_trusted; i++) {
		const struct macaroon_trust *t = &w->d->trusted[i];

		if (!str_eq(t->location, discharge->location) ||
		    unseal(t->key, discharge->kid, plain, sizeof(plain), &n) < 0)
			continue;
		struct msgpack m = { plain, plain + n };

		trusted = msgpack_array(&m, &n_fields) == 0 && n_fields == 2 &&
		          msgpack_bin(&m, &key) == 0 && key.len == sizeof(demand->key) &&
		          sodium_memcmp(key.p, demand->key, key.len) == 0;
	}
	sodium_memzero(plain, sizeof(plain));
	return trusted;
}

static int walk_discharge(const struct walk *parent, const struct macaroon *m,
                          const struct demand *demand, struct err *e)
{
	struct walk w = {
		.m = m,
		.parent = parent,
		.attests = parent->attests && is_trusted(parent, m, demand),
		.arena = parent->arena,
		.out = parent->out,
		.n_out = parent->n_out,
		.e = e,
	};
	uint32_t before = *w.n_out;
	int r = walk_chain(&w, (struct str){ (const char *)demand->key, sizeof(demand->key) });

	if (r < 0)
		*w.n_out = before;
	return r;
}

/* Any discharge of the ticket will do; of those that do not, the last one says why. */
static int meet_demand(struct walk *w, const struct demand *demand)
{
	struct err why = ERR_INIT;

	(void)err_set(&why, -EPERM, "a discharge of the token is missing");
	for (size_t i = 0; i < w->d->n; i++) {
		struct err one = ERR_INIT;

		if (!str_eq(w->d->v[i].kid, demand->ticket))
			continue;
		int r = walk_discharge(w, &w->d->v[i], demand, &one);

		if (r != -EPERM)
			return r;
		why = one;
	}
	return refuse(w, why.msg);
}

int macaroon_verify(const struct macaroon *m, struct str key, const struct macaroon_discharges *d,
                    struct arena *arena, struct caveat_set *ret, struct err *e)
{
	uint32_t n_out = 0;
	struct walk w = {
		.m = m, .d = d, .attests = true, .arena = arena, .n_out = &n_out, .e = e
	};
	int r;

	/* Each demand is met by one discharge. */
	w.out = ARENA_ARRAY(arena, struct caveat,
	                    (1 + MACAROON_THIRD_PARTIES_MAX) * MACAROON_CAVEATS_MAX);
	if (!w.out)
		return arena_error(arena);
	r = walk_chain(&w, key);
	for (uint32_t i = 0; r == 0 && i < w.n_demands; i++)
		r = meet_demand(&w, &w.demands[i]);
	sodium_memzero(w.demands, sizeof(w.demands));
	if (r == 0)
		*ret = (struct caveat_set){ w.out, n_out };
	return r;
}
