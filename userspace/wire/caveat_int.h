/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to caveat*.c: the table of types. */

#include "userspace/wire/caveat.h"
#include "userspace/wire/msgpack.h"

struct caveat_row;

/* @body is a cursor on the valid body. */
typedef enum caveat_verdict (*caveat_check_f)(const struct caveat_row *row, struct msgpack body,
                                              const struct caveat_access *a, struct err *why);

struct caveat_row {
	uint64_t type;
	const char *name, *shape; /* see caveat.c */
	const char *fields;       /* names, one for each element of the outer array */
	caveat_check_f check;
};

const struct caveat_row *caveat_row_of(uint64_t type); /* NULL for an unknown type */

/* Takes one caveat of a set: its type and body. */
bool caveat_take(struct msgpack *m, struct caveat *ret);
