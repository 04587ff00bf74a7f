/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Makes a profile of a kernel build, out of its image and those of its modules: what
 * `periscope guest profile` does. Not part of the daemon.
 */

#include <stddef.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/guest/profile.h"

struct profile_inputs {
	const char *kernel;     /* vmlinux or bzImage */
	const char *system_map; /* NULL: .symtab of the image, else its kallsyms */
	const char *const *modules;
	size_t n_modules;
};

/*
 * profile_build() - @notes gets a line for each row that is absent and each that did not fit.
 *
 * Returns 0, or a negative errno with @e: a file that cannot be read, no symbols, no types, a
 * kernel that lacks something of NEED_BASE.
 * Cost: some 100 ms and 100 MB for an image; seconds when pahole has to read DWARF.
 */
int profile_build(const struct profile_inputs *in, struct profile *ret, struct buf *notes,
                  struct err *e);
