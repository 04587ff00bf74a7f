/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What differs between versions of the kernel and no type tells: how a number is computed, which
 * bit of a word is meant. One row for each such fact, with the versions that it was tested with.
 */

#include "userspace/host/guest/btf_types.h"
#include "userspace/host/guest/profile.h"

/* "Linux version 6.1.0-56 (…" -> 6001. 0 = not of that form. */
uint32_t rules_version(const char *banner);

/* Sets the values of all RULE rows of items.def that apply to the kernel of @p->banner. */
void rules_apply(const struct btf_types *types, struct profile *p);
