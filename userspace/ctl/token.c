/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/ctl/token.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/wire/msgpack.h"

#define KEY_BYTES_MIN 16u
#define KEY_FILE_MAX  ((size_t)4096)

/* --- reading ---------------------------------------------------------------------------------- */

static struct str skip_scheme(struct str s)
{
	static const char *const schemes[] = { "Authorization:", "FlyV1", "Bearer" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes);) {
		size_t n = strlen(schemes[i]);

		s = str_trim(s);
		if (s.len > n && strncasecmp(s.p, schemes[i], n) == 0 &&
		    (s.p[n] == ' ' || schemes[i][n - 1] == ':')) {
			s = str_skip(s, n);
			i = 0;
		} else {
			i++;
		}
	}
	return str_trim(s);
}

int token_read(struct arena *arena, struct str *ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read_fd(STDIN_FILENO, &text, MACAROON_HEADER_BYTES_MAX);

	if (r == -EFBIG)
		return err_set(e, -EINVAL, "standard input has more than %u bytes",
		               MACAROON_HEADER_BYTES_MAX);
	if (r < 0)
		return err_set(e, r, "standard input: %s", strerror(-r));
	*ret = arena_str(arena, skip_scheme(buf_str(&text)));
	sodium_memzero(text.p, text.cap);
	if (ret->len == 0)
		return err_set(e, -EINVAL, "expected a token on standard input");
	return arena_error(arena);
}

bool token_next(struct str *header, struct str *ret)
{
	do {
		if (header->len == 0)
			return false;
		(void)str_cut(*header, ',', ret, header);
		*ret = str_trim(*ret);
	} while (ret->len == 0);
	return true;
}

int token_parse(struct str text, struct arena *arena, struct macaroon *ret, struct err *e)
{
	struct str bytes;
	int r = macaroon_text_decode(text, arena, &bytes);

	if (r == -EBADMSG)
		return err_set(e, r, "that is no FlyV1 token: fm2_ and base64 were expected");
	return r < 0 ? r : macaroon_parse(bytes, arena, ret, e);
}

int token_read_key(const char *path, struct arena *arena, struct str *ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	uint8_t key[KEY_FILE_MAX];
	size_t n = 0;
	int r = file_read(path, &text, KEY_FILE_MAX);

	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	struct str s = str_trim(buf_str(&text));

	r = sodium_base642bin(key, sizeof(key), s.p, s.len, NULL, &n, NULL,
	                      sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(text.p, text.cap);
	if (r != 0 || n < KEY_BYTES_MIN)
		return err_set(e, -EINVAL, "%s holds no base64 of at least %u bytes", path,
		               KEY_BYTES_MIN);
	*ret = arena_str(arena, (struct str){ (char *)key, n });
	sodium_memzero(key, sizeof(key));
	return arena_error(arena);
}

/* --- restrictions ----------------------------------------------------------------------------- */

static int read_mask(const char *option, const char *text, uint16_t *ret, struct err *e)
{
	if (caveat_mask_parse(str_from(text), ret) < 0)
		return err_set(e, -EINVAL, "--%s: '%s' is not made of r, w, c, d, C, or *", option,
		               text);
	return 0;
}

static int read_id(const char *option, const char *text, uint64_t *ret, struct err *e)
{
	if (num_parse_u64(str_from(text), ret) < 0)
		return err_set(e, -EINVAL, "--%s: '%s' is not a number", option, text);
	return 0;
}

static int add(struct macaroon *m, uint64_t type, struct buf *body, struct arena *arena,
               struct err *e)
{
	int r = body->err < 0 ? body->err : macaroon_attenuate(m, type, buf_str(body), arena, e);

	buf_done(body);
	return r;
}

static int add_org(struct macaroon *m, const char *text, uint16_t mask, struct arena *arena,
                   struct err *e)
{
	struct buf body = BUF_INIT;
	uint64_t id;
	int r = read_id("organisation-id", text, &id, e);

	if (r < 0)
		return r;
	msgpack_put_array(&body, 2);
	msgpack_put_uint(&body, id);
	msgpack_put_uint(&body, mask);
	return add(m, CAVEAT_ORGANIZATION, &body, arena, e);
}

static int cmp_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* A map with its keys in order, each once: the only form that is accepted. */
static int add_apps(struct macaroon *m, const struct opt_strings *texts, uint16_t mask,
                    struct arena *arena, struct err *e)
{
	struct buf body = BUF_INIT;
	uint64_t ids[OPT_STRINGS_MAX];
	uint32_t n = 0;

	for (size_t i = 0; i < texts->n; i++) {
		int r = read_id("app-id", texts->v[i], &ids[i], e);

		if (r < 0)
			return r;
	}
	qsort(ids, texts->n, sizeof(ids[0]), cmp_id);
	for (size_t i = 0; i < texts->n; i++) {
		if (n == 0 || ids[n - 1] != ids[i])
			ids[n++] = ids[i];
	}
	msgpack_put_array(&body, 1);
	msgpack_put_map(&body, n);
	for (uint32_t i = 0; i < n; i++) {
		msgpack_put_uint(&body, ids[i]);
		msgpack_put_uint(&body, mask);
	}
	return add(m, CAVEAT_APPS, &body, arena, e);
}

static int add_window(struct macaroon *m, const char *text, struct arena *arena, struct err *e)
{
	struct buf body = BUF_INIT;
	int64_t ms, now_s = clock_unix_ms() / 1000;

	if (num_parse_duration_ms(str_from(text), &ms) < 0 || ms < 1000)
		return err_set(e, -EINVAL, "--expires: '%s' is not a time like 30d", text);
	msgpack_put_array(&body, 2);
	msgpack_put_int(&body, now_s);
	msgpack_put_int(&body, now_s + ms / 1000);
	return add(m, CAVEAT_VALIDITY_WINDOW, &body, arena, e);
}

static int add_action(struct macaroon *m, const char *text, struct arena *arena, struct err *e)
{
	struct buf body = BUF_INIT;
	uint16_t mask;
	int r = read_mask("action", text, &mask, e);

	if (r < 0)
		return r;
	msgpack_put_uint(&body, mask);
	return add(m, CAVEAT_ACTION, &body, arena, e);
}

int token_restrict(struct macaroon *m, const struct token_limits *limits, struct arena *arena,
                   struct err *e)
{
	uint16_t mask = CAVEAT_READ;
	int r = limits->mask ? read_mask("mask", limits->mask, &mask, e) : 0;

	if (r == 0 && limits->mask && !limits->org_id && limits->app_ids.n == 0)
		r = err_set(e, -EINVAL, "--mask goes with --organisation-id or --app-id");
	if (r == 0 && limits->org_id)
		r = add_org(m, limits->org_id, mask, arena, e);
	if (r == 0 && limits->app_ids.n > 0)
		r = add_apps(m, &limits->app_ids, mask, arena, e);
	if (r == 0 && limits->action)
		r = add_action(m, limits->action, arena, e);
	if (r == 0 && limits->expires)
		r = add_window(m, limits->expires, arena, e);
	return r;
}
