/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FlyV1 tokens. Published vectors pin chain, bytes and attenuation; each single-bit flip outside
 * the location must be refused; third parties are played by macaroon_mint.h.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include <jansson.h>

#include "tests/unit/macaroon_mint.h"
#include "userspace/wire/macaroon_int.h"

#define VECTORS "tests/data/flyv1/vectors.json"

struct vectors {
	json_t *root;
	struct arena arena;
	struct str key, tp_key;
};

static struct str base64(struct arena *arena, const char *text)
{
	size_t cap = strlen(text), n;
	uint8_t *bytes = arena_alloc(arena, cap + 1);

	assert_int_equal(0, sodium_base642bin(bytes, cap, text, cap, NULL, &n, NULL,
	                                      sodium_base64_VARIANT_ORIGINAL));
	return (struct str){ (const char *)bytes, n };
}

static int setup(void **state)
{
	struct vectors *v = calloc(1, sizeof(*v));
	json_error_t error;

	assert_int_equal(0, macaroon_init());
	v->root = json_load_file(VECTORS, 0, &error);
	if (!v->root)
		fail_msg("%s: %s", VECTORS, error.text);
	v->key = base64(&v->arena, json_string_value(json_object_get(v->root, "key")));
	v->tp_key = base64(&v->arena, json_string_value(json_object_get(v->root, "tp_key")));
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct vectors *v = *state;

	json_decref(v->root);
	arena_done(&v->arena);
	free(v);
	return 0;
}

/* "FlyV1 fm2_…": the bytes of its only token. */
static struct str token_bytes(struct arena *arena, const char *header)
{
	struct str bytes;

	assert_int_equal(0, strncmp(header, "FlyV1 ", 6));
	assert_int_equal(0, macaroon_text_decode(str_from(header + 6), arena, &bytes));
	return bytes;
}

/*
 * Is the token signed with @key? What it says is another matter: that of BindToParentToken is
 * right, and then it turns out to be bound to a token that nobody has.
 */
static bool is_signed(struct str bytes, struct str key, struct arena *arena)
{
	struct macaroon_tail tail;
	struct macaroon m;

	if (macaroon_parse(bytes, arena, &m, NULL) < 0)
		return false;
	tail = macaroon_sign(key, m.nonce);
	for (uint32_t i = 0; i < m.caveats.n; i++)
		tail = macaroon_sign_caveat(&tail, m.caveats.v[i].raw);
	if (m.proof)
		tail = macaroon_finalize(&tail);
	return memcmp(tail.v, m.tail, sizeof(m.tail)) == 0;
}

static int parse_and_verify(struct str bytes, struct str key, struct arena *arena, struct err *e)
{
	static const struct macaroon_discharges none = { 0 };
	struct caveat_set set;
	struct macaroon m;
	int r = macaroon_parse(bytes, arena, &m, e);

	return r < 0 ? r : macaroon_verify(&m, key, &none, arena, &set, e);
}

static void test_vectors(void **state)
{
	struct vectors *v = *state;
	const char *name;
	json_t *header;
	unsigned n = 0, n_discharges = 0;

	json_object_foreach(json_object_get(v->root, "macaroons"), name, header)
	{
		struct str bytes = token_bytes(&v->arena, json_string_value(header));
		_cleanup_(buf_done) struct buf again = BUF_INIT, text = BUF_INIT;
		struct err e = ERR_INIT;
		struct macaroon m;

		unit_note("%s", name);
		assert_int_equal(0, macaroon_parse(bytes, &v->arena, &m, &e));
		macaroon_put(&again, &m);
		assert_str_equal(bytes, buf_str(&again));
		macaroon_text_put(&text, bytes);
		assert_str_equal(str_from(json_string_value(header) + 6), buf_str(&text));
		if (strstr(name, "UserID")) { /* discharges of a third party that nobody knows */
			n_discharges++;
			continue;
		}
		n++;
		assert_true(is_signed(bytes, v->key, &v->arena));
		int r = parse_and_verify(bytes, v->key, &v->arena, &e);

		if (r != (strcmp(name, "BindToParentToken") == 0 ? -EPERM : 0))
			fail_msg("%d %s", r, e.msg);
	}
	assert_int_equal(18, n);
	assert_int_equal(3, n_discharges);
}

