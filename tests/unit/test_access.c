/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access files, and what tokens may do with them: good and bad files, every form of an
 * Authorization header, every kind of token against every kind of request.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "api/auth/auth.h"
#include "tests/unit/macaroon_mint.h"
#include "tests/unit/tempdir.h"

#define LOCATION "https://api.fly.io/v1"
#define AUTH     "https://api.fly.io/aaa/v1"
#define NOW_MS   1700000000000ll

/* base64 of "0123456789abcdef0123456789abcdef", which is also the key shared with AUTH */
#define KEY_TEXT "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
#define KEY      "0123456789abcdef0123456789abcdef"

static void sha256_hex(const char *text, char *dst)
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(hash, (const uint8_t *)text, strlen(text));
	(void)sodium_bin2hex(dst, 65, hash, sizeof(hash));
}

static void add_token(struct buf *out, const char *name, const char *org, const char *rest)
{
	char hex[65];

	sha256_hex(name, hex); /* the token is its own name here */
	buf_printf(out, "  %s: {sha256: %s, organisation: \"%s\", %s}\n", name, hex, org, rest);
}

static const char organisations[] =
	"organisations:\n"
	"  acme: {id: 7, apps: {web: {id: 17}, api: {id: 18}, x.y: {}}}\n"
	"  other: {id: 8, apps: {web: {id: 19}}}\n"
	"  nameless: {}\n";
static const char keys[] = "flyv1_keys:\n"
			   "- {kid: 6b6964, key_file: root.key}\n"
			   "- {kid: 6f6c64, key_file: root.key}\n"
			   "third_parties:\n"
			   "- {location: \"" AUTH "\", key_file: auth.key}\n";

struct fixture {
	struct tempdir dir;
	struct access *access;
	struct arena arena;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct buf tokens = BUF_INIT;
	struct err e = ERR_INIT;

