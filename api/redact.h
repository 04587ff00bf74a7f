/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "userspace/base/buf.h"

/*
 * Appends @text without what looks like a token in it: fm2_…, fm1r_…, fm1a_…, fo1_… wherever they
 * stand, and the word behind Bearer or FlyV1, become "[redacted]". For whatever a client sent that
 * goes into a log.
 */
void redact_put(struct buf *out, struct str text);