/* A token with two third-party caveats, and a discharge of the first one only. */
static void test_third_party_vector(void **state)
{
	struct vectors *v = *state;
	const char *header = json_string_value(json_object_get(v->root, "with_tps"));
	uint8_t key[MACAROON_KEY_BYTES];
	struct macaroon token, discharge;
	struct str first, second;
	struct caveat_set set;
	struct err e = ERR_INIT;

	assert_true(str_cut(str_from(header + 6), ',', &first, &second));
	assert_int_equal(0, macaroon_text_decode(first, &v->arena, &first));
	assert_int_equal(0, macaroon_text_decode(second, &v->arena, &second));
	assert_int_equal(0, macaroon_parse(first, &v->arena, &token, &e));
	assert_int_equal(0, macaroon_parse(second, &v->arena, &discharge, &e));
	assert_true(is_signed(first, v->key, &v->arena));
	mint_open_ticket(discharge.kid, (const uint8_t *)v->tp_key.p, key);
	assert_true(is_signed(second, mint_bytes(key, sizeof(key)), &v->arena));

	struct macaroon_discharges d = { &discharge, 1, NULL, 0 };

	assert_int_equal(2, token.caveats.n);
	assert_int_equal(-EPERM, macaroon_verify(&token, v->key, &d, &v->arena, &set, &e));
	assert_non_null(strstr(e.msg, "missing"));
}

static void test_caveat_vectors(void **state)
{
	struct vectors *v = *state;
	const char *name;
	json_t *text;

	json_object_foreach(json_object_get(v->root, "caveats"), name, text)
	{
		struct str bytes = base64(&v->arena, json_string_value(text)), body;
		struct msgpack m = msgpack_from(bytes);
		uint64_t type;
		uint32_t n;

		unit_note("%s", name);
		assert_int_equal(0, msgpack_array(&m, &n));
		assert_int_equal(2, n);
		assert_int_equal(0, msgpack_uint(&m, &type));
		assert_int_equal(0, msgpack_skip(&m, &body));
		assert_true(msgpack_at_end(&m));
		assert_true(caveat_is_valid(type, body));
		if (type < 100) /* types of Fly have their names, types of the vectors have not */
			assert_string_equal(name, caveat_name(type));
		else
			assert_null(caveat_name(type));
	}
}

/* Of three tokens the middle one, that of our location, gets a caveat. */
static void test_attenuation_vectors(void **state)
{
	struct vectors *v = *state;
	json_t *cases, *want;
	const char *from, *caveat;
	unsigned n = 0;

	json_object_foreach(json_object_get(v->root, "attenuation"), from, cases)
	{
		json_object_foreach(cases, caveat, want)
		{
			_cleanup_(buf_done) struct buf out = BUF_INIT;
			struct str set = base64(&v->arena, caveat), body, rest, first, token, last;
			struct msgpack at = msgpack_from(set);
			struct err e = ERR_INIT;
			struct macaroon m;
			uint64_t type;
			uint32_t fields;

			unit_note("%s", caveat);
			(void)str_cut(str_from(from), ',', &first, &rest);
			(void)str_cut(rest, ',', &token, &last);
			assert_int_equal(0, macaroon_text_decode(token, &v->arena, &token));
			assert_int_equal(0, macaroon_parse(token, &v->arena, &m, &e));
			assert_int_equal(0, msgpack_array(&at, &fields));
			if (fields == 2) {
				assert_int_equal(0, msgpack_uint(&at, &type));
				assert_int_equal(0, msgpack_skip(&at, &body));
				assert_int_equal(0,
				                 macaroon_attenuate(&m, type, body, &v->arena, &e));
			}
			buf_printf(&out, "%.*s,%.*s,%.*s", STR_FMT(first),
			           STR_FMT(mint_text(&m, &v->arena)), STR_FMT(last));
			assert_str_equal(str_from(json_string_value(want)), buf_str(&out));
			n++;
		}
	}
	assert_int_equal(19, n);
}

