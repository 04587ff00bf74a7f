/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel side tells, applied: a table of handlers by the kind of record.
 *
 * A record is believed as far as its own connection goes and no further: whatever order records
 * come in, and whatever was lost between them, a counter only grows, and a connection is counted
 * once at its beginning and once at its end.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/http2.h"
#include "userspace/host/proxy/proxy_int.h"

#define PENDING_NS_MAX 10000000000ull /* then a connection that asks for nothing is nobody's */

#define OWN(name, labels, help) METRIC_COUNTER("periscope_host_proxy_" name, labels, help)

static struct metric records =
	OWN("records_total", "", "Records taken from the ring buffer of the proxies' programs.");
static struct metric adopted = OWN("connections_adopted_total", "",
                                   "Connections found open that are older than the programs.");
static struct metric found = OWN("connections_found_total", "",
                                 "Connections whose beginning was lost and that a look found.");
static struct metric inferred =
	OWN("closes_inferred_total", "",
            "Connections that were gone without a record of their end; their last bytes are lost.");
static struct metric no_room = OWN("connections_untracked_total", "",
                                   "Connections that found no room in the table of connections.");
static struct metric orphans =
	OWN("records_orphaned_total", "",
            "Requests and handshakes of connections that are not known; they are not counted.");
METRIC_REGISTER(orphans);
METRIC_REGISTER(records);
METRIC_REGISTER(adopted);
METRIC_REGISTER(found);
METRIC_REGISTER(inferred);
METRIC_REGISTER(no_room);

static struct account *account_of_conn(struct source *src, const struct pconn *c)
{
	return account_of(owners_get(src->owners, c->owner), c->colour);
}

static enum proxy_colour colour_at(const struct source *src, uint32_t proxy, uint64_t at_ns)
{
	return proxy < src->n_proxies ? place_colour_at(&src->proxies[proxy].place, at_ns)
	                              : PROXY_BLUE;
}

static void use_colour(struct source *src, uint32_t proxy)
{
	if (proxy < src->n_proxies)
		src->proxies[proxy].place.colour_used = true;
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static void count_bytes(struct source *src, struct pconn *c, uint64_t in, uint64_t out)
{
	struct account *a;

	if (c->is_pending) {
		c->in_pending += in;
		c->out_pending += out;
		return;
	}
	a = account_of_conn(src, c);
	if (!a)
		return;
	a->in_bytes += in;
	a->out_bytes += out;
}

void events_settle(struct source *src, struct pconn *c, uint32_t owner)
{
	struct account *a;

	if (!c->is_pending)
		return;
	c->is_pending = false;
	c->owner = owner;
	owners_ref(src->owners, owner);
	a = account_of_conn(src, c);
	if (a && !c->is_adopted)
		a->connects++;
	count_bytes(src, c, c->in_pending, c->out_pending);
}

/* At the edge an address may serve many apps: then what the client asks for decides. */
static struct pconn *begin(struct source *src, uint64_t cookie, uint32_t proxy, uint8_t role,
                           const struct proxy_pair *pair, uint64_t at_ns, bool is_adopted)
{
	struct pconn *c = conns_add(src->conns, cookie);
	uint32_t owner;

	if (!c) {
		metric_add(&no_room, 1);
		return NULL;
	}
	c->role = role;
	c->proxy = (uint16_t)proxy;
	c->begun_ns = at_ns;
	c->colour = (uint8_t)colour_at(src, proxy, at_ns);
	c->pass = src->pass;
	c->is_adopted = is_adopted;
	c->is_pending = true;
	owner = attribution_of(src, role, pair);
	if (owner != OWNER_NOBODY || role == PROXY_APP)
		events_settle(src, c, owner);
	use_colour(src, proxy);
	return c;
}

static void count_connect_time(struct source *src, const struct pconn *c, uint64_t connect_ns,
                               uint8_t flags)
{
	struct account *a = account_of_conn(src, c);

	if (a && c->role == PROXY_APP && !(flags & PROXY_UNTIMED))
		histogram_observe(&a->connect, &latency_bounds, connect_ns);
}

/* What an entry has of its own, and its end. */
static void finish(struct source *src, struct pconn *c, uint64_t at_ns, bool by_peer)
{
	struct account *a;

	events_settle(src, c, OWNER_NOBODY);
	requests_end(src, c, at_ns, by_peer);
	hellos_forget(src->hellos, c->cookie);
	a = account_of_conn(src, c);
	if (a)
		a->disconnects++;
	owners_release(src->owners, c->owner);
}

static void take_open(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c;

	if (conns_find(src->conns, rec->cookie))
		return; /* a look was quicker than its record */
	c = begin(src, rec->cookie, rec->proxy, rec->role, &rec->open.pair, rec->at_ns, false);
	if (c)
		count_connect_time(src, c, rec->open.connect_ns, rec->flags);
}

static void take_close(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);
	struct pconn nobodys = { .role = rec->role,
		                 .colour = (uint8_t)colour_at(src, rec->proxy, rec->at_ns) };

	count_bytes(src, c ? c : &nobodys, rec->close.in_bytes, rec->close.out_bytes);
	if (!c) {
		events_count_orphan(rec->close.n);
		return;
	}
	requests_take_last(src, c, rec);
	finish(src, c, rec->at_ns, rec->flags & PROXY_PEER_END);
	conns_remove(src->conns, c);
}

