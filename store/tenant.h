/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One organisation in memory: its labels, its series by label set, and their order.
 *
 * Numbers  Within the tenant a series has an id, dense and in the order of their coming. Where it
 *          is, says its number among all series of the store (store/head.h).
 * Order    tenant_order() makes the list of ids in key order; what came since the last time is
 *          sorted and merged in, so a stable set of series costs nothing.
 * Threads  the lock guards all: readers share. Series are made, indexed and put in order under it
 *          alone. A tenant lives as long as the head.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "store/limits.h"
#include "store/series.h"
#include "store/texts.h"

struct tenant {
	char org[64];
	uint32_t number; /* of all tenants */
	uint32_t chain;  /* of the log, in which it is registered; under the log's lock */
	pthread_rwlock_t lock;
	struct texts texts;
	struct series **series; /* by id */
	uint32_t n_series;
	size_t series_cap;
	uint32_t *table; /* of ids by label set; id + 1 */
	size_t table_cap;
	uint32_t n_indexed;      /* series that are in the lists of their labels */
	uint32_t *order, *place; /* ids in key order; where an id is there */
	uint32_t n_ordered;
	_Atomic uint32_t n_scans; /* whose series and labels must stay where they are */
	struct limits limits;
};

void tenant_init(struct tenant *t, struct str org, uint32_t number);
void tenant_done(struct tenant *t, struct times_table *times);

static inline struct str tenant_org(const struct tenant *t)
{
	return str_from(t->org);
}

/* The series with these labels (canonical), or NULL. Under the lock. */
struct series *tenant_find(const struct tenant *t, const struct label *labels, uint32_t n);

/*
 * Adds a series that is not there, in @s, whose memory is the caller's. Under the lock alone.
 * -ENOMEM. *@bytes is raised by the memory that it took.
 */
int tenant_add(struct tenant *t, const struct label *labels, uint32_t n, struct series *s,
               int64_t *bytes);

/* As tenant_add(), with labels that are in the tenant's texts. */
int tenant_add_known(struct tenant *t, const uint32_t *labels, uint32_t n, struct series *s,
                     int64_t *bytes);
struct series *tenant_find_known(const struct tenant *t, const uint32_t *labels, uint32_t n);

/* Takes the lock and returns with it, shared: lists of series, and with @order their order, are
 * complete. -ENOMEM: without the lock. */
int tenant_lock_indexed(struct tenant *t, bool order);
static inline void tenant_unlock(struct tenant *t)
{
	(void)pthread_rwlock_unlock(&t->lock);
}

/* Fills @ret (room for LABELS_MAX), metric name first. Labels never move. */
uint32_t tenant_labels(const struct tenant *t, const struct series *s, struct label *ret);

/*
 * tenant_rebuild() - anew without the series that are idle since @epoch, which are then the
 * caller's: *@ret_gone (to be freed) has them. Nothing may hold on to series or labels. Under the
 * lock alone. -ENOMEM: all is as it was.
 */
int tenant_rebuild(struct tenant *t, uint32_t epoch, struct series ***ret_gone, size_t *ret_n,
                   int64_t *bytes);
