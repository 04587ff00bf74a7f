/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP: records of requests into accounts. An HTTP/1 request is one record; an HTTP/2 connection's
 * frames are put together first (http2.h).
 *
 * Without an answer there is no status, and yet something has to be counted, or requests would
 * vanish. The number is the one that the proxies themselves write into their logs:
 *
 *	                        the client's side ended it     the proxy did
 *	edge, head not whole    400                            408
 *	edge                    499                            444
 *	                        the VM ended it                the proxy did
 *	VM                      502                            499
 */
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/http2.h"
#include "userspace/host/proxy/proxy_int.h"

static struct metric untimed =
	METRIC_COUNTER("periscope_host_proxy_requests_untimed_total", "",
                       "Answers whose request was not seen: counted, but in no histogram.");
static struct metric lost_streams =
	METRIC_COUNTER("periscope_host_proxy_streams_lost_total", "",
                       "HTTP/2 requests that were not followed: too many at once, or no memory.");
static struct metric unread = METRIC_COUNTER(
	"periscope_host_proxy_statuses_unread_total", "",
	"HTTP/2 answers whose status could not be read after a gap or on a "
	"connection that is older than the programs; counted as status=\"unknown\".");
METRIC_REGISTER(untimed);
METRIC_REGISTER(lost_streams);
METRIC_REGISTER(unread);

struct answer {
	uint32_t owner;
	uint16_t status;
	bool is_check, is_whole;
	uint64_t begun_ns, end_ns; /* begun_ns 0: not known */
};

static const struct proxy_conf *conf_of(const struct source *src, const struct pconn *c)
{
	static const struct proxy_conf none;

	return c->proxy < src->n_proxies ? &src->proxies[c->proxy].conf : &none;
}

/* Many answers that are alike, or one. */
struct answers {
	uint32_t owner;
	uint16_t status;
	bool is_check;
	uint64_t n, sum_ns;
	const uint64_t *buckets; /* NULL: their times are not known */
};

static void add_to(struct source *src, const struct pconn *c, uint32_t owner, bool is_check,
                   const struct answers *w)
{
	struct account *a = account_of(owners_get(src->owners, owner), c->colour);
	struct http_account *h = a ? is_check ? &a->checks : &a->http : NULL;

	if (h)
		account_answers(h, w->status, w->n, w->sum_ns, w->buckets);
}

/*
 * Where clients' requests cannot be seen, what the VM answered is what its app answered at the
 * edge; those that can be seen among them would count twice.
 */
static void add_answers(struct source *src, const struct pconn *c, const struct answers *w)
{
	const struct proxy_conf *conf = conf_of(src, c);
	bool is_check = w->is_check || (c->role == PROXY_APP && conf->checks_only);
	bool is_derived = conf->edge_http == EDGE_HTTP_DERIVED;
	uint32_t edge = owners_get(src->owners, w->owner)->edge;

	if (c->role == PROXY_EDGE && is_derived)
		return;
	add_to(src, c, w->owner, is_check, w);
	if (c->role == PROXY_APP && is_derived && !is_check && edge != OWNER_NOBODY)
		add_to(src, c, edge, false, w);
}

static void count(struct source *src, const struct pconn *c, const struct answer *w)
{
	uint64_t buckets[HISTOGRAM_BUCKETS_MAX] = { 0 };
	uint64_t ns = w->begun_ns != 0 && w->end_ns > w->begun_ns ? w->end_ns - w->begun_ns : 0;
	const struct answers one = { .owner = w->owner,
		                     .status = w->status,
		                     .is_check = w->is_check,
		                     .n = 1,
		                     .sum_ns = ns,
		                     .buckets = w->begun_ns != 0 ? buckets : NULL };
	struct account *a;

	buckets[histogram_bucket(&latency_bounds, ns)] = 1;
	if (w->begun_ns == 0)
		metric_add(&untimed, 1);
	add_answers(src, c, &one);
	a = c->role == PROXY_EDGE && !w->is_whole
	            ? account_of(owners_get(src->owners, w->owner), c->colour)
	            : NULL;
	if (a)
		a->errors++;
}

