/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From a VM to the guest in it: which profiles may fit, where its memory is (KVM's word, else
 * guesses), and how much of this may be done at a time.
 *
 * Threads  One owner. Cost: milliseconds for a VM, so finder_may_go_on() bounds a round.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/host/guest/locate.h"

#define FINDER_ROUND_MS 200 /* of looking, whenever the finder is asked to look at VMs */

struct host_conf;
struct vm;
struct finder;

int finder_new(struct finder **ret, const struct host_conf *conf); /* -ENOMEM */
void finder_free(struct finder *f);                                /* NULL is fine */

/* Reads profiles that are new or changed; true when there are any. */
bool finder_refresh(struct finder *f);
bool finder_has_profiles(const struct finder *f);

/* A round begins; whether there is time left in it. */
void finder_begin(struct finder *f, uint64_t now_ns);
bool finder_may_go_on(const struct finder *f, uint64_t now_ns);

/*
 * finder_find() - the guest of @vm, other than the one whose kernel at @dead_gpa is known to run no
 * more (or NO_KERNEL).
 *
 * 0; -ENODATA: there is no profile to try; else as locate_guest(), with @e.
 */
int finder_find(struct finder *f, const struct vm *vm, uint64_t dead_gpa, struct mem_cache *cache,
                struct guest **ret, struct locate_access *ret_access, struct err *e);
