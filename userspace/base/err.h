/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Two error channels, never mixed:
 *   - the return value: 0, or a negative errno. It is what code branches on.
 *   - struct err: what a person reads. Filled only where a message reaches a person (query text,
 *     configuration, HTTP bodies). Fixed size, so reporting an error never allocates.
 */

#include <errno.h>

struct err {
	int code;      /* negative errno; 0 while no error has been set */
	int pos;       /* byte offset of the fault in the input; -1 when it has none */
	char msg[256]; /* one sentence, no trailing full stop, no newline */
};

#define ERR_INIT ((struct err){ .pos = -1 })

/* errno as a return value; negative even if a library failed and forgot to set errno. */
static inline int neg_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

/*
 * Sets @e unless it already holds an error: the first cause wins, later ones are consequences.
 * @e may be NULL. Returns @code, so a failing path is one line: return err_set(e, -EINVAL, ..);
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_set_at(struct err *e, int code, int pos, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
