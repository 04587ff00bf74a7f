/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What senders say about metrics: type, help and unit of a name, for each organisation; kept over
 * restarts.
 *
 * Shape     A definition (name, type, help, unit) is kept once, however many organisations use it.
 *           An organisation may have several of one name; the one that was said last counts first.
 * File      DIR/metadata.log: a line that names the format, then frames of length, CRC-32C and a
 *           MessagePack array; [0, name, type, help, unit] is the next definition, counted from 0,
 *           [1, org, n] says that an organisation uses definition n. What is behind the first
 *           broken frame is dropped. A start rewrites the file when much of it is not needed.
 * Durable   Written at once, synced at close. A loss is mended by the next sender, who repeats
 *           everything every minute; so an error of the disk is no error of a request.
 * Limits    METADATA_USES_MAX for each organisation, METADATA_BYTES_MAX in all; what has not been
 *           said for an hour makes room first.
 * Threads   Any.
 */

#include "userspace/base/err.h"
#include "userspace/base/str.h"
#include "userspace/wire/rw2.h"

#define METADATA_USES_MAX  20000u
#define METADATA_BYTES_MAX ((size_t)256 << 20)
#define METADATA_NAME_MAX  256u  /* bytes; a longer one is refused */
#define METADATA_HELP_MAX  1024u /* a longer one is cut */
#define METADATA_UNIT_MAX  64u

struct metadata;

struct metadata_def {
	struct str name, help, unit;
	enum rw_type type;
};

/* Makes @dir when it is missing. -EIO and the like, with @e; -ENOMEM. */
int metadata_open(const char *dir, struct metadata **ret, struct err *e);
void metadata_close(struct metadata *m); /* NULL is fine */

/*
 * metadata_put() - 0, -EINVAL (no name, or one that is no UTF-8), -ENOSPC (a limit), -ENOMEM.
 * Cost: three look-ups when it was said before.
 */
int metadata_put(struct metadata *m, struct str org, const struct metadata_def *def);

/* All of an organisation, by name, of one name the newest first. A negative result stops. */
typedef int (*metadata_f)(void *ctx, const struct metadata_def *def);
int metadata_each(struct metadata *m, struct str org, metadata_f fn, void *ctx);

const char *metadata_type_name(enum rw_type type); /* counter, …; unknown */
/* RW_TYPE_UNKNOWN for any other word. */
enum rw_type metadata_type_of(struct str name);

struct metadata_stats {
	size_t orgs, defs, uses, bytes;
	uint64_t refused;
};
void metadata_get_stats(struct metadata *m, struct metadata_stats *ret);
