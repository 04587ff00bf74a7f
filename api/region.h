/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One region: a store, its settings and the server in front of it.
 *
 *	region_open     the store is opened and replayed
 *	region_listen   requests are served from here on
 *	region_run      signals, until one asks to stop
 *	region_close    running requests end, the store is synced and closed
 *
 * Settings  A request takes a copy at its start (region_settings), so SIGHUP changes nothing under
 *           its feet. The strings in the copy are not reloadable and live as long as the region.
 * Threads   open, listen, run and close: the main thread. The rest: any.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/auth/access.h"
#include "api/http/http.h"
#include "api/region_conf.h"
#include "store/store.h"

struct metadata;
struct name_stats;
struct pool;
struct queries;
struct tls;

struct region {
	struct store *store;
	struct metadata *metadata;
	struct queries *queries;
	struct name_stats *name_stats;
	struct pool *pool; /* helps queries */
	struct tls *tls;   /* NULL = plain HTTP */
	struct http *http;
	pthread_mutex_t lock;             /* of conf and access */
	struct region_conf conf;          /* owned */
	struct region_conf_source source; /* SIGHUP reads it again, if it has a file */
	struct access *access;            /* NULL = there are no tokens */
	int64_t start_ms;                 /* Unix time */
	_Atomic bool stopping;
};

/*
 * Takes over what @conf holds, also on failure; the strings of @source are borrowed. Errors of
 * store_open(), with @e.
 */
int region_open(struct region **ret, struct region_conf *conf,
                const struct region_conf_source *source, struct err *e);

/* @ret_address gets "host:port" (LISTEN_TEXT_MAX bytes). */
int region_listen(struct region *region, char *ret_address, struct err *e);
void region_run(struct region *region);
void region_close(struct region *region); /* NULL is fine */

void region_settings(struct region *region, struct region_conf *ret);

/* The access files as they are now, to be put back; NULL when there are none: no tokens. */
struct access *region_access(struct region *region);

/* Is @org one of the settings ("*": any slug is), of the access files, or the hosts' own? */
bool region_serves(const struct region *region, const struct access *access, struct str org);

/* Whose is the root path, without tokens? Empty when the settings name nobody. */
struct str region_first_org(const struct region *region);

/* Whose is a series that a host writes without naming anybody, its own for example? */
struct str region_hosts_org(const struct region *region, const struct access *access);

/* The signals that region_run() waits for; block them before any thread is started. */
void region_block_signals(void);