static uint16_t status_without_answer(uint8_t role, bool no_head, bool by_peer)
{
	if (role == PROXY_APP)
		return by_peer ? 502 : 499;
	if (no_head)
		return by_peer ? 400 : 408;
	return by_peer ? 499 : 444;
}

/* ---- HTTP/1 --------------------------------------------------------------------------------- */

/* Whose a request is: by the name that it asks for, else its connection's. */
static uint32_t owner_of(struct source *src, const struct pconn *c, uint32_t host)
{
	struct str name = c->role == PROXY_EDGE ? hosts_get(src->hosts, host) : STR_NULL;
	uint32_t owner = name.len > 0 ? names_by_host(src->names, name) : OWNER_NOBODY;

	return owner != OWNER_NOBODY ? owner : c->owner;
}

void requests_take(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);
	bool has_answer = rec->request.status != 0;
	struct answer w = {
		.status = rec->request.status,
		.is_check = rec->flags & PROXY_RQ_CHECK,
		.is_whole = has_answer && !(rec->flags & PROXY_RQ_CUT),
		.begun_ns = rec->request.begun_ns,
		.end_ns = rec->at_ns,
	};

	if (!c) {
		events_count_orphan(1);
		return;
	}
	if (!has_answer)
		w.status = status_without_answer(c->role, rec->flags & PROXY_RQ_NO_HEAD,
		                                 rec->flags & PROXY_PEER_END);
	events_settle(src, c, OWNER_NOBODY);
	w.owner = owner_of(src, c, rec->request.host);
	count(src, c, &w);
}

static void add(struct source *src, struct pconn *c, const struct proxy_tally *t, uint64_t n,
                uint64_t sum_ns, const uint64_t *buckets)
{
	events_settle(src, c, OWNER_NOBODY);
	const struct answers w = { .owner = owner_of(src, c, t->host),
		                   .status = t->status,
		                   .is_check = t->is_check,
		                   .n = n,
		                   .sum_ns = sum_ns,
		                   .buckets = buckets };

	add_answers(src, c, &w);
}

void requests_take_tally(struct source *src, struct pconn *c, const struct proxy_tally *t)
{
	uint64_t buckets[HISTOGRAM_BUCKETS_MAX] = { 0 };
	struct proxy_tally *before;

	if (!c->tally)
		c->tally = mem_zalloc(1, sizeof(*c->tally));
	before = c->tally;
	if (!before || t->n == 0)
		return; /* without memory it comes with the next look */
	if (before->epoch != t->epoch)
		*before = (struct proxy_tally){ .epoch = t->epoch };
	for (uint32_t i = 0; i <= latency_bounds.n; i++)
		buckets[i] = (uint16_t)(t->buckets[i] - before->buckets[i]);
	if (t->n != before->n)
		add(src, c, t, (uint16_t)(t->n - before->n), t->sum_ns - before->sum_ns, buckets);
	*before = *t;
}

void requests_take_tally_rec(struct source *src, const struct proxy_tally_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);

	if (c)
		requests_take_tally(src, c, &rec->tally);
	else
		events_count_orphan(rec->tally.n);
}

/* The one answer of a connection that ends; a look may have been quicker. */
void requests_take_last(struct source *src, struct pconn *c, const struct proxy_rec *rec)
{
	uint64_t buckets[HISTOGRAM_BUCKETS_MAX] = { 0 };
	const struct proxy_tally t = { .status = rec->close.status,
		                       .host = rec->close.host,
		                       .is_check = rec->close.is_check };

	if (rec->close.n == 0 ||
	    (c->tally && c->tally->epoch == rec->close.epoch && c->tally->n > 0))
		return;
	buckets[histogram_bucket(&latency_bounds, rec->close.sum_ns)] = 1;
	add(src, c, &t, 1, rec->close.sum_ns, buckets);
}

void requests_take_host(struct source *src, const struct proxy_bytes_rec *rec)
{
	const struct str name = { (const char *)rec->bytes, rec->len };
	struct pconn *c = conns_find(src->conns, rec->cookie);

	hosts_put(src->hosts, rec->key, name);
	if (c && c->is_pending)
		events_settle(src, c, names_by_host(src->names, name));
}

/* ---- HTTP/2 --------------------------------------------------------------------------------- */

#define TAG_CHECK (1u << 31) /* owners' numbers are smaller */