	assert_int_equal(0, macaroon_init());
	f->dir = tempdir_make();
	tempdir_write(&f->dir, "root.key", KEY_TEXT, 0640);
	tempdir_write(&f->dir, "auth.key", KEY_TEXT, 0600);
	tempdir_write(&f->dir, "orgs.yml", organisations, 0644);
	tempdir_write(&f->dir, "keys.yml", keys, 0644);
	tempdir_write(&f->dir, "notes.txt", "not: [an access file", 0644);
	tempdir_write(&f->dir, ".hidden.yml", "not: [an access file", 0644);
	buf_puts(&tokens, "tokens:\n");
	add_token(&tokens, "reader", "acme", "scopes: [read]");
	add_token(&tokens, "writer", "acme", "scopes: [write]");
	add_token(&tokens, "admin", "acme", "scopes: [read, admin]");
	add_token(&tokens, "web", "acme", "scopes: [read, write], apps: [web]");
	add_token(&tokens, "host", "*", "scopes: [host]");
	add_token(&tokens, "operator", "*", "scopes: [read, admin]");
	add_token(&tokens, "old", "acme", "scopes: [read], expires: 2023-11-14T22:13:20Z");
	add_token(&tokens, "young", "acme", "scopes: [read], expires: 2023-11-14T22:13:21Z");
	tempdir_write(&f->dir, "tokens.yml", buf_cstr(&tokens), 0644);
	buf_done(&tokens);
	if (access_load(f->dir.path, &f->access, &e) < 0)
		fail_msg("%s", e.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	access_unref(f->access);
	arena_done(&f->arena);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

static void test_look_ups(void **state)
{
	struct fixture *f = *state;
	const struct access *a = f->access;
	struct access_counts n = access_count(a);
	size_t n_trusted;

	assert_int_equal(3, n.orgs);
	assert_int_equal(8, n.tokens);
	assert_int_equal(2, n.keys);
	assert_str_equal(STR("acme"), access_org_by_id(a, 7)->name);
	assert_int_equal(8, access_org(a, STR("other"))->id);
	assert_int_equal(3, access_org(a, STR("acme"))->n_apps);
	assert_null(access_org(a, STR("acm")));
	assert_null(access_org(a, STR("")));
	assert_null(access_org_by_id(a, 0));
	assert_null(access_org_by_id(a, 9));
	assert_str_equal(STR(KEY), access_key(a, STR("kid"))->key);
	assert_null(access_key(a, STR("kidd")));
	assert_true(access_is_permission(a, STR(LOCATION)));
	assert_false(access_is_permission(a, STR(AUTH)));
	assert_memory_equal(KEY, access_trusted(a, &n_trusted)->key, MACAROON_KEY_BYTES);
	assert_int_equal(1, n_trusted);
}

#define SHA         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN(rest) "tokens: {t: {sha256: " SHA ", " rest "}}"

/* A file, and what the message about it must contain. */
static void test_bad_files(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "organisations: {A: {}}", "organisation \"A\" is not a slug" },
		{ "organisations: {\"\": {}}", "is not a slug" },
		{ "organisations: {a: {id: -1}}", "expected an integer between 0" },
		{ "organisations: {a: {ID: 1}}", "ID" },
		{ "organisations: {a: {id: 1}, b: {id: 1}}", "a and b have the same id" },
		{ "organisations: {a: {apps: {\"\": {}}}}", "has no name" },
		{ TOKEN("organisation: acme"), "scopes must be some of" },
		{ TOKEN("organisation: acme, scopes: []"), "scopes must be some of" },
		{ TOKEN("organisation: acme, scopes: [Read]"), "scopes must be some of" },
		{ TOKEN("organisation: Acme, scopes: [read]"), "organisation must be a slug" },
		{ TOKEN("organisation: \"\", scopes: [read]"), "organisation must be a slug" },
		{ TOKEN("scopes: [read]"), "organisation" },
		{ TOKEN("organisation: acme, scopes: [read], expires: soon"), "expires must be" },
		{ TOKEN("organisation: acme, scopes: [read], expires: 30d"), "expires must be" },
		{ TOKEN("organisation: acme, scopes: [read], expires: 2027-13-01"),
		  "expires must be" },
		{ TOKEN("organisation: \"*\", scopes: [read], apps: [web]"), "apps go with one" },
		{ TOKEN("organisation: acme, scopes: [admin], apps: [web]"), "apps go with one" },
		{ TOKEN("organisation: acme, scopes: [host], apps: [web]"), "apps go with one" },
		{ "tokens: {t: {sha256: 0123, organisation: a, scopes: [read]}}",
		  "64 hexadecimal" },
		{ "tokens: {t: {sha256: " SHA "00, organisation: a, scopes: [read]}}",
		  "64 hexadecimal" },
		{ "tokens: {t: {sha256: " SHA ", organisation: a, scopes: [read]},"
		  " u: {sha256: " SHA ", organisation: b, scopes: [read]}}",
		  "have the same sha256" },
		{ "flyv1_keys: [{kid: xyz, key_file: good.key}]", "is not hexadecimal" },
		{ "flyv1_keys: [{kid: \"\", key_file: good.key}]", "is not hexadecimal" },
		{ "flyv1_keys: [{kid: ab, key_file: none.key}]", "none.key: No such file" },
		{ "flyv1_keys: [{kid: ab, key_file: open.key}]", "can be read by everybody" },
		{ "flyv1_keys: [{kid: ab, key_file: bad.key}]", "holds no base64" },
		{ "flyv1_keys: [{kid: ab, key_file: short.key}]", "holds no base64" },
		{ "flyv1_keys: [{kid: ab, key_file: .}]", "key_file ." },
		{ "flyv1_keys: [{kid: ab, key_file: good.key}, {kid: AB, key_file: good.key}]",
		  "two keys have the same kid" },
		{ "third_parties: [{location: x, key_file: short16.key}]", "must have 32 bytes" },
		{ "revoked: [abc]", "neither a UUID nor kid:HEX" },
		{ "revoked: [\"kid:\"]", "neither a UUID nor kid:HEX" },
		{ "revoked: [968FC2C6-a94f-4988-a544-2ad72b02f222]", "neither a UUID nor kid:HEX" },
		{ "revoked: [968fc2c6-a94f-4988-a544-2ad72b02f2220]",
		  "neither a UUID nor kid:HEX" },
		{ "nothing: 1", "nothing" },
		{ "organisations: [", "access.yml" },
	};
	struct tempdir dir = tempdir_make();
	char path[128];

