/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/accounts.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"
#include "userspace/host/proxy/owners.h"

const char *const proxy_colour_names[PROXY_COLOURS] = { "blue", "green" };

static const char *const fail_names[PROXY_FAILS] = {
	[PROXY_FAIL_OTHER] = "other",       [PROXY_FAIL_REFUSED] = "refused",
	[PROXY_FAIL_TIMEOUT] = "timeout",   [PROXY_FAIL_UNREACHABLE] = "unreachable",
	[PROXY_FAIL_GIVEN_UP] = "given_up",
};

/* One for each colour, together; a colour that was never seen has no series. */
struct accounts {
	struct account of[PROXY_COLOURS];
	bool used[PROXY_COLOURS];
};

struct account *account_of(struct owner *w, enum proxy_colour colour)
{
	if (!w->accounts)
		w->accounts = mem_zalloc(1, sizeof(*w->accounts));
	if (!w->accounts)
		return NULL;
	w->accounts->used[colour] = true;
	return &w->accounts->of[colour];
}

void accounts_free(struct accounts *a)
{
	free(a);
}

void accounts_reset_gauges(struct owner *w)
{
	for (unsigned c = 0; w->accounts && c < PROXY_COLOURS; c++)
		w->accounts->of[c].concurrency = 0;
}

struct emit {
	struct batch *out;
	const char *colour;
	int r; /* sticky */
};

static void put(struct emit *e, enum series_id id, uint64_t n)
{
	const char *extra[] = { e->colour };

	if (e->r == 0)
		e->r = batch_add(e->out, id, extra, (double)n);
}

static void put_histogram(struct emit *e, enum series_id bucket_id, const struct histogram *h)
{
	const char *extra[] = { e->colour };

	if (e->r == 0)
		e->r = batch_add_histogram(e->out, bucket_id, extra, h, &latency_bounds);
}

static void put_edge(struct emit *e, const struct account *a)
{
	put(e, FLY_EDGE_TCP_CONNECTS_COUNT, a->connects);
	put(e, FLY_EDGE_TCP_DISCONNECTS_COUNT, a->disconnects);
	put(e, FLY_EDGE_DATA_IN, a->in_bytes);
	put(e, FLY_EDGE_DATA_OUT, a->out_bytes);
}

static void put_fails(struct emit *e, const struct account *a)
{
	for (unsigned i = 0; i < PROXY_FAILS && e->r == 0; i++) {
		const char *extra[] = { e->colour, fail_names[i] };

		e->r = batch_add(e->out, FLY_APP_CONNECT_FAILURES_COUNT, extra,
		                 (double)a->connect_fails[i]);
	}
}

static void put_app(struct emit *e, const struct account *a)
{
	put(e, FLY_APP_TCP_CONNECTS_COUNT, a->connects);
	put(e, FLY_APP_TCP_DISCONNECTS_COUNT, a->disconnects);
	put(e, FLY_APP_CONCURRENCY, a->concurrency);
	put_histogram(e, FLY_APP_CONNECT_TIME_SECONDS_BUCKET, &a->connect);
	put_fails(e, a);
}

int accounts_emit(const struct owner *w, struct batch *out)
{
	struct emit e = { .out = out };

	for (unsigned c = 0; w->accounts && c < PROXY_COLOURS; c++) {
		if (!w->accounts->used[c])
			continue;
		e.colour = proxy_colour_names[c];
		(w->instance[0] ? put_app : put_edge)(&e, &w->accounts->of[c]);
	}
	return e.r;
}
