/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS: the name that a client asks for says whose connection it is; then the handshake's end is
 * counted. A label is made only of names that we know from elsewhere: anybody can ask for anything.
 */
#include <errno.h>

#include "userspace/base/metrics.h"
#include "userspace/host/proxy/proxy_int.h"

static struct metric nameless =
	METRIC_COUNTER("periscope_host_proxy_hellos_total", "name=\"none\"",
                       "ClientHellos by what came of the name that they ask for.");
static struct metric known =
	METRIC_COUNTER("periscope_host_proxy_hellos_total", "name=\"known\"",
                       "ClientHellos by what came of the name that they ask for.");
static struct metric stranger =
	METRIC_COUNTER("periscope_host_proxy_hellos_total", "name=\"unknown\"",
                       "ClientHellos by what came of the name that they ask for.");
static struct metric bad =
	METRIC_COUNTER("periscope_host_proxy_hellos_total", "name=\"bad\"",
                       "ClientHellos by what came of the name that they ask for.");
METRIC_REGISTER(nameless);
METRIC_REGISTER(known);
METRIC_REGISTER(stranger);
METRIC_REGISTER(bad);

static struct account *account_of_conn(struct source *src, const struct pconn *c)
{
	return account_of(owners_get(src->owners, c->owner), c->colour);
}

static void take_name(struct source *src, struct pconn *c, const char *name)
{
	uint32_t owner = names_by_host(src->names, str_from(name));
	struct account *a;

	metric_add(owner != OWNER_NOBODY ? &known : &stranger, 1);
	events_settle(src, c, owner);
	a = account_of_conn(src, c);
	if (a && owner != OWNER_NOBODY)
		c->servername = account_servername(a, name);
}

void handshakes_take_hello(struct source *src, const struct proxy_bytes_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);
	char name[SNI_NAME_CAP];
	int r;

	if (!c || c->servername != 0)
		return;
	r = hellos_take(src->hellos, rec->cookie, rec->at, rec->bytes, rec->len, name);
	if (r == -EAGAIN)
		return;
	if (r == 0)
		take_name(src, c, name);
	else
		metric_add(r == -ENOENT ? &nameless : &bad, 1);
}

void handshakes_take(struct source *src, const struct proxy_rec *rec)
{
	struct pconn *c = conns_find(src->conns, rec->cookie);
	struct account *a;

	hellos_forget(src->hellos, rec->cookie);
	if (!c) {
		events_count_orphan(1);
		return;
	}
	events_settle(src, c, OWNER_NOBODY);
	a = account_of_conn(src, c);
	if (!a)
		return;
	if (rec->flags & (PROXY_HS_FAILED | PROXY_HS_LATE))
		account_handshake_failed(a, c->servername);
	else
		histogram_observe(&a->handshake, &latency_bounds,
		                  rec->at_ns - rec->handshake.begun_ns);
}