	(void)state;
	tempdir_write(&dir, "good.key", KEY_TEXT, 0600);
	tempdir_write(&dir, "open.key", KEY_TEXT, 0644);
	tempdir_write(&dir, "bad.key", "not base64!\n", 0600);
	tempdir_write(&dir, "short.key", "MDEyMzQ1Njc=\n", 0600);
	tempdir_write(&dir, "short16.key", "MDEyMzQ1Njc4OWFiY2RlZg==\n", 0600);
	(void)snprintf(path, sizeof(path), "%s/access.yml", dir.path);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access *a = NULL;
		struct err e = ERR_INIT;

		tempdir_write(&dir, "access.yml", rows[i].text, 0644);
		assert_true(access_load(path, &a, &e) < 0);
		if (a || !strstr(e.msg, rows[i].why))
			fail_msg("%s: %s", rows[i].text, e.msg);
	}
	tempdir_done(&dir);
}

static void test_no_files(void **state)
{
	struct tempdir dir = tempdir_make();
	struct access *a = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-ENOENT, access_load("/nowhere/access", &a, &e));
	assert_null(a);
	e = ERR_INIT;
	assert_int_equal(0, access_load(dir.path, &a, &e)); /* nobody may do anything */
	access_unref(a);
	tempdir_done(&dir);
}

/* --- opaque tokens ---------------------------------------------------------------------------- */

static int ask(struct fixture *f, const char *header, enum need need, const char *org,
               struct grant *g, struct err *e)
{
	const struct auth_question q = { need, str_from(org), NOW_MS };

	*e = ERR_INIT;
	*g = (struct grant){ 0 };
	return auth_check(f->access, str_from(header), &q, &f->arena, g, e);
}

