/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What one tick collected: for each VM one timestamp and its samples, in the catalogue's order of
 * sources. A batch is filled on the collector thread, then handed as a whole to delivery (or
 * printed by --once); it holds no pointer into a VM, so VMs may go away meanwhile.
 *
 * First    Several sources may know one row of one VM (the guest's own view, and what the host
 *          makes of it). The first source that adds a sample of it in a tick has the row; what
 *          later ones add of that row and VM is left out, without an error.
 *
 * Threads  One owner while it is filled; then any number of readers that hold a reference.
 * Limit    samples_max; above it batch_add() returns -ENOSPC and counts what was refused.
 * Cost     batch_add() copies the extra label values into the batch's arena and nothing else.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/sample.h"
#include "userspace/host/catalog.h"

struct vm;
struct batch;
struct histogram;
struct histogram_bounds;
struct rw2_meta;

#define BATCH_EXTRA_LABELS_MAX SERIES_EXTRA_MAX

int batch_new(struct batch **ret, size_t samples_max);
/* Another holder of @b, which from then on must not be added to; returns @b. Threads: any. */
struct batch *batch_ref(struct batch *b);
void batch_free(struct batch *b); /* one holder less; the last frees. NULL is fine */

/* What follows comes from another source than what was before. At most 255 in one batch. */
void batch_begin_source(struct batch *b);

/*
 * Starts the samples of @vm, all stamped @ts_ms: one VM, one timestamp. The labels are copied
 * once. Calling it again for the same VM in one tick continues that VM (sources are collected one
 * after another, the timestamp of the first call stays).
 */
int batch_begin_vm(struct batch *b, const struct vm *vm, int64_t ts_ms);

/*
 * The same for what is no VM: an app at the edge, a volume. Texts are borrowed until the call
 * returns; an empty one is a label that the samples do not have.
 */
struct batch_owner {
	uint64_t id; /* with BATCH_OWNER_ID, which VMs' ids never have; else as of a VM */
	const char *org, *app, *host, *instance, *region;
};

#define BATCH_OWNER_ID (1ull << 63)

int batch_begin(struct batch *b, const struct batch_owner *owner, int64_t ts_ms);

/*
 * Adds a sample to the VM begun last. @value is in the kernel's unit (see the row's scale);
 * @extra are the values of the row's extra labels, in the row's order.
 */
int batch_add(struct batch *b, enum series_id id, const char *const *extra, double value);

/*
 * Has the row without a sample: better none in this tick than one of a later source, whose counter
 * is another one.
 */
void batch_hold(struct batch *b, enum series_id id);

/* Another value for a sample of this VM, of a row without extra labels. Cost: O(samples). */
void batch_change(struct batch *b, enum series_id id, double value);

/*
 * Adds a histogram's series, cumulative as they are exported: @bucket_id is the row's id_BUCKET,
 * @extra are the values of the row's extra labels without le, in the row's order.
 */
int batch_add_histogram(struct batch *b, enum series_id bucket_id, const char *const *extra,
                        const struct histogram *h, const struct histogram_bounds *bounds);

/*
 * Adds a sample of a series that is not in the catalogue (foreign.h) to the VM begun last: labels
 * with __name__ first, @ts_ms NULL for the VM's own time, @meta NULL or of batch_keep_meta().
 * 0, -EINVAL (these labels make no series), -ENOSPC, -ENOMEM; what is not added is counted.
 */
int batch_add_foreign(struct batch *b, const struct label *labels, uint32_t n_labels, double value,
                      const int64_t *ts_ms, const struct rw2_meta *meta);
/* A copy that lives as long as @b; NULL when there is no memory. */
const struct rw2_meta *batch_keep_meta(struct batch *b, const struct rw2_meta *meta);

size_t batch_n_samples(const struct batch *b);
size_t batch_memory_bytes(const struct batch *b); /* more or less */
uint64_t batch_n_refused(const struct batch *b);  /* for want of room: of samples, or memory */

/*
 * A number for the series of the @i-th sample: equal for equal labels (organisation included), in
 * any batch. Never 0.
 */
uint64_t batch_series_hash(const struct batch *b, size_t i);
bool batch_sample_is_stale(const struct batch *b, size_t i);

uint64_t batch_sample_vm_id(const struct batch *b, size_t i);
enum series_id batch_sample_series(const struct batch *b, size_t i);
double batch_sample_value(const struct batch *b, size_t i); /* in the exported unit */
/* A number for the labels of its VM (or other owner): the same in every run of the daemon. */
uint64_t batch_owner_hash(const struct batch *b, size_t i);
/* TYPE and HELP of its series; texts live as long as the program. */
void batch_sample_meta(const struct batch *b, size_t i, struct rw2_meta *ret);

/* Ends the series of the @i-th sample of @prev: adds a stale mark for it to @b, stamped @ts_ms. */
int batch_add_stale(struct batch *b, const struct batch *prev, size_t i, int64_t ts_ms);

/* Adds the @i-th sample of @from once more, stamped @ts_ms. */
int batch_copy(struct batch *b, const struct batch *from, size_t i, int64_t ts_ms);

/*
 * Calls @fn for every sample: __name__ first, for @with_org __org__ second, the other labels sorted
 * by name. @id is SERIES_N for a series that is not in the catalogue.
 */
typedef int (*batch_sample_f)(void *ctx, enum series_id id, const struct label *labels,
                              uint32_t n_labels, const struct sample *sample);
int batch_each(const struct batch *b, bool with_org, batch_sample_f fn, void *ctx);
/* The same for samples @from (inclusive) to @to (exclusive, cut to what is there). */
int batch_each_range(const struct batch *b, size_t from, size_t to, bool with_org,
                     batch_sample_f fn, void *ctx);
