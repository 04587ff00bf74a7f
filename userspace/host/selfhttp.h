/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The daemon's own little HTTP server: /metrics about itself, /health (and /-/healthy, /-/ready)
 * for whoever watches it. On loopback only (the configuration sees to that): it says nothing of
 * tokens, but the names of a host's sources are nobody else's business.
 *
 * Threads  One of its own; what it serves is read through metrics_write().
 */

#include "userspace/base/err.h"

struct selfhttp;

/*
 * Serves on @listen ("127.0.0.1:9478"). -EINVAL, -EADDRINUSE, … with @e. An empty @listen gives
 * NULL, which selfhttp_stop() takes.
 */
int selfhttp_start(struct selfhttp **ret, const char *listen, struct err *e);
void selfhttp_stop(struct selfhttp *h);
