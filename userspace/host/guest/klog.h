/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Records out of the end of a guest kernel's log: the bytes of its ring of text.
 *
 *	| id, 8 bytes | text, padded to 8 | id | text | ...
 *
 * Lengths are elsewhere, in rings that are much larger. But ids count up by one, so the newest id
 * finds the last record, the one below it the record before that, and so on; some records have no
 * text, and their ids do not occur. A text is followed by up to seven bytes of older text, which a
 * NUL or the end of a line mostly ends; a number at the end of a text is therefore not to be
 * trusted unless its width is known.
 *
 * The bytes are the guest's: any content is fine, and at worst gives other texts. Pure.
 *
 * Source: kernel/printk/printk_ringbuffer.c.
 */

#include <stdint.h>

#include "userspace/base/str.h"

#define KLOG_TEXT_MAX 1024u /* bytes of a record that are looked at */

typedef void (*klog_f)(void *ctx, struct str text);

/*
 * klog_each() - calls back for each record, the newest first. @bytes begin at a place where a
 * record may begin (a multiple of 8) and end behind the newest.
 */
void klog_each(struct str bytes, uint64_t newest_id, klog_f fn, void *ctx);