static void take_connect_fail(struct source *src, const struct proxy_rec *rec)
{
	uint32_t owner = attribution_of(src, rec->role, &rec->open.pair);
	struct account *a =
		account_of(owners_get(src->owners, owner), colour_at(src, rec->proxy, rec->at_ns));

	use_colour(src, rec->proxy);
	if (a && rec->why < PROXY_FAILS)
		a->connect_fails[rec->why]++;
}

static void (*const handlers[PROXY_WHATS])(struct source *src, const struct proxy_rec *rec) = {
	[PROXY_OPEN] = take_open,
	[PROXY_CLOSE] = take_close,
	[PROXY_CONNECT_FAIL] = take_connect_fail,
	[PROXY_HANDSHAKE] = handshakes_take,
	[PROXY_REQUEST] = requests_take,
	[PROXY_FRAME] = requests_take_frame,
};

static void (*const bytes_handlers[PROXY_WHATS])(struct source *src,
                                                 const struct proxy_bytes_rec *rec) = {
	[PROXY_HELLO] = handshakes_take_hello,
	[PROXY_HOST] = requests_take_host,
	[PROXY_FIELDS] = requests_take_fields,
};

void events_take(void *source, const struct proxy_rec *rec, size_t bytes)
{
	const struct proxy_bytes_rec *with_bytes = (const void *)rec;
	const size_t head = offsetof(struct proxy_bytes_rec, bytes);

	metric_add(&records, 1);
	if (rec->what >= PROXY_WHATS)
		return;
	if (rec->what == PROXY_TALLY && bytes >= sizeof(struct proxy_tally_rec))
		requests_take_tally_rec(source, (const void *)rec);
	else if (handlers[rec->what])
		handlers[rec->what](source, rec);
	else if (bytes_handlers[rec->what] && bytes >= head && with_bytes->len <= bytes - head)
		bytes_handlers[rec->what](source, with_bytes);
}

void events_count_orphan(int64_t n)
{
	metric_add(&orphans, n);
}

/* ---- looking at all of them ----------------------------------------------------------------- */

static int forget_concurrency(void *ctx, struct owner *w, uint32_t number)
{
	(void)ctx;
	(void)number;
	accounts_reset_gauges(w);
	return 0;
}

void events_begin_pass(struct source *src)
{
	src->pass++;
	(void)owners_each(src->owners, forget_concurrency, NULL);
}

static int note_limits(void *ctx, struct owner *w, uint32_t number)
{
	(void)ctx;
	(void)number;
	accounts_note_limits(w);
	return 0;
}

void events_end_pass(struct source *src)
{
	(void)owners_each(src->owners, note_limits, NULL);
}

static struct pconn *find_or_adopt(struct source *src, const struct proxy_conn_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);

	if (c)
		return c;
	c = begin(src, rec->cookie, rec->proxy, rec->role, &rec->pair, rec->at_ns,
	          rec->flags & PROXY_ADOPTED);
	if (!c)
		return NULL;
	metric_add(c->is_adopted ? &adopted : &found, 1);
	count_connect_time(src, c, rec->connect_ns, rec->flags);
	return c;
}

/* Requests, where they can be told; else the connection itself while both sides may send. */
static uint64_t in_flight(const struct pconn *c, const struct proxy_conn_rec *rec)
{
	if (rec->is_http == 1)
		return rec->n_in_flight;
	if (rec->is_http == 2)
		return c->http2 ? http2_n_in_flight(c->http2) : 0;
	return !(rec->flags & PROXY_ENDING);
}

void events_conn(void *source, const struct proxy_conn_rec *rec)
{
	struct source *src = source;
	struct pconn *c = find_or_adopt(src, rec);
	struct account *a;

	if (!c)
		return;
	c->pass = src->pass;
	count_bytes(src, c, rec->in_bytes, rec->out_bytes);
	if (rec->is_http == 1)
		requests_take_tally(src, c, &rec->tally);
	if (c->is_pending && rec->at_ns - c->begun_ns > PENDING_NS_MAX)
		events_settle(src, c, OWNER_NOBODY);
	a = account_of_conn(src, c);
	if (a && c->role == PROXY_APP)
		a->concurrency += in_flight(c, rec);
}

struct sweep {
	struct source *src;
	uint64_t pass_began_ns;
};

static bool is_gone(void *ctx, struct pconn *c)
{
	const struct sweep *s = ctx;

	if (c->pass == s->src->pass || c->begun_ns >= s->pass_began_ns)
		return false;
	metric_add(&inferred, 1);
	finish(s->src, c, s->pass_began_ns, false);
	return true;
}

static bool forget(void *ctx, struct pconn *c)
{
	(void)ctx;
	http2_free(c->http2);
	c->http2 = NULL;
	free(c->tally);
	c->tally = NULL;
	return false;
}

void events_forget(struct source *src)
{
	if (src->conns)
		conns_sweep(src->conns, forget, NULL);
}

void events_sweep(struct source *src, uint64_t pass_began_ns)
{
	struct sweep s = { src, pass_began_ns };

	conns_sweep(src->conns, is_gone, &s);
}
