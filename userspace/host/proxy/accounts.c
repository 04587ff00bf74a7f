/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"
#include "userspace/host/label_text.h"
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

static void account_done(struct account *a)
{
	free(a->http.statuses);
	free(a->checks.statuses);
	free(a->servernames);
}

void accounts_free(struct accounts *a)
{
	for (unsigned c = 0; a && c < PROXY_COLOURS; c++)
		account_done(&a->of[c]);
	free(a);
}

/* ---- counting ------------------------------------------------------------------------------- */

static struct status_count *status_of(struct http_account *h, uint16_t status)
{
	size_t at = h->n_statuses;

	while (at > 0 && h->statuses[at - 1].status > status)
		at--;
	if (at > 0 && h->statuses[at - 1].status == status)
		return &h->statuses[at - 1];
	if (MEM_GROW(h->statuses, h->statuses_cap, h->n_statuses + 1) < 0)
		return NULL;
	memmove(&h->statuses[at + 1], &h->statuses[at],
	        (h->n_statuses - at) * sizeof(h->statuses[0]));
	h->n_statuses++;
	h->statuses[at] = (struct status_count){ .status = status };
	return &h->statuses[at];
}

void account_answers(struct http_account *h, uint16_t status, uint64_t n, uint64_t sum_ns,
                     const uint64_t *buckets)
{
	struct status_count *s = status_of(h, status);

	if (!s)
		return;
	s->n += n;
	if (!buckets)
		return;
	h->time.sum_ns += sum_ns;
	for (uint32_t i = 0; i <= latency_bounds.n; i++)
		h->time.buckets[i] += buckets[i];
}

static bool add_servername(struct account *a, const char *name)
{
	if (MEM_GROW(a->servernames, a->servernames_cap, a->n_servernames + 1) < 0)
		return false;
	struct servername *s = &a->servernames[a->n_servernames++];

	*s = (struct servername){ .n_errors = 0 };
	label_text_copy(s->text, sizeof(s->text), str_from(name));
	return true;
}

uint16_t account_servername(struct account *a, const char *name)
{
	char text[SERVERNAME_CAP];

	if (a->n_servernames == 0 && !add_servername(a, "unknown"))
		return 0;
	label_text_copy(text, sizeof(text), str_from(name));
	for (size_t i = 0; i < a->n_servernames; i++) {
		if (strcmp(a->servernames[i].text, text) == 0)
			return (uint16_t)(i + 1);
	}
	if (a->n_servernames == SERVERNAMES_MAX || !add_servername(a, name))
		return 1;
	return (uint16_t)a->n_servernames;
}

void account_handshake_failed(struct account *a, uint16_t servername)
{
	a->errors++;
	if (servername == 0)
		servername = account_servername(a, "unknown");
	if (servername > 0 && servername <= a->n_servernames)
		a->servernames[servername - 1].n_errors++;
}

static void note_limit(struct limit_count *l, uint64_t concurrency, uint32_t limit)
{
	bool is_reached = limit > 0 && concurrency >= limit;

	l->n += is_reached && !l->is_reached;
	l->is_reached = is_reached;
}

void accounts_note_limits(struct owner *w)
{
	for (unsigned c = 0; w->accounts && c < PROXY_COLOURS; c++) {
		struct account *a = &w->accounts->of[c];

		note_limit(&a->soft_limit, a->concurrency, w->soft_limit);
		note_limit(&a->hard_limit, a->concurrency, w->hard_limit);
	}
}

/* ---- exporting ------------------------------------------------------------------------------ */

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

static void put_http(struct emit *e, enum series_id count_id, enum series_id bucket_id,
                     const struct http_account *h, const char *source)
{
	const char *of_histogram[] = { e->colour, source };
	char status[16];

	for (size_t i = 0; i < h->n_statuses && e->r == 0; i++) {
		const char *extra[] = { e->colour, source, status };

		(void)snprintf(status, sizeof(status), "%u", h->statuses[i].status);
		if (h->statuses[i].status == 0)
			extra[2] = "unknown";
		e->r = batch_add(e->out, count_id, extra, (double)h->statuses[i].n);
	}
	/* Checks have series once there is one; the others from the beginning. */
	if (e->r == 0 && (source[0] == '\0' || h->n_statuses > 0))
		e->r = batch_add_histogram(e->out, bucket_id, of_histogram, &h->time,
		                           &latency_bounds);
}

static void put_handshake_errors(struct emit *e, const struct account *a)
{
	const char *none[] = { e->colour, "unknown" };

	if (a->n_servernames == 0 && e->r == 0)
		e->r = batch_add(e->out, FLY_EDGE_TLS_HANDSHAKE_ERRORS, none, 0);
	for (size_t i = 0; i < a->n_servernames && e->r == 0; i++) {
		const char *extra[] = { e->colour, a->servernames[i].text };

		e->r = batch_add(e->out, FLY_EDGE_TLS_HANDSHAKE_ERRORS, extra,
		                 (double)a->servernames[i].n_errors);
	}
}

static void put_edge(struct emit *e, const struct account *a)
{
	put_http(e, FLY_EDGE_HTTP_RESPONSES_COUNT, FLY_EDGE_HTTP_RESPONSE_TIME_SECONDS_BUCKET,
	         &a->http, "");
	put_http(e, FLY_EDGE_HTTP_RESPONSES_COUNT, FLY_EDGE_HTTP_RESPONSE_TIME_SECONDS_BUCKET,
	         &a->checks, "check");
	put(e, FLY_EDGE_TCP_CONNECTS_COUNT, a->connects);
	put(e, FLY_EDGE_TCP_DISCONNECTS_COUNT, a->disconnects);
	put(e, FLY_EDGE_DATA_IN, a->in_bytes);
	put(e, FLY_EDGE_DATA_OUT, a->out_bytes);
	put_histogram(e, FLY_EDGE_TLS_HANDSHAKE_TIME_SECONDS_BUCKET, &a->handshake);
	put_handshake_errors(e, a);
	put(e, FLY_EDGE_ERROR_COUNT, a->errors);
}

static void put_fails(struct emit *e, const struct account *a)
{
	for (unsigned i = 0; i < PROXY_FAILS && e->r == 0; i++) {
		const char *extra[] = { e->colour, fail_names[i] };

		e->r = batch_add(e->out, FLY_APP_CONNECT_FAILURES_COUNT, extra,
		                 (double)a->connect_fails[i]);
	}
}

static void put_app(struct emit *e, const struct owner *w, const struct account *a)
{
	put_http(e, FLY_APP_HTTP_RESPONSES_COUNT, FLY_APP_HTTP_RESPONSE_TIME_SECONDS_BUCKET,
	         &a->http, "");
	put_http(e, FLY_APP_HTTP_RESPONSES_COUNT, FLY_APP_HTTP_RESPONSE_TIME_SECONDS_BUCKET,
	         &a->checks, "check");
	put(e, FLY_APP_TCP_CONNECTS_COUNT, a->connects);
	put(e, FLY_APP_TCP_DISCONNECTS_COUNT, a->disconnects);
	put(e, FLY_APP_CONCURRENCY, a->concurrency);
	if (w->soft_limit > 0)
		put(e, FLY_APP_SOFT_LIMIT_REACHED_COUNT, a->soft_limit.n);
	if (w->hard_limit > 0)
		put(e, FLY_APP_HARD_LIMIT_REACHED_COUNT, a->hard_limit.n);
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
		if (w->instance[0])
			put_app(&e, w, &w->accounts->of[c]);
		else
			put_edge(&e, &w->accounts->of[c]);
	}
	return e.r;
}
