/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What our BPF programs and maps look like from outside, for people: what each is for, how often it
 * ran and for how long, and what is in it, by the types that the kernel keeps with it. It asks the
 * kernel and not a daemon, so it shows those of whichever daemon runs.
 *
 * Left out   rings and storages of tasks and sockets, which nobody else can read; entries of arrays
 *            of which every byte is 0; what is beyond BPF_DUMP_ENTRIES_MAX of one map.
 * Needs      CAP_SYS_ADMIN: finding programs by number is reserved for it.
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

#define BPF_DUMP_ENTRIES_MAX 64

/* 0; -EPERM; -ENOENT when no program of ours is there, with @e. */
int bpf_dump(struct buf *out, struct err *e);
