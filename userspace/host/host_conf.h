/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Settings of periscope-host: one row of host_conf.def each (see userspace/base/conf.h). Reference:
 * docs/man/periscope-host.yml.5.
 */

#include "userspace/base/conf.h"
#include "userspace/host/label_text.h"
#include "userspace/host/proxy/proxy_conf.h"
#include "userspace/host/scrape/scrape_conf.h"

#define HOST_CONF_PATH             "/etc/periscope/host.yml"
#define HOST_CONF_DESTINATIONS_MAX 16

struct host_conf {
	char *host_id; /* never empty after host_conf_load() */
	char *region, *prefix, *vms_dir, *listen;
	int64_t interval_ms, tick_samples_max;
	char *guest_profiles;
	int log_level; /* enum log_level */
	struct conf_strings sources;
	char *state_dir, *cpu_class;
	struct conf_structs cpu_classes; /* of struct cpu_class */
	bool peaks_enabled, own_series_enabled, hist_run_delay, hist_disk_latency;
	int64_t exits_hold_ms;
	char *exits_console_pattern;
	char *volumes_socket;
	double peaks_cpu_max_ratio;
	bool discovery_enabled;
	char *discovery_org, *discovery_app, *discovery_instance, *discovery_region;
	struct scrape_conf scrape;
	char *queue_dir;
	uint64_t queue_memory_bytes_max;
	bool queue_sync;
	int64_t flush_ms;
	struct conf_structs destinations;    /* remote_write: of struct destination_conf */
	struct conf_structs proxies, routes; /* of struct proxy_conf, struct route_conf */
};

extern const struct conf_schema host_conf_schema;

/*
 * host_conf_load() - @path into @conf, with what no single row can check and host_id filled in.
 *
 * @known are the names that sources: may list, NULL-terminated. Returns 0, or -EINVAL, -ENOENT, …
 * with @e; @conf then needs no host_conf_done().
 */
int host_conf_load(const char *path, const char *const *known, struct host_conf *conf,
                   struct err *e);
/* The same from text; @name stands for the file in messages. */
int host_conf_parse(const char *name, struct str text, const char *const *known,
                    struct host_conf *conf, struct err *e);
void host_conf_done(struct host_conf *conf);

/* Four hex digits that stay the same for one installation of a machine. */
void host_conf_default_id(const char *machine_id_path, char dst[8]);

/* "host:port" of a loopback address apart: "127.0.0.1:9478", "[::1]:9478", "localhost:9478". */
int host_conf_split_listen(const char *listen, char *host, size_t cap, uint16_t *ret_port);

/* Variables of the discovery templates, ended by a NULL name: what a VM may be called by. */
#define HOST_CONF_VARS_MAX 5
void host_conf_vars(struct str name, struct str pid, struct str vmm, struct str host,
                    struct label_var vars[HOST_CONF_VARS_MAX]);
