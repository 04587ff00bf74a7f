/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * User-space half of bpf/guest_end.bpf.c: what a guest said last and what became of its main
 * process, kept at the moment when its monitor ends.
 *
 * Threads  One owner.
 */

#include <stdint.h>
#include <sys/types.h>

#include "bpf/guest_end.h"

struct err;
struct guest_end;

/* @rec is good until it returns. */
typedef void (*guest_end_f)(void *ctx, const struct guest_end_rec *rec);

/* -EPERM, -ENOTSUP (no BTF) … with @e; guests then end without last words. */
int guest_end_open(struct guest_end **ret, guest_end_f fn, void *ctx, struct err *e);
void guest_end_close(struct guest_end *g); /* NULL is fine */

/* Where to look when @pid ends, from now on. -E2BIG: too many VMs. */
int guest_end_watch(struct guest_end *g, pid_t pid, const struct guest_end_where *where);
void guest_end_unwatch(struct guest_end *g, pid_t pid);

/*
 * Calls back for each monitor that ended since the last time. It is told of before its end is told
 * by anyone else (vm_life.h, a pidfd).
 */
void guest_end_take(struct guest_end *g);
uint64_t guest_end_lost(const struct guest_end *g);