static void test_opaque(void **state)
{
	static const struct {
		const char *header;
		enum need need;
		const char *path_org;
		int want;
		const char *org_or_why;
	} rows[] = {
		{ "Bearer reader", NEED_READ, "", 0, "acme" },
		{ "Bearer reader", NEED_READ, "acme", 0, "acme" },
		{ "Bearer reader", NEED_READ, "other", -EPERM,
		  "gives no access to organisation \"other\"" },
		{ "Bearer reader", NEED_READ, "nowhere", -EPERM,
		  "gives no access to organisation" },
		{ "Bearer reader", NEED_WRITE, "", -EPERM, "the token reader may not write" },
		{ "Bearer reader", NEED_ADMIN, "acme", -EPERM, "may not delete" },
		{ "Bearer reader", NEED_OPERATOR, "", -EPERM, "may not look into the server" },
		{ "Bearer writer", NEED_WRITE, "", 0, "acme" },
		{ "Bearer writer", NEED_READ, "", -EPERM, "may not read" },
		{ "Bearer admin", NEED_ADMIN, "", 0, "acme" },
		{ "Bearer admin", NEED_OPERATOR, "", -EPERM, "may not look into the server" },
		{ "Bearer host", NEED_WRITE, "", 0, "" },
		{ "Bearer host", NEED_WRITE, "other", 0, "other" },
		{ "Bearer host", NEED_READ, "acme", -EPERM, "may not read" },
		{ "Bearer operator", NEED_OPERATOR, "", 0, "" },
		{ "Bearer operator", NEED_ADMIN, "other", 0, "other" },
		{ "Bearer operator", NEED_READ, "", 0, "" },
		{ "Bearer old", NEED_READ, "", -EACCES, "the token old has expired" },
		{ "Bearer young", NEED_READ, "", 0, "acme" },
		{ "Bearer reade", NEED_READ, "", -EACCES, "the token is not known" },
		{ "Bearer readerr", NEED_READ, "", -EACCES, "the token is not known" },
		{ "Bearer Reader", NEED_READ, "", -EACCES, "the token is not known" },
		/* schemes */
		{ "FlyV1 reader", NEED_READ, "", 0, "acme" },
		{ "bearer reader", NEED_READ, "", 0, "acme" },
		{ "BEARER FlyV1 bearer  reader ", NEED_READ, "", 0, "acme" },
		{ "", NEED_READ, "", -EACCES, "a token is needed" },
		{ "Bearer", NEED_READ, "", -EACCES, "a token is needed" },
		{ "Bearer ", NEED_READ, "", -EACCES, "a token is needed" },
		{ "reader", NEED_READ, "", -EACCES, "must be \"Bearer TOKEN\"" },
		{ "Basic cmVhZGVy", NEED_READ, "", -EACCES, "not Basic" },
		{ "Token reader", NEED_READ, "", -EACCES, "must be \"Bearer TOKEN\"" },
		{ "Bearer reader reader", NEED_READ, "", -EACCES, "must be \"Bearer TOKEN\"" },
		{ "Bearer fo1_abc", NEED_READ, "", -EACCES, "fo1_ tokens are not accepted" },
	};
	struct fixture *f = *state;
	struct grant g;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = ask(f, rows[i].header, rows[i].need, rows[i].path_org, &g, &e);

		unit_note("%s, %d, %s", rows[i].header, rows[i].need, rows[i].path_org);
		if (r != rows[i].want)
			fail_msg("%d %s", r, e.msg);
		if (r == 0)
			assert_str_equal(str_from(rows[i].org_or_why), g.org);
		else if (!strstr(e.msg, rows[i].org_or_why))
			fail_msg("%s", e.msg);
		assert_int_equal(r == 0 && strstr(rows[i].header, "host") != NULL, g.hosts);
	}
	assert_int_equal(0, ask(f, "Bearer web", NEED_READ, "", &g, &e));
	assert_true(g.some_apps);
	assert_int_equal(1, g.n_apps);
	assert_str_equal(STR("web"), g.apps[0]);
	assert_str_equal(STR("web"), g.who);
}

static void test_long_header(void **state)
{
	struct fixture *f = *state;
	char *header = malloc(MACAROON_HEADER_BYTES_MAX + 2);
	struct grant g;
	struct err e;

	memset(header, 'x', MACAROON_HEADER_BYTES_MAX + 1);
	header[MACAROON_HEADER_BYTES_MAX + 1] = '\0';
	memcpy(header, "Bearer ", 7);
	assert_int_equal(-EACCES, ask(f, header, NEED_READ, "", &g, &e));
	assert_non_null(strstr(e.msg, "longer than"));
	free(header);
}

/* --- FlyV1 tokens ----------------------------------------------------------------------------- */

static struct macaroon mint(struct fixture *f, const char *kid)
{
	struct macaroon m;

	assert_int_equal(0, macaroon_mint(str_from(kid), STR(LOCATION), STR(KEY), &f->arena, &m));
	return m;
}

static const char *header_of(struct fixture *f, const struct macaroon *a, const struct macaroon *b)
{
	struct buf text = BUF_INIT;
	const char *copy;

	buf_puts(&text, "FlyV1 ");
	buf_put_str(&text, mint_text(a, &f->arena));
	if (b) {
		buf_putc(&text, ',');
		buf_put_str(&text, mint_text(b, &f->arena));
	}
	copy = arena_strndup(&f->arena, buf_str(&text));
	buf_done(&text);
	return copy;
}

