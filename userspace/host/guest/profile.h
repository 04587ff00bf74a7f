/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What is to be known of one build of a guest kernel to read its counters from outside: addresses,
 * offsets and constants, some 200 numbers (items.def), in a text file that `periscope guest
 * profile` makes (docs/format/guest-profile.md).
 *
 * A profile belongs to one build, known by its build-id and its banner. What a kernel lacks stays
 * absent; which features that leaves is worked out once, when the profile is read.
 *
 * Threads  Immutable once made, shared by all VMs of the build. Size: about 6 KB.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/guest/build_id.h"

#define PROFILE_BYTES_MAX   ((size_t)256 << 10)
#define PROFILE_RELEASE_CAP 65 /* of uname(2), NUL included */
#define PROFILE_BANNER_CAP  512
#define PROFILE_SUFFIX      ".profile"
#define PROFILE_OFFSET_MAX  ((uint64_t)1 << 20) /* no struct of the kernel is larger */
#define PROFILE_VALUE_MAX   ((int64_t)1 << 20)

/* Features: what the rows of items.def are needed for. ANY is no feature. */
enum profile_need {
	NEED_BASE, /* without it nothing can be read */
	NEED_CLOCK,
	NEED_MEMORY,
	NEED_LOAD,
	NEED_CPU,
	NEED_PRESSURE,
	NEED_DISK,
	NEED_NET,
	NEED_VIRTIO_NET,
	NEED_FILES,
	NEED_MOUNTS,
	NEED_EXT4,
	NEED_XFS,
	NEED_BTRFS,
	NEED_OVERLAY,
	NEED_OOM,
	NEED_LOG,
	NEED_TASKS,
	NEEDS,
	NEED_ANY = NEEDS,
};

#define SYMBOL(id, names, need) S_##id,
#define FIELD(id, names, bytes, need)
#define FLAG(id, names, need)
#define PLACE(id, names, need)
#define SIZE(id, name, need)
#define CONSTANT(id, name, need)
#define RULE(id, need)
enum profile_symbol {
#include "userspace/host/guest/items.def"
	S_N
};
#undef SYMBOL
#undef FIELD
#undef FLAG
#undef PLACE
#define SYMBOL(id, names, need)
#define FIELD(id, names, bytes, need) F_##id,
#define FLAG(id, names, need)         F_##id,
#define PLACE(id, names, need)        F_##id,
enum profile_field {
#include "userspace/host/guest/items.def"
	F_N
};
#undef FIELD
#undef FLAG
#undef PLACE
#undef SIZE
#undef CONSTANT
#undef RULE
#define FIELD(id, names, bytes, need)
#define FLAG(id, names, need)
#define PLACE(id, names, need)
#define SIZE(id, name, need)     V_##id##_BYTES,
#define CONSTANT(id, name, need) V_##id,
#define RULE(id, need)           V_##id,
enum profile_value {
#include "userspace/host/guest/items.def"
	V_N
};
#undef SYMBOL
#undef FIELD
#undef FLAG
#undef PLACE
#undef SIZE
#undef CONSTANT
#undef RULE

struct profile_place {
	uint32_t offset;   /* bytes from the start of the struct */
	uint8_t bytes;     /* of what is loaded: 1, 2, 4, 8; 0 = a place, not a number */
	uint8_t bit, bits; /* bits 0: all of what is loaded */
	bool there;
};

struct profile {
	char build_id[BUILD_ID_CAP];
	char release[PROFILE_RELEASE_CAP];
	char banner[PROFILE_BANNER_CAP]; /* without the line's end */
	uint64_t symbols[S_N];           /* link-time addresses; 0 = absent (see symbols_there) */
	bool symbols_there[S_N];
	struct profile_place fields[F_N];
	int64_t values[V_N];
	bool values_there[V_N];
	uint32_t features; /* bit for each enum profile_need that has all it needs */
};

/* Rows of items.def, for those who make, write and read profiles. */
enum profile_kind {
	PROFILE_SYMBOL,
	PROFILE_FIELD,
	PROFILE_FLAG,
	PROFILE_PLACE,
	PROFILE_SIZE, /* this and those behind it: values */
	PROFILE_CONSTANT,
	PROFILE_RULE,
};

struct profile_row {
	const char *id, *names;
	enum profile_kind kind;
	enum profile_need need;
	uint32_t index; /* of the kind's array: symbols, fields or values */
	uint8_t bytes;  /* PROFILE_FIELD: expected size, 0 = any */
};

extern const struct profile_row profile_rows[];
extern const size_t profile_n_rows;

bool profile_row_is_there(const struct profile *p, const struct profile_row *row);
const char *profile_need_name(enum profile_need need); /* "memory"; also for NEED_ANY: "any" */

/* Works out @features from what is there. */
void profile_finish(struct profile *p);

static inline bool profile_has(const struct profile *p, enum profile_need need)
{
	return p->features >> need & 1;
}

/* The file's text, appended to @out. */
void profile_write(const struct profile *p, struct buf *out);

/*
 * profile_read() - inverse of profile_write(); @name stands for the file in messages.
 *
 * Rows that this build does not know are skipped, so a newer tool's file is good, too. Returns 0,
 * or -EINVAL (not a profile, damaged, of another version, without what NEED_BASE needs) with @e.
 */
int profile_read(const char *name, struct str text, struct profile *ret, struct err *e);
int profile_load(const char *path, struct profile *ret, struct err *e);
