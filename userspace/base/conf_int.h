/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to conf*.c: one value of one row, from text and to text. */

#include "userspace/base/conf.h"

#define CONF_ITEMS_MAX 4096 /* of one sequence or mapping */

void *conf_field(const struct conf_row *row, void *cfg);
const void *conf_field_const(const struct conf_row *row, const void *cfg);

/* Sets a scalar row from its text. -EINVAL with @e: what was found and what was expected. */
int conf_set(const struct conf_row *row, void *cfg, struct str text, struct err *e);
int conf_strings_add(struct conf_strings *list, struct str text);
void conf_strings_done(struct conf_strings *list);
/* Appends a struct with the defaults of @sub; *@ret points at it. */
int conf_structs_add(struct conf_structs *list, const struct conf_schema *sub, void **ret);
void conf_structs_done(struct conf_structs *list, const struct conf_schema *sub);
/* Sets a row of structs from its default text. */
int conf_default_structs(const struct conf_row *row, void *cfg);

/* With the largest unit that divides it: 15s, 1h, 256MiB. */
void conf_put_duration(struct buf *out, int64_t ms);
void conf_put_size(struct buf *out, uint64_t bytes);

/* "a duration like 15s", "one of always, interval": completes "expected …". */
void conf_expected(const struct conf_row *row, struct buf *out);
