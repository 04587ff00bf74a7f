/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The one privilege that device-mapper wants of who asks it anything, CAP_SYS_ADMIN; all others are
 * given up for good, for us and for what we run (lvs).
 */

#include "userspace/base/err.h"

/* -EPERM with @e when CAP_SYS_ADMIN is not ours. */
int privilege_reduce(struct err *e);