/* Every bit of a token but those of its location text is covered: by the chain, or by the form. */
static void test_bit_flips(void **state)
{
	struct vectors *v = *state;
	const char *name;
	json_t *header;
	unsigned n = 0;

	json_object_foreach(json_object_get(v->root, "macaroons"), name, header)
	{
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
		struct str bytes = token_bytes(&arena, json_string_value(header));
		struct err e = ERR_INIT;
		struct macaroon m;

		if (strstr(name, "UserID"))
			continue;
		assert_int_equal(0, macaroon_parse(bytes, &arena, &m, &e));
		size_t from = (size_t)(m.location.p - bytes.p), to = from + m.location.len;

		for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
			_cleanup_(arena_done) struct arena one = ARENA_INIT(0);
			struct str copy = unit_strdup(bytes);
			char *p = (char *)(uintptr_t)copy.p;

			p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
			bool in_location = bit / 8 >= from && bit / 8 < to;

			if (is_signed(copy, v->key, &one) != in_location ||
			    (!in_location && parse_and_verify(copy, v->key, &one, &e) == 0))
				fail_msg("%s: bit %zu", name, bit);
			free(p);
		}
		n++;
	}
	assert_int_equal(18, n);
}

/* The same in the text: whatever one flipped bit makes of it, it is another token or none. */
static void test_text_flips(void **state)
{
	struct vectors *v = *state;
	const char *header = json_string_value(
		json_object_get(json_object_get(v->root, "macaroons"), "Organization"));
	struct str bytes = token_bytes(&v->arena, header), other;
	struct str text = unit_strdup(str_from(header + 6));
	char *p = (char *)(uintptr_t)text.p;

	for (size_t bit = 0; bit < 8 * text.len; bit++) {
		p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
		if (macaroon_text_decode(text, &v->arena, &other) == 0)
			assert_false(str_eq(bytes, other));
		p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
	}
	free(p);
}

static void test_text(void **state)
{
	static const char *const bad[] = {
		"",          "fm2_",      "fm3_lA==", "FM2_lA==", "fm2_lA", /* not padded */
		"fm2_lA=",   "fm2_lB==",              /* bits behind the end */
		"fm2_lA== ", "fm2_l A==", "fm2_l-A_", /* the other alphabet */
		"fo1_lA==",
	};
	struct vectors *v = *state;
	struct str bytes;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unit_note("%s", bad[i]);
		assert_int_equal(-EBADMSG,
		                 macaroon_text_decode(str_from(bad[i]), &v->arena, &bytes));
	}
	assert_int_equal(0, macaroon_text_decode(STR("fm2_lA=="), &v->arena, &bytes));
	assert_str_equal(STR("\x94"), bytes);
	assert_int_equal(0, macaroon_text_decode(STR("fm1r_lA=="), &v->arena, &bytes));
	assert_int_equal(0, macaroon_text_decode(STR("fm1a_lA=="), &v->arena, &bytes));
	assert_true(macaroon_is_text(STR("fm2_x")));
	assert_false(macaroon_is_text(STR("fo1_x")));
}

/* No cut of a token is one, and nothing may stand behind it. */
static void test_cuts(void **state)
{
	struct vectors *v = *state;
	struct str bytes = token_bytes(
		&v->arena, json_string_value(json_object_get(json_object_get(v->root, "macaroons"),
	                                                     "StringResourceSet")));
	struct err e = ERR_INIT;

	for (size_t n = 0; n < bytes.len; n++) {
		struct str cut = unit_strdup((struct str){ bytes.p, n });
		struct macaroon m;

		assert_int_equal(-EBADMSG, macaroon_parse(cut, &v->arena, &m, &e));
		free((void *)(uintptr_t)cut.p);
	}
	_cleanup_(buf_done) struct buf longer = BUF_INIT;

	buf_put_str(&longer, bytes);
	buf_putc(&longer, '\0');
	assert_int_equal(-EBADMSG, parse_and_verify(buf_str(&longer), v->key, &v->arena, &e));
}

