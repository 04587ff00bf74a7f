/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* periscope-host --once: what the daemon would send now, as text for people and scripts. */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

struct host_conf;

/*
 * once_collect() - one collection as exposition text: families together, each with HELP and TYPE.
 *
 * Sources that are off are named in @warnings, a line each. Returns 0, -EPERM with @e when none
 * works, or another failure with @e.
 */
int once_collect(const struct host_conf *conf, struct buf *out, struct buf *warnings,
                 struct err *e);
