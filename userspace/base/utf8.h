/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include "userspace/base/str.h"

/*
 * Is @s well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? O(n), eight bytes
 * a step.
 */
bool utf8_is_valid(struct str s);

/* Bytes of the well-formed character at the front of @s, 0 when there is none. */
size_t utf8_sequence_len(struct str s);
