/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * periscope token mint: a new token. An opaque one is random; what it may do stands in the access
 * file, for which the entry is printed. A FlyV1 token says itself what it may do.
 */
#include <sodium.h>
#include <string.h>

#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/ctl/token.h"

#define PREFIX       "psc_" /* so that secret scanners find it */
#define RANDOM_BYTES 32u
#define LOCATION     "https://api.fly.io/v1"

struct options {
	bool help;
	const char *name, *organisation;
	struct opt_strings scopes, apps;
	const char *kid, *key_file, *location;
	struct token_limits limits;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("name", "NAME", STRING, name, "opaque: what logs call it"),
	ROW("organisation", "ORG", STRING, organisation, "opaque: whose it is; * = every one"),
	ROW("scope", "SCOPE", STRINGS, scopes, "opaque: read, write, admin or host"),
	ROW("app", "APP", STRINGS, apps, "opaque: only series of that app"),
	ROW("kid", "HEX", STRING, kid, "FlyV1: number of the key, as in flyv1_keys"),
	ROW("key-file", "FILE", STRING, key_file, "FlyV1: the key itself"),
	ROW("location", "URL", STRING, location, "FlyV1: default " LOCATION),
	TOKEN_LIMIT_ROWS(struct options, limits),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

/* --- opaque ----------------------------------------------------------------------------------- */

static void put_list(struct buf *out, const char *key, const struct opt_strings *list)
{
	if (list->n == 0)
		return;
	buf_printf(out, "    %s: [", key);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", list->v[i]);
	buf_puts(out, "]\n");
}

static int check_opaque(const struct options *o, struct err *e)
{
	static const char *const scopes[] = { "read", "write", "admin", "host" };
	const struct token_limits *l = &o->limits;

	if (!o->name || !o->organisation || o->scopes.n == 0)
		return err_set(e, -EINVAL,
		               "expected --name, --organisation and --scope, or --kid and"
		               " --key-file");
	if (l->org_id || l->app_ids.n > 0 || l->mask || l->action || l->expires)
		return err_set(e, -EINVAL,
		               "--organisation-id, --app-id, --mask, --action and --expires go with"
		               " FlyV1 tokens");
	for (size_t i = 0; i < o->scopes.n; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(scopes); k++)
			known = known || strcmp(o->scopes.v[i], scopes[k]) == 0;
		if (!known)
			return err_set(e, -EINVAL,
			               "--scope: '%s' is not read, write, admin or host",
			               o->scopes.v[i]);
	}
	/* They become YAML. */
	if (strpbrk(o->name, "\"\\\n:#{}[],&*!|>'%@` ") || strpbrk(o->organisation, "\"\\\n"))
		return err_set(e, -EINVAL, "--name or --organisation has a character of YAML");
	for (size_t i = 0; i < o->apps.n; i++) {
		if (strpbrk(o->apps.v[i], "\"\\\n"))
			return err_set(e, -EINVAL, "--app: '%s' is no name of an app",
			               o->apps.v[i]);
	}
	return 0;
}

/* The token on the first line, to be given away; the rest is for the access file. */
static enum exit_code mint_opaque(const struct options *o)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	uint8_t secret[RANDOM_BYTES], hash[crypto_hash_sha256_BYTES];
	char token[sizeof(PREFIX) + 2 * RANDOM_BYTES] = PREFIX, hex[2 * sizeof(hash) + 1];

	randombytes_buf(secret, sizeof(secret));
	(void)sodium_bin2base64(token + sizeof(PREFIX) - 1, sizeof(token) - sizeof(PREFIX) + 1,
	                        secret, sizeof(secret), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)crypto_hash_sha256(hash, (const uint8_t *)token, strlen(token));
	(void)sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	buf_printf(&out, "%s\n\n# for the access file:\ntokens:\n  %s:\n    sha256: %s\n", token,
	           o->name, hex);
	buf_printf(&out, "    organisation: \"%s\"\n", o->organisation);
	put_list(&out, "scopes", &o->scopes);
	put_list(&out, "apps", &o->apps);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(token, sizeof(token));
	return command_print(&out);
}

/* --- FlyV1 ------------------------------------------------------------------------------------ */

static int mint(const struct options *o, struct arena *arena, struct macaroon *m, struct err *e)
{
	const char *location = o->location ? o->location : LOCATION;
	uint8_t kid[64];
	size_t n_kid = 0;
	struct str key;
	int r;

	if (sodium_hex2bin(kid, sizeof(kid), o->kid, strlen(o->kid), NULL, &n_kid, NULL) != 0 ||
	    n_kid == 0 || strlen(o->kid) != 2 * n_kid)
		return err_set(e, -EINVAL, "--kid: '%s' is not hexadecimal", o->kid);
	r = token_read_key(o->key_file, arena, &key, e);
	if (r == 0)
		r = macaroon_mint(arena_str(arena, (struct str){ (char *)kid, n_kid }),
		                  str_from(location), key, arena, m);
	return r < 0 ? r : token_restrict(m, &o->limits, arena, e);
}

static enum exit_code mint_flyv1(const struct options *o)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)1 << 20);
	_cleanup_(buf_done) struct buf bytes = BUF_INIT, out = BUF_INIT;
	struct macaroon m;
	struct err e = ERR_INIT;
	int r = mint(o, &arena, &m, &e);

	if (r < 0)
		return command_fail(r == -EINVAL ? EXIT_USAGE : EXIT_RUNTIME, r, &e);
	macaroon_put(&bytes, &m);
	macaroon_text_put(&out, buf_str(&bytes));
	buf_putc(&out, '\n');
	return command_print(&out);
}

static enum exit_code run(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = ERR_INIT;
	enum exit_code code;

	if (!command_options(&token_mint_command, rows, ARRAY_SIZE(rows), argc, argv, &o, &o.help,
	                     &code))
		return code;
	if (macaroon_init() < 0)
		return command_fail(EXIT_RUNTIME, -EIO, &e);
	if (o.kid && o.key_file && !o.name && !o.organisation)
		return mint_flyv1(&o);
	if (check_opaque(&o, &e) < 0)
		return command_fail(EXIT_USAGE, -EINVAL, &e);
	return mint_opaque(&o);
}

const struct command token_mint_command = {
	.group = "token",
	.name = "mint",
	.about = "Make a new token",
	.run = run,
};
