/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The settings of periscope-region; region_conf.def says what each means. */

#include "userspace/base/conf.h"

enum tls_clients {
	TLS_CLIENTS_HOSTS,
	TLS_CLIENTS_ALL
};

struct region_conf {
	char *listen, *data, *access;
	struct conf_strings organisations, promql_organisations;
	char *tls_cert, *tls_key, *tls_client_ca;
	int tls_clients; /* enum tls_clients */
	int64_t retention_ms;
	int wal_sync; /* enum store_wal_sync */
	int64_t wal_sync_interval_ms;
	uint64_t memory_max_bytes, disk_reserve_bytes;
	int log_level; /* enum log_level */

	int64_t http_threads, connections_max, connections_per_address_max;
	uint64_t header_bytes_max, body_bytes_max, bodies_bytes_max;
	int64_t idle_timeout_ms, body_timeout_ms, stop_timeout_ms;
	struct conf_strings cors_origins;

	int64_t query_threads;
	int64_t query_workers, query_waiting_max, query_wait_timeout_ms;
	int64_t query_org_max, query_org_waiting_max, query_org_open_max;
	int64_t query_timeout_ms, query_slow_ms, latency_offset_ms;
	uint64_t query_text_bytes_max;
	int64_t query_points_max, query_subquery_points_max, query_series_max, query_samples_max;
	uint64_t query_memory_bytes_max;
	int64_t labels_timeout_ms, labels_series_max, labels_answer_max;

	int64_t ingest_workers, ingest_waiting_max;

	char *hosts_org, *hosts_destination, *hosts_up;
	int64_t hosts_late_ms, hosts_window_ms;
};

extern const struct conf_schema region_conf_schema;

#define REGION_DEV_ORG "dev"
#define REGION_ANY_ORG "*" /* in the list of organisations: any slug is served */

/* What the rows cannot say: valid and distinct organisations. -EINVAL with @e. */
int region_conf_check(const struct region_conf *conf, struct err *e);

/* The organisations become "dev" alone. 0 or -ENOMEM. */
int region_conf_dev(struct region_conf *conf);

/*
 * Where all settings come from: a file, or with a NULL @path the defaults and the organisation
 * "dev"; then single ones of the command line, which go before the file's now and at every reload.
 */
#define REGION_OVERRIDES_MAX 8
struct region_conf_source {
	const char *path;
	struct region_override {
		const char *key, *text; /* NULL @text: not given */
		const char *option;     /* its name there, when it is not @key */
	} overrides[REGION_OVERRIDES_MAX];
};

/*
 * Whether the options can be taken, whatever the file says: what is wrong with them is a usage
 * error. -EINVAL with @e, -ENOMEM.
 */
int region_conf_check_options(const struct region_conf_source *from, struct err *e);

/* All of that, checked. 0, or a negative errno with @e; conf_done() is due in both cases. */
int region_conf_read(const struct region_conf_source *from, struct region_conf *ret, struct err *e);

/* Copies the reloadable settings; they are all plain numbers. */
void region_conf_apply(struct region_conf *live, const struct region_conf *fresh);
