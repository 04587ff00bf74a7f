/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "userspace/base/buf.h"

/*
 * @s as a JSON string, with its quotes. Always valid UTF-8: a byte that is not becomes U+FFFD, so
 * that one bad label cannot break a client's parser.
 */
void json_put_str(struct buf *b, struct str s);
