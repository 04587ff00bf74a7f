/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From access files to a snapshot. Each file is read by itself, so that a message can name it; what
 * they say together is checked when all of it is sorted.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/auth/access_conf.h"
#include "api/auth/access_int.h"
#include "api/auth/verdicts.h"
#include "api/params.h"
#include "store/store.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

#define FILES_MAX     1024u
#define KEY_FILE_MAX  1024u
#define KEY_BYTES_MIN 16u
#define SECRETS_MAX   ((size_t)1 << 20)
#define FILE_SUFFIX   ".yml"

struct load {
	struct access *a;
	const char *file; /* the one being read */
	struct err *e;
	/* Grow while files are read; the snapshot gets them sorted. */
	struct access_org *orgs;
	struct access_token *tokens;
	struct access_key *keys;
	struct macaroon_trust *trusted;
	struct str *revoked;
	size_t orgs_cap, tokens_cap, keys_cap, trusted_cap, revoked_cap;
};

static void load_done(struct load *l)
{
	free(l->orgs);
	free(l->tokens);
	free(l->keys);
	if (l->trusted)
		sodium_memzero(l->trusted, l->trusted_cap * sizeof(*l->trusted));
	free(l->trusted);
	free(l->revoked);
}

static int no_memory(struct load *l)
{
	return err_set(l->e, -ENOMEM, "out of memory");
}

/* A text of the file that the snapshot keeps. */
static struct str keep(struct load *l, const char *text)
{
	return arena_str(&l->a->arena, str_from(text));
}

static int parse_hex(const char *text, uint8_t *dst, size_t cap, size_t *ret_n)
{
	const char *end;

	if (sodium_hex2bin(dst, cap, text, strlen(text), NULL, ret_n, &end) != 0 || *end != '\0')
		return -EINVAL;
	return 0;
}

/* --- organisations ---------------------------------------------------------------------------- */

static int add_apps(struct load *l, const struct access_conf_org *conf, struct access_org *org)
{
	const struct access_conf_app *from = conf->apps.v;
	struct access_app *apps = ARENA_ARRAY(&l->a->arena, struct access_app, conf->apps.n + 1);

	for (size_t i = 0; apps && i < conf->apps.n; i++) {
		if (from[i].name[0] == '\0')
			return err_set(l->e, -EINVAL, "%s: an app of organisation %s has no name",
			               l->file, conf->name);
		apps[i] = (struct access_app){ keep(l, from[i].name), (uint64_t)from[i].id };
	}
	org->apps = apps;
	org->n_apps = conf->apps.n;
	return apps ? 0 : no_memory(l);
}

static int add_org(struct load *l, const struct access_conf_org *conf)
{
	struct access_org *org;

	if (!store_org_is_valid(str_from(conf->name)))
		return err_set(l->e, -EINVAL,
		               "%s: organisation \"%.64s\" is not a slug of a-z, 0-9, _ and -",
		               l->file, conf->name);
	if (MEM_GROW(l->orgs, l->orgs_cap, l->a->n_orgs + 1) < 0)
		return no_memory(l);
	org = &l->orgs[l->a->n_orgs++];
	*org = (struct access_org){
		.name = keep(l, conf->name),
		.id = (uint64_t)conf->id,
		.limits = { .retention_ms = conf->retention_ms,
		            .series_max = (uint64_t)conf->series_max,
		            .new_series_per_hour_max = (uint64_t)conf->new_series_per_hour_max,
		            .samples_per_s_max = (uint64_t)conf->samples_per_s_max },
	};
	return add_apps(l, conf, org);
}

/* --- opaque tokens ---------------------------------------------------------------------------- */

static int token_fault(struct load *l, const struct access_conf_token *conf, const char *what)
{
	return err_set(l->e, -EINVAL, "%s: token %.64s: %s", l->file, conf->name, what);
}

static int parse_scopes(const struct conf_strings *texts, unsigned *ret)
{
	static const struct {
		const char *name;
		enum scope scope;
	} rows[] = { { "read", SCOPE_READ },
		     { "write", SCOPE_WRITE },
		     { "admin", SCOPE_ADMIN },
		     { "host", SCOPE_HOST } };

	*ret = 0;
	for (size_t i = 0; i < texts->n; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(rows) && strcmp(rows[k].name, texts->v[i]) != 0)
			k++;
		if (k == ARRAY_SIZE(rows))
			return -EINVAL;
		*ret |= rows[k].scope;
	}
	return *ret ? 0 : -EINVAL;
}

static int parse_expiry(const char *text, int64_t *ret_ms)
{
	*ret_ms = INT64_MAX;
	if (text[0] == '\0')
		return 0;
	/* A date, not one of the relative forms that a query may use. */
	if (!isdigit((unsigned char)text[0]) || !strchr(text, '-'))
		return -EINVAL;
	return params_parse_time_ms(str_from(text), clock_unix_ms(), ret_ms);
}

