/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Label values from names that a VM's owner chose: always valid UTF-8, never a control character,
 * never longer than the field. What does not belong is replaced by U+FFFD (or '-' in a slug) and
 * not removed, so two different names stay apart more often than not.
 */

#include <stdbool.h>
#include <stddef.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"

/* Copies @src to @dst (@cap bytes, NUL included), cut at a character's border. */
void label_text_copy(char *dst, size_t cap, struct str src);

/* True when @src needs no replacement and fits @cap. */
bool label_text_is_clean(struct str src, size_t cap);

/* An organisation: 1 to 63 of a-z 0-9 - _, beginning with a letter or digit. */
bool label_text_is_slug(struct str s);
/* The nearest slug: upper case is lowered, anything else becomes '-'; never empty. */
void label_text_slug(char *dst, size_t cap, struct str src);

struct label_var {
	const char *name;
	struct str value;
};

/*
 * label_template() - expands "${name}" in @text from @vars (ended by a NULL name) into @dst,
 * cleaned as label_text_copy() does.
 *
 * Returns 0, or -EINVAL with @e: an unknown variable, or a "${" without its end.
 */
int label_template(const char *text, const struct label_var *vars, char *dst, size_t cap,
                   struct err *e);
