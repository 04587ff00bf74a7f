/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auth/auth.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "api/auth/verdicts.h"
#include "userspace/base/util.h"

#define REDACTED_OAUTH "fo1_"

static bool is_word(struct str s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/*
 * Strips any number of scheme words. What is left must be one word; a scheme of another kind is
 * named in the message, for that is what people get wrong.
 */
static int strip_schemes(struct str header, struct str *ret, struct err *e)
{
	struct str word, rest = str_trim(header);
	bool scheme = false;

	for (;;) {
		(void)str_cut(rest, ' ', &word, &rest);
		rest = str_trim(rest);
		if (!is_word(word, "Bearer") && !is_word(word, "FlyV1"))
			break;
		scheme = true;
	}
	if (rest.len > 0 || (word.len > 0 && !scheme && !macaroon_is_text(word)))
		return err_set(
			e, -EACCES,
			"the Authorization header must be \"Bearer TOKEN\" or \"FlyV1 TOKEN\"%s",
			is_word(word, "Basic") ? ", not Basic" : "");
	if (word.len == 0)
		return err_set(e, -EACCES,
		               "a token is needed: Authorization: Bearer TOKEN, or FlyV1 TOKEN");
	*ret = word;
	return 0;
}

static unsigned scopes_for(enum need need)
{
	static const unsigned scopes[] = {
		[NEED_NOTHING] = 0,
		[NEED_READ] = SCOPE_READ,
		[NEED_WRITE] = SCOPE_WRITE | SCOPE_HOST,
		[NEED_ADMIN] = SCOPE_ADMIN,
		[NEED_OPERATOR] = SCOPE_ADMIN,
	};

	return scopes[need];
}

static int wrong_purpose(struct str who, enum need need, struct err *e)
{
	static const char *const what[] = {
		[NEED_READ] = "read",
		[NEED_WRITE] = "write",
		[NEED_ADMIN] = "delete",
		[NEED_OPERATOR] = "look into the server: that takes admin of every organisation",
	};

	return err_set(e, -EPERM, "the token %.*s may not %s", (int)MIN(who.len, (size_t)64), who.p,
	               what[need]);
}

static int wrong_org(struct str who, struct str org, struct err *e)
{
	return err_set(e, -EPERM, "the token %.*s gives no access to organisation \"%.*s\"",
	               (int)MIN(who.len, (size_t)64), who.p, (int)MIN(org.len, (size_t)64), org.p);
}

/* --- opaque tokens ---------------------------------------------------------------------------- */

static int check_opaque(const struct access *a, struct str text, const struct auth_question *q,
                        struct grant *ret, struct err *e)
{
	uint8_t hash[ACCESS_HASH_BYTES];
	const struct access_token *t;

	(void)crypto_hash_sha256(hash, (const uint8_t *)text.p, text.len);
	t = access_token(a, hash);
	if (!t)
		return err_set(
			e, -EACCES,
			str_starts(text, STR(REDACTED_OAUTH))
				? "fo1_ tokens are not accepted; use an fm2_ or an opaque one"
				: "the token is not known");
	if (q->now_ms >= t->expires_ms)
		return err_set(e, -EACCES, "the token %.*s has expired", STR_FMT(t->name));
	if (!(t->scopes & scopes_for(q->need)))
		return wrong_purpose(t->name, q->need, e);
	if (q->need == NEED_OPERATOR && t->org.len > 0)
		return wrong_purpose(t->name, q->need, e);
	if (q->org.len > 0 && t->org.len > 0 && !str_eq(q->org, t->org))
		return wrong_org(t->name, q->org, e);
	*ret = (struct grant){
		.org = q->org.len > 0 ? q->org : t->org,
		.hosts = t->scopes & SCOPE_HOST,
		.some_apps = t->some_apps,
		.apps = t->apps,
		.n_apps = t->n_apps,
		.who = t->name,
	};
	return 0;
}

/* --- bundles of macaroons --------------------------------------------------------------------- */

struct bundle {
	struct macaroon permissions[MACAROON_TOKENS_MAX], others[MACAROON_TOKENS_MAX];
	size_t n_permissions, n_others;
};

static int parse_token(const struct access *a, struct str text, struct arena *arena,
                       struct bundle *b, struct err *why)
{
	struct macaroon m;
	struct str bytes;
	int r = macaroon_text_decode(text, arena, &bytes);

	if (r == -EBADMSG)
		return err_set(why, r, "the token is broken: its text is not base64");
	if (r == 0)
		r = macaroon_parse(bytes, arena, &m, why);
	if (r < 0)
		return r;
	if (access_is_permission(a, m.location))
		b->permissions[b->n_permissions++] = m;
	else
		b->others[b->n_others++] = m;
	return 0;
}

/*
 * Tokens of a kind that we do not check (fo1_) may stand beside those that we do, and a broken one
 * does not spoil the others.
 */
static int parse_bundle(const struct access *a, struct str text, struct arena *arena,
                        struct bundle *b, struct err *e)
{
	struct err why = ERR_INIT;
	struct str one;
	size_t n = 0;

	while (text.len > 0) {
		(void)str_cut(text, ',', &one, &text);
		one = str_trim(one);
		if (!macaroon_is_text(one))
			continue;
		if (n++ == MACAROON_TOKENS_MAX)
			return err_set(e, -EACCES, "the header has more than %u tokens",
			               MACAROON_TOKENS_MAX);
		int r = parse_token(a, one, arena, b, &why);

		if (r < 0 && r != -EBADMSG)
			return r;
	}
	if (b->n_permissions > 0)
		return 0;
	return err_set(e, -EACCES, "%s",
	               why.msg[0] ? why.msg : "none of the tokens was issued for this service");
}

static int verify_one(const struct access *a, const struct bundle *b, const struct macaroon *m,
                      struct arena *arena, struct verified *ret, struct err *e)
{
	const struct access_key *key = access_key(a, m->kid);
	struct macaroon_discharges d = { .v = b->others, .n = b->n_others };
	char uuid[MACAROON_UUID_TEXT_MAX];
	int r;

	d.trusted = access_trusted(a, &d.n_trusted);
	if (!key || !str_eq(key->location, m->location))
		return err_set(e, -EACCES, "the token is signed with an unknown key");
	if (access_is_revoked(a, m) || macaroon_uuid(m, uuid) < 0)
		return err_set(e, -EACCES, "the token is revoked");
	r = macaroon_verify(m, key->key, &d, arena, &ret->caveats, e);
	if (r < 0)
		return r == -EPERM ? -EACCES : r;
	ret->who = arena_str(arena, str_from(uuid));
	return arena_error(arena);
}

/* Verifies all permission tokens; those that are not right are left out as long as one is. */
static int verify_bundle(const struct access *a, struct str text, struct arena *arena,
                         struct verified *ret, size_t *ret_n, struct err *e)
{
	struct bundle *b = ARENA_NEW(arena, struct bundle);
	struct err why = ERR_INIT;
	size_t n = 0;
	int r = b ? parse_bundle(a, text, arena, b, e) : arena_error(arena);

	for (size_t i = 0; r == 0 && i < b->n_permissions; i++) {
		int one = verify_one(a, b, &b->permissions[i], arena, &ret[n], &why);

		if (one == 0)
			n++;
		else if (one != -EACCES)
			r = one;
	}
	if (r == 0 && n == 0)
		r = err_set(e, -EACCES, "%s", why.msg);
	if (r == 0)
		*ret_n = n;
	return r;
}

static uint16_t action_for(enum need need)
{
	return need == NEED_READ ? CAVEAT_READ : need == NEED_WRITE ? CAVEAT_WRITE : CAVEAT_DELETE;
}

/* Asks about every app of the organisation; those that are allowed become the grant's. */
static int check_apps(const struct access_org *org, const struct verified *v,
                      struct caveat_access access, struct arena *arena, struct grant *ret)
{
	struct str *apps = ARENA_ARRAY(arena, struct str, org->n_apps + 1);
	size_t n = 0;

	if (!apps)
		return arena_error(arena);
	access.has_app = true;
	for (size_t i = 0; i < org->n_apps; i++) {
		struct err ignored = ERR_INIT;

		access.app_id = org->apps[i].id;
		if (access.app_id != 0 &&
		    caveat_set_check(&v->caveats, &access, &ignored) == CAVEAT_ALLOWS)
			apps[n++] = org->apps[i].name;
	}
	ret->some_apps = true;
	ret->apps = apps;
	ret->n_apps = n;
	return n > 0 ? 0 : -EPERM;
}

/* On the root path a token says itself which organisation it is for. */
static const struct access_org *org_for(const struct access *a, const struct auth_question *q,
                                        const struct verified *v)
{
	uint64_t id;

	if (q->org.len > 0)
		return access_org(a, q->org);
	return caveat_set_org(&v->caveats, &id) ? access_org_by_id(a, id) : NULL;
}

static int check_verified(const struct access *a, const struct auth_question *q,
                          const struct verified *v, struct arena *arena, struct grant *ret,
                          struct err *e)
{
	const struct access_org *org = org_for(a, q, v);
	struct caveat_access access = { .action = action_for(q->need), .now_ms = q->now_ms };
	struct err why = ERR_INIT;
	int r = 0;

	if (q->need == NEED_OPERATOR)
		return wrong_purpose(v->who, q->need, e);
	if (!org || org->id == 0)
		return q->org.len > 0
		               ? wrong_org(v->who, q->org, e)
		               : err_set(e, -EPERM, "the token %.*s names no organisation of ours",
		                         STR_FMT(v->who));
	access.org_id = org->id;
	*ret = (struct grant){ .org = org->name, .who = v->who };
	if (caveat_set_check(&v->caveats, &access, &why) != CAVEAT_ALLOWS)
		r = check_apps(org, v, access, arena, ret);
	if (r == -EPERM && why.code == -EKEYEXPIRED)
		r = -EACCES;
	return r == -EPERM || r == -EACCES ? err_set(e, r, "the token %.*s does not allow that: %s",
	                                             STR_FMT(v->who), why.msg)
	                                   : r;
}

/* Any token that allows it will do; of those that do not, the first one says why. */
static int check_any(const struct access *a, const struct auth_question *q,
                     const struct verified *v, size_t n, struct arena *arena, struct grant *ret,
                     struct err *e)
{
	struct err why = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		int r = check_verified(a, q, &v[i], arena, ret, &why);

		if (r == 0)
			ret->who = arena_str(arena, ret->who); /* the verdict may go */
		if (r != -EPERM && r != -EACCES)
			return r == 0 ? arena_error(arena) : r;
	}
	return err_set(e, why.code, "%s", why.msg);
}