static void test_flyv1(void **state)
{
	struct fixture *f = *state;
	struct macaroon m = mint(f, "kid");
	const char *header;
	struct grant g;
	struct err e;

	/* A token without caveats names no organisation, but the path may. */
	header = header_of(f, &m, NULL);
	assert_int_equal(-EPERM, ask(f, header, NEED_READ, "", &g, &e));
	assert_int_equal(0, ask(f, header, NEED_READ, "other", &g, &e));
	assert_int_equal(-EPERM, ask(f, header, NEED_READ, "nameless", &g, &e));
	assert_int_equal(-EPERM, ask(f, header, NEED_READ, "nowhere", &g, &e));

	mint_organization(&m, 7, CAVEAT_ALL, &f->arena);
	header = header_of(f, &m, NULL);
	for (int again = 0; again < 2; again++) { /* the second time from the table of verdicts */
		assert_int_equal(0, ask(f, header, NEED_READ, "", &g, &e));
		assert_str_equal(STR("acme"), g.org);
		assert_false(g.some_apps);
		assert_int_equal(36, g.who.len);
		assert_int_equal(0, ask(f, header, NEED_WRITE, "acme", &g, &e));
		assert_int_equal(0, ask(f, header, NEED_ADMIN, "acme", &g, &e));
		assert_false(g.hosts);
		assert_int_equal(-EPERM, ask(f, header, NEED_OPERATOR, "", &g, &e));
		assert_int_equal(-EPERM, ask(f, header, NEED_READ, "other", &g, &e));
	}
	mint_organization(&m, 7, CAVEAT_READ, &f->arena); /* fly tokens create readonly */
	header = header_of(f, &m, NULL);
	assert_int_equal(0, ask(f, header, NEED_READ, "", &g, &e));
	assert_int_equal(-EPERM, ask(f, header, NEED_WRITE, "", &g, &e));
	assert_non_null(strstr(e.msg, "its Organization caveat allows only \"r\""));
	/* The scheme word does not matter. */
	assert_int_equal(0, ask(f, strchr(header, 'f'), NEED_READ, "", &g, &e));
	mint_organization(&m, 8, CAVEAT_ALL, &f->arena); /* two organisations: nothing is left */
	assert_int_equal(-EPERM, ask(f, header_of(f, &m, NULL), NEED_READ, "", &g, &e));
	assert_int_equal(-EPERM, ask(f, header_of(f, &m, NULL), NEED_READ, "other", &g, &e));
}

static void test_flyv1_broken(void **state)
{
	struct fixture *f = *state;
	struct macaroon good = mint(f, "kid"), m = mint(f, "new"), elsewhere;
	const char *header;
	struct grant g;
	struct err e;

	mint_organization(&good, 7, CAVEAT_ALL, &f->arena);
	assert_int_equal(-EACCES, ask(f, header_of(f, &m, NULL), NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "unknown key"));
	m = good;
	m.tail[5] ^= 1;
	assert_int_equal(-EACCES, ask(f, header_of(f, &m, NULL), NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "signature of the token is wrong"));
	assert_int_equal(-EACCES, ask(f, "FlyV1 fm2_!!!", NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "not base64"));
	assert_int_equal(-EACCES, ask(f, "FlyV1 fm2_lA==", NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "broken"));
	/* A good token beside them is enough; in whatever order. */
	header = header_of(f, &m, &good);
	assert_int_equal(0, ask(f, header, NEED_READ, "acme", &g, &e));
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	buf_printf(&text, "Bearer fo1_xyz,fm2_lA==,%s", header_of(f, &good, NULL) + 6);
	assert_int_equal(0, ask(f, buf_cstr(&text), NEED_READ, "acme", &g, &e));
	/* From a location that has no key here. */
	assert_int_equal(0, macaroon_mint(STR("kid"), STR(AUTH), STR(KEY), &f->arena, &elsewhere));
	assert_int_equal(-EACCES,
	                 ask(f, header_of(f, &elsewhere, NULL), NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "issued for this service"));
	buf_clear(&text);
	for (unsigned i = 0; i <= MACAROON_TOKENS_MAX; i++)
		buf_puts(&text, "fm2_lA==,");
	assert_int_equal(-EACCES, ask(f, buf_cstr(&text), NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "more than 16 tokens"));
}

