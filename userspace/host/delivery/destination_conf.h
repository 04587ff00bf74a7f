/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Settings of one destination: rows in destination_conf.def, checked as a whole. */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/conf.h"
#include "userspace/base/err.h"
#include "userspace/host/delivery/relabel.h"

#define DESTINATION_NAME_MAX 63

enum destination_protocol {
	PROTOCOL_AUTO,
	PROTOCOL_2_0,
	PROTOCOL_1_0
};

enum destination_compression {
	COMPRESSION_AUTO,
	COMPRESSION_ZSTD,
	COMPRESSION_SNAPPY
};

struct destination_conf {
	char *name; /* key of the mapping */
	char *url;
	int protocol, compression; /* enum destination_protocol, …_compression */
	char *token_file, *token_type;
	struct conf_strings headers;
	char *ca_file, *cert_file, *key_file;
	bool tls_verify, live_first;
	int64_t timeout_ms, backoff_min_ms, backoff_max_ms, live_ms, queue_age_ms_max;
	int64_t shards, request_samples_max, catch_up_samples;
	uint64_t queue_bytes_max;
	struct conf_structs relabel; /* of struct relabel_conf */
};

extern const struct conf_schema destination_conf_schema;

/* What no single row can check, of @c alone. -EINVAL with @e, which begins with the key. */
int destination_conf_check(const struct destination_conf *c, struct err *e);
