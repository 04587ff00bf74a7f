/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The GNU build-id, by which a running kernel and the profile of its build are known for one. */

#include "userspace/base/str.h"

#define BUILD_ID_CAP 48 /* 20 bytes in hexadecimal and a NUL, with room */

/*
 * build_id_of_notes() - the build-id in a notes section, as lower-case hexadecimal.
 *
 * @notes is untrusted: it may come from a guest's memory. 0, or -ENOENT.
 * Source: elf(5), "Notes (Nhdr)".
 */
int build_id_of_notes(struct str notes, char dst[BUILD_ID_CAP]);
