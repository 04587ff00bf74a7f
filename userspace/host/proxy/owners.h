/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Whose traffic it is: apps at the edge, VMs behind the proxy. An owner is a set of labels with a
 * small number, which the kernel side carries around; number 0 is the owner of what belongs to
 * nobody that we know.
 *
 * Owners outlive the VMs that they were made for: a VM whose description changes, or that comes
 * back, goes on with the counters that it had. What nobody refers to for long is forgotten, the
 * longest unused first, when room is needed.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/host/vm.h"

#define OWNERS_MAX   65536u
#define OWNER_NOBODY 0u

struct accounts;

struct owner {
	char org[64], app[VM_LABEL_CAP], region[VM_LABEL_CAP];
	char instance[VM_LABEL_CAP]; /* "" = the app at the edge */
	uint64_t vm_id;              /* of the VM that it is now; 0: none, or the edge */
	uint32_t edge;               /* of a VM: its app's owner, while the VM is known */
	uint32_t n_refs;             /* by the map of names, and by open connections */
	uint32_t soft_limit, hard_limit;
	uint64_t used_ns; /* last */
	struct accounts *accounts;
};

struct owners;

/* The labels of nobody: what cannot be attributed is theirs. -ENOMEM. */
int owners_new(struct owners **ret, const char *org, const char *region);
void owners_free(struct owners *o);

/*
 * owners_take() - the number of the owner with these labels, made when there is none; one
 * reference is the caller's. -ENOMEM, or -ENOSPC when OWNERS_MAX are in use.
 */
int owners_take(struct owners *o, const char *org, const char *app, const char *region,
                const char *instance, uint32_t *ret);
void owners_ref(struct owners *o, uint32_t number);
void owners_release(struct owners *o, uint32_t number);

struct owner *owners_get(struct owners *o, uint32_t number); /* never NULL; nobody for a bad one */

typedef int (*owners_f)(void *ctx, struct owner *owner, uint32_t number);
int owners_each(struct owners *o, owners_f fn, void *ctx); /* stops at a negative result */
size_t owners_count(const struct owners *o);