struct h2_context {
	struct source *src;
	struct pconn *c;
};

static bool begins_with_any(const char *text, const struct conf_strings *v)
{
	for (size_t i = 0; i < v->n; i++) {
		if (strncmp(text, v->v[i], strlen(v->v[i])) == 0)
			return true;
	}
	return false;
}

static bool is_any_path(const char *path, const struct conf_strings *v)
{
	for (size_t i = 0; i < v->n; i++) {
		size_t len = strlen(v->v[i]);

		if (strncmp(path, v->v[i], len) == 0 && (path[len] == '\0' || path[len] == '?'))
			return true;
	}
	return false;
}

static uint32_t on_asked(void *ctx, const struct http2_asked *asked)
{
	const struct h2_context *x = ctx;
	const struct proxy_conf *conf = &x->src->proxies[x->c->proxy].conf;
	uint32_t owner = OWNER_NOBODY, check = 0;

	if (x->c->role == PROXY_EDGE && asked->authority[0])
		owner = names_by_host(x->src->names, str_from(asked->authority));
	events_settle(x->src, x->c, owner);
	if (is_any_path(asked->path, &conf->check_paths) ||
	    begins_with_any(asked->agent, &conf->check_user_agents))
		check = TAG_CHECK;
	return (owner != OWNER_NOBODY ? owner : x->c->owner) | check;
}

static void on_ended(void *ctx, const struct http2_request *q)
{
	const struct h2_context *x = ctx;
	bool has_answer = q->status != 0 || q->is_unread;
	struct answer w = {
		.owner = q->tag & ~TAG_CHECK,
		.status = q->status,
		.is_check = q->tag & TAG_CHECK,
		.is_whole = has_answer && !q->is_cut,
		.begun_ns = q->begun_ns,
		.end_ns = q->end_ns,
	};

	if (q->status == 0 && q->is_unread)
		metric_add(&unread, 1);
	/* Who opened the connection is the client: at the edge the peer, before a VM the proxy. */
	if (!has_answer)
		w.status = status_without_answer(x->c->role, false,
		                                 q->by_client == (x->c->role == PROXY_EDGE));
	if (q->begun_ns == 0)
		w.owner = x->c->owner;
	count(x->src, x->c, &w);
}

static bool reads_requests(const struct source *src, const struct pconn *c)
{
	const struct proxy_conf *conf = &src->proxies[c->proxy].conf;

	return c->role == PROXY_EDGE || conf->check_paths.n + conf->check_user_agents.n > 0;
}

static struct http2 *http2_of(const struct source *src, struct pconn *c)
{
	if (!c->http2 && c->proxy < src->n_proxies &&
	    http2_new(&c->http2, reads_requests(src, c), !c->is_adopted) < 0)
		metric_add(&lost_streams, 1);
	return c->http2;
}

static void count_lost(struct http2 *h, uint32_t before)
{
	metric_add(&lost_streams, http2_n_lost(h) - before);
}

void requests_take_fields(struct source *src, const struct proxy_bytes_rec *rec)
{
	struct h2_context x = { src, conns_find(src->conns, rec->cookie) };
	const struct http2_listener l = { on_asked, on_ended, &x };
	struct http2 *h = x.c ? http2_of(src, x.c) : NULL;

	if (!h)
		return;
	uint32_t before = http2_n_lost(h);

	http2_fields(h, rec, &l);
	count_lost(h, before);
}

void requests_take_frame(struct source *src, const struct proxy_rec *rec)
{
	struct h2_context x = { src, conns_find(src->conns, rec->cookie) };
	const struct http2_listener l = { on_asked, on_ended, &x };

	if (x.c && x.c->http2)
		http2_frame(x.c->http2, rec, &l);
}

void requests_end(struct source *src, struct pconn *c, uint64_t at_ns, bool by_peer)
{
	struct h2_context x = { src, c };
	const struct http2_listener l = { on_asked, on_ended, &x };

	free(c->tally);
	c->tally = NULL;
	if (!c->http2)
		return;
	http2_end(c->http2, at_ns, by_peer == (c->role == PROXY_EDGE), &l);
	http2_free(c->http2);
	c->http2 = NULL;
}
