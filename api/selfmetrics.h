/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* What the region says about itself at /metrics, besides the plain counters beside their code. */

struct region;

/* Registers the collectors of a region; stop before the store is closed. */
void selfmetrics_start(struct region *region);
void selfmetrics_stop(struct region *region);

/* The same of its server, while there is one. */
void selfmetrics_start_http(struct region *region);
void selfmetrics_stop_http(struct region *region);