static void test_flyv1_apps(void **state)
{
	static const uint64_t web[] = { 17 }, both[] = { 17, 18 }, strange[] = { 19, 99 },
			      all[] = { 0 };
	struct fixture *f = *state;
	struct macaroon m = mint(f, "kid");
	struct grant g;
	struct err e;

	mint_organization(&m, 7, CAVEAT_ALL, &f->arena);
	struct macaroon every = m, none = m, later = m;

	mint_apps(&m, both, 2, CAVEAT_ALL, &f->arena);
	assert_int_equal(0, ask(f, header_of(f, &m, NULL), NEED_READ, "", &g, &e));
	assert_true(g.some_apps);
	assert_int_equal(2, g.n_apps);
	mint_apps(&m, web, 1, CAVEAT_READ, &f->arena);
	assert_int_equal(0, ask(f, header_of(f, &m, NULL), NEED_READ, "", &g, &e));
	assert_int_equal(1, g.n_apps);
	assert_str_equal(STR("web"), g.apps[0]);
	assert_int_equal(-EPERM, ask(f, header_of(f, &m, NULL), NEED_WRITE, "", &g, &e));
	/* Apps of another organisation, or of none: nothing to see. */
	mint_apps(&none, strange, 2, CAVEAT_ALL, &f->arena);
	assert_int_equal(-EPERM, ask(f, header_of(f, &none, NULL), NEED_READ, "", &g, &e));
	assert_non_null(strstr(e.msg, "certain apps only"));
	/* All apps: those that have a number; x.y has none. */
	mint_apps(&every, all, 1, CAVEAT_READ, &f->arena);
	assert_int_equal(0, ask(f, header_of(f, &every, NULL), NEED_READ, "", &g, &e));
	assert_true(g.some_apps);
	assert_int_equal(2, g.n_apps);

	/* IfPresent: the organisation by its else, or else app by app. */
	struct buf body = BUF_INIT;

	msgpack_put_array(&body, 2);
	msgpack_put_array(&body, 2);
	msgpack_put_uint(&body, CAVEAT_APPS);
	mint_put_apps(&body, web, 1, CAVEAT_ALL);
	msgpack_put_uint(&body, CAVEAT_READ);
	mint_add(&later, CAVEAT_IF_PRESENT, &body, &f->arena);
	assert_int_equal(0, ask(f, header_of(f, &later, NULL), NEED_READ, "", &g, &e));
	assert_false(g.some_apps);
	assert_int_equal(0, ask(f, header_of(f, &later, NULL), NEED_WRITE, "", &g, &e));
	assert_true(g.some_apps);
	assert_str_equal(STR("web"), g.apps[0]);
}

static void test_flyv1_window(void **state)
{
	struct fixture *f = *state;
	struct macaroon m = mint(f, "kid");
	const char *header;
	struct grant g;
	struct err e;

	mint_organization(&m, 7, CAVEAT_ALL, &f->arena);
	mint_window(&m, NOW_MS / 1000 - 10, NOW_MS / 1000, &f->arena);
	header = header_of(f, &m, NULL);
	assert_int_equal(0, ask(f, header, NEED_READ, "", &g, &e));
	/* The verdict about the signature is kept, that about the time is not. */
	const struct auth_question later = { NEED_READ, STR_NULL, NOW_MS + 1 };

	e = ERR_INIT;
	assert_int_equal(-EACCES,
	                 auth_check(f->access, str_from(header), &later, &f->arena, &g, &e));
	assert_non_null(strstr(e.msg, "it has expired"));
}

