/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The labels of one organisation in memory, each there once, and the series that carry them.
 *
 * Shape    A label is a number; numbers are dense and stay as long as the table. Names are numbered
 *          apart. Series are numbered densely by the tenant, so each list of them ascends by
 *          construction.
 * Lists    of series are needed by queries only, and are made when one comes: texts_index() takes
 *          the series that are not in them yet.
 * Ranks    Labels in the order of (name, value) have ascending ranks, so comparing series is
 *          comparing numbers; made when needed, too.
 * Threads  guarded by the tenant's lock (store/tenant.h).
 */

#include <stdint.h>

#include "store/store.h"
#include "userspace/base/arena.h"

struct text {
	struct str value;
	uint32_t name;  /* of names[] */
	uint32_t chain; /* of the log, in which it is registered; under the log's lock */
	uint32_t rank;
	uint32_t n_ids, ids_cap;
	uint32_t *ids; /* of series, ascending */
};

struct text_name {
	struct str text;
	uint32_t *values; /* labels with this name */
	uint32_t n_values, values_cap;
};

struct texts {
	struct arena arena;
	struct text_name *names;
	size_t n_names, names_cap;
	struct text *v;
	size_t n, cap;
	uint32_t *table; /* by hash of name and value; number + 1 */
	size_t table_cap;
	uint32_t n_ranked; /* of @v, from the front */
	size_t bytes;
};

void texts_done(struct texts *t);

/* The number of a label, made when new. -ENOMEM. */
int texts_intern(struct texts *t, const struct label *l, uint32_t *ret);

/* -1 when there is none. */
int64_t texts_find_name(const struct texts *t, struct str name);
int64_t texts_find(const struct texts *t, struct str name, struct str value);

/* Puts series @id into the lists of its labels; ids come ascending. -ENOMEM leaves some without. */
int texts_index(struct texts *t, const uint32_t *labels, uint32_t n, uint32_t id);

/* Makes all ranks right; cheap when nothing is new. -ENOMEM. */
int texts_rank(struct texts *t);

static inline struct label texts_label(const struct texts *t, uint32_t number)
{
	return (struct label){ t->names[t->v[number].name].text, t->v[number].value };
}
