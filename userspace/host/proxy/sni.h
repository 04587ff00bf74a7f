/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The name that a client asks for in its ClientHello. The bytes are a client's: every length is
 * checked against what is there.
 *
 * Source   RFC 8446 §4.1.2 and §5.1 (records and messages may be cut independently of each other),
 *          RFC 6066 §3 (server_name).
 */

#include <stddef.h>
#include <stdint.h>

#define SNI_NAME_CAP     256
#define SNI_STREAM_BYTES ((size_t)16384) /* of records; no hello of this world is longer */

/*
 * sni_parse() - @stream is what the client sent, from its first byte.
 *
 * Returns 0 with @ret_name NUL-terminated, or
 *   -EAGAIN   it is good so far, and not all of it is there
 *   -ENOENT   a ClientHello without a name
 *   -EBADMSG  no ClientHello
 */
int sni_parse(const uint8_t *stream, size_t bytes, char ret_name[SNI_NAME_CAP]);
