/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Header fields of one direction of an HTTP/2 connection (RFC 7541). Each block changes the table
 * by which later ones are understood; once a block was missed, or one made no sense, the table is
 * unknown for the rest of the connection. What then still is understood is what needs no table:
 * fields up to the first one that refers to it.
 *
 * Bounded  The table, by HPACK_TABLE_MAX; a block, by its caller.
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/str.h"

#define HPACK_TABLE_MAX 65536u /* as large as browsers ask for */

struct hpack;

int hpack_new(struct hpack **ret); /* -ENOMEM */
void hpack_free(struct hpack *h);  /* NULL is fine */

/* The table is not to be trusted any more: something was missed. */
void hpack_lose(struct hpack *h);
bool hpack_is_lost(const struct hpack *h);

typedef void (*hpack_field_f)(void *ctx, struct str name, struct str value);

/* Calls @fn for the fields of a whole block. 0, or -EBADMSG with those before the fault given. */
int hpack_block(struct hpack *h, const uint8_t *bytes, size_t n, hpack_field_f fn, void *ctx);