static int check_bundle(const struct access *a, struct str text, const struct auth_question *q,
                        struct arena *arena, struct grant *ret, struct err *e)
{
	uint8_t hash[VERDICT_HASH_BYTES];
	struct verified fresh[MACAROON_TOKENS_MAX];
	const struct verified *v;
	struct verdict *verdict;
	size_t n = 0;
	int r = 0;

	(void)crypto_hash_sha256(hash, (const uint8_t *)text.p, text.len);
	verdict = verdicts_find(access_verdicts(a), hash);
	if (verdict) {
		v = verdict_tokens(verdict, &n);
	} else {
		r = verify_bundle(a, text, arena, fresh, &n, e);
		v = fresh;
		if (r == 0)
			verdict = verdicts_add(access_verdicts(a), hash, fresh, n);
	}
	if (r == 0)
		r = check_any(a, q, v, n, arena, ret, e);
	verdict_put(verdict);
	return r;
}

int auth_check(const struct access *a, struct str header, const struct auth_question *q,
               struct arena *arena, struct grant *ret, struct err *e)
{
	struct str text;
	int r;

	if (header.len > MACAROON_HEADER_BYTES_MAX)
		return err_set(e, -EACCES, "the Authorization header is longer than %u bytes",
		               MACAROON_HEADER_BYTES_MAX);
	r = strip_schemes(header, &text, e);
	if (r < 0)
		return r;
	return memmem(text.p, text.len, ",fm", 3) || macaroon_is_text(text)
	               ? check_bundle(a, text, q, arena, ret, e)
	               : check_opaque(a, text, q, ret, e);
}
