/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

#define TOKEN_BYTES_MAX ((size_t)16 << 10)
#define AUTHORIZATION   "Authorization: "

void settings_forget(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_done(b);
}

static void forget_text(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void settings_free(struct settings *s)
{
	forget_text(s->authorization);
	relabel_free(s->rules);
	arena_done(&s->texts);
	(void)pthread_mutex_destroy(&s->token_lock);
	free(s);
}

struct settings *settings_ref(struct settings *s)
{
	(void)atomic_fetch_add(&s->n_holders, 1);
	return s;
}

void settings_unref(struct settings *s)
{
	if (s && atomic_fetch_sub(&s->n_holders, 1) == 1)
		settings_free(s);
}

DEFINE_CLEANUP(struct settings *, settings_unref);

/* ---- token ---------------------------------------------------------------------------------- */

static bool same_file(const struct token_state *a, const struct token_state *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->bytes == b->bytes &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int look_at_token(const struct settings *s, struct token_state *ret, struct err *e)
{
	struct stat st;

	if (stat(s->token_file, &st) < 0)
		return err_set(e, -EINVAL, "token_file: %.160s: %s", s->token_file,
		               strerror(errno));
	*ret = (struct token_state){ st.st_dev, st.st_ino, st.st_size, st.st_ctim };
	return 0;
}

static int read_token(const struct settings *s, char **ret_header, struct err *e)
{
	_cleanup_(settings_forget) struct buf text = BUF_INIT, header = BUF_INIT;
	int r = file_read(s->token_file, &text, TOKEN_BYTES_MAX);

	if (r < 0)
		return err_set(e, -EINVAL, "token_file: %.160s: %s", s->token_file, strerror(-r));
	struct str token = str_trim(buf_str(&text));

	if (token.len == 0 || memchr(token.p, '\n', token.len) || memchr(token.p, '\0', token.len))
		return err_set(e, -EINVAL, "token_file: %.160s: expected one line, the token",
		               s->token_file);
	if (!buf_reserve(&header, sizeof(AUTHORIZATION) + strlen(s->token_type) + token.len + 2))
		return -ENOMEM; /* at once: growing would leave copies behind */
	buf_printf(&header, AUTHORIZATION "%s ", s->token_type);
	buf_put_str(&header, token);
	*ret_header = mem_strndup(header.p, header.len);
	return *ret_header ? 0 : -ENOMEM;
}

/* Under the lock. */
static int refresh_token(struct settings *s, struct err *e)
{
	struct token_state now;
	char *header = NULL;
	int r = look_at_token(s, &now, e);

	if (r < 0 || (s->authorization && same_file(&now, &s->token_seen)))
		return r;
	r = read_token(s, &header, e);
	if (r < 0)
		return r;
	forget_text(s->authorization);
	s->authorization = header;
	s->token_seen = now;
	return 0;
}

int settings_authorization(struct settings *s, struct buf *out, struct err *e)
{
	int r = 0;

	buf_clear(out);
	if (s->token_file[0] == '\0')
		return 0;
	(void)pthread_mutex_lock(&s->token_lock);
	r = refresh_token(s, e);
	if (s->authorization)
		buf_puts(out, s->authorization);
	(void)pthread_mutex_unlock(&s->token_lock);
	return r < 0 ? r : out->err;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static const char *copy(struct settings *s, const char *text)
{
	return arena_strndup(&s->texts, str_from(text));
}

static int copy_texts(struct settings *s, const struct destination_conf *c)
{
	s->url = copy(s, c->url);
	s->token_file = copy(s, c->token_file);
	s->token_type = copy(s, c->token_type);
	s->tls.ca_file = copy(s, c->ca_file);
	s->tls.cert_file = copy(s, c->cert_file);
	s->tls.key_file = copy(s, c->key_file);
	s->tls.no_verify = !c->tls_verify;
	s->n_headers = c->headers.n;
	s->headers = ARENA_ARRAY(&s->texts, const char *, c->headers.n + 1);
	for (size_t i = 0; s->headers && i < c->headers.n; i++)
		s->headers[i] = copy(s, c->headers.v[i]);
	return arena_error(&s->texts);
}

static void copy_numbers(struct settings *s, const struct destination_conf *c)
{
	s->protocol = (enum destination_protocol)c->protocol;
	s->compression = (enum destination_compression)c->compression;
	s->timeout_ms = c->timeout_ms;
	s->backoff_min_ms = c->backoff_min_ms;
	s->backoff_max_ms = c->backoff_max_ms;
	s->live_ms = c->live_first ? c->live_ms : INT64_MAX;
	s->catch_up_samples = c->catch_up_samples;
	s->shards = (uint32_t)c->shards;
	s->request_samples_max = (uint32_t)c->request_samples_max;
}

int settings_new(struct settings **ret, const struct destination_conf *conf, struct err *e)
{
	_cleanup_(settings_unrefp) struct settings *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	atomic_store(&s->n_holders, 1);
	(void)pthread_mutex_init(&s->token_lock, NULL);
	copy_numbers(s, conf);
	r = copy_texts(s, conf);
	if (r == 0)
		r = relabel_new(&s->rules, &conf->relabel, e);
	if (r == 0 && s->token_file[0] != '\0')
		r = refresh_token(s, e);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}
