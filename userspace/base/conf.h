/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Configuration: a strict YAML file into a C struct, driven by one table row for each setting. The
 * row is all there is: default, range, unit, message, --print-config, man page and docs/config.md
 * follow from it.
 *
 * Strict   An unknown key, a wrong type, a value out of range or a duplicate key is an error that
 *          names file, line, key, what was found and what was expected. Nothing is half-loaded:
 *          on failure the struct is as conf_init() would leave it.
 * Keys     Dotted paths ("wal.sync") are nested mappings in the file.
 * Strings  are heap copies owned by the struct; conf_done() frees them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

enum conf_type {
	CONF_BOOL,     /* bool */
	CONF_INT,      /* int64_t */
	CONF_DURATION, /* int64_t, milliseconds; text like 15s, 100y */
	CONF_SIZE,     /* uint64_t, bytes; text like 256MiB */
	CONF_DOUBLE,   /* double */
	CONF_STRING,   /* char *, never NULL */
	CONF_ENUM,     /* int, index into names */
	CONF_STRINGS,  /* struct conf_strings */
	CONF_STRUCTS,  /* struct conf_structs: a sequence of mappings, or a mapping of mappings */
};

struct conf_strings {
	char **v;
	size_t n;
};

struct conf_structs { /* @v is an array of @n structs of sub->struct_bytes */
	void *v;
	size_t n;
};

struct conf_schema;

struct conf_row {
	const char *key;
	enum conf_type type;
	size_t offset; /* of the field in the struct */
	/*
	 * As it would stand in the file, without quotes; lists: "a, b" or "[a, b]", empty "";
	 * structs as YAML in one line. NULL = required, except for the two kinds of lists,
	 * which are then empty.
	 */
	const char *default_text;
	double min, max;               /* numbers, durations (ms), sizes (bytes); both 0 = any */
	const char *const *names;      /* CONF_ENUM: NULL-terminated */
	const struct conf_schema *sub; /* CONF_STRUCTS */
	bool reloadable;               /* SIGHUP applies it */
	const char *sentence;          /* of the manual; ends with a full stop */
};

struct conf_schema {
	const struct conf_row *rows;
	size_t n;
	size_t struct_bytes;
	/* CONF_STRUCTS as a mapping: offset of the char * field that takes the key; else -1 */
	ptrdiff_t key_offset;
};

/* Zeroes @cfg and sets every default. 0 or -ENOMEM. */
int conf_init(const struct conf_schema *schema, void *cfg);
void conf_done(const struct conf_schema *schema, void *cfg);
/* A copy of its own of all of @from's fields in @to, which needs no conf_init(). 0 or -ENOMEM. */
int conf_copy(const struct conf_schema *schema, const void *from, void *to);

/*
 * Parses @text (named @name in messages) into a conf_init()ed struct. -EINVAL with @e
 * filled, -ENOMEM.
 */
int conf_parse(const struct conf_schema *schema, const char *name, struct str text, void *cfg,
               struct err *e);
/* One scalar setting from its text, as the command line gives it. -EINVAL with @e, -ENOMEM. */
int conf_set_key(const struct conf_schema *schema, void *cfg, const char *key, const char *text,
                 struct err *e);
/* The same as conf_parse() from a file; -ENOENT etc. also fill @e. */
int conf_load(const struct conf_schema *schema, const char *path, void *cfg, struct err *e);

/*
 * conf_complain() - what a check of several settings found, with the place in the file.
 *
 * @why begins with the key that is wrong, as dotted words; @text is the file @name, which
 * conf_parse() took. Fills @e with "name:line: why", without the line when the file leaves that
 * setting out. Returns @code.
 */
int conf_complain(const char *name, struct str text, int code, const char *why, struct err *e);

/* The effective configuration as YAML that conf_parse() accepts; comments give the sentences. */
void conf_print(const struct conf_schema *schema, const void *cfg, struct buf *out);

/* First setting that differs and is not reloadable, or NULL: what SIGHUP cannot apply. */
const char *conf_unreloadable_change(const struct conf_schema *schema, const void *a,
                                     const void *b);

/* Reference table (Markdown) for docs/config.md. */
void conf_document(const struct conf_schema *schema, struct buf *out);
