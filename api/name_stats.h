/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How often metrics are asked for by name, for each organisation, since the start of the process:
 * what nobody asks for need not be collected.
 *
 * Limit    NAME_STATS_MAX names of one organisation; further ones are not counted.
 * Threads  Any.
 */

#include <stdint.h>

#include "api/counts.h"

#define NAME_STATS_MAX 20000u

struct name_stats;

struct name_use {
	uint64_t n;      /* requests */
	uint64_t last_s; /* Unix time of the last one; 0 = never */
};

int name_stats_new(struct name_stats **ret); /* -ENOMEM */
void name_stats_free(struct name_stats *s);  /* NULL is fine */
void name_stats_add(struct name_stats *s, struct str org, struct str name);
void name_stats_get(struct name_stats *s, struct str org, struct str name, struct name_use *ret);
uint64_t name_stats_since_s(const struct name_stats *s);
