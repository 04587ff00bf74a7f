/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/http_client.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

struct http_client {
	CURL *curl;
	char why[CURL_ERROR_SIZE];
};

int http_client_global_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

int http_client_new(struct http_client **ret)
{
	struct http_client *c = mem_zalloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->curl = curl_easy_init();
	if (!c->curl) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c);
}

void http_reply_done(struct http_reply *r)
{
	buf_done(&r->body);
}

/* Takes what fits and drops the rest: a long error page must not fail the exchange. */
static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct buf *body = ctx;
	size_t bytes = size * n;

	buf_put(body, data, MIN(bytes, HTTP_REPLY_BYTES_MAX - body->len));
	return body->err < 0 ? 0 : bytes;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	const _Atomic int *stop = ctx;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	return stop && atomic_load(stop) != 0;
}

static void curl_slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* A line feed, as at the end of a token's file, would begin a header of its own. */
static bool is_header(const char *text)
{
	bool colon = false;

	for (; *text; text++) {
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
		colon |= *text == ':';
	}
	return colon;
}

static bool is_url(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static int check(const struct http_request *req, struct err *e)
{
	if (!is_url(req->url))
		return err_set(e, -EINVAL, "the URL must begin with http:// or https://");
	for (const char *const *h = req->headers; h && *h; h++) {
		if (!is_header(*h)) /* not quoted: it may hold a token */
			return err_set(e, -EINVAL, "a header is not \"Name: value\" on one line");
	}
	return 0;
}

static int make_headers(const char *const *headers, struct curl_slist **ret)
{
	/* libcurl would wait a second for "100 Continue" with large bodies. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	for (; list && headers && *headers; headers++) {
		struct curl_slist *longer = curl_slist_append(list, *headers);

		if (!longer) {
			curl_slist_free_all(list);
			return -ENOMEM;
		}
		list = longer;
	}
	*ret = list;
	return list ? 0 : -ENOMEM;
}

static void set_options(struct http_client *c, const struct http_request *req,
                        struct curl_slist *headers, const _Atomic int *stop, struct buf *body)
{
	CURL *h = c->curl;

	curl_easy_reset(h); /* options only; the connection stays */
	curl_easy_setopt(h, CURLOPT_URL, req->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_POST, 1L);
	curl_easy_setopt(h, CURLOPT_POSTFIELDS, req->body.p ? req->body.p : "");
	curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, stop);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
}

static const char *file_or_null(const char *path)
{
	return path && path[0] != '\0' ? path : NULL;
}

/* NULL restores libcurl's default: what the system trusts. */
static void set_tls(CURL *h, const struct http_tls *tls)
{
	if (!tls)
		return;
	if (file_or_null(tls->ca_file))
		curl_easy_setopt(h, CURLOPT_CAINFO, tls->ca_file);
	curl_easy_setopt(h, CURLOPT_SSLCERT, file_or_null(tls->cert_file));
	curl_easy_setopt(h, CURLOPT_SSLKEY, file_or_null(tls->key_file));
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, tls->no_verify ? 0L : 1L);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, tls->no_verify ? 0L : 2L);
}

static void copy_wanted(CURL *h, const char *name, char *dst, size_t cap)
{
	struct curl_header *found = NULL;

	dst[0] = '\0';
	if (name && curl_easy_header(h, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK)
		(void)snprintf(dst, cap, "%s", found->value);
}

static int errno_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_URL_MALFORMAT:
		return -EINVAL;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Zero means "not said" to libcurl; a server that says 0 gets our own back-off, which is kinder. */
static int64_t retry_after_s(CURL *h)
{
	curl_off_t s = 0;

	if (curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &s) != CURLE_OK || s <= 0)
		return -1;
	return (int64_t)s;
}

int http_post(struct http_client *c, const struct http_request *req, const _Atomic int *stop,
              struct http_reply *ret, struct err *e)
{
	_cleanup_(curl_slist_freep) struct curl_slist *headers = NULL;
	_cleanup_(buf_done) struct buf body = BUF_INIT;
	long status = 0;
	int r = check(req, e);

	if (r == 0)
		r = make_headers(req->headers, &headers);
	if (r < 0)
		return r;
	c->why[0] = '\0';
	set_options(c, req, headers, stop, &body);
	set_tls(c->curl, req->tls);
	CURLcode code = curl_easy_perform(c->curl);

	if (code != CURLE_OK)
		return err_set(e, errno_of(code), "%s",
		               c->why[0] ? c->why : curl_easy_strerror(code));
	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	*ret = (struct http_reply){ (int)status, retry_after_s(c->curl), body, "" };
	copy_wanted(c->curl, req->wanted, ret->wanted, sizeof(ret->wanted));
	body = BUF_INIT; /* handed over */
	return 0;
}
