/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One endpoint of one VM: where it is, when it is due, and what it showed last.
 *
 * Times    A target is due at the moments that are its offset after a multiple of the interval, by
 *          the wall clock; a sample is stamped with the moment, not with when it came. When the
 *          clock was set back the offset moves by a millisecond, so that no moment comes twice.
 * Threads  The scraper's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/host/scrape/reading.h"
#include "userspace/host/scrape/series_set.h"
#include "userspace/host/vm.h"

#define TARGET_URL_CAP (3 * VM_SCRAPE_PATH_CAP + 128)

struct fetch;
struct scraper;

/* The VM of some targets: its texts, and what its endpoints showed together. */
struct target_vm {
	uint64_t id;
	uint32_t n_targets;
	uint64_t n_samples; /* in the last scrapes of all */
	char org[64], app[VM_LABEL_CAP], region[VM_LABEL_CAP], host[8], instance[VM_LABEL_CAP];
};

struct target {
	struct scraper *scraper;
	struct target_vm *vm;
	char url[TARGET_URL_CAP], port[8], path[VM_SCRAPE_PATH_CAP];
	bool is_bad_address; /* loopback, multicast, none: refused without a fetch */
	int64_t offset_ms, last_ts_ms;
	uint64_t n_last_samples;
	uint32_t n_large;         /* refused in a row for its size */
	uint32_t n_skip;          /* intervals to leave out */
	uint64_t metadata_due_ms; /* monotonic */
	bool has_series;          /* since its last end */
	struct series_set series;
	struct reading_of of;
	struct reading reading; /* while a fetch is under way */
	struct fetch *fetch;    /* NULL: none is */
	size_t begin_bytes;     /* memory of the reading when it began */
	uint64_t started_ns;
};

/* @i: of vm->scrapes. NULL: no memory. The target_vm is counted. */
struct target *target_new(struct target_vm *of, const struct vm *vm, uint32_t i, bool loopback);
void target_free(struct target *t); /* with its target_vm when it was the last */

/* The next moment after @now_ms. */
int64_t target_next_ms(struct target *t, int64_t now_ms, int64_t interval_ms);

/* An address that is the host's own or nobody's. */
bool target_is_bad_address(const struct net_addr *a, bool loopback);
/* @path with all bytes escaped that do not belong into a request line. */
void target_escape_path(const char *path, char *dst, size_t cap);
