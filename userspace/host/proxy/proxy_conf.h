/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Settings of the proxies and of what they serve: two lists in the daemon's own file, one row of
 * a .def file for each key. Reference: docs/man/periscope-host.yml.5.
 */

#include "userspace/base/conf.h"

#define PROXIES_MAX 64

enum proxy_id_rule {
	PROXY_ID_AUTO,
	PROXY_ID_BLUE,
	PROXY_ID_GREEN
};

enum edge_http {
	EDGE_HTTP_SEEN,
	EDGE_HTTP_DERIVED
};

struct proxy_conf { /* one entry of proxies: */
	char *name;
	char *cgroup, *unit, *exe; /* one of the three says where it runs */
	struct conf_strings listeners;
	int proxy_id; /* enum proxy_id_rule */
	struct conf_strings check_paths, check_user_agents;
	int edge_http; /* enum edge_http */
	bool checks_only;
};

struct route_conf { /* one entry of routes: an app that has no VM here, or not only */
	char *org, *app;
	struct conf_strings hostnames, listeners;
};

extern const struct conf_schema proxy_conf_schema, route_conf_schema;

/* What no single row can check. -EINVAL with @e. */
int proxy_conf_check(const struct conf_structs *proxies, const struct conf_structs *routes,
                     struct err *e);