/* Several flips, bytes put in and left out: never accepted, never read past the end (ASan). */
static void test_mutants(void **state)
{
	struct vectors *v = *state;
	struct rng rng = unit_rng();
	struct str bytes =
		token_bytes(&v->arena, json_string_value(json_object_get(
					       json_object_get(v->root, "macaroons"), "Struct")));

	for (int round = 0; round < 20000; round++) {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)1 << 20);
		size_t at = rng_below(&rng, (uint32_t)bytes.len), n = bytes.len;
		char *copy = malloc(n + 1);
		struct err e = ERR_INIT;

		memcpy(copy, bytes.p, n);
		if (rng_below(&rng, 2)) {
			memmove(copy + at, copy + at + 1, n - at - 1);
			n--;
		} else {
			memmove(copy + at + 1, copy + at, n - at);
			n++;
			copy[at] = (char)rng_u64(&rng);
		}
		struct str exact = unit_strdup((struct str){ copy, n });

		assert_true(parse_and_verify(exact, v->key, &arena, &e) < 0);
		free((void *)(uintptr_t)exact.p);
		free(copy);
	}
}

static void test_limits(void **state)
{
	struct vectors *v = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT, many = BUF_INIT;
	struct err e = ERR_INIT;
	struct macaroon m;

	assert_int_equal(0, macaroon_mint(STR("kid"), STR("here"), v->key, &v->arena, &m));
	for (unsigned i = 0; i < MACAROON_CAVEATS_MAX; i++)
		mint_organization(&m, 7, CAVEAT_ALL, &v->arena);
	assert_int_equal(-ENOSPC,
	                 macaroon_attenuate(&m, CAVEAT_IS_MEMBER, STR("\x90"), &v->arena, &e));
	macaroon_put(&out, &m);
	assert_int_equal(0, parse_and_verify(buf_str(&out), v->key, &v->arena, &e));

	/* One more, written by hand. */
	msgpack_put_array(&many, 4);
	buf_put_str(&many, m.nonce);
	msgpack_put_str(&many, STR("here"));
	msgpack_put_array(&many, 2 * (MACAROON_CAVEATS_MAX + 1));
	for (unsigned i = 0; i <= MACAROON_CAVEATS_MAX; i++)
		buf_put_str(&many, m.caveats.v[0].raw);
	msgpack_put_bin(&many, mint_bytes(m.tail, sizeof(m.tail)));
	e = ERR_INIT;
	assert_int_equal(-EBADMSG, macaroon_parse(buf_str(&many), &v->arena, &m, &e));
	assert_non_null(strstr(e.msg, "more than 64 caveats"));
}

static void test_uuid(void **state)
{
	struct vectors *v = *state;
	/* uuid5(uuid5(968fc2c6-a94f-4988-a544-2ad72b02f222, kid), rnd), by Python's uuid module */
	struct macaroon m = { .kid = STR("\x00\x00\x00\x00\x00\x00\x2e\xed"),
		              .rnd = STR("0123456789abcdef") };
	char text[MACAROON_UUID_TEXT_MAX];

	(void)v;
	assert_int_equal(0, macaroon_uuid(&m, text));
	assert_string_equal("5a1e92e8-2bb3-5a1f-ba57-441ea58f7859", text);
}

/* --- third parties ---------------------------------------------------------------------------- */

#define AUTH "https://auth.example/v1"

struct party {
	struct arena arena;
	uint8_t shared[MACAROON_KEY_BYTES];
	struct macaroon token, discharge;
	struct str ticket;
};

static const char root_key[] = "a key of any length";

