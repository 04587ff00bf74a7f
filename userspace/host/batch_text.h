/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* A batch as exposition text 0.0.4, families together, in the catalogue's order. */

struct batch;
struct buf;

/* Appends to @out. 0, or what went wrong with it. */
int batch_write_text(const struct batch *b, struct buf *out);