static int add_token_apps(struct load *l, const struct conf_strings *texts,
                          struct access_token *token)
{
	struct str *apps = ARENA_ARRAY(&l->a->arena, struct str, texts->n + 1);

	for (size_t i = 0; apps && i < texts->n; i++)
		apps[i] = keep(l, texts->v[i]);
	token->apps = apps;
	token->n_apps = texts->n;
	token->some_apps = texts->n > 0;
	return apps ? 0 : no_memory(l);
}

static int add_token(struct load *l, const struct access_conf_token *conf)
{
	struct access_token t = { .name = keep(l, conf->name) };
	bool every = strcmp(conf->organisation, ACCESS_EVERY_ORG) == 0;
	size_t n;

	if (parse_hex(conf->sha256, t.sha256, sizeof(t.sha256), &n) < 0 || n != sizeof(t.sha256))
		return token_fault(l, conf, "sha256 must be 64 hexadecimal digits");
	if (!every && !store_org_is_valid(str_from(conf->organisation)))
		return token_fault(l, conf, "organisation must be a slug, or \"*\" for every one");
	if (parse_scopes(&conf->scopes, &t.scopes) < 0)
		return token_fault(l, conf, "scopes must be some of read, write, admin, host");
	if (parse_expiry(conf->expires, &t.expires_ms) < 0)
		return token_fault(l, conf, "expires must be a date like 2027-01-31T00:00:00Z");
	if (conf->apps.n > 0 && (every || t.scopes & (SCOPE_ADMIN | SCOPE_HOST)))
		return token_fault(l, conf,
		                   "apps go with one organisation and the scopes read and write");
	t.org = every ? STR_NULL : keep(l, conf->organisation);
	if (add_token_apps(l, &conf->apps, &t) < 0 ||
	    MEM_GROW(l->tokens, l->tokens_cap, l->a->n_tokens + 1) < 0)
		return no_memory(l);
	l->tokens[l->a->n_tokens++] = t;
	return 0;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* Relative paths are meant from the folder of the access file. */
static int open_key(struct load *l, const char *path, int *ret_fd)
{
	_cleanup_(buf_done) struct buf full = BUF_INIT;
	const char *slash = strrchr(l->file, '/');

	if (path[0] != '/' && slash)
		buf_put(&full, l->file, (size_t)(slash + 1 - l->file));
	buf_puts(&full, path);
	*ret_fd = open(buf_cstr(&full), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return *ret_fd < 0 ? neg_errno() : 0;
}

static int decode_key(struct buf *text, uint8_t *dst, size_t cap, size_t *ret_n)
{
	struct str s = str_trim(buf_str(text));
	int r = sodium_base642bin(dst, cap, s.p, s.len, NULL, ret_n, NULL,
	                          sodium_base64_VARIANT_ORIGINAL);

	return r != 0 || *ret_n < KEY_BYTES_MIN ? -EINVAL : 0;
}

static int read_key(struct load *l, const char *path, uint8_t *dst, size_t cap, size_t *ret_n)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = open_key(l, path, &fd);

	if (r == 0 && fstat(fd, &st) < 0)
		r = neg_errno();
	if (r == 0 && !S_ISREG(st.st_mode))
		r = -EINVAL;
	if (r == 0 && st.st_mode & S_IRWXO)
		return err_set(l->e, -EINVAL, "%s: key_file %s can be read by everybody; chmod 640",
		               l->file, path);
	if (r == 0)
		r = file_read_fd(fd, &text, KEY_FILE_MAX);
	if (r < 0)
		return err_set(l->e, r, "%s: key_file %s: %s", l->file, path, strerror(-r));
	r = decode_key(&text, dst, cap, ret_n);
	sodium_memzero(text.p, text.cap);
	if (r < 0)
		return err_set(l->e, r, "%s: key_file %s holds no base64 of at least %u bytes",
		               l->file, path, KEY_BYTES_MIN);
	return 0;
}

static int add_key(struct load *l, const struct access_conf_key *conf)
{
	uint8_t kid[64], key[KEY_FILE_MAX];
	size_t n_kid, n_key;
	int r;

	if (parse_hex(conf->kid, kid, sizeof(kid), &n_kid) < 0 || n_kid == 0)
		return err_set(l->e, -EINVAL, "%s: kid \"%.64s\" is not hexadecimal", l->file,
		               conf->kid);
	r = read_key(l, conf->key_file, key, sizeof(key), &n_key);
	if (r < 0)
		return r;
	/* The place does not move: the buffer was made at its limit. */
	struct str kept = { l->a->secrets.p + l->a->secrets.len, n_key };

	buf_put(&l->a->secrets, key, n_key);
	sodium_memzero(key, sizeof(key));
	if (l->a->secrets.err < 0)
		return err_set(l->e, -EINVAL, "%s: too many keys", l->file);
	if (MEM_GROW(l->keys, l->keys_cap, l->a->n_keys + 1) < 0)
		return no_memory(l);
	l->keys[l->a->n_keys++] =
		(struct access_key){ arena_str(&l->a->arena, (struct str){ (char *)kid, n_kid }),
		                     keep(l, conf->location), kept };
	return 0;
}

static int add_third_party(struct load *l, const struct access_conf_third_party *conf)
{
	struct macaroon_trust *t;
	size_t n;
	int r;

	if (MEM_GROW(l->trusted, l->trusted_cap, l->a->n_trusted + 1) < 0)
		return no_memory(l);
	t = &l->trusted[l->a->n_trusted];
	t->location = keep(l, conf->location);
	r = read_key(l, conf->key_file, t->key, sizeof(t->key), &n);
	if (r == 0 && n != sizeof(t->key))
		r = err_set(l->e, -EINVAL, "%s: key_file %s: the key must have %u bytes", l->file,
		            conf->key_file, MACAROON_KEY_BYTES);
	if (r == 0)
		l->a->n_trusted++;
	return r;
}

/* "kid:HEX", or a UUID; what is neither would revoke nothing, so it is a mistake. */
static bool is_revocation(const char *text)
{
	static const char form[] = "00000000-0000-0000-0000-000000000000";
	uint8_t kid[64];
	size_t n;

	if (strncmp(text, "kid:", 4) == 0)
		return parse_hex(text + 4, kid, sizeof(kid), &n) == 0 && n > 0;
	for (size_t i = 0; i < sizeof(form); i++) {
		if (form[i] == '0' ? !strchr("0123456789abcdef", text[i]) || text[i] == '\0'
		                   : text[i] != form[i])
			return false;
	}
	return true;
}

static int add_revocation(struct load *l, const char *text)
{
	if (!is_revocation(text))
		return err_set(
			l->e, -EINVAL,
			"%s: revoked: \"%.80s\" is neither a UUID nor kid:HEX, in lower case",
			l->file, text);
	if (MEM_GROW(l->revoked, l->revoked_cap, l->a->n_revoked + 1) < 0)
		return no_memory(l);
	l->revoked[l->a->n_revoked++] = keep(l, text);
	return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

static int add_all(struct load *l, const struct access_conf *conf)
{
	const struct access_conf_org *orgs = conf->organisations.v;
	const struct access_conf_token *tokens = conf->tokens.v;
	const struct access_conf_key *keys = conf->keys.v;
	const struct access_conf_third_party *parties = conf->third_parties.v;
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->organisations.n; i++)
		r = add_org(l, &orgs[i]);
	for (size_t i = 0; r == 0 && i < conf->tokens.n; i++)
		r = add_token(l, &tokens[i]);
	for (size_t i = 0; r == 0 && i < conf->keys.n; i++)
		r = add_key(l, &keys[i]);
	for (size_t i = 0; r == 0 && i < conf->third_parties.n; i++)
		r = add_third_party(l, &parties[i]);
	for (size_t i = 0; r == 0 && i < conf->revoked.n; i++)
		r = add_revocation(l, conf->revoked.v[i]);
	return r == 0 && arena_error(&l->a->arena) < 0 ? no_memory(l) : r;
}

static int load_file(struct load *l, const char *path)
{
	struct access_conf conf = { 0 };
	int r = conf_init(&access_conf_schema, &conf);

	l->file = path;
	if (r == 0)
		r = conf_load(&access_conf_schema, path, &conf, l->e);
	if (r == 0)
		r = add_all(l, &conf);
	conf_done(&access_conf_schema, &conf);
	return r;
}

static int is_access_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name), suffix = sizeof(FILE_SUFFIX) - 1;

	return d->d_name[0] != '.' && n > suffix &&
	       strcmp(d->d_name + n - suffix, FILE_SUFFIX) == 0;
}