/* A token that asks AUTH, and an unattenuated discharge for it. */
static void party_init(struct party *p)
{
	uint8_t key[MACAROON_KEY_BYTES];

	memset(p, 0, sizeof(*p));
	randombytes_buf(p->shared, sizeof(p->shared));
	assert_int_equal(0, macaroon_mint(STR("kid"), STR("here"), str_from(root_key), &p->arena,
	                                  &p->token));
	mint_organization(&p->token, 7, CAVEAT_ALL, &p->arena);
	mint_third_party(&p->token, STR(AUTH), p->shared, &p->arena, &p->ticket);
	mint_organization(&p->token, 7, CAVEAT_READ, &p->arena);
	mint_open_ticket(p->ticket, p->shared, key);
	assert_int_equal(0, macaroon_mint(p->ticket, STR(AUTH), mint_bytes(key, sizeof(key)),
	                                  &p->arena, &p->discharge));
}

static int party_verify(struct party *p, size_t n_discharges, bool trusted, struct caveat_set *set,
                        struct err *e)
{
	struct macaroon_trust trust = { .location = STR(AUTH) };
	struct macaroon_discharges d = { &p->discharge, n_discharges, &trust, trusted };

	memcpy(trust.key, p->shared, sizeof(trust.key));
	*e = ERR_INIT;
	return macaroon_verify(&p->token, str_from(root_key), &d, &p->arena, set, e);
}

static void test_third_party(void **state)
{
	struct caveat_set set;
	struct party p;
	struct err e;

	(void)state;
	party_init(&p);
	assert_int_equal(-EPERM, party_verify(&p, 0, true, &set, &e));
	assert_non_null(strstr(e.msg, "missing"));
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	assert_int_equal(2, set.n); /* the third-party caveat is met and gone */

	/* What the discharge says counts too. */
	mint_window(&p.discharge, 0, 99, &p.arena);
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	assert_int_equal(3, set.n);
	assert_int_equal(CAVEAT_VALIDITY_WINDOW, set.v[2].type);

	p.discharge.tail[0] ^= 1;
	assert_int_equal(-EPERM, party_verify(&p, 1, true, &set, &e));
	p.discharge.tail[0] ^= 1;
	p.token.tail[0] ^= 1;
	assert_int_equal(-EPERM, party_verify(&p, 1, true, &set, &e));
	arena_done(&p.arena);
}

static void bind_to(struct party *p, const uint8_t *tail, size_t bytes)
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	struct buf body = BUF_INIT;

	(void)crypto_hash_sha256(digest, tail, MACAROON_TAIL_BYTES);
	msgpack_put_bin(&body, mint_bytes(digest, bytes));
	mint_add(&p->discharge, CAVEAT_BIND_TO_PARENT, &body, &p->arena);
}

static void test_binding(void **state)
{
	static const uint8_t other[MACAROON_TAIL_BYTES] = { 1 };
	struct caveat_set set;
	struct party p;
	struct err e;

	(void)state;
	party_init(&p);
	bind_to(&p, p.token.tail, 16);
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	/* A token with more caveats has the same tail on its way: bound to it still. */
	mint_organization(&p.token, 7, CAVEAT_READ, &p.arena);
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	bind_to(&p, other, 16);
	assert_int_equal(-EPERM, party_verify(&p, 1, true, &set, &e));
	assert_non_null(strstr(e.msg, "belongs to another token"));
	arena_done(&p.arena);
}

