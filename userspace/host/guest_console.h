/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The file that a guest's console is written to: the last lines of it say how the guest's init saw
 * its app end, and how the kernel saw init end.
 *
 * Only regular files are opened: a FIFO or a terminal would be robbed of what it holds.
 *
 * Threads  One owner.
 */

#include "userspace/base/err.h"
#include "userspace/base/str.h"
#include "userspace/host/guest/ending.h"

struct vm;
struct console_pattern; /* setting exits.console_pattern */

/* An empty @text matches nothing. -EINVAL with @e: no regular expression, or no group code. */
int console_pattern_new(struct console_pattern **ret, const char *text, struct err *e);
void console_pattern_free(struct console_pattern *p); /* NULL is fine */

/* The monitor's standard output, when no file is described and that is one; else -1. */
int console_open(const struct vm *vm);

/* What the last lines of @fd, or of the file that @vm's description names, say of the end. */
void console_note(const struct console_pattern *p, const struct vm *vm, int fd,
                  const struct guest_main *main, struct ending *e);
/* The same of a text. */
void console_note_text(const struct console_pattern *p, struct str text,
                       const struct guest_main *main, struct ending *e);
