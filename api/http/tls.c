/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/http/tls.h"

#include <assert.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

#define CHAIN_MAX      16u
#define FILE_BYTES_MAX ((size_t)1 << 20)

struct certificate {
	struct certificate *older;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

struct tls {
	struct tls_conf conf;
	struct buf client_ca;
	_Atomic(struct certificate *) now;
};

static _Atomic(struct tls *) the_one;

/* --- reading ---------------------------------------------------------------------------------- */

static void certificate_free(struct certificate *c)
{
	for (unsigned i = 0; i < c->n; i++)
		gnutls_pcert_deinit(&c->chain[i]);
	if (c->key)
		gnutls_privkey_deinit(c->key);
	free(c);
}

static int read_pem(const char *path, struct buf *b, struct err *e)
{
	int r = file_read(path, b, FILE_BYTES_MAX);

	return r < 0 ? err_set(e, r, "%.150s: %s", path, strerror(-r)) : 0;
}

static gnutls_datum_t datum(struct buf *b)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)buf_cstr(b), (unsigned)b->len };
}

static int read_chain(struct certificate *c, const char *path, struct err *e)
{
	_cleanup_(buf_done) struct buf pem = BUF_INIT;
	unsigned n = CHAIN_MAX;
	int r = read_pem(path, &pem, e);

	if (r < 0)
		return r;
	const gnutls_datum_t text = datum(&pem);

	r = gnutls_pcert_list_import_x509_raw(c->chain, &n, &text, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return err_set(e, -EINVAL, "%.150s is no certificate: %s", path,
		               gnutls_strerror(r));
	c->n = n;
	return 0;
}

static int read_key(struct certificate *c, const char *path, struct err *e)
{
	_cleanup_(buf_done) struct buf pem = BUF_INIT;
	int r = read_pem(path, &pem, e);

	if (r < 0)
		return r;
	const gnutls_datum_t text = datum(&pem);

	r = gnutls_privkey_init(&c->key);
	if (r == 0)
		r = gnutls_privkey_import_x509_raw(c->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	explicit_bzero(pem.p, pem.len);
	return r < 0 ? err_set(e, -EINVAL, "%.150s is no private key: %s", path, gnutls_strerror(r))
	             : 0;
}

/* A key of another certificate would only be noticed when nobody can connect. */
static int check_pair(const struct certificate *c, const struct tls_conf *conf, struct err *e)
{
	unsigned char of_key[64], of_cert[64];
	size_t n_key = sizeof(of_key), n_cert = sizeof(of_cert);
	gnutls_pubkey_t public = NULL;
	int r = gnutls_pubkey_init(&public);

	if (r == 0)
		r = gnutls_pubkey_import_privkey(public, c->key, 0, 0);
	if (r == 0)
		r = gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, of_key, &n_key);
	if (r == 0)
		r = gnutls_pubkey_get_key_id(c->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_cert,
		                             &n_cert);
	if (public)
		gnutls_pubkey_deinit(public);
	if (r < 0 || n_key != n_cert || memcmp(of_key, of_cert, n_key) != 0)
		return err_set(e, -EINVAL, "%.100s is not the key of %.100s", conf->key,
		               conf->cert);
	return 0;
}

/* --- replacing -------------------------------------------------------------------------------- */

int tls_reload(struct tls *t, struct err *e)
{
	struct certificate *c = mem_zalloc(1, sizeof(*c));
	int r = c ? read_chain(c, t->conf.cert, e) : err_set(e, -ENOMEM, "out of memory");

	if (r == 0)
		r = read_key(c, t->conf.key, e);
	if (r == 0)
		r = check_pair(c, &t->conf, e);
	if (r < 0) {
		if (c)
			certificate_free(c);
		return r;
	}
	c->older = atomic_load(&t->now);
	atomic_store(&t->now, c);
	return 0;
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **ret_chain, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                    unsigned *ret_n_ocsp, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
	struct tls *t = atomic_load(&the_one);
	struct certificate *c = t ? atomic_load(&t->now) : NULL;

	(void)session;
	(void)info;
	if (!c)
		return -1;
	*ret_chain = c->chain;
	*ret_n = c->n;
	*ret_ocsp = NULL;
	*ret_n_ocsp = 0;
	*ret_key = c->key;
	*ret_flags = 0; /* they stay ours */
	return 0;
}

void *tls_retrieve_function(void)
{
	gnutls_certificate_retrieve_function3 *f = retrieve;
	void *p;

	static_assert(sizeof(p) == sizeof(f), "a function's address is one of data");
	memcpy(&p, &f, sizeof(p));
	return p;
}

/* --- the whole -------------------------------------------------------------------------------- */

int tls_open(struct tls **ret, const struct tls_conf *conf, struct err *e)
{
	struct tls *t = mem_zalloc(1, sizeof(*t)), *none = NULL;
	int r = 0;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	t->conf = *conf;
	if (conf->client_ca[0] != '\0')
		r = read_pem(conf->client_ca, &t->client_ca, e);
	if (r == 0)
		r = tls_reload(t, e);
	if (r == 0 && !atomic_compare_exchange_strong(&the_one, &none, t))
		r = err_set(e, -EBUSY, "this process serves TLS already");
	if (r < 0) {
		tls_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	struct tls *mine = t;

	if (!t)
		return;
	(void)atomic_compare_exchange_strong(&the_one, &mine, NULL);
	for (struct certificate *c = atomic_load(&t->now); c;) {
		struct certificate *older = c->older;

		certificate_free(c);
		c = older;
	}
	buf_done(&t->client_ca);
	free(t);
}

const char *tls_client_ca(const struct tls *t)
{
	return t->client_ca.len > 0 ? buf_cstr((struct buf *)(uintptr_t)&t->client_ca) : NULL;
}

bool tls_client_is_certified(void *session)
{
	unsigned status = 0;

	return gnutls_certificate_verify_peers2(session, &status) == 0 && status == 0;
}