/* Makes the discharge a proof that attests a user, signed as the third party would. */
static void make_proof(struct party *p)
{
	static const char body[] = "\x17\x2a"; /* FlyioUserID 42 */
	struct buf nonce = BUF_INIT, bytes = BUF_INIT;
	uint8_t key[MACAROON_KEY_BYTES], tail[MACAROON_TAIL_BYTES], set[3] = { 0x92, 0x17, 0x2a };
	crypto_auth_hmacsha256_state s;
	struct err e = ERR_INIT;

	mint_open_ticket(p->ticket, p->shared, key);
	msgpack_put_array(&nonce, 3);
	msgpack_put_bin(&nonce, p->ticket);
	msgpack_put_bin(&nonce, STR("0123456789abcdef"));
	msgpack_put_bool(&nonce, true);
	crypto_auth_hmacsha256_init(&s, key, sizeof(key));
	crypto_auth_hmacsha256_update(&s, (const uint8_t *)nonce.p, nonce.len);
	crypto_auth_hmacsha256_final(&s, tail);
	crypto_auth_hmacsha256_init(&s, tail, sizeof(tail));
	crypto_auth_hmacsha256_update(&s, set, sizeof(set));
	crypto_auth_hmacsha256_final(&s, tail);
	crypto_auth_hmacsha256_init(&s, (const uint8_t *)"proof-signature-finalization", 28);
	crypto_auth_hmacsha256_update(&s, tail, sizeof(tail));
	crypto_auth_hmacsha256_final(&s, tail);
	msgpack_put_array(&bytes, 4);
	buf_put_str(&bytes, buf_str(&nonce));
	msgpack_put_str(&bytes, STR(AUTH));
	msgpack_put_array(&bytes, 2);
	buf_put(&bytes, body, 2);
	msgpack_put_bin(&bytes, mint_bytes(tail, sizeof(tail)));
	struct str kept = arena_str(&p->arena, buf_str(&bytes));

	assert_int_equal(0, macaroon_parse(kept, &p->arena, &p->discharge, &e));
	buf_done(&nonce);
	buf_done(&bytes);
}

static void test_attestation(void **state)
{
	struct caveat_set set;
	struct party p;
	struct err e;

	(void)state;
	party_init(&p);
	make_proof(&p);
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	assert_int_equal(3, set.n);
	assert_int_equal(CAVEAT_FLYIO_USER_ID, set.v[2].type);
	/* A third party that we share no key with attests nothing. */
	assert_int_equal(0, party_verify(&p, 1, false, &set, &e));
	assert_int_equal(2, set.n);
	p.shared[0] ^= 1;
	assert_int_equal(0, party_verify(&p, 1, true, &set, &e));
	assert_int_equal(2, set.n);
	p.shared[0] ^= 1;
	/* A proof is final, and only a proof attests. */
	assert_int_equal(-EPERM, macaroon_attenuate(&p.discharge, CAVEAT_IS_MEMBER, STR("\x90"),
	                                            &p.arena, &e));
	assert_int_equal(0, macaroon_attenuate(&p.token, CAVEAT_FLYIO_USER_ID, STR("\x2a"),
	                                       &p.arena, &e));
	assert_int_equal(-EPERM, party_verify(&p, 1, true, &set, &e));
	assert_non_null(strstr(e.msg, "no proof"));
	arena_done(&p.arena);
}

/* A discharge that asks for a discharge itself is not followed. */
static void test_no_nesting(void **state)
{
	struct caveat_set set;
	struct str ticket;
	struct party p;
	struct err e;

	(void)state;
	party_init(&p);
	mint_third_party(&p.discharge, STR(AUTH), p.shared, &p.arena, &ticket);
	assert_int_equal(-EPERM, party_verify(&p, 1, true, &set, &e));
	assert_non_null(strstr(e.msg, "another discharge"));
	arena_done(&p.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),        cmocka_unit_test(test_third_party_vector),
		cmocka_unit_test(test_caveat_vectors), cmocka_unit_test(test_attenuation_vectors),
		cmocka_unit_test(test_bit_flips),      cmocka_unit_test(test_text_flips),
		cmocka_unit_test(test_text),           cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_mutants),        cmocka_unit_test(test_limits),
		cmocka_unit_test(test_uuid),           cmocka_unit_test(test_third_party),
		cmocka_unit_test(test_binding),        cmocka_unit_test(test_attestation),
		cmocka_unit_test(test_no_nesting),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
