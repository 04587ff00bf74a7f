/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Settings of scraping, a part of struct host_conf; the rows are in host_conf.def. */

#include <stdbool.h>
#include <stdint.h>

struct scrape_conf {
	bool enabled, loopback;
	int64_t interval_ms, timeout_ms, past_ms, future_ms, postgres_port;
	int64_t samples_max, labels_max, label_name_max, label_value_max;
	uint64_t body_bytes_max, memory_bytes_max;
};
