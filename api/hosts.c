/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/hosts.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

static const char *const faults[HOST_FAULTS] = {
	[HOST_FINE] = "",
	[HOST_SILENT] = "silent",
	[HOST_BEHIND] = "behind",
};

const char *host_fault_name(enum host_fault f)
{
	return faults[f];
}

void hosts_done(struct hosts *h)
{
	counts_done(&h->index);
	free(h->v);
}

static struct str label(const struct store_series *s, const char *name)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (str_eqc(s->labels[i].name, name))
			return s->labels[i].value;
	}
	return STR_NULL;
}

/* The host's place, NULL in *@ret when it has none and @add is false. */
static int host_at(struct hosts *h, const struct store_series *s, bool add, struct host_state **ret)
{
	struct str name = label(s, "host");
	struct count *place = counts_find(&h->index, name);

	*ret = place ? &h->v[place->n - 1] : NULL;
	if (place || !add)
		return 0;
	if (h->n == HOSTS_MAX)
		return -ENOSPC;
	if (MEM_GROW(h->v, h->cap, h->n + 1) < 0)
		return -ENOMEM;
	place = counts_at(&h->index, name);
	if (!place)
		return -ENOMEM;
	*ret = &h->v[h->n++];
	**ret = (struct host_state){ .host = arena_str(h->arena, name),
		                     .region = arena_str(h->arena, label(s, "region")),
		                     .last_ms = INT64_MIN };
	place->n = h->n;
	return arena_error(h->arena);
}

int hosts_see_up(struct hosts *h, const struct store_series *s)
{
	struct host_state *host;
	int r = 0;

	if (is_stale_mark(s->values[s->n - 1]))
		return 0;
	r = host_at(h, s, true, &host);
	if (r == 0) {
		host->n_instances++;
		host->last_ms = MAX(host->last_ms, s->ts_ms[s->n - 1]);
	}
	return r;
}

/* ---- the hosts' own series ------------------------------------------------------------------ */

static void see_collections(struct host_state *host, const struct store_series *s)
{
	host->last_ms = MAX(host->last_ms, s->ts_ms[s->n - 1]);
}

/* A restart of the daemon is no loss, and what it lost since then begins at 0. */
static void see_dropped(struct host_state *host, const struct store_series *s)
{
	for (uint32_t i = 1; i < s->n; i++) {
		double from = s->values[i - 1], to = s->values[i];

		if (!is_stale_mark(from) && !is_stale_mark(to))
			host->lost += to >= from ? to - from : to;
	}
}

/* Of several destinations, the one that is furthest behind. */
static void see_oldest(struct host_state *host, const struct store_series *s)
{
	host->queue_lag_s = MAX(host->queue_lag_s, s->values[s->n - 1]);
	host->has_queue = true;
}

static void see_samples(struct host_state *host, const struct store_series *s)
{
	host->queue_samples = MAX(host->queue_samples, s->values[s->n - 1]);
}

static const struct {
	const char *name;
	void (*see)(struct host_state *host, const struct store_series *s);
	bool adds;  /* a host that was not there; these come first, by their name */
	bool ended; /* it says something all the same */
} kinds[] = {
	{ "periscope_host_collections_total", see_collections, true, false },
	{ "periscope_host_queue_oldest_seconds", see_oldest, false, false },
	{ "periscope_host_queue_samples", see_samples, false, false },
	{ "periscope_host_samples_dropped_total", see_dropped, false, true },
};

int hosts_see_own(struct hosts *h, const struct store_series *s)
{
	struct str name = label(s, LABEL_NAME), destination = label(s, "destination");
	const bool ended = is_stale_mark(s->values[s->n - 1]);
	struct host_state *host;

	if (destination.len > 0 && h->destination.len > 0 && !str_eq(destination, h->destination))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eqc(name, kinds[i].name) || (ended && !kinds[i].ended))
			continue;
		int r = host_at(h, s, h->may_add && kinds[i].adds, &host);

		if (r < 0)
			return r;
		if (host)
			kinds[i].see(host, s);
	}
	return 0;
}

/* ---- judgement ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct host_state *)a)->host, ((const struct host_state *)b)->host);
}

void hosts_sort(struct hosts *h)
{
	if (h->n > 0)
		qsort(h->v, h->n, sizeof(h->v[0]), by_name);
}

enum host_fault host_judge(const struct host_state *s, int64_t now_ms, int64_t late_ms)
{
	if (now_ms - s->last_ms > late_ms)
		return HOST_SILENT;
	if (s->has_queue && s->queue_lag_s * 1000 > (double)late_ms)
		return HOST_BEHIND;
	return HOST_FINE;
}
