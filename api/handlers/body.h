/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The body of a write, unpacked by its Content-Encoding. */

#include "api/region.h"

/*
 * body_unpack() - plain, gzip, zstd or snappy. *@ret is a slice of the request's body or of
 * @scratch. 0, or the status of the error in @resp (400, 413, 415, 503).
 */
int body_unpack(struct region *region, const struct request *req, struct buf *scratch,
                struct str *ret, struct response *resp);

/* Longest body of a write, as sent and unpacked. */
size_t body_bytes_max(struct region *region);
