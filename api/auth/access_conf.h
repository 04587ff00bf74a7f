/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* One access file as it is written; access.c makes the snapshot of all of them. */

#include "userspace/base/conf.h"

struct access_conf_app {
	char *name; /* the key */
	int64_t id;
};

struct access_conf_org {
	char *name; /* the key */
	int64_t id;
	int64_t retention_ms, series_max, new_series_per_hour_max, samples_per_s_max; /* 0 = none */
	struct conf_structs apps; /* struct access_conf_app */
};

struct access_conf_token {
	char *name; /* the key */
	char *sha256, *organisation, *expires;
	struct conf_strings scopes, apps;
};

struct access_conf_key {
	char *kid, *location, *key_file;
};

struct access_conf_third_party {
	char *location, *key_file;
};

struct access_conf {
	struct conf_structs organisations; /* struct access_conf_org */
	struct conf_structs tokens;        /* struct access_conf_token */
	struct conf_structs keys;          /* struct access_conf_key */
	struct conf_structs third_parties; /* struct access_conf_third_party */
	struct conf_strings revoked;
};

extern const struct conf_schema access_conf_schema;
