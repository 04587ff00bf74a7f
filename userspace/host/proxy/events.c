/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel side tells, applied: a table of handlers by the kind of record.
 *
 * A record is believed as far as its own connection goes and no further: whatever order records
 * come in, and whatever was lost between them, a counter only grows, and a connection is counted
 * once at its beginning and once at its end.
 */
#include <string.h>

#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/proxy_int.h"

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

static struct pconn *begin(struct source *src, uint64_t cookie, uint32_t proxy, uint8_t role,
                           const struct proxy_pair *pair, uint64_t at_ns)
{
	struct pconn *c = conns_add(src->conns, cookie);

	if (!c) {
		metric_add(&no_room, 1);
		return NULL;
	}
	c->role = role;
	c->proxy = (uint16_t)proxy;
	c->begun_ns = at_ns;
	c->colour = (uint8_t)colour_at(src, proxy, at_ns);
	c->owner = attribution_of(src, role, pair);
	c->pass = src->pass;
	owners_ref(src->owners, c->owner);
	return c;
}

static void count_connect(struct source *src, struct pconn *c, uint64_t connect_ns, bool is_timed)
{
	struct account *a = account_of_conn(src, c);

	c->was_connect = true;
	use_colour(src, c->proxy);
	if (!a)
		return;
	a->connects++;
	if (c->role == PROXY_APP && is_timed)
		histogram_observe(&a->connect, &latency_bounds, connect_ns);
}

static void count_bytes(struct source *src, const struct pconn *c, uint64_t in, uint64_t out)
{
	struct account *a = account_of_conn(src, c);

	if (!a)
		return;
	a->in_bytes += in;
	a->out_bytes += out;
}

static void end(struct source *src, struct pconn *c)
{
	struct account *a = account_of_conn(src, c);

	if (a)
		a->disconnects++;
	owners_release(src->owners, c->owner);
	conns_remove(src->conns, c);
}

static void take_open(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c;

	if (conns_find(src->conns, rec->cookie))
		return; /* a look was quicker than its record */
	c = begin(src, rec->cookie, rec->proxy, rec->role, &rec->open.pair, rec->at_ns);
	if (!c)
		return;
	count_connect(src, c, rec->open.connect_ns, !(rec->flags & PROXY_UNTIMED));
}

static void take_close(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);
	const struct pconn nobodys = { .role = rec->role,
		                       .colour = (uint8_t)colour_at(src, rec->proxy, rec->at_ns) };

	count_bytes(src, c ? c : &nobodys, rec->close.in_bytes, rec->close.out_bytes);
	if (c)
		end(src, c);
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

static void (*const handlers[])(struct source *src, const struct proxy_rec *rec) = {
	[PROXY_OPEN] = take_open,
	[PROXY_CLOSE] = take_close,
	[PROXY_CONNECT_FAIL] = take_connect_fail,
};

void events_take(void *source, const struct proxy_rec *rec)
{
	metric_add(&records, 1);
	if (rec->what < ARRAY_SIZE(handlers))
		handlers[rec->what](source, rec);
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

static struct pconn *find_or_adopt(struct source *src, const struct proxy_conn_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);

	if (c)
		return c;
	c = begin(src, rec->cookie, rec->proxy, rec->role, &rec->pair, rec->at_ns);
	if (!c)
		return NULL;
	if (rec->flags & PROXY_ADOPTED) {
		metric_add(&adopted, 1);
		return c;
	}
	metric_add(&found, 1);
	count_connect(src, c, rec->connect_ns, !(rec->flags & PROXY_UNTIMED));
	return c;
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
	a = account_of_conn(src, c);
	if (a && c->role == PROXY_APP && !(rec->flags & PROXY_ENDING))
		a->concurrency++;
}

struct sweep {
	struct source *src;
	uint64_t pass_began_ns;
};

/* Called twice for some entries; the second time it says the same. */
static bool is_gone(void *ctx, struct pconn *c)
{
	const struct sweep *s = ctx;
	struct account *a;

	if (c->pass == s->src->pass || c->begun_ns >= s->pass_began_ns)
		return false;
	metric_add(&inferred, 1);
	a = account_of_conn(s->src, c);
	if (a)
		a->disconnects++;
	owners_release(s->src->owners, c->owner);
	return true;
}

void events_sweep(struct source *src, uint64_t pass_began_ns)
{
	struct sweep s = { src, pass_began_ns };

	conns_sweep(src->conns, is_gone, &s);
}