/* What Fly's own tokens look like: the organisation, then a login that has to be shown. */
static void test_flyv1_third_party(void **state)
{
	struct fixture *f = *state;
	struct macaroon m = mint(f, "kid"), discharge;
	uint8_t key[MACAROON_KEY_BYTES];
	struct str ticket;
	struct grant g;
	struct err e;

	mint_organization(&m, 7, CAVEAT_ALL, &f->arena);
	mint_third_party(&m, STR(AUTH), (const uint8_t *)KEY, &f->arena, &ticket);
	mint_open_ticket(ticket, (const uint8_t *)KEY, key);
	assert_int_equal(0, macaroon_mint(ticket, STR(AUTH), mint_bytes(key, sizeof(key)),
	                                  &f->arena, &discharge));
	assert_int_equal(-EACCES, ask(f, header_of(f, &m, NULL), NEED_READ, "", &g, &e));
	assert_non_null(strstr(e.msg, "discharge of the token is missing"));
	assert_int_equal(0, ask(f, header_of(f, &m, &discharge), NEED_READ, "", &g, &e));
	assert_int_equal(0, ask(f, header_of(f, &discharge, &m), NEED_READ, "", &g, &e));
	/* A discharge that says more takes more away. */
	mint_window(&discharge, 0, 1, &f->arena);
	assert_int_equal(-EACCES, ask(f, header_of(f, &m, &discharge), NEED_READ, "", &g, &e));
}

static void test_revoked(void **state)
{
	struct fixture *f = *state;
	struct macaroon gone = mint(f, "kid"), kept = mint(f, "kid"), old = mint(f, "old");
	char uuid[MACAROON_UUID_TEXT_MAX], text[128];
	struct access *before = f->access;
	struct grant g;
	struct err e = ERR_INIT;

	assert_int_equal(0, macaroon_uuid(&gone, uuid));
	(void)snprintf(text, sizeof(text), "revoked: [%s, \"kid:6f6c64\"]\n", uuid);
	tempdir_write(&f->dir, "revoked.yml", text, 0644);
	assert_int_equal(0, access_load(f->dir.path, &f->access, &e));
	access_unref(before);
	assert_int_equal(-EACCES, ask(f, header_of(f, &gone, NULL), NEED_READ, "acme", &g, &e));
	assert_non_null(strstr(e.msg, "revoked"));
	assert_int_equal(0, ask(f, header_of(f, &kept, NULL), NEED_READ, "acme", &g, &e));
	assert_int_equal(-EACCES, ask(f, header_of(f, &old, NULL), NEED_READ, "acme", &g, &e));
	/* Whatever was made of it is gone as well. */
	mint_organization(&gone, 7, CAVEAT_READ, &f->arena);
	assert_int_equal(-EACCES, ask(f, header_of(f, &gone, NULL), NEED_READ, "acme", &g, &e));
}

/* Many headers, so that places in the table of verdicts are taken again. */
static void test_many_verdicts(void **state)
{
	struct fixture *f = *state;
	struct grant g;
	struct err e;

	for (unsigned i = 0; i < 6000; i++) {
		struct fixture one = { .access = f->access };
		struct macaroon m = mint(&one, "kid");
		const char *header = header_of(&one, &m, NULL);

		assert_int_equal(0, ask(&one, header, NEED_READ, "acme", &g, &e));
		assert_int_equal(0, ask(&one, header, NEED_READ, "acme", &g, &e));
		arena_done(&one.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look_ups),      cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_no_files),      cmocka_unit_test(test_opaque),
		cmocka_unit_test(test_long_header),   cmocka_unit_test(test_flyv1),
		cmocka_unit_test(test_flyv1_broken),  cmocka_unit_test(test_flyv1_apps),
		cmocka_unit_test(test_flyv1_window),  cmocka_unit_test(test_flyv1_third_party),
		cmocka_unit_test(test_many_verdicts), cmocka_unit_test(test_revoked),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