static int load_folder(struct load *l, const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_access_file, alphasort), r = 0;

	if (n < 0)
		return err_set(l->e, neg_errno(), "%s: %s", path, strerror(errno));
	if ((unsigned)n > FILES_MAX)
		r = err_set(l->e, -EINVAL, "%s: more than %u files", path, FILES_MAX);
	for (int i = 0; i < n; i++) {
		_cleanup_(buf_done) struct buf full = BUF_INIT;

		buf_printf(&full, "%s/%s", path, names[i]->d_name);
		if (r == 0)
			r = full.err < 0 ? no_memory(l) : load_file(l, buf_cstr(&full));
		free(names[i]);
	}
	free(names);
	return r;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int cmp_orgs(const void *a, const void *b)
{
	return str_cmp(((const struct access_org *)a)->name, ((const struct access_org *)b)->name);
}

static int cmp_org_ids(const void *a, const void *b)
{
	const struct access_org *x = *(const struct access_org *const *)a;
	const struct access_org *y = *(const struct access_org *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int cmp_tokens(const void *a, const void *b)
{
	return memcmp(((const struct access_token *)a)->sha256,
	              ((const struct access_token *)b)->sha256, ACCESS_HASH_BYTES);
}

static int cmp_keys(const void *a, const void *b)
{
	return str_cmp(((const struct access_key *)a)->kid, ((const struct access_key *)b)->kid);
}

static int cmp_texts(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorts @v into the arena; two that are equal are a mistake of the files together. */
static const void *settle(struct load *l, void *v, size_t n, size_t bytes,
                          int (*cmp)(const void *, const void *), size_t *ret_twice)
{
	*ret_twice = SIZE_MAX;
	if (n > 1)
		qsort(v, n, bytes, cmp);
	for (size_t i = 1; i < n; i++) {
		if (cmp((char *)v + (i - 1) * bytes, (char *)v + i * bytes) == 0)
			*ret_twice = i;
	}
	return n > 0 ? arena_memdup(&l->a->arena, v, n * bytes)
	             : arena_zalloc(&l->a->arena, 1, bytes);
}

static int settle_orgs(struct load *l)
{
	struct access *a = l->a;
	const struct access_org **by_id;
	size_t twice;

	a->orgs = settle(l, l->orgs, a->n_orgs, sizeof(*l->orgs), cmp_orgs, &twice);
	by_id = ARENA_ARRAY(&a->arena, const struct access_org *, a->n_orgs + 1);
	if (!a->orgs || !by_id)
		return no_memory(l);
	if (twice != SIZE_MAX)
		return err_set(l->e, -EINVAL, "organisation %.*s is described twice",
		               STR_FMT(a->orgs[twice].name));
	for (size_t i = 0; i < a->n_orgs; i++) {
		if (a->orgs[i].id != 0)
			by_id[a->n_orgs_by_id++] = &a->orgs[i];
	}
	qsort(by_id, a->n_orgs_by_id, sizeof(*by_id), cmp_org_ids);
	for (size_t i = 1; i < a->n_orgs_by_id; i++) {
		if (by_id[i]->id == by_id[i - 1]->id)
			return err_set(l->e, -EINVAL,
			               "organisations %.*s and %.*s have the same id",
			               STR_FMT(by_id[i - 1]->name), STR_FMT(by_id[i]->name));
	}
	a->orgs_by_id = by_id;
	return 0;
}

static int settle_all(struct load *l)
{
	struct access *a = l->a;
	size_t twice_token, twice_key, ignored;
	int r = settle_orgs(l);

	if (r < 0)
		return r;
	a->tokens = settle(l, l->tokens, a->n_tokens, sizeof(*l->tokens), cmp_tokens, &twice_token);
	a->keys = settle(l, l->keys, a->n_keys, sizeof(*l->keys), cmp_keys, &twice_key);
	a->revoked = settle(l, l->revoked, a->n_revoked, sizeof(*l->revoked), cmp_texts, &ignored);
	a->trusted = arena_memdup(&a->arena, l->trusted, a->n_trusted * sizeof(*l->trusted));
	if (arena_error(&a->arena) < 0)
		return no_memory(l);
	if (twice_token != SIZE_MAX)
		return err_set(l->e, -EINVAL, "tokens %.*s and %.*s have the same sha256",
		               STR_FMT(a->tokens[twice_token - 1].name),
		               STR_FMT(a->tokens[twice_token].name));
	if (twice_key != SIZE_MAX)
		return err_set(l->e, -EINVAL, "two keys have the same kid");
	return 0;
}

int access_load(const char *path, struct access **ret, struct err *e)
{
	_cleanup_(load_done) struct load l = { .e = e };
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(e, neg_errno(), "%s: %s", path, strerror(errno));
	l.a = mem_zalloc(1, sizeof(*l.a));
	if (!l.a)
		return no_memory(&l);
	atomic_init(&l.a->refs, 1);
	l.a->secrets.max = SECRETS_MAX;
	r = buf_reserve(&l.a->secrets, SECRETS_MAX) ? verdicts_new(&l.a->verdicts) : -ENOMEM;
	if (r == 0)
		r = S_ISDIR(st.st_mode) ? load_folder(&l, path) : load_file(&l, path);
	if (r == 0)
		r = settle_all(&l);
	if (r < 0) {
		access_unref(l.a);
		return r == -ENOMEM ? no_memory(&l) : r;
	}
	*ret = l.a;
	return 0;
}
